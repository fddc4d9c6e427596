"""The acceptance test of a box's lines: what happened on each, and what it proves.

Whoever puts a box in goes from telephone to telephone and makes calls; the box says meanwhile what its lines do
(snapshots), which recordings begin and are sealed. `LineTest` collects that for one line, `CHECKS` is the list of what
is to be shown, and each check is a function from what was collected to a `Result`. Nothing here asks a clock, a socket
or a file.

What can be measured is judged by measurement; a person is asked only what no machine knows: were these the digits that
were dialled, did you hear yourself. A third outcome stands beside *passed* and *failed*: *not done*, with the reason,
and a required check that was not done leaves the line *incomplete*. Of several calls the last one that has a bearing
on a check counts, and how often it failed before stands beside it. A caller's number proves itself: its message
carries a check sum, and is reported only when that fits.

Weak: how long the recording is, is compared with the time between two reports, so it is right within seconds alone; a
line that always records has no recording that ends with a call, and stays incomplete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final, Literal, NamedTuple

from firmware.lines import OFF_HOOK, State
from firmware.sheet.sealed import Verdict

Outcome = Literal["passed", "failed", "not_done"]
Value = str | int | float | bool | None

RATE = 8000
NS_OF_A_SAMPLE = 125_000
MARGIN_VOLTS = 3.0
"""A loop voltage nearer to a threshold than this is taken for the wrong state one day."""
LATEST_MS = 2000.0
"""From lifting the telephone to the report that its recording runs."""
LEVEL_DBM0 = (-35.0, -3.0)
"""Speech on a line: the least that the detectors are meant for, and what is near overload (+3.14 dBm0 is the end)."""
NOISE_DBM0 = -45.0
"""More than this in the pauses is heard by whoever plays the call."""
DURATION_S = 3.0
KEPT = 100
"""Readings of the voltage, the last ones."""
RECORDINGS = 3
"""So many stand on the sheet: one dialled, one answered, one more."""
SHOWN_DIGITS = 4
"""Of a number, on the sheet: enough to recognise it by."""
GOOD_ENDS: Final = ("on_hook", "silence", "busy_tone", "key")
USELESS: Final = (State.CUT, State.UNUSABLE, State.DISABLED)


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    reason: str
    """A word of the sheet's tables, `reason` there."""
    values: Mapping[str, Value] = field(default_factory=dict)
    failed_before: int = 0
    """Calls that failed this check before the one that counts."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line is, by its configuration."""

    number: int
    name: str
    card: str
    simulated: bool
    role: str
    kind: str
    armed: str
    off_hook_volts: float
    cut_volts: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording that was sealed, read back from its file."""

    handle: str
    finding: str
    """Of `recorder.verify`; `whole` is good."""
    samples: int
    first_utc_ns: int
    pre_roll_samples: int
    gaps: int
    gap_samples: int
    direction: str
    dialled: str
    caller: str
    stop_reason: str
    discarded: bool
    volts: float | None
    """That started it."""
    threshold_volts: float | None
    """In force when it did."""
    level_dbm0: float | None
    """Of the talk; None where there was none."""
    noise_dbm0: float | None
    audio_sha256: str


@dataclass(frozen=True, slots=True)
class Call:
    """One seizure of the line, as it was seen; times are the observer's."""

    handle: str | None = None
    begun_ns: int = 0
    """When its recording was reported."""
    volts: tuple[float, ...] = ()
    heard: Heard | None = None
    sealed_ns: int = 0

    @property
    def off_hook_volts(self) -> float | None:
        if self.volts:
            return round(median(self.volts), 1)
        return None if self.heard is None else self.heard.volts


@dataclass(frozen=True, slots=True)
class LineTest:
    """What has been seen of one line so far."""

    line: Line
    digits: str = ""
    """What is going to be dialled; empty: a person says whether what was heard is right."""
    state: str = ""
    idle_volts: tuple[float, ...] = ()
    call: Call | None = None
    last: Call | None = None
    """The last one of which a recording was read back."""
    recordings: tuple[Heard, ...] = ()
    """Of the last calls."""
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def on_hook_volts(self) -> float | None:
        return round(median(self.idle_volts), 1) if self.idle_volts else None

    @property
    def verdict(self) -> Verdict:
        return verdict(self.results)


# What happens ---------------------------------------------------------------------------------------------------------


def seen(test: LineTest, snapshot: Mapping[str, Any]) -> LineTest:
    """A snapshot of the line (docs/control.md). The first may show it in the middle of a call: that one is not ours."""
    state, volts, known = snapshot["state"], snapshot["volts"], test.state
    test = replace(test, state=state)
    if state == State.IDLE and volts is not None:
        test = replace(test, idle_volts=(*test.idle_volts, volts)[-KEPT:])
    if state in OFF_HOOK and known:
        call = test.call or (Call() if known not in OFF_HOOK else None)
        if call is not None and volts is not None:
            call = replace(call, volts=(*call.volts, volts)[-KEPT:])
        test = replace(test, call=call)
    elif state not in OFF_HOOK and test.call is not None and test.call.handle is None:
        test = merged(replace(test, call=None), {"lifted": _unrecorded(test.line)})
    return merged(test, {"connected": _connected(test)})


def begun(test: LineTest, handle: str, now_ns: int) -> LineTest:
    """A recording of the line was reported to have begun."""
    return replace(test, call=replace(test.call or Call(), handle=handle, begun_ns=now_ns, heard=None))


def closed(test: LineTest, heard: Heard, now_ns: int) -> LineTest:
    """A recording of the line was sealed and read back. One whose beginning was not seen says nothing."""
    if test.call is None or test.call.handle != heard.handle:
        return test
    call = replace(test.call, heard=heard, sealed_ns=now_ns)
    results = {name: check.judge(test, call, heard) for name, check in CHECKS.items() if check.judge is not None}
    recordings = (*test.recordings, heard)[-RECORDINGS:]
    return merged(replace(test, call=None, last=call, recordings=recordings), results)


def answered(test: LineTest, check: str, yes: bool) -> LineTest:
    """A person has said whether the digits heard were dialled, or whether the recording can be understood."""
    heard = test.last.heard if test.last is not None else None
    values = digits_of(heard) if check == "digits" and heard is not None else {}
    return merged(test, {check: Result("passed" if yes else "failed", "said" if yes else "denied", values)})


def merged(test: LineTest, fresh: Mapping[str, Result]) -> LineTest:
    """What was judged now stands above what was before; what was not done leaves it as it is."""
    results = dict(test.results)
    for name, result in fresh.items():
        before = results.get(name, NOT_TRIED)
        if result.outcome == "not_done" and before.outcome != "not_done":
            continue
        # The state of a line is looked at all the time: only calls are counted.
        again = before.outcome == "failed" and name != "connected"
        results[name] = replace(result, failed_before=before.failed_before + again)
    return replace(test, results=results)


# What it proves -------------------------------------------------------------------------------------------------------

NOT_TRIED = Result("not_done", "not_tried")


def _connected(test: LineTest) -> Result:
    """On-hook the loop carries a voltage that cannot be taken for another state."""
    line, volts = test.line, test.on_hook_volts
    if test.state in USELESS:
        return Result("failed", test.state)
    if line.off_hook_volts <= 0 or (volts is None and test.state == State.IDLE):
        return Result("passed", "no_volts") if test.state == State.IDLE else NOT_TRIED
    if volts is None:
        return Result("not_done", "in_use")
    values: dict[str, Value] = {"volts": volts, "threshold_volts": line.off_hook_volts}
    if volts < line.off_hook_volts + MARGIN_VOLTS:
        return Result("failed", "volts_near", values)
    return Result("passed", "on_hook", values)


def _unrecorded(line: Line) -> Result:
    return Result("not_done", "armed_key") if line.armed == "key" else Result("failed", "not_recorded")


def _lifted(test: LineTest, call: Call, heard: Heard) -> Result:
    """The recording begins with the call, and the voltage off-hook cannot be taken for another state."""
    line, volts = test.line, call.off_hook_volts
    begun_ns = heard.first_utc_ns + heard.pre_roll_samples * NS_OF_A_SAMPLE
    late_ms = round(max(0.0, (call.begun_ns - begun_ns) / 1e6), 1)
    values: dict[str, Value] = {"latency_ms": late_ms}
    if volts is not None and line.off_hook_volts > 0:
        values |= {"volts": volts, "threshold_volts": line.off_hook_volts, "cut_volts": line.cut_volts}
        if volts > line.off_hook_volts - MARGIN_VOLTS:
            return Result("failed", "volts_near", values)
        if volts < line.cut_volts + 1:
            return Result("failed", "volts_cut", values)
    if late_ms > LATEST_MS:
        return Result("failed", "late", values)
    return Result("passed", "recorded", values)


def _digits(test: LineTest, call: Call, heard: Heard) -> Result:
    if heard.direction == "in":
        return NOT_TRIED
    if not heard.dialled:
        return Result("not_done", "no_digits")
    values = digits_of(heard)
    if not test.digits:
        return Result("not_done", "unconfirmed", values)
    if heard.dialled == test.digits:
        return Result("passed", "digits_agree", values)
    return Result("failed", "digits_differ", {**values, "expected": shown(test.digits)})


def _sound(test: LineTest, call: Call, heard: Heard) -> Result:
    """A test sentence: loud enough, not too loud, and quiet in its pauses."""
    values: dict[str, Value] = {"level_dbm0": heard.level_dbm0, "noise_dbm0": heard.noise_dbm0}
    if heard.level_dbm0 is None or heard.noise_dbm0 is None:
        return Result("not_done", "no_talk")
    if heard.level_dbm0 < LEVEL_DBM0[0]:
        return Result("failed", "too_quiet", values)
    if heard.level_dbm0 > LEVEL_DBM0[1]:
        return Result("failed", "too_loud", values)
    if heard.noise_dbm0 > NOISE_DBM0:
        return Result("failed", "noisy", values)
    return Result("passed", "in_range", values)


def _sealed(test: LineTest, call: Call, heard: Heard) -> Result:
    """The recording is closed, whole, without gaps, as long as the call was."""
    lasted_s = (call.sealed_ns - call.begun_ns) / 1e9
    duration_s = heard.samples / RATE
    values: dict[str, Value] = {
        "duration_s": round(duration_s, 2),
        "gaps": heard.gaps,
        "stop_reason": heard.stop_reason,
    }
    if heard.discarded:
        return Result("failed", "discarded", values)
    if heard.finding != "whole":
        return Result("failed", "not_whole", {**values, "finding": heard.finding})
    if heard.gaps:
        return Result("failed", "gaps", {**values, "gap_ms": heard.gap_samples * 1000 // RATE})
    if heard.stop_reason not in GOOD_ENDS:
        return Result("failed", "bad_end", values)
    if abs(duration_s - heard.pre_roll_samples / RATE - lasted_s) > DURATION_S:
        return Result("failed", "duration", {**values, "lasted_s": round(lasted_s, 1)})
    return Result("passed", "whole", values)


def _caller(test: LineTest, call: Call, heard: Heard) -> Result:
    if heard.direction != "in":
        return NOT_TRIED
    if not heard.caller:
        return Result("not_done", "no_number")
    return Result("passed", "number_shown", {"number": shown(heard.caller)})


class Check(NamedTuple):
    required: bool
    """Without it a line is not accepted."""
    judge: Callable[[LineTest, Call, Heard], Result] | None = None
    """By a call; the others are judged by the line's state, or by a person."""


CHECKS: Final[Mapping[str, Check]] = {
    "connected": Check(True),
    "lifted": Check(True, _lifted),
    "digits": Check(True, _digits),
    "sound": Check(True, _sound),
    "sealed": Check(True, _sealed),
    "caller": Check(False, _caller),
    "playback": Check(False),
}


def digits_of(heard: Heard) -> dict[str, Value]:
    return {"digits": shown(heard.dialled), "count": len(heard.dialled)}


def shown(number: str) -> str:
    """A number as it stands on paper: its last digits, and how many there were before them."""
    hidden = max(0, len(number) - SHOWN_DIGITS)
    return "•" * hidden + number[hidden:]


def verdict(results: Mapping[str, Result]) -> Verdict:
    outcomes = {name: results.get(name, NOT_TRIED).outcome for name in CHECKS}
    if "failed" in outcomes.values():
        return "not_accepted"
    missing = any(check.required and outcomes[name] == "not_done" for name, check in CHECKS.items())
    return "incomplete" if missing else "accepted"


def complete(test: LineTest) -> bool:
    """Has everything that needs no person been shown?"""
    return all(
        test.results.get(name, NOT_TRIED).outcome == "passed" for name, check in CHECKS.items() if name != "playback"
    )
