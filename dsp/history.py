"""The last 2.56 s of every channel, as companded bytes: what costly analysis of a few channels reads."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.tones import STEP

STEPS: Final = 128


class History:
    """A ring of law bytes, expanded only where somebody looks."""

    def __init__(self, channels: int, idle: int, expansion: NDArray[np.float32]) -> None:
        self._ring = np.full((channels, STEPS * STEP), idle, np.uint8)
        self._expansion = expansion
        self._at = 0

    def write(self, law_bytes: NDArray[np.uint8]) -> None:
        """The next step, `[channels, 160]`."""
        self._ring[:, self._at : self._at + STEP] = law_bytes
        self._at = (self._at + STEP) % self._ring.shape[1]

    def last(self, channels: NDArray[np.intp], samples: int) -> NDArray[np.float32]:
        """`[len(channels), samples]`, newest last; at most 2.56 s."""
        where = (self._at - samples + np.arange(samples)) % self._ring.shape[1]
        return self._expansion[self._ring[channels[:, None], where]]
