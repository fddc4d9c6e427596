"""DTMF digits.

ITU-T Q.23 (frequencies), Q.24 (receivers). In each window of two hops (20 ms, every 10 ms) the strongest tone of
either group must together carry most of the energy, within level and twist. Then, only on channels where that holds:
the digit lasts as long as the sum of its hop amplitudes divided by the largest (which measures a 23 ms burst as 2.3
hops wherever the hop boundaries fall), and both frequencies come from the turn of phase between hops. A digit is
reported when 32 ms of it are sure, both tones are within 2.3 %, the twist is within -9.5..+6.5 dB and 88 % of the
energy is theirs: that refuses speech, whose second tone is weak and never alone. It ends with the first window that
has no more than a small part of its amplitude, so a break of 10 ms does not split it and a pause of 30 ms does.

Where a steady dial tone is known to sound, its power is taken out of the energy first.

Limits: 10 ms windows let one group leak into the other, which costs about 0.5 % of frequency precision at high twist.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, Bank

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
DIGITS: Final = "123A456B789C*0#D"

_SHARE = 0.62
_TWIST_HIGH = 10 ** (7.5 / 10)
_TWIST_LOW = 10 ** (-11.0 / 10)
_LEVEL = 10 ** (-44 / 10)
_SURE_HOPS = 3.2
_HOPELESS_HOPS = 12
"""What has not been a digit for so long will be none."""
_SURE_SHARE = 0.88
_SURE_HIGH = 10 ** (6.5 / 10)
_SURE_LOW = 10 ** (-9.5 / 10)
_DEVIATION = 0.023
_ALIVE = 0.6
_PATIENCE = 3


# What is known of the digit that a channel is hearing: rows of one matrix, so that the few channels with a digit are
# taken out of it and put back in one go.
(_CODE, _TOLD, _BAD, _FULL, _START, _FIRST, _SUM, _TOP, _TAIL, _ENERGY, _TONE, _RE, _IM, _ROWS) = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, slice(10, 12), slice(12, 14), slice(14, 16), 16,
)  # fmt: skip

Floats = NDArray[np.float64]


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        self._rows = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ], np.intp)
        self._nominal = np.array(LOW_HZ + HIGH_HZ, np.float64)
        self._shift = np.array([bank.grid_hz[r] for r in self._rows]) - self._nominal
        self._energy = np.zeros((3, channels), np.float32)
        """Energy of each hop less a known tone under the digits."""
        self._state = np.zeros((_ROWS, channels), np.float64)
        self._state[_CODE] = -1

    @property
    def sounding(self) -> NDArray[np.bool_]:
        """`[channels]`: something like a digit is being heard."""
        sounding: NDArray[np.bool_] = self._state[_CODE] >= 0
        return sounding

    def step(self, hop: int, other_tone: NDArray[np.float32], out: Reports) -> None:
        """The two hops after hop number `hop`. `other_tone[channels]`: mean square of a known tone under the digits."""
        self._energy[0] = self._energy[2]
        np.subtract(self._bank.energy[1:], other_tone / 2, out=self._energy[1:])
        power = self._bank.power[:, self._rows]
        both = power[1:] + power[:-1]
        low, high = both[:, :4].max(1), both[:, 4:].max(1)
        heard = (low + high) > _SHARE * (self._energy[1:] + self._energy[:-1])
        heard &= np.minimum(low, high) > 2 * _LEVEL
        heard &= high < _TWIST_HIGH * low
        heard &= high > _TWIST_LOW * low
        c = np.flatnonzero(heard[0] | heard[1] | (self._state[_CODE] >= 0))
        if c.size:
            state = self._state[:, c]
            for k in (1, 2):
                self._hop(hop + k, k, c, state, power[k - 1 : k + 1, :, c], heard[k - 1, c], out)
            self._state[:, c] = state

    def _hop(
        self, hop: int, k: int, c: NDArray[np.intp], s: Floats, power: NDArray[np.float32], heard: NDArray[np.bool_],
        out: Reports,
    ) -> None:  # fmt: skip
        """Hop `k` of the step on channels `c`: state `s[rows, c]` (changed), `power[hop before and this, tones, c]`."""
        both = power[0] + power[1]
        tone = np.array([both[:4].argmax(0), both[4:].argmax(0) + 4])
        of_tones = power[:, tone, np.arange(c.size)]
        before, now = np.sqrt(of_tones[:, 0] + of_tones[:, 1])
        code = 4 * tone[0] + tone[1] - 4
        going = s[_CODE] >= 0
        alive = now + before >= _ALIVE * s[_TOP]
        same = going & heard & alive & (code == s[_CODE])
        s[_BAD] = np.where(same, 0, s[_BAD] + 1)
        over = going & ~same & (~alive | (s[_BAD] >= _PATIENCE))
        if over.any():
            _finish(c[over], s[:, over], out)
            s[_CODE, over], s[_TOP, over] = -1, 0
        fresh = heard & (s[_CODE] < 0)
        if fresh.any():
            begun = np.zeros((_ROWS, int(fresh.sum())))
            begun[_CODE], begun[_FULL], begun[_START] = code[fresh], hop, hop
            begun[_FIRST] = begun[_SUM] = before[fresh] + now[fresh]
            begun[_TOP] = np.maximum(before, now)[fresh]
            s[:, fresh] = begun
        if same.any():
            rest = s[:, same]
            self._go_on(hop, k, c[same], rest, tone[:, same], now[same], before[same])
            rest[_TONE] += of_tones[1][:, same]
            self._tell(c[same], rest, out)
            s[:, same] = rest

    def _go_on(
        self, hop: int, k: int, c: NDArray[np.intp], s: Floats, tone: NDArray[np.intp], now: NDArray[np.float32],
        before: NDArray[np.float32],
    ) -> None:  # fmt: skip
        s[_SUM] += now
        s[_ENERGY] += self._energy[k, c]
        s[_TOP] = np.maximum(s[_TOP], now)
        full = now > 0.8 * s[_TOP]
        s[_FULL] = np.where(full, hop, s[_FULL])
        s[_TAIL] = np.where(full, 0, s[_TAIL] + now)
        steady = np.minimum(now, before) > 0.6 * s[_TOP]
        rows = self._rows[tone]
        re0, re1 = self._bank.re[k - 1 : k + 1, rows, c]
        im0, im1 = self._bank.im[k - 1 : k + 1, rows, c]
        s[_RE] += steady * (re1 * re0 + im1 * im0)
        s[_IM] += steady * (im1 * re0 - re1 * im0)

    def _tell(self, c: NDArray[np.intp], s: Floats, out: Reports) -> None:
        """Report the digits that have become sure on channels `c`."""
        hops = s[_SUM] / s[_TOP]
        due = np.flatnonzero((s[_TOLD] == 0) & (hops >= _SURE_HOPS) & (hops < _HOPELESS_HOPS))
        if not due.size:
            return
        d = s[:, due]
        code = d[_CODE].astype(np.intp)
        tones = np.array([code // 4, code % 4 + 4])
        beside = np.arctan2(d[_IM], d[_RE]) / (2 * np.pi * HOP_S)
        deviation = (beside + self._shift[tones]) / self._nominal[tones]
        # A tone beside the bank's frequency shows only a part of its power in 10 ms.
        low, high = d[_TONE] / np.sinc(beside * HOP_S) ** 2
        good = (np.abs(deviation) <= _DEVIATION).all(0) & (d[_RE] != 0).all(0)
        good &= (low + high > _SURE_SHARE * d[_ENERGY]) & (high < _SURE_HIGH * low) & (high > _SURE_LOW * low)
        s[_TOLD, due[good]] = 1
        for at in np.flatnonzero(good).tolist():
            begin = HOP * (d[_START, at] - min(d[_FIRST, at] / d[_TOP, at], 2))
            evidence = {"deviation_percent": [round(100 * float(x), 1) for x in deviation[:, at]]}
            out.begin(int(c[due[at]]), "dtmf", begin, DIGITS[code[at]], 1.0, evidence)


def _finish(c: NDArray[np.intp], s: Floats, out: Reports) -> None:
    told = s[_TOLD] > 0
    ends = HOP * (s[_FULL] + np.minimum(s[_TAIL] / s[_TOP], 1))
    for channel, end in zip(c[told].tolist(), ends[told].tolist(), strict=True):
        out.end(channel, "dtmf", end)
