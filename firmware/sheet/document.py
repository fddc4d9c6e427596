"""What an acceptance sheet says, as types: what is signed has this shape and no other, since the page would not show
what it does not know.

Times are UTC nanoseconds; units stand last in each name.
"""

from collections.abc import Mapping

import msgspec

from firmware.sheet.sealed import FORMAT, Verdict
from firmware.wire import numbered

Scalar = str | int | float | bool | None


class CheckSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    check: str
    outcome: str
    """`passed`, `failed`, `not_done`."""
    reason: str
    required: bool
    values: Mapping[str, Scalar] = {}
    failed_before: int = 0


class RecordingSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    handle: str
    utc_ns: int
    samples: int
    audio_sha256: str


class LineSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    line: int
    name: str
    card: str
    simulated: bool
    role: str
    kind: str
    armed: str
    off_hook_volts: float
    cut_volts: float
    verdict: Verdict
    checks: list[CheckSheet]
    recordings: list[RecordingSheet]


class CardSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    kind: str
    simulated: bool
    law: str
    lines: int
    state: str
    driver: str


class FindingSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `linekeep doctor` found."""

    what: str
    verdict: str
    figure: str
    remedy: str


class AlarmSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    severity: str
    object: str
    title: str
    raised_utc_ns: int
    acknowledged: bool


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps the box from being accepted: a word of the sheet's tables, and what it is about."""

    what: str
    which: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str = FORMAT
    language: str
    box: str
    version: str
    run: str
    simulated: bool
    """Is a tested line a simulated one?"""
    from_utc_ns: int
    until_utc_ns: int
    zone: str
    utc_offset_s: int
    synchronised: bool
    installer: str
    customer: str
    verdict: Verdict
    why: list[Why]
    lines: list[LineSheet]
    cards: list[CardSheet]
    boards: list[str]
    """Cards on the bus, and the driver, as `card scan` sees them."""
    limits: Mapping[str, float]
    disk_free_bytes: int
    disk_total_bytes: int
    disk_days_left: float | None
    gaps: int
    gap_samples: int
    findings: list[FindingSheet]
    alarms: list[AlarmSheet]
    configuration_changed: bool
    """Was the configuration file changed after the daemon had read it?"""


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the box itself says, and signs."""

    sha256: str
    verdict: Verdict
    lines: int
    actor: str
    fingerprint: str
    utc_ns: int
    version: str


def judged(lines: list[LineSheet], findings: list[FindingSheet], alarms: list[AlarmSheet]) -> tuple[Verdict, list[Why]]:
    """The verdict on the box: of its lines, of what the doctor found bad, and of grave alarms nobody has looked at."""
    failed = [line.line for line in lines if line.verdict == "not_accepted"]
    missing = [line.line for line in lines if line.verdict == "incomplete"]
    grave = [one for one in alarms if one.severity in ("critical", "major") and not one.acknowledged]
    faults = [Why(what="lines_failed", which=numbered(failed))] if failed else []
    faults += [Why(what="finding_bad", which=one.what) for one in findings if one.verdict == "bad"]
    faults += [Why(what="alarm_open", which=one.code) for one in grave]
    lacks = [Why(what="lines_incomplete", which=numbered(missing))] if missing else []
    if not lines:
        lacks.append(Why(what="no_line", which=""))
    return "not_accepted" if faults else "incomplete" if lacks else "accepted", faults + lacks
