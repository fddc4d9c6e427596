"""Trunk and extension of a PBX in software: two taps of one conversation, or of two; and how far apart they are told.

`python -m tests.recorder.copies` measures: the likeness of pairs that are copies and of pairs that are not, by how long
they overlap.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp import g711, levels
from recorder.likeness import FEWEST, FRAMES_S, LAG_FRAMES, PIECE_FRAMES, SAME, Likeness, compare, pieces_of
from recorder.likeness import levels as levels_of

RATE = 8000
SOUNDS = Path("/usr/share/asterisk/sounds")
VOICES = ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo")
Floats = NDArray[np.float64]
MARGIN_S = 3


@cache
def voice(name: str) -> Floats:
    """Prompts of one speaker, each at the same level, with pauses between."""
    parts: list[Floats] = []
    for path in sorted((SOUNDS / name).glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="float64")
        assert rate == RATE
        if samples.size > RATE // 2:
            parts += [samples / np.sqrt(np.mean(samples**2)), np.zeros(RATE // 3)]
    return np.concatenate(parts)


def talk(rng: np.random.Generator, seconds: float) -> tuple[Floats, Floats]:
    """Two people in turn, each in a signal of their own, mean square 1 while they speak."""
    samples = round(seconds * RATE)
    sides = np.zeros((2, samples))
    names = rng.choice(len(VOICES), 2, replace=False)
    at, who = 0, int(rng.integers(2))
    while at < samples:
        turn = round(rng.uniform(1.0, 7.0) * RATE)
        said = voice(VOICES[names[who]])
        begin = int(rng.integers(said.size - turn))
        sides[who, at : at + turn] = said[begin : begin + turn][: samples - at]
        at += turn + round(rng.uniform(-0.2, 1.0) * RATE)
        at, who = max(at, 0), 1 - who
    return sides[0], sides[1]


def tap(
    rng: np.random.Generator, near: Floats, far: Floats, level_dbm0: float, favour_db: float, noise_db: float
) -> NDArray[np.uint8]:
    """What stands on a line: the near party by `favour_db` louder than the far one, a line's frequency response, noise
    `noise_db` below the speech."""
    x = near * 10 ** (favour_db / 40) + far * 10 ** (-favour_db / 40)
    tilt = rng.uniform(-0.4, 0.4)
    x[1:] += tilt * x[:-1]
    x += rng.normal(0, 10 ** (-noise_db / 20), x.size)
    x *= levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20)
    return g711.encode(np.clip(x, -32768, 32767).astype(np.int16), "alaw")


def copies(rng: np.random.Generator, seconds: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(extension, trunk) of one call; the extension hears it up to 1.8 s later or earlier."""
    near, far = talk(rng, seconds + 2 * MARGIN_S)
    shift, margin = round(rng.uniform(-1.8, 1.8) * RATE), MARGIN_S * RATE
    level = rng.uniform(-32, -12)
    other = np.clip(level + rng.uniform(-15, 15), -38, -8)
    extension = tap(rng, near, far, level, rng.uniform(0, 8), rng.uniform(12, 40))
    trunk = tap(rng, near, far, other, rng.uniform(-8, 0), rng.uniform(12, 40))
    return extension[margin - shift : extension.size - margin - shift], trunk[margin:-margin]


def likeness(copy: NDArray[np.uint8], principal: NDArray[np.uint8]) -> Likeness:
    """Of recordings that begin at one time."""
    x = levels_of(copy, "alaw")
    y = np.pad(levels_of(principal, "alaw"), LAG_FRAMES, constant_values=levels.FLOOR_DBM0)
    begins = [round(begin * FRAMES_S) for begin in pieces_of(min(copy.size, principal.size) / RATE)]
    return compare([(x[at : at + PIECE_FRAMES], y[at : at + PIECE_FRAMES + 2 * LAG_FRAMES]) for at in begins])


def measured(pairs: int, seconds: float, seed: int) -> tuple[list[Likeness], list[Likeness]]:
    """(of copies, of two calls at one time)."""
    rng = np.random.default_rng(seed)
    same, different = [], []
    before = None
    for _ in range(pairs):
        extension, trunk = copies(rng, seconds)
        same.append(likeness(extension, trunk))
        if before is not None:
            different.append(likeness(extension, before))
        before = trunk
    return same, different


def _rows(pairs: int) -> Iterator[str]:
    for seconds in (8.0, 12.0, 20.0, 40.0, 120.0):
        same, different = measured(pairs, seconds, seed=int(seconds))
        a, b = (np.array([one.likeness for one in some if one.pieces >= FEWEST]) for some in (same, different))
        missed = np.count_nonzero(a < SAME)
        yield (
            f"{seconds:5.0f} s  copies: least {a.min():.2f}, median {np.median(a):.2f}, {missed} missed, "
            f"{len(same) - a.size} of {len(same)} with too little talk   "
            f"others: median {np.median(b):.2f}, greatest {b.max():.2f}"
        )


if __name__ == "__main__":
    for row in _rows(int(sys.argv[1]) if len(sys.argv) > 1 else 250):
        print(row, flush=True)
