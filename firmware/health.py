"""Is the box well? The watchdog's rule, the figures of the disk, and the word over everything.

The watchdog is fed while the pump of every card turns (it has delivered within 2 s, or the card has said that it
failed and is tried again) and the writer has synced within 5 s (or its delay stands in alarm). So systemd restarts a
daemon that hangs without a word, and leaves one alone that knows what is wrong: a restart would not mend a cable. A
card that hangs in its driver, its alarm raised, is left alone as long as another card delivers: a restart would cut
off calls that are being recorded. When none delivers there is nothing to lose, and only a restart gives the pumps
back. A box without cards is alive, in alarm.

sdnotify swallows errors unless it is told not to; here they become an alarm.
"""

import os
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import sdnotify

from firmware.clock import NS
from firmware.wire import AlarmCounts, CardStatus, DiskStatus, WriterStatus

BLOCK_WITHIN_S = 2.0
SYNC_WITHIN_S = 5.0
RATE_OVER_NS = 24 * 3600 * NS
"""The days left follow the rate of recording over at most this long,"""
RATE_AFTER_NS = 600 * NS
"""and are not guessed before this much of it is known."""
DAY_NS = 86_400 * NS


def overdue(cards: Sequence[CardStatus], writer: WriterStatus, in_alarm: Callable[[str, str], bool]) -> list[str]:
    """What hangs without being in alarm, as sentences; empty: feed the watchdog.

    `in_alarm(code, object)` says whether that alarm is open.
    """
    others_deliver = any(card.state == "running" and not is_silent(card) for card in cards)
    hanging = [
        f"card {card.name} has delivered nothing for {card.last_block_age_s:.1f} s"
        for card in cards
        if is_silent(card) and not (others_deliver and in_alarm("card_stopped", f"card {card.name}"))
    ]
    stuck = writer.open > 0 and writer.last_sync_age_s > SYNC_WITHIN_S
    if stuck and not any(in_alarm(*alarm) for alarm in (("writer_behind", "writer"), ("disk_full", "disk"))):
        hanging.append(f"the writer has synced nothing for {writer.last_sync_age_s:.1f} s")
    return hanging


def is_silent(card: CardStatus) -> bool:
    """It is taken to be running, and nothing comes."""
    return card.state == "running" and card.last_block_age_s > BLOCK_WITHIN_S


def word(alarms: AlarmCounts, hanging: Sequence[str]) -> str:
    """`ok`, `warning` or `alarm`."""
    if hanging or alarms.worst in ("critical", "major"):
        return "alarm"
    return "ok" if alarms.worst is None else "warning"


class Systemd:
    """What systemd is told, where it listens (NOTIFY_SOCKET); elsewhere every call does nothing."""

    def __init__(self) -> None:
        self._listens = bool(os.environ.get("NOTIFY_SOCKET"))
        self._notifier: sdnotify.SystemdNotifier | None = None

    @property
    def listens(self) -> bool:
        return self._listens

    @property
    def period_s(self) -> float | None:
        """Half of the watchdog's interval; None where there is no watchdog for this process."""
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0") or "0")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return interval_us / 2e6 if self._listens and interval_us > 0 and ours else None

    def tell(self, state: str) -> None:
        """`READY=1`, `STATUS=...`, `WATCHDOG=1`, `STOPPING=1`. Raises OSError where systemd cannot be reached."""
        if self._listens and self._notifier is None:
            self._notifier = sdnotify.SystemdNotifier(debug=True)
        if self._notifier is not None:
            self._notifier.notify(state)

    def close(self) -> None:
        if self._notifier is not None:
            self._notifier.socket.close()


class Disk:
    """Free space of the data folder's file system, and how long it will last at the recent rate."""

    def __init__(self, data: Path, minimum_free_mb: int) -> None:
        self._data = data
        self._minimum_free_bytes = minimum_free_mb * 1_000_000
        self._history: deque[tuple[int, int]] = deque()

    def measure(self, monotonic_ns: int, written_bytes: int, recordings_bytes: int) -> DiskStatus:
        """`written_bytes` counts from the daemon's start; `recordings_bytes` is what recordings take now.

        Call it about once a minute, for the rate; more often does no harm.
        """
        usage = shutil.disk_usage(self._data)
        return DiskStatus(
            path=str(self._data),
            total_bytes=usage.total,
            free_bytes=usage.free,
            minimum_free_bytes=self._minimum_free_bytes,
            recordings_bytes=recordings_bytes,
            days_left=self._days_left(monotonic_ns, written_bytes, usage.free),
        )

    def _days_left(self, monotonic_ns: int, written_bytes: int, free_bytes: int) -> float | None:
        history = self._history
        if not history or monotonic_ns - history[-1][0] >= 60 * NS:
            history.append((monotonic_ns, written_bytes))
        while monotonic_ns - history[0][0] > RATE_OVER_NS:
            history.popleft()
        span_ns, grown = monotonic_ns - history[0][0], written_bytes - history[0][1]
        if span_ns < RATE_AFTER_NS or grown <= 0:
            return None
        room = max(0, free_bytes - self._minimum_free_bytes)
        return round(room / (grown / span_ns) / DAY_NS, 1)


def is_low(disk: DiskStatus) -> bool:
    """The alarm comes at four times the space at which recording stops."""
    return disk.free_bytes < 4 * disk.minimum_free_bytes


def is_full(disk: DiskStatus) -> bool:
    return disk.free_bytes < disk.minimum_free_bytes
