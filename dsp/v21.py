"""The V.21 of fax: HDLC flags at 300 bit/s.

ITU-T V.21 channel 2 (1650 Hz mark, 1850 Hz space), T.30 clause 5.3.1: flags for 1 s before every frame. Every 60 ms
the power at the two frequencies flags channels; where it has been most of the energy for 140 ms, mark and space both
but more of mark, as ones and zeros are in a flag, the last 133 ms are demodulated and their signs compared with flags
at every phase, apart (01111110 01111110) or sharing their zeros (0111111 0111111 0). Ones and zeros must both be
there, so an idle mark is no flag; other traffic on the same frequencies (the JM of V.8, V.21 data) is `busy` but has no
five flags in a row.

A message is over when its two frequencies are gone for 40 ms; the answers of T.30 are 75 ms apart.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE
from dsp.history import History
from dsp.reports import Reports
from dsp.tones import HOP, RING, Bank

MARK_HZ: Final = 1650
SPACE_HZ: Final = 1850
BAUD: Final = 300

_PACE: Final = 3
"""Steps between two looks."""
_TURN: Final = 1
_SHARE = np.float32(0.25)
_LEVEL = np.float32(2 * 10 ** (-48 / 10))
_BUSY_HOPS, _BUSY_SHARE = 6, 0.4
_LASTED_HOPS, _LASTED_SHARE = 14, 0.5
_LEAK = 1.2
"""What holds more than all of the energy has leaked from below: ringing."""
_FEWEST_ONES, _MOST_ONES = 1.5, 40
"""Flags have three ones or more to each zero: in power, on a line that favours either."""
_LOW = np.float32(0.1)
"""A hop with less of the message's power is none of it."""
_SURE = 0.8
_PATIENCE, _SELDOM = 20, 8
"""After so many looks in vain a channel is looked at but every so many times."""
_BACK_SAMPLES: Final = 4800
"""How far back the beginning of a message is looked for."""


class V21Preamble:
    """HDLC flags on `channels` channels. `busy[channel]`: the channel carries V.21 channel 2."""

    def __init__(self, channels: int, bank: Bank, history: History) -> None:
        self._bank, self._history = bank, history
        tones = [bank.power_row + bank.row(hz) for hz in (MARK_HZ, SPACE_HZ)]
        self._rows = np.array([0, *tones], np.intp)[:, None]
        for make in (_templates, _demodulation, _halves):
            make()  # before the first tick
        self.any_busy = False
        self.busy = np.zeros(channels, np.bool_)
        self._told = np.zeros(channels, np.bool_)
        self._any_told = False
        self._power = np.zeros(channels, np.float32)
        """Of a message that is told: what its hops hold at the two frequencies."""
        self._vain = np.zeros(channels, np.int32)
        """Looks at a channel so far."""
        self._bar = np.empty(channels, np.float32)
        self._sign = np.zeros(channels, np.bool_)

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        if hop // 2 % _PACE != _TURN:
            return
        np.multiply(self._bank.energy_20ms, _SHARE, out=self._bar)
        np.maximum(self._bar, _LEVEL, out=self._bar)
        sign = self._bank.together["v21"] > self._bar
        # What is there at one look only is speech. A message that is told is looked at every other time.
        flagged = sign & self._sign
        self._sign = sign
        if self._any_told:
            if hop // 2 // _PACE % 2:
                flagged |= self._told
            else:
                flagged &= ~self._told
        c = flagged.nonzero()[0]
        if self.any_busy:
            np.copyto(self.busy, self._told)
            self.any_busy = self._any_told
        if c.size:
            self._listen(hop + 2, c, out)

    def _listen(self, end_hop: int, c: NDArray[np.intp], out: Reports) -> None:
        """Channels `c`, up to the beginning of hop `end_hop`."""
        slots = self._bank.slots(RING)[:, None, None]
        parts = self._bank.energies[slots, self._rows, c]
        power = parts[:, 1] + parts[:, 2]
        told = self._told[c]
        energy, mark, space = parts[-_BUSY_HOPS:].sum(0)
        self.busy[c] = busy = (mark + space > _BUSY_SHARE * energy) | told
        self.any_busy = self._any_told or bool(busy.any())
        if told.any():
            self._end(end_hop, c[told], power[:, told], out)
            if told.all():
                return
        energy, mark, space = parts[-_LASTED_HOPS:].sum(0)
        whole, least = mark + space, power[-_LASTED_HOPS:].min(0) * _LASTED_HOPS
        long = (whole > _LASTED_SHARE * energy) & (whole < _LEAK * energy) & (least > _LOW / 2 * whole)
        self._vain[c[~long]] = 0
        long &= (mark > _FEWEST_ONES * space) & (mark < _MOST_ONES * space) & ~told
        if not long.any():
            return
        waiting = c[long]
        vain = self._vain[waiting]
        self._vain[waiting] += 1
        waiting = waiting[(vain < _PATIENCE) | (vain % _SELDOM == 0)]
        if waiting.size:
            self._look(end_hop, waiting, whole[np.searchsorted(c, waiting)] / _LASTED_HOPS, out)

    def _look(self, end_hop: int, c: NDArray[np.intp], power: NDArray[np.float32], out: Reports) -> None:
        score = flags(self._history.last(c, FLAG_SAMPLES))
        sure = score > _SURE
        if not sure.any():
            return
        c, score = c[sure], score[sure]
        self._told[c], self._power[c], self._vain[c] = True, power[sure], 0
        self._any_told = True
        began = _began(self._history.last(c, min(_BACK_SAMPLES, end_hop * HOP)))
        for channel, s, samples in zip(c.tolist(), score.tolist(), began.tolist(), strict=True):
            out.begin(channel, "v21", end_hop * HOP - samples, "v21_hdlc", min(1.0, s), {"flags": 5})

    def _end(self, end_hop: int, c: NDArray[np.intp], power: NDArray[np.float32], out: Reports) -> None:
        # All hops since the last time, and before them what may have been low already.
        low = power < _LOW * self._power[c]
        two = low[1:] & low[:-1]
        four = two[2:] & two[:-2]
        gone = four.any(0)
        if not gone.any():
            return
        ago = RING - four[:, gone].argmax(0)
        for channel, hops in zip(c[gone].tolist(), ago.tolist(), strict=True):
            out.end(channel, "v21", (end_hop - hops) * HOP)
        self._told[c[gone]] = False
        self._any_told = bool(self._told.any())


_WINDOW: Final = 27
"""Samples of a bit."""
_EVERY: Final = 5
"""The signal is demodulated at every fifth sample."""
_MARK_LESS_SPACE: Final = np.array([1, 1, -1, -1], np.float32)
_FLAGS: Final = 5
_HALF: Final = HOP // 2
FLAG_SAMPLES: Final = round(_FLAGS * 8 * RATE / BAUD) + _WINDOW


def flags(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much `x[channels, FLAG_SAMPLES]` looks like flags: 1 is exactly so, an idle line or mark about 0."""
    templates, balanced = _templates()
    where, waves = _demodulation()
    parts = np.square(x[:, where].reshape(-1, _WINDOW) @ waves)
    signs = np.sign(parts @ _MARK_LESS_SPACE).reshape(len(x), -1)
    score: NDArray[np.float32] = np.minimum(signs @ templates, signs @ balanced).max(1)
    return score


def _began(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Samples since the beginning of the message at the end of `x[channels, n]`, n a multiple of 40."""
    # Windows of 10 ms, half of each new.
    halves = x.reshape(len(x), -1, _HALF) @ _halves()
    power = np.square(halves[:, :-1, :4] + halves[:, 1:, 4:]).sum(2)[:, ::-1]
    low = power < _LOW * 2 * np.sort(power[:, :24], axis=1)[:, 12:13]
    # Two in a row are no gap inside a bit pattern.
    gap = low[:, 1:] & low[:, :-1]
    first: NDArray[np.int64] = np.where(gap.any(1), gap.argmax(1), power.shape[1] - 1)
    return first * _HALF + _HALF


def _waves(samples: int) -> NDArray[np.float64]:
    """`[samples, 4]`: cosine and sine of mark and of space."""
    angle = 2 * np.pi / RATE * np.arange(samples)[:, None]
    return np.concatenate([wave(angle * hz) for hz in (MARK_HZ, SPACE_HZ) for wave in (np.cos, np.sin)], axis=1)


@cache
def _demodulation() -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """`[places, 27]`: windows of a bit at every fifth sample; and the waves in one."""
    places = np.arange(0, FLAG_SAMPLES - _WINDOW + 1, _EVERY)[:, None]
    return places + np.arange(_WINDOW), _waves(_WINDOW).astype(np.float32)


@cache
def _halves() -> NDArray[np.float32]:
    """`[40, 8]`: the waves in the first half of a window and in the second."""
    return np.hstack(np.split(_waves(HOP), 2)).astype(np.float32)


@cache
def _templates() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`[places, phases]` each, for flags apart and flags that share zeros: every bit counting alike, and ones and zeros
    together counting alike."""
    at = np.arange(0, FLAG_SAMPLES - _WINDOW + 1, _EVERY)[:, None] * BAUD / RATE
    plain = []
    for bits in ((0, 1, 1, 1, 1, 1, 1, 0), (0, 1, 1, 1, 1, 1, 1)):
        phases = np.arange(0, len(bits), _EVERY * BAUD / RATE)
        plain.append(np.take(2 * np.array(bits) - 1, (at + phases).astype(int) % len(bits)))
    signs = np.concatenate(plain, axis=1)
    ones, zeros = (signs > 0).sum(0), (signs < 0).sum(0)
    balanced = np.where(signs > 0, 0.5 / ones, -0.5 / zeros)
    return (signs / len(signs)).astype(np.float32), balanced.astype(np.float32)
