"""The values that describe a recording: what is known when it starts, what is heard in it, how it ended.

Every position inside a recording is a sample index counted from its first sample. Wall time is UTC in nanoseconds
with the zone's offset beside it; it is for people, and no decision rests on it.
"""

from enum import StrEnum
from typing import Any

import msgspec

RATE = 8000


class Trigger(StrEnum):
    """Why a recording started."""

    VOLTAGE = "voltage"
    VOX = "vox"
    KEY = "key"
    ALWAYS = "always"
    RESUMED = "resumed"


class StopReason(StrEnum):
    """Why a recording stopped."""

    ON_HOOK = "on_hook"
    SILENCE = "silence"
    BUSY_TONE = "busy_tone"
    """A busy tone lasted, on a line whose loop is not seen."""
    KEY = "key"
    CUT = "cut"
    DATA_CALL = "data_call"
    """A modem carrier was heard; the audio goes to the trash."""
    ACCESS_NUMBER = "access_number"
    """A dial-up access number was dialled; the audio goes to the trash."""
    LENGTH = "length"
    """The configured longest length was reached; the next recording follows without a gap."""
    DISK = "disk"
    CARD = "card"
    SHUTDOWN = "shutdown"
    RECOVERED = "recovered"
    """The daemon or the box stopped while it was being written."""


class Direction(StrEnum):
    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


class CallClass(StrEnum):
    VOICE = "voice"
    FAX = "fax"
    MODEM = "modem"
    MUSIC = "music"
    NONE = "none"
    OTHER = "other"


class Anchor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ties a sample to the clocks."""

    sample: int
    utc_ns: int
    boottime_ns: int
    boot_id: str
    synchronised: bool


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something heard or done at a place in a recording. A later mark with the same `id` replaces the earlier one."""

    id: int
    kind: str
    """A detector's kind (`dtmf`, `cng`, `answer_tone`, `v21`, `carrier`, `progress`, `cid`, `speech`, `class`), a line
    event (`ring`, `polarity`, `state`) or `clock_step`."""
    start_sample: int
    end_sample: int | None = None
    value: str = ""
    confidence: float = 1.0
    evidence: dict[str, Any] = {}


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Samples that are not in the recording. Their place is filled with silence so that the time line stays true."""

    start_sample: int
    samples: int
    reason: str
    """`late`, `overrun`, `card`, `writer`, `disk`, `data` (not written while it was taken for a data call), `torn`
    (found damaged by recovery)."""


class RecordingStart(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known when a recording starts; stands in the fixed chunk before the audio."""

    handle: str
    """Random 128 bits, 32 lower-case hexadecimal digits: the only name of a recording outside the box."""
    line: int
    line_name: str
    card: str
    simulated: bool
    channel: int
    law: str
    trigger: Trigger
    trigger_detail: dict[str, Any]
    """Why it started: volts, level, threshold, who pressed the key."""
    first_sample: int
    """Sample index, in the card's domain, of the recording's first sample (pre-roll included)."""
    pre_roll_samples: int
    utc_ns: int
    """UTC of the first sample."""
    utc_offset_s: int
    zone: str
    run: str
    """Random id of the daemon's run; sample indexes of different runs are not comparable."""
    anchor: Anchor
    continues: str | None = None
    """Handle of the recording that this one goes on from."""


class RecordingEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when it ends, besides what was appended on the way."""

    stop_reason: StopReason
    stop_detail: dict[str, Any]
    direction: Direction = Direction.UNKNOWN
    caller: str | None = None
    """The calling number as caller ID gave it (direction in)."""
    dialled: str | None = None
    """The digits dialled (direction out)."""
    name: str | None = None
    """The caller's name from caller ID."""
    call_class: CallClass = CallClass.NONE
    class_confidence: float = 0.0
    class_evidence: dict[str, Any] = {}
    ring_samples: int = 0
    answered_sample: int | None = None
    anchor: Anchor | None = None
    discard: StopReason | None = None
    """Set when the recording goes to the trash as soon as it is sealed (data calls)."""


class State(StrEnum):
    """Where a recording stands in its life."""

    LIVE = "live"
    SEALED = "sealed"
    TRASH = "trash"
    PURGED = "purged"
    """Its audio was destroyed after the grace period; the row and the journal remain."""
    MISSING = "missing"
    """Its file is gone, and nobody has deleted it."""


class TrashState(msgspec.Struct, frozen=True, kw_only=True):
    since_utc_ns: int
    until_utc_ns: int
    """When the audio may be destroyed."""
    reason: str
    actor: str


class Copy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Another recording of the same call, and its line."""

    handle: str
    line: int


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the catalogue: what a list of recordings shows."""

    id: int
    """Sorts by start; inside the box only."""
    handle: str
    path: str
    """Relative to the data folder."""
    state: State
    line: int
    line_name: str
    card: str
    simulated: bool
    law: str
    start_utc_ns: int
    utc_offset_s: int
    samples: int
    direction: Direction
    number: str | None
    """The other party: the caller (in) or the number dialled (out)."""
    name: str | None
    call_class: CallClass
    class_confidence: float
    trigger: Trigger
    stop_reason: StopReason | None
    gaps: int
    gap_samples: int
    dtmf: str
    """All digits heard, in order."""
    answered: bool
    recovered: bool
    tags: tuple[str, ...] = ()
    notes: int = 0
    audio_sha256: str = ""
    meta_sha256: str = ""
    trash: TrashState | None = None
    copy_of: Copy | None = None
    """The principal: the recording of the same call that counts, on the PBX's trunk line."""
    copies: tuple[Copy, ...] = ()
    """The recordings of which this one is the principal, by line."""

    @property
    def duration_s(self) -> float:
        return self.samples / RATE


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What an auditor asks for; empty fields do not restrict. Times are UTC nanoseconds, `until` exclusive."""

    since_utc_ns: int | None = None
    until_utc_ns: int | None = None
    lines: tuple[int, ...] = ()
    number: str = ""
    """`5039` or `=5039` exact, `5039*` prefix, `*5039` suffix, `*5039*` any part."""
    direction: Direction | None = None
    min_s: float | None = None
    max_s: float | None = None
    classes: tuple[CallClass, ...] = ()
    text: str = ""
    """Words of notes and tags, all of which must occur."""
    states: tuple[State, ...] = (State.SEALED,)
    copies: bool = False
    """Copies of a call too where their principal is found as well."""
    before_id: int | None = None
    """Only rows with a smaller id: the `next` of the page before."""
    limit: int = 50
    """1 to 500."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[Recording, ...]
    next: int | None
    """Pass as `before_id` for the next page; None at the end."""
    found: int
    """Matches from the first one on, counted up to a bound."""
    capped: bool
    """True if there are more than `found`, or the search ended at its bound before the end of the range."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    handle: str
    utc_ns: int
    actor: str
    text: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the journal as people read it."""

    seq: int
    utc_ns: int
    act: str
    actor: str
    handle: str | None
    detail: dict[str, Any]


class Severity(StrEnum):
    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must see. Open until it is resolved; raised again while open, it counts."""

    id: int
    code: str
    severity: Severity
    object: str
    """What it is about: `line 3`, `card sim0`, `disk`."""
    values: dict[str, Any]
    title: str
    advice: str
    raised_utc_ns: int
    last_utc_ns: int
    count: int
    acknowledged_utc_ns: int | None = None
    acknowledged_by: str | None = None
    resolved_utc_ns: int | None = None


class Unrecorded(msgspec.Struct, frozen=True, kw_only=True):
    """An off-hook interval that left no audio, and why."""

    line: int
    from_utc_ns: int
    to_utc_ns: int
    reason: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    """Every recording the catalogue has a row for, those in the trash and purged ones included; copies of one call
    once."""
    sealed: int
    trash: int
    purged: int
    missing: int
    live: int
    last_finished_utc_ns: int | None


class DayCount(msgspec.Struct, frozen=True, kw_only=True):
    day: str
    """Local date, `2026-11-22`."""
    recordings: int
    """Copies of one call once."""
    samples: int
    """All of them."""
