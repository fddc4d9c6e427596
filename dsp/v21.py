"""The V.21 preamble of fax: HDLC flags at 300 bit/s.

ITU-T V.21 channel 2 (1650 Hz mark, 1850 Hz space), T.30 clause 5.3.1: flags for 1 s before every frame. Energy at the
two frequencies flags a channel; on flagged channels the last 107 ms are demodulated and compared with four flags at
every phase. Other traffic on the same frequencies (the JM of V.8, V.21 data) is active but has no flags.
"""

from typing import Final

import numpy as np

from dsp.fsk import FLAG_SAMPLES, V21_WINDOW, flags
from dsp.history import History
from dsp.reports import Reports
from dsp.tones import HOP, STEP, Bank

MARK_HZ: Final = 1650
SPACE_HZ: Final = 1850
_SHARE = np.float32(0.3)
_LEVEL = np.float32(2 * 10 ** (-48 / 10))
_SMOOTH = np.float32(0.3)
_SCORE = 0.72
_GONE_STEPS = 10


class V21Preamble:
    """HDLC flags on `channels` channels. `busy[channel]`: the channel carries V.21 channel 2."""

    def __init__(self, channels: int, bank: Bank, history: History) -> None:
        self._bank, self._history = bank, history
        self._mean, self._away = (np.zeros((2, channels), np.float32) for _ in range(2))
        """Running means of the power at the two frequencies and of the energy, and the way of this step from them."""
        self.any_busy = False
        self.busy = np.zeros(channels, np.bool_)
        self._since = np.zeros(channels, np.int64)
        self._gone = np.zeros(channels, np.int32)
        self._told = np.zeros(channels, np.bool_)

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        np.subtract(self._bank.together["v21"], self._mean[0], out=self._away[0])
        np.subtract(self._bank.energy_20ms, self._mean[1], out=self._away[1])
        self._away *= _SMOOTH
        self._mean += self._away
        busy = self._mean[0] > np.maximum(_SHARE * self._mean[1], _LEVEL)
        self.any_busy = bool(busy.any())
        if not self.any_busy and not self._told.any():
            self.busy = busy
            return
        self._since = np.where(busy & ~self.busy & ~self._told, hop, self._since)
        self.busy = busy
        self._gone = np.where(busy, 0, self._gone + 1)
        for c in (self._told & (self._gone >= _GONE_STEPS)).nonzero()[0].tolist():
            out.end(c, "v21", (hop + 2) * HOP - _GONE_STEPS * STEP)
            self._told[c] = False
        heard = hop + 2 - self._since
        waiting = (busy & ~self._told & (heard * HOP >= FLAG_SAMPLES) & (heard % 4 == 0)).nonzero()[0]
        if not waiting.size:
            return
        score = flags(self._history.last(waiting, FLAG_SAMPLES + V21_WINDOW), MARK_HZ, SPACE_HZ)
        for c, s in zip(waiting[score > _SCORE].tolist(), score[score > _SCORE].tolist(), strict=True):
            self._told[c] = True
            out.begin(c, "v21", int(self._since[c]) * HOP, "v21_hdlc", min(1.0, float(s)), {"flags": 4})
