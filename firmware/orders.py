"""What a pump tells the writer, and what the two share.

Orders are put in a queue before the samples that they concern are published, so that a writer which asks how far a
ring has come, and takes the orders after that, knows all there is to know about those samples. Positions are samples
of the card's domain, except in marks and anchors, which are counted from the recording's first sample. A recording
is named by the handle it was opened with, also where a disk error has made it go on in another file.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firmware.ring import Ring
from recorder.model import Anchor, CallClass, Direction, Mark, RecordingEnd, RecordingStart, StopReason


@dataclass(frozen=True, slots=True)
class Missing:
    """Samples of a channel that did not come; the ring holds filler in their place."""

    first_sample: int
    end_sample: int
    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    """A recording begins at `start.first_sample`; `missing` are the gaps already known of that channel."""

    handle: str
    start: RecordingStart
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    handle: str
    sample: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """The hold is over; what lies between it and `sample` is a gap marked `data`."""

    handle: str
    sample: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A gap in a recording."""

    handle: str
    missing: Missing


@dataclass(frozen=True, slots=True)
class Say:
    handle: str
    what: Mark | Anchor


@dataclass(frozen=True, slots=True)
class Close:
    handle: str
    sample: int
    end: RecordingEnd


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the call by now, for the lists. The number is told when it is complete."""

    handle: str
    direction: Direction = Direction.UNKNOWN
    number: str | None = None
    name: str | None = None
    call_class: CallClass = CallClass.NONE
    class_confidence: float = 0.0


Order = Open | Hold | GoOn | Gone | Say | Known | Close
Describe = Callable[[str, StopReason, dict[str, Any]], RecordingEnd]
"""What is known of a recording (by handle) at this moment, as its end for this reason."""


@dataclass(slots=True)
class Feed:
    """One card as the writer sees it: its ring, what its pump has said, and how far the writer has come."""

    ring: Ring
    paced: bool
    describe: Describe
    orders: deque[Order] = field(default_factory=deque)
    drained: int = 0
    """All published samples before this one were written or are not wanted."""


def add_missing(gaps: deque[Missing], gap: Missing) -> None:
    """Appends `gap`, which lies after the others, and makes it one with the last where they touch."""
    if gaps and gaps[-1].reason == gap.reason and gaps[-1].end_sample >= gap.first_sample:
        gap = Missing(gaps.pop().first_sample, gap.end_sample, gap.reason)
    gaps.append(gap)
