"""Data carriers, by the shape of their spectrum.

A carrier stands still: over 320 ms the level of its 20 ms steps hardly moves and most of its energy is not where
voices have theirs. That flags a channel. On flagged channels, in turn, the mean spectrum of the last 400 ms is
compared with those the recommendations prescribe: raised-cosine spectra around the carrier for V.22 and V.22bis
(600 Bd at 1200 and 2400 Hz, with or without guard tone), V.27ter, V.29, V.17, V.32 and V.34, keying spectra for V.21,
Bell 103 and V.23, and the lines that modems send before their data. A tap hears both directions: every pair stands in
the dictionary at five proportions. Likeness is the sum of the square roots of products (1 is the same shape); two
verdicts in a row make an event.

Weak points: V.22 and V.22bis have one spectrum and are both called `v22bis`; V.17 and V.32 have one, and the class of
the call decides which it is; V.90 is not told.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import LATELY, Activity
from dsp.events import RATE
from dsp.history import History
from dsp.reports import Reports
from dsp.tones import HOP, STEP

_FRAME: Final = 256
_SAMPLES: Final = 3200
_BINS: Final = slice(5, 125)
_STILL_DB = 6.0
_LEAST_DBM0 = -46.0
_LIKE = 0.955
_MARGIN = 0.01
_PACE_STEPS: Final = 4
"""Stillness is looked for this often."""
_TURN_STEPS: Final = 8
"""A still channel's spectrum is looked at every so many steps, counted from when it was flagged."""
_LOOKS: Final = 16
"""Channels looked at in one step, so that many carriers at once do not hold up the tick; the others wait a step."""

_WINDOW: Final = np.hanning(_FRAME).astype(np.float32)
_V34: Final = (
    (2743, 1646), (2743, 1829), (2800, 1680), (2800, 1867), (3000, 1800), (3000, 2000), (3200, 1829), (3200, 1920),
    (3429, 1959),
)  # fmt: skip
"""V.34, table 2: symbol rates and their low and high carriers, rounded to a hertz."""

Spectrum = NDArray[np.float64]


class Carriers:
    """Carriers on `channels` channels. `still[channel]`: something stands there that no voice is."""

    def __init__(self, channels: int, history: History) -> None:
        self._history = history
        self.still = np.zeros(channels, np.bool_)
        self.any_still = False
        self._told = np.zeros(channels, np.bool_)
        self._last = np.full(channels, -1, np.int16)
        self._since = np.zeros(channels, np.int64)
        self._gone = np.zeros(channels, np.int32)
        self._waiting = np.empty(0, np.intp)

    def step(self, hop: int, activity: Activity, plain: NDArray[np.bool_], out: Reports) -> None:
        """The two hops after hop number `hop`; `plain`: no tone, no digit, no fax preamble sounds there."""
        if activity.slot % _PACE_STEPS == 1:
            self._flag(hop, activity, plain, out)
        if self._waiting.size:
            self._look(self._waiting[:_LOOKS], out)
            self._waiting = self._waiting[_LOOKS:]

    def _flag(self, hop: int, activity: Activity, plain: NDArray[np.bool_], out: Reports) -> None:
        levels = activity.heard_dbm0(LATELY)
        lowest = levels.min(0)
        still = (levels.max(0) - lowest < _STILL_DB) & (lowest > _LEAST_DBM0) & plain
        if still.any():
            still &= activity.voiced_lately.sum(0) < LATELY // 4
        self.any_still = bool(still.any())
        if not (self.any_still or (self._last >= 0).any()):
            self.still = still
            return
        self._since = np.where(still & ~self.still & ~self._told, hop + 2 - 2 * LATELY, self._since)
        self.still = still
        self._gone = np.where(still, 0, self._gone + _PACE_STEPS)
        for c in ((self._gone >= LATELY) & (self._last >= 0)).nonzero()[0].tolist():
            out.end(c, "carrier", (hop + 2) * HOP - LATELY * STEP)
            self._told[c], self._last[c] = False, -1
        turn = (hop + 2 - self._since) % (2 * _TURN_STEPS) == 0
        self._waiting = np.union1d(self._waiting, (still & ~self._told & turn).nonzero()[0])

    def _look(self, c: NDArray[np.intp], out: Reports) -> None:
        names = _dictionary()[0]
        best, like = recognise(self._history.last(c, _SAMPLES))
        for channel, number, likeness in zip(c.tolist(), best.tolist(), like.tolist(), strict=True):
            if number >= 0 and number == self._last[channel]:
                call = out.open(channel, "class")
                name = names[number]
                if name == "v17" and (call is None or call.value != "fax"):
                    name = "v32"
                self._told[channel] = True
                start = max(0, int(self._since[channel])) * HOP
                out.begin(channel, "carrier", start, name, 0.9, {"likeness": round(likeness, 3)})
            self._last[channel] = number


def recognise(x: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """For `x[channels, n]`: the number of the best name (see `_dictionary`), -1 for none, and its likeness."""
    names, shapes, starts = _dictionary()
    like = np.maximum.reduceat(np.sqrt(spectrum(x)) @ shapes.T, starts, axis=1)
    best = like[:, : len(names)].argmax(1)
    value: Spectrum = like[np.arange(best.size), best]
    sure = (value > _LIKE) & (value > like[:, len(names)] + _MARGIN)
    return np.where(sure, best, -1).astype(np.int16), value


def spectrum(x: NDArray[np.float32]) -> Spectrum:
    """`[channels, bins]`: mean power spectrum of `x[channels, n]` in bins of 31.25 Hz from 156 Hz, sum 1."""
    frames = np.lib.stride_tricks.sliding_window_view(x, _FRAME, axis=1)[:, :: _FRAME // 2]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=2)) ** 2
    shape = np.asarray(power.mean(1)[:, _BINS] + 1e-12, np.float64)
    shape /= shape.sum(1, keepdims=True)
    return shape


def _hz() -> Spectrum:
    hz: Spectrum = np.arange(_FRAME // 2 + 1, dtype=np.float64)[_BINS] * (RATE / _FRAME)
    return hz


def _band(carrier_hz: float, baud: float, rolloff: float) -> Spectrum:
    """A raised-cosine spectrum."""
    away = np.abs(_hz() - carrier_hz) / (baud / 2)
    shape = np.clip((away - (1 - rolloff)) / (2 * rolloff), 0, 1)
    return _one(np.cos(shape * np.pi / 2) ** 2)


def _lines(*frequencies_hz: float) -> Spectrum:
    n = np.arange(_SAMPLES)
    tones = sum(np.sin(2 * np.pi * f / RATE * n + i) for i, f in enumerate(frequencies_hz))
    shape: Spectrum = spectrum(np.asarray(tones, np.float32)[None])[0]
    return shape


def _keyed(mark_hz: float, space_hz: float, baud: float) -> Spectrum:
    """The spectrum of random data keyed between two frequencies."""
    n = np.arange(8 * _SAMPLES)
    bits = np.random.default_rng(1).integers(0, 2, n.size)[(n * baud / RATE).astype(int)]
    x = np.sin(np.cumsum(2 * np.pi / RATE * np.where(bits, mark_hz, space_hz)))
    shape: Spectrum = spectrum(x.astype(np.float32)[None])[0]
    return shape


def _one(shape: Spectrum) -> Spectrum:
    unit: Spectrum = (shape + 1e-9) / (shape + 1e-9).sum()
    return unit


def _mixed(a: Spectrum, b: Spectrum) -> list[Spectrum]:
    """Two directions of one call: each alone, and both at five proportions."""
    return [a, b, *(_one(a + 10 ** (db / 10) * b) for db in (-12, -6, 0, 6, 12))]


@cache
def _dictionary() -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.intp]]:
    """Names; the square roots of all shapes `[shapes, bins]`; where each name's shapes begin, and last those of no
    carrier."""
    shapes = _shapes()
    starts = np.cumsum([0, *(len(those) for those in shapes.values())][:-1])
    return tuple(shapes)[:-1], np.sqrt(np.concatenate([np.stack(those) for those in shapes.values()])), starts


@cache
def _shapes() -> dict[str, list[Spectrum]]:
    """Shapes by name of carrier; `""`, the last, is what carriers must not be mistaken for."""
    low, high = _band(1200, 600, 0.75), _band(2400, 600, 0.75)
    guarded = [_one(high + part * _lines(guard)) for guard in (1800, 550) for part in (0.25, 0.6)]
    hiss = [_one(np.ones_like(_hz())), _one(1 / _hz()), _one(1 / (1 + (_hz() / 800) ** 4)), _one(_hz() ** 2)]
    return {
        "v21": [*_mixed(_keyed(980, 1180, 300), _keyed(1650, 1850, 300)), *_mixed(_lines(980), _lines(1650))[2:]],
        "bell103": [
            *_mixed(_keyed(1270, 1070, 300), _keyed(2225, 2025, 300)),
            *_mixed(_lines(1270), _lines(2225))[2:],
        ],
        "v22bis": [*_mixed(low, high), *(s for g in guarded for s in _mixed(low, g)[1:]), _lines(2250, 2850)],
        "v23": _mixed(_keyed(1300, 2100, 1200), _keyed(390, 450, 75))[::2],
        "v27ter": [_band(1800, 1600, 0.5), _band(1800, 1200, 0.5)],
        "v29": [_band(1700, 2400, 0.5), _band(1700, 2400, 0.25)],
        "v17": [_band(1800, 2400, 0.25), _band(1800, 2400, 0.5), _lines(600, 1800, 3000), _lines(600, 3000)],
        "v34": [
            _band(carrier, baud, 0.12)
            for baud, carrier in _V34
        ],
        "": hiss,
    }  # fmt: skip
