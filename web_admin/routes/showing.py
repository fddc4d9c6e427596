"""What the System pages and the steps of the wizard have in common: both show the same parts, and each act goes back to
where it was asked for.

A form says with `from` that it stands in the wizard. An act whose values are wrong shows its place again, with what was
typed and a fault under it; one that is done goes on to the wizard's next step, or back to its page.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import BoxState, DaemonError, Fittings, Scan, WireError, numbered
from web_admin import passwords
from web_admin.box import Flash, box_of, form_of, visitor_of
from web_admin.i18n import NS
from web_admin.render import done, page
from web_admin.routes.entry import address_of

STEPS = ("time", "network", "encryption", "cards", "lines", "done")
FOR_BOX = ("time", "network", "encryption")
"""Steps that a machine which was not flashed leaves out."""
PLACES = {"network": "network.html", "storage": "storage.html", "cards": "fitting.html", "update": "update.html"}
HOME = {"time": "network", "network": "network", "encryption": "storage", "cards": "cards", "lines": "cards"}
"""The page under System on which a step's part stands, too."""

NOT_DONE = ("refused", "bad_request", "internal")
"""How the keeper says that it did not do what it was asked."""


async def state_of(request: Request) -> BoxState:
    """Asked for now. Raises `WireError`; where only the keeper fails, what was known of the box."""
    hub = box_of(request).hub
    try:
        return await hub.look_at_box()
    except WireError:
        if hub.box is None:
            raise
        return hub.box


def steps_of(state: BoxState) -> list[str]:
    return [step for step in STEPS if state.managed or step not in FOR_BOX]


async def show(
    request: Request, place: str, status: int = 200, faults: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """A page under System; `place` is one of `PLACES`, or `setup STEP`."""
    word, _, step = place.partition(" ")
    state = await state_of(request)
    typed = getattr(request.state, "form", None)
    parts = [step] if word == "setup" else [part for part, home in HOME.items() if home == word]
    shown: dict[str, Any] = {
        "state": state, "step": step, "steps": steps_of(state), "faults": faults or {},
        # What is not to be changed by the act that failed is not there, and shows as it is.
        "typed": typed if typed is not None and faults else {}, "numbered": numbered, "here": word,
    }  # fmt: skip
    if "time" in parts:
        shown |= {"zones": zones(), "at": now_in(state, box_of(request).now_ns())}
    if {"cards", "lines", "done"} & set(parts):
        shown |= await fittings_of(request)
    if "cards" in parts:
        shown["scan"] = msgspec.convert(await box_of(request).hub.call("card.scan"), Scan)
    return page(request, "wizard.html" if word == "setup" else PLACES[word], status, **shown, **values)


async def fittings_of(request: Request) -> dict[str, Any]:
    hub = box_of(request).hub
    return {"fittings": msgspec.convert(await hub.call("fitting"), Fittings)}


def place_of(request: Request, step: str) -> str:
    return f"setup {step}" if form_of(request).get("from") == "setup" else HOME[step]


async def again(request: Request, step: str, faults: Mapping[str, str], **values: Any) -> Response:
    """The place of this act once more, with what is wrong."""
    return await show(request, place_of(request, step), 422, faults, **values)


async def refused(request: Request, step: str, faults: Mapping[str, str], error: DaemonError) -> Response:
    """The same where the box itself did not do it: with its own reason. A machine that was not flashed has no such
    form."""
    if error.code not in NOT_DONE or not (await state_of(request)).managed:
        raise error
    return await again(request, step, faults, refused=str(error))


async def went_well(request: Request, step: str, flash: Flash | None = None) -> Response:
    """On to the next step, or back to the page."""
    place = place_of(request, step)
    if not place.startswith("setup"):
        return done(request, f"/system/{place}", flash)
    steps = steps_of(await state_of(request))
    return done(request, f"/system/setup/{steps[steps.index(step) + 1]}", flash)


def stays(request: Request, step: str, flash: Flash | None = None) -> Response:
    """The place of this act once more: what was done shows there, or is to be done otherwise."""
    return done(request, f"/system/{place_of(request, step).replace(' ', '/')}", flash)


async def password_fault(request: Request) -> str | None:
    """For what cannot be taken back, who is signed in says the password once more. A wrong one delays the next, as it
    does where one signs in."""
    box, visitor, address = box_of(request), visitor_of(request), address_of(request)
    assert visitor.person is not None
    if box.store.wait_s(visitor.name, address):
        return "password.wait"
    box.store.attempted(visitor.name, address)
    given = str(form_of(request).get("password", ""))[: passwords.LONGEST]
    if not await passwords.verified(visitor.person.password_hash, given):
        return "password.old_wrong"
    box.store.succeeded(visitor.name, address)
    return None


@cache
def zones() -> list[str]:
    """Places, without the old names that stand for others."""
    kept = {zone for zone in available_timezones() if zone.split("/")[0] in _REGIONS and zone.count("/") <= 2}
    return ["UTC", *sorted(kept)]


_REGIONS = {
    "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific", "Arctic",
}  # fmt: skip


def now_in(state: BoxState, now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns / NS, ZoneInfo(state.time.zone))
