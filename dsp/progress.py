"""Call progress tones: which frequencies sound, and in what cadence.

ITU-T E.180; the plans stand in `dsp.zones`. In every step (20 ms) a channel sounds one of its zone's frequency sets,
or is quiet, or has some other sound. A single frequency is told by its share of the last 20 ms and the turn of its
phase (which is good for a hertz or two), a pair by what two lines, resolved over the last 60 ms, hold together. A set
is looked for only on channels where the bank's rows near it hold much of the energy. Two steps alike make a change:
one alone is a blip in speech, or a click in a tone. What ends a burst is a fall by 6 dB, so that an echo does not
prolong it. A burst counts if its frequency and level stood still, which vowels and most music do not.

Only bursts that count reach `dsp.cadence`, channel by channel; a channel without one in the last seconds costs
nothing there. What is looked at besides the ends of bursts stands in a calendar: bursts and pauses that have just
become long enough to be sure of something.

A digit ends a dial tone: if one sounded until the digit began it is reported then, however short it was.

Limits: a tone under speech on a mixed line is not a progress tone; a tone that stays within 15 dB of its level in its
pauses (strong noise) is told only after more of its cadence.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.cadence import OTHER, Cadence, Patterns, Stretch
from dsp.reports import Reports
from dsp.tones import HOP_S, Bank
from dsp.zones import TonePlan

_SHARE: Final = np.float32(0.66)
_NEAR: Final = np.float32(0.62)
_PART_OF_PAIR: Final = np.float32(0.06)
_LEVEL: Final = np.float32(10 ** (-43 / 10))
_PAIR_HOPS: Final = 6
_BIN_HZ: Final = 6.0
_FALL: Final = np.float32(0.25)
_ECHO_STEPS: Final = 8
"""An echo of a tone is not taken for a new burst for so long."""
_RISE: Final = np.float32(12)
_BESIDE: Final = np.float32(10 ** (-20 / 10))
_ANYWAY: Final = np.float32(10 ** (-8 / 10))
_OTHERS: Final = 3
"""Double steps: a pair is recognised only some time after it began."""
_BRIEF_STEPS: Final = 8
_SHORTEST_STEPS: Final = 3
_STILL_HZ2: Final = 6.0**2
_STILL_LEVEL: Final = 0.4**2
_AGAIN_STEPS: Final = 60
_TURN_HZ: Final = np.float32(1 / (2 * np.pi * HOP_S))
_COUNT, _POWER, _HZ, _POWER2, _HZ2 = range(5)

Ints = NDArray[np.intp]
Floats = NDArray[np.float32]
Found = tuple[Ints, NDArray[np.int8], Floats, Floats]
"""Channels, what sounds there (1 + the set), its power in two hops, its distance from the nominal frequency in Hz."""


class Progress:
    """Progress tones of one plan on `channels` channels.

    `now[channel]`: 1 + the set that sounds, 0 none.
    """

    def __init__(self, channels: int, bank: Bank, plan: TonePlan) -> None:
        self._bank, self._patterns = bank, Patterns(plan)
        pair_lines = {f for s in plan.sets if len(s) == 2 for f in s}
        # A single frequency near one of a pair is told by lines, too.
        in_lines = [len(s) == 2 or min((abs(s[0] - f) for f in pair_lines), default=999) < 100 for s in plan.sets]
        self._singles = _Singles(bank, plan, [i for i, lines in enumerate(in_lines) if not lines])
        self._lines = _Lines(bank, plan, [i for i, lines in enumerate(in_lines) if lines]) if any(in_lines) else None
        self._late = [0, *map(int, in_lines)]
        """Steps by which a burst is noticed late."""
        self.now = np.zeros(channels, np.int8)
        self._silent = np.zeros(channels, np.int8)
        self._seen = self._silent
        self._any_now = False
        self.lately = False
        """A tone sounds on some channel, or did a second ago."""
        self._since = np.zeros(channels, np.int64)
        """Step in which what `now` says began."""
        self._last = np.full(channels, -_AGAIN_STEPS, np.int64)
        self._last_anywhere = -_AGAIN_STEPS
        self._step = 0
        self._top = np.zeros(channels, np.float32)
        """Power of the burst that sounds, or of the last."""
        self._stats = np.zeros((5, channels), np.float32)
        self._newest = np.zeros((2, channels), np.float32)
        """Power and distance in Hz of the last step of the burst, which may be cut: not in the sums yet."""
        self._quiet = np.zeros(channels, np.float32)
        """The least energy since the last burst."""
        self._others = np.zeros(channels, np.int64)
        """How often in a row another sound was found in a pause."""
        self._cadences: dict[int, Cadence] = {}
        self._watched = np.zeros(0, np.intp)
        self._looks: dict[int, list[int]] = {}
        self._out = Reports()

    def heard(self) -> NDArray[np.bool_]:
        """`[channels]`: a tone sounds, or seems to begin again where one sounded a second ago."""
        heard: NDArray[np.bool_] = self.now > 0
        heard |= (self._seen > 0) & (self._last > self._step - _AGAIN_STEPS)
        return heard

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        step, self._out = hop // 2, out
        self._step = step
        found, seen = self._sounding(), self._silent
        if found is not None:
            seen = np.zeros(seen.size, np.int8)
            seen[found[0]] = found[1]
        if seen is not self._seen or self._any_now:
            changed = ((seen == self._seen) & (seen != self.now)).nonzero()[0]
            for c in changed.tolist():
                self._change(c, int(seen[c]))
            if changed.size:
                self._any_now = bool(self.now.any())
            self._seen = seen
        if found is not None and self._any_now:
            self._follow(*found)
        if self._watched.size and step % 2:
            self._other_sounds()
        if step in self._looks:
            self._look()
        self.lately = step - self._last_anywhere < _AGAIN_STEPS

    # What sounds.

    def _sounding(self) -> Found | None:
        """Channels where a set of the plan sounds in this step, with its number, power and distance in Hz."""
        found = self._singles.sounding()
        if self._lines is not None:
            lines = self._lines.sounding()
            if lines is not None:
                found = lines if found is None else _joined(found, lines)
        if found is None:
            return None
        c, k, power, hz = found
        recent = (self.now[c] > 0) | (self._since[c] > self._step - _ECHO_STEPS)
        top = self._top[c] * recent
        kept = power >= _FALL * top
        if not kept.all():
            c, k, power, hz, top = c[kept], k[kept], power[kept], hz[kept], top[kept]
            if not c.size:
                return None
        self._top[c] = np.maximum(top, power)
        return c, k, power, hz

    def _follow(self, c: Ints, k: NDArray[np.int8], power: Floats, hz: Floats) -> None:
        """How steady the bursts are: sums over their steps without the first and the last, which may be cut."""
        on = (self.now[c] == k).nonzero()[0]
        if not on.size:
            return
        self._last[c[on]] = self._last_anywhere = self._step
        if self._step % 2:  # Of long bursts every other step will do.
            on = on[self._since[c[on]] > self._step - _BRIEF_STEPS]
            if not on.size:
                return
        c, hz = c[on], hz[on]
        before = self._newest[:, c]
        sums = self._stats[:, c]
        sums[_COUNT] += 1
        sums[_POWER : _HZ + 1] += before
        before_hz = before[1].copy()
        np.square(before, out=before)
        sums[_POWER2:] += before
        self._stats[:, c] = sums
        # Phase knows the distance but for whole turns: 100 Hz.
        hz -= 100 * np.rint((hz - before_hz) * np.float32(0.01))
        self._newest[0, c], self._newest[1, c] = power[on], hz

    def _still(self, c: int) -> bool:
        """Frequency and level of the burst on `c` stood still all the time."""
        n, power, hz, power2, hz2 = self._stats[:, c].tolist()
        still: bool = n * hz2 - hz * hz <= _STILL_HZ2 * n * n and n * power2 - power * power <= _STILL_LEVEL * power**2
        return still and n > 0 and 3 * n + 6 >= self._step - self._since[c]

    def _other_sounds(self) -> None:
        """On channels with a cadence: what is neither a tone nor the quiet (with its noise) of a pause."""
        w = self._watched
        energy, top = self._bank.energy_20ms[w], self._top[w]
        least = np.minimum(self._quiet[w], energy)
        self._quiet[w] = least
        other = energy > np.minimum(np.maximum(_BESIDE * top, _RISE * least), _ANYWAY * top)
        other &= (self.now[w] == 0) & (self._seen[w] == 0)
        self._others[w] = others = (self._others[w] + 1) * other
        for c in w[others == _OTHERS].tolist():
            self._later(c, self._cadences[c].disturbed(self._step))

    # What follows from it.

    def _change(self, c: int, new: int) -> None:
        """Two steps alike: since the one before, channel `c` sounds the set `new`, or none."""
        at, was = self._step - 1, int(self.now[c])
        if was > 0:
            begun = int(self._since[c]) - self._late[was]
            cadence = self._cadences.get(c)
            counts = at - begun >= _SHORTEST_STEPS and self._still(c)
            if counts or (cadence is not None and cadence.sounding):
                burst = Stretch(was, begun, at, self._hz(c))
                self._later(c, self._cadence(c).burst(burst, self._out))
        self._since[c], self.now[c] = at, new
        self._others[c], self._quiet[c] = 0, np.inf
        if new > 0:
            self._stats[:, c], self._newest[:, c] = 0, 0
            self._stats[_COUNT, c] = -1  # The first to be counted is what is the newest after the next step.
            self._later(c, [at + moment for moment in self._patterns.moments.get(new, ())])

    def digit(self, channel: int) -> None:
        """A digit was reported on `channel`."""
        if channel in self._cadences or self.now[channel] > 0:
            sounds = self._sounds(channel)
            if sounds is not None or channel in self._cadences:
                self._cadence(channel).digit(sounds, self._step, self._out)

    def _look(self) -> None:
        for c in set(self._looks.pop(self._step)):
            sounds = self._sounds(c)
            if sounds is None and c not in self._cadences:
                continue
            cadence = self._cadence(c)
            now = OTHER if self._others[c] >= _OTHERS else int(self.now[c])
            self._later(c, cadence.look(sounds, now, self._step, self._out))
            if cadence.over(self._step) and self.now[c] == 0:
                del self._cadences[c]
                self._watched = np.array(list(self._cadences), np.intp)

    def _later(self, c: int, steps: Iterable[int]) -> None:
        """Channel `c` is to be looked at in these steps."""
        for step in steps:
            self._looks.setdefault(max(step, self._step + 1), []).append(c)

    def _cadence(self, c: int) -> Cadence:
        cadence = self._cadences.get(c)
        if cadence is None:
            cadence = self._cadences[c] = Cadence(c, self._patterns)
            self._watched = np.array(list(self._cadences), np.intp)
        return cadence

    def _sounds(self, c: int) -> Stretch | None:
        """The burst that goes on, if it is steady."""
        set_ = int(self.now[c])
        if set_ == 0 or not self._still(c):
            return None
        return Stretch(set_, int(self._since[c]) - self._late[set_], self._step + 1, self._hz(c))

    def _hz(self, c: int) -> float:
        return float(self._stats[_HZ, c] / max(self._stats[_COUNT, c], 1))


def _joined(a: Found, b: Found) -> Found:
    (c, k, power, hz), (c2, k2, power2, hz2) = a, b
    joined = np.concatenate
    return joined((c, c2)), joined((k, k2)), joined((power, power2)), joined((hz, hz2))


class _Singles:
    """Sets of one frequency, told by their share of 20 ms and the turn of their phase from one hop to the next."""

    def __init__(self, bank: Bank, plan: TonePlan, numbers: Sequence[int]) -> None:
        self._bank = bank
        self._sets = np.array(numbers, np.int8) + np.int8(1)
        nominal = [plan.sets[i][0] for i in numbers]
        self._rows = np.array([bank.row(f) for f in nominal], np.intp)
        self._shift = np.array([bank.grid_hz[r] for r in self._rows], np.float32) - np.array(nominal, np.float32)
        tolerances = [plan.tolerance_of((f,)) for f in nominal]
        self._on_rows = self._rows.tolist()
        self._tolerance = np.array(tolerances, np.float32) + np.float32(4)
        for row, tolerance in zip(self._rows.tolist(), tolerances, strict=True):
            bank.expect([row], float(0.8 * _SHARE * np.sinc(HOP_S * tolerance) ** 2))

    def sounding(self) -> Found | None:
        bank = self._bank
        alone = bank.any_alone
        if not any(alone[row] for row in self._on_rows):
            return None
        s, c = bank.alone[self._rows].nonzero()
        rows = self._rows[s]
        re, im = bank.re[1:, rows, c], bank.im[1:, rows, c]
        hz = np.arctan2(im[1] * re[0] - re[1] * im[0], re[1] * re[0] + im[1] * im[0])
        # What 10 ms of a tone beside the bank's frequency lose: 1 / sinc^2, by its series.
        u = np.square(hz * np.float32(0.5))
        power = bank.power_20ms[rows, c] * (1 + u * (np.float32(1 / 3) + u * np.float32(1 / 15)))
        hz *= _TURN_HZ
        hz += self._shift[s]
        good = (power > _SHARE * bank.energy_20ms[c]) & (power > 2 * _LEVEL) & (np.abs(hz) <= self._tolerance[s])
        kept = good.nonzero()[0]
        return (c[kept], self._sets[s[kept]], power[kept], hz[kept]) if kept.size else None


class _Lines:
    """Sets told by the lines that 60 ms resolve: pairs, and a single frequency of a zone that has it in pairs too."""

    def __init__(self, bank: Bank, plan: TonePlan, numbers: Sequence[int]) -> None:
        self._bank = bank
        lines = sorted({f for i in numbers for f in plan.sets[i]})
        self._rows = np.array([bank.row(f) for f in lines], np.intp)
        tones = len(bank.grid_hz)
        self._both = np.concatenate([self._rows, self._rows + tones])
        self._sets = [(i + 1, [lines.index(f) for f in plan.sets[i]]) for i in numbers]
        reach = plan.tolerance_hz - 3
        self._bins = np.linspace(-reach, reach, 1 + int(np.ceil(2 * reach / _BIN_HZ))).astype(np.float32)
        self._matrix = _resolver(np.array([bank.grid_hz[r] for r in self._rows]) - np.array(lines), self._bins)

    def sounding(self) -> Found | None:
        bank = self._bank
        # The rows leak into each other, so together they show more than there is, never less.
        near = bank.power_20ms[self._rows].sum(0)
        c = (near > np.maximum(_NEAR * bank.energy_20ms, 2 * _LEVEL)).nonzero()[0]
        if not c.size:
            return None
        slots = bank.slots(_PAIR_HOPS)
        hops = bank.sums[slots[:, None, None], self._both[:, None], c]
        lines = self._matrix @ hops.reshape(-1, c.size)
        np.square(lines, out=lines)
        n, bins = self._rows.size, self._bins.size
        powers = lines.reshape(2, n, bins, -1).sum(0)
        best = powers.argmax(1)
        power = powers.max(1)
        bar = _SHARE * bank.energies[slots[:, None], 0, c].mean(0)
        np.maximum(bar, _LEVEL, out=bar)
        k, heard, at = np.zeros(c.size, np.int8), np.zeros(c.size, np.float32), np.zeros(c.size, np.intp)
        for number, of_set in self._sets:
            both = power[of_set].sum(0)
            good = both > bar
            if len(of_set) == 2:
                good &= power[of_set].min(0) > _PART_OF_PAIR * both
            good &= both > heard
            k[good], heard[good], at[good] = number, both[good], best[of_set[0]][good]
        kept = k.nonzero()[0]
        return (c[kept], k[kept], 2 * heard[kept], self._bins[at[kept]]) if kept.size else None


def _resolver(shift_hz: NDArray[np.float64], bins_hz: Floats) -> Floats:
    """`[2 * lines * bins, hops * 2 * lines]`: from correlations hop by hop, cosine rows first, to what each line holds
    at each distance from it."""
    n, hops = shift_hz.size, _PAIR_HOPS
    out = np.zeros((2, n, bins_hz.size, hops, 2, n))
    for line in range(n):
        angle = 2 * np.pi * HOP_S * np.outer(bins_hz - shift_hz[line], np.arange(hops))
        out[0, line, :, :, 0, line] = out[1, line, :, :, 1, line] = np.cos(angle) / hops
        out[0, line, :, :, 1, line] = np.sin(angle) / hops
        out[1, line, :, :, 0, line] = -np.sin(angle) / hops
    return out.reshape(2 * n * bins_hz.size, hops * 2 * n).astype(np.float32)
