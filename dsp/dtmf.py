"""DTMF digits.

ITU-T Q.23 (frequencies), Q.24 (receivers). A digit is a model: two steady tones of the two groups that begin together,
with no more before them than echo and noise. What was heard is compared with it where it may be one.

A first sign is taken of all channels: in two hops running the eight tones hold most of the energy above 480 Hz. The
bank makes its DTMF rows deaf to what lies below (dial tones, hum), so a dial tone does not hide a digit. Where the two
strongest tones hold that energy, the last ten hops are read again, from the bank's ring:

- the pair's correlations are cleared of each other (in 10 ms one group leaks into the other by up to a tenth), which
  leaves either tone's amplitude and phase in each hop;
- two hops running without both tones are a pause: what lies behind the last pause is the digit so far. Its length is
  the sum of its hops' amplitudes over the largest: 23 ms measure 2.3 hops wherever the hop boundaries fall, and a break
  of 10 ms, which can empty one hop or halve two, is no pause;
- from 28.5 ms on it is judged: the frequencies by the turns of phase, and then, both tones laid along their lines of
  phase, how much of either is one steady tone (`_COHERENT`) and how much of all energy both are (`_SHARE`), twist,
  level. What sounded below 480 Hz before the digit came may sound under it.

Speech and music fail on steadiness: their harmonics glide and swell within 30 ms, and something else sounds with them.
Between steps nothing is kept but which digit goes on. It ends with a pause.

Limits: a digit that has not become sure in its first 70 ms is not heard; a pause shorter than 20 ms may be taken for a
break.
"""

from math import log10
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, Bank

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
DIGITS: Final = "123A456B789C*0#D"
SIGN_SHARE: Final = 0.62
"""Of the energy above 480 Hz, that all eight tones hold where a digit may be."""

_HOPS: Final = 10
"""Looked at together."""
_PHASES: Final = 20
_LEAST = np.float32(10 ** (-47 / 10))
_PAIR = np.float32(0.55)
_SILENT = np.float32(0.35**2)
"""Power of a tone, of that in the digit, under which it is not there."""
_SURE_HOPS: Final = np.float32(2.85)
_COHERENT, _COHERENT_ABOVE = 0.955, 0.98
_SHARE, _SHARE_ABOVE = 0.88, 0.93
"""What must be steady, and how much of the energy: of all, or beside a dial tone or hum, of what is above it."""
_AS_BEFORE: Final = np.float32(1.6)
"""What sounded below 480 Hz before the digit may sound so much stronger under it."""
_EDGE: Final = 0.25
_BEFORE: Final = 0.25
_DEVIATION: Final = 0.0225
_HZ_OF_TURN: Final = np.float32(1 / (2 * np.pi * HOP_S))
_HIGH, _LOW = 10 ** (6.3 / 10), 10 ** (-10.3 / 10)
"""Power of the high tone, of that of the low one."""
_LEVEL: Final = 10 ** (-48.5 / 10)
_FULL: Final = np.float32(0.96)
_NOTHING: Final = np.float32(1e-12)
_ONE, _HALF = np.float32(1), np.float32(0.5)

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]


class Dtmf:
    """Digits on `channels` channels; `hop` counts from the first sample of the detectors."""

    def __init__(self, channels: int, bank: Bank) -> None:
        self._bank = bank
        tones = np.array([bank.row(f) for f in LOW_HZ + HIGH_HZ], np.intp)
        self._sift_rows = np.array([*(bank.power_row + tones), 0, bank.group_row["below"]], np.intp)[:, None]
        self._energy_rows = self._sift_rows[8:, :, None]
        # By the digit's number: rows of the low and the high tone's cosine, then of their sines.
        pairs = np.array([(tones[i], tones[4 + j]) for i in range(4) for j in range(4)], np.intp).T
        self._rows = np.concatenate([pairs, pairs + len(bank.grid_hz)])[:, None]
        self._unmixing, self._above = _unmixing(bank, self._rows[:, 0])
        self._nominal_hz = np.array([(low, high) for low in LOW_HZ for high in HIGH_HZ], np.float32).T
        self._shift_hz = np.array(bank.grid_hz, np.float32)[pairs] - self._nominal_hz
        self._going = np.full(channels, -1, np.intp)
        """Number of the digit that was reported and goes on."""
        self.sounding = np.zeros(channels, np.bool_)
        """`[channels]`: something like a digit is being heard."""
        self.any_sounding = False

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        # The last hop of the step before and the first of this one are full of any digit that is 28 ms old, and of one
        # of 40 ms that was not as old a step ago.
        margin = self._bank.hops_together["dtmf"]
        sign = margin[0] > _LEAST
        sign &= margin[1] > _LEAST
        if self.any_sounding:
            sign |= self._going >= 0
            self.sounding.fill(False)
            self.any_sounding = False
        c = sign.nonzero()[0]
        if c.size:
            self._sift(hop, c, out)

    def _sift(self, hop: int, c: Indices, out: Reports) -> None:
        """Of channels `c`, those where two tones hold the energy, or a digit goes on."""
        slots = self._bank.slots(_HOPS)
        of_hops = self._bank.energies[slots[-3:-1, None, None], self._sift_rows, c]
        of_rows = of_hops[0] + of_hops[1]
        power = of_rows[:8].reshape(2, 4, -1)
        tones, strongest = power.argmax(1), np.maximum.reduce(power, 1)
        code = 4 * tones[0] + tones[1]
        going = self._going[c]
        told = going >= 0
        kept = told | (strongest[0] + strongest[1] > _PAIR * (of_rows[8] - of_rows[9]))
        which = kept.nonzero()[0]
        if which.size < c.size:
            if not which.size:
                return
            c, code, told, going = c[which], code[which], told[which], going[which]
        self.sounding[c] = True
        self.any_sounding = True
        np.copyto(code, going, where=told)
        self._follow(hop, slots, c, code, told, out)

    def _follow(self, hop: int, slots: Indices, c: Indices, code: Indices, told: Flags, out: Reports) -> None:
        """Ends of digits on channels `c`, and which of the others have become long enough to be judged."""
        heard = self._bank.sums[slots[:, None], self._rows[:, :, code], c]
        first = hop + 2 - _HOPS
        parts = self._unmixing[:, :, _CYCLE[first % _PHASES] + code]
        parts *= heard
        line = np.add.reduce(parts, 1)
        squares = line * line
        power = squares[:2] + squares[2:]
        whole = power[0] + power[1]
        top, top_whole = np.maximum.reduce(power[:, -3:], 1), np.maximum.reduce(whole[-3:], 0)
        if np.logical_or.reduce(told):
            np.copyto(top, np.maximum.reduce(power, 1), where=told)
            np.copyto(top_whole, np.maximum.reduce(whole, 0), where=told)
        silent = np.logical_or.reduce(power < _SILENT * top[:, None], axis=0)
        pause = silent[1:] & silent[:-1]
        whole /= np.maximum(top_whole, _NOTHING)
        amount = np.sqrt(np.minimum(whole, _ONE, out=whole), out=whole)
        over = (told & (pause[-1] | pause[-2])).nonzero()[0]
        if over.size:
            at = np.where(pause[-2, over], _HOPS - 3, _HOPS - 2)
            ends = HOP * (first + at - 1 + amount[at - 1, over] + amount[at, over])
            for channel, end in zip(c[over].tolist(), ends.tolist(), strict=True):
                out.end(channel, "dtmf", end)
            self._going[c[over]] = -1
        # The last pause ends with this hop, in which the digit may have begun.
        began = np.maximum.reduce(pause * _AFTER, 0)
        amount *= began <= _NUMBERS
        due = ((np.add.reduce(amount, 0) >= _SURE_HOPS) & (began > 0) & ~told).nonzero()[0]
        if due.size:
            energies = self._bank.energies[slots[:, None], self._energy_rows, c[due]]
            of_due = (of[..., due] for of in (line, heard, power, amount))
            self._judge(_Digits(first, c[due], code[due], began[due], energies, *of_due), out)

    def _judge(self, d: "_Digits", out: Reports) -> None:
        """Report those that are digits."""
        full = np.minimum(d.amount * (1 / _FULL), _ONE)
        full *= d.held
        turn = _turn(d)
        deviation = turn * _HZ_OF_TURN
        deviation += self._shift_hz[:, d.code]
        deviation /= self._nominal_hz[:, d.code]
        of_tones = _dot(d.power, d.held) + _NOTHING
        steady = _along(d, turn, full)
        coherence = steady / of_tones
        coherence = np.minimum(coherence[0], coherence[1])
        # A tone beside the bank's frequency shows only a part of its power in a hop: sinc² of half its turn.
        low, high = steady / (_sinc2(turn) * _dot(full, full))
        above = _dot(_dot(d.line * d.held, d.heard), self._above[:, d.code])
        above /= of_tones[0] + of_tones[1]
        share, share_above = _shares(d, (low + high) * np.add.reduce(full, 0), above)
        sure = np.logical_and.reduce(np.abs(deviation) < _DEVIATION, 0) & _came_at_once(d)
        sure &= (high < _HIGH * low) & (high > _LOW * low) & (np.minimum(low, high) > _LEVEL)
        sure &= (share > _SHARE) & (coherence > _COHERENT) | (share_above > _SHARE_ABOVE) & (
            coherence > _COHERENT_ABOVE
        )
        for i in sure.nonzero()[0].tolist():
            channel, code = int(d.channels[i]), int(d.code[i])
            evidence = {
                "deviation_percent": [round(100 * x, 1) for x in deviation[:, i].tolist()],
                "twist_db": round(10 * log10(high[i] / low[i]), 1),
            }
            out.begin(channel, "dtmf", d.start(i), DIGITS[code], 1.0, evidence)
            self._going[channel] = code


class _Digits:
    """What may be digits, one a channel; hops `[10]` count from hop number `first`."""

    def __init__(
        self,
        first: int,
        channels: Indices,
        code: Indices,
        began: Indices,
        energies: Floats,
        line: Floats,
        heard: Floats,
        power: Floats,
        amount: Floats,
    ) -> None:
        self.first, self.channels, self.code = first, channels, code
        self.began = began
        """`[n]`: the hop in which, or at the end of which, the digit began. The one before it is all pause."""
        self.energies = energies
        """`[2, hops, n]`: all energy, and what is below 480 Hz."""
        self.line, self.heard = line, heard
        """`[4, hops, n]`: the two tones' real, then imaginary parts; and as the bank heard them."""
        self.tones = np.empty((2, *line.shape[1:]), np.complex64)
        """`[2, hops, n]`: the two tones' parts as one number."""
        self.tones.real, self.tones.imag = line[:2], line[2:]
        self.power = power
        """`[2, hops, n]`: their squares."""
        self.amount = amount
        """`[hops, n]`: amplitude in each hop, of that in a full one; 0 before the digit."""
        self.held = (amount > _HALF).astype(np.float32)
        """`[hops, n]`: 1 where the digit has more than half a hop."""
        self.hops_held = np.add.reduce(self.held, 0)
        self.energy_held = _dot(energies, self.held)
        """`[2, n]`: energies of those hops together."""

    def start(self, i: int) -> float:
        """Sample at which number i begins, by what its first two hops hold of it."""
        at = int(self.began[i])
        return HOP * (self.first + at + 2 - float(self.amount[at, i]) - float(self.amount[at + 1, i]))


_NUMBERS: Final = np.arange(_HOPS)[:, None]
_AFTER: Final = np.arange(1, _HOPS)[:, None]
_CYCLE: Final = 16 * ((np.arange(_PHASES)[:, None] + np.arange(_HOPS)) % _PHASES)[..., None]
"""By the first hop's phase, where the digits' matrices of each hop begin."""


def _dot(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Sums of the products of `a`, conjugate, and `b` over their last axis but one, the hops."""
    sums: NDArray[Any] = np.vecdot(a, b, axis=-2)  # type: ignore[call-overload]  # its stub lacks `axis`
    return sums


def _turn(d: _Digits) -> Floats:
    """`[2, n]`: by how much either tone turns in a hop, radians. A hop half full has its middle elsewhere, so two hops
    lie apart by the mean of what they hold."""
    pairs = d.held[1:] * d.held[:-1]
    turned = _dot(d.tones[:, :-1] * pairs, d.tones[:, 1:])
    weight = d.amount[1:] * d.amount[:-1]
    weight *= pairs
    apart = _dot(weight, d.amount[1:] + d.amount[:-1])
    apart /= np.maximum(2 * np.add.reduce(weight, 0), np.float32(1e-6))
    turn: Floats = np.arctan2(turned.imag, turned.real)
    turn /= np.maximum(apart, _HALF)
    return turn


def _sinc2(turn: Floats) -> Floats:
    """Square of the sine of half of `turn` by half of it, for what turns by less than a third of a circle."""
    square = turn * turn
    part: Floats = 1 - square * (np.float32(1 / 12) - square * np.float32(1 / 360))
    return part


def _along(d: _Digits, turn: Floats, full: Floats) -> Floats:
    """`[2, n]`: power of either tone that lies along the line of phase that turns by `turn` a hop with the amplitude
    `full`."""
    # The middle of what a hop holds: late in the digit's first hop, early in its last one.
    middle = np.where(d.began + 1 >= _NUMBERS, _HALF, -_HALF) * (_ONE - full)
    middle += _NUMBERS
    angle = turn[:, None] * middle
    model = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=model.real)
    np.sin(angle, out=model.imag)
    model *= full
    sums = _dot(model, d.tones)
    along: Floats = sums.real**2 + sums.imag**2
    along /= _dot(full, full)
    return along


def _shares(d: _Digits, model: Floats, above: Floats) -> tuple[Floats, Floats]:
    """`[n]` each: what the `model` (energy of two steady tones, of which the part `above` lies above 480 Hz) has of all
    energy in the digit's hops; and of that without what sounded below 480 Hz before the digit, too."""
    energy, below = d.energy_held
    before = np.minimum.reduce(d.energies[1], 0, where=d.began > _NUMBERS, initial=np.inf)
    under = np.maximum(below - _AS_BEFORE * before * d.hops_held, (_ONE - above) * model)
    energy = energy + _NOTHING
    return model / energy, model / (energy - below + under)


def _came_at_once(d: _Digits) -> Flags:
    """`[n]`: out of a pause without much else above 480 Hz, and from nothing to all within one hop."""
    n = np.arange(d.began.size)
    edge = np.minimum(d.amount[d.began, n], _ONE - d.amount[d.began + 1, n])
    energy, below = d.energies[:, d.began - 1, n]
    mean = (d.energy_held[0] - d.energy_held[1]) / np.maximum(d.hops_held, _ONE)
    came: Flags = (edge < _EDGE) & (energy - below < _BEFORE * mean)
    return came


def _unmixing(bank: Bank, rows: Indices) -> tuple[Floats, Floats]:
    """For hop number h and digit k, at `[..., 16 * (h % 20) + k]`, the matrix `[4, 4]` that turns what the bank's
    `rows[4, digits]` hear of the digit into its two tones' real and imaginary parts. And `[4, digits]`, by which those
    parts are multiplied with what was heard so that their sum is the mean square above 480 Hz."""
    table = np.zeros((4, 4, _PHASES * 16), np.float32)
    above = np.zeros((4, 16), np.float32)
    angle = 2 * np.pi / 8000 * np.arange(_PHASES * HOP).reshape(_PHASES, HOP)
    for code in range(16):
        hz = np.array(bank.grid_hz, np.float64)[rows[:2, code]]
        tones = angle[:, None] * hz[:, None]
        tones = np.sqrt(2) * np.concatenate([np.cos(tones), -np.sin(tones)], axis=1)
        heard = bank.matrices[:, rows[:, code]].astype(np.float64)
        table[:, :, code::16] = np.linalg.inv(heard @ tones.swapaxes(1, 2)).transpose(1, 2, 0)
        above[:, code] = (heard * tones).sum((0, 2)) / (heard * heard).sum((0, 2)) / HOP
    return table, above
