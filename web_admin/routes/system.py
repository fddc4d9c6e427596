"""The box: how it is, what it wants of somebody (alarms), and its people."""

from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import AlarmReport, numbered
from recorder import spool
from web_admin import passwords
from web_admin.box import Flash, box_of, form_of, visitor_of
from web_admin.guard import Need, get, post
from web_admin.i18n import Locale
from web_admin.render import PageError, done, page
from web_admin.routes.entry import NAME, ROLES, name_of

SHOWN_COUNTS = ("overruns", "lost_interrupts", "late_blocks", "slips", "late_samples", "events_lost", "begun_anew")
"""Figures of a card that are worth a look when they are not 0."""
ORDER = {"critical": 0, "major": 1, "minor": 2, "warning": 3}


def in_order(alarms: list[AlarmReport]) -> list[AlarmReport]:
    """Open ones first, the gravest first, then the newest."""
    return sorted(
        alarms, key=lambda one: (one.resolved_utc_ns is not None, ORDER.get(one.severity, 9), -one.raised_utc_ns)
    )


def alarm_text(alarm: AlarmReport, part: str, locale: Locale) -> str:
    """Title or advice in the visitor's language; the daemon's own where the table does not know the code."""
    key = f"alarm.{alarm.code}.{part}"
    return locale.t(key) if locale.has(key) else str(getattr(alarm, part))


def alarm_object(alarm: AlarmReport, locale: Locale) -> str:
    """What it is about: `card dahdi0`, `line 3` and the like in the visitor's language."""
    thing, _, name = alarm.object.partition(" ")
    return f"{locale.word('object', thing)} {name}".rstrip()


async def system(request: Request) -> Response:
    return await _page(request)


async def _page(
    request: Request, status: int = 200, form: object = None, faults: dict[str, str] | None = None
) -> Response:
    box = box_of(request)
    return page(
        request,
        "system.html",
        status,
        alarms=in_order(list(box.hub.alarms.values())),
        alarm_text=alarm_text,
        alarm_object=alarm_object,
        numbered=numbered,
        shown_counts=SHOWN_COUNTS,
        people=box.accounts.people(),
        signed_in={person.name: len(box.store.sessions_of(person.name)) for person in box.accounts.people()},
        waiting=len(spool.waiting(box.spool)),
        form=form or {},
        faults=faults or {},
    )


async def acknowledge(request: Request) -> Response:
    alarm = request.path_params["alarm"]
    await box_of(request).hub.call("alarm.ack", alarm=alarm, actor=visitor_of(request).actor)
    await box_of(request).hub.refresh()
    return done(request, "/system")


async def add_person(request: Request) -> Response:
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    name, password = name_of(form.get("name")), str(form.get("password", ""))
    roles = [role for role in ROLES if form.get(role)]
    faults = {}
    if not NAME.fullmatch(name):
        faults["name"] = "account.name_fault"
    elif any(person.name.casefold() == name.casefold() for person in box.accounts.people()):
        faults["name"] = "people.name_taken"
    if (fault := passwords.fault(password, name)) is not None:
        faults["password"] = fault
    if not roles:
        faults["roles"] = "people.needs_role"
    if faults:
        return await _page(request, 422, form, faults)
    user = {
        "name": name, "password_hash": await passwords.hashed(password), "roles": roles,
        "language": visitor.language, "enabled": True,
    }  # fmt: skip
    await box.hub.call("user.put", user=user, actor=visitor.actor)
    return done(request, "/system#people", Flash("done.person_added", {"name": name}))


async def change_person(request: Request) -> Response:
    """Roles, and whether the account may sign in; what it is signed in with ends when it may not."""
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    name = request.path_params["name"]
    person = box.accounts.person(name)
    if person is None:
        raise PageError(404, "daemon_not_found")
    enabled = form.get("enabled") == "1"
    roles = [role for role in ROLES if form.get(role)]
    others = [one for one in box.accounts.people() if one.name != name and one.enabled and "administrator" in one.roles]
    if not roles:
        raise PageError(422, "needs_role")
    if not others and not (enabled and "administrator" in roles):
        raise PageError(409, "last_administrator")
    user = {"name": name, "roles": roles, "enabled": enabled}
    await box.hub.call("user.put", user=user, actor=visitor.actor)
    if not enabled:
        box.store.end_sessions(name)
    return done(request, "/system#people", Flash("done.person_changed", {"name": name}))


routes = [
    get("/system", Need.ADMINISTRATOR, system),
    post("/system/alarms/{alarm}/acknowledge", Need.ADMINISTRATOR, acknowledge),
    post("/system/people", Need.ADMINISTRATOR, add_person),
    post("/system/people/{name}", Need.ADMINISTRATOR, change_person),
]
