"""Lines on which somebody dials: digits to the bounds of Q.24, or just outside, with what else sounds on a line.

Every parameter of a `How` is a range from which each line draws once; the side to which either tone of a digit is off,
its phases and the exact pause are drawn for each digit. Levels are of the low tone; twist is the high tone above it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from dsp import levels
from dsp.dtmf import DIGITS, HIGH_HZ, LOW_HZ
from dsp.g711 import Law
from dsp.zones import ZONES, Zone
from tests.eval.tap import tap

Range = tuple[float, float]
Wrong = Literal["", "two low", "two high", "low alone", "high alone", "two low and a high", "a low and two high"]
RATE: Final = 8000
LEAD: Final = 2400
"""Samples before the first digit, and up to 159 more."""


@dataclass(frozen=True)
class How:
    level_dbm0: Range = (-25, 0)
    twist_db: Range = (-2, 2)
    deviation_percent: Range = (0, 0)
    """Of either tone, to a side drawn for each."""
    one_tone: bool = False
    """Only one tone of each digit is off; the other is exact."""
    on_ms: Range = (50, 80)
    off_ms: Range = (50, 80)
    snr_db: Range | None = None
    """Power of both tones over that of the noise up to 4 kHz."""
    dial: Zone | None = None
    """The zone's dial tone sounds all the time; also the zone of the detectors."""
    dial_down_db: Range = (0, 12)
    """How far the dial tone stays below the plan's level."""
    dial_off_percent: Range = (0, 0)
    hum_dbm0: Range | None = None
    echo_db: Range | None = None
    echo_ms: Range = (5, 60)
    break_ms: Range | None = None
    """An interruption in the middle of each digit."""
    wrong: Wrong = ""


@dataclass(frozen=True)
class Digit:
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Line:
    law: Law
    law_bytes: NDArray[np.uint8]
    digits: list[Digit] = field(default_factory=list)


def line(rng: np.random.Generator, how: How, law: Law, count: int) -> Line:
    """A line on which `count` digits are dialled."""

    def drawn(bounds: Range) -> float:
        return float(rng.uniform(*bounds))

    level, twist, deviation = drawn(how.level_dbm0), drawn(how.twist_db), drawn(how.deviation_percent)
    on, off = round(drawn(how.on_ms) * 8), drawn(how.off_ms) * 8
    parts: list[NDArray[Any]] = [np.zeros(LEAD + int(rng.integers(160)))]
    at, digits = parts[0].size, []
    for value in rng.choice(list(DIGITS), count).tolist():
        wave = _digit(rng, value, on, twist, deviation, how)
        if how.break_ms is not None:
            gap = round(drawn(how.break_ms) * 8)
            first = int(rng.uniform(0.3, 0.7) * on - gap / 2)
            wave[first : first + gap] = 0
        pause = round(off + float(rng.uniform(0, 20)))
        parts += [wave * levels.amplitude(level, law), np.zeros(pause)]
        digits.append(Digit(value, at, at + on))
        at += on + pause
    parts.append(np.zeros(1600))
    x = np.concatenate(parts)
    sides = [x]
    if how.dial is not None:
        sides.append(_dial(rng, how.dial, x.size, drawn(how.dial_down_db), drawn(how.dial_off_percent), law))
    both = level + 10 * np.log10(1 + 10 ** (twist / 10))
    law_bytes = tap(
        sides,
        law,
        noise_dbm0=None if how.snr_db is None else float(both) - drawn(how.snr_db),
        hum_dbm0=None if how.hum_dbm0 is None else drawn(how.hum_dbm0),
        hum_hz=float(rng.choice([50, 60])),
        echo_db=None if how.echo_db is None else drawn(how.echo_db),
        echo_ms=drawn(how.echo_ms),
        seed=int(rng.integers(2**31)),
    )
    return Line(law, law_bytes, digits)


def lines(seed: int, how: How, number: int, count: int = 16) -> list[Line]:
    """`number` lines, A-law and µ-law in turn."""
    rng = np.random.default_rng(seed)
    laws: tuple[Law, Law] = ("alaw", "ulaw")
    return [line(rng, how, laws[i % 2], count) for i in range(number)]


def batch(those: Sequence[Line]) -> NDArray[np.uint8]:
    """`[lines, samples]` of one law, the shorter ones with idle bytes to the end of a step."""
    longest = -(-max(each.law_bytes.size for each in those) // 160) * 160
    idle = 0xD5 if those[0].law == "alaw" else 0xFF
    out = np.full((len(those), longest), idle, np.uint8)
    for row, each in zip(out, those, strict=True):
        row[: each.law_bytes.size] = each.law_bytes
    return out


def _digit(
    rng: np.random.Generator, value: str, samples: int, twist_db: float, percent: float, how: How
) -> NDArray[np.float64]:
    at = DIGITS.index(value)
    low, high = at // 4, at % 4
    other_low, other_high = (low + int(rng.integers(1, 4))) % 4, (high + int(rng.integers(1, 4))) % 4
    high_gain = 10 ** (twist_db / 20)
    tones = {
        "": [(LOW_HZ[low], 1.0), (HIGH_HZ[high], high_gain)],
        "two low": [(LOW_HZ[low], 1.0), (LOW_HZ[other_low], high_gain)],
        "two high": [(HIGH_HZ[high], 1.0), (HIGH_HZ[other_high], high_gain)],
        "low alone": [(LOW_HZ[low], 1.0)],
        "high alone": [(HIGH_HZ[high], 1.0)],
        "two low and a high": [(LOW_HZ[low], 1.0), (LOW_HZ[other_low], 1.0), (HIGH_HZ[high], high_gain)],
        "a low and two high": [(LOW_HZ[low], 1.0), (HIGH_HZ[high], high_gain), (HIGH_HZ[other_high], high_gain)],
    }[how.wrong]
    sides = rng.choice([-1, 1], len(tones))
    if how.one_tone:
        sides[int(rng.integers(len(tones)))] = 0
    n = np.arange(samples)
    wave = np.zeros(samples)
    for (hz, gain), side in zip(tones, sides.tolist(), strict=True):
        turn = 2 * np.pi * hz * (1 + side * percent / 100) / RATE
        wave += gain * np.sin(turn * n + rng.uniform(0, 2 * np.pi))
    return wave


def _dial(
    rng: np.random.Generator, zone: Zone, samples: int, down_db: float, percent: float, law: Law
) -> NDArray[np.float64]:
    tone = ZONES[zone].tone("dial")
    n = np.arange(samples)
    wave = np.zeros(samples)
    for hz in tone.frequencies_hz:
        wave += np.sin(2 * np.pi * hz * (1 + percent / 100) * n / RATE + rng.uniform(0, 2 * np.pi))
    return wave * levels.amplitude(tone.level_dbm0 - down_db, law)
