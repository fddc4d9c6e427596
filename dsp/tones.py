"""The tone bank: one matrix product for every tone that anything listens for.

Time is cut into hops of 80 samples (10 ms). For each hop and each frequency of the bank the product gives the
correlation of the hop with a sine and a cosine that run on through all hops (absolute phase), scaled so that a tone
of mean square P has the power P. Longer windows are sums over hops; the turn of the phase from hop to hop is the
distance of the tone from the bank's frequency, which is exact to a hertz or two where 10 ms alone would resolve 100.

Bank frequencies lie on a grid of 5 Hz so that the phase repeats every 20 hops: 20 small matrices stand ready and none
is turned at run time. Detectors correct for the distance between the grid and the frequency they want.

Four more rows are Legendre polynomials: what they take up is constant offset, ringing (25 Hz) and mains hum, and is
left out of the energy that tones are compared with.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

HOP: Final = 80
"""Samples of a hop: 10 ms."""
STEP: Final = 160
"""Samples of a step, in which all decisions are taken: two hops."""
HOP_S: Final = HOP / RATE
GRID_HZ: Final = 5
_PHASES: Final = RATE // HOP // GRID_HZ
_LOW: Final = 4

Floats = NDArray[np.float32]


class Bank:
    """Correlations of `channels` channels with a set of frequencies, hop by hop.

    After `step(x)` with `x` float32 `[channels, 160]`, hop index 0 is the last hop of the step before, 1 and 2 are the
    two of this step, and these hold for each:

    - `re`, `im`: `[3, tones, channels]`, the correlations;
    - `power`: `[3, tones, channels]`, their squared length: mean square of a tone at the bank's frequency;
    - `energy`: `[3, channels]`, mean square of the hop without offset and hum;
    - `raw`: `[3, channels]`, mean square of the hop without offset only.
    """

    def __init__(self, channels: int, frequencies_hz: Iterable[float]) -> None:
        grid = sorted({round(f / GRID_HZ) * GRID_HZ for f in frequencies_hz})
        self.grid_hz: tuple[int, ...] = tuple(grid)
        self._row = {f: i for i, f in enumerate(grid)}
        tones = len(grid)
        self._matrices = _matrices(np.array(grid, np.float64))
        self._sums = np.zeros((3, 2 * tones + _LOW, channels), np.float32)
        self.re = self._sums[:, :tones]
        self.im = self._sums[:, tones : 2 * tones]
        self._low = self._sums[:, 2 * tones :]
        self.power = np.zeros((3, tones, channels), np.float32)
        self.energy = np.zeros((3, channels), np.float32)
        self.raw = np.zeros((3, channels), np.float32)
        self._scratch = np.empty((2, tones, channels), np.float32)
        self._phase = 0

    def row(self, frequency_hz: float) -> int:
        """Row of the bank frequency nearest to `frequency_hz`, which must have been asked for."""
        return self._row[round(frequency_hz / GRID_HZ) * GRID_HZ]

    def step(self, x: Floats) -> None:
        """Take the next 160 samples of every channel."""
        for array in (self._sums, self.power, self.energy, self.raw):
            array[0] = array[2]
        for hop in (1, 2):
            samples = x[:, (hop - 1) * HOP : hop * HOP]
            np.matmul(self._matrices[self._phase], samples.T, out=self._sums[hop])
            np.einsum("cn,cn->c", samples, samples, out=self.raw[hop])
            self._phase = (self._phase + 1) % _PHASES
        np.multiply(self.re[1:], self.re[1:], out=self.power[1:])
        np.multiply(self.im[1:], self.im[1:], out=self._scratch)
        self.power[1:] += self._scratch
        low = self._low[1:] * self._low[1:]
        self.raw[1:] *= np.float32(1 / HOP)
        self.raw[1:] -= low[:, 0]
        np.subtract(self.raw[1:], low[:, 1:].sum(1), out=self.energy[1:])
        np.maximum(self.energy, 1e-12, out=self.energy)

    def offset_hz(self, rows: NDArray[np.intp], channels: NDArray[np.intp], hop: int) -> NDArray[np.float32]:
        """Distance of a tone from its row's frequency, Hz, from the turn between `hop - 1` and `hop`: +-50 at most."""
        re0, im0 = self.re[hop - 1, rows, channels], self.im[hop - 1, rows, channels]
        re1, im1 = self.re[hop, rows, channels], self.im[hop, rows, channels]
        turn: NDArray[np.float32] = np.arctan2(im1 * re0 - re1 * im0, re1 * re0 + im1 * im0)
        turn *= np.float32(1 / (2 * np.pi * HOP_S))
        return turn


def _matrices(grid_hz: NDArray[np.float64]) -> NDArray[np.float32]:
    """`[20, 2 * tones + 4, 80]`: cosine rows, sine rows (so that a tone turns forwards), Legendre rows."""
    n = np.arange(_PHASES * HOP).reshape(_PHASES, 1, HOP)
    angle = 2 * np.pi * grid_hz[:, None] / RATE * n
    scale = np.sqrt(2) / HOP
    legendre = np.linalg.qr(np.vander(np.linspace(-1, 1, HOP), _LOW, increasing=True))[0].T / np.sqrt(HOP)
    low = np.broadcast_to(legendre, (_PHASES, _LOW, HOP))
    rows = [np.cos(angle) * scale, -np.sin(angle) * scale, low]
    return np.ascontiguousarray(np.concatenate(rows, axis=1), np.float32)
