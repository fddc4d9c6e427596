"""Alarms: what a person must know, with what to do about it, open until it is over.

The table is the whole vocabulary: a code, how grave it is, its English title and advice (the page has both languages
by code), and what ends it. Some alarms are conditions (a line is cut, the disk is low): whoever sees the condition
raises them and clears them when it is over. Others are events (frames were lost, recordings were recovered): they
cannot be undone, so they stay open until a person has acknowledged them. The same alarm on the same object is one
alarm with a count.

Every thread may raise and clear; nothing here waits. What is open is kept in the catalogue through `store`, so that it
is still open after a restart; a count that only grows is stored at most once a minute, because a burst of lost frames
must not become a burst of writes.
"""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from firmware.clock import NS, Clock
from firmware.wire import AlarmCounts, AlarmReport

Severity = Literal["critical", "major", "minor", "warning"]
SEVERITIES: tuple[Severity, ...] = ("critical", "major", "minor", "warning")
STORE_COUNT_NS = 60 * NS


@dataclass(frozen=True, slots=True)
class AlarmKind:
    severity: Severity
    title: str
    advice: str
    event: bool = False
    """It happened and is over: open until acknowledged. Otherwise a condition, open until cleared."""


KINDS: dict[str, AlarmKind] = {
    "no_card": AlarmKind(
        "critical",
        "No card: nothing is recorded",
        "Configure a card in linekeep.toml ([[card]]) and start the daemon again.",
    ),
    "card_failed": AlarmKind(
        "critical",
        "The card could not be started",
        "Look at the reason given, check the card and its driver, and start the daemon again.",
    ),
    "card_stopped": AlarmKind(
        "critical",
        "The card has stopped delivering",
        "Nothing is recorded on its lines. Check the card and its cable; if it does not come back, restart the box.",
    ),
    "frames_lost": AlarmKind(
        "major",
        "Audio was lost",
        "The missing parts are marked in the recordings as gaps. If it happens again, the box is overloaded or the "
        "card is failing: see late ticks under System.",
        event=True,
    ),
    "writer_behind": AlarmKind(
        "major",
        "The disk does not keep up",
        "Recordings are written late and may get gaps. Look for other load on the disk, and check its health.",
    ),
    "write_failed": AlarmKind(
        "critical",
        "Writing to the disk failed",
        "Recordings go on in new files. Look for errors of the disk in the system log; replace it if it has any.",
        event=True,
    ),
    "disk_low": AlarmKind(
        "major",
        "The disk is filling up",
        "Make room: empty the trash, shorten the retention, or move recordings to an archive.",
    ),
    "disk_full": AlarmKind(
        "critical",
        "The disk is full: recording has stopped",
        "Make room at once; recording goes on by itself when there is enough free space.",
    ),
    "journal_broken": AlarmKind(
        "critical",
        "The journal is damaged",
        "Nothing was changed. Keep the data folder as it is, make a copy of it, and restore the journal from the "
        "backup.",
        event=True,
    ),
    "ledger_failed": AlarmKind(
        "critical",
        "The ledger cannot be written",
        "Recordings go on, but searches do not show them and changes are refused. Look at the reason given; mostly the "
        "disk is full or failing.",
    ),
    "reconcile_refused": AlarmKind(
        "critical",
        "Files and catalogue disagree too much",
        "More than half of the catalogue would change, so nothing was changed. Is the right disk mounted? If the files "
        "are right, run `linekeep rebuild`.",
        event=True,
    ),
    "foreign_file": AlarmKind(
        "minor",
        "A file among the recordings is foreign or damaged",
        "It was left where it is and is not in the catalogue. Look at it; move it away if it does not belong there.",
        event=True,
    ),
    "line_cut": AlarmKind(
        "major",
        "The line is cut",
        "There is no voltage on it. Check the cable to the exchange and the terminal block.",
    ),
    "line_fault": AlarmKind(
        "minor",
        "The line did something unforeseen",
        "It was set back to idle and goes on. Please report what is shown here to your supplier.",
        event=True,
    ),
    "clock_unsynchronised": AlarmKind(
        "warning",
        "The clock is not synchronised",
        "Recordings may carry a wrong time and say so. Give the box a time server, or set its clock.",
    ),
    "recovered": AlarmKind(
        "minor",
        "The daemon had stopped without closing its recordings",
        "They were recovered up to their last second. Find out why it stopped: power, or an error in the system log.",
        event=True,
    ),
    "configuration_rejected": AlarmKind(
        "minor",
        "A new configuration was refused",
        "The box goes on with the one before. Correct what is named here.",
        event=True,
    ),
    "watchdog_unreachable": AlarmKind(
        "warning",
        "systemd cannot be told that all is well",
        "It may restart the daemon for no reason. Look at the unit: NotifyAccess= must allow the daemon.",
    ),
    "internal": AlarmKind(
        "major",
        "The daemon met an error of its own",
        "It goes on. Please send what is shown here and the system log to your supplier.",
        event=True,
    ),
}


def codes() -> tuple[str, ...]:
    return tuple(KINDS)


class AlarmSink(Protocol):
    """What a part of the appliance is given to raise alarms with."""

    def raise_(self, code: str, object: str, **values: Any) -> None: ...

    def clear(self, code: str, object: str) -> None: ...


class Alarms:
    """The open alarms. Safe in every thread."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        store: Callable[[AlarmReport], object],
        publish: Callable[[dict[str, Any]], None],
        known: Iterable[AlarmReport] = (),
    ) -> None:
        """`known` are still open from before; `store` keeps an alarm durably, soon; `publish` tells who watches."""
        self._clock = clock
        self._rng = rng
        self._store = store
        self._publish = publish
        self._lock = threading.Lock()
        self._open = {(alarm.code, alarm.object): alarm for alarm in known if alarm.resolved_utc_ns is None}
        self._stored_ns: dict[tuple[str, str], int] = {}

    def raise_(self, code: str, object: str, **values: Any) -> None:
        """Something is wrong with `object`; `values` are for the page's sentence. KeyError for an unknown code."""
        kind = KINDS[code]
        with self._lock:
            before = self._open.get((code, object))
            if before is None:
                alarm = AlarmReport(
                    id=f"{self._rng.getrandbits(64):016x}",
                    code=code,
                    severity=kind.severity,
                    object=object,
                    values=values,
                    title=kind.title,
                    advice=kind.advice,
                    raised_utc_ns=self._clock.moment().utc_ns,
                )
                self._keep(alarm)
            elif kind.event:
                self._count(before, values)
            elif before.values != values:
                self._open[code, object] = msgspec.structs.replace(before, values=values)

    def clear(self, code: str, object: str) -> None:
        """The condition is over. Without an open alarm this does nothing."""
        with self._lock:
            alarm = self._open.get((code, object))
            if alarm is not None and not KINDS[code].event:
                self._keep(msgspec.structs.replace(alarm, resolved_utc_ns=self._clock.moment().utc_ns))

    def acknowledge(self, ident: str, who: str) -> AlarmReport | None:
        """A person has seen it; an event is over with that. None where no such alarm is open."""
        with self._lock:
            alarm = next((alarm for alarm in self._open.values() if alarm.id == ident), None)
            if alarm is None:
                return None
            now = self._clock.moment().utc_ns
            if alarm.acknowledged_utc_ns is None:
                alarm = msgspec.structs.replace(alarm, acknowledged_utc_ns=now, acknowledged_by=who)
            if alarm.code not in KINDS or KINDS[alarm.code].event:
                alarm = msgspec.structs.replace(alarm, resolved_utc_ns=now)
            self._keep(alarm)
            return alarm

    def open(self) -> list[AlarmReport]:
        """Gravest first, then newest."""
        with self._lock:
            alarms = list(self._open.values())
        return sorted(alarms, key=lambda alarm: (SEVERITIES.index(_severity(alarm)), -alarm.raised_utc_ns))

    def is_open(self, code: str, object: str) -> bool:
        with self._lock:
            return (code, object) in self._open

    def counts(self) -> AlarmCounts:
        alarms = self.open()
        return AlarmCounts(
            open=len(alarms),
            unacknowledged=sum(alarm.acknowledged_utc_ns is None for alarm in alarms),
            worst=alarms[0].severity if alarms else None,
        )

    def _count(self, before: AlarmReport, values: dict[str, Any]) -> None:
        alarm = msgspec.structs.replace(before, values=values, count=before.count + 1)
        place = (alarm.code, alarm.object)
        self._open[place] = alarm
        if self._clock.monotonic_ns() - self._stored_ns.get(place, -STORE_COUNT_NS) >= STORE_COUNT_NS:
            self._keep(alarm)

    def _keep(self, alarm: AlarmReport) -> None:
        place = (alarm.code, alarm.object)
        if alarm.resolved_utc_ns is None:
            self._open[place] = alarm
            self._stored_ns[place] = self._clock.monotonic_ns()
        else:
            self._open.pop(place, None)
            self._stored_ns.pop(place, None)
        self._store(alarm)
        self._publish({"event": "alarm", "alarm": msgspec.to_builtins(alarm)})


def _severity(alarm: AlarmReport) -> Severity:
    # An alarm from an older version may carry a word of its own.
    return KINDS[alarm.code].severity if alarm.code in KINDS else "minor"
