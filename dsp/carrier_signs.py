"""What the spectrum of 350 ms says of a carrier: looks at a few flagged channels at once, without memory.

Three independent signs come out of one transform of 2800 samples (bins of 2.86 Hz, on which every symbol rate of the
V series falls):

- **Symbol clock.** What is modulated with symbols at a rate S on a carrier F has the same content at F - S/2 and
  F + S/2, where the roll-offs of neighbouring images overlap: bins that far apart are coherent. Speech, music and noise
  are not, for longer than a sound lasts. `coherence` is 1 for one modem alone, whatever the level, the slope of the
  line or the constellation; two directions at one rate share it in proportion.
- **Shape.** The likeness of the spectrum to those the Recommendations prescribe (keying, lines of the handshakes,
  raised cosines), both directions of a call at five proportions: the sum of the square roots of products.
- **Constellation**, for the 600 Bd of V.22 and V.22bis, which share everything else: the modulus of the symbols after
  the receiver's filter, and the repeated double dibit S1 with which V.22bis says that it is one.

V.21, V.22, V.22bis, V.23, V.27ter, V.29, V.17, V.32bis, V.34 clauses 5 and 10.1.2, V.90 clause 5; Bell 103.
"""

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

SAMPLES: Final = 2800
_BIN_HZ: Final = RATE / SAMPLES
_FIRST, _GROUP, _GROUPS = 55, 11, 120
"""Shapes are compared in 120 groups of 11 bins (31 Hz) from 157 Hz."""
_REACH: Final = 40
"""Bins on either side of a band's edge in which its images overlap."""
_PARTS: Final = 4
"""Coherence is taken in so many parts of that stretch: a line turns the phase from one to the next."""

_TAPER: Final = np.clip(np.minimum(np.arange(SAMPLES) + 1, SAMPLES - np.arange(SAMPLES)) / 140, 0, 1).astype(np.float32)
"""Ends that rise and fall within 17 ms: what is cut off sharply spills, coherently, over all bins."""

CLOCKS: Final = (
    ("v22", 600, 1200), ("v22", 600, 2400), ("v27ter", 1200, 1800), ("v27ter", 1600, 1800), ("2400", 2400, 1600),
    ("2400", 2400, 1750), ("v34", 19200 / 7, 11520 / 7), ("v34", 19200 / 7, 12800 / 7), ("v34", 2800, 1680),
    ("v34", 2800, 5600 / 3), ("v34", 3000, 1800), ("v34", 3000, 2000), ("v34", 3200, 1875),
    ("v34", 24000 / 7, 96000 / 49),
)  # fmt: skip
"""Carriers that have a symbol clock: name, symbols a second, carrier in Hz; two that are near share a row. `2400` is
V.29's (1700 Hz), V.17's and V.32's (1800 Hz), or V.34's (1600 Hz)."""

_OF_2400: Final = np.array([baud == 2400 for _, baud, _ in CLOCKS])

Floats = NDArray[np.float32]
Spectra = NDArray[np.complex64]


class Signs(NamedTuple):
    """Of `n` channels."""

    spectra: Spectra
    """`[n, 1401]`,"""
    power: Floats
    """and the squares of their moduli."""
    clock: NDArray[np.intp]
    """`[n]`: the row of `CLOCKS` whose coherence is the largest,"""
    coherence: Floats
    """`[n]`: and that coherence, 0..1; noise has 0.3 +- 0.05."""
    centre_hz: Floats
    """`[n]`: carrier of a signal of 2400 Bd, else 0."""
    shape: NDArray[np.intp]
    """`[n]`: number in `SHAPES` of the best name,"""
    likeness: Floats
    """`[n]`: and its likeness, 0..1;"""
    margin: Floats
    """`[n]`: by how much it is more alike than noise."""


def look(x: Floats) -> Signs:
    """The signs in `x[n, 2800]`."""
    spectra: Spectra = np.fft.rfft(x * _TAPER).astype(np.complex64, copy=False)
    power = spectra.real**2 + spectra.imag**2
    clock, coherence = _clock(spectra, power)
    shape, likeness, margin = _likest(power)
    centre = np.zeros(clock.size, np.float32)
    of_2400 = (_OF_2400[clock] & (coherence > 0.4)).nonzero()[0]
    if of_2400.size:
        centre[of_2400] = _centre_hz(spectra[of_2400])
    return Signs(spectra, power, clock, coherence, centre, shape, likeness, margin)


def _clock(spectra: Spectra, power: Floats) -> tuple[NDArray[np.intp], Floats]:
    low, high = _edges()
    products = spectra.take(high, axis=1, mode="clip")
    np.conjugate(products, out=products)
    products *= spectra.take(low, axis=1, mode="clip")
    squares = products.real**2 + products.imag**2
    parts = np.add.reduce(products, axis=1).reshape(-1, _PARTS, len(CLOCKS))
    shared = np.add.reduce(np.sqrt(parts.real**2 + parts.imag**2), axis=1)
    all_squares = np.add.reduce(np.add.reduce(squares, axis=1).reshape(parts.shape), axis=1)
    np.sqrt(squares, out=squares)
    total = np.add.reduce(np.add.reduce(squares, axis=1).reshape(parts.shape), axis=1)
    total += np.float32(1e-20)
    found: Floats = shared / total
    # Many bins must share it, and it must be a part of the signal: two lines, or an echo's ripple, are no clock.
    spread = total * total / (all_squares + np.float32(1e-30))
    found *= (spread > 16) & (total > np.float32(0.0006) * np.add.reduce(power, axis=1, keepdims=True))
    best = found.argmax(1)
    return best, found[np.arange(best.size), best]


@cache
def _edges() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """`[bins, parts * clocks]` each: bins about the lower edge of the band, and their partners about the upper."""
    around = np.arange(-_REACH, _REACH).reshape(_PARTS, -1).T[..., None]
    low = np.array([round((hz - baud / 2) / _BIN_HZ) for _, baud, hz in CLOCKS]) + around
    apart = np.array([round(baud / _BIN_HZ) for _, baud, _ in CLOCKS])
    fits = (low > 0) & (low + apart <= SAMPLES // 2)
    flat = 2 * _REACH // _PARTS, _PARTS * len(CLOCKS)
    return np.where(fits, low, 0).reshape(flat), np.where(fits, low + apart, 0).reshape(flat)


def _centre_hz(spectra: Spectra) -> Floats:
    """`[n]`: where the images of 2400 Bd overlap most, 1550 to 1950 Hz."""
    first, width, stretches = 105, 16, 14
    low = spectra[:, first : first + width * stretches]
    high = spectra[:, first + 840 : first + 840 + width * stretches]
    products = (low * high.conj()).reshape(-1, stretches, width)
    shared = np.abs(products.sum(2)) - np.float32(0.3) * np.abs(products).sum(2)
    np.maximum(shared, np.float32(1e-20), out=shared)
    at = ((first + width * (np.arange(stretches) + 0.5)) * _BIN_HZ + 1200).astype(np.float32)
    centre: Floats = (shared @ at) / shared.sum(1)
    return centre


def _likest(power: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    names, shapes, starts = _dictionary()
    coarse = power[:, _FIRST : _FIRST + _GROUP * _GROUPS].reshape(-1, _GROUPS, _GROUP).sum(2)
    coarse /= coarse.sum(1, keepdims=True) + np.float32(1e-20)
    like = np.maximum.reduceat(np.sqrt(coarse) @ shapes, starts, axis=1)
    best = like[:, : len(names)].argmax(1)
    likeness: Floats = like[np.arange(best.size), best]
    return best, likeness, likeness - like[:, len(names)]


def probing(power: Floats) -> Floats:
    """`[n]`, from all bins' power: how much of it stands on V.34's probing tones (L1, L2: every 150 Hz from 150 to
    3750 but for 900, 1200, 1800, 2400), less what stands on those left out; halved where fewer than ten carry it."""
    tones, weights = _probe_bins()
    of_tones, total = (power @ weights).T
    share: Floats = of_tones / (total + np.float32(1e-20))
    some = (share > 0.5).nonzero()[0]
    if some.size:
        each = np.add.reduce(power[some[:, None, None], tones], axis=2)
        spread = np.square(each.sum(1)) / (np.square(each).sum(1) + np.float32(1e-30))
        share[some] *= np.where(spread > 10, np.float32(1), np.float32(0.5))
    return share


@cache
def _probe_bins() -> tuple[NDArray[np.intp], Floats]:
    """Bins of every tone; weights of all bins for what is on the tones, less what is on those left out, and for all."""
    absent = (900, 1200, 1800, 2400)
    hz = np.array([f for f in range(150, 3751, 150) if f not in absent])
    tones, missing = (np.floor(f / _BIN_HZ).astype(int)[:, None] + np.arange(-1, 3) for f in (hz, np.array(absent)))
    weights = np.zeros((SAMPLES // 2 + 1, 2), np.float32)
    weights[tones, 0], weights[missing, 0], weights[:, 1] = 1, -4, 1
    return tones, weights


def constellation(spectrum: Spectra, carriers_hz: tuple[float, ...]) -> tuple[Floats, Floats]:
    """In the spectrum `[1401]` of one channel, of 600 Bd on each of those carriers: the kurtosis of the modulus at the
    symbols (1 for four phases, 1.32 for sixteen points), and how much the best 60 ms are S1, the dibits 00 and 11 in
    turn (1: they are)."""
    steps, kept = 4, 12
    places, bins, taper = _of_600_baud(carriers_hz, steps)
    band = np.zeros((len(bins), round(600 * steps / _BIN_HZ)), np.complex64)
    band[:, places] = spectrum[bins] * taper
    symbols = np.fft.ifft(band).reshape(len(bins), -1, steps)[:, kept:-kept]
    squared = symbols.real**2 + symbols.imag**2
    kurtosis = np.square(squared).mean(1) / (np.square(squared.mean(1)) + 1e-30)
    phase = kurtosis.argmin(1)
    rows = np.arange(phase.size)
    z = symbols[rows, :, phase]
    turn = z[:, 1:] * z[:, :-1].conj()
    sideways = turn.imag / (np.abs(turn) + 1e-20) * np.where(np.arange(turn.shape[1]) % 2, -1, 1)
    run = np.cumsum(sideways, axis=1)
    s1 = np.abs(run[:, 36:] - run[:, :-36]).max(1) / 36
    return kurtosis[rows, phase].astype(np.float32), s1.astype(np.float32)


@cache
def _of_600_baud(carriers_hz: tuple[float, ...], steps: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Where the bins of a band go when it is moved to 0 Hz, these bins of each, and the band's root raised cosine."""
    count, reach = round(600 * steps / _BIN_HZ), round(525 / _BIN_HZ)
    around = np.arange(-reach, reach + 1)
    away = np.abs(around * _BIN_HZ) / 300
    taper = np.cos(np.clip((away - 0.25) / 1.5, 0, 1) * np.pi / 2).astype(np.float32)
    centres = np.array([round(hz / _BIN_HZ) for hz in carriers_hz])
    return around % count, centres[:, None] + around, taper


SHAPES: Final = ("v21", "bell103", "v23", "v22", "v27ter", "v29", "2400", "v34")
"""Names of shapes in the order of `Signs.shape`; `2400` is V.17's and V.32's."""
LINES: Final = ("usb1", "v32")
"""After them: lines of handshakes: V.22's unscrambled ones, V.32's AC with or without AA."""


def _hz() -> NDArray[np.float64]:
    return np.asarray((_FIRST + _GROUP * np.arange(_GROUPS) + (_GROUP - 1) / 2) * _BIN_HZ, np.float64)


def _one(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = (shape + 1e-7 * shape.sum()) / (shape + 1e-7 * shape.sum()).sum()
    return unit


def _band(carrier_hz: float, baud: float, rolloff: float) -> NDArray[np.float64]:
    """A raised-cosine spectrum."""
    away = np.abs(_hz() - carrier_hz) / (baud / 2)
    shape = np.clip((away - (1 - rolloff)) / (2 * rolloff), 0, 1)
    return _one(np.cos(shape * np.pi / 2) ** 2)


def _of(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spectrum of `x[2800 * k]`."""
    power = np.abs(np.fft.rfft(x.reshape(-1, SAMPLES) * _TAPER)) ** 2
    return _one(power.mean(0)[_FIRST : _FIRST + _GROUP * _GROUPS].reshape(_GROUPS, _GROUP).sum(1))


def _lines(*frequencies_hz: float) -> NDArray[np.float64]:
    n = np.arange(4 * SAMPLES)
    return _of(np.sum([np.sin(2 * np.pi * (f + 0.7) / RATE * n + i) for i, f in enumerate(frequencies_hz)], axis=0))


def _keyed(mark_hz: float, space_hz: float, baud: float) -> NDArray[np.float64]:
    """The spectrum of random data keyed between two frequencies."""
    n = np.arange(12 * SAMPLES)
    bits = np.random.default_rng(1).integers(0, 2, n.size)[(n * baud / RATE).astype(int)]
    return _of(np.sin(np.cumsum(2 * np.pi / RATE * np.where(bits, mark_hz, space_hz))))


def _mixed(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Two directions of one call: each alone, and both at seven proportions."""
    return [a, b, *(_one(a + 10 ** (db / 10) * b) for db in (-18, -12, -6, 0, 6, 12, 18))]


def _even(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [_one(a + 10 ** (db / 10) * b) for db in (-6, 0, 6)]


@cache
def _dictionary() -> tuple[tuple[str, ...], Floats, NDArray[np.intp]]:
    """Names; the square roots of all shapes `[groups, shapes]`; where each name's shapes begin, and last those of no
    carrier."""
    shapes = _shapes()
    assert tuple(shapes) == (*SHAPES, *LINES, "")
    starts = np.cumsum([0, *(len(those) for those in shapes.values())][:-1])
    rows = np.sqrt(np.concatenate([np.stack(those) for those in shapes.values()])).astype(np.float32)
    return tuple(shapes)[:-1], np.ascontiguousarray(rows.T), starts


@cache
def _shapes() -> dict[str, list[NDArray[np.float64]]]:
    """Shapes by name of carrier; `""`, the last, is what carriers must not be mistaken for.

    Lines are mixed so evenly that no single tone is like any of them.
    """
    low, high = _band(1200, 600, 0.75), _band(2400, 600, 0.75)
    guarded = [_one(high + part * _lines(guard)) for guard in (1800, 550) for part in (0.25, 0.5)]
    hiss = [_one(np.ones_like(_hz())), _one(1 / _hz()), _one(1 / (1 + (_hz() / 800) ** 4)), _one(_hz() ** 2)]
    usb1 = [_one(_lines(2250) + 10 ** (db / 10) * _lines(2850)) for db in (-6, -9)]
    usb1 += [_one(usb1[1] + part * _lines(guard)) for guard in (1800, 550) for part in (0.25, 0.5)]
    forward, back = _keyed(1300, 2100, 1200), _keyed(390, 450, 75)
    ac = _lines(600, 3000)
    return {
        "v21": _mixed(_keyed(980, 1180, 300), _keyed(1650, 1850, 300)) + _even(_lines(980), _lines(1650)),
        "bell103": _mixed(_keyed(1270, 1070, 300), _keyed(2225, 2025, 300)) + _even(_lines(1270), _lines(2225)),
        "v23": [forward, *_mixed(forward, back)[2:], *_even(forward, _lines(390))],
        "v22": [*_mixed(low, high), *(s for g in guarded for s in _mixed(low, g)[1:])],
        "v27ter": [_band(1800, 1600, 0.5), _band(1800, 1200, 0.5)],
        "v29": [_band(1700, 2400, 0.5), _band(1700, 2400, 0.25)],
        "2400": [_band(1800, 2400, 0.25), _band(1800, 2400, 0.5), _band(1800, 2400, 0.12)],
        "v34": [_band(carrier, baud, 0.12) for name, baud, carrier in CLOCKS if name == "v34"]
        + [_band(1920, 3200, 0.12), _band(1829, 3200, 0.12)]
        + [_one(np.where((_hz() > 200) & (_hz() < 3500), 1.0, 0.01))],
        "usb1": usb1,
        "v32": [ac, *(_one(ac + 10 ** (db / 10) * _lines(1800)) for db in (-12, -6, 0, 6))],
        "": hiss,
    }
