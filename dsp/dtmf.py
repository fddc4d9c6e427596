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

Each condition is linear in a few quantities of the digit (`_margins`), so one product of matrices tells all of them for
all digits at once: in 20 ms few channels are looked at, and what costs is the number of array operations.

Speech and music fail on steadiness: their harmonics glide and swell within 30 ms, and something else sounds with them.
Between steps nothing is kept but which digit goes on. It is looked at again where the first sign is gone, and ends with
a pause.

Limits: a digit that has not become sure in its first 70 ms is not heard; a pause shorter than 20 ms may be taken for a
break. A note of music that is struck like a digit, of two tones within 2 % of its own, is one.
"""

from math import log10
from typing import Final

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
_LEAST: Final = 10 ** (-47 / 10)
"""Sign that is worth a look, mean square."""
_ECHO: Final = 0.03
"""Of the power of a digit: what has less of a sign is its echo."""
_PAIR: Final = 0.65
"""Of the energy above 480 Hz, that the strongest tone of either group hold together."""
_PAIRS: Final = np.hstack(
    [np.repeat(np.eye(4), 4, 0), np.tile(np.eye(4), (4, 1)), np.tile([-_PAIR, _PAIR], (16, 1))], dtype=np.float32
)
"""`[16, 10]`: from the power of the eight tones, the energy and what is below 480 Hz to what each pair holds beyond."""
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
_EVERY: Final = np.ones(_HOPS, np.float32)
_NUMBERS: Final = np.arange(_HOPS)
_EARLY: Final = np.where(_NUMBERS < _HOPS - 2, np.float32(0.5), np.float32(-0.5))
_MIDDLE_OF_EMPTY: Final = _NUMBERS.astype(np.float32) + _EARLY
_BIT_OF_HOP: Final = (1 << _NUMBERS).astype(np.int16)

# By the number whose bit h says that hop h is silent: what its pauses tell.
_BITS: Final = np.arange(1 << _HOPS)[:, None] >> _NUMBERS & 1
_PAUSES: Final = _BITS[:, 1:] & _BITS[:, :-1]
_BEGAN: Final = (_PAUSES * _NUMBERS[1:]).max(1)
"""The last hop of the last pause, in which the digit may have begun; 0 without a pause."""
_FROM: Final = (_BEGAN[:, None] <= _NUMBERS) & (_BEGAN[:, None] > 0)
_SINCE: Final = _FROM.astype(np.float32)
"""1 from there on, otherwise 0."""
_BEGINNING: Final = np.stack(
    [
        np.where(_FROM, np.float32(np.inf), np.float32(0)),
        (_BEGAN[:, None] == _NUMBERS).astype(np.float32),
        (_BEGAN[:, None] + 1 == _NUMBERS).astype(np.float32),
    ]
)
"""Infinite from there on, otherwise 0; 1 in that hop; 1 in the next."""
_ENDED: Final = np.where(_PAUSES[:, -2] == 1, _HOPS - 3, np.where(_PAUSES[:, -1] == 1, _HOPS - 2, 0))
"""The first hop of a pause that ends with the last or the last but one hop; 0 without."""

# Rows of what is known hop by hop of channels that may say a digit: of its two tones mean squares; amplitude of both
# together, of that in the fullest of the last five hops, 0 before the last pause's end; energy of all, and of what is
# below 480 Hz; what the bank heard, of which nobody asks once amplitude and phase of the tones are known.
_POWER, _AMOUNT, _BELOW, _HEARD = slice(0, 2), 2, 4, slice(5, 9)
_POWERS, _ENERGIES_AND_HEARD = slice(0, 3), slice(3, 9)
_MEASURED = slice(0, 5)
# Rows of what is known of the digit as a whole: sums of the five rows `_MEASURED` over its full hops (the third is its
# length); of either tone the energy in these that is steady, the mean square, this over the length, and the part of
# that above 480 Hz; what was below before, over the length; by how much either frequency is off; amount in the first
# two hops; 1; by how much it is off, with the sign.
_SUMS, _LENGTH, _STEADY, _MEAN, _WHOLE, _ABOVE = slice(0, 5), 2, slice(5, 7), slice(7, 9), slice(9, 11), slice(11, 13)
_BEFORE, _OFF, _FIRST, _UNITY, _SIGNED, _QUANTITIES = 13, slice(14, 16), slice(16, 18), 18, slice(19, 21), 21

Floats = NDArray[np.float32]
Phasors = NDArray[np.complex64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Pauses = NDArray[np.int16]


def _margins() -> Floats:
    """`[17, 21]`: the weights that make margins of quantities."""
    rows = np.eye(_QUANTITIES)
    low, high = rows[_MEAN]
    of_low, of_high, _, energy, below = rows[_SUMS]
    steady_low, steady_high = rows[_STEADY]
    off_low, off_high = rows[_OFF]
    first, second = rows[_FIRST]
    whole, above, one = rows[_WHOLE].sum(0), rows[_ABOVE].sum(0), rows[_UNITY]
    # What is not the digit: all but what was below before, or all that is not below, whichever is more.
    rest_beside, rest_above = energy - _AS_BEFORE * rows[_BEFORE] - whole + above, energy - below
    return np.array(
        [
            steady_low - _COHERENT * of_low,
            steady_high - _COHERENT * of_high,
            _DEVIATION * one - off_low,
            _DEVIATION * one - off_high,
            _HIGH * low - high,
            high - _LOW * low,
            low - _LEVEL * one,
            high - _LEVEL * one,
            # Both tones came at once,
            _EDGE * one - first,
            # and do not swell, which makes more of them than of all: a hop half full has half the energy, one of half
            # the amplitude a quarter;
            _SWELLING * rest_beside - above,
            # they are alone.
            whole - _SHARE * energy,
            second - (1 - _EDGE) * one,
            _SWELLING * rest_above - above,
            above - _SHARE_ABOVE * rest_beside,
            above - _SHARE_ABOVE * rest_above,
            steady_low - _COHERENT_ABOVE * of_low,
            steady_high - _COHERENT_ABOVE * of_high,
        ],
        np.float32,
    )


_MARGINS: Final = _margins()
_BIT_OF_MARGIN: Final = (1 << np.arange(17)).astype(np.int32)


def _digits() -> Flags:
    """`[131072]`: by the number whose bits say which margins are positive, whether that is a digit. The first eleven
    must be, but in place of each of the last three of them it may be the one three further on, of which the last stands
    for all that follow."""
    number = np.arange(1 << 17)
    either = number >> 8
    either |= number >> 11 & 3 | (number >> 13 == 0b1111) << 2
    digits: Flags = (number & 0xFF == 0xFF) & (either & 0b111 == 0b111)
    return digits


_DIGITS: Final = _digits()


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        tones = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ], np.intp)
        # By the digit's number: rows of the low and the high tone's cosine, then of their sines.
        pairs = np.array([(tones[i], tones[4 + j]) for i in range(4) for j in range(4)], np.intp).T
        rows = np.concatenate([pairs, pairs + len(bank.grid_hz)])
        self._unmixing, part = _unmixing(bank, rows)
        energies = np.array([0, bank.group_row["below"]], np.intp)
        self._sift_at = bank.places_of_energies(np.concatenate([bank.power_row + tones, energies]), 2)[..., :1]
        of_energies = np.repeat(energies[:, None], 16, axis=1)
        self._at = np.concatenate(
            [bank.places_of_energies(of_energies, _HOPS), bank.places_of_sums(rows, _HOPS)], axis=1
        )
        nominal_hz = np.array([(low, high) for low in LOW_HZ for high in HIGH_HZ], np.float32).T
        shift = np.array(bank.grid_hz, np.float32)[pairs] / nominal_hz - 1
        per_turn = 1 / np.float32(2 * np.pi * HOP_S) / nominal_hz
        self._of_code = np.stack([per_turn, shift, part])
        self._bar = np.full(channels, _LEAST, np.float32)
        self._signs = np.zeros((2, channels), np.bool_)
        self._told = np.zeros(channels, np.bool_)
        """A digit was reported and goes on."""
        self._number = np.zeros(channels, np.intp)
        """Which."""
        self._count = 0

    @property
    def going(self) -> NDArray[np.bool_]:
        """`[channels]`: a digit was reported and goes on."""
        return self._told

    @property
    def any_going(self) -> bool:
        return self._count > 0

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        # The last hop of the step before and the first of this one are full of any digit that is 28 ms old, and of one
        # of 40 ms that was not as old a step ago.
        np.greater(self._bank.hops_together["dtmf"][:2], self._bar, out=self._signs)
        look = np.logical_and(self._signs[0], self._signs[1], out=self._signs[0])
        if self._count:
            look ^= self._told
        c = look.nonzero()[0]
        if c.size:
            self._sift(hop, c, out)

    def _sift(self, hop: int, c: Indices, out: Reports) -> None:
        """Of channels `c`, those where two tones hold the energy, or a digit was going on."""
        bank = self._bank
        pairs = _PAIRS.dot(bank.flat.take(self._sift_at[bank.turn] + c))
        kept = np.maximum.reduce(pairs, 0) > 0
        told = self._told.take(c)
        if self._count:
            kept |= told
        which = kept.nonzero()[0]
        if which.size:
            code = pairs.argmax(0)
            if self._count:
                np.copyto(code, self._number.take(c), where=told)
            if which.size < c.size:
                c, code, told = c.take(which), code.take(which), told.take(which)
            self._follow(hop + 2 - _HOPS, c, code, told, out)

    def _follow(self, first: int, c: Indices, code: Indices, told: Flags, out: Reports) -> None:
        """Ends of digits on channels `c`; beginnings of others, where they have become long enough. Hop number `first`
        is the oldest that is looked at."""
        line, known = self._read(first, c, code)
        power = known[_POWERS]
        filling = power / np.maximum.reduce(power[..., 5:], 2, keepdims=True, initial=_NOTHING)
        silent = np.minimum(filling[0], filling[1]) <= _SILENT
        pauses = silent.dot(_BIT_OF_HOP)
        amount = np.sqrt(filling[2], out=known[_AMOUNT])
        if self._count:
            self._end(first, c, told, pauses, amount, out)
        amount *= _SINCE.take(pauses, 0)
        due = np.vecdot(amount, _EVERY) >= _SURE_HOPS
        d = np.greater(due, told, out=due).nonzero()[0]
        if d.size:
            known = known[_MEASURED].take(d, 1)
            self._judge(first, c.take(d), code.take(d), pauses.take(d), line.take(d, 1), known, out)

    def _read(self, first: int, c: Indices, code: Indices) -> tuple[Phasors, Floats]:
        """`[2, n, hops]`: the two tones of digits `code` on channels `c`. `[9, n, hops]`: what is known of them; the
        amount is still its square."""
        bank = self._bank
        at = self._at[bank.turn].take(code, 1)
        at += c[:, None]
        known = np.empty((9, c.size, _HOPS), np.float32)
        bank.flat.take(at, out=known[_ENERGIES_AND_HEARD], mode="clip")
        parts = self._unmixing[first % _PHASES // 2].take(code, 2)
        parts *= known[_HEARD, None]
        line: Phasors = np.add.reduce(parts, 0)
        squares = np.square(line.view(np.float32))
        power = np.add(squares[..., ::2], squares[..., 1::2], out=known[_POWER])
        np.add(power[0], power[1], out=known[_AMOUNT])
        return line, known

    def _judge(
        self, first: int, c: Indices, code: Indices, pauses: Pauses, line: Phasors, known: Floats, out: Reports
    ) -> None:
        """Report those that are digits."""
        of_code = self._of_code.take(code, 2)
        q = np.empty((_QUANTITIES, c.size), np.float32)
        turn = _steadiness(line, known, q)
        deviation = np.multiply(turn, of_code[0], out=q[_SIGNED])
        deviation += of_code[1]
        np.abs(deviation, out=q[_OFF])
        whole = np.multiply(q[_MEAN], q[_LENGTH], out=q[_WHOLE])
        np.multiply(whole, of_code[2], out=q[_ABOVE])
        beginning = _BEGINNING.take(pauses, 1)
        np.vecdot(beginning[1:], known[_AMOUNT], out=q[_FIRST])
        before = np.minimum.reduce(np.maximum(known[_BELOW], beginning[0]), 1)
        np.multiply(before, q[_LENGTH] + _HELD, out=q[_BEFORE])
        q[_UNITY] = 1
        sure = _DIGITS.take(_BIT_OF_MARGIN.dot(_MARGINS.dot(q) > 0)).nonzero()[0]
        if sure.size:
            hops = (first + 2 + _BEGAN.take(pauses.take(sure))).tolist()
            self._begin(c.take(sure).tolist(), code.take(sure).tolist(), hops, q.take(sure, 1).T.tolist(), out)

    def _begin(self, channels: list[int], code: list[int], hops: list[int], q: list[list[float]], out: Reports) -> None:
        """Report digits `code`, which begin by the first two amounts before `hops`."""
        for channel, number, hop, of_digit in zip(channels, code, hops, q, strict=True):
            low, high = of_digit[_MEAN]
            evidence = {
                "deviation_percent": [round(1000 * x) / 10 for x in of_digit[_SIGNED]],
                "twist_db": round(100 * log10(high / low)) / 10,
            }
            out.begin(channel, "dtmf", HOP * (hop - sum(of_digit[_FIRST])), DIGITS[number], 1.0, evidence)
            self._told[channel], self._number[channel] = True, number
            self._bar[channel] = max(_LEAST, _ECHO * (low + high))
            self._count += 1

    def _end(self, first: int, c: Indices, told: Flags, pauses: Pauses, amount: Floats, out: Reports) -> None:
        """Report the ends of those that are `told` and after which there is a pause."""
        at = _ENDED.take(pauses)
        at *= told
        which = at.nonzero()[0]
        if which.size:
            lists = (each.take(which, 0).tolist() for each in (c, at, amount))
            for channel, hop, of_hops in zip(*lists, strict=True):
                out.end(channel, "dtmf", HOP * (first + hop - 1 + min(of_hops[hop - 1], 1) + of_hops[hop]))
                self._told[channel], self._bar[channel] = False, _LEAST
                self._count -= 1


def _steadiness(line: Phasors, known: Floats, q: Floats) -> Floats:
    """Of two steady tones that are most like what was heard: by how much they turn in a hop `[2, n]`, radians. Into
    `q` come their mean squares, how much of their energy is steady, and the sums."""
    # What holds little of the digit says little of it.
    held = (known[_AMOUNT] > _HELD).astype(np.float32)
    np.vecdot(known[_MEASURED], held, out=q[_SUMS])
    amount = np.minimum(known[_AMOUNT], held)
    filled = np.vecdot(amount, amount)
    line *= amount
    turns = np.vecdot(line[..., :-1], line[..., 1:])
    turn: Floats = np.arctan2(turns.imag, turns.real)
    # The middle of what a hop holds is late in the digit's first hop, early in its last one.
    angle = turn[..., None] * (_MIDDLE_OF_EMPTY - _EARLY * amount)
    model = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=model.real)
    np.sin(angle, out=model.imag)
    steady = np.square(np.abs(np.vecdot(model, line)))
    np.divide(steady, filled, out=q[_STEADY])
    # A tone beside the bank's frequency shows only a part of its power in a hop: nearly so for turns up to 2 radians.
    bend = turn * turn
    bend *= _BEND
    bend += 1
    bend /= filled
    np.multiply(q[_STEADY], bend, out=q[_MEAN])
    return turn


def _unmixing(bank: Bank, rows: Indices) -> tuple[Phasors, Floats]:
    """For hops from number f on, at `[f % 20 // 2]` the weights `[4, 2, digits, hops]` that turn what the bank's
    `rows[4, digits]` hear of the digit into its two tones. And `[2, digits]`: the part of either tone that lies above
    480 Hz, in the mean over its phases."""
    weights = np.zeros((_PHASES, 4, 4, 16), np.float32)
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
        weights[..., code] = np.linalg.inv(heard @ tones.swapaxes(1, 2)).swapaxes(1, 2)
        part[:, code] = (above * above).sum(2).mean(0).reshape(2, 2).mean(0) / HOP
    hops = (np.arange(0, _PHASES, 2)[:, None] + _NUMBERS) % _PHASES
    tones_of = weights[:, :, :2] + 1j * weights[:, :, 2:]
    return np.ascontiguousarray(tones_of[hops].transpose(0, 2, 3, 4, 1), np.complex64), part
