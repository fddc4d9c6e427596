"""The box: how it is, and what it wants of somebody (alarms)."""

from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import AlarmReport, numbered
from recorder import spool
from web_admin.box import box_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.i18n import Locale
from web_admin.render import done, page

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
    box = box_of(request)
    return page(
        request,
        "system.html",
        alarms=in_order(list(box.hub.alarms.values())),
        alarm_text=alarm_text,
        alarm_object=alarm_object,
        numbered=numbered,
        shown_counts=SHOWN_COUNTS,
        waiting=len(spool.waiting(box.spool)),
    )


async def acknowledge(request: Request) -> Response:
    alarm = request.path_params["alarm"]
    await box_of(request).hub.call("alarm.ack", alarm=alarm, actor=visitor_of(request).actor)
    await box_of(request).hub.refresh()
    return done(request, "/system")


routes = [
    get("/system", Need.ADMINISTRATOR, system),
    post("/system/alarms/{alarm}/acknowledge", Need.ADMINISTRATOR, acknowledge),
    *leads("/system", Need.ADMINISTRATOR, "/system/alarms/{alarm}/acknowledge"),
]
