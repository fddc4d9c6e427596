"""Setting up the box, step by step: what a new box asks after its first account, and whoever likes later.

Each step shows the same part as its page under System, and acts through the same routes (`showing`). A step can be
skipped and come back to; where one stands is the address, and what is set is read from the box.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from web_admin.guard import Need, get
from web_admin.render import PageError
from web_admin.routes.showing import show, state_of, steps_of


async def begin(request: Request) -> Response:
    steps = steps_of(await state_of(request))
    return RedirectResponse(f"/system/setup/{steps[0]}", 303)


async def step(request: Request) -> Response:
    wished = request.path_params["part"]
    if wished not in steps_of(await state_of(request)):
        raise PageError(404, "not_found")
    return await show(request, f"setup {wished}")


routes = [
    get("/system/setup", Need.ADMINISTRATOR, begin),
    get("/system/setup/{part}", Need.ADMINISTRATOR, step),
]
