"""A line as its card's pump keeps it, and what other threads may see of it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from firmware.analysis import NEVER
from firmware.calls import Calls, Facts
from firmware.config import LineConfig
from firmware.lines import Input, State
from firmware.orders import Missing
from recorder.model import CallClass, Direction, RecordingEnd, RecordingStart, StopReason

NOTHING = (Direction.UNKNOWN, None, None, CallClass.NONE)


@dataclass(frozen=True, slots=True)
class Live:
    """A recording that runs."""

    start: RecordingStart

    @property
    def first_sample(self) -> int:
        return self.start.first_sample


@dataclass(frozen=True, slots=True)
class View:
    """What others may see of a line at any time."""

    state: State = State.IDLE
    since_utc_ns: int = 0
    direction: str = "unknown"
    number: str | None = None
    name: str | None = None
    call_class: str | None = None
    call_start_utc_ns: int | None = None
    live: Live | None = None
    writing: bool = False
    """False while the recording is held as a data call."""


@dataclass(slots=True)
class Line:
    channel: int
    config: LineConfig
    calls: Calls
    state: State = State.IDLE
    since_utc_ns: int = 0
    live: Live | None = None
    last_handle: str | None = None
    told: tuple[Direction, str | None, str | None, CallClass] = NOTHING
    """Of the call, to the lists of recordings."""
    ring_deadline: int = NEVER
    ring_mark: tuple[int, int] | None = None
    tone: tuple[int, str] = (0, "")
    """The busy tone that may end a call without a loop: id and value of its event."""
    tone_deadline: int = NEVER
    waiting: tuple[Input, int, int] | None = None
    """What may have answered the call, where, and until when it waits for a digit (or for the number, NEVER)."""
    class_mark: tuple[int, str, int] = (0, "", 0)
    """Where the class of this event id was decided to be this value."""
    gaps: deque[Missing] = field(default_factory=deque)
    """The latest ones, for a recording that begins before now."""
    view: View = View()
    shown: tuple[object, ...] = ()
    """What `view` was made from."""


def ending(reason: StopReason, detail: dict[str, Any], facts: Facts, first_sample: int) -> RecordingEnd:
    """The end of a recording that began at `first_sample`, with what is known of the call."""
    answered = facts.answered_sample
    return RecordingEnd(
        stop_reason=reason, stop_detail=detail, direction=facts.direction, caller=facts.caller,
        dialled=facts.dialled or None, name=facts.name, call_class=facts.call_class,
        class_confidence=float(facts.class_confidence), class_evidence=facts.class_evidence,
        ring_samples=facts.ring_samples, answered_sample=None if answered is None else max(0, answered - first_sample),
    )  # fmt: skip
