"""Frequency-shift keying, on channels that a cheap sign has flagged.

`soft` is the non-coherent receiver: the energy of a sliding window of one bit at the mark frequency less that at the
space frequency, divided by their sum. `flags` finds HDLC flags (01111110) in it by correlation, at every phase at
once, which is how the V.21 preamble of T.30 (clause 5.3.1) is told from other 300 bit/s traffic.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

FLAG_BITS: Final = (0, 1, 1, 1, 1, 1, 1, 0)
V21_BAUD: Final = 300


def soft(x: NDArray[np.float32], mark_hz: float, space_hz: float, window: int) -> NDArray[np.float32]:
    """`[channels, n - window + 1]` in -1 (space) .. 1 (mark) for `x[channels, n]`."""
    n = np.arange(x.shape[1])
    powers = []
    for hz in (mark_hz, space_hz):
        turning = np.zeros((x.shape[0], x.shape[1] + 1), np.complex128)
        np.cumsum(x * np.exp(-2j * np.pi * hz / RATE * n), axis=1, out=turning[:, 1:])
        windowed = turning[:, window:] - turning[:, :-window]
        powers.append(windowed.real**2 + windowed.imag**2)
    mark, space = powers
    result: NDArray[np.float32] = ((mark - space) / np.maximum(mark + space, 1e-12)).astype(np.float32)
    return result


FLAG_SAMPLES: Final = round(4 * 8 * RATE / V21_BAUD)
"""Four flags at 300 bit/s."""
V21_WINDOW: Final = 27


def flags(x: NDArray[np.float32], mark_hz: float, space_hz: float) -> NDArray[np.float32]:
    """How much the end of `x[channels, >= FLAG_SAMPLES + V21_WINDOW]` looks like four V.21 flags: 1 is exactly so."""
    signs = np.sign(soft(x[:, -(FLAG_SAMPLES + V21_WINDOW) :], mark_hz, space_hz, V21_WINDOW))
    score: NDArray[np.float32] = (signs[:, -FLAG_SAMPLES:] @ _flag_templates() / FLAG_SAMPLES).max(1)
    return score


@cache
def _flag_templates() -> NDArray[np.float32]:
    """`[FLAG_SAMPLES, phases]`: +-1 for flags beginning at every fourth sample."""
    period = 8 * RATE / V21_BAUD
    phases = np.arange(0, period, 4)
    bit = ((np.arange(FLAG_SAMPLES)[:, None] + phases) * V21_BAUD / RATE).astype(int) % 8
    levels: NDArray[np.float32] = 2 * np.array(FLAG_BITS, np.float32) - 1
    return np.take(levels, bit)
