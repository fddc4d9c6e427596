"""The tones by which machines introduce themselves: CNG, calling tone, answer tones.

ITU-T T.30 (CNG 1100 +-38 Hz, 0.5 s), V.25 (answer tone 2100 +-15 Hz, phase reversals every 450 ms; calling tone
1300 Hz, 0.5 to 0.7 s), V.8 clause 3.3 (ANSam: 2100 Hz with 20 % of 15 Hz amplitude modulation), Bell 103 (2225 Hz).

Every 80 ms the channels where one of the four frequencies stands out are read from the bank's ring: a hop is good
where the tone holds its share of the energy and turns from the hop before as its frequency wants. Bits of 64 hops tell
runs of good hops, with gaps of 30 ms closed. What has run for 180 ms is measured whole: frequency, share of the energy,
how far its phase strays from a straight line (doubled, so that a reversal is no stray) and how even its amplitude is.

- A tone that is clean (nearly all of the energy, straight, even, beginning at once) is reported then.
- One with a second signal on the line (somebody says hello, ring-back) is believed for its length: CNG when it ends
  within 425 to 575 ms of its beginning, an answer tone after 0.6 s. Notes of music have the share or the
  length but rarely both, and fade.
- A calling tone is reported when it ends: 1300 Hz that goes on is the idle mark of V.23.

The kind of a 2100 Hz tone, first reported as `ans`, is told from its own amplitude and phase and corrected under the
same id. Modulation is a 15 Hz line that explains most of what the amplitude does over 200 ms without a reversal (an
echo of the tone makes the line stronger or weaker and adds a step after each reversal). A reversal turns a phase that
stood still for 50 ms by half a circle to where it stands still again, one or two times 450 ms after the beginning or
after another reversal; `ans_pr` waits until it is known that the tone is not modulated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, STEP, Bank


@dataclass(frozen=True, slots=True)
class Steady:
    kind: str
    value: str
    hz: float
    tolerance_hz: float


TONES: Final = (
    Steady("cng", "cng", 1100, 39),
    Steady("calling_tone", "ct", 1300, 16),
    Steady("answer_tone", "ans", 2100, 16),
    Steady("answer_tone", "bell_ans", 2225, 15),
)
_CNG, _CT, _ANS, _BELL = range(4)

_PACE: Final = 4
"""Steps between two looks."""
_TURN: Final = 0
"""Which of them has a look: the slow detectors take turns."""
_TURN_OF_SIGN: Final = 2
"""The one in which a tone must have stood out before."""
_NEW: Final = 2 * _PACE
_DEPTH: Final = 64
"""Hops remembered."""
_SHARE, _LEVEL = np.float32(0.2), np.float32(2 * 10 ** (-46 / 10))
_HALF = np.float32(0.55)
"""A tone with a smaller share of the last 80 ms is not clean."""
_TAIL = np.float32(0.06)
"""What is so much weaker than the strongest of 160 ms is none of it: an echo, what was there before."""
_SLACK_HZ = 6.0
"""How far one hop may stray beyond the tolerance of the whole."""
_MISSES = 4
"""Hops after which a tone is over."""
_FIRST_HOPS, _RECENT_HOPS, _LASTING_HOPS, _HOPELESS_HOPS = 18, 20, 60, 200
"""When a tone is measured first and over how much, when it has lasted long, and when it is none of ours."""
_KIND_HOPS = 200
"""For so long the kind of an answer tone is looked for."""
_JOINED: Final = 5
"""Hops after the beginning in which an echo may join, and after the end in which it may be left alone."""

Hops = NDArray[np.int64]
Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What runs of good hops are like, each `[n]`."""

    hz: NDArray[np.float32]
    """Distance from the nominal frequency."""
    share: NDArray[np.float32]
    straight: NDArray[np.float32]
    """1 where the doubled phase keeps to a line."""
    uneven: NDArray[np.float32]
    """Standard deviation of the amplitude, of its mean."""
    begun: NDArray[np.float32]
    """Amplitude of the first 40 ms, of the mean."""
    before: NDArray[np.float32]
    """Energy of the 60 ms before, of the tone's."""
    after: NDArray[np.float32]
    """Energy once it is over, of the tone's."""
    waving: NDArray[np.float32]
    """Part of what the amplitude does that 15 Hz explains."""
    solid: NDArray[np.float32]
    """Part of the hops that are good."""


class ConnectTones:
    """Steady tones of machines on `channels` channels."""

    def __init__(self, channels: int, bank: Bank, kinds: frozenset[str]) -> None:
        self._bank = bank
        self._tones = np.array([i for i, tone in enumerate(TONES) if tone.kind in kinds], np.intp)
        self._rows = np.array([bank.row(TONES[i].hz) for i in self._tones], np.intp)
        self._rows_list = self._rows.tolist()
        bank.expect(self._rows_list, float(_SHARE))
        self._parts = np.stack([self._rows, self._rows + len(bank.grid_hz)], axis=1)
        self._wanted = np.array([0, bank.group_row["below"]], np.intp)
        self._tolerance = np.array([tone.tolerance_hz for tone in TONES], np.float32)
        self._within = np.cos(2 * np.pi * HOP_S * (self._tolerance + np.float32(_SLACK_HZ)))
        shape = (len(TONES), channels)
        self._sign: NDArray[np.bool_] | None = None
        """Where a tone stood out 40 ms before a look."""
        self._good = np.zeros(shape, np.uint64)
        """Bit k: the tone turned as it should into the hop k hops ago."""
        self._newest = -1
        """The hop that bit 0 of `_good` is about."""
        self._line = np.zeros((_DEPTH, *shape), np.complex64)
        self._energy = np.zeros((_DEPTH, *shape), np.complex64)
        """Of all, and (imaginary) of what sounds below 480 Hz."""
        self._start = np.full(shape, -1, np.int64)
        """Hop in which the tone that goes on began, -1 where there is none."""
        self._told = np.zeros(shape, np.bool_)
        self._settled = np.zeros(shape, np.bool_)
        """Of a tone that was told nothing but its end is to come."""
        self.sounding = np.zeros(channels, np.bool_)
        """`[channels]`: something stands where such a tone would."""
        self.running = False
        """`sounding` somewhere."""
        self._kinds = _Kinds(channels)

    @staticmethod
    def frequencies_hz(kinds: frozenset[str]) -> list[float]:
        """What the bank must hold for these kinds."""
        return [tone.hz for tone in TONES if tone.kind in kinds]

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        turn = hop // 2 % _PACE
        if turn != _TURN and turn != _TURN_OF_SIGN:
            return
        any_alone = self._bank.any_alone
        sign = self._bank.alone[self._rows] if any(any_alone[row] for row in self._rows_list) else None
        if turn == _TURN_OF_SIGN:
            self._sign = sign
            return
        if sign is not None:
            # A digit, a word or a caller's number seldom stands out twice in 40 ms.
            sign = sign & self._sign if self._sign is not None else None
        newest = hop + 1
        if self.running:
            going = self._start[self._tones] >= 0
            if not newest // _NEW % 2:
                going &= ~self._settled[self._tones]
            sign = going if sign is None else sign | going
        if sign is None:
            return
        t, c = sign.nonzero()
        if c.size:
            # Tones are looked at when they have a sign; what was heard before is as old on all channels.
            new, self._newest = newest - self._newest, newest
            if new < _DEPTH:
                self._good <<= np.uint64(new)
            else:
                self._good.fill(0)
            self._look(newest, t, c, out)

    def _look(self, newest: int, t: NDArray[np.intp], c: NDArray[np.intp], out: Reports) -> None:
        """Tones `t` (of those that are wanted) on channels `c`, up to hop `newest`."""
        bank, tone, channel = self._bank, self._tones[t], c[:, None]
        slots = bank.slots(2 * _NEW)[:, None, None]
        parts = bank.sums[slots, self._parts[t], channel]
        energies = bank.energies[slots, self._wanted, channel]
        line = parts.view(np.complex64)[..., 0]
        power = np.einsum("hnp,hnp->hn", parts, parts)
        energy = energies[..., 0] - energies[..., 1]
        good = power[1:] + power[:-1] > np.maximum(_SHARE * (energy[1:] + energy[:-1]), _LEVEL)
        good &= power[1:] > _TAIL * np.maximum.reduce(power)
        good &= (line[1:] * line[:-1].conj()).real > self._within[tone] * np.sqrt(power[1:] * power[:-1])
        bits = _packed(good)
        bits |= self._good[tone, c] & _OLDER
        self._good[tone, c] = bits
        start = self._start[tone, c]
        going = (np.bitwise_count(bits & _LAST_LOOK) >= 6) | (start >= 0)
        # A tone that was told is asked every other time for its end and its kind.
        changing = ~self._told[tone, c]
        if newest // _NEW % 2:
            changing |= (bits & ~_OLDER != ~_OLDER) | ~self._settled[tone, c]
        k = going.nonzero()[0]
        if not k.size:
            return
        hops = ((newest + np.arange(1 - 2 * _NEW, 1)) % _DEPTH)[:, None]
        self._line[hops, tone[k], c[k]] = line[:, k]
        self._energy[hops, tone[k], c[k]] = energies.view(np.complex64)[:, k, 0]
        k = (going & changing).nonzero()[0]
        if k.size:
            plain = power[-_NEW:, k].sum(0) > _HALF * energy[-_NEW:, k].sum(0)
            self._follow(newest, tone[k], c[k], bits[k], start[k], plain, out)

    def _follow(
        self,
        newest: int,
        tone: NDArray[np.intp],
        c: NDArray[np.intp],
        bits: Bits,
        start: Hops,
        plain: NDArray[np.bool_],
        out: Reports,
    ) -> None:
        """Where the tones on channels `c` begin, go on and end. `plain`: lately there was little else."""
        quiet, run = _last_run(bits)
        last = newest - quiet
        first = last - run
        over = (quiet >= _MISSES) | ((first > start + 2) & (run < _DEPTH - 8))
        over &= start >= 0
        if over.any():
            end = np.where(quiet >= _MISSES, last, first - _MISSES)
            self._end(newest, tone[over], c[over], bits[over], end[over], out)
            start[over] = -1
        start = np.where((start < 0) & (run >= 6) & (quiet < _MISSES), first, start)
        self._start[tone, c] = start
        self.sounding[c] = (self._start[:, c] >= 0).any(0)
        self.running = bool(self.sounding.any())
        told = self._told[tone, c]
        hops = last - start
        due = (start >= 0) & ~told & (hops >= _FIRST_HOPS)
        due &= plain & (hops < _LASTING_HOPS) & (tone != _CT) | (tone >= _ANS) & (hops >= _LASTING_HOPS)
        due &= hops < _HOPELESS_HOPS
        if due.any():
            due_at = tone[due], c[due]
            hops = hops[due]
            recent = np.where(hops < _LASTING_HOPS, last[due] - _RECENT_HOPS, 0)
            joined = np.maximum(start[due] + _JOINED, recent)
            seen = self._measure(newest, *due_at, bits[due], start[due], last[due], joined)
            sure = self._clean(due_at[0], seen, hops) | self._lasting(due_at[0], seen, hops)
            self._begin(*due_at, start[due], seen, sure, out)
        if newest // _NEW % 2 and told.any():
            kind = told & (start >= 0) & (quiet == 0) & ~self._settled[tone, c]
            self._tell_kinds(newest, c[kind & (tone == _ANS)], out)

    def _tell_kinds(self, newest: int, c: NDArray[np.intp], out: Reports) -> None:
        """Of the 2100 Hz tones on channels `c`."""
        if c.size:
            line = self._line[(newest - np.arange(_Kinds.HOPS - 1, -1, -1)) % _DEPTH][:, _ANS, c]
            start = self._start[_ANS, c]
            all_known = self._kinds.step(newest, c, start, line, out)
            self._settled[_ANS, c] = all_known | (newest - start >= _KIND_HOPS)

    def _measure(
        self, newest: int, tone: NDArray[np.intp], c: NDArray[np.intp], bits: Bits, start: Hops, last: Hops, first: Hops
    ) -> Measured:
        """The hops after `first` up to `last`, of the 64 remembered, of tones that began in `start`."""
        ago = np.arange(_DEPTH)[:, None]
        hops = newest - ago
        line, energies = self._line[hops % _DEPTH, tone, c], self._energy[hops % _DEPTH, tone, c]
        energy, below = energies.real, energies.imag
        of_run = (hops > first) & (hops <= last)
        good = of_run & ((bits >> ago.astype(np.uint64)) & np.uint64(1)).astype(np.bool_)
        count = np.maximum(good.sum(0), 1)
        turn = np.angle((line[:-1] * line[1:].conj() * good[:-1]).sum(0))
        length = np.abs(line)
        # Turned back to where it would stand in the newest hop, and doubled.
        doubled = (line / np.maximum(length, 1e-9) * _turned(turn * ago)) ** 2
        straight = np.abs((doubled * good).sum(0)) / count
        hz = turn / np.float32(2 * np.pi * HOP_S)
        power = (length**2 * good).sum(0) / count
        mean = np.maximum((length * good).sum(0) / count, 1e-9)
        uneven = np.sqrt(np.maximum(power / mean**2 - 1, 0))
        power = np.maximum(power / np.sinc(hz * HOP_S) ** 2, 1e-9)
        in_front, behind = (hops < start) & (hops >= start - 6), hops > last + _JOINED + 1
        return Measured(
            hz,
            power
            / _without(
                below, power, (in_front, good & (ago <= count / 2), good & (ago > count / 2)), _mean(energy, good)
            ),
            straight,
            uneven,
            np.where(newest - start < _DEPTH, _mean(length, (hops > start + 1) & (hops <= start + 4)) / mean, 1),
            _mean(energy - below, in_front) / power,
            _mean(energy - below, behind) / power,
            _waving(length),
            count / np.maximum(of_run.sum(0), 1),
        )

    def _clean(self, tone: NDArray[np.intp], seen: Measured, hops: Hops) -> NDArray[np.bool_]:
        """Nothing else begins like this."""
        answer = tone >= _ANS
        even: NDArray[np.bool_] = (seen.uneven < 0.055) | ((tone == _ANS) & (seen.uneven < 0.35) & (seen.waving > 0.75))
        clean: NDArray[np.bool_] = even & (seen.share > 0.92) & (seen.straight > 0.98) & ((seen.before < 0.3) | answer)
        clean |= (seen.share > 0.7) & (seen.straight > 0.993) & (seen.uneven < 0.028) & ((seen.before < 0.6) | answer)
        clean &= (seen.solid > 0.9) & (seen.begun > 0.6) & (seen.begun < 1.6)
        clean &= (hops < np.where(tone == _CNG, 35, 55)) & (tone != _CT)
        clean &= np.abs(seen.hz) <= self._tolerance[tone]
        return clean

    def _lasting(self, tone: NDArray[np.intp], seen: Measured, hops: Hops) -> NDArray[np.bool_]:
        """An answer tone with something else on the line."""
        even = (seen.uneven < 0.08) | ((seen.uneven < 0.16) & (seen.share > 0.7))
        even |= (tone == _ANS) & (seen.waving > 0.75)
        lasting = even & (hops >= _LASTING_HOPS) & (seen.share > 0.4) & (seen.straight > 0.98) & (seen.solid > 0.8)
        lasting &= (tone >= _ANS) & (np.abs(seen.hz) <= self._tolerance[tone])
        return lasting

    def _burst(self, tone: NDArray[np.intp], seen: Measured, hops: Hops) -> NDArray[np.bool_]:
        """A whole CNG or calling tone."""
        cng = (tone == _CNG) & (hops >= 41) & (hops <= 64)
        ct = (tone == _CT) & (hops >= 41) & (hops <= 82) & (seen.after < 0.3)
        whole = (seen.share > 0.3) & (seen.straight > 0.985) & (seen.solid > 0.8) & (seen.uneven < 0.06)
        whole &= (cng | ct) & (np.abs(seen.hz) <= self._tolerance[tone])
        return whole

    def _begin(
        self,
        tone: NDArray[np.intp],
        c: NDArray[np.intp],
        start: Hops,
        seen: Measured,
        sure: NDArray[np.bool_],
        out: Reports,
    ) -> None:
        for i in sure.nonzero()[0].tolist():
            what, channel = TONES[tone[i]], int(c[i])
            evidence = {"hz": round(what.hz + float(seen.hz[i]), 1), "share": round(float(seen.share[i]), 2)}
            out.begin(channel, what.kind, int(start[i] + 1) * HOP, what.value, 0.95, evidence)
            self._told[tone[i], channel] = True
            self._settled[tone[i], channel] = tone[i] != _ANS
            if tone[i] == _ANS:
                self._kinds.begin(channel)

    def _end(
        self, newest: int, tone: NDArray[np.intp], c: NDArray[np.intp], bits: Bits, end: Hops, out: Reports
    ) -> None:
        start = self._start[tone, c]
        told = self._told[tone, c]
        fresh = ~told & (tone <= _CT) & (end - start >= 38)
        if fresh.any():
            at = tone[fresh], c[fresh]
            joined = start[fresh] + _JOINED
            seen = self._measure(newest, *at, bits[fresh], start[fresh], end[fresh] - _JOINED, joined)
            sure = self._burst(at[0], seen, end[fresh] - start[fresh])
            self._begin(*at, start[fresh], seen, sure, out)
            told = self._told[tone, c]
        for i in told.nonzero()[0].tolist():
            event = out.open(int(c[i]), TONES[tone[i]].kind)
            if event is not None and (event.value == "bell_ans") == (tone[i] == _BELL):
                out.end(int(c[i]), TONES[tone[i]].kind, int(end[i] + 1) * HOP)
        self._told[tone, c] = self._settled[tone, c] = False


class _Kinds:
    """Modulation and reversals of the 2100 Hz tones that have been reported."""

    HOPS: Final = 32
    _AM_HOPS: Final = 20
    """Three turns of 15 Hz."""
    _WAVE: Final = np.exp(-2j * np.pi * 15 * HOP_S * np.arange(_AM_HOPS)).astype(np.complex64)
    _STRETCH, _GAP = 5, 2
    """Hops on either side of a reversal that must stand still, and hops between."""
    _PERIOD_HOPS = 45

    def __init__(self, channels: int) -> None:
        self._calm = np.full(channels, -1, np.int64)
        """Hop from which no edge disturbs the amplitude."""
        self._flip = np.full(channels, -1, np.int64)
        """Hop of the last turn by half a circle."""
        self._modulated, self._plain = (np.zeros(channels, np.int8) for _ in range(2))
        self._reversed = np.zeros(channels, np.bool_)

    def begin(self, channel: int) -> None:
        for array in (self._calm, self._flip):
            array[channel] = -1
        for votes in (self._modulated, self._plain, self._reversed):
            votes[channel] = 0

    def step(
        self, newest: int, c: NDArray[np.intp], start: Hops, line: NDArray[np.complex64], out: Reports
    ) -> NDArray[np.bool_]:
        """`line[32, n]`: the last hops of the tones on channels `c`, which began in `start`. `[n]`: all is known."""
        self._reverse(newest, c, start, line)
        calm = np.maximum(self._calm[c], start + 5)
        due = newest - calm >= self._AM_HOPS
        if due.any():
            depth, part = self._modulation(np.abs(line[-self._AM_HOPS :, due]))
            yes = (depth > 0.07) & (part > 0.5)
            sure = yes & (depth > 0.1) & (part > 0.8)
            self._modulated[c[due]] += np.where(sure, 2, yes)
            self._plain[c[due]] += depth < 0.05
        modulated = self._modulated[c] >= 2
        reversed_ = self._reversed[c] & (modulated | (self._plain[c] > 0))
        for i in (modulated | reversed_).nonzero()[0].tolist():
            value = ("ansam" if modulated[i] else "ans") + ("_pr" if reversed_[i] else "")
            event = out.open(int(c[i]), "answer_tone")
            if event is not None and event.value not in (value, "bell_ans"):
                out.change(int(c[i]), "answer_tone", value, 0.95, event.evidence)
        return modulated & reversed_

    def _reverse(self, newest: int, c: NDArray[np.intp], start: Hops, line: NDArray[np.complex64]) -> None:
        turns = line[1:] * line[:-1].conj()
        mean = turns.sum(0)
        # At a reversal one turn at least is far from the others.
        turns *= mean.conj()
        far = (turns.real < np.abs(turns.imag)).any(0)
        if not far.any():
            return
        c, start, line, turn = c[far], start[far], line[:, far], np.angle(mean[far])
        length = np.abs(line)
        unit = line / np.maximum(length, 1e-9) * _turned(-turn * np.arange(self.HOPS)[:, None])
        n = self._STRETCH
        sums = unit.cumsum(0)
        stretches = sums[n - 1 :].copy()
        stretches[1:] -= sums[:-n]
        before, after = stretches[: -n - self._GAP], stretches[n + self._GAP :]
        still = np.minimum(np.abs(before), np.abs(after)) > 0.9 * n
        flipped = still & ((before * after.conj()).real < -0.75 * n * n)
        # The reversal is in the middle of those places that show it.
        at = (
            newest
            - self.HOPS
            + 1
            + n
            + (flipped * np.arange(len(flipped))[:, None]).sum(0) // np.maximum(flipped.sum(0), 1)
        )
        fresh = flipped.any(0) & (at > self._flip[c] + 8) & (at > start + 8)
        if not fresh.any():
            return
        c, at, start = c[fresh], at[fresh], start[fresh]
        since = np.stack([at - start, at - self._flip[c]])
        since[1, self._flip[c] < 0] = 0
        periods = np.rint(since / self._PERIOD_HOPS)
        on_time = (periods >= 1) & (np.abs(since - periods * self._PERIOD_HOPS) <= 4)
        self._reversed[c] |= on_time.any(0)
        self._flip[c] = at
        self._calm[c] = at + 5

    def _modulation(self, length: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth of the 15 Hz line of amplitudes `[20, n]`, and the part of their variance that it explains."""
        length = length * (self._AM_HOPS / np.maximum(length.sum(0), 1e-9))
        depth: NDArray[np.float32] = np.abs(self._WAVE @ length) * np.float32(2 / self._AM_HOPS)
        part: NDArray[np.float32] = depth**2 * (self._AM_HOPS / 2) / np.maximum(np.square(length - 1).sum(0), 1e-9)
        return depth, part


def _turned(angle: NDArray[np.floating[Any]]) -> NDArray[np.complex64]:
    """Unit vectors."""
    unit = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=unit.real, casting="same_kind")
    np.sin(angle, out=unit.imag, casting="same_kind")
    return unit


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`[n]`: mean over the hops `where`; 0 where there are none."""
    mean: NDArray[np.float32] = (values * where).sum(0) / np.maximum(where.sum(0), 1)
    return mean


def _without(
    below: NDArray[np.float32],
    power: NDArray[np.float32],
    parts: Iterable[NDArray[np.bool_]],
    energy: NDArray[np.float32],
) -> NDArray[np.float32]:
    """`[n]`: the energy without what sounds below 480 Hz, where that is as loud before the tone as later under it."""
    under = np.stack([_mean(below, part) for part in parts])
    under[1:] -= _LEAK * power
    steady = (under.max(0) < _STEADY * under.min(0)) & (under.min(0) > 0)
    without: NDArray[np.float32] = np.maximum(energy - np.where(steady, under[1:].mean(0), 0), power / 2)
    return without


def _waving(length: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[n]`: the part of what amplitudes `[hops, n]`, the newest first, do in 130 ms that a wave of 15 Hz explains."""
    recent = length[: len(_FIT)]
    left = np.square(_FIT @ recent).sum(0)
    moved = np.square(recent - recent.sum(0) / np.float32(len(recent))).sum(0)
    part: NDArray[np.float32] = 1 - left / np.maximum(moved, 1e-12)
    return part


def _fit() -> NDArray[np.float32]:
    """`[13, 13]`: from amplitudes to what is left of them without a mean and a wave of 15 Hz."""
    angle = 2 * np.pi * 15 * HOP_S * np.arange(13)
    model = np.stack([np.ones(13), np.cos(angle), np.sin(angle)], axis=1)
    left: NDArray[np.float64] = np.eye(13) - model @ np.linalg.pinv(model)
    return left.astype(np.float32)


_FIT: Final = _fit()
_LEAK, _STEADY = 0.03, 1.5
"""What a tone leaves below 480 Hz; what is that much louder for a time is not steady."""
_LAST_LOOK: Final = np.uint64(2**_NEW - 1)
_OLDER: Final = ~np.uint64(2 ** (2 * _NEW - 1) - 1)
"""The bits that are not looked at again."""
_WEIGHTS: Final = (2.0 ** np.arange(2 * _NEW - 2, -1, -1)).astype(np.float32)


def _packed(good: NDArray[np.bool_]) -> Bits:
    """`[tones, n]`: bit k is `good[-1 - k]`."""
    bits = _WEIGHTS @ good.reshape(len(good), -1).astype(np.float32)
    return bits.reshape(good.shape[1:]).astype(np.uint64)


def _last_run(bits: Bits) -> tuple[Hops, Hops]:
    """Hops since the last good one (64 where there is none), and the length of the run that ended there, in which
    gaps of three are closed."""
    one = np.uint64(1)
    quiet = np.bitwise_count((bits & -bits) - one)
    two = bits | bits << one
    wide = two | two << np.uint64(2)
    two = wide & wide >> one
    closed = (two & two >> np.uint64(2)) >> np.minimum(quiet, 63).astype(np.uint64)
    open_ = ~closed
    run = np.bitwise_count((open_ & -open_) - one)
    return quiet.astype(np.int64), run.astype(np.int64)


assert STEP == 2 * HOP
