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

_SHARE = np.float32(0.62)
_TWIST_HIGH = np.float32(10 ** (7.5 / 10))
_TWIST_LOW = np.float32(10 ** (-11.0 / 10))
_LEVEL = np.float32(10 ** (-44 / 10))
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
_SEEN = slice(9, 16)

Floats = NDArray[np.float64]


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        self._rows = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ], np.intp)
        self._nominal = np.array(LOW_HZ + HIGH_HZ, np.float64)
        self._shift = np.array([bank.grid_hz[r] for r in self._rows]) - self._nominal
        self._state = np.zeros((_ROWS, channels), np.float64)
        self._state[_CODE] = -1
        self._bar, self._both = (np.zeros((2, channels), np.float32) for _ in range(2))
        self.sounding = np.zeros(channels, np.bool_)
        """`[channels]`: something like a digit is being heard."""
        self.any_sounding = False

    def step(self, hop: int, other_tone: NDArray[np.float32] | None, out: Reports) -> None:
        """The two hops after hop number `hop`. `other_tone[channels]`: power, in two hops together, of a known tone
        under the digits."""
        # The cheap sign: what all eight tones hold together is never less than what the two strongest do.
        together, energy = self._bank.hops_together["dtmf"], self._bank.energy
        np.add(energy[1:], energy[:-1], out=self._bar)
        if other_tone is not None:
            self._bar -= other_tone
        self._bar *= _SHARE
        np.maximum(self._bar, 4 * _LEVEL, out=self._bar)
        np.add(together[1:], together[:-1], out=self._both)
        sign = np.logical_or.reduce(self._both > self._bar, axis=0)
        if self.any_sounding:
            sign |= self.sounding
        c = sign.nonzero()[0]
        if c.size:
            self._sift(hop, c, other_tone, out)

    def _sift(self, hop: int, c: NDArray[np.intp], other_tone: NDArray[np.float32] | None, out: Reports) -> None:
        """Of channels `c`, those with a window that may be of a digit, or with a digit that goes on."""
        power = self._bank.power[:, self._rows[:, None], c]
        windows = power[1:] + power[:-1]
        energy = self._bank.energy[:, c]
        if other_tone is not None:
            energy -= other_tone[c] / 2
        groups = windows.reshape(2, 2, 4, -1)
        low, high = groups.max(2).swapaxes(0, 1)
        heard = (low + high) > _SHARE * (energy[1:] + energy[:-1])
        heard &= (np.minimum(low, high) > 2 * _LEVEL) & (high < _TWIST_HIGH * low) & (high > _TWIST_LOW * low)
        kept = (heard[0] | heard[1] | self.sounding[c]).nonzero()[0]
        if not kept.size:
            return
        c, heard = c[kept], heard[:, kept]
        tones = groups[..., kept].argmax(2)
        tones[:, 1] += 4
        # The strongest tones' power before and in each hop: [before or in, hop, tone, channel].
        hops = np.arange(2)[:, None, None]
        of_tones = np.array((power[hops, tones, kept], power[hops + 1, tones, kept]))
        before, now = np.sqrt(of_tones[:, :, 0] + of_tones[:, :, 1])
        along, across = self._bank.turns(self._rows[tones], c)
        code = 4 * tones[:, 0] + tones[:, 1] - 4
        state = self._state[:, c]
        for k in (0, 1):
            seen = np.concatenate([energy[k + 1 : k + 2, kept], of_tones[1, k], along[k], across[k]])
            self._hop(hop + k + 1, c, state, heard[k], code[k], before[k], now[k], seen, out)
        self._state[:, c] = state
        self.sounding[c] = state[_CODE] >= 0
        self.any_sounding = bool(self.sounding.any())

    def _hop(
        self,
        hop: int,
        c: NDArray[np.intp],
        s: Floats,
        heard: NDArray[np.bool_],
        code: NDArray[np.intp],
        before: NDArray[np.float32],
        now: NDArray[np.float32],
        seen: NDArray[np.float32],
        out: Reports,
    ) -> None:
        """One hop of channels `c`: state `s[rows, c]` (changed), the code of the strongest tones, their amplitude in
        the hop before and in this one, and what else is summed up while a digit goes on."""
        going = s[_CODE] >= 0
        alive = now + before >= _ALIVE * s[_TOP]
        same = going & heard & alive & (code == s[_CODE])
        s[_BAD] += 1
        s[_BAD, same] = 0
        over = going & ~(alive & (s[_BAD] < _PATIENCE))
        if over.any():
            _finish(c[over], s[:, over], out)
            s[_CODE, over], s[_TOP, over] = -1, 0
        fresh = (heard & (s[_CODE] < 0)).nonzero()[0]
        if fresh.size:
            s[:, fresh] = 0
            s[_CODE, fresh], s[_FULL, fresh], s[_START, fresh] = code[fresh], hop, hop
            s[_FIRST, fresh] = s[_SUM, fresh] = before[fresh] + now[fresh]
            s[_TOP, fresh] = np.maximum(before, now)[fresh]
        goes_on = same.nonzero()[0]
        if goes_on.size:
            rest = s[:, goes_on]
            _go_on(hop, rest, before[goes_on], now[goes_on], seen[:, goes_on])
            self._tell(c[goes_on], rest, out)
            s[:, goes_on] = rest

    def _tell(self, c: NDArray[np.intp], s: Floats, out: Reports) -> None:
        """Report the digits that have become sure on channels `c`."""
        long = s[_SUM] >= _SURE_HOPS * s[_TOP]
        long &= s[_TOLD] == 0
        if not long.any():
            return
        due = (long & (s[_SUM] < _HOPELESS_HOPS * s[_TOP])).nonzero()[0]
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
        for at in good.nonzero()[0].tolist():
            begin = HOP * (d[_START, at] - min(d[_FIRST, at] / d[_TOP, at], 2))
            evidence = {"deviation_percent": [round(100 * float(x), 1) for x in deviation[:, at]]}
            out.begin(int(c[due[at]]), "dtmf", begin, DIGITS[code[at]], 1.0, evidence)


def _go_on(
    hop: int, s: Floats, before: NDArray[np.float32], now: NDArray[np.float32], seen: NDArray[np.float32]
) -> None:
    s[_SUM] += now
    np.maximum(s[_TOP], now, out=s[_TOP])
    full = now > 0.8 * s[_TOP]
    s[_TAIL] += now
    s[_FULL, full], s[_TAIL, full] = hop, 0
    # Where the amplitude moves, the phase does too.
    seen[3:] *= np.minimum(now, before) > 0.6 * s[_TOP]
    s[_SEEN] += seen


def _finish(c: NDArray[np.intp], s: Floats, out: Reports) -> None:
    told = s[_TOLD] > 0
    ends = HOP * (s[_FULL] + np.minimum(s[_TAIL] / s[_TOP], 1))
    for channel, end in zip(c[told].tolist(), ends[told].tolist(), strict=True):
        out.end(channel, "dtmf", end)
