"""The data partition and the power switch: encryption, factory reset, restart, power-off, and the way out of safe mode.

What cannot be taken back asks for the password again; a reset asks for the box's name as well, typed by hand.
"""

from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import DaemonError
from web_admin.box import Flash, form_of
from web_admin.guard import Need, get, leads, post
from web_admin.render import done, page
from web_admin.routes.settings import call
from web_admin.routes.showing import again, password_fault, refused, show, state_of, stays, went_well

MEANS = ("tpm", "usb", "boot")
PLACE = "/system/storage"


async def storage(request: Request) -> Response:
    return await show(request, "storage")


async def encrypt(request: Request) -> Response:
    """Ordered for the next start; `off` takes that back."""
    means = str(form_of(request).get("means", ""))
    faults = {}
    if means not in (*MEANS, "off"):
        faults["means"] = "encryption.means_fault"
    if means != "off" and (fault := await password_fault(request)) is not None:
        faults["password"] = fault
    if faults:
        return await again(request, "encryption", faults)
    try:
        await call(request, "box.encrypt", means=means)
    except DaemonError as error:
        return await refused(request, "encryption", {"order": "encryption.refused"}, error)
    if means == "off":
        return stays(request, "encryption", Flash("done.encryption_taken_back"))
    return await went_well(request, "encryption", Flash("done.encryption_ordered"))


async def recovery_key(request: Request) -> Response:
    """Made anew and shown this once; nobody has it but who reads it."""
    if (fault := await password_fault(request)) is not None:
        return await again(request, "encryption", {"key_password": fault})
    try:
        answer = await call(request, "box.recovery_key")
    except DaemonError as error:
        return await refused(request, "encryption", {"order": "box.refused"}, error)
    return page(request, "recovery_key.html", key=answer["recovery_key"], setup=form_of(request).get("from") == "setup")


async def key_written(request: Request) -> Response:
    """It is on paper."""
    if form_of(request).get("written") != "1":
        return page(request, "recovery_key.html", 422, key=None, setup=form_of(request).get("from") == "setup")
    return await went_well(request, "encryption", Flash("done.key_written"))


async def reset(request: Request) -> Response:
    form, state = form_of(request), await state_of(request)
    recordings = str(form.get("recordings", ""))
    faults = {}
    if recordings not in ("keep", "destroy"):
        faults["recordings"] = "reset.recordings_fault"
    if str(form.get("name", "")).strip().lower() != state.name.lower():
        faults["reset_name"] = "reset.name_fault"
    if (fault := await password_fault(request)) is not None:
        faults["reset_password"] = fault
    if faults:
        return await show(request, "storage", 422, faults)
    try:
        await call(request, "box.reset", recordings=recordings)
    except DaemonError as error:
        return await refused(request, "encryption", {"reset": "box.refused"}, error)
    return page(request, "restarting.html", what="reset")


async def restart(request: Request) -> Response:
    """Where encryption is ordered, it is done now; what comes next is its recovery key."""
    ordered = (await state_of(request)).encryption.ordered
    try:
        await call(request, "box.restart")
    except DaemonError as error:
        return await refused(request, "encryption", {"power": "box.refused"}, error)
    returns = "/system/setup/encryption" if ordered else "/system"
    return page(request, "restarting.html", what="restart", returns=returns)


async def power_off(request: Request) -> Response:
    try:
        await call(request, "box.power_off")
    except DaemonError as error:
        return await refused(request, "encryption", {"power": "box.refused"}, error)
    return page(request, "restarting.html", what="power_off")


async def resume(request: Request) -> Response:
    """The daemon is given another try."""
    await call(request, "box.resume")
    await state_of(request)
    return done(request, "/system", Flash("done.resumed"))


routes = [
    get(PLACE, Need.ADMINISTRATOR, storage),
    post("/system/encryption", Need.ADMINISTRATOR, encrypt),
    post("/system/encryption/key", Need.ADMINISTRATOR, recovery_key),
    post("/system/encryption/written", Need.ADMINISTRATOR, key_written),
    post("/system/reset", Need.ADMINISTRATOR, reset),
    post("/system/restart", Need.ADMINISTRATOR, restart),
    post("/system/power-off", Need.ADMINISTRATOR, power_off),
    post("/system/resume", Need.ADMINISTRATOR, resume),
    *leads(
        "/system/storage",
        Need.ADMINISTRATOR,
        "/system/encryption",
        "/system/encryption/key",
        "/system/encryption/written",
        "/system/reset",
        "/system/restart",
        "/system/power-off",
    ),
    *leads("/system", Need.ADMINISTRATOR, "/system/resume"),
]
