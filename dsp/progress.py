"""Call progress tones: frequency first, cadence after.

ITU-T E.180; the plans stand in `dsp.zones`. In every step (20 ms) a channel sounds one of its zone's frequency sets
or none: a single frequency by the share of the last 20 ms and the turn of its phase, a pair by the share of the last
60 ms, which tells 440 from 480 Hz. What changes from step to step is rare, so cadences are matched only on channels
where a stretch ended or has just become long enough.

A cadence is believed after one whole period where the tone sounds for 0.8 s or more, after two otherwise; a stretch
of silence inside must be 15 dB quieter than the tone. A continuous tone is believed when it has outlasted every
cadence of its frequencies. The event ends when the next sound is overdue, or after 200 ms for a continuous tone.

Limits: a tone under speech on a mixed line is not a progress tone; ring-back shorter than one burst is not told.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, STEP, Bank
from dsp.zones import Tone, TonePlan

_SHARE_SINGLE = 0.75
_SHARE_PAIR = 0.65
_PART_OF_PAIR = 0.08
_LEVEL = 10 ** (-42 / 10)
_STEP_S: Final = STEP / 8000
_SLACK_S: Final = 0.045
_SHORTEST_S: Final = 0.05
_OVER_S: Final = 0.2
"""A continuous tone is over after this."""
_DEPTH: Final = 8
"""Stretches remembered a channel."""
_EDGE: Final = 4
"""Steps at either end of a silence that may still hold a part of the tone."""
_UNDER_STEPS: Final = 15
"""Steps after which a tone that no longer stands alone is taken to be over."""
_QUIET = 10 ** (-15 / 10)


class Progress:
    """Progress tones of one plan on `channels` channels. `sounding[channel]`: a tone of the plan sounds now."""

    def __init__(self, channels: int, bank: Bank, plan: TonePlan) -> None:
        self._bank, self._plan = bank, plan
        self._single = [i for i, s in enumerate(plan.sets) if len(s) == 1]
        self._pair = [i for i, s in enumerate(plan.sets) if len(s) == 2]
        self._rows = [np.array([bank.row(f) for f in s], np.intp) for s in plan.sets]
        self._single_rows = np.array([self._rows[i][0] for i in self._single], np.intp)
        self._single_shift = np.array([bank.grid_hz[r] for r in self._single_rows], np.float32)
        self._single_shift -= np.array([plan.sets[i][0] for i in self._single], np.float32)
        pair_rows = sorted({int(r) for i in self._pair for r in self._rows[i]})
        self._pair_rows = np.array(pair_rows, np.intp)
        self._pair_at = {i: [pair_rows.index(int(r)) for r in self._rows[i]] for i in self._pair}
        self._ring = np.zeros((3, 2 * len(pair_rows), channels), np.float32)
        self._energies = np.zeros((3, channels), np.float32)
        self._at = 0
        self.now = np.zeros(channels, np.int8)
        """0 for none, else 1 + index of the set that sounds."""
        self._long = np.zeros(channels, np.int32)
        self._since = np.full(channels, _UNDER_STEPS, np.int32)
        self._loud = np.zeros(channels, np.float32)
        self._noisy = np.zeros(channels, np.float32)
        self._lately = np.zeros((_EDGE, channels), np.float32)
        self._stretch = np.zeros((channels, _DEPTH), np.float32)
        self._set = np.full((channels, _DEPTH), -1, np.int8)
        self._due = np.zeros(channels, np.int64)
        self._wanted = [_Wanted(plan, tone) for tone in plan.tones]
        lengths_s = [_OVER_S, *(w.moment_s for w in self._wanted if w.moment_s is not None)]
        moments = [round(s / _STEP_S) + 1 for s in lengths_s]
        self._checks = np.zeros(max(moments) + 2, np.bool_)
        self._checks[moments] = True

    def under(self) -> NDArray[np.float32]:
        """`[channels]`: mean square, of two hops added, of a tone of the plan that may still sound under digits."""
        if not (self._since < _UNDER_STEPS).any():
            return np.zeros(self.now.size, np.float32)
        power = self._bank.power_20ms
        # 10 ms do not tell 350 from 440 Hz: either row holds most of both.
        of_sets = [power[rows].sum(0) * np.float32(1 if rows.size == 1 else 0.55) for rows in self._rows]
        return np.where(self._since < _UNDER_STEPS, np.max(of_sets, axis=0), np.float32(0))

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        energy = self._bank.energy_20ms
        now = self._sound(energy)
        changed = now != self.now
        self._long += 1
        look = changed | self._checks[np.minimum(self._long, self._checks.size - 1)]
        look &= (self.now > 0) | (now > 0) | (self._set[:, -1] > 0)
        look |= (self._due > 0) & (hop >= self._due)
        for c in np.flatnonzero(look).tolist():
            self._look(hop, c, bool(changed[c]), out)
        self._long[changed] = 0
        self._noisy[changed] = 0
        self._loud[changed & (now > 0)] = 0
        self.now = now
        self._since = np.where(now > 0, 0, self._since + 1)
        slot = (hop // 2) % _EDGE
        inside = (now == 0) & (self._long >= 2 * _EDGE)
        self._noisy = np.where(inside, np.maximum(self._noisy, self._lately[slot]), self._noisy)
        np.divide(energy, 2, out=self._lately[slot])
        self._loud = np.where(now > 0, np.maximum(self._loud, self._lately[slot]), self._loud)

    def _sound(self, energy: NDArray[np.float32]) -> NDArray[np.int8]:
        now = np.zeros(energy.size, np.int8)
        floor = np.maximum(_SHARE_SINGLE * energy, 2 * _LEVEL)
        if self._single:
            power = self._bank.power_20ms[self._single_rows]
            s, c = np.nonzero(power > floor)
            if c.size:
                hz = self._bank.offset_hz(self._single_rows[s], c, 2) + self._single_shift[s]
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

    def _look(self, hop: int, c: int, changed: bool, out: Reports) -> None:
        """Channel `c`: a stretch has ended, or has reached a length that decides something."""
        length = float(self._long[c]) * _STEP_S
        current = int(self.now[c])
        if not changed:
            self._match(hop, c, [*zip(self._set[c], self._stretch[c], strict=True), (current, length)], out)
            return
        if current == 0 and self._noisy[c] > _QUIET * self._loud[c]:
            current = -1  # something else sounded between: no cadence goes through it
        self._set[c, :-1], self._stretch[c, :-1] = self._set[c, 1:], self._stretch[c, 1:]
        self._set[c, -1], self._stretch[c, -1] = current, length
        self._match(hop, c, [*zip(self._set[c], self._stretch[c], strict=True)], out)

    def _match(self, hop: int, c: int, heard: list[tuple[int, float]], out: Reports) -> None:
        event = out.open(c, "progress")
        if event is None and any(number > 0 and length < _SHORTEST_S for number, length in heard[-2:]):
            return  # a blip in speech, not worth a comparison
        for wanted in self._wanted:
            span = wanted.fits(heard)
            if span is None:
                continue
            cadence_s, value = wanted.tone.cadence_s, wanted.tone.value
            self._due[c] = hop + (round(max(cadence_s) * 1.3 / _STEP_S) + 12) * 2 if cadence_s else 0
            if event is None or event.value != value:
                start = (hop + 2) * HOP - round(span * 8000)
                evidence = {"cadence_s": [round(float(s), 2) for _, s in heard[-4:]]}
                out.begin(c, "progress", start, value, 0.9, evidence)
            return
        if event is None:
            return
        over = self._due[c] > 0 and hop >= self._due[c]
        if not self._plan.tone(event.value).cadence_s:
            over = heard[-1][0] <= 0
        if over or heard[-1][0] == -1:
            quiet = heard[-1][1] if heard[-1][0] <= 0 else 0.0
            self._due[c] = 0
            out.end(c, "progress", (hop + 2) * HOP - round(quiet * 8000))


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
