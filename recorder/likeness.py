"""Are two recordings copies of one call? Decided by how the level of their sound moves.

A PBX's trunk line and the extension behind it carry the same conversation, each in its own way: the PBX delays it (a
few to a few hundred milliseconds), each tap has its own loudness and noise, and of the two people one is louder here
and the other there. What stays is the fine structure of speech: which syllables are loud, and when.

So up to `PIECES` pieces of `PIECE_S` are taken from the time both recordings cover, spread over at most its first
`SPREAD_S`. Of each the level in frames of 20 ms is compared with the other recording's at every lag up to
`MOST_LAG_S`: limited below to the range that both have above their noise, the moving mean of a second taken out (so
that neither loudness, nor which of the two speaks louder, counts), and correlated. One lag is chosen for all pieces,
the one at which most of them fit, with a frame of play for clocks that drift apart. The **likeness** is the median of
the pieces' correlations at that lag; `same` where it reaches `SAME`, from at least `FEWEST` pieces.

A piece counts only where the copy's sound is rich: its level moves by more than `RICH_DB` while it is there. Silence,
dial, ring-back and busy tones, digits, fax and modem signals do not, so tones that happen to beat together link
nothing. The median lets an extension's recording hold another conversation (a consultation before a transfer) for
less than half of its time.

Measured with `python -m tests.recorder.copies` on speech of Debian's packages, trunk and extension at levels up to
15 dB apart, delays up to 1.8 s, noise 12 to 40 dB below the speech, 300 pairs of each kind a row:

| both recorded for | copies: least, median | two calls: median, greatest | too little talk |
|---|---|---|---|
| 8 s | 0.79, 0.94 | 0.24, 0.49 | 9 of 300 |
| 12 s | 0.81, 0.94 | 0.16, 0.43 | 2 of 300 |
| 20 s | 0.85, 0.95 | 0.12, 0.35 | 0 |
| 40 s | 0.84, 0.95 | 0.09, 0.36 | 0 |
| 120 s | 0.83, 0.95 | 0.08, 0.32 | 0 |

The peaks that a file keeps would not do: they have 8 bits, and a long recording has one for a second and more.

Weak: copies of a fax call stay two, as nothing in their levels tells them from another fax. Two calls that hear the
same music on hold for more than half of the time look like copies, for there they are. What has less than
`LEAST_S` of talk in common is not decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.g711 import Law
from dsp.levels import FLOOR_DBM0, dbm0, expansion

RATE: Final = 8000
FRAME: Final = 160
FRAMES_S: Final = 50
PIECE_S: Final = 4
MOST_LAG_S: Final = 2
PIECES: Final = 12
SPREAD_S: Final = 300
FEWEST: Final = 3
FIRST: Final = 5
"""After so many pieces of which no two fit at one lag the rest is not looked at."""
LEAST_S: Final = 8
"""Pieces may overlap by half: so long takes three of them."""
SAME: Final = 0.6
RICH_DB: Final = 2.5
PIECE_FRAMES: Final = PIECE_S * FRAMES_S
LAG_FRAMES: Final = MOST_LAG_S * FRAMES_S
_FITS = 0.5
_RANGE_DB = 30.0
_LEAST_RANGE_DB = 8.0
_LEAST_ACTIVE = 0.2
_MEAN_FRAMES = 51

Levels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    same: bool
    likeness: float
    """-1 to 1: the median correlation of the pieces that were heard; 0 where there were too few."""
    lag_s: float
    """By how much the copy hears things later than the principal."""
    pieces: int
    """So many were rich enough to be compared."""


def levels(law_bytes: NDArray[np.uint8], law: Law) -> Levels:
    """`[n]`: level in dBm0 of each whole frame of 20 ms of `law_bytes[samples]`."""
    values = np.take(expansion(law), law_bytes[: law_bytes.size // FRAME * FRAME]).reshape(-1, FRAME)
    return dbm0(np.einsum("ij,ij->i", values, values) / FRAME)


def pieces_of(overlap_s: float) -> list[float]:
    """Where in the time that two recordings share the pieces begin, in seconds from its beginning; the first of them
    are spread over all of it."""
    room = min(overlap_s, SPREAD_S) - PIECE_S
    if room < 0:
        return []
    count = min(PIECES, int(room // (PIECE_S / 2)) + 1)
    begins = [room * n / max(count - 1, 1) for n in range(count)]
    return begins[::3] + begins[1::3] + begins[2::3]


def compare(pieces: Iterable[tuple[Levels, Levels]]) -> Likeness:
    """Pairs of (copy `[PIECE_FRAMES]`, principal `[PIECE_FRAMES + 2 LAG_FRAMES]`), whose middles are at one time.

    What a recording does not reach is `FLOOR_DBM0`. Raises ValueError for other shapes."""
    curves: list[NDArray[np.float64]] = []
    for copy, principal in pieces:
        if _rich(copy):
            curves.append(_curve(copy, principal))
            if len(curves) == FIRST and (_with_play(np.stack(curves)) >= _FITS).sum(axis=0).max() < 2:
                break
    if len(curves) < FEWEST:
        return Likeness(False, 0.0, 0.0, len(curves))
    found = np.stack(curves)
    best = _with_play(found)
    at = int(np.argmax(np.maximum(best - 0.3, 0).sum(axis=0) + 1e-3 * found.sum(axis=0)))
    likeness = float(np.median(best[:, at]))
    return Likeness(likeness >= SAME, round(likeness, 3), (LAG_FRAMES - at) / FRAMES_S, len(curves))


def _with_play(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best of each lag and its neighbours."""
    aside = np.pad(curves, ((0, 0), (1, 1)), mode="edge")
    best: NDArray[np.float64] = np.maximum(np.maximum(aside[:, :-2], aside[:, 2:]), curves)
    return best


def _range(x: Levels) -> tuple[float, float]:
    """(loud, how far that is above the noise) in dB."""
    ordered = np.sort(x)
    quiet, loud = ordered[x.size // 10], ordered[x.size * 19 // 20]
    return float(loud), float(np.clip(loud - max(quiet, FLOOR_DBM0) - 3, 0, _RANGE_DB))


def _rich(x: Levels) -> bool:
    """Is there sound whose level moves by itself, not only with its beginning and end?"""
    loud, reach = _range(x)
    active = x > loud - max(reach, _LEAST_RANGE_DB)
    inside = active[:-2] & active[1:-1] & active[2:]
    return reach >= _LEAST_RANGE_DB and inside.mean() > _LEAST_ACTIVE and float(x[1:-1][inside].std()) > RICH_DB


def _curve(copy: Levels, principal: Levels) -> NDArray[np.float64]:
    """`[2 LAG_FRAMES + 1]`: correlation with the principal's frames from each lag on, earliest first."""
    if copy.shape != (PIECE_FRAMES,) or principal.shape != (PIECE_FRAMES + 2 * LAG_FRAMES,):
        raise ValueError(f"Likeness: pieces of {copy.shape} and {principal.shape} frames cannot be compared.")
    (loud_x, reach_x), (loud_y, reach_y) = _range(copy), _range(principal)
    reach = min(reach_x, reach_y)
    if reach < _LEAST_RANGE_DB:
        return np.zeros(2 * LAG_FRAMES + 1)
    x, y = (_moving(np.maximum(z - loud, -reach)) for z, loud in ((copy, loud_x), (principal, loud_y)))
    x -= x.mean()
    sums, squares = (np.cumsum(np.concatenate([[0.0], z])) for z in (y, y * y))
    total = sums[PIECE_FRAMES:] - sums[:-PIECE_FRAMES]
    power = squares[PIECE_FRAMES:] - squares[:-PIECE_FRAMES] - total**2 / PIECE_FRAMES
    scale = np.sqrt(max(float(x @ x), PIECE_FRAMES) * np.maximum(power, PIECE_FRAMES))
    curve: NDArray[np.float64] = np.correlate(y, x, "valid") / scale
    return curve


@cache
def _terms(frames: int) -> NDArray[np.float64]:
    """How many frames each of the moving means has; fewer at the ends."""
    terms: NDArray[np.float64] = np.convolve(np.ones(frames), np.ones(_MEAN_FRAMES), "same")
    return terms


def _moving(x: Levels) -> NDArray[np.float64]:
    """Without its moving mean."""
    mean = np.convolve(x, np.ones(_MEAN_FRAMES), "same") / _terms(x.size)
    moving: NDArray[np.float64] = x - mean
    return moving
