"""Sound and speech activity, level.

The level of a step (20 ms) without offset and hum is compared with a noise floor that follows it down at once and up
by 1.5 dB a second, and never above -42 dBm0, so that steady loud sound stays sound. A hangover of 160 ms bridges the
gaps between syllables. Speech is activity that no tone, digit or carrier explains, three steps of it within five; its
end is the end of the activity.

For the class of a call, `voiced` marks steps with most of their energy between 150 and 750 Hz, where speech and music
have it and modems do not.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.levels import FLOOR_DBM0
from dsp.tones import Bank

VOICED_HZ: Final = (200, 300, 400, 500, 600, 700)
"""Whole hundreds do not leak into each other in a hop of 10 ms."""

_RISE_DB = np.float32(0.03)
_ABOVE_DB = np.float32(9.0)
_FLOOR_TOP, _FLOOR_BOTTOM = np.float32(-42.0), np.float32(-72.0)
_LEAST_DBM0 = np.float32(-52.0)
_FAINTEST = np.float32(2 * 10 ** (FLOOR_DBM0 / 10))
_OF_TWO_HOPS = np.float32(10 * np.log10(2))
_HANGOVER_STEPS = 8
_VOICED_SHARE = np.float32(0.45)
LATELY: Final = 16
"""Steps (320 ms) of which is kept whether they were loud and voiced."""
LEVELS: Final = 512
"""Steps (10.24 s) of which the levels are kept."""


class Activity:
    """`level_dbm0`, `active`, `loud`, `voiced`, each `[channels]`, after every `step`.

    `loud_lately`, `voiced_lately` `[16, channels]` are rings of the last steps, for what looks at them at a slower
    pace; `slot` is the newest. `steps` counts.
    """

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        self._levels = np.full((LEVELS, 2, channels), FLOOR_DBM0, np.float32)
        self.loud_lately = np.zeros((LATELY, channels), np.bool_)
        self.voiced_lately = np.zeros((LATELY, channels), np.bool_)
        self.slot = -1
        self.level_dbm0 = self._levels[0, 1]
        self.loud = self.loud_lately[0]
        self.voiced = self.voiced_lately[0]
        self.active = np.zeros(channels, np.bool_)
        self._floor = np.full(channels, -60, np.float32)
        self.steps = 0
        self._last_loud = np.full(channels, -_HANGOVER_STEPS, np.int64)

    def heard_dbm0(self, steps: int) -> NDArray[np.float32]:
        """`[steps, channels]`: levels without offset and hum, the newest last."""
        first = self.steps - steps
        found: NDArray[np.float32]
        if first % LEVELS + steps <= LEVELS:
            found = self._levels[first % LEVELS : first % LEVELS + steps, 0]
        else:
            found = self._levels[np.arange(first, self.steps) % LEVELS, 0]
        return found

    def loudest_dbm0(self, channel: int, first_step: int, end_step: int) -> float:
        """Level, without offset and hum, of the loudest of the steps of one channel that are still remembered."""
        first = max(first_step, self.steps - LEVELS, 0)
        steps = np.arange(first, min(end_step, self.steps)) % LEVELS
        return float(self._levels[steps, 0, channel].max(initial=FLOOR_DBM0))

    def step(self) -> None:
        """Take the bank's last step."""
        slot = self.slot = (self.slot + 1) % LATELY
        levels = self._levels[self.steps % LEVELS]
        np.maximum(self._bank.energy_and_raw_20ms, _FAINTEST, out=levels)
        np.log10(levels, out=levels)
        levels *= np.float32(10)
        levels -= _OF_TWO_HOPS
        heard, floor = levels[0], self._floor
        self.level_dbm0 = levels[1].copy()
        floor += _RISE_DB
        np.minimum(heard, floor, out=floor)
        np.maximum(floor, _FLOOR_BOTTOM, out=floor)
        np.minimum(floor, _FLOOR_TOP, out=floor)
        loud = self.loud = self.loud_lately[slot]
        np.greater(heard, np.maximum(floor + _ABOVE_DB, _LEAST_DBM0), out=loud)
        self._last_loud[loud] = self.steps
        self.active = self._last_loud > self.steps - _HANGOVER_STEPS
        self.steps += 1
        voiced = self.voiced = self.voiced_lately[slot]
        if "voiced" in self._bank.together:
            np.greater(self._bank.together["voiced"], _VOICED_SHARE * self._bank.energy_20ms, out=voiced)
            voiced &= loud


_ENOUGH: Final = np.array([bits.bit_count() >= 3 for bits in range(32)])


class Speech:
    """Stretches of speech as events."""

    def __init__(self, channels: int) -> None:
        # The last five steps of a channel as bits.
        self._recent = np.zeros(channels, np.uint8)
        self.on = np.zeros(channels, np.bool_)

    def step(self, activity: Activity, plain: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
        """Channels where speech began and where it ended; `plain`: no tone, digit or carrier sounds there."""
        self._recent <<= 1
        self._recent |= activity.loud & plain
        self._recent &= 31
        now = np.where(self.on, activity.active & plain, _ENOUGH[self._recent])
        changed = (now != self.on).nonzero()[0]
        self.on = now
        if not changed.size:
            return [], []
        began = now[changed]
        return changed[began].tolist(), changed[~began].tolist()
