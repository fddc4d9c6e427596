"""DTMF digits.

ITU-T Q.23 (frequencies), Q.24 (receivers). A digit is a model: two steady tones, one of each group, that begin together
after a pause. What was heard is compared with it where it may be one.

A first sign is taken of all channels: in two hops running the eight tones hold most of the energy above 480 Hz. The
bank makes its DTMF rows deaf to what lies below (dial tones, hum), so a dial tone does not hide a digit. Where the
strongest tones of either group hold that energy, the last ten hops are read again, from the bank's ring:

- the two tones' correlations are cleared of each other (in 10 ms one group leaks into the other by up to a tenth),
  which leaves the amplitude and phase of either tone in each hop;
- two hops running without both tones are a pause: what follows the last pause is the digit so far. Its length is the
  sum of its hops' amplitudes over the largest: 23 ms measure 2.3 hops wherever the hop boundaries fall, and a break of
  10 ms, which can empty one hop or halve two, is no pause;
- from 28.5 ms on it is judged: by the turns of phase from hop to hop the frequencies, and how much of either tone lies
  along one line of phase with one amplitude; twist and level; whether both came within a hop; and how much of all
  energy the two tones are. What sounded below 480 Hz before the digit came may sound under it.

Speech and music fail on steadiness: their harmonics glide and swell within 30 ms, and something else sounds with them.
Between steps nothing is kept but which digit goes on. It is looked at again where the first sign is gone, and ends with
a pause.

Limits: a digit that has not become sure in its first 70 ms is not heard; a pause shorter than 20 ms may be taken for a
break. A note of music that is struck like a digit, of two tones within 2 % of its own, is one.
"""

from dataclasses import dataclass
from math import log10
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, Bank

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
DIGITS: Final = "123A456B789C*0#D"
SIGN_SHARE: Final = 0.7
"""Of the energy above 480 Hz, that all eight tones hold where a digit may be."""

_HOPS: Final = 10
"""Looked at together."""
_PHASES: Final = 20
"""Of hops against the bank's frequencies."""
_LEAST: Final = np.float32(10 ** (-47 / 10))
"""Sign that is worth a look, mean square."""
_ECHO: Final = 0.03
"""Of the power of a digit: what has less of a sign is its echo."""
_PAIR: Final = np.float32(0.65)
"""Of the energy above 480 Hz, that the strongest tone of either group hold together."""
_SILENT: Final = np.float32(0.35**2)
"""Power of a tone, of that in the digit, under which it is not there."""
_SURE_HOPS: Final = np.float32(2.85)
_HELD: Final = np.float32(0.5)
"""Amplitude from which a hop is asked what it says of the digit."""
_DEVIATION: Final = np.float32(0.0215)
_HIGH, _LOW = np.float32(10 ** (6.3 / 10)), np.float32(10 ** (-10.3 / 10))
"""Power of the high tone, of that of the low one."""
_LEVEL: Final = np.float32(10 ** (-48.5 / 10))
_EDGE: Final = np.float32(0.2)
"""Amplitude that may be missing from the digit's first full hop and be there in the hop before."""
_COHERENT, _COHERENT_ABOVE = np.float32(0.972), np.float32(0.98)
_SHARE, _SHARE_ABOVE, _SWELLING = np.float32(0.905), np.float32(0.905), np.float32(1.16)
"""What must be steady, and how much of the energy: of all, or beside a dial tone or hum, of what is above it."""
_AS_BEFORE: Final = np.float32(1.6)
"""What sounded below 480 Hz before the digit may sound so much stronger under it."""
_BEND: Final = np.float32(0.094)
"""By which a tone's power is to be raised that turns by a radian in a hop."""
_NOTHING: Final = np.float32(1e-12)
_ONE: Final = np.float32(1)
_NUMBERS: Final = np.arange(_HOPS)[:, None]
_EARLY: Final = np.where(_NUMBERS < _HOPS - 2, np.float32(0.5), np.float32(-0.5))
_MIDDLE_OF_EMPTY: Final = (1j * (_NUMBERS + _EARLY)).astype(np.complex64)
_MIDDLE_PER_AMOUNT: Final = (-1j * _EARLY).astype(np.complex64)
_AFTER: Final = np.arange(1, _HOPS)[:, None]

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        tones = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ], np.intp)
        below = bank.group_row["below"]
        self._sift_rows = np.array([*(bank.power_row + tones), 0, below], np.intp)[:, None]
        self._energy_rows = np.array([0, below], np.intp)[:, None, None]
        # By the digit's number: rows of the low and the high tone's cosine, then of their sines.
        pairs = np.array([(tones[i], tones[4 + j]) for i in range(4) for j in range(4)], np.intp).T
        self._rows = np.concatenate([pairs, pairs + len(bank.grid_hz)])[:, None]
        self._unmixing, self._part = _unmixing(bank, self._rows[:, 0])
        self._phases = [16 * ((first + _NUMBERS) % _PHASES) for first in range(0, _PHASES, 2)]
        nominal_hz = np.array([(low, high) for low in LOW_HZ for high in HIGH_HZ], np.float32).T
        self._shift = np.array(bank.grid_hz, np.float32)[pairs] / nominal_hz - 1
        self._per_turn = 1 / np.float32(2 * np.pi * HOP_S) / nominal_hz
        self._bar = np.full(channels, _LEAST)
        self._signs = np.zeros((2, channels), np.bool_)
        self._told = np.zeros(channels, np.bool_)
        """A digit was reported and goes on."""
        self._going = np.zeros(channels, np.intp)
        """Its number."""
        self._count = 0
        self.sounding = np.zeros(channels, np.bool_)
        """`[channels]`: something like a digit is being heard."""
        self.any_sounding = False

    @property
    def going(self) -> NDArray[np.bool_]:
        """`[channels]`: a digit was reported and goes on."""
        return self._told

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        # The last hop of the step before and the first of this one are full of any digit that is 28 ms old, and of one
        # of 40 ms that was not as old a step ago.
        np.greater(self._bank.hops_together["dtmf"][:2], self._bar, out=self._signs)
        look = np.logical_and(self._signs[0], self._signs[1], out=self._signs[0])
        if self._count:
            look ^= self._told
        if self.any_sounding:
            np.copyto(self.sounding, self._told)
            self.any_sounding = self._count > 0
        c = look.nonzero()[0]
        if c.size:
            self._sift(hop, c, out)

    def _sift(self, hop: int, c: Indices, out: Reports) -> None:
        """Of channels `c`, those where two tones hold the energy, or a digit was going on."""
        slots = self._bank.slots(_HOPS)
        of_rows = self._bank.energies[slots[-2], self._sift_rows, c]
        groups = of_rows[:8].reshape(2, 4, -1)
        power = np.maximum.reduce(groups, 1)
        tones = groups.argmax(1)
        code = 4 * tones[0] + tones[1]
        told = self._told[c]
        kept = power[0] + power[1] > _PAIR * (of_rows[8] - of_rows[9])
        if self._count:
            kept |= told
            code = np.where(told, self._going[c], code)
        which = kept.nonzero()[0]
        if which.size:
            if which.size < c.size:
                c, code, told = c[which], code[which], told[which]
            self.sounding[c] = True
            self.any_sounding = True
            self._follow(hop + 2 - _HOPS, slots, c, code, told, out)

    def _follow(self, first: int, slots: Indices, c: Indices, code: Indices, told: Flags, out: Reports) -> None:
        """Ends of digits on channels `c`; beginnings of others, where they have become long enough. Hop number `first`
        is the oldest that is looked at."""
        parts = self._unmixing.take(self._phases[first % _PHASES // 2] + code, axis=2)
        parts *= self._bank.sums[slots[:, None], self._rows[:, :, code], c]
        line = np.add.reduce(parts, 1)
        power = np.square(np.abs(line))
        silent = power <= _SILENT * np.maximum.reduce(power[:, None, 5:], 2)
        pause = silent[0] | silent[1]
        pause = pause[1:] & pause[:-1]
        amount = power[0] + power[1]
        amount /= np.maximum.reduce(amount[5:], 0) + _NOTHING
        np.sqrt(amount, out=amount)
        if self._count:
            self._end(first, c, told & (pause[-1] | pause[-2]), pause, amount, out)
        # The last pause ends with this hop, in which the digit may have begun.
        began = np.maximum.reduce(pause * _AFTER, 0)
        amount *= began <= _NUMBERS
        due = np.add.reduce(amount, 0) >= _SURE_HOPS
        due &= began > 0
        due &= ~told
        d = due.nonzero()[0]
        if d.size:
            of_due = (line[..., d], power[..., d], amount[:, d], began[d])
            self._judge(slots, _Heard(first, c[d], code[d], *of_due), out)

    def _judge(self, slots: Indices, heard: "_Heard", out: Reports) -> None:
        """Report those that are digits."""
        turn, power, coherence = _steadiness(heard)
        deviation = turn * self._per_turn[:, heard.code] + self._shift[:, heard.code]
        low, high = power
        like = (coherence > _COHERENT) & (np.maximum.reduce(np.abs(deviation), 0) < _DEVIATION)
        like &= (high < _HIGH * low) & (high > _LOW * low) & (np.minimum(low, high) > _LEVEL)
        which = like.nonzero()[0]
        if which.size:
            energies = self._bank.energies[slots[:, None], self._energy_rows, heard.channels[which]]
            part = self._part[:, heard.code[which]]
            sure = which[_alone(heard, which, power[:, which], part, coherence[which], energies)]
            for i in sure.tolist():
                channel, code = int(heard.channels[i]), int(heard.code[i])
                off, twist = deviation[:, i].tolist(), float(high[i] / low[i])
                evidence = {
                    "deviation_percent": [round(100 * x, 1) for x in off],
                    "twist_db": round(10 * log10(twist), 1),
                }
                out.begin(channel, "dtmf", heard.start(i), DIGITS[code], 1.0, evidence)
                self._told[channel], self._going[channel] = True, code
                self._bar[channel] = max(_LEAST, _ECHO * (low[i] + high[i]))
                self._count += 1

    def _end(self, first: int, c: Indices, over: Flags, pause: Flags, amount: Floats, out: Reports) -> None:
        which = over.nonzero()[0]
        if which.size:
            at = np.where(pause[-2, which], _HOPS - 3, _HOPS - 2)
            ends = HOP * (first + at - 1 + np.minimum(amount[at - 1, which], 1) + amount[at, which])
            for channel, end in zip(c[which].tolist(), ends.tolist(), strict=True):
                out.end(channel, "dtmf", end)
                self._told[channel], self._bar[channel] = False, _LEAST
                self._count -= 1


@dataclass(frozen=True, slots=True)
class _Heard:
    """What follows a pause on some channels: `[n]`, `[hops, n]` or `[2, hops, n]` (low and high tone)."""

    first: int
    """Number of the oldest hop."""
    channels: Indices
    code: Indices
    """Number of the digit."""
    line: Complex
    """Amplitude and phase of its tones."""
    power: Floats
    """Their mean squares."""
    amount: Floats
    """Amplitude in each hop, of that in the fullest of the last five; 0 before the pause's end."""
    began: Indices
    """The hop in which, or at the end of which, it began. The one before it is all pause."""

    def start(self, i: int) -> float:
        """Sample at which it begins on channel number i, by what its first two hops hold of it."""
        at = int(self.began[i])
        return HOP * (self.first + at + 2 - float(self.amount[at, i]) - float(self.amount[at + 1, i]))


def _steadiness(heard: _Heard) -> tuple[Floats, Floats, Floats]:
    """Of two steady tones that are most like what was heard: by how much they turn in a hop `[2, n]`, radians; their
    mean squares `[2, n]`; which part of the less steady tone's energy is steady `[n]`."""
    # What holds little of the digit says little of it.
    held = (heard.amount > _HELD).astype(np.float32)
    amount = np.minimum(heard.amount, held)
    filled = _dot(amount, amount) + _NOTHING
    line = heard.line * amount
    turns = _dot(line[:, :-1], line[:, 1:])
    turn: Floats = np.arctan2(turns.imag, turns.real)
    # The middle of what a hop holds is late in the digit's first hop, early in its last one.
    model = np.exp(turn[:, None] * (_MIDDLE_OF_EMPTY + _MIDDLE_PER_AMOUNT * amount))
    power = np.square(np.abs(_dot(model, line)))
    power /= filled
    coherence = np.minimum.reduce(power / (_dot(heard.power, held) + _NOTHING), 0)
    # A tone beside the bank's frequency shows only a part of its power in a hop: nearly so for turns up to 2 radians.
    power *= (_ONE + _BEND * turn * turn) / filled
    return turn, power, coherence


def _alone(heard: _Heard, which: Indices, power: Floats, part: Floats, coherence: Floats, energies: Floats) -> Flags:
    """Of the channels numbered `which`, those on which the digit's two tones (mean squares `power`, of which `part` is
    above 480 Hz) came at once, and nothing sounds with them but what did before; `energies[2, hops, n]`: all, below."""
    amount, began = heard.amount[:, which], heard.began[which]
    n = np.arange(which.size)
    came = np.minimum(amount[began, n], _ONE - amount[began + 1, n]) < _EDGE
    held = (amount > _HELD).astype(np.float32)
    length = _dot(amount, held)
    energy, below = _dot(energies, held)
    whole = (power[0] + power[1]) * length
    above = _dot(power, part) * length
    # Tones that swell are more than all: a hop half full has half the energy, one of half the amplitude a quarter.
    alone: Flags = whole > _SHARE * energy
    before = np.minimum.reduce(energies[1], 0, where=began > _NUMBERS, initial=np.inf)
    more = np.maximum(below - _AS_BEFORE * before * (length + _HELD) - (whole - above), 0)
    rest = energy - below + more
    alone |= (above > _SHARE_ABOVE * rest) & (coherence > _COHERENT_ABOVE)
    alone &= came & (above < _SWELLING * rest)
    return alone


def _dot(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Sums of the products of `a`, conjugate, and `b` over their last axis but one, the hops."""
    sums: NDArray[Any] = np.vecdot(a, b, axis=-2)  # type: ignore[call-overload]  # its stub lacks `axis`
    return sums


def _unmixing(bank: Bank, rows: Indices) -> tuple[Complex, Floats]:
    """For hop number h and digit k, at `[..., 16 * (h % 20) + k]`, the weights `[2, 4]` that turn what the bank's
    `rows[4, digits]` hear of the digit into amplitude and phase of its two tones. And `[2, digits]`: the part of either
    tone that lies above 480 Hz, in the mean over its phases."""
    table = np.zeros((2, 4, _PHASES * 16), np.complex64)
    part = np.zeros((2, 16), np.float32)
    angle = 2 * np.pi / 8000 * np.arange(_PHASES * HOP).reshape(_PHASES, HOP)
    for code in range(16):
        hz = np.array(bank.grid_hz, np.float64)[rows[:2, code]]
        turning = angle[:, None] * hz[:, None]
        tones = np.sqrt(2) * np.concatenate([np.cos(turning), -np.sin(turning)], axis=1)
        heard = bank.matrices[:, rows[:, code]].astype(np.float64)
        # The bank's rows are the tones without what is below 480 Hz, but for a factor.
        factor = (heard * tones).sum((0, 2)) / (heard * heard).sum((0, 2))
        above = heard * factor[:, None]
        weights = np.linalg.inv(heard @ tones.swapaxes(1, 2))
        table[:, :, code::16] = (weights[:, :2] + 1j * weights[:, 2:]).transpose(1, 2, 0)
        part[:, code] = (above * above).sum(2).mean(0).reshape(2, 2).mean(0) / HOP
    return table, part
