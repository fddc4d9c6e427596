"""The last 5.12 s of every channel, as companded bytes: what costly analysis of a few channels reads. Most of it is for
a storm of caller IDs, in which readings wait for their turn.

A step of all channels lies in one piece, so that writing it is one copy whatever the number of channels."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.tones import STEP

STEPS: Final = 256


class History:
    """A ring of `steps` steps of law bytes, expanded only where somebody looks."""

    def __init__(self, channels: int, idle: int, pairs: NDArray[np.complex64], steps: int = STEPS) -> None:
        """`pairs`: the values of two bytes (`dsp.levels.expansion_of_pairs`)."""
        self._ring = np.full((steps, channels, STEP), idle, np.uint8)
        self._pairs = pairs
        self._at = 0

    def write(self, law_bytes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The next step, `[channels, 160]`; given back as it lies in the ring, contiguous."""
        kept: NDArray[np.uint8] = self._ring[self._at]
        kept[:] = law_bytes
        self._at = (self._at + 1) % len(self._ring)
        return kept

    def last(self, channels: NDArray[np.intp], samples: int) -> NDArray[np.float32]:
        """`[len(channels), samples]`, newest last; at most 5.12 s."""
        steps = -(-samples // STEP)
        where = (self._at - steps + np.arange(steps)) % len(self._ring)
        found = self._ring[where, channels[:, None]].reshape(channels.size, -1)
        values = self._pairs.take(found.view(np.uint16), mode="clip").view(np.float32)
        return values[:, values.shape[1] - samples :]
