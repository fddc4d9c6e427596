"""Call progress tones: frequency first, cadence after.

ITU-T E.180; the plans stand in `dsp.zones`. In every step (20 ms) a channel sounds one of its zone's frequency sets
or none: a single frequency by the share of the last 20 ms and the turn of its phase, a pair by the share of the last
60 ms, which tells 440 from 480 Hz. Two steps alike make a change. Changes are rare, so cadences are matched channel by
channel, where a stretch has ended or, by a calendar, has just become long enough.

A cadence is believed after one whole period where the tone sounds for 0.8 s or more, after two otherwise; a stretch
of silence inside must be 15 dB quieter than the tone and have no digit in it: a dial tone that lasted a second before
the first digit is no ring-back. A continuous tone is believed when it has outlasted every
cadence of its frequencies. The event ends when the next sound is overdue, or after 200 ms for a continuous tone.

Limits: a tone under speech on a mixed line is not a progress tone; ring-back shorter than one burst is not told.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import Activity
from dsp.reports import Reports
from dsp.tones import STEP, Bank
from dsp.zones import Tone, TonePlan

_SHARE_SINGLE = np.float32(0.75)
_SHARE_PAIR = 0.65
_PART_OF_PAIR = 0.08
_LEVEL = 10 ** (-42 / 10)
_STEP_S: Final = STEP / 8000
_SLACK_S: Final = 0.045
_OVER_S: Final = 0.2
"""A continuous tone is over after this."""
_DEPTH: Final = 8
"""Stretches remembered a channel."""
_EDGE: Final = 4
"""Steps at either end of a silence that may still hold a part of the tone."""
_UNDER_STEPS: Final = 15
"""Steps after which a tone that no longer stands alone is taken to be over."""
_AGAIN_STEPS: Final = 60
_QUIET_DB = 15.0


class Progress:
    """Progress tones of one plan on `channels` channels. `now[channel]`: 0, or 1 + the set that sounds."""

    def __init__(self, channels: int, bank: Bank, plan: TonePlan, activity: Activity) -> None:
        self._bank, self._plan, self._activity = bank, plan, activity
        self._single = [i for i, s in enumerate(plan.sets) if len(s) == 1]
        self._pair = [i for i, s in enumerate(plan.sets) if len(s) == 2]
        self._rows = [np.array([bank.row(f) for f in s], np.intp) for s in plan.sets]
        self._single_rows = np.array([self._rows[i][0] for i in self._single], np.intp)
        self._single_shift = np.array([bank.grid_hz[r] for r in self._single_rows], np.float32)
        self._single_shift -= np.array([plan.sets[i][0] for i in self._single], np.float32)
        bank.expect(self._single_rows.tolist(), float(_SHARE_SINGLE))
        pair_rows = sorted({int(r) for i in self._pair for r in self._rows[i]})
        self._pair_rows = np.array(pair_rows, np.intp)
        self._pair_at = {i: [pair_rows.index(int(r)) for r in self._rows[i]] for i in self._pair}
        self._ring = np.zeros((3, 2 * len(pair_rows), channels), np.float32)
        self._energies = np.zeros((3, channels), np.float32)
        self._at = 0
        self.now = np.zeros(channels, np.int8)
        self._sounding = False
        self.lately = False
        """A tone sounds on some channel, or did a second ago."""
        self._silent = np.zeros(channels, np.int8)
        self._seen = self._silent
        self._since = np.full(channels, -1, np.int64)
        """Step in which the stretch of tone or silence began that goes on."""
        self._last = np.full(channels, -_AGAIN_STEPS, np.int64)
        self._last_anywhere = -_AGAIN_STEPS
        self._step = 0
        self._stretches: list[list[tuple[int, float]]] = [[(-1, 0.0)] * _DEPTH for _ in range(channels)]
        self._due = [0] * channels
        self._other = [-1] * channels
        """Step in which a digit was last reported."""
        # What is to be looked at when: step to channel and the beginning of the stretch that makes the look worth it.
        self._looks: dict[int, list[tuple[int, int]]] = {}
        self._wanted = [_Wanted(plan, tone) for tone in plan.tones]
        lengths_s = {_OVER_S, *(w.moment_s for w in self._wanted if w.moment_s is not None)}
        self._moments = sorted(round(s / _STEP_S) + 1 for s in lengths_s)

    def under(self) -> NDArray[np.float32] | None:
        """`[channels]`: mean square, of two hops added, of a tone of the plan that may still sound under digits."""
        if self._step - self._last_anywhere >= _UNDER_STEPS:
            return None
        # 10 ms do not tell 350 from 440 Hz: either row holds most of both.
        of_sets = [
            self._bank.power_20ms[rows].sum(0) * np.float32(1 if rows.size == 1 else 0.55) for rows in self._rows
        ]
        strongest: NDArray[np.float32] = np.maximum.reduce(of_sets)
        strongest[self._step - self._last >= _UNDER_STEPS] = 0
        return strongest

    def heard(self) -> NDArray[np.bool_]:
        """`[channels]`: a tone sounds, or seems to begin again where one sounded a second ago."""
        heard: NDArray[np.bool_] = self.now > 0
        heard |= (self._seen > 0) & (self._last > self._step - _AGAIN_STEPS)
        return heard

    def digit(self, channel: int) -> None:
        """A digit was reported: the silence around it belongs to no cadence."""
        self._other[channel] = self._step

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        step = self._step = hop // 2
        seen = self._sound()
        if seen is not self._seen or self._sounding:
            # Two steps alike make a change: one alone is a blip in speech, or a click in a tone.
            changed = ((seen == self._seen) & (seen != self.now)).nonzero()[0]
            for c in changed.tolist():
                self._change(step - 1, c, out)
            self.now[changed] = seen[changed]
            self._seen = seen
            self._sounding = bool(self.now.any())
            if self._sounding:
                self._last[self.now > 0] = step
                self._last_anywhere = step
        self.lately = step - self._last_anywhere < _AGAIN_STEPS
        for c, since in self._looks.pop(step, ()):
            if since == self._since[c] or step == self._due[c]:
                length = float(step - self._since[c]) * _STEP_S
                current = self._told_apart(c, step, int(self.now[c]))
                self._match(step, c, [*self._stretches[c], (current, length)], out)

    def _change(self, step: int, c: int, out: Reports) -> None:
        """On channel `c` another stretch begins with `step`."""
        length = float(step - self._since[c]) * _STEP_S
        stretches = self._stretches[c]
        stretches.append((self._told_apart(c, step, int(self.now[c])), length))
        del stretches[0]
        self._since[c] = step
        for moment in self._moments:
            self._looks.setdefault(step + moment, []).append((c, step))
        self._match(step + 1, c, stretches, out)

    def _told_apart(self, c: int, step: int, current: int) -> int:
        """The stretch that goes on till `step`: -1 for a silence in which something else sounded, for no cadence goes
        through that."""
        if current != 0:
            return current
        since = int(self._since[c])
        if self._other[c] >= since - _EDGE:
            return -1
        tone_steps = round(self._stretches[c][-1][1] / _STEP_S)
        loud = self._activity.loudest_dbm0(c, since - tone_steps, since)
        inside = self._activity.loudest_dbm0(c, since + _EDGE, step - _EDGE)
        return -1 if inside > loud - _QUIET_DB else 0

    def _sound(self) -> NDArray[np.int8]:
        if not self._pair and not any(self._bank.any_alone[row] for row in self._single_rows):
            return self._silent
        energy = self._bank.energy_20ms
        now = np.zeros(energy.size, np.int8)
        if self._single:
            s, c = np.nonzero(self._bank.alone[self._single_rows])
            rows = self._single_rows[s]
            loud = self._bank.power_20ms[rows, c] > np.maximum(_SHARE_SINGLE * energy[c], 2 * _LEVEL)
            s, c, rows = s[loud], c[loud], rows[loud]
            if c.size:
                hz = self._bank.offset_hz(rows, c)[1] + self._single_shift[s]
                close = np.abs(hz) <= self._plan.tolerance_hz + 3
                now[c[close]] = np.array(self._single, np.int8)[s[close]] + 1
        if self._pair:
            self._pairs(energy, now)
        return now

    def _pairs(self, energy: NDArray[np.float32], now: NDArray[np.int8]) -> None:
        """Coherent sums over 60 ms; the energy of the same time is what they are compared with."""
        half = len(self._pair_rows)
        rows = self._pair_rows
        self._ring[self._at, :half] = self._bank.re[1, rows] + self._bank.re[2, rows]
        self._ring[self._at, half:] = self._bank.im[1, rows] + self._bank.im[2, rows]
        self._energies[self._at] = energy
        self._at = (self._at + 1) % 3
        line = self._ring.sum(0)
        power = (line[:half] ** 2 + line[half:] ** 2) / np.float32(6)
        whole = self._energies.sum(0)
        for i, (a, b) in self._pair_at.items():
            both = power[a] + power[b]
            sounds = both > np.maximum(_SHARE_PAIR * whole, 6 * _LEVEL)
            sounds &= np.minimum(power[a], power[b]) > _PART_OF_PAIR * both
            now[sounds] = i + 1

    def _match(self, step: int, c: int, heard: list[tuple[int, float]], out: Reports) -> None:
        event = out.open(c, "progress")
        for wanted in self._wanted:
            span = wanted.fits(heard)
            if span is None:
                continue
            cadence_s, value = wanted.tone.cadence_s, wanted.tone.value
            if cadence_s:
                self._due[c] = step + round(max(cadence_s) * 1.3 / _STEP_S) + 12
                self._looks.setdefault(self._due[c], []).append((c, -1))
            if event is None or event.value != value:
                start = (step + 1) * STEP - round(span * 8000)
                evidence = {"cadence_s": [round(s, 2) for _, s in heard[-4:]]}
                out.begin(c, "progress", start, value, 0.9, evidence)
            return
        if event is None:
            return
        over = step >= self._due[c]
        if not self._plan.tone(event.value).cadence_s:
            over = heard[-1][0] <= 0
        if over or heard[-1][0] == -1:
            quiet = heard[-1][1] if heard[-1][0] <= 0 else 0.0
            out.end(c, "progress", (step + 1) * STEP - round(quiet * 8000))


class _Wanted:
    """A tone of the plan, with what must be known of its rivals on the same frequencies."""

    def __init__(self, plan: TonePlan, tone: Tone) -> None:
        self.tone = tone
        self.number = plan.sets.index(tone.frequencies_hz) + 1
        same = [t for t in plan.tones if t is not tone and t.frequencies_hz == tone.frequencies_hz]
        bursts = [max(t.cadence_s[::2]) for t in same if t.cadence_s]
        # A continuous tone is sure when it has lasted longer than any burst.
        self.lasting_s = max([0.6, *(1.12 * burst + 0.1 for burst in bursts)])
        # One long burst is enough with a silence that no other cadence would hold after it.
        self.slow = bool(tone.cadence_s) and tone.cadence_s[0] >= 0.8
        pauses = [
            off
            for t in same
            for on, off in zip(t.cadence_s[::2], t.cadence_s[1::2], strict=True)
            if self.slow and _close(on, tone.cadence_s[0])
        ]
        self.silence_s = max([0.8, *(1.15 * off + 0.1 for off in pauses)])

    @property
    def moment_s(self) -> float | None:
        """Length of a stretch that goes on at which this tone may become sure."""
        if not self.tone.cadence_s:
            return self.lasting_s
        return self.silence_s if self.slow else None

    def fits(self, heard: list[tuple[int, float]]) -> float | None:
        """Seconds that the end of `heard` (set, length; the last may go on) has followed this cadence, else None."""
        cadence, number, last = self.tone.cadence_s, self.number, heard[-1]
        if not cadence:
            return last[1] if last[0] == number and last[1] >= self.lasting_s else None
        before = heard[-2]
        burst = self.slow and last[0] == 0 and before[0] == number and _close(before[1], cadence[0])
        if burst and self.silence_s <= last[1] <= 1.12 * cadence[1] + _SLACK_S:
            return before[1] + last[1]
        period = len(cadence)
        need = period if period > 2 else 2 if self.slow else 3
        done = heard[-need:]
        if any(s not in (0, number) for s, _ in done):
            return None
        for phase in range(period):
            if all(
                (s > 0) == ((phase + k) % 2 == 0) and _close(length, cadence[(phase + k) % period])
                for k, (s, length) in enumerate(done)
            ):
                return sum(length for _, length in done)
        return None


def _close(heard_s: float, nominal_s: float) -> bool:
    return abs(heard_s - nominal_s) <= 0.12 * nominal_s + _SLACK_S
