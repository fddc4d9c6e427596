"""Runs of hops in which a steady tone goes on: where they begin and end, and what they are like.

A hop is good where the tone turned into it as its frequency wants; bits of 64 hops, the newest the lowest, tell runs
of good hops, with gaps of 30 ms closed. A run is measured whole, in sums over its hops: frequency, share of the
energy, how far its phase strays from a straight line (doubled, so that a reversal is no stray), how even its amplitude
is, both also in a band of 20 Hz, where little of a voice is left and nothing of hum, and what was there before and
after. All is `[hops, n]` for n tones of as many channels.
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
_AGO: Final = np.arange(DEPTH)[:, None]
_BITS_AGO: Final = _AGO.astype(np.uint64)
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


def measured(
    newest: int,
    line: NDArray[np.complex64],
    energies: NDArray[np.complex64],
    bits: Bits,
    start: Hops,
    last: Hops,
    first: Hops,
) -> Measured:
    """The hops after `first` up to `last` of tones that began in `start`.

    `line` and `energies` `[64, n]`, the hop `newest` first: the tone, and the energy of all and (imaginary) of what
    sounds below 480 Hz.
    """
    hops = newest - _AGO
    of_run = (hops > first) & (hops <= last)
    good = of_run & ((bits >> _BITS_AGO) & np.uint64(1)).astype(np.bool_)
    count = np.maximum(good.sum(0), 1)
    late, length = good & (count >= 2 * _AGO), np.abs(line)
    before, after = (hops < start) & (hops >= start - 6), hops > last + JOINED + 1
    begun = (hops > start + 1) & (hops <= start + 4)
    where = np.stack([good, of_run, before, after, begun, late, good & ~late]).astype(np.float32)
    what = np.stack([np.ones_like(length), length, length**2, energies.real, energies.imag])
    counts, *sums = np.einsum("mhn,qhn->qmn", where, what)
    lengths, powers, energy, below = sums / np.maximum(counts, 1)
    turn = np.angle((line[:-1] * line[1:].conj() * good[:-1]).sum(0))
    # Turned back to where it would stand in the newest hop, and doubled; the turn is told better by what is left of it
    # in 80 ms.
    for lag in _LAGS:
        doubled = (line / np.maximum(length, 1e-9) * turned(turn * _AGO)) ** 2 * good
        turn += np.angle((doubled[:-lag] * doubled[lag:].conj()).sum(0)) / np.float32(2 * lag)
    hz = turn / np.float32(2 * np.pi * HOP_S)
    straight, smooth_straight, smooth_uneven = _shape(line, turn, good, of_run)
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


def _shape(
    line: NDArray[np.complex64], turn: NDArray[np.float32], good: NDArray[np.bool_], of_run: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """`straight`, `smooth_straight` and `smooth_uneven` of tones that turn by `turn` in a hop."""
    still = line * turned(turn * _AGO)
    straight = _straight(still, good)
    wide = still[: 1 - _SMOOTH].copy()
    whole = of_run[: 1 - _SMOOTH] & of_run[_SMOOTH - 1 :]
    for k in range(1, _SMOOTH):
        wide += still[k : len(still) + 1 - _SMOOTH + k]
    length = np.abs(wide) * whole
    count = np.maximum(whole.sum(0), 1)
    mean = np.maximum(length.sum(0) / count, 1e-9)
    uneven = np.sqrt(np.maximum(np.square(length).sum(0) / count / mean**2 - 1, 0))
    return straight, _straight(wide, whole), uneven


def _straight(still: NDArray[np.complex64], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    doubled = (still / np.maximum(np.abs(still), 1e-9)) ** 2 * where
    straight: NDArray[np.float32] = np.abs(doubled.sum(0)) / np.maximum(where.sum(0), 1)
    return straight


def _without(
    below: NDArray[np.float32], power: NDArray[np.float32], energy: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`[n]`: the energy without what sounds below 480 Hz, where that (`[3, n]`: before the tone, late and early in it)
    is as loud before as later."""
    below[1:] -= _LEAK * power
    steady = (below.max(0) < _STEADY * below.min(0)) & (below.min(0) > 0)
    without: NDArray[np.float32] = np.maximum(energy - np.where(steady, below[1:].mean(0), 0), power / 2)
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


def turned(angle: NDArray[np.floating[Any]]) -> NDArray[np.complex64]:
    """Unit vectors."""
    unit = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=unit.real, casting="same_kind")
    np.sin(angle, out=unit.imag, casting="same_kind")
    return unit


def last_run(bits: Bits) -> tuple[Hops, Hops]:
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
