"""Tone plans: what the exchange of a zone says, as data.

A progress tone is one frequency or a pair, and a cadence of seconds on and off. A new zone is an entry here. Sources:
China GB/T 3380-82 (frequencies +-25 Hz, cadence +-10 %); North America the Precise Tone Plan; Europe, UK and Hong
Kong ITU-T E.180 (lists of national tones). Levels are those sent, per frequency.
"""

from dataclasses import dataclass
from typing import Literal

Zone = Literal["cn", "us", "eu", "uk", "hk"]


@dataclass(frozen=True, slots=True)
class Tone:
    value: str
    """What an event of kind `progress` says."""
    frequencies_hz: tuple[int, ...]
    """One, or two sounding together."""
    cadence_s: tuple[float, ...] = ()
    """On, off, on, off ...; empty is continuous."""
    level_dbm0: float = -10.0


@dataclass(frozen=True, slots=True)
class TonePlan:
    tones: tuple[Tone, ...]
    tolerance_hz: float
    """How far a frequency may lie from its nominal value."""

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """The distinct frequencies or pairs."""
        return tuple(dict.fromkeys(tone.frequencies_hz for tone in self.tones))

    def tone(self, value: str) -> Tone:
        return next(tone for tone in self.tones if tone.value == value)


_CN = TonePlan(
    (
        Tone("dial", (450,)),
        Tone("ringback", (450,), (1.0, 4.0)),
        Tone("busy", (450,), (0.35, 0.35)),
        Tone("congestion", (450,), (0.7, 0.7)),
        Tone("vacant", (450,), (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4)),
        Tone("notice", (450,), (0.2, 0.2, 0.2, 0.6)),
        Tone("call_waiting", (450,), (0.4, 4.0)),
        Tone("howler", (950,)),
    ),
    tolerance_hz=25,
)

_US = TonePlan(
    (
        Tone("dial", (350, 440), (), -13),
        Tone("ringback", (440, 480), (2.0, 4.0), -19),
        Tone("busy", (480, 620), (0.5, 0.5), -24),
        Tone("congestion", (480, 620), (0.25, 0.25), -24),
        Tone("call_waiting", (440,), (0.3, 9.7), -13),
    ),
    tolerance_hz=8,
)

_EU = TonePlan(
    (
        Tone("dial", (425,)),
        Tone("ringback", (425,), (1.0, 4.0)),
        Tone("busy", (425,), (0.5, 0.5)),
        Tone("congestion", (425,), (0.25, 0.25)),
    ),
    tolerance_hz=25,
)

_UK = TonePlan(
    (
        Tone("dial", (350, 440)),
        Tone("ringback", (400, 450), (0.4, 0.2, 0.4, 2.0)),
        Tone("busy", (400,), (0.375, 0.375)),
        Tone("congestion", (400,), (0.4, 0.35, 0.225, 0.525)),
        Tone("unobtainable", (400,)),
    ),
    tolerance_hz=12,
)

_HK = TonePlan(
    (
        Tone("dial", (350, 440), (), -13),
        Tone("ringback", (440, 480), (0.4, 0.2, 0.4, 3.0), -19),
        Tone("busy", (480, 620), (0.5, 0.5), -24),
        Tone("congestion", (480, 620), (0.25, 0.25), -24),
    ),
    tolerance_hz=8,
)

ZONES: dict[Zone, TonePlan] = {"cn": _CN, "us": _US, "eu": _EU, "uk": _UK, "hk": _HK}
