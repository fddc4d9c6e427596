"""Updates: a bundle is uploaded, or lies on a memory stick; it is installed while recording goes on; the box restarts.

The upload is the body of a request of its own, which a script sends so that it can show how far it is. How far the
installing is, the keeper knows: a small part of the page is asked for again while it goes on.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from web_admin import uploads
from web_admin.box import Flash, box_of, form_of, locale_of, visitor_of
from web_admin.guard import Need, get, leads, post, upload
from web_admin.render import PageError, done, page
from web_admin.routes.showing import show, state_of

PLACE = "/system/update"


async def update_page(request: Request) -> Response:
    box = box_of(request)
    held = [(path.name, path.stat().st_size) for path in uploads.held(box.updates)]
    return await show(request, "update", held=held, largest=uploads.LARGEST_BYTES, begun=_begun(request) or None)


async def progress(request: Request) -> Response:
    return page(request, "update_progress.html", state=await state_of(request), begun=_begun(request))


async def take(request: Request) -> Response:
    """The file itself. Answers in JSON, for the script that sends it."""
    if not (await state_of(request)).managed:
        raise PageError(409, "unmanaged")
    if (await state_of(request)).update.running:
        raise PageError(409, "update_runs")
    size = request.headers.get("content-length", "")
    name = request.query_params.get("name", "")
    try:
        path = await uploads.take(box_of(request).updates, name, int(size) if size.isdecimal() else 0, request.stream())
    except uploads.UploadError as error:
        words = locale_of(request).t(f"update.{error.key}")
        return JSONResponse({"fault": f"{words} {error.detail}".rstrip()}, 422)
    return JSONResponse({"name": path.name})


async def install(request: Request) -> Response:
    """Of what was uploaded, or of a bundle on a memory stick as the keeper names it."""
    box, wished = box_of(request), str(form_of(request).get("file", ""))
    state = await state_of(request)
    if state.update.running or _begun(request):
        raise PageError(409, "update_runs")
    held = next((path for path in uploads.held(box.updates) if path.name == wished), None)
    if held is None and wished not in state.update.offered:
        raise PageError(404, "no_update")
    await box.hub.install(held or Path(wished), visitor_of(request).actor, uploaded=held is not None)
    return done(request, PLACE)


def _begun(request: Request) -> bool:
    installing = box_of(request).hub.installing
    return installing is not None and not installing.done()


async def remove(request: Request) -> Response:
    if _begun(request):
        raise PageError(409, "update_runs")
    uploads.tidy_others(box_of(request).updates)
    box_of(request).hub.install_fault = None
    return done(request, PLACE, Flash("done.update_removed"))


routes = [
    get(PLACE, Need.ADMINISTRATOR, update_page),
    get(f"{PLACE}/progress", Need.ADMINISTRATOR, progress),
    upload(f"{PLACE}/upload", Need.ADMINISTRATOR, take),
    post(f"{PLACE}/install", Need.ADMINISTRATOR, install),
    post(f"{PLACE}/remove", Need.ADMINISTRATOR, remove),
    *leads("/system/update", Need.ADMINISTRATOR, "/system/update/install", "/system/update/remove"),
]
