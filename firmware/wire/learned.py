"""What the threshold wizard measures and proposes, as it goes over the control socket (`firmware.learn`)."""

from typing import Literal

import msgspec

LearnStep = Literal["on_hook", "off_hook", "silence", "talk"]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    low: float
    mean: float
    high: float


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One step. Levels are dBm0; None says that the stretch does not tell, or that there is none."""

    step: LearnStep
    seconds: float
    volts: Spread | None = None
    """Magnitudes: a running box does not look at the sign. None where the card measures none."""
    quiet_dbm0: float
    """A tenth of the 20 ms frames is below this;"""
    level_dbm0: float
    """half of them below this;"""
    loud_dbm0: float
    """and a twentieth above this."""
    peak_dbm0: float
    noise_dbm0: float | None = None
    hum_dbm0: float | None = None
    hum_hz: int = 0
    ringing_dbm0: float | None = None
    clipped: float = 0.0
    """Share of samples on the last step of the law."""
    speech_dbm0: float | None = None
    """Active speech level, ITU-T P.56."""
    speech_share: float = 0.0
    tones: list[str] = []
    """Progress tones that were heard."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, in words; the page has its own by `code` and `values`."""

    code: str
    severity: Literal["good", "note", "warning", "refused"]
    values: dict[str, str] = {}
    text: str
    remedy: str = ""


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """One key of `[[line]]`."""

    key: str
    now: float | str
    value: float | str
    why: Verdict


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    proposed: list[Proposed]
    verdicts: list[Verdict]
    gain_db: int | None = None
    """By how much the card's receive gain should be changed; None: it is well."""
