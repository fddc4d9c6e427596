"""Whether a burst is as pure and even as an exchange sends it, which notes of music and held vowels are not.

A tone of an exchange has its lines and nothing else: what music has beside a note (its harmonics, bass, other voices)
stands out of the spectrum as further lines, while noise, even 8 dB below the tone, is spread so thin over the bins that
no one of them comes near; lines at harmonics of the mains (up to 600 Hz) are nobody's. A tone begins and ends at one
level: notes fade, swell or shake. Both are looked at once a burst, in the samples themselves.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

LONGEST: Final = 5120
"""Samples; of longer bursts the last so many will do."""
_SPECTRUM: Final = 2400
_HUM_HZ: Final = tuple(mains * k for mains in (50, 60) for k in range(4, 11))
_LOWEST_HZ, _HIGHEST_HZ = 200, 3800
_LINE: Final = 10 ** (-22 / 10)
_SHORT_LINE: Final = 10 ** (-19 / 10)
_SHORT: Final = 1200
_PIECE: Final = 800
"""100 ms hold whole beats of every pair of the plans: 40, 50, 90 and 140 Hz."""
_EVEN: Final = 1.26

Floats = NDArray[np.float32]


def is_pure(x: NDArray[np.float32], lines_hz: tuple[float, ...], reach_hz: float) -> bool:
    """`x`: samples of the burst without its edges; its lines lie within `reach_hz` of `lines_hz`."""
    pieces = x.size // _PIECE
    if pieces >= 2:
        cut = x[: pieces * _PIECE].reshape(pieces, _PIECE)
        energies = np.einsum("pn,pn->p", cut, cut).tolist()
        if max(energies) > _EVEN * min(energies):
            return False
    x = x[-_SPECTRUM:]
    window, own, other = _weights(x.size, lines_hz, reach_hz)
    spectrum = np.fft.rfft(x * window)
    power = spectrum.real**2 + spectrum.imag**2
    line_share = _LINE if x.size >= _SHORT else _SHORT_LINE
    return bool((power * other).max() <= line_share * (power * own).max())


@cache
def _weights(n: int, lines_hz: tuple[float, ...], reach_hz: float) -> tuple[Floats, Floats, Floats]:
    """For `n` samples: the window, and as 0 or 1 in which bins the burst's lines may be and where none may be."""
    hz = np.arange(n // 2 + 1) * (RATE / n)
    own = np.zeros(hz.size, np.bool_)
    for line in lines_hz:
        own |= np.abs(hz - line) <= reach_hz + 2.5 * RATE / n
    hum = (np.abs(hz[:, None] - _HUM_HZ) <= 2.5 * RATE / n).any(1)
    other = ~own & ~hum & (hz >= _LOWEST_HZ) & (hz <= _HIGHEST_HZ)
    return np.hanning(n).astype(np.float32), own.astype(np.float32), other.astype(np.float32)
