"""A card's samples against the clock: how many of them never came.

A card counts its own samples; CLOCK_MONOTONIC_RAW counts time, and is not pushed about by time servers. A block never
arrives early, so the earliest arrivals of the last seconds tell where the two stand to each other, and a minute of them
at what rate the card really runs (a crystal is off by up to some 50 millionths). A block that is much later than that
was delayed, if the next ones catch up, or samples are missing before it, if they do not.

Weak point: a gap is known as well as a fresh block's arrival is. On the emulated machine of the tests one of 10,720
samples was told as 10,752, 4 ms too long.
"""

from collections import deque
from typing import Final

RATE: Final = 8000
SAMPLE_NS: Final = 1_000_000_000 // RATE
_WINDOW_NS: Final = 5_000_000_000
_WINDOWS: Final = 13
"""A minute and the window that is running."""
_LONGEST_DRIFT: Final = 2e-4


class CardTime:
    """`missing` asks, `arrived` tells. All times are of one clock, in ns."""

    def __init__(self) -> None:
        self._earliest: deque[tuple[int, int]] = deque(maxlen=_WINDOWS)
        """Of each window when it began, and the least of arrival less sample time."""

    def arrived(self, end_sample: int, ns: int) -> None:
        """A block that ends before `end_sample` was there at `ns`, and nothing was queued before it."""
        offset = ns - end_sample * SAMPLE_NS
        if not self._earliest or ns - self._earliest[-1][0] >= _WINDOW_NS:
            self._earliest.append((ns, offset))
        else:
            began, least = self._earliest[-1]
            self._earliest[-1] = began, min(least, offset)

    def missing(self, end_sample: int, ns: int) -> int:
        """Samples by which a block that arrives now stands behind the clock; 0 while nothing is known."""
        if not self._earliest:
            return 0
        # The newest two windows, each carried on to now at the card's rate.
        drift = self.drift
        expected = min(least + drift * (ns - began) for began, least in list(self._earliest)[-2:])
        return max(0, round((ns - end_sample * SAMPLE_NS - expected) / SAMPLE_NS))

    @property
    def drift(self) -> float:
        """By which share the card runs slow against the clock (negative: fast); 0 before half a minute is known."""
        if len(self._earliest) < _WINDOWS // 2:
            return 0.0
        (first_ns, first), (last_ns, last) = self._earliest[0], self._earliest[-2]
        drift = (last - first) / (last_ns - first_ns)
        return max(-_LONGEST_DRIFT, min(_LONGEST_DRIFT, drift))

    def forget(self) -> None:
        """The card was started anew."""
        self._earliest.clear()
