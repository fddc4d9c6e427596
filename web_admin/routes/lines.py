"""The wall: one tile a line, kept alive by one event stream a browser.

The stream (`/events`) sends four things: `html`, elements that replace those of the same id; `levels`, what the meters
show; `volts` of the lines; `finished`, how many recordings were sealed since. It looks at the hub's state when that
changes and sends what this browser has not seen, at most four times a second.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from dsp import g711
from firmware.wire import LineSnapshot, WireError
from web_admin.box import Visitor, box_of, form_of, visitor_of
from web_admin.guard import Need, get, may, post
from web_admin.query import MOST_LINE, natural
from web_admin.render import PageError, context, fragment, page

log = logging.getLogger("linekeep.web")
TICK_S = 0.25
KEEP_ALIVE_S = 15.0
STEP_DB = 1.5
"""A meter is told of changes from this size on,"""
STEP_VOLTS = 0.75
"""and a line's voltage, which is shown in whole volts."""
EVERYWHERE = ("box_state.html", "safe_mode.html")
"""What every page of somebody who is signed in has at its top."""


def summary(lines: dict[int, LineSnapshot]) -> dict[str, int]:
    """Counts for the head of the wall."""
    states = Counter(line.state for line in lines.values())
    return {
        "total": len(lines),
        "recording": sum(line.recording is not None for line in lines.values()),
        "trouble": states["cut"] + states["unusable"],
    }


def shown_number(line: LineSnapshot, visitor: Visitor) -> str | None:
    """The other party's number; whoever may not hear recordings does not learn who called whom either."""
    return line.number if visitor.is_auditor else None


def line_of(request: Request) -> int:
    line = natural(request.path_params["line"], MOST_LINE)
    if line is None:
        raise PageError(404, "not_found")
    return line


async def wall(request: Request) -> Response:
    lines = box_of(request).hub.lines
    return page(
        request,
        "lines.html",
        lines=[lines[n] for n in sorted(lines)],
        summary=summary(lines),
        shown_number=shown_number,
    )


async def key(request: Request) -> Response:
    """Start or stop the recording of a line by key."""
    visitor, line = visitor_of(request), line_of(request)
    on = form_of(request).get("on") == "1"
    await box_of(request).hub.call("key", line=line, on=on, actor=visitor.actor)
    return Response(status_code=204) if "hx-request" in request.headers else RedirectResponse("/lines", 303)


# Live listening -------------------------------------------------------------------------------------------------------


async def listen(request: Request) -> Response:
    """A line's audio as it comes: 16-bit little-endian samples, 8000 a second, without end."""
    box, line = box_of(request), line_of(request)
    if not box.hub.up or line not in box.hub.lines:
        raise PageError(404, "not_found")
    await box.access(visitor_of(request), "listen", box.hub.lines[line].recording, line=line, live=True)
    return StreamingResponse(_audio(request, line), media_type="application/octet-stream")


async def _audio(request: Request, line: int) -> AsyncIterator[bytes]:
    box = box_of(request)
    try:
        async for event in box.hub.listen(line):
            if box.hub.closing or event["event"] != "audio":
                return
            if not may(Need.AUDITOR, box.visitor(request, visitor_of(request).token)):
                return
            decode = g711.alaw_decode if event["law"] == "alaw" else g711.ulaw_decode
            yield decode(np.frombuffer(event["data"], np.uint8)).astype("<i2").tobytes()
    except WireError as error:
        # The answer has begun: its end is all that can be said to the browser.
        log.warning("Listening to line %d ended: %s", line, error)


# The event stream -----------------------------------------------------------------------------------------------------


def message(event: str, data: str) -> str:
    """One server-sent event (HTML Living Standard, 9.2)."""
    return f"event: {event}\n" + "".join(f"data: {line}\n" for line in data.splitlines()) + "\n"


class Seen:
    """What one browser has been sent."""

    def __init__(self, request: Request, view: str) -> None:
        self._request = request
        self._count = natural(request.query_params.get("tiles", ""), MOST_LINE) or 0
        self._wall, self._live = view == "wall", view in ("wall", "learn")
        self._tiles: dict[int, tuple[Any, ...]] = {}
        self._levels: dict[int, float] = {}
        self._volts: dict[int, float] = {}
        self._everywhere: dict[str, str] = {}
        self._summary = ""
        self._finished = box_of(request).hub.finished

    def news(self) -> str:
        """The events that bring this browser up to date; empty when it is."""
        hub = box_of(self._request).hub
        values = context(self._request)
        events = [self._elements(values), self._meters(hub.lines) + self._voltages(hub.lines) if self._live else ""]
        if hub.finished != self._finished and visitor_of(self._request).is_auditor:
            events.append(message("finished", str(hub.finished - self._finished)))
            self._finished = hub.finished
        return "".join(events)

    def _elements(self, values: dict[str, Any]) -> str:
        lines: dict[int, LineSnapshot] = values["hub"].lines
        parts = []
        for name in EVERYWHERE:
            part = fragment(name, values)
            if part != self._everywhere.get(name):
                self._everywhere[name] = part
                parts.append(part)
        if self._wall:
            if len(lines) != self._count:
                # The daemon came or went: another wall altogether.
                self._count = len(lines)
                return message("html", '<div id="reload-wall"></div>')
            parts += self._changed_tiles(values, lines)
        return message("html", "".join(parts)) if parts else ""

    def _changed_tiles(self, values: dict[str, Any], lines: dict[int, LineSnapshot]) -> list[str]:
        parts = []
        counts = fragment("wall_summary.html", {**values, "summary": summary(lines)})
        if lines and counts != self._summary:
            self._summary = counts
            parts.append(counts)
        for number, line in lines.items():
            face = _face(line, values["visitor"])
            if self._tiles.get(number) != face:
                self._tiles[number] = face
                parts.append(fragment("tile.html", {**values, "line": line, "shown_number": shown_number}))
        for number in set(self._tiles) - set(lines):
            del self._tiles[number]
        return parts

    def _meters(self, lines: dict[int, LineSnapshot]) -> str:
        moved = {
            number: round(line.level_dbm0, 1)
            for number, line in lines.items()
            if abs(line.level_dbm0 - self._levels.get(number, -90.0)) >= STEP_DB
        }
        self._levels |= moved
        return message("levels", msgspec.json.encode(moved).decode()) if moved else ""

    def _voltages(self, lines: dict[int, LineSnapshot]) -> str:
        moved = {
            number: line.volts
            for number, line in lines.items()
            if line.volts is not None and not abs(line.volts - self._volts.get(number, np.inf)) < STEP_VOLTS
        }
        self._volts |= moved
        shown = {number: round(volts) for number, volts in moved.items()}
        return message("volts", msgspec.json.encode(shown).decode()) if shown else ""


def _face(line: LineSnapshot, visitor: Visitor) -> tuple[Any, ...]:
    """What a tile shows, apart from the meter and the running time, which the browser keeps."""
    return (
        visitor.is_auditor, visitor.language,
        line.name, line.simulated, line.state, line.direction, line.number, line.name_shown, line.recording,
        line.trigger, line.call_class, line.call_start_utc_ns, line.armed, line.enabled, line.listeners,
        line.kind, line.role,
    )  # fmt: skip


async def events(request: Request) -> Response:
    return StreamingResponse(_events(request), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(request: Request) -> AsyncIterator[str]:
    box, visitor = box_of(request), visitor_of(request)
    seen = Seen(request, request.query_params.get("view", ""))
    yield "retry: 2000\n\n"
    quiet_s = 0.0
    while not box.hub.closing:
        # The account may have been disabled or signed out meanwhile; an open wall counts as use.
        request.state.visitor = box.visitor(request, visitor.token)
        if request.state.visitor.person is None:
            yield message("signed_out", "1")
            return
        news = seen.news()
        if news or quiet_s >= KEEP_ALIVE_S:
            yield news or ": still here\n\n"
            quiet_s = 0.0
        await asyncio.sleep(TICK_S)
        await box.hub.wait(1.0)
        quiet_s += 1.0 + TICK_S


routes = [
    get("/lines", Need.SIGNED_IN, wall),
    post("/lines/{line}/key", Need.SIGNED_IN, key),
    get("/lines/{line}/listen", Need.AUDITOR, listen),
    get("/events", Need.SIGNED_IN, events),
]
