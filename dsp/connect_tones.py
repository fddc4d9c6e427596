"""The tones by which machines introduce themselves: CNG, calling tone, answer tones.

ITU-T T.30 (CNG 1100 +-38 Hz, 0.5 s), V.25 (answer tone 2100 +-15 Hz, phase reversals every 450 ms; calling tone
1300 Hz, 0.5 to 0.7 s), V.8 clause 3.3 (ANSam: 2100 Hz with 20 % of 15 Hz amplitude modulation), Bell 103 (2225 Hz).

Every 80 ms the tones that stand out now and 40 ms ago are read from the bank's ring: a hop is good where the tone holds
its share of the energy and turns from the hop before as its frequency wants. What has run for 180 ms is measured whole
(`dsp.tone_runs`).

- A tone that is clean (most of the energy, straight, even, beginning at once) is reported then.
- One with a second signal on the line as loud (somebody speaks) is believed for its length: CNG when it ends within 425
  to 575 ms of its beginning, an answer tone after 0.6 s. Even and straight are asked of the tone in a band of 20 Hz,
  where hum and voices hardly show. Notes of music have the share or the length but rarely both, and fade.
- A calling tone is reported when it ends: 1300 Hz that goes on is the idle mark of V.23.

The kind of a 2100 Hz tone, first reported as `ans`, is told later (`dsp.answer_kinds`). What was reported is
asked for its kind and its end every 160 ms.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.answer_kinds import AnswerKinds
from dsp.reports import Reports
from dsp.tone_runs import DEPTH, JOINED, Bits, Hops, Measured, last_run, measured
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
_SHARE, _LEVEL = np.float32(0.2), np.float32(2 * 10 ** (-46 / 10))
_LEAK = np.float32(1.2)
"""A tone that is louder than all is none."""
_HALF = np.float32(0.55)
"""A tone with a smaller share of the last 80 ms is not clean."""
_TAIL = np.float32(0.15)
"""What is so much weaker than the strongest of 160 ms is none of it: an echo, what was there before."""
_SLACK_HZ = 6.0
"""How far one hop may stray beyond the tolerance of the whole."""
_MISSES = 4
"""Hops after which a tone is over."""
_FIRST_HOPS, _RECENT_HOPS, _LASTING_HOPS, _HOPELESS_HOPS = 18, 20, 60, 200
"""When a tone is measured first and over how much, when it has lasted long, and when it is none of ours."""
_ANSWERED_HOPS = 15
"""Least of a CNG that must have stood alone when it was answered."""
_BURST_HOPS = 38
"""Least of a CNG or calling tone that is told by its length."""
_KIND_HOPS = 200
"""For so long the kind of an answer tone is looked for."""


class ConnectTones:
    """Steady tones of machines on `channels` channels."""

    def __init__(self, channels: int, bank: Bank, kinds: frozenset[str]) -> None:
        self._bank = bank
        self._tones = np.array([i for i, tone in enumerate(TONES) if tone.kind in kinds], np.intp)
        self._rows = np.array([bank.row(TONES[i].hz) for i in self._tones], np.intp)
        self._rows_list = self._rows.tolist()
        bank.expect(self._rows_list, float(_SHARE))
        sums = bank.places_of_sums(np.stack([self._rows, self._rows + len(bank.grid_hz)]), 2 * _NEW)
        energies = bank.places_of_energies(np.array([[0], [bank.group_row["below"]]], np.intp), 2 * _NEW)
        at = np.concatenate([sums, np.broadcast_to(energies, sums.shape)], axis=1)
        self._at = np.ascontiguousarray(at.transpose(0, 2, 3, 1).reshape(len(at), self._rows.size, -1))
        """`[8, tones, 16 * 4]`: by the turn, the places of the last 16 hops, each real and imaginary part, energy
        and what of it is below 480 Hz."""
        self._tolerance = np.array([tone.tolerance_hz for tone in TONES], np.float32)
        self._within = np.cos(2 * np.pi * HOP_S * (self._tolerance + np.float32(_SLACK_HZ)))
        shape = (len(TONES), channels)
        self._sign: NDArray[np.bool_] | None = None
        """Where a tone stood out 40 ms before a look."""
        self._good = np.zeros(shape, np.uint64)
        """Bit k: the tone turned as it should into the hop k hops ago."""
        self._newest = -1
        """The hop that bit 0 of `_good` is about."""
        self._known = np.zeros((*shape, DEPTH), np.complex128)
        """In the bytes of each number two of half its size: the tone, and the energy of all and (imaginary) of what
        sounds below 480 Hz."""
        self._start = np.full(shape, -1, np.int64)
        """Hop in which the tone that goes on began, -1 where there is none."""
        self._told = np.zeros(shape, np.bool_)
        self._settled = np.zeros(shape, np.bool_)
        """Of a tone that was told nothing but its end is to come."""
        self.sounding = np.zeros(channels, np.bool_)
        """`[channels]`: something stands where such a tone would."""
        self.running = False
        """`sounding` somewhere."""
        self._kinds = AnswerKinds(channels)

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
            sign = self._clear(sign)
        newest = hop + 1
        if self.running:
            going = self._start[self._tones] >= 0
            sign = going if sign is None else sign | going
            if not newest // _NEW % 2:
                # A tone that was told is looked at every other time.
                sign &= ~self._told[self._tones]
        if sign is None:
            return
        t, c = sign.nonzero()
        if c.size:
            # Tones are looked at when they have a sign; what was heard before is as old on all channels.
            new, self._newest = newest - self._newest, newest
            if new < DEPTH:
                self._good <<= np.uint64(new)
            else:
                self._good.fill(0)
            self._look(newest, t, c, out)

    def _clear(self, sign: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """A digit, a word or a caller's number seldom stands out twice in 40 ms; ringing leaks more than there is."""
        if self._sign is None:
            return None
        sign &= self._sign
        sign &= self._bank.power_20ms[self._rows] < _LEAK * self._bank.energy_20ms
        return sign

    def _look(self, newest: int, t: NDArray[np.intp], c: NDArray[np.intp], out: Reports) -> None:
        """Tones `t` (of those that are wanted) on channels `c`, up to hop `newest`."""
        bank, tone = self._bank, self._tones[t]
        known = bank.flat.take(self._at[bank.turn].take(t, 0) + c[:, None]).reshape(t.size, 2 * _NEW, 4)
        line = known[..., :2]
        power, energy = np.vecdot(line, line), known[..., 2] - known[..., 3]
        turned = np.vecdot(line[:, 1:], line[:, :-1])
        good = power[:, 1:] + power[:, :-1] > np.maximum(_SHARE * (energy[:, 1:] + energy[:, :-1]), _LEVEL)
        good &= power[:, 1:] > _TAIL * np.maximum.reduce(power, 1)[:, None]
        good &= turned > self._within[tone, None] * np.sqrt(power[:, 1:] * power[:, :-1])
        bits = (good @ _WEIGHTS).astype(np.uint64)
        bits |= self._good[tone, c] & _OLDER
        self._good[tone, c] = bits
        start = self._start[tone, c]
        going = (np.bitwise_count(bits & _LAST_LOOK) >= 6) | (start >= 0)
        k = going.nonzero()[0]
        if not k.size:
            return
        hops = np.arange(newest + 1 - 2 * _NEW, newest + 1) % DEPTH
        self._known[tone[k, None], c[k, None], hops] = known[k].view(np.complex128)[..., 0]
        # Of what was told nothing changes but its end and its kind.
        told = self._told[tone, c]
        going &= ~told | (bits & ~_OLDER != ~_OLDER) | ~self._settled[tone, c]
        k = going.nonzero()[0]
        if k.size:
            plain = power[k, -_NEW:].sum(1) > _HALF * energy[k, -_NEW:].sum(1)
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
        quiet, run = last_run(bits)
        last = newest - quiet
        first = last - run
        # What was too short for a CNG is remembered for another look: an answer tone may have cut it off.
        cut = (tone == _CNG) & (last - start < _BURST_HOPS)
        over = (quiet >= np.where(cut, _MISSES + _NEW, _MISSES)) | ((first > start + 2) & (run < DEPTH - 8))
        over &= start >= 0
        self._answered(newest, tone, c, bits, last, out)
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
            joined = np.maximum(start[due] + JOINED, recent)
            seen = self._measure(newest, *due_at, bits[due], start[due], last[due], joined)
            sure = self._clean(due_at[0], seen, hops) | self._lasting(due_at[0], seen, hops)
            self._begin(*due_at, start[due], seen, sure, out)
        if newest // _NEW % 2 and told.any():
            kind = told & (start >= 0) & (quiet == 0) & ~self._settled[tone, c]
            self._tell_kinds(newest, c[kind & (tone == _ANS)], out)

    def _answered(
        self, newest: int, tone: NDArray[np.intp], c: NDArray[np.intp], bits: Bits, last: Hops, out: Reports
    ) -> None:
        """A CNG into which an answer tone came, however much louder that is: what stood before it decides."""
        k = ((tone == _CNG) & (self._start[_CNG, c] >= 0) & ~self._told[_CNG, c]).nonzero()[0]
        if not k.size:
            return
        start, (quiet, run) = self._start[_CNG, c[k]], last_run(self._good[_ANS, c[k]])
        answer = newest - quiet - run
        due = (run >= 3) & (answer - start >= _ANSWERED_HOPS) & (answer - last[k] <= _MISSES) & (newest - start < DEPTH)
        k, start, answer = k[due], start[due], answer[due]
        if k.size:
            seen = self._measure(newest, tone[k], c[k], bits[k], start, answer - 1, start + 2)
            sure = (seen.share > 0.6) & (seen.straight > 0.985) & (seen.solid > 0.8) & (seen.uneven < 0.06)
            sure &= np.abs(seen.hz) <= self._tolerance[_CNG]
            self._begin(tone[k], c[k], start, seen, sure, out)

    def _tell_kinds(self, newest: int, c: NDArray[np.intp], out: Reports) -> None:
        """Of the 2100 Hz tones on channels `c`."""
        if c.size:
            hops = np.arange(newest + 1 - AnswerKinds.HOPS, newest + 1) % DEPTH
            line = self._known[_ANS, c[:, None], hops].view(np.complex64)[:, ::2].T
            start = self._start[_ANS, c]
            all_known = self._kinds.step(newest, c, start, line, out)
            self._settled[_ANS, c] = all_known | (newest - start >= _KIND_HOPS)

    def _measure(
        self, newest: int, tone: NDArray[np.intp], c: NDArray[np.intp], bits: Bits, start: Hops, last: Hops, first: Hops
    ) -> Measured:
        """The hops after `first` up to `last`, of the 64 remembered, of tones that began in `start`."""
        hops = np.arange(newest, newest - DEPTH, -1) % DEPTH
        known = self._known[tone[:, None], c[:, None], hops].view(np.complex64)
        return measured(newest, known.reshape(tone.size, DEPTH, 2), bits, start, last, first)

    def _clean(self, tone: NDArray[np.intp], seen: Measured, hops: Hops) -> NDArray[np.bool_]:
        """Nothing else begins like this."""
        answer = tone >= _ANS
        even: NDArray[np.bool_] = (seen.uneven < 0.055) | ((tone == _ANS) & (seen.uneven < 0.35) & (seen.waving > 0.75))
        even |= (seen.uneven < 0.1) & (seen.smooth_uneven < 0.04) & (seen.smooth_straight > 0.995)
        clean: NDArray[np.bool_] = even & (seen.share > 0.92) & (seen.straight > 0.98) & ((seen.before < 0.3) | answer)
        steady = (seen.uneven < 0.08) & (seen.smooth_uneven < 0.02) & (seen.smooth_straight > 0.998)
        steady |= (tone == _ANS) & (seen.uneven < 0.2) & (seen.waving > 0.9)
        clean |= (
            steady
            & (seen.straight > 0.985)
            & np.where(answer, seen.share > 0.55, (seen.share > 0.7) & (seen.before < 0.6))
        )
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
        ct = (tone == _CT) & (hops >= 41) & (hops <= 82) & (seen.after < 0.5)
        whole = (seen.share > 0.3) & (seen.solid > 0.8) & (seen.straight > 0.9) & (seen.uneven < 0.25)
        whole &= (seen.smooth_straight > 0.985) & (seen.smooth_uneven < 0.1)
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
        fresh = ~told & (tone <= _CT) & (end - start >= _BURST_HOPS)
        if fresh.any():
            at = tone[fresh], c[fresh]
            joined = start[fresh] + JOINED
            seen = self._measure(newest, *at, bits[fresh], start[fresh], end[fresh] - JOINED, joined)
            sure = self._burst(at[0], seen, end[fresh] - start[fresh])
            self._begin(*at, start[fresh], seen, sure, out)
            told = self._told[tone, c]
        for i in told.nonzero()[0].tolist():
            event = out.open(int(c[i]), TONES[tone[i]].kind)
            if event is not None and (event.value == "bell_ans") == (tone[i] == _BELL):
                out.end(int(c[i]), TONES[tone[i]].kind, int(end[i] + 1) * HOP)
        self._told[tone, c] = self._settled[tone, c] = False


_LAST_LOOK: Final = np.uint64(2**_NEW - 1)
_OLDER: Final = ~np.uint64(2 ** (2 * _NEW - 1) - 1)
"""The bits that are not looked at again."""
_WEIGHTS: Final = (2.0 ** np.arange(2 * _NEW - 2, -1, -1)).astype(np.float32)


assert STEP == 2 * HOP
