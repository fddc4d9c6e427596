"""Sound and speech activity, level, noise floor.

Two levels of each step (20 ms) are compared with their noise floors: the whole one, without offset and hum, and that
of the tones between 200 and 700 Hz, where voices have their strength and white noise has little of its own. A floor is
the quietest 160 ms of the last 2.56 s (minimum statistics after R. Martin, 2001), or of the last 480 ms where these
stood still, as noise does when a line is switched through. It never rises above -36 dBm0, so that steady loud sound
stays sound. 160 ms together, because single steps of noise differ, most of all those of the few tones: against the
quietest step of many no bar is both low enough for a weak sound and high enough for noise.

A step is loud well above either floor, and faint a little above it. Speech is sound that moves and that no tone, digit
or carrier explains: it begins with two loud steps of three, reaches back over the faint ones before them, goes on while
steps are loud or two running are faint, and ends with the last of these, which is known 200 ms later; or up to 60 ms
after it where so little of the voice stands out of the noise that the end of a word cannot. Sound whose level
stands still within 3 dB, whatever it is, waits: if it moves it was speech from its beginning, if it ends it was none,
unless it was too short to know. So tones are no speech before anybody has named them, and what only might be a tone
takes no speech away. Sound that turns out to be a tone or a carrier after all was no speech: its event is withdrawn,
which is an end at its start. On a line that carries data only what is voiced is speech.

For the class of a call, `voiced` marks steps with most of their energy between 150 and 750 Hz, where speech and music
have it and modems do not.

Weak points: music is speech to it, and so is any noise that does not stand still. A step of as much power as 2 dB less
than white noise is loud, so consonants farther under the noise are lost.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.levels import FLOOR_DBM0
from dsp.reports import Reports
from dsp.tones import STEP, Bank

VOICED_HZ: Final = (200, 300, 400, 500, 600, 700)
"""Whole hundreds do not leak into each other in a hop of 10 ms."""

_ABOVE_DB: Final = np.array([[[2.2], [4.0]], [[1.3], [4.0]]], np.float32)
"""Loud and faint: above the quietest 160 ms of the whole and of the voiced level. Steps of white noise of one power
differ by some 0.5 and 1.3 dB (one sigma); the quietest 160 ms of 16 lie 0.3 and 0.8 dB under their mean."""
_QUIETEST_UNDER_MEAN_DB = np.float32(0.3)
_WHITE_SPREAD_DB: Final = np.array([[0.5], [1.2]], np.float32)
_TIMES_SPREAD, _MOST_DB = np.float32(2.0), np.float32(3.0)
"""Noise of a narrow band differs more from step to step, and so much higher stand its bars."""
_FLOOR_TOP = np.float32(-36.0)
_FLOOR_BOTTOM: Final = np.array([[-68.0], [-72.5]], np.float32)
_FAINTEST = np.float32(2 * 10 ** (FLOOR_DBM0 / 10))
_OF_TWO_HOPS = np.float32(10 * np.log10(2))
_PART_STEPS: Final = 8
_PARTS: Final = 16
"""Floors are looked for in parts of 160 ms."""
_STILL_PARTS: Final = 3
_STILL_DB = np.float32(2.5)
_VOICED_UNDER_WHOLE_DB = np.float32(3.5)
LATELY: Final = 16
LEVELS: Final = 512
"""Steps (10.24 s) that are remembered."""


class Activity:
    """`level_dbm0`, `active`, `loud`, `faint`, `noise_floor_dbm0`: `[channels]`, after every `step`; `steps` counts."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        # Rings: whole without offset and hum, voiced, as it came; loud, faint.
        self._levels = np.full((LEVELS, 3, channels), FLOOR_DBM0, np.float32)
        self._sounds = np.zeros((LEVELS, 2, channels), np.bool_)
        self.level_dbm0 = self._levels[0, 2]
        self.loud, self.faint = self._sounds[0]
        self.active = np.zeros(channels, np.bool_)
        self.noise_floor_dbm0 = np.full(channels, _FLOOR_TOP, np.float32)
        self.steps = 0
        self._quietest = np.full((_PARTS, 2, channels), _FLOOR_TOP, np.float32)
        self._spread = np.zeros((_PARTS, 2, channels), np.float32)
        self._bars = np.empty((2, 2, channels), np.float32)
        self._over = np.empty((2, 2, channels), np.bool_)
        self._recent = np.zeros(channels, np.uint8)
        self._set_floors(self._quietest[0], self._spread[0])

    @property
    def slot(self) -> int:
        """Number of the last step among 16."""
        return (self.steps - 1) % LATELY

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """`[channels]`: of the last step."""
        voiced: NDArray[np.bool_] = self.were_voiced(1)[0]
        return voiced

    @property
    def voiced_lately(self) -> NDArray[np.bool_]:
        """`[16, channels]`: of the last steps, the newest last."""
        return self.were_voiced(LATELY)

    @property
    def loud_lately(self) -> NDArray[np.bool_]:
        """`[16, channels]`: likewise."""
        return self.were_loud(LATELY)

    def were_loud(self, steps: int) -> NDArray[np.bool_]:
        """`[steps, channels]`: loud, the newest last."""
        found: NDArray[np.bool_] = self._sounds[self._last(steps), 0]
        return found

    def were_voiced(self, steps: int) -> NDArray[np.bool_]:
        """`[steps, channels]`: loud, and most of it of a voice's kind; the newest last."""
        levels = self.levels_dbm0(steps)
        voiced: NDArray[np.bool_] = levels[:, 0] - levels[:, 1] < _VOICED_UNDER_WHOLE_DB
        voiced &= self.were_loud(steps)
        return voiced

    def heard_dbm0(self, steps: int) -> NDArray[np.float32]:
        """`[steps, channels]`: levels without offset and hum, the newest last."""
        return self.levels_dbm0(steps)[:, 0]

    def levels_dbm0(self, steps: int) -> NDArray[np.float32]:
        """`[steps, 3, channels]`: without offset and hum, of what is voiced, as it came; the newest last."""
        found: NDArray[np.float32] = self._levels[self._last(steps)]
        return found

    def _last(self, steps: int) -> slice | NDArray[np.intp]:
        """Where the last `steps` stand in the rings, the oldest first."""
        first = (self.steps - steps) % LEVELS
        return slice(first, first + steps) if first + steps <= LEVELS else np.arange(first, first + steps) % LEVELS

    def loudest_dbm0(self, channel: int, first_step: int, end_step: int) -> float:
        """Level, without offset and hum, of the loudest of the steps of one channel that are still remembered."""
        first = max(first_step, self.steps - LEVELS, 0)
        steps = np.arange(first, min(end_step, self.steps)) % LEVELS
        return float(self._levels[steps, 0, channel].max(initial=FLOOR_DBM0))

    def step(self) -> None:
        """Take the bank's last step."""
        bank = self._bank
        now = self.steps % LEVELS
        levels, sounds = self._levels[now], self._sounds[now]
        np.maximum(bank.energy_and_raw_20ms, _FAINTEST, out=levels[::2])
        np.maximum(bank.together.get("voiced", bank.energy_20ms), _FAINTEST, out=levels[1])
        np.log10(levels, out=levels)
        levels *= np.float32(10)
        levels -= _OF_TWO_HOPS
        self.level_dbm0 = levels[2].copy()
        over = np.greater(levels[:2], self._bars, out=self._over)
        np.logical_or(over[:, 0], over[:, 1], out=sounds)
        self.loud, self.faint = sounds
        self._recent <<= 1
        self._recent |= self.loud
        self.active = self._recent > 0
        self.steps += 1
        if self.steps % _PART_STEPS == 0:
            self._follow_floors()

    def _follow_floors(self) -> None:
        """A part of 160 ms is over."""
        part = self.steps // _PART_STEPS - 1
        first = part * _PART_STEPS % LEVELS
        levels = self._levels[first : first + _PART_STEPS]
        quietest, spread, at = self._quietest, self._spread, part % _PARTS
        np.add.reduce(levels[:, :2], axis=0, out=quietest[at])
        quietest[at] /= _PART_STEPS
        np.maximum.reduce(levels[:, :2], axis=0, out=spread[at])
        spread[at] -= quietest[at]
        floors = np.minimum.reduce(quietest, axis=0)
        lately = quietest.take(range(part + 1 - _STILL_PARTS, part + 1), 0, mode="wrap")
        last = np.minimum.reduce(lately, axis=0)
        lately += spread.take(range(part + 1 - _STILL_PARTS, part + 1), 0, mode="wrap")
        still = np.maximum.reduce(lately[:, 0], axis=0) - last[0] < _STILL_DB
        np.copyto(floors, last, where=still)
        self._set_floors(floors, np.minimum.reduce(spread, axis=0))

    def _set_floors(self, floors_dbm0: NDArray[np.float32], spread_db: NDArray[np.float32]) -> None:
        """`[2, channels]`: the quietest 160 ms lately, of the whole and of the voiced level, and how far the loudest
        step of such a part was above its mean where it was least."""
        floors = np.minimum(floors_dbm0, _FLOOR_TOP)
        np.maximum(floors, _FLOOR_BOTTOM, out=floors)
        self.noise_floor_dbm0 = floors[0] + _QUIETEST_UNDER_MEAN_DB
        floors += np.clip(_TIMES_SPREAD * (spread_db - _WHITE_SPREAD_DB), 0, _MOST_DB)
        np.add(floors, _ABOVE_DB, out=self._bars)


_ENOUGH: Final = np.array([(bits & 7).bit_count() >= 2 or (bits >> 1).bit_count() >= 2 for bits in range(16)])
"""Two loud steps of three, at this step or the one before."""
_BACK: Final = np.array([next((n for n in range(8) if not bits >> n & 3), 8) for bits in range(256)])
"""How far back two steps running without any sound lie."""
_HANGOVER_STEPS: Final = 10
_AGO: Final = np.arange(_HANGOVER_STEPS - 1, -1, -1, dtype=np.uint16)[:, None]
_HANGOVER: Final = np.uint16((1 << _HANGOVER_STEPS) - 1)
"""Speech is over when none of so many steps, remembered as bits, was speech."""
_EXPLAINED: Final = np.uint8(31)
_EXPLAINED_BITS: Final = 8
"""Speech that goes on is over when five steps running are explained; one or two are a digit's worth of a vowel."""
_WITHDRAWN_STEPS: Final = 32
_EXPLAINED_STEPS: Final = 7
_NEAR_STEPS: Final = 8
_AGAIN_STEPS: Final = 8
"""What sounds again so soon is the same sound."""
_PACE_STEPS: Final = 2
"""Sound that waits is looked at so often."""
_MOVES_DB = np.float32(3.0)
"""The beats of two tones that are 40 Hz apart move the levels of steps by 2 dB, noise by some 1.5 dB."""
_BRIEF_STEPS: Final = 7
_KNOWN: Final = 3
"""What is over so soon after its beginning, with fewer steps known, is not said to stand still."""
_HIDDEN_DB, _A_STEP_DB, _HIDDEN_STEPS = 38.0, 6.0, 3
"""Where the loudest step of speech is less than that above the noise, the end of the last word is taken to be hidden,
one step of it for each 6 dB that are missing: a sound that dies away falls by some 100 to 300 dB a second."""
_OTHERS: Final = ("dtmf", "cng", "answer_tone", "calling_tone", "v21", "carrier", "progress")


class Speech:
    """Stretches of speech on `channels` channels, as events."""

    def __init__(self, channels: int) -> None:
        # The last steps of a channel as bits, the newest lowest: what was speech, at least faint, explained.
        self._heard = np.zeros(channels, np.uint16)
        self._faint, self._explained = (np.zeros(channels, np.uint8) for _ in range(2))
        self._since_explained = _EXPLAINED_BITS
        self.on = np.zeros(channels, np.bool_)
        self._held = np.zeros(channels, np.bool_)
        """There is sound of which it is not known yet whether it moves."""
        self._began, self._ended = (np.zeros(channels, np.int64) for _ in range(2))
        self._last_held = np.full(channels, -_AGAIN_STEPS - 1, np.int64)

    def step(self, activity: Activity, explained: NDArray[np.bool_] | None, out: Reports) -> None:
        """After each step of `activity`. `explained`: a tone, a digit or data that was told sounds there; None:
        nowhere."""
        faint, heard, on = self._faint, self._heard, self.on
        faint <<= 1
        faint |= activity.faint
        speech = (faint & 3) == 3
        speech &= on
        speech |= activity.loud
        self._since_explained = 0 if explained is not None else self._since_explained + 1
        if self._since_explained <= _EXPLAINED_BITS:
            self._explain(explained, speech)
        heard <<= 1
        heard |= speech
        heard &= _HANGOVER
        silent = np.equal(heard, 0)
        ends = (silent & on).nonzero()[0]
        if activity.steps % _PACE_STEPS == 0:
            silent |= on
            c = (~silent).nonzero()[0]
            enough = _ENOUGH[heard[c] & 15]
            some = (enough | self._held[c]).nonzero()[0]
            if some.size:
                self._consider(c[some], enough[some], activity, out)
        for channel in ends.tolist():
            self._end(channel, activity, out)

    def _explain(self, explained: NDArray[np.bool_] | None, speech: NDArray[np.bool_]) -> None:
        """Take out of `speech` what is explained."""
        self._explained <<= 1
        if explained is not None:
            self._explained |= explained
            over = (self._explained & _EXPLAINED) == _EXPLAINED
            np.putmask(self._heard, over, self._heard & ~np.uint16(_EXPLAINED))
            # What is told now began a little before.
            new = np.greater(explained, self.on)
            np.putmask(self._heard, new, 0)
            over |= new
            np.greater(speech, over, out=speech)
            np.greater(self._held, explained, out=self._held)
            self._last_held[explained] = -_AGAIN_STEPS - 1

    def _consider(self, c: NDArray[np.intp], enough: NDArray[np.bool_], activity: Activity, out: Reports) -> None:
        """Sound on channels `c`: speech if it moves, or is over before it can be known to stand still."""
        now = activity.steps
        first = (now - self._last_held[c] > _AGAIN_STEPS).nonzero()[0]
        if first.size:
            f = c[first]
            back = np.maximum(_BACK[self._faint[f] | (self._heard[f] & 255)], 2)
            self._began[f] = np.maximum(now - back, self._ended[f])
        self._last_held[c[enough]] = now
        moves, known = self._moves(c, activity)
        speech = moves | ~enough & (known < _KNOWN) & (now - self._began[c] <= _BRIEF_STEPS)
        self._held[c] = enough & ~speech
        for channel in c[speech].tolist():
            self.on[channel] = True
            out.begin(channel, "speech", int(self._began[channel]) * STEP, "speech", 0.8)

    def _moves(self, c: NDArray[np.intp], activity: Activity) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """Whether what sounds on channels `c` is louder at one time than at another, as tones and noise are not, and
        how many of its last 200 ms are known: the steps between two others that are loud as well."""
        bits = self._heard[c]
        bits &= (bits >> 1) & (bits << 1)
        levels = activity.heard_dbm0(_HANGOVER_STEPS)[:, c]
        inner = ((bits >> _AGO) & 1).astype(np.bool_)
        most = np.where(inner, levels, -np.inf).max(0)
        least = np.where(inner, levels, np.inf).min(0)
        moves = most - least > _MOVES_DB
        # The newest step may be cut where the sound ends, but not where it rises.
        moves |= inner[-2] & (levels[-1] - levels[-2] > _MOVES_DB)
        return moves, np.bitwise_count(bits)

    def _end(self, c: int, activity: Activity, out: Reports) -> None:
        """At the last step of speech, or a little later in noise; where something else began, or at the start if that
        began there too."""
        self.on[c] = False
        began, end = int(self._began[c]), activity.steps - _HANGOVER_STEPS
        out_of_noise_db = activity.loudest_dbm0(c, began, end) - float(activity.noise_floor_dbm0[c])
        if end - began <= _WITHDRAWN_STEPS and int(self._explained[c]).bit_count() >= _EXPLAINED_STEPS:
            end = began
        else:
            end += min(max(math.ceil((_HIDDEN_DB - out_of_noise_db) / _A_STEP_DB), 0), _HIDDEN_STEPS)
        for other in (out.open(c, kind) for kind in _OTHERS):
            if other is not None and other.start_sample < end * STEP:
                start = other.start_sample // STEP
                end = began if start <= began + _NEAR_STEPS else start
        self._ended[c] = end
        out.end(c, "speech", end * STEP)
