"""The threshold wizard: one step a screen, then what is proposed, then it is written.

The daemon measures, refuses and proposes; this page keeps, for each visitor and line, what was measured so far. Without
script a step is a form that answers after its seconds; the script adds what moves: level, volts, and how long it takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import LineSnapshot, Measurement, Proposal, Verdict
from web_admin.box import Flash, Learning, box_of, form_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.i18n import Locale
from web_admin.render import PageError, done, page
from web_admin.routes.lines import line_of

SECONDS = 5.0
HIGHEST_VOLTS = 60.0
LOWEST_DBM0 = -70.0
LEFT_EDGE, RIGHT_EDGE = 22.0, 84.0
"""Of a picture 100 wide: what stands nearer to its edge is written inwards."""
ORDER = ("on_hook", "off_hook", "silence", "talk")
KEPT = 50
"""Wizards that are not finished, of all visitors; the oldest goes."""


async def wizard(request: Request) -> Response:
    """The first step that is not done, the one that is to be done again, or what is proposed."""
    line, learning = _line(request), _learning(request)
    begun = await box_of(request).hub.call("learn.begin", line=line.line)
    steps = open_steps(begun["steps"], learning.measured)
    step = request.query_params.get("step")
    if step not in steps:
        step = next((each for each in steps if each not in learning.measured), None)
    values: dict[str, Any] = {
        "line": line, "volts_now": begun["volts"], "steps": steps, "measured": learning.measured, "step": step,
        "seconds": SECONDS, "refused": None, "proposal": None, "verdict": verdict_words,
    }  # fmt: skip
    if step is None:
        proposal = await _proposal(request, line.line, learning)
        values |= {"proposal": proposal, "scales": scales(learning.measured, proposal)}
    elif learning.refused is not None and learning.refused[0] == step:
        values["refused"], learning.refused = learning.refused[1], None
    return page(request, "learn.html", **values)


async def measure(request: Request) -> Response:
    """One step; answers when it was measured."""
    line, step, learning = _line(request).line, str(request.path_params["step"]), _learning(request)
    if step not in ORDER:
        raise PageError(404, "not_found")
    # What follows a step that is done again was measured against the old one, and goes.
    before = {each: learning.measured[each] for each in ORDER[: ORDER.index(step)] if each in learning.measured}
    found, refused = await box_of(request).hub.measure(line, step, SECONDS, list(before.values()))
    if refused is None:
        learning.measured, learning.refused = {**before, step: found}, None
        return done(request, f"/lines/{line}/learn")
    learning.refused = step, refused
    return done(request, f"/lines/{line}/learn?step={step}")


async def again(request: Request) -> Response:
    """From the beginning."""
    line = _line(request).line
    box_of(request).learning.pop((visitor_of(request).token, line), None)
    return done(request, f"/lines/{line}/learn")


async def apply(request: Request) -> Response:
    """Writes those of the proposed values that are ticked."""
    box, visitor, line = box_of(request), visitor_of(request), _line(request).line
    proposal = await _proposal(request, line, _learning(request))
    values = {each.key: each.value for each in proposal.proposed if form_of(request).get(each.key) == "1"}
    if not values:
        return done(request, f"/lines/{line}/learn", Flash("learn.none_ticked", good=False))
    applied = await box.hub.call("learn.apply", line=line, actor=visitor.actor, **values)
    box.learning.pop((visitor.token, line), None)
    if applied["live"]:
        return done(request, "/lines", Flash("learn.written", {"n": line}))
    return done(request, "/lines", Flash("learn.written_later", {"n": line}, good=False))


def open_steps(now: Sequence[str], measured: Mapping[str, Measurement]) -> list[str]:
    """What is to be done: as the line is now, or, once it was measured at rest, as it was then. A voltage that is gone
    meanwhile is said by the step that misses it; without that step nothing could be proposed, nor said why."""
    rest = measured.get("on_hook")
    return list(now if rest is None or rest.volts is None else ORDER)


def verdict_words(locale: Locale, verdict: Verdict) -> tuple[str, str]:
    """What was found, and what to do."""
    words = {name: value.replace("-", "−") for name, value in verdict.values.items()}
    if "trigger" in words:
        words["trigger"] = locale.word("armed", words["trigger"])
    return tuple(locale.t(f"verdict.{verdict.code}.{part}", **words) for part in ("found", "remedy"))  # type: ignore[return-value]


# The pictures ---------------------------------------------------------------------------------------------------------


def scales(measured: Mapping[str, Measurement], proposal: Proposal) -> list[dict[str, Any]]:
    """Scales of volts and of levels: what was measured and what is proposed, each with its place from 0 to 100."""
    proposed = {each.key: float(each.value) for each in proposal.proposed if not isinstance(each.value, str)}
    rest, lifted, talk = measured["on_hook"].volts, measured.get("off_hook"), measured["talk"].speech_dbm0
    found = []
    if rest is not None and lifted is not None and lifted.volts is not None and "off_hook_volts" in proposed:
        is_now = {"off_hook": abs(lifted.volts.mean), "on_hook": abs(rest.mean)}
        shall = {key: proposed[key] for key in ("cut_volts", "off_hook_volts")}
        found.append(_scale("volts", 0.0, max(HIGHEST_VOLTS, 1.1 * abs(rest.mean)), "V", is_now, shall))
    if "vox_level_dbm0" in proposed and talk is not None:
        is_now = {"noise": max(measured[step].loud_dbm0 for step in ("on_hook", "silence")), "talk": talk}
        shall = {"vox_level_dbm0": proposed["vox_level_dbm0"]}
        found.append(_scale("level", LOWEST_DBM0, 0.0, "dBm0", is_now, shall))
    return found


def _scale(
    name: str, low: float, high: float, unit: str, is_now: dict[str, float], shall: dict[str, float]
) -> dict[str, Any]:
    def mark(key: str, value: float, anchor: str) -> dict[str, Any]:
        place = 100 * min(max((value - low) / (high - low), 0.0), 1.0)
        side = "start" if place < LEFT_EDGE else "end" if place > RIGHT_EDGE else anchor
        return {"key": key, "value": value, "place": round(place, 2), "anchor": side}

    # Two marks that stand close together are written away from each other.
    measured = [mark(key, value, anchor) for (key, value), anchor in zip(is_now.items(), ("end", "start"), strict=True)]
    proposed = [mark(key, value, "middle") for key, value in shall.items()]
    return {"name": name, "low": low, "high": high, "unit": unit, "measured": measured, "proposed": proposed}


# What was measured so far ---------------------------------------------------------------------------------------------


def _line(request: Request) -> LineSnapshot:
    line = box_of(request).hub.lines.get(line_of(request))
    if line is None:
        raise PageError(404, "not_found")
    return line


def _learning(request: Request) -> Learning:
    kept, key = box_of(request).learning, (visitor_of(request).token, line_of(request))
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
    return kept.setdefault(key, Learning())


async def _proposal(request: Request, line: int, learning: Learning) -> Proposal:
    measurements = list(learning.measured.values())
    answer = await box_of(request).hub.call("learn.propose", line=line, measurements=measurements)
    return msgspec.convert(answer["proposal"], Proposal)


routes = [
    get("/lines/{line}/learn", Need.ADMINISTRATOR, wizard),
    post("/lines/{line}/learn/again", Need.ADMINISTRATOR, again),
    post("/lines/{line}/learn/apply", Need.ADMINISTRATOR, apply),
    post("/lines/{line}/learn/measure/{step}", Need.ADMINISTRATOR, measure),
    *leads(
        "/lines/{line}/learn",
        Need.ADMINISTRATOR,
        "/lines/{line}/learn/again",
        "/lines/{line}/learn/apply",
        "/lines/{line}/learn/measure/{step}",
    ),
]
