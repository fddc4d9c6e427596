"""A recording in the writer's hands: what there is of it, and how it goes on in another file."""

from collections import deque
from dataclasses import dataclass, field

from msgspec.structs import replace

from firmware.orders import Close, Feed, Known, Missing
from firmware.ring import RATE
from recorder.model import Anchor, Mark, RecordingStart, Trigger
from recorder.wav import OpenRecording

SAMPLE_NS = 1_000_000_000 // RATE


@dataclass(slots=True)
class Take:
    """A recording in the writer's hands."""

    feed: Feed
    start: RecordingStart
    first_sample: int
    """The recording's; its second file, if there is one, starts later."""
    next: int
    """The next sample to be written."""
    missing: deque[Missing]
    file: OpenRecording | None = None
    hold: int | None = None
    close: Close | None = None
    unsaid: list[Mark | Anchor] = field(default_factory=list)
    """For a file that is not there yet."""
    known: Known | None = None
    known_to_ledger: Known | None = None
    """Of the file that is being written."""
    made: bool = False
    """There was a file before the one that is to be made."""
    attempts: int = 0
    """How often the disk has refused since something was durable."""
    wait_rounds: int = 0
    """Rounds to let pass before the next attempt: 0, 1, 3, 7 ... 31, so that a bad disk is not strewn with files."""
    fresh: bool = False
    """Something was handed over in this round."""

    def utc_ns(self, sample: int) -> int:
        return self.start.utc_ns + (sample - self.start.first_sample) * SAMPLE_NS


def next_gap(take: Take) -> Missing | None:
    while take.missing and take.missing[0].end_sample <= take.next:
        take.missing.popleft()
    return take.missing[0] if take.missing else None


def say(file: OpenRecording, what: Mark | Anchor, moved: int) -> None:
    """Enters what was heard; `moved` is how much later this file starts than the recording."""
    if isinstance(what, Anchor):
        file.anchor(replace(what, sample=what.sample - moved))
    elif moved == 0:
        file.mark(what)
    else:
        end = None if what.end_sample is None else max(0, what.end_sample - moved)
        file.mark(replace(what, start_sample=max(0, what.start_sample - moved), end_sample=end))


def going_on(take: Take, first: int, handle: str) -> RecordingStart:
    """The start of the file that goes on from `first`. It is the first one where none could be made until now."""
    start, utc_ns = take.start, take.utc_ns(first)
    if not take.made and first == start.first_sample:
        return start
    anchor = replace(
        start.anchor, sample=0, utc_ns=utc_ns,
        boottime_ns=start.anchor.boottime_ns + (first - start.first_sample - start.anchor.sample) * SAMPLE_NS,
    )  # fmt: skip
    start = replace(start, handle=handle, first_sample=first, pre_roll_samples=0, utc_ns=utc_ns, anchor=anchor)
    if not take.made:
        return start
    return replace(start, trigger=Trigger.RESUMED, trigger_detail={"after": "disk"}, continues=take.start.handle)
