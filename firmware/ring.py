"""The last seconds of every channel of a card, as the bytes came off the line.

The pump writes whole blocks; the writer and live listeners read what was published, each at its own pace and without
a lock. One array `[channels, samples]` is used round and round: sample `n` of the domain stands in column
`n % samples`. Before a block is written the samples that it replaces are given up (`oldest` moves on), so that a
reader that copies first and asks afterwards always learns whether its copy was overtaken: what was overwritten is
reported as lost, and never handed out as audio.

The array is as long as the longest pre-roll and the slack that the writer is allowed together, `ring_samples` below.
"""

import numpy as np
from numpy.typing import NDArray

from firmware.cards import BLOCK

RATE = 8000
SLACK_S = 10.0
"""How far the writer may fall behind before samples are lost: more than the longest stall seen of a healthy disk."""


def ring_samples(longest_pre_roll_s: float, slack_s: float = SLACK_S) -> int:
    """Length of a ring that holds the longest pre-roll and the writer's slack, in whole blocks."""
    return -(-round((longest_pre_roll_s + slack_s) * RATE) // BLOCK) * BLOCK


class Ring:
    """`channels` lines of `samples` samples each."""

    def __init__(self, channels: int, samples: int) -> None:
        self.samples = samples
        self.head = 0
        """All samples before this one are published: they, their gaps and what was decided on them can be read."""
        self._first = self._claimed = 0
        # Written once now, so that the memory is there before the first block comes.
        self._law = np.full((channels, samples), 0, np.uint8)

    @property
    def claimed(self) -> int:
        """The next sample to be written."""
        return self._claimed

    @property
    def oldest(self) -> int:
        """The oldest sample that is still whole."""
        return max(self._first, self._claimed - self.samples)

    def write(self, law: NDArray[np.uint8]) -> None:
        """Takes the next `law[channels, n]`, n at most the ring's length; readers see it after `publish`."""
        size = law.shape[1]
        at = self._claimed % self.samples
        self._claimed += size
        until_end = min(size, self.samples - at)
        self._law[:, at : at + until_end] = law[:, :until_end]
        if until_end < size:
            self._law[:, : size - until_end] = law[:, until_end:]

    def begin(self, first_sample: int) -> None:
        """Starts anew at this sample: the card's first, or the one after a pause too long to be filled."""
        self._first = self._claimed = self.head = first_sample

    def publish(self) -> None:
        self.head = self._claimed

    def read(self, channel: int, first_sample: int, samples: int) -> tuple[int, bytes]:
        """`samples` published samples of a channel: how many of the first were lost, and the bytes of the rest."""
        over = max(0, samples - self.samples)  # More than the ring holds: the first of them are lost in any case.
        first_sample, samples = first_sample + over, samples - over
        at = first_sample % self.samples
        until_end = min(samples, self.samples - at)
        row = self._law[channel]
        data = row[at : at + until_end].tobytes()
        if until_end < samples:
            data += row[: samples - until_end].tobytes()
        # Asked after the copy: a sample given up while it was being copied counts as lost.
        lost = min(samples, max(0, self.oldest - first_sample))
        return over + lost, data[lost:]
