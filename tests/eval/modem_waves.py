"""What data calls are put together from: tones, symbols shaped onto a carrier, one side's sending in order of time.

Signals are float64 at 8000 samples a second, a mean square of 1 being the nominal power of a side.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import Fsk
from dsp import levels

RATE: Final = 8000
Wave = NDArray[np.float64]
Symbols = NDArray[np.complex128]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Carrier:
    """`name` sounds from `onset_s` to `end_s`; `also` are names that are as true there."""

    name: str
    onset_s: float
    end_s: float
    also: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Call:
    caller: Wave
    answerer: Wave
    carriers: tuple[Carrier, ...]
    notes: dict[str, object] = field(default_factory=dict)

    def sides(self, level_dbm0: float = -10.0) -> list[Wave]:
        scale = levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20)
        return [scale * self.caller, scale * self.answerer]


class Line:
    """One side's sending, put together in the order of time."""

    def __init__(self) -> None:
        self._parts: list[Wave] = []
        self.samples = 0

    @property
    def s(self) -> float:
        return self.samples / RATE

    def add(self, *waves: Wave) -> "Line":
        for wave in waves:
            self._parts.append(wave)
            self.samples += wave.size
        return self

    def until(self, at_s: float) -> "Line":
        """Silence up to `at_s`."""
        return self.add(np.zeros(max(0, round(at_s * RATE) - self.samples)))

    def wave(self, samples: int) -> Wave:
        out = np.concatenate([*self._parts, np.zeros(max(0, samples - self.samples))])
        return out[:samples]


def tone(seconds: float, *hz_and_power: float, reversals_s: float = 0.0, am: float = 0.0, rng: Rng) -> Wave:
    """Tones given as Hz, mean square, Hz, mean square...; V.25's reversals and V.8's 15 Hz modulation if wanted."""
    t = np.arange(round(seconds * RATE)) / RATE
    out = np.zeros(t.size)
    for hz, power in zip(hz_and_power[::2], hz_and_power[1::2], strict=True):
        out += np.sqrt(2 * power) * np.sin(2 * np.pi * (hz * t + rng.uniform()))
    if reversals_s:
        out *= np.where((t / reversals_s).astype(int) % 2, -1.0, 1.0)
    return np.asarray(out * (1 + am * np.sin(2 * np.pi * 15 * t)))


def shaped(symbols: Symbols, baud: float, carrier_hz: float, rolloff: float, tilt_db: float = 0.0) -> Wave:
    """Symbols through a square-root raised cosine onto a carrier, mean square 1 for symbols of mean square 1.

    Made in the frequency domain over whole periods of 0.7 s, which hold a whole number of symbols and samples at every
    rate of V.34's; `tilt_db` is the rise over the band (V.34's pre-emphasis, a line's slope).
    """
    periods = int(np.ceil((symbols.size / baud + 0.01) / 0.7))
    count, samples = round(periods * 0.7 * baud), round(periods * 0.7 * RATE)
    padded = np.zeros(count, np.complex128)
    padded[: symbols.size] = symbols
    spectrum = np.fft.fft(padded)
    hz = np.arange(-samples // 2, samples // 2) / (periods * 0.7)
    away = np.abs(hz - carrier_hz) / (baud / 2)
    if rolloff > 0:
        shape = np.cos(np.clip((away - (1 - rolloff)) / (2 * rolloff), 0, 1) * np.pi / 2)
    else:
        shape = (away <= 1).astype(float)
    shape = shape * 10 ** (tilt_db / 20 * np.clip((hz - carrier_hz) / baud, -0.6, 0.6))
    bins = (np.arange(-samples // 2, samples // 2) - round(carrier_hz * periods * 0.7)) % count
    full = np.zeros(samples, np.complex128)
    full[np.arange(-samples // 2, samples // 2) % samples] = spectrum[bins] * shape
    wave = np.fft.ifft(full).real * (samples / count) * np.sqrt(2)
    return np.asarray(wave[: round(symbols.size * RATE / baud)])


def points(rng: Rng, count: int, size: int) -> Symbols:
    """Random points of a constellation of `size` points: phases for 2 and 4, else the inner points of the odd grid."""
    if size <= 4:
        return np.asarray(np.exp(1j * np.pi / 4) * np.exp(2j * np.pi * rng.integers(0, size, count) / size))
    side = np.arange(-41, 42, 2)
    grid = (side[:, None] + 1j * side).ravel()
    grid = grid[np.argsort(np.abs(grid), kind="stable")][:size]
    # V.34 shapes: inner points are commoner, a step towards a Gaussian.
    weights = np.exp(-(np.abs(grid) ** 2) / np.mean(np.abs(grid) ** 2) * (0.6 if size > 128 else 0.0))
    chosen = rng.choice(grid, count, p=weights / weights.sum())
    return np.asarray(chosen / np.sqrt(np.mean(np.abs(chosen) ** 2)))


def alternating(count: int, turn: float = 90.0) -> Symbols:
    """ABAB, B being A turned by so many degrees."""
    return np.asarray(np.exp(1j * np.pi / 4) * np.where(np.arange(count) % 2, np.exp(1j * np.radians(turn)), 1.0))


def keyed(bits: NDArray[Any], spec: Fsk) -> Wave:
    wave = spandsp.fsk_tx(np.asarray(bits, np.uint8), spec).astype(np.float64)
    sounding = wave[wave != 0]
    return np.asarray(wave / np.sqrt(np.mean(sounding**2)))
