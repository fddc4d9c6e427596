"""What a detector reports.

An event is emitted as soon as it is certain, with `end_s=None` where its end is not yet known; the end follows as
another report with the same `id`. One that ends where it began is withdrawn: it has turned out to be something else.
Positions are counted in samples of the channel since the first one fed, and are
given in seconds of 8000 samples. `value` is a plain string; what led to the verdict stands in `evidence`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

RATE = 8000
"""Samples a second of every telephone channel (ITU-T G.711, clause 2)."""

KINDS = (
    "dtmf", "cng", "answer_tone", "calling_tone", "v21", "carrier", "progress", "cid", "speech", "class",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    channel: int
    kind: str
    start_s: float
    end_s: float | None
    value: str
    confidence: float = 1.0
    evidence: Mapping[str, object] = field(default_factory=dict)

    @property
    def start_sample(self) -> int:
        return round(self.start_s * RATE)

    @property
    def end_sample(self) -> int | None:
        return None if self.end_s is None else round(self.end_s * RATE)
