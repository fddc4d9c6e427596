"""Tone plans: what the exchange of a zone says, as data.

A progress tone is one frequency, several together, or several in turn, with a cadence of seconds on and off. A new
zone is an entry here and nothing else: the tone bank, the detector, the simulated exchange and the tests read it. A
value may stand more than once, with cadences that differ by operator or country; the first is the usual one.

Sources. All zones: ITU-T E.180/Q.35 (limits of frequency, cadence and level; clause on the special information tone:
950, 1400 and 1800 Hz within 50 Hz, 330 +-70 ms each, pauses of at most 30 ms). China: GB/T 3380-82 (450, 950 and 1400
Hz, each +-25 Hz; cadences +-10 %). North America: Precise Tone Plan, special information tones of Telcordia GR-1162
(segments of 274 or 380 ms, 914 to 1777 Hz). Europe: ITU-T E.180 supplement 2 and ETSI TR 101 041-2 (what most networks
use: 425 Hz; 400 to 450 Hz are accepted, so France (440 Hz), Ireland and Austria are heard too; ringing of 1 or 1.5 s
with pauses of 3 to 5 s; busy of 0.5 or 0.4 s). United Kingdom: BT SIN 350. Hong Kong: E.180 supplement 2. Levels are
those sent, per frequency.
"""

from dataclasses import dataclass
from typing import Literal

Zone = Literal["cn", "us", "eu", "uk", "hk"]


@dataclass(frozen=True, slots=True)
class Tone:
    value: str
    """What an event of kind `progress` says."""
    frequencies_hz: tuple[int, ...]
    """One, or two sounding together; with `in_turn` one after another."""
    cadence_s: tuple[float, ...] = ()
    """On, off, on, off ...; empty is continuous. With `in_turn` the length of each frequency."""
    level_dbm0: float = -10.0
    in_turn: bool = False
    tolerance_hz: float | None = None
    """How far a frequency may lie from its nominal value; None: as the plan says."""
    tolerance: float | None = None
    """How far a length may lie from its nominal value, as a share of it; None: as the plan says."""

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """What sounds at one time: all its frequencies, or one after another."""
        return tuple((f,) for f in self.frequencies_hz) if self.in_turn else (self.frequencies_hz,)


@dataclass(frozen=True, slots=True)
class TonePlan:
    tones: tuple[Tone, ...]
    tolerance_hz: float
    tolerance: float = 0.1

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """The distinct frequencies or pairs."""
        return tuple(dict.fromkeys(one for tone in self.tones for one in tone.sets))

    def tolerance_of(self, set_hz: tuple[int, ...]) -> float:
        """The widest tolerance, Hz, of the tones that have this set."""
        given = [t.tolerance_hz for t in self.tones if set_hz in t.sets]
        return max(self.tolerance_hz if t is None else t for t in given)

    def tone(self, value: str) -> Tone:
        """The usual form of a tone; raises StopIteration where the zone has none of that name."""
        return next(tone for tone in self.tones if tone.value == value)


_SIT = Tone("sit", (950, 1400, 1800), (0.33, 0.33, 0.33), -14, in_turn=True, tolerance_hz=50, tolerance=0.22)

_CN = TonePlan(
    (
        Tone("dial", (450,)),
        Tone("ringback", (450,), (1.0, 4.0)),
        Tone("busy", (450,), (0.35, 0.35)),
        Tone("congestion", (450,), (0.7, 0.7)),
        Tone("vacant", (450,), (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4)),
        Tone("notice", (450,), (0.2, 0.2, 0.2, 0.6)),
        Tone("call_waiting", (450,), (0.4, 4.0)),
        Tone("reminder", (1400,), (0.4, 10.0)),
        Tone("howler", (950,)),
        _SIT,
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
        _SIT,
    ),
    tolerance_hz=10,
)

_EU = TonePlan(
    (
        Tone("dial", (425,)),
        Tone("ringback", (425,), (1.0, 4.0)),
        Tone("ringback", (425,), (1.0, 5.0)),
        Tone("ringback", (425,), (1.0, 3.0)),
        Tone("ringback", (425,), (1.25, 4.7)),
        Tone("ringback", (425,), (1.5, 3.3)),
        Tone("busy", (425,), (0.5, 0.5)),
        Tone("busy", (425,), (0.4, 0.4)),
        Tone("congestion", (425,), (0.25, 0.25)),
        Tone("call_waiting", (425,), (0.2, 0.2, 0.2, 5.0)),
        _SIT,
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
        Tone("call_waiting", (400,), (0.1, 4.0)),
        _SIT,
    ),
    tolerance_hz=12,
)

_HK = TonePlan(
    (
        Tone("dial", (350, 440), (), -13),
        Tone("ringback", (440, 480), (0.4, 0.2, 0.4, 3.0), -19),
        Tone("busy", (480, 620), (0.5, 0.5), -24),
        Tone("congestion", (480, 620), (0.25, 0.25), -24),
        Tone("unobtainable", (480, 620), (), -24),
        Tone("call_waiting", (440,), (0.5, 10.0), -13),
        _SIT,
    ),
    tolerance_hz=10,
)

ZONES: dict[Zone, TonePlan] = {"cn": _CN, "us": _US, "eu": _EU, "uk": _UK, "hk": _HK}
