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
from dsp.history import History
from dsp.purity import LONGEST, is_pure
from dsp.reports import Reports
from dsp.tones import HOP_S, STEP, Bank
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
_OTHERS: Final = 2
"""Double steps: a pair is recognised only some time after it began."""
_STEPS: Final = 4
"""Looked at together."""
_BRIEF_STEPS: Final = 8
_SHORTEST_STEPS: Final = 3
_STILL_HZ2: Final = 6.0**2
_STILL_LEVEL: Final = 0.4**2
_AGAIN_STEPS: Final = 60
_TURN_HZ: Final = np.float32(1 / (2 * np.pi * HOP_S))
_FIELDS: Final = 12
_NOW, _SEEN, _SINCE, _TOP, _LAST, _COUNT, _POWER, _HZ, _POWER2, _HZ2, _NEW_POWER, _NEW_HZ = range(_FIELDS)
"""What is kept of a channel: 1 + the set that sounds, and that the last step alone showed (0 none); the step in which
what sounds began; the power of the burst that sounds or of the last; the last step in which a tone was followed; sums
over the steps of the burst; power and distance in Hz of its last step, which may be cut: not in the sums yet."""

_LINE_HOPS: Final = _PAIR_HOPS + 2 * (_STEPS - 1)
"""From the first of these steps' windows to the end of the last."""
_NOTHING: Final = np.array([[-1.0], *[[0.0]] * 6])
"""The first step to be counted is what is the newest after the next."""

Ints = NDArray[np.intp]
Floats = NDArray[np.float32]
State = NDArray[np.float64]
Found = tuple[Ints, Ints, NDArray[np.int8], Floats, Floats]
"""Which of the steps, channels, what sounds there (1 + the set), its power in two hops, its distance from the nominal
frequency in Hz."""


class Progress:
    """Progress tones of one plan on `channels` channels. Four steps are looked at together, every 80 ms."""

    def __init__(self, channels: int, bank: Bank, plan: TonePlan, history: History) -> None:
        self._bank, self._patterns, self._plan, self._history = bank, Patterns(plan), plan, history
        pair_lines = {f for s in plan.sets if len(s) == 2 for f in s}
        # A single frequency near one of a pair is told by lines, too.
        in_lines = [len(s) == 2 or min((abs(s[0] - f) for f in pair_lines), default=999) < 100 for s in plan.sets]
        self._singles = _Singles(bank, plan, [i for i, lines in enumerate(in_lines) if not lines])
        self._lines = _Lines(bank, plan, [i for i, lines in enumerate(in_lines) if lines]) if any(in_lines) else None
        self._late = np.array([0, *in_lines], np.intp)
        """Steps by which a burst is noticed late."""
        self._state = np.zeros((_FIELDS, channels))
        self._state[_LAST] = -_AGAIN_STEPS
        self._busy = np.zeros(0, np.intp)
        """Channels on which something sounds, or did in the last step."""
        self._place = np.zeros(channels, np.intp)
        self.lately = False
        """A tone sounds on some channel, or did a second ago."""
        self._heard: NDArray[np.bool_] | None = None
        self._last_anywhere = -_AGAIN_STEPS
        self._step = 0
        self._quiet = np.zeros(channels, np.float32)
        """The least energy since the last burst."""
        self._others = np.zeros(channels, np.int64)
        """How often in a row another sound was found in a pause."""
        self._cadences: dict[int, Cadence] = {}
        self._going_on = np.zeros(channels, np.bool_)
        """A burst that goes on was told."""
        self._watched = np.zeros(0, np.intp)
        self._looks: dict[int, list[int]] = {}
        self._out = Reports()

    def heard(self) -> NDArray[np.bool_]:
        """`[channels]`: a tone sounds, or seems to begin again where one sounded a second ago. Not to be changed."""
        if self._heard is None:
            now, seen, last = self._state[[_NOW, _SEEN, _LAST]]
            self._heard = (now > 0) | (seen > 0) & (last > self._step - _AGAIN_STEPS)
        return self._heard

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        self._step, self._out = hop // 2, out
        if self._step % _STEPS != _STEPS - 1:
            return
        self._heard = None
        found = self._sounding()
        if found or self._busy.size:
            self._take(found)
        if self._watched.size:
            self._other_sounds()
        for step in range(self._step - _STEPS + 1, self._step + 1):
            if step in self._looks:
                self._look(self._looks.pop(step))
        self.lately = self._step - self._last_anywhere < _AGAIN_STEPS

    # What sounds.

    def _sounding(self) -> list[Found]:
        """Where a set of the plan sounds in these steps, with its number, power and distance in Hz."""
        first = int(self._bank.slots(2 * _STEPS)[0])
        hops = self._bank.energies[first : first + 2 * _STEPS]
        least = np.maximum(hops[::2, 0] + hops[1::2, 0], 2 * _LEVEL)
        found = self._singles.sounding(hops, least)
        lines = self._lines.sounding(hops, least) if self._lines is not None else None
        return [one for one in (found, lines) if one is not None]

    def _take(self, found: list[Found]) -> None:
        """What was found goes through the state of its channels, and of those on which something sounds."""
        mask = np.zeros(self._place.size, np.bool_)
        mask[self._busy] = True
        for _, c, _, _, _ in found:
            mask[c] = True
        channels = mask.nonzero()[0]
        self._place[channels] = np.arange(channels.size)
        what = np.zeros((3, _STEPS, channels.size))
        for t, c, k, power, hz in found:
            at = self._place[c]
            what[0, t, at], what[1, t, at], what[2, t, at] = k, power, hz
        state = self._state.take(channels, axis=1)
        self._advance(channels, state, *what)
        self._state[:, channels] = state
        self._busy = channels[state[_SEEN] + state[_NOW] > 0]

    def _advance(self, channels: Ints, state: State, k: State, power: State, hz: State) -> None:
        """These steps: a change takes two alike."""
        first = self._step - _STEPS + 1
        before, seen, since, top = state[: _TOP + 1]
        top *= (before > 0) | (since > first + 1 - _ECHO_STEPS)
        tops = np.maximum.accumulate(np.concatenate([top[None], power]))
        k *= power >= _FALL * tops[:-1]
        now, seen_before = np.empty_like(k), np.concatenate([seen[None], k[:-1]])
        alike, last = k == seen_before, before
        for t in range(_STEPS):
            now[t] = last = np.where(alike[t], k[t], last)
        changes = now != np.concatenate([before[None], now[:-1]])
        state[_SEEN], state[_TOP] = k[-1], tops[-1]
        on = (k > 0) & (k == now)
        if on.any():
            state[_LAST, np.logical_or.reduce(on)] = self._last_anywhere = self._step
        some_change = np.logical_or.reduce(changes, axis=1).tolist()
        for t in range(_STEPS):
            if some_change[t]:
                changed = changes[t].nonzero()[0]
                self._change(first + t - 1, channels, state, changed, now[t, changed])
            # Of long bursts every other step will do.
            those = on[t] if t % 2 else on[t] & (state[_SINCE] > first + t - _BRIEF_STEPS)
            i = those.nonzero()[0]
            if i.size:
                _follow(state, i, power[t, i], hz[t, i])

    def _other_sounds(self) -> None:
        """On channels with a cadence: what is neither a tone nor the quiet (with its noise) of a pause."""
        w = self._watched
        energy = self._bank.energy_20ms[w]
        now, seen, _, top = self._state[: _TOP + 1, w]
        least = np.minimum(self._quiet[w], energy)
        self._quiet[w] = least
        other = energy > np.minimum(np.maximum(_BESIDE * top, _RISE * least), _ANYWAY * top)
        other &= (now == 0) & (seen == 0)
        self._others[w] = others = (self._others[w] + 1) * other
        for c in w[others == _OTHERS].tolist():
            self._later(c, self._cadences[c].disturbed(self._step))

    # What follows from it.

    def _change(self, at: int, channels: Ints, state: State, changed: Ints, new: State) -> None:
        """From step `at` on these channels sound another set, or none."""
        c, old = channels[changed], state.take(changed, axis=1)
        was = old[_NOW].astype(np.intp)
        since = old[_SINCE].astype(np.intp) - self._late[was]
        counts = (at - since >= _SHORTEST_STEPS) & _still(old, at + 1) | self._going_on[c]
        counts &= was > 0
        for i in counts.nonzero()[0].tolist():
            hz = float(old[_HZ, i] / max(old[_COUNT, i], 1))
            burst = Stretch(int(was[i]), int(since[i]), at, hz)
            channel = int(c[i])
            self._going_on[channel] = False
            if self._trusted(channel, burst):
                self._later(channel, self._cadence(channel).burst(burst, self._out))
        state[_NOW, changed], state[_SINCE, changed] = new, at
        self._others[c], self._quiet[c] = 0, np.inf
        begun = (new > 0).nonzero()[0]
        if begun.size:
            state[_COUNT:, changed[begun]] = _NOTHING
            for i in begun.tolist():
                moments = self._patterns.moments.get(int(new[i]), ())
                self._later(int(c[i]), [at + moment for moment in moments])

    def digit(self, channel: int) -> None:
        """A digit was reported on `channel`."""
        if channel in self._cadences or self._state[_NOW, channel] > 0:
            sounds = self._sounds(channel)
            if sounds is not None or channel in self._cadences:
                cadence = self._cadence(channel)
                cadence.digit(sounds, self._step, self._out)
                self._going_on[channel] = cadence.sounding

    def _look(self, channels: list[int]) -> None:
        for c in set(channels):
            sounds = self._sounds(c)
            if sounds is not None and not self._trusted(c, sounds):
                sounds = None
            if sounds is None and c not in self._cadences:
                continue
            cadence = self._cadence(c)
            set_ = int(self._state[_NOW, c])
            now = OTHER if self._others[c] >= _OTHERS else set_
            self._later(c, cadence.look(sounds, now, self._step, self._out))
            self._going_on[c] = cadence.sounding
            if cadence.over(self._step) and set_ == 0:
                del self._cadences[c]
                self._watched = np.array(list(self._cadences), np.intp)

    def _trusted(self, c: int, burst: Stretch) -> bool:
        """The burst is of a cadence that was told, or as pure as an exchange's."""
        cadence = self._cadences.get(c)
        if cadence is not None and cadence.telling:
            return True
        begin, end = burst.begin + 1, burst.end - 1 - int(self._late[burst.set_] > 0)
        begin = max(begin, end - LONGEST // STEP)
        x = self._history.last(np.array([c]), (self._step + 1 - begin) * STEP)[0, : max(2, end - begin) * STEP]
        lines = self._plan.sets[burst.set_ - 1]
        if is_pure(x, lines, self._plan.tolerance_of(lines) + 4):
            return True
        if cadence is not None:
            self._later(c, cadence.disturbed(self._step))
        return False

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
        state = self._state[:, c]
        set_ = int(state[_NOW])
        if set_ == 0 or not _still(state, self._step):
            return None
        begun = int(state[_SINCE]) - int(self._late[set_])
        return Stretch(set_, begun, self._step + 1, float(state[_HZ] / max(state[_COUNT], 1)))


def _follow(state: State, on: Ints, power: State, hz: State) -> None:
    """How steady the bursts are: sums over their steps without the first and the last, which may be cut."""
    sums = state[_COUNT:].take(on, axis=1)
    newest = sums[_NEW_POWER - _COUNT :]
    sums[0] += 1
    sums[1:3] += newest
    sums[3:5] += newest * newest
    # Phase knows the distance but for whole turns: 100 Hz.
    hz -= 100 * np.rint((hz - newest[1]) * 0.01)
    newest[0], newest[1] = power, hz
    state[_COUNT:, on] = sums


def _still(state: State, step: int | Ints) -> NDArray[np.bool_]:
    """Frequency and level of the bursts stood still all the time."""
    n, power, hz, power2, hz2 = state[_COUNT : _HZ2 + 1]
    still: NDArray[np.bool_] = (n * hz2 - hz * hz <= _STILL_HZ2 * n * n) & (
        n * power2 - power * power <= _STILL_LEVEL * power * power
    )
    still &= (n > 0) & (3 * n + 6 >= step - state[_SINCE])
    return still


class _Singles:
    """Sets of one frequency, told by their share of 20 ms and the turn of their phase from one hop to the next."""

    def __init__(self, bank: Bank, plan: TonePlan, numbers: Sequence[int]) -> None:
        self._bank = bank
        self._sets = np.array(numbers, np.int8) + np.int8(1)
        nominal = [plan.sets[i][0] for i in numbers]
        self._rows = np.array([bank.row(f) for f in nominal], np.intp)
        self._shift = np.array([bank.grid_hz[r] for r in self._rows], np.float32) - np.array(nominal, np.float32)
        tolerances = [plan.tolerance_of((f,)) for f in nominal]
        self._tolerance = np.array(tolerances, np.float32) + np.float32(4)
        loss = np.sinc(HOP_S * np.array(tolerances)) ** 2
        self._share = (0.8 * float(_SHARE) * loss).astype(np.float32)[:, None]
        first = bank.power_row + int(self._rows[0])
        together = np.array_equal(self._rows, self._rows[0] + np.arange(self._rows.size))
        self._powers = slice(first, first + self._rows.size) if together else bank.power_row + self._rows
        both = np.stack([self._rows, self._rows + len(bank.grid_hz)])
        places = bank.places_of_sums(both, 2 * _STEPS).reshape(-1, 2, self._rows.size, _STEPS, 2)
        self._places = np.ascontiguousarray(places.transpose(0, 1, 4, 3, 2))
        """`[turn, cosine and sine, hop, step, set]`"""

    def sounding(self, hops: Floats, least: Floats) -> Found | None:
        """`hops`: of `bank.energies`, two a step; `least`: what is compared with, by the step."""
        own = hops[:, self._powers]
        powers = own[::2] + own[1::2]
        t, s, c = (powers > self._share * least[:, None]).nonzero()
        if not c.size:
            return None
        bank = self._bank
        re, im = bank.flat.take(self._places[bank.turn][..., t, s] + c)
        hz = np.arctan2(im[1] * re[0] - re[1] * im[0], re[1] * re[0] + im[1] * im[0])
        # What 10 ms of a tone beside the bank's frequency lose: 1 / sinc^2, by its series.
        u = np.square(hz * np.float32(0.5))
        power = powers[t, s, c] * (1 + u * (np.float32(1 / 3) + u * np.float32(1 / 15)))
        hz *= _TURN_HZ
        hz += self._shift[s]
        kept = ((power > _SHARE * least[t, c]) & (power > 2 * _LEVEL) & (np.abs(hz) <= self._tolerance[s])).nonzero()[0]
        return (t[kept], c[kept], self._sets[s[kept]], power[kept], hz[kept]) if kept.size else None


class _Lines:
    """Sets told by the lines that 60 ms resolve: pairs, and a single frequency of a zone that has it in pairs too."""

    def __init__(self, bank: Bank, plan: TonePlan, numbers: Sequence[int]) -> None:
        self._bank = bank
        lines = sorted({f for i in numbers for f in plan.sets[i]})
        self._rows = np.array([bank.row(f) for f in lines], np.intp)
        tones = len(bank.grid_hz)
        both = np.concatenate([self._rows, self._rows + tones])
        places = bank.places_of_sums(both, _LINE_HOPS).transpose(0, 2, 1)
        self._places = np.ascontiguousarray(places.reshape(places.shape[0], -1, 1))
        self._numbers = np.array(numbers, np.int8) + np.int8(1)
        self._one, self._other = np.array([[lines.index(plan.sets[i][at]) for i in numbers] for at in (0, -1)])
        self._paired = np.array([[len(plan.sets[i]) == 2] for i in numbers], np.float32)
        self._powers = bank.power_row + self._rows
        self._members = np.zeros((len(numbers), len(lines)), np.float32)
        for member, *own in zip(self._members, self._one, self._other, strict=True):
            member[own] = 1
        reach = plan.tolerance_hz - 3
        self._bins = np.linspace(-reach, reach, 1 + int(np.ceil(2 * reach / _BIN_HZ))).astype(np.float32)
        self._matrix = _resolver(np.array([bank.grid_hz[r] for r in self._rows]) - np.array(lines), self._bins)

    def sounding(self, hops: Floats, least: Floats) -> Found | None:
        """As with single frequencies."""
        bank = self._bank
        own = hops.take(self._powers, axis=1)
        # Rows leak into each other, so those of a set together show more than there is, never less.
        near = np.logical_or.reduce((self._members @ (own[::2] + own[1::2])) > _NEAR * least[:, None], axis=1)
        c = np.logical_or.reduce(near).nonzero()[0]
        if not c.size:
            return None
        sums = bank.flat.take(self._places[bank.turn] + c).reshape(_LINE_HOPS, 2 * self._rows.size, -1)
        windows = np.stack([sums[at : at + _PAIR_HOPS] for at in range(0, 2 * _STEPS, 2)])
        lines = self._matrix @ windows.reshape(_STEPS, -1, c.size)
        np.square(lines, out=lines)
        n, bins = self._rows.size, self._bins.size
        powers = lines.reshape(_STEPS, 2, n, bins, -1).sum(1)
        power = powers.max(2)
        energy = bank.energies[bank.slots(_LINE_HOPS)[:, None], 0, c]
        bar = np.stack([energy[at : at + _PAIR_HOPS].sum(0) for at in range(0, 2 * _STEPS, 2)])
        bar = np.maximum((_SHARE / _PAIR_HOPS) * bar, _LEVEL)
        one, other = power[:, self._one], power[:, self._other]
        held = one + other * self._paired
        held *= (held > bar[:, None]) & (np.minimum(one, other) > _PART_OF_PAIR * held)
        heard = held.max(1)
        t, kept = ((heard > 0) & near[:, c]).nonzero()
        if not kept.size:
            return None
        k = held[t, :, kept].argmax(1)
        hz = self._bins[powers[t, self._one[k], :, kept].argmax(1)]
        return t, c[kept], self._numbers[k], 2 * heard[t, kept], hz


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
