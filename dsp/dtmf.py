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


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        self._rows = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ])
        self._nominal = np.array(LOW_HZ + HIGH_HZ, np.float32)
        self._shift = (np.array([bank.grid_hz[r] for r in self._rows]) - self._nominal).astype(np.float32)
        self._low = slice(self._rows[0], self._rows[3] + 1)
        self._high = slice(self._rows[4], self._rows[7] + 1)
        self._contiguous = bool(np.all(np.diff(self._rows[:4]) == 1) and np.all(np.diff(self._rows[4:]) == 1))
        self.code = np.full(channels, -1, np.int8)
        """Digit being heard on each channel, -1 for none."""
        self._told = np.zeros(channels, np.bool_)
        self._sum, self._top, self._first = (np.zeros(channels, np.float32) for _ in range(3))
        self._tail, self._all = (np.zeros(channels, np.float32) for _ in range(2))
        self._tone = np.zeros((2, channels), np.float32)
        self._turn = np.zeros((2, channels), np.complex64)
        self._full, self._start = (np.zeros(channels, np.int64) for _ in range(2))
        self._energy = np.zeros((3, channels), np.float32)
        """Energy of each hop less a known tone under the digits."""
        self._bad = np.zeros(channels, np.int8)

    def step(self, hop: int, other_tone: NDArray[np.float32], out: Reports) -> None:
        """The two hops after hop number `hop`. `other_tone[channels]`: mean square of a known tone under the digits."""
        power = self._bank.power
        both = power[1:] + power[:-1]
        low = (both[:, self._low] if self._contiguous else both[:, self._rows[:4]]).max(1)
        high = (both[:, self._high] if self._contiguous else both[:, self._rows[4:]]).max(1)
        self._energy[0] = self._energy[2]
        np.subtract(self._bank.energy[1:], other_tone / 2, out=self._energy[1:])
        energy = self._energy[1:] + self._energy[:-1]
        heard = (low + high) > _SHARE * energy
        heard &= np.minimum(low, high) > 2 * _LEVEL
        heard &= high < _TWIST_HIGH * low
        heard &= high > _TWIST_LOW * low
        busy = heard.any(0)
        busy |= self.code >= 0
        channels = np.flatnonzero(busy)
        if channels.size:
            for k in (1, 2):
                self._hop(hop + k, k, channels, heard[k - 1, channels], out)

    def _hop(self, hop: int, k: int, c: NDArray[np.intp], heard: NDArray[np.bool_], out: Reports) -> None:
        power = self._bank.power[:, self._rows[:, None], c[None, :]]
        both = power[k] + power[k - 1]
        i, j = both[:4].argmax(0), both[4:].argmax(0) + 4
        n = np.arange(c.size)
        now, before = np.sqrt(power[k, i, n] + power[k, j, n]), np.sqrt(power[k - 1, i, n] + power[k - 1, j, n])
        code = (4 * i + j - 4).astype(np.int8)
        going = self.code[c] >= 0
        alive = now + before >= _ALIVE * self._top[c]
        same = going & heard & alive & (code == self.code[c])
        self._bad[c] = np.where(same, 0, self._bad[c] + 1)
        over = going & ~same & (~alive | (self._bad[c] >= _PATIENCE))
        if over.any():
            self._finish(hop, c[over], out)
        fresh = heard & (self.code[c] < 0)
        if fresh.any():
            self._begin(hop, c[fresh], code[fresh], before[fresh], now[fresh])
        if same.any():
            self._go_on(hop, k, c[same], i[same], j[same], now[same], before[same])
            self._tell(c[same], out)

    def _begin(
        self,
        hop: int,
        c: NDArray[np.intp],
        code: NDArray[np.int8],
        before: NDArray[np.float32],
        now: NDArray[np.float32],
    ) -> None:
        self.code[c], self._told[c], self._bad[c] = code, False, 0
        self._first[c], self._sum[c], self._top[c] = before + now, before + now, np.maximum(before, now)
        self._tone[:, c], self._all[c] = 0, 0
        self._tail[c], self._full[c], self._start[c], self._turn[:, c] = 0, hop, hop, 0

    def _go_on(
        self,
        hop: int,
        k: int,
        c: NDArray[np.intp],
        i: NDArray[np.intp],
        j: NDArray[np.intp],
        now: NDArray[np.float32],
        before: NDArray[np.float32],
    ) -> None:
        self._sum[c] += now
        self._all[c] += self._energy[k, c]
        self._top[c] = np.maximum(self._top[c], now)
        full = now > 0.8 * self._top[c]
        self._full[c] = np.where(full, hop, self._full[c])
        self._tail[c] = np.where(full, 0, self._tail[c] + now)
        steady = np.minimum(now, before) > 0.6 * self._top[c]
        for group, tone in enumerate((i, j)):
            rows = self._rows[tone]
            self._tone[group, c] += self._bank.power[k, rows, c]
            z = self._bank.re[k, rows, c] + 1j * self._bank.im[k, rows, c]
            z *= self._bank.re[k - 1, rows, c] - 1j * self._bank.im[k - 1, rows, c]
            self._turn[group, c] += np.where(steady, z, 0)

    def _tell(self, c: NDArray[np.intp], out: Reports) -> None:
        hops = self._sum[c] / self._top[c]
        c = c[~self._told[c] & (hops >= _SURE_HOPS) & (hops < _HOPELESS_HOPS)]
        if not c.size:
            return
        tones = np.stack([self.code[c] // 4, self.code[c] % 4 + 4]).astype(np.intp)
        turn = self._turn[:, c]
        offset = np.angle(turn) / np.float32(2 * np.pi * HOP_S) + self._shift[tones]
        deviation = offset / self._nominal[tones]
        # A tone beside the bank's frequency shows only a part of its power in 10 ms.
        low, high = self._tone[:, c] / np.sinc((offset - self._shift[tones]) * np.float32(HOP_S)) ** 2
        good = (np.abs(deviation) <= _DEVIATION).all(0) & (np.abs(turn) > 0).all(0)
        good &= (low + high > _SURE_SHARE * self._all[c]) & (high < _SURE_HIGH * low) & (high > _SURE_LOW * low)
        for at in np.flatnonzero(good):
            channel = int(c[at])
            self._told[channel] = True
            begin = HOP * (self._start[channel] - min(self._first[channel] / self._top[channel], 2))
            out.begin(
                channel, "dtmf", begin, DIGITS[self.code[channel]], 1.0,
                {"deviation_percent": [round(100 * float(d), 1) for d in deviation[:, at]]},
            )  # fmt: skip

    def _finish(self, hop: int, c: NDArray[np.intp], out: Reports) -> None:
        for channel in c[self._told[c]].tolist():
            top = self._top[channel]
            out.end(channel, "dtmf", self._full[channel] * HOP + min(self._tail[channel] / top, 1) * HOP)
        self.code[c] = -1
        self._told[c] = False
        self._top[c] = 0
