"""Alarms: what a person must know, with what to do about it, open until it is over.

The table is the whole vocabulary: a code, how grave it is, its English title and advice (the page has both languages
by code), and what ends it. Some alarms are conditions (a line is cut, the disk is low): whoever sees the condition
raises them and clears them when it is over. Others are events (frames were lost, recordings were recovered): they
cannot be undone, so they stay open until a person has acknowledged them. The same alarm on the same object is one
alarm with a count.

Every thread may raise and clear; nothing here waits. What is open is also in the journal, by way of the ledger's
thread, so that it is still open after a restart, and until somebody has looked whether it still is. An event is
counted at most once a second, because a burst of lost frames must not become a burst of writes. An alarm that the
ledger cannot take now (that may be what it is about) is told all the same, and handed in again when it is raised
again.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import msgspec

from firmware.clock import NS, Clock
from firmware.wire import AlarmCounts, AlarmReport
from recorder.errors import RefusedError
from recorder.ledger import Ledger
from recorder.model import Alarm
from recorder.model import Severity as JournalSeverity

Severity = Literal["critical", "major", "minor", "warning"]
SEVERITIES = ("critical", "major", "minor", "warning")
COUNT_EVERY_NS = NS


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
        "Take over the cards that are found: on the page, under System, Cards and lines.",
    ),
    "card_failed": AlarmKind(
        "critical",
        "The card could not be started",
        "Nothing is recorded on its lines. Look at the reason given, check the card and its driver; it is tried again "
        "every second.",
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
        "Make room in time: move recordings that nobody needs to the trash; their place is free when their days there "
        "are over. Or fit a larger disk.",
    ),
    "disk_full": AlarmKind(
        "critical",
        "The disk is full: recording has stopped",
        "Make room at once; recording goes on by itself when there is enough free space.",
    ),
    "waited_for_room": AlarmKind(
        "critical",
        "The disk was full at the start: nothing was recorded",
        "The daemon waited until there was room; calls meanwhile were not recorded. Find out what filled the disk.",
        event=True,
    ),
    "journal_broken": AlarmKind(
        "critical",
        "The journal is damaged",
        "Recording goes on with a new journal; the damaged one was left as it is. Make a copy of the data folder, then "
        "put back only the damaged file from the backup.",
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
    "line_alarm": AlarmKind(
        "major",
        "Lines give nothing: their port is in alarm or was unplugged",
        "The lines named here are not recorded, the others are. Analogue port: check the cable and the card. E1 or T1: "
        "check the cable and the far end; the span's alarm is shown under System. They are taken back by themselves.",
    ),
    "clocks_apart": AlarmKind(
        "major",
        "Spans of one card run on different clocks",
        "One falls behind another, and now and then 20 ms of silence are put into its lines, each marked as a gap. "
        "Give each of these spans a [[card]] of its own in linekeep.toml; or make them take one clock (timing cable, "
        "or the sync source in /etc/dahdi/system.conf).",
    ),
    "hook_unknown": AlarmKind(
        "minor",
        "Lines are recorded by sound: nothing shows their hook",
        'They are to be recorded from the hook (trigger = "voltage"), but their card gives neither a voltage nor the '
        "hook. Where this cannot be otherwise (E1 and T1, adapters, cards that do not measure), set their trigger to "
        '"vox" or "always"; else look at volts_every_s and off_hook_volts in linekeep.toml, and at the driver.',
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
    "identity_unusable": AlarmKind(
        "major",
        "The box's key cannot be used: nothing can be signed",
        "Recording goes on. Look at the reason given: put the folder identity/ back from the backup, or, where the "
        "disk refused it, mend that and start again. The box does not make a new key by itself.",
    ),
    "configuration_rejected": AlarmKind(
        "minor",
        "A new configuration was refused",
        "The box goes on with the one before. Correct what is named here.",
        event=True,
    ),
    "update_fell_back": AlarmKind(
        "major",
        "An update did not prove itself: the box went back",
        "The version before runs again, and nothing that was recorded is lost. Look at the reason given; install the "
        "update again, or a newer one, and send the reason to your supplier.",
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


class Submit(Protocol):
    """Hands a job to the ledger's thread."""

    def __call__(self, act: Callable[[Ledger], Alarm | None], /, *, alone: bool = False) -> "Future[Alarm | None]": ...


@dataclass(slots=True)
class _Open:
    report: AlarmReport
    counted_ns: int
    unsaved: bool = False
    seen: bool = True
    """Raised in this run, not only known from the one before."""


class Alarms:
    """The open alarms. Safe in every thread."""

    def __init__(
        self, clock: Clock, submit: Submit, publish: Callable[[dict[str, Any]], None], known: Iterable[Alarm] = ()
    ) -> None:
        """`known` are still open from before; `publish` tells who watches."""
        self._clock = clock
        self._submit = submit
        self._publish = publish
        # A job may be done, and its callback be called, before it was handed in for good: in the same thread.
        self._lock = threading.RLock()
        self._open = {
            (alarm.code, alarm.object): _Open(report_of(alarm), clock.monotonic_ns(), seen=False) for alarm in known
        }

    def raise_(self, code: str, object: str, **values: Any) -> None:
        """Something is wrong with `object`; `values` are for the page's sentence. KeyError for an unknown code."""
        kind, now = KINDS[code], self._clock.monotonic_ns()
        with self._lock:
            alarm = self._open.get((code, object))
            if alarm is None:
                alarm = self._open[code, object] = _Open(self._new(code, object, values), now)
                self._enter(alarm)
                return
            alarm.seen = True
            again = kind.event or alarm.unsaved
            alarm.report = msgspec.structs.replace(alarm.report, values=values)
            if again and now - alarm.counted_ns >= COUNT_EVERY_NS:
                alarm.counted_ns = now
                alarm.report = msgspec.structs.replace(alarm.report, count=alarm.report.count + kind.event)
                self._enter(alarm)

    def clear(self, code: str, object: str) -> None:
        """The condition is over. Without an open alarm, and for an event, this does nothing."""
        with self._lock:
            alarm = self._open.get((code, object))
            if alarm is None or KINDS[code].event:
                return
            del self._open[code, object]
            now = self._clock.moment().utc_ns
            alarm.report = msgspec.structs.replace(alarm.report, resolved_utc_ns=now)
            self._keep(alarm, lambda ledger: ledger.alarm_resolve(code, object))

    def settle(self) -> None:
        """Conditions of the run before that nobody has met in this one are over. Call it once, when whoever watches
        over them has looked."""
        with self._lock:
            over = [place for place, alarm in self._open.items() if not alarm.seen and place[0] in KINDS]
        for code, object in over:
            self.clear(code, object)

    def acknowledge(self, ident: str, who: str) -> AlarmReport | None:
        """A person has seen it; an event is over with that. None where no such alarm is open.

        Until the journal has given an alarm its number, its id is its code and object; that goes on to be understood.
        """
        with self._lock:
            found = [
                (place, alarm)
                for place, alarm in self._open.items()
                if ident in (alarm.report.id, _provisional(*place))
            ]
            if not found:
                return None
            ((place, alarm),) = found
            code, object = place
            over = code not in KINDS or KINDS[code].event
            now = self._clock.moment().utc_ns
            alarm.report = msgspec.structs.replace(
                alarm.report,
                acknowledged_utc_ns=now,
                acknowledged_by=who,
                resolved_utc_ns=now if over else None,
            )
            if over:
                del self._open[place]

            def enter(ledger: Ledger) -> Alarm | None:
                if not alarm.report.id.isdecimal():
                    raise RefusedError(f"Alarm {ident}: the journal does not have it yet; see the alarm of the ledger.")
                acknowledged = ledger.alarm_ack(int(alarm.report.id), who)
                return ledger.alarm_resolve(code, object) if over else acknowledged

            # Alone, so that the number is there by then.
            self._keep(alarm, enter, alone=True)
            return alarm.report

    def open(self) -> list[AlarmReport]:
        """Gravest first, then newest."""
        with self._lock:
            alarms = [alarm.report for alarm in self._open.values()]
        return sorted(alarms, key=lambda alarm: (_gravity(alarm), -alarm.raised_utc_ns))

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

    def _new(self, code: str, object: str, values: dict[str, Any]) -> AlarmReport:
        kind = KINDS[code]
        return AlarmReport(
            id=_provisional(code, object),
            code=code,
            severity=kind.severity,
            object=object,
            values=values,
            title=kind.title,
            advice=kind.advice,
            raised_utc_ns=self._clock.moment().utc_ns,
        )

    def _enter(self, alarm: _Open) -> None:
        report = alarm.report
        severity = JournalSeverity(report.severity)
        self._keep(
            alarm,
            lambda ledger: ledger.alarm_raise(
                report.code, severity, report.object, report.values, report.title, report.advice
            ),
        )

    def _keep(self, alarm: _Open, act: Callable[[Ledger], Alarm | None], *, alone: bool = False) -> None:
        self._submit(act, alone=alone).add_done_callback(partial(self._kept, alarm, alarm.report))

    def _kept(self, alarm: _Open, report: AlarmReport, future: "Future[Alarm | None]") -> None:
        """The journal has it, or not: in both cases it is told. Called in the ledger's thread."""
        entered = None if future.exception() is not None else future.result()
        with self._lock:
            alarm.unsaved = entered is None
            if entered is not None:
                alarm.report = msgspec.structs.replace(alarm.report, id=str(entered.id))
                report = msgspec.structs.replace(report, id=str(entered.id))
        self._publish({"event": "alarm", "alarm": report})


def report_of(alarm: Alarm) -> AlarmReport:
    """An alarm of the journal, as it goes over the wire."""
    return AlarmReport(
        id=str(alarm.id),
        code=alarm.code,
        severity=alarm.severity.value,
        object=alarm.object,
        values=alarm.values,
        title=alarm.title,
        advice=alarm.advice,
        raised_utc_ns=alarm.raised_utc_ns,
        acknowledged_utc_ns=alarm.acknowledged_utc_ns,
        acknowledged_by=alarm.acknowledged_by,
        resolved_utc_ns=alarm.resolved_utc_ns,
        count=alarm.count,
    )


def _provisional(code: str, object: str) -> str:
    return f"{code} {object}"


def _gravity(alarm: AlarmReport) -> int:
    return SEVERITIES.index(alarm.severity)
