"""Levels in dBm0.

0 dBm0 is a sine 3.14 dB (A-law) or 3.17 dB (µ-law) below a full-scale one (ITU-T G.711, clause 4: the sequence of
table 5 or 6 is a 1 kHz sine of 0 dBm0). Detectors work on linear values scaled so that 0 dBm0 has a mean square
of 1: then a level is `10 log10(mean square)`, and the amplitude of a sine of that level is the square root of 2.
"""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dsp.g711 import Law, decode_table

OVERLOAD_DBM0: Final[dict[Law, float]] = {"alaw": 3.14, "ulaw": 3.17}
"""Level of a full-scale sine."""

FLOOR_DBM0 = -90.0
"""What silence is given."""


def rms_of_0dbm0(law: Law) -> float:
    """Root mean square, in 16-bit linear units, of a 0 dBm0 signal."""
    return float(32768 * 10 ** (-OVERLOAD_DBM0[law] / 20) / np.sqrt(2))


def amplitude(level_dbm0: float, law: Law = "alaw") -> float:
    """Peak, in 16-bit linear units, of a sine at `level_dbm0`."""
    return rms_of_0dbm0(law) * float(np.sqrt(2)) * 10 ** (level_dbm0 / 20)


@cache
def expansion(law: Law) -> NDArray[np.float32]:
    """`[256]`: the value of each byte, scaled so that 0 dBm0 has a mean square of 1. Read-only."""
    table = (decode_table(law) / rms_of_0dbm0(law)).astype(np.float32)
    table.flags.writeable = False
    return table


@cache
def expansion_of_pairs(law: Law) -> NDArray[np.complex64]:
    """`[65536]`: both values of each pair of bytes (in the byte order of this machine), as the parts of a complex
    number: one look-up for two samples. Read-only."""
    bytes_of = np.arange(65536, dtype=np.uint16).view(np.uint8)
    pairs: NDArray[np.complex64] = expansion(law)[bytes_of].view(np.complex64)
    pairs.flags.writeable = False
    return pairs


def dbm0(mean_square: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Level in dBm0, floored at `FLOOR_DBM0`, of mean squares relative to 0 dBm0."""
    level: NDArray[np.float32] = np.log10(np.maximum(mean_square, 10 ** (FLOOR_DBM0 / 10))).astype(np.float32)
    level *= np.float32(10)
    return level


def level_dbm0(linear: NDArray[np.int16], law: Law = "alaw") -> float:
    """Level of 16-bit linear samples taken together."""
    if linear.size == 0:
        return FLOOR_DBM0
    mean_square = np.mean(np.square(linear, dtype=np.float64)) / rms_of_0dbm0(law) ** 2
    return float(dbm0(np.asarray(mean_square)))
