"""The ledger: the one writer of journal and catalogue, and the owner of a data folder.

Every act is checked, appended to the journal and entered in the catalogue within one batch. At its end the journal is
made durable, then the catalogue commits; only then is the act done. Several acts share a batch by `with
ledger.batch():`. If the catalogue cannot follow (full disk), the journal stands, and the next batch catches up. A
data folder has one ledger: `lock` in it is held and names the process.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from recorder import acts, disk, links, reconcile
from recorder import tables as tb
from recorder.access import Access, Person, checked
from recorder.catalogue import MAP_BYTES, Catalogue, alarms, find
from recorder.chain import Entry, Side, breaks_of, chains, journal_files
from recorder.commits import Commits
from recorder.errors import NotFoundError, RecordingError, RefusedError
from recorder.folder import lock, new_catalogue, open_catalogue, remembered
from recorder.ids import Ids
from recorder.journal import Journal
from recorder.model import Alarm, CallClass, Direction, Note, Recording, RecordingStart, Severity, State, StopReason
from recorder.reconcile import Findings
from recorder.recovery import recover
from recorder.search import decode_live
from recorder.spool import checked as checked_detail
from recorder.wav import begun, row_of

_DAY_NS = 86_400_000_000_000
_FOUND_AT_ONCE = 1000
JOURNAL_BROKEN = "journal_broken"
"""Code of the alarm that tells of `findings.journal_broken`."""
_PURGE = 200


class Moment(Protocol):
    @property
    def utc_ns(self) -> int: ...


class Clock(Protocol):
    def moment(self) -> Moment: ...


class Ledger:
    """Use from one thread; others read through `catalogue`."""

    findings: Findings
    """What `open` found and did."""

    def __init__(
        self, data: Path, clock: Clock, lock_fd: int, book: Journal, catalogue: Catalogue, access: Access,
        trash_days: float, data_grace_days: float,
    ) -> None:  # fmt: skip
        self.data, self.catalogue, self.access = data, catalogue, access
        self.trash_days, self.data_grace_days = trash_days, data_grace_days
        self._clock, self._lock_fd, self._journal = clock, lock_fd, book
        self._commits = Commits(data, book, catalogue)
        self._counts: dict[int, int] = {}
        self._ids = Ids()
        self.findings = Findings(journal_cut_bytes=book.cut_bytes)

    @classmethod
    def open(
        cls, data: Path, clock: Clock, rng: random.Random, *, trash_days: float = 30.0, data_grace_days: float = 7.0,
        map_bytes: int = MAP_BYTES, anew: bool = False, progress: Callable[[int], None] | None = None,
    ) -> "Ledger":  # fmt: skip
        """Takes the data folder: lock, journal, catalogue, recovery of open recordings, reconciliation.

        `rng` makes salts and setup codes: `random.SystemRandom` but in tests. `anew` makes the catalogue from nothing
        and carries out what reconciliation would refuse. A broken journal goes on as a new chain, see
        `findings.journal_broken`. Raises `LockedError` naming the process that has the folder, `JournalError` or
        `CatalogueError` if the disk refuses."""
        lock_fd = lock(data)
        book = catalogue = None
        try:
            catalogue, why = open_catalogue(data, map_bytes)
            book = Journal.open(data / "journal", rng, remembered(catalogue))
            if catalogue is not None and (anew or not book.remembers):
                catalogue.close()
                catalogue, why = None, "asked for" if anew else "its last entry is not in the journal"
            catalogue = catalogue or new_catalogue(data, map_bytes)
            ledger = cls(data, clock, lock_fd, book, catalogue, Access(data, rng), trash_days, data_grace_days)
            ledger.findings.rebuilt = why
            ledger._commits.catch_up(progress)
            with catalogue.reading() as txn:
                ledger._ids.resume(txn, catalogue.tables)
            ledger._reconcile(force=anew, progress=progress)
            ledger.findings.journal_broken = ledger._broken_unheard()
        except BaseException:  # Whatever ends the opening gives back lock and files; it is raised again.
            for opened in (catalogue, book):
                if opened is not None:
                    opened.close()
            os.close(lock_fd)
            raise
        return ledger

    def close(self) -> None:
        self.catalogue.close()
        self._journal.close()
        os.close(self._lock_fd)

    def batch(self) -> AbstractContextManager[None]:
        """All acts inside become durable together at its end; an exception inside undoes them all."""
        return self._commits.batch()

    def _act(
        self, act: str, actor: str, handle: str | None = None, detail: dict[str, Any] | None = None,
        side: Side | None = None,
    ) -> Entry:  # fmt: skip
        return self._commits.act(act, actor, self._clock.moment().utc_ns, handle, detail, side)

    def _reconcile(self, *, force: bool, progress: Callable[[int], None] | None) -> None:
        tables, findings = self.catalogue.tables, self.findings
        with self.catalogue.reading() as txn:
            plan = reconcile.look(self.data, txn, tables, findings, progress)
            total = txn.stat(tables["rows"])["entries"]
        findings.refused = None if force else reconcile.refusal(plan, findings, total)
        recovered = set(findings.recovered)
        for at in range(0, len(plan.new), _FOUND_AT_ONCE):
            with self.batch():
                for file, row, old in plan.new[at : at + _FOUND_AT_ONCE]:
                    if row.handle in recovered or findings.refused is None:
                        discard = file.end.discard if file.end else None
                        self._enter_found(row, old, discard if row.handle in recovered else None)
        findings.found = [row.handle for _, row, _ in plan.new if row.handle not in recovered]
        findings.missing = [row.handle for row in plan.gone]
        with self.batch():
            if findings.refused is None:
                for row in plan.gone:
                    self._act("missing", "system", row.handle, side=msgspec.to_builtins(row))
                self._commits.do(lambda txn: _store_folders(txn, tables, plan.looked))
                self._commits.after.append(lambda: reconcile.remove_leftovers(plan))
            self._commits.do(lambda txn: txn.drop(tables["live"], delete=False))
            self._act("opened", "system", detail={
                "recovered": len(recovered), "found": len(findings.found), "missing": len(findings.missing),
                "damaged": len(findings.damaged), "refused": bool(findings.refused),
                "journal_cut_bytes": findings.journal_cut_bytes,
            })  # fmt: skip

    def _broken_unheard(self) -> tuple[str, ...]:
        """Breaks of the journal that no alarm has told of since, this start's or an earlier one's."""
        named = list(chains(journal_files(self.data / "journal")))
        if not named:
            return ()
        with self.catalogue.reading() as txn:
            told = [alarm.id for alarm in alarms(txn, self.catalogue.tables, None) if alarm.code == JOURNAL_BROKEN]
        return tuple(str(one) for entry in named if entry.seq > max(told, default=0) for one in breaks_of(entry))

    def _enter_found(self, row: Recording, old: Recording | None, discard: StopReason | None) -> None:
        known = self._find(row.handle)
        row_id = known.id if known is not None else self._ids.place(self._commits.txn, self.catalogue.tables, row)
        row = replace(row, id=row_id)
        self._commits.fresh[row.handle] = row
        self._act("found", "system", row.handle, acts.sealed_detail(row))
        if discard is not None and old is None:
            self._trash_one(row.handle, discard.value, "system", self.data_grace_days)

    # Recordings

    def started(self, start: RecordingStart) -> Recording:
        """A recording has begun: it is listed as live. Not in the journal; its file speaks for it."""
        with self.batch():
            file = begun(start)
            row_id = self._ids.next(self._commits.txn, self.catalogue.tables, start.utc_ns // 1_000_000)
            row = row_of(file, file.path.as_posix(), row_id)
            data = tb.encode(row)
            self._commits.do(lambda txn: txn.put(bytes.fromhex(row.handle), data, db=self.catalogue.tables["live"]))
            return row

    def known(
        self, handle: str, direction: Direction, number: str | None, name: str | None, call_class: CallClass,
        class_confidence: float,
    ) -> Recording | None:  # fmt: skip
        """What has become known of a call that is being recorded, for the lists; its file says it when it is sealed.

        Returns the row; None if the recording is not (any more) listed as live."""
        with self.batch():
            live, key = self.catalogue.tables["live"], bytes.fromhex(handle)
            data = self._commits.txn.get(key, db=live)
            if data is None:
                return None
            row = replace(
                decode_live(data), direction=direction, number=number, name=name, call_class=call_class,
                class_confidence=class_confidence,
            )  # fmt: skip
            self._commits.do(lambda txn: txn.put(key, tb.encode(row), db=live))
            return row

    def sealed(self, recording: Recording, discard: StopReason | None = None) -> Recording:
        """A file was sealed (`OpenRecording.seal`): journal, catalogue, and for a data call the trash.

        Returns the row with its id. A recording that was never `started` is entered all the same."""
        with self.batch():
            known = self._find(recording.handle)
            if known is not None and known.state is not State.LIVE:
                raise RefusedError(f"Recording {recording.handle}: it is sealed already. Nothing was changed.")
            row_id = known.id if known else self._ids.place(self._commits.txn, self.catalogue.tables, recording)
            row = replace(recording, id=row_id)
            self._commits.fresh[row.handle] = row
            self._act("sealed", "system", row.handle, acts.sealed_detail(row))
            if discard is not None:
                self._trash_one(row.handle, discard.value, "system", self.data_grace_days)
            self._ids.entered(row_id)
            return self._get(row.handle)

    def recover(self, path: Path) -> Recording:
        """Seals what can be confirmed of a recording whose writing failed, and enters it.

        Raises `RecordingError` if that cannot be done now; the next start tries again."""
        file = recover(path)
        if file is None:
            raise RecordingError(f"{path}: nothing of it had reached the disk; it was removed.")
        with self.batch():
            row = row_of(file, path.relative_to(self.data).as_posix())
            self._enter_found(row, None, file.end.discard if file.end else None)
            return self._get(row.handle)

    def abandoned(self, handle: str) -> None:
        """A recording that was `started` left no file: it is no longer listed as live."""
        with self.batch():
            self._commits.do(lambda txn: txn.delete(bytes.fromhex(handle), db=self.catalogue.tables["live"]))

    def unrecorded(self, line: int, from_utc_ns: int, to_utc_ns: int, reason: str) -> None:
        """An off-hook interval left no audio, and why."""
        detail = {"line": line, "from_utc_ns": from_utc_ns, "to_utc_ns": to_utc_ns, "reason": reason}
        with self.batch():
            self._act("unrecorded", "system", detail=detail)

    # Trash

    def trash(self, handles: Sequence[str], reason: str, actor: str) -> list[Recording]:
        """Into the trash, all or none. Raises `NotFoundError` or `RefusedError` naming the first that cannot."""
        with self.batch():
            for handle in handles:
                self._expect(handle, (State.SEALED, State.MISSING), "put into the trash")
            for handle in handles:
                self._trash_one(handle, reason, actor, self.trash_days)
            return [self._get(handle) for handle in handles]

    def undelete(self, handles: Sequence[str], actor: str) -> list[Recording]:
        """Out of the trash, all or none; the same errors."""
        with self.batch():
            for handle in handles:
                self._expect(handle, (State.TRASH,), "taken out of the trash")
            for handle in handles:
                self._act("undelete", actor, handle)
            return [self._get(handle) for handle in handles]

    def purge_due(self, limit: int = _PURGE) -> list[Recording]:
        """Destroys the audio of at most `limit` recordings whose time in the trash is over; returns their rows.

        The journal has the tombstone before the file goes; after a crash between the two the next start removes it."""
        now = self._clock.moment().utc_ns
        purged: list[Recording] = []
        with self.batch():
            for row in self._due(now):
                if len(purged) < limit:
                    self._act("purged", "system", row.handle, side=msgspec.to_builtins(row))
                    self._commits.after.append(lambda path=self.data / row.path: _destroy(path))  # type: ignore[misc]
                    purged.append(replace(row, state=State.PURGED))
        return purged

    def _due(self, now: int) -> Iterator[Recording]:
        cursor = self._commits.txn.cursor(db=self.catalogue.tables["state"])
        ids = list(cursor.iternext_dup()) if cursor.set_key(State.TRASH.encode()) else []
        for key in ids:
            row = tb.decode_row(self._commits.txn.get(key, db=self.catalogue.tables["rows"]))
            if row.trash is not None and row.trash[1] <= now:
                yield tb.unpack(tb.unkey(key), row)

    def _trash_one(self, handle: str, reason: str, actor: str, days: float) -> None:
        until = self._clock.moment().utc_ns + round(days * _DAY_NS)
        self._act("trash", actor, handle, {"reason": reason, "until_utc_ns": until})

    # Copies of one call

    def link(self, copy: str, principal: str, actor: str, detail: dict[str, Any] | None = None) -> list[Recording]:
        """`copy` records the same call as `principal`, which counts; `detail` says how alike they are. Returns both.

        Raises `NotFoundError`, or `RefusedError` where one of them stands in another link."""
        with self.batch():
            links.check(self._get(copy), self._get(principal))
            self._act("link", actor, copy, {"principal": principal, **(detail or {})})
            return [self._get(copy), self._get(principal)]

    def unlink(self, copy: str, actor: str) -> list[Recording]:
        """They are two calls after all. Returns both; raises `NotFoundError`, or `RefusedError` if it is no copy."""
        with self.batch():
            principal = links.principal_of(self._get(copy))
            self._act("unlink", actor, copy, {"principal": principal})
            return [self._get(copy), self._get(principal)]

    # Notes, tags, operations

    def note(self, handle: str, text: str, actor: str) -> Note:
        with self.batch():
            self._expect(handle, tuple(State), "noted on", live=False)
            entry = self._act("note", actor, handle, side={"text": text})
            return Note(id=entry.seq, handle=handle, utc_ns=entry.utc_ns, actor=actor, text=text)

    def tags(self, handle: str, tags: Sequence[str], actor: str) -> Recording:
        """Replaces the tags."""
        with self.batch():
            self._expect(handle, tuple(State), "tagged", live=False)
            self._act("tags", actor, handle, side={"tags": list(dict.fromkeys(tags))})
            return self._get(handle)

    def operation(self, act: str, actor: str, handle: str | None = None, detail: dict[str, Any] | None = None) -> int:
        """Someone listened, exported, searched, signed in ...: in the journal, durable, before it takes effect.

        `detail` may hold what is personal; it stands in the side record. Returns the entry's number. Raises
        `RefusedError` where it is too long."""
        side = checked_detail(act, detail or {})
        with self.batch():
            return self._act(act, actor, handle, side=side or None).seq

    # Alarms

    def alarm_raise(
        self, code: str, severity: Severity, subject: str, values: dict[str, Any] | None = None, title: str = "",
        advice: str = "",
    ) -> Alarm:  # fmt: skip
        """Opens an alarm, or counts once more the open one of this code and subject.

        Every repetition counts; only 1 to 10, 20, 30 .. 100, 200 .. are written down, so that a storm stays small."""
        with self.batch():
            alarm = self._open_alarm(code, subject)
            if alarm is None:
                told: dict[str, Any] = {
                    "code": code, "severity": severity.value, "object": subject, "values": values or {},
                    "title": title, "advice": advice,
                }  # fmt: skip
                seq = self._act("alarm_open", "system", detail=told).seq
                return self._alarm(seq)
            count = self._counts[alarm.id] = self._counts.get(alarm.id, alarm.count) + 1
            if count == count // (step := 10 ** (len(str(count)) - 1)) * step or count < 10:
                detail = {"alarm": alarm.id, "count": count, "values": values or alarm.values}
                self._act("alarm_again", "system", detail=detail)
            return replace(self._alarm(alarm.id), count=count)

    def alarm_ack(self, alarm: int, actor: str) -> Alarm:
        """Raises `NotFoundError` if no such alarm is open."""
        with self.batch():
            self._alarm(alarm)
            self._act("alarm_ack", actor, detail={"alarm": alarm})
            return self._alarm(alarm)

    def alarm_resolve(self, code: str, subject: str) -> Alarm | None:
        """What the alarm was about is well again; None if it was not open."""
        with self.batch():
            alarm = self._open_alarm(code, subject)
            if alarm is None:
                return None
            entry = self._act("alarm_resolve", "system", detail={"alarm": alarm.id, "code": code, "object": subject})
            return replace(alarm, resolved_utc_ns=entry.utc_ns, count=self._counts.pop(alarm.id, alarm.count))

    def _open_alarm(self, code: str, subject: str) -> Alarm | None:
        opened = alarms(self._commits.txn, self.catalogue.tables, 0)
        return next((alarm for alarm in opened if (alarm.code, alarm.object) == (code, subject)), None)

    def _alarm(self, number: int) -> Alarm:
        for alarm in alarms(self._commits.txn, self.catalogue.tables, 0):
            if alarm.id == number:
                return alarm
        raise NotFoundError(f"Alarm {number}: none by this number is open. It may have been resolved meanwhile.")

    # Accounts

    def setup_code(self) -> str | None:
        """A new setup code, if nobody has an account yet; the daemon shows it on the console."""
        if self.access.people():
            return None
        with self.batch():
            self._act("setup_code", "system")
        return self.access.new_code()

    def setup_finish(self, code: str, person: Person, actor: str) -> None:
        """The first account. Raises `RefusedError` if the code is not the valid one."""
        checked(person)
        if not self.access.setup_valid(code):
            raise RefusedError("Setup: this code is not valid (any more). The valid one stands on the console.")
        with self.batch():
            self._act("setup", actor, side=_account(person))
            self._commits.after.append(lambda: self.access.close_setup(person))

    def user_put(self, person: Person, actor: str) -> None:
        """Makes or changes an account."""
        checked(person)
        with self.batch():
            self._act("user", actor, side=_account(person))
            self._commits.after.append(lambda: self.access.put(person))

    def user_reset(self, actor: str) -> str:
        """Disables every account and returns a new setup code."""
        with self.batch():
            self._act("user_reset", actor)
        return self.access.reset()

    # Rows

    def _find(self, handle: str) -> Recording | None:
        with suppress(NotFoundError):
            return self._get(handle)
        return None

    def _get(self, handle: str) -> Recording:
        return find(self._commits.txn, self.catalogue.tables, handle)

    def _expect(self, handle: str, states: tuple[State, ...], act: str, *, live: bool = True) -> None:
        row = self._get(handle)
        if row.state not in states or (not live and row.state is State.LIVE):
            raise RefusedError(f"Recording {handle}: it is {row.state.value} and cannot be {act}. Reload the page.")


def rebuild(data: Path, clock: Clock, rng: random.Random, progress: Callable[[int], None] | None = None) -> Findings:
    """Makes the catalogue anew from recordings and journal; the daemon must not run (`LockedError`)."""
    ledger = Ledger.open(data, clock, rng, anew=True, progress=progress)
    ledger.close()
    return ledger.findings


def _store_folders(txn: Any, tables: tb.Tables, looked: dict[bytes, int]) -> None:
    for name, stamp in looked.items():
        txn.put(name, reconcile.stamp_bytes(stamp), db=tables["folders"])


def _destroy(path: Path) -> None:
    with suppress(FileNotFoundError):
        disk.unlink(path)
    disk.sync_folder(path.parent)


def _account(person: Person) -> Side:
    return {"user": person.name, "roles": [role.value for role in person.roles], "enabled": person.enabled}
