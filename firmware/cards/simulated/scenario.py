"""Who calls whom: the plan of the scenario "office".

The plan of call `k` of line `n` depends on the seed, `n` and `k` alone, so that cards of any size, paced or not, play
the same traffic on the same line. The first calls of the first eight lines are written down, so that whoever starts
the box sees every kind of call within minutes; all others are drawn.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dsp.zones import Zone

Kind = Literal["talk", "busy", "no_answer", "fax", "modem"]
Direction = Literal["in", "out"]
CallerId = Literal["fsk", "dtmf", "none"]

HOUR_S = 3600.0
ACCESS_NUMBERS = ("163", "16300", "169", "95963")
_LANGUAGES: dict[Zone, tuple[str, ...]] = {
    "cn": ("zh", "zh", "zh", "en"), "us": ("en", "en", "en", "es", "fr"), "eu": ("fr", "es", "en"),
    "uk": ("en", "en", "en", "fr"), "hk": ("en", "zh"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Intent:
    """A call before it has sound."""

    gap_s: float
    """Idle before it: from the end of the call before, or from the start of the card."""
    kind: Kind
    direction: Direction
    number: str
    """The other party: dialled (out) or calling (in)."""
    answer_s: float
    """Ring-back before the answer or before giving up (out)."""
    rings: int
    """Rings before the answer or before giving up (in)."""
    talk_s: float
    pulse: bool = False
    """Dialled with loop pulses."""
    caller_id: CallerId = "fsk"
    far_releases: bool = False
    """The other party hangs up first: a busy tone is heard before on-hook."""
    language: str = "en"
    variant: int = 0
    """Chooses conversation, fax or modem kind."""


def intent(seed: int, line: int, k: int, zone: Zone) -> Intent:
    """Call `k` (from 0) of line `line` (from 1)."""
    drawn = _draw(np.random.default_rng([seed, line, k]), zone)
    return _opening(line, drawn, zone) if k == 0 else drawn


def _opening(line: int, drawn: Intent, zone: Zone) -> Intent:
    """The first call of a line: what an onlooker should see early; lines above 8 join within a minute and a half."""
    talk = replace(drawn, kind="talk", pulse=False, caller_id="fsk", far_releases=False)
    match line:
        case 1:
            # Quick to dial and short: the first recording is there before the onlooker has signed in.
            short = replace(talk, gap_s=0.6, answer_s=1.2, talk_s=6.0, variant=0)
            return replace(short, direction="out", number=_local(drawn.number))
        case 2:
            return replace(talk, gap_s=3.0, direction="in", rings=2, talk_s=25.0)
        case 3:
            return replace(talk, gap_s=12.0, direction="out", kind="fax", answer_s=3.0)
        case 4:
            number = ACCESS_NUMBERS[1] if zone == "cn" else drawn.number
            return replace(talk, gap_s=30.0, direction="out", kind="modem", number=number, answer_s=3.0)
        case 5:
            return replace(talk, gap_s=1.6, direction="out", answer_s=4.0, talk_s=150.0, far_releases=True)
        case 6:
            return replace(talk, gap_s=9.0, direction="in", kind="no_answer", rings=4)
        case 7:
            return replace(talk, gap_s=6.0, direction="out", kind="busy")
        case 8:
            dtmf: CallerId = "dtmf" if zone == "cn" else "fsk"
            return replace(talk, gap_s=20.0, direction="in", rings=1, talk_s=40.0, caller_id=dtmf)
    return replace(drawn, gap_s=drawn.gap_s * 0.5)


def _draw(rng: np.random.Generator, zone: Zone) -> Intent:
    kind, direction = _KINDS[int(np.searchsorted(_SHARES, rng.random()))]
    number = _number(rng, zone)
    if kind == "modem" and zone == "cn" and rng.random() < 0.5:
        number = ACCESS_NUMBERS[int(rng.integers(len(ACCESS_NUMBERS)))]
    hour = rng.random() < 0.004
    caller_ids: tuple[CallerId, ...] = ("fsk", "fsk", "fsk", "dtmf", "none") if zone == "cn" else ("fsk", "fsk", "none")
    return Intent(
        gap_s=4.0 + float(min(rng.exponential(30.0), 150.0)),
        kind=kind,
        direction=direction,
        number=number,
        answer_s=float(rng.uniform(20, 40) if kind == "no_answer" else rng.uniform(2, 14)),
        rings=int(rng.integers(4, 9) if kind == "no_answer" else rng.integers(2, 5)),
        talk_s=HOUR_S if hour else float(np.clip(rng.lognormal(np.log(35.0), 0.8), 5.0, 240.0)),
        pulse=bool(rng.random() < 0.08),
        caller_id=caller_ids[int(rng.integers(len(caller_ids)))],
        far_releases=bool(rng.random() < 0.5),
        language=_LANGUAGES[zone][int(rng.integers(len(_LANGUAGES[zone])))],
        variant=int(rng.integers(1 << 16)),
    )


_TABLE: tuple[tuple[float, Kind, Direction], ...] = (
    (0.34, "talk", "out"), (0.36, "talk", "in"), (0.07, "busy", "out"), (0.06, "no_answer", "out"),
    (0.08, "no_answer", "in"), (0.03, "fax", "out"), (0.03, "fax", "in"), (0.03, "modem", "out"),
)  # fmt: skip
_SHARES = np.cumsum([share for share, _, _ in _TABLE])
_SHARES[-1] = 1.0
_KINDS = [(kind, direction) for _, kind, direction in _TABLE]


def _number(rng: np.random.Generator, zone: Zone) -> str:
    digits = "".join(str(digit) for digit in rng.integers(0, 10, 8))
    match zone:
        case "cn" if rng.random() < 0.5:
            return f"1{'3578'[int(rng.integers(4))]}{rng.integers(10)}{digits}"
        case "cn":
            return "6" + digits[1:]
        case "us":
            return f"{rng.integers(201, 990)}555{digits[:4]}"
        case "hk":
            return "2" + digits[1:]
        case _:
            return "0" + str(rng.integers(1, 10)) + digits


def _local(number: str) -> str:
    """Its last eight digits, so that they do not begin like an access number."""
    return "6" + number[-7:]
