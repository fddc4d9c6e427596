"""What the daemon tells of itself: the maps of docs/control.md as types.

The daemon fills them and they travel as maps; the page turns those back into the same types. Units stand last in each
name: UTC and monotonic times in nanoseconds, lengths in seconds, milliseconds or samples.
"""

from collections.abc import Iterable
from typing import Any

import msgspec


class LineSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One line as the wall shows it."""

    line: int
    name: str
    card: str
    simulated: bool
    enabled: bool
    role: str = "tap"
    """What the box is to the line: `tap`, `trunk`, `station`."""
    kind: str = "direct"
    """What the line is: `direct`, `trunk`, `extension`, `handset`."""
    state: str
    """`cut`, `idle`, `ringing`, `seized`, `dialling`, `ringback`, `talking`, `on_hold`, `fax`, `modem`, `disabled`,
    `unusable`."""
    since_utc_ns: int
    direction: str = "unknown"
    number: str | None = None
    name_shown: str | None = None
    level_dbm0: float = -90.0
    volts: float | None = None
    recording: str | None = None
    recorded_s: float = 0.0
    trigger: str | None = None
    call_class: str | None = msgspec.field(default=None, name="class")
    call_start_utc_ns: int | None = None
    listeners: int = 0
    armed: str = "voltage"
    """What starts a recording now: the configured trigger, or `vox` where nothing shows the hook."""


class ClockStatus(msgspec.Struct, frozen=True, kw_only=True):
    utc_ns: int
    zone: str
    utc_offset_s: int
    synchronised: bool


class TickTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of work a tick cost, over the last minute."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


class SpanStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a card (a port of E1 or T1, or a group of analogue ports)."""

    number: int
    name: str
    type: str
    alarms: list[str] = []
    """`red`, `blue`, `yellow`, `los`, ...; the worst first."""
    interrupts_missed: int = 0
    lines: list[int] = []


class CardStatus(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    simulated: bool
    law: str
    lines: int
    state: str
    """`running`, `stopped`, `alarm`."""
    blocks: int = 0
    late_ticks: int = 0
    lost_samples: int = 0
    last_block_age_s: float = 0.0
    tick_ms: TickTimes = TickTimes()
    gaps: int = 0
    """Since the daemon started."""
    down: list[int] = []
    """Lines on which nothing has come for two seconds or more, while the card runs."""
    volts: list[float] = []
    """The lowest and the highest line voltage now; empty where the card measures none."""
    driver: str = ""
    spans: list[SpanStatus] = []
    counts: dict[str, int] = {}
    """The card's own figures, by name."""


class SyncTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds a round of syncing took."""

    p50: float = 0.0
    max: float = 0.0


class WriterStatus(msgspec.Struct, frozen=True, kw_only=True):
    open: int = 0
    """Recordings being written."""
    last_sync_age_s: float = 0.0
    sync_ms: SyncTimes = SyncTimes()
    written_bytes: int = 0
    behind_s: float = 0.0


class DiskStatus(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    total_bytes: int
    free_bytes: int
    minimum_free_bytes: int
    recordings_bytes: int
    days_left: float | None = None


class RecordingCounts(msgspec.Struct, frozen=True, kw_only=True):
    total: int = 0
    today: int = 0
    trash: int = 0
    last_finished_utc_ns: int | None = None


class GapCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Since the daemon started."""

    count: int = 0
    samples: int = 0


class AlarmCounts(msgspec.Struct, frozen=True, kw_only=True):
    open: int = 0
    unacknowledged: int = 0
    worst: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    run: str
    pid: int
    uptime_s: float
    started_utc_ns: int
    simulated: bool
    box: str
    key_fingerprint: str = ""
    """Of the box's key, in groups; empty while that cannot be had."""
    health: str
    """`ok`, `warning`, `alarm`."""
    clock: ClockStatus
    cards: list[CardStatus]
    lines: dict[str, int]
    """Counts by state, and `total` and `recording`."""
    writer: WriterStatus
    disk: DiskStatus
    recordings: RecordingCounts
    gaps: GapCounts
    alarms: AlarmCounts


class AlarmReport(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    code: str
    severity: str
    """`critical`, `major`, `minor`, `warning`."""
    object: str
    values: dict[str, Any]
    title: str
    advice: str
    raised_utc_ns: int
    acknowledged_utc_ns: int | None = None
    acknowledged_by: str | None = None
    resolved_utc_ns: int | None = None
    count: int = 1


def numbered(lines: Iterable[int]) -> str:
    """Lines as people write them: `1, 3-7`."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
