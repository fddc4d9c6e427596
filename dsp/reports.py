"""What leaves numpy: the list of events, and which of them are still open.

A detector has at most one open event a channel and kind. Changing an open event (its end, a corrected value) is
another report with the same id.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from dsp.events import RATE, Event

_SOUNDS: Final = frozenset({"dtmf", "cng", "answer_tone", "calling_tone", "v21", "carrier"})


class Reports:
    """Collects the events of one `feed`."""

    def __init__(self, channels: int = 1) -> None:
        """`channels`: for how many it is known at a glance what sounds there."""
        self._events: list[Event] = []
        self._open: dict[tuple[int, str], Event] = {}
        self._ids = 0
        self.told = np.zeros(channels, np.int8)
        """`[channels]`: how many tones, digits and carriers are open."""
        self.cadences = np.zeros(channels, np.bool_)
        """`[channels]`: a progress tone is open, which may be in a pause."""
        self.any_told, self.any_cadence = 0, 0
        """How many there are on all channels."""

    def _count(self, channel: int, kind: str, more: int) -> None:
        if kind in _SOUNDS:
            self.told[channel] += more
            self.any_told += more
        elif kind == "progress":
            self.cadences[channel] = more > 0
            self.any_cadence += more

    def take(self) -> list[Event]:
        """The events since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    def __len__(self) -> int:
        return len(self._events)

    def since(self, position: int) -> list[Event]:
        """The events that came after there were `position` of them."""
        return self._events[position:]

    def begin(
        self,
        channel: int,
        kind: str,
        start_sample: float,
        value: str,
        confidence: float = 1.0,
        evidence: Mapping[str, object] | None = None,
    ) -> Event:
        """Report something that goes on. An event of that kind that is still open on the channel ends here."""
        where = (channel, kind)
        if where in self._open:
            self.end(channel, kind, start_sample)
        self._ids += 1
        # Plain numbers: numpy's take ten times as long to round.
        start_s, sure = max(0, round(float(start_sample))) / RATE, round(float(confidence), 2)
        event = Event(self._ids, channel, kind, start_s, None, value, sure, evidence or {})
        self._open[where] = event
        self._events.append(event)
        self._count(channel, kind, 1)
        return event

    def change(self, channel: int, kind: str, value: str, confidence: float, evidence: Mapping[str, object]) -> None:
        """Correct the open event of that kind."""
        old = self._open[channel, kind]
        event = Event(old.id, channel, kind, old.start_s, None, value, round(float(confidence), 2), evidence)
        self._open[channel, kind] = event
        self._events.append(event)

    def end(self, channel: int, kind: str, end_sample: float) -> None:
        """The open event of that kind is over; without one this does nothing."""
        old = self._open.pop((channel, kind), None)
        if old is not None:
            self._count(channel, kind, -1)
            end_s = max(old.start_s, round(float(end_sample)) / RATE)
            self._events.append(
                Event(old.id, channel, kind, old.start_s, end_s, old.value, old.confidence, old.evidence)
            )

    def forget(self, channel: int, kind: str) -> None:
        """Drop the open event of that kind without a word."""
        if self._open.pop((channel, kind), None) is not None:
            self._count(channel, kind, -1)

    def open(self, channel: int, kind: str) -> Event | None:
        """The open event of that kind."""
        return self._open.get((channel, kind))

    def end_all(self, end_sample: int) -> None:
        """No more samples will come."""
        for channel, kind in sorted(self._open):
            self.end(channel, kind, end_sample)
