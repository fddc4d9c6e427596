"""Cards and lines: what a look at the hardware finds, taken into the configuration by one click; what each line is.

The daemon looks, proposes and writes; what is written acts when it starts again, which this page asks for, too.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import DaemonError
from web_admin.box import Flash, box_of, form_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.query import natural
from web_admin.render import PageError, done
from web_admin.routes.settings import call
from web_admin.routes.showing import again, fittings_of, refused, show, stays, went_well

ROLES = ("tap", "trunk", "station")
KINDS = ("direct", "trunk", "extension", "handset")
LONGEST_NAME = 64
MOST_SIMULATED = 64


async def cards_page(request: Request) -> Response:
    return await show(request, "cards")


async def take(request: Request) -> Response:
    await box_of(request).hub.call("card.take", actor=visitor_of(request).actor)
    return stays(request, "cards", Flash("done.cards_taken"))


async def simulate(request: Request) -> Response:
    lines = natural(str(form_of(request).get("lines", "")), MOST_SIMULATED)
    if not lines:
        return await again(request, "cards", {"lines": "cards.lines_fault"})
    if (await fittings_of(request))["fittings"].cards:
        raise PageError(409, "card_there")
    await box_of(request).hub.call("card.simulate", lines=lines, actor=visitor_of(request).actor)
    return stays(request, "cards", Flash("done.cards_taken"))


async def drop(request: Request) -> Response:
    """The simulated card that comes last, named by the form so that it is the one that was seen."""
    cards = (await fittings_of(request))["fittings"].cards
    if not cards or form_of(request).get("card") != cards[-1].name:
        raise PageError(409, "daemon_not_found")
    await box_of(request).hub.call("card.drop", actor=visitor_of(request).actor)
    return stays(request, "cards", Flash("done.card_dropped"))


async def prepare(request: Request) -> Response:
    """DAHDI's own configuration, made by the keeper from what the driver says of its ports."""
    try:
        await call(request, "box.dahdi")
    except DaemonError as error:
        return await refused(request, "cards", {"driver": "box.refused"}, error)
    return stays(request, "cards", Flash("done.driver_prepared"))


async def describe(request: Request) -> Response:
    form, fittings = form_of(request), (await fittings_of(request))["fittings"]
    wanted: list[dict[str, Any]] = []
    faults = {}
    for line in fittings.lines:
        number = str(line.number)
        if f"name-{number}" not in form:
            continue
        # A full-width space is none of the printable characters; any space is one space.
        name = " ".join(str(form[f"name-{number}"]).split())
        kind = str(form.get(f"kind-{number}", line.kind))
        role, enabled = str(form.get(f"role-{number}", line.role)), form.get(f"enabled-{number}") == "1"
        if len(name) > LONGEST_NAME or not name.isprintable():
            faults[f"name-{number}"] = "cards.name_fault"
        if kind not in KINDS or role not in ROLES:
            raise PageError(400, "bad_request")
        if (name, kind, role, enabled) != (line.name, line.kind, line.role, line.enabled):
            wanted.append({"line": line.number, "name": name, "kind": kind, "role": role, "enabled": enabled})
    if faults:
        return await again(request, "lines", faults)
    if wanted:
        await box_of(request).hub.call("line.describe", lines=wanted, actor=visitor_of(request).actor)
    return await went_well(request, "lines", Flash("done.lines_described"))


async def recorder(request: Request) -> Response:
    """Starts the recorder again; answers when it is back."""
    step = form_of(request).get("step")
    if step not in ("cards", "lines", "done"):
        raise PageError(400, "bad_request")
    if not await box_of(request).hub.restarted(visitor_of(request).actor):
        raise PageError(503, "not_back")
    if form_of(request).get("from") == "setup":
        return done(request, f"/system/setup/{step}", Flash("done.recorder_again"))
    return done(request, "/system/cards", Flash("done.recorder_again"))


routes = [
    get("/system/cards", Need.ADMINISTRATOR, cards_page),
    post("/system/cards/take", Need.ADMINISTRATOR, take),
    post("/system/cards/simulate", Need.ADMINISTRATOR, simulate),
    post("/system/cards/drop", Need.ADMINISTRATOR, drop),
    post("/system/cards/driver", Need.ADMINISTRATOR, prepare),
    post("/system/cards/recorder", Need.ADMINISTRATOR, recorder),
    post("/system/lines", Need.ADMINISTRATOR, describe),
    *leads(
        "/system/cards",
        Need.ADMINISTRATOR,
        "/system/cards/take",
        "/system/cards/simulate",
        "/system/cards/drop",
        "/system/cards/driver",
        "/system/cards/recorder",
        "/system/lines",
    ),
]
