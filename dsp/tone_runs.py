"""Runs of hops in which a steady tone goes on: where they begin and end, and what they are like.

A hop is good where the tone turned into it as its frequency wants; bits of 64 hops, the newest the lowest, tell runs
of good hops, with gaps of 30 ms closed. A run is measured whole, in sums over its hops: frequency, share of the
energy, how far its phase strays from a straight line (doubled, so that a reversal is no stray), how even its amplitude
is, both also in a band of 20 Hz, where little of a voice is left and nothing of hum, and what was there before and
after. All is `[n, hops]` for n tones of as many channels.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dsp.tones import HOP_S

Hops = NDArray[np.int64]
Bits = NDArray[np.uint64]

DEPTH: Final = 64
"""Hops remembered."""
JOINED: Final = 5
"""Hops after the beginning in which an echo may join, and after the end in which it may be left alone."""
_AGO: Final = np.arange(DEPTH)
_BITS_AGO: Final = _AGO.astype(np.uint64)
_ONE: Final = np.uint64(1)
_LAGS: Final = 2, 8
"""Hops over which the turn is told anew: the wider, the better, but what is far off only over few."""
_SMOOTH: Final = 5
_LEAK, _STEADY = 0.03, 1.5
"""What a tone leaves below 480 Hz; what is that much louder for a time is not steady."""


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
    smooth_straight: NDArray[np.float32]
    smooth_uneven: NDArray[np.float32]
    """The same of the tone in every 50 ms, in a band of 20 Hz: what else sounds is but a fifth of itself there, and hum
    cancels itself."""
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


def measured(newest: int, known: NDArray[np.complex64], bits: Bits, start: Hops, last: Hops, first: Hops) -> Measured:
    """The hops after `first` up to `last` of tones that began in `start`.

    `known` `[n, 64, 2]`, the hop `newest` first: the tone, and the energy of all and (imaginary) of what sounds below
    480 Hz.
    """
    line, energies = known[..., 0], known[..., 1]
    hops, start_, last_ = newest - _AGO, start[:, None], last[:, None]
    of_run = (hops > first[:, None]) & (hops <= last_)
    good = of_run & (bits[:, None] >> _BITS_AGO & _ONE).astype(np.bool_)
    count = np.maximum(np.add.reduce(good, 1), 1)
    late = good & (count[:, None] >= 2 * _AGO)
    where = np.empty((len(line), 7, DEPTH), np.float32)
    where[:, 0], where[:, 1], where[:, 5], where[:, 6] = good, of_run, late, good ^ late
    where[:, 2] = (hops < start_) & (hops >= start_ - 6)
    where[:, 3] = hops > last_ + JOINED + 1
    where[:, 4] = (hops > start_ + 1) & (hops <= start_ + 4)
    length = np.abs(line)
    what = np.empty((len(line), 5, DEPTH), np.float32)
    what[:, 0], what[:, 1], what[:, 2], what[:, 3], what[:, 4] = (
        1,
        length,
        length * length,
        energies.real,
        energies.imag,
    )
    counts, *sums = (where @ what.swapaxes(1, 2)).transpose(2, 1, 0)
    lengths, powers, energy, below = sums / np.maximum(counts, 1)
    doubled = np.square(line / np.maximum(length, 1e-9)) * good
    turn = _turn(line, good, doubled)
    hz = turn / np.float32(2 * np.pi * HOP_S)
    back = turned(turn[:, None] * _AGO)
    straight = np.abs(np.vecdot(np.square(back.conj()), doubled)) / count
    smooth_straight, smooth_uneven = _smooth(line * back, of_run)
    mean = np.maximum(lengths[0], 1e-9)
    power = np.maximum(powers[0] / np.sinc(hz * HOP_S) ** 2, 1e-9)
    above = (energy - below) / power
    return Measured(
        hz=hz,
        share=power / _without(below[[2, 5, 6]], power, energy[0]),
        straight=straight,
        uneven=np.sqrt(np.maximum(powers[0] / mean**2 - 1, 0)),
        smooth_straight=smooth_straight,
        smooth_uneven=smooth_uneven,
        begun=np.where(newest - start < DEPTH, lengths[4] / mean, 1),
        before=above[2],
        after=above[3],
        waving=_waving(length),
        solid=count / np.maximum(counts[1], 1),
    )


def _turn(line: NDArray[np.complex64], good: NDArray[np.bool_], doubled: NDArray[np.complex64]) -> NDArray[np.float32]:
    """`[n]`: by how much tones turn in a hop; told by the next hop, and then better by hops further apart."""
    turn: NDArray[np.float32] = np.angle(np.vecdot(line[:, 1:], line[:, :-1] * good[:, :-1]))
    for lag in _LAGS:
        left = np.vecdot(doubled[:, lag:], doubled[:, :-lag]) * turned(-2 * lag * turn)
        turn += np.angle(left) / np.float32(2 * lag)
    return turn


def _smooth(still: NDArray[np.complex64], of_run: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`smooth_straight` and `smooth_uneven` of tones that have been turned back."""
    sums = still.cumsum(1)
    wide = sums[:, _SMOOTH:] - sums[:, :-_SMOOTH]
    whole = of_run[:, 1 : 1 - _SMOOTH] & of_run[:, _SMOOTH:]
    length = np.abs(wide)
    doubled = np.square(wide / np.maximum(length, 1e-9))
    count = np.maximum(np.add.reduce(whole, 1), 1)
    straight: NDArray[np.float32] = np.abs(np.vecdot(whole, doubled)) / count
    mean = np.maximum(np.vecdot(whole, length) / count, 1e-9)
    uneven: NDArray[np.float32] = np.sqrt(np.maximum(np.vecdot(whole, length * length) / count / mean**2 - 1, 0))
    return straight, uneven


def _without(
    below: NDArray[np.float32], power: NDArray[np.float32], energy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`[n]`: the energy without what sounds below 480 Hz, where that (`[3, n]`: before the tone, late and early in it)
    is as loud before as later."""
    below[1:] -= _LEAK * power
    low = np.minimum.reduce(below)
    steady = (np.maximum.reduce(below) < _STEADY * low) & (low > 0)
    without: NDArray[np.float32] = np.maximum(energy - steady * (below[1] + below[2]) / 2, power / 2)
    return without


def _waving(length: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[n]`: the part of what amplitudes `[n, hops]`, the newest first, do in 130 ms that a wave of 15 Hz explains."""
    recent = length[:, : len(_FIT)]
    left, moved = recent @ _FIT, recent - np.add.reduce(recent, 1, keepdims=True) / np.float32(len(_FIT))
    part: NDArray[np.float32] = 1 - np.vecdot(left, left) / np.maximum(np.vecdot(moved, moved), 1e-12)
    return part


def _fit() -> NDArray[np.float32]:
    """`[13, 13]`, symmetric: from amplitudes to what is left of them without a mean and a wave of 15 Hz."""
    angle = 2 * np.pi * 15 * HOP_S * np.arange(13)
    model = np.stack([np.ones(13), np.cos(angle), np.sin(angle)], axis=1)
    left: NDArray[np.float64] = np.eye(13) - model @ np.linalg.pinv(model)
    return left.astype(np.float32)


_FIT: Final = _fit()


def turned(angle: NDArray[np.floating[Any]]) -> NDArray[np.complex64]:
    """Unit vectors."""
    unit = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=unit.real, casting="same_kind")
    np.sin(angle, out=unit.imag, casting="same_kind")
    return unit


def last_run(bits: Bits) -> tuple[Hops, Hops]:
    """Hops since the last good one (64 where there is none), and the length of the run that ended there, in which
    gaps of three are closed."""
    quiet = np.bitwise_count((bits & -bits) - _ONE)
    two = bits | bits << _ONE
    wide = two | two << np.uint64(2)
    two = wide & wide >> _ONE
    closed = (two & two >> np.uint64(2)) >> np.minimum(quiet, 63).astype(np.uint64)
    open_ = ~closed
    run = np.bitwise_count((open_ & -open_) - _ONE)
    return quiet.astype(np.int64), run.astype(np.int64)
