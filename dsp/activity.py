"""Sound and speech activity, level.

The level of a step (20 ms) without offset and hum is compared with a noise floor that follows it down at once and up
by 1.5 dB a second, and never above -42 dBm0, so that steady loud sound stays sound. A hangover of 160 ms bridges the
gaps between syllables. Speech is activity that no tone, digit or carrier explains, three steps of it within five; its
end is the end of the activity.

For the class of a call, `voiced` marks steps with most of their energy between 150 and 750 Hz, where speech and music
have it and modems do not, and `swing_db` follows how much the level moves: carriers stand still, voices do not.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.levels import dbm0
from dsp.tones import Bank

VOICED_HZ: Final = (200, 300, 400, 500, 600, 700)
"""Whole hundreds do not leak into each other in a hop of 10 ms."""

_RISE_DB = 0.03
_FLOOR_TOP, _FLOOR_BOTTOM = -42.0, -72.0
_ABOVE_DB = 9.0
_LEAST_DBM0 = -52.0
_HANGOVER_STEPS = 8
_VOICED_SHARE = 0.45
_SWING = 0.12


class Activity:
    """`level_dbm0`, `active`, `loud`, `voiced`, `swing_db`, each `[channels]`, after every `step`."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        rows = [bank.row(f) for f in VOICED_HZ] if VOICED_HZ[0] in bank.grid_hz else []
        self._voiced_rows = np.array(rows, np.intp)
        self.level_dbm0 = np.full(channels, -90, np.float32)
        self.heard_dbm0 = np.full(channels, -90, np.float32)
        """Level without offset and hum."""
        self.floor_dbm0 = np.full(channels, -60, np.float32)
        self.active = np.zeros(channels, np.bool_)
        self.loud = np.zeros(channels, np.bool_)
        self.voiced = np.zeros(channels, np.bool_)
        self.swing_db = np.full(channels, 10, np.float32)
        self._mean = np.full(channels, -60, np.float32)
        self._hang = np.zeros(channels, np.int8)

    def step(self) -> None:
        """Take the bank's last step."""
        both = np.stack([self._bank.raw[1] + self._bank.raw[2], self._bank.energy[1] + self._bank.energy[2]])
        self.level_dbm0, self.heard_dbm0 = dbm0(both / 2)
        np.minimum(self.heard_dbm0, self.floor_dbm0 + np.float32(_RISE_DB), out=self.floor_dbm0)
        np.clip(self.floor_dbm0, _FLOOR_BOTTOM, _FLOOR_TOP, out=self.floor_dbm0)
        self.loud = self.heard_dbm0 > np.maximum(self.floor_dbm0 + np.float32(_ABOVE_DB), np.float32(_LEAST_DBM0))
        self._hang = np.where(self.loud, np.int8(_HANGOVER_STEPS), np.maximum(self._hang, 1) - np.int8(1))
        self.active = self._hang > 0
        away = self.heard_dbm0 - self._mean
        self._mean += np.float32(_SWING) * away
        self.swing_db += np.float32(_SWING) * (np.abs(away) - self.swing_db)
        if self._voiced_rows.size:
            low = self._bank.power[1:, self._voiced_rows].sum((0, 1))
            self.voiced = self.loud & (low > np.float32(_VOICED_SHARE) * both[1])


class Speech:
    """Stretches of speech as events."""

    def __init__(self, channels: int) -> None:
        self._recent = np.zeros((5, channels), np.bool_)
        self._at = 0
        self.on = np.zeros(channels, np.bool_)

    def step(self, activity: Activity, explained: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Channels where speech began and where it ended; `explained`: a tone, digit or carrier sounds there."""
        self._recent[self._at] = activity.loud & ~explained
        self._at = (self._at + 1) % 5
        enough = self._recent.sum(0) >= 3
        now = np.where(self.on, activity.active & ~explained, enough)
        began, ended = np.flatnonzero(now & ~self.on), np.flatnonzero(self.on & ~now)
        self.on = now
        return began, ended
