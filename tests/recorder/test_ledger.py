"""The ledger: every act durable, the catalogue always what recordings and journal say."""

import os
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import lmdb
import pytest

from recorder import chain, disk, journal, reconcile
from recorder.access import Person, Reader, Role
from recorder.catalogue import Catalogue
from recorder.errors import CatalogueError, JournalError, LockedError, NotFoundError, RefusedError
from recorder.ledger import JOURNAL_BROKEN, Ledger, rebuild
from recorder.model import CallClass, Direction, Query, Severity, State, StopReason, Trigger
from recorder.verify import Finding, verify, verify_one
from recorder.wav import RecordingFile
from tests.recorder import values
from tests.recorder.world import HandClock, ledger_of, open_recording, record

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


def assert_same_when_rebuilt(data: Path) -> None:
    with ledger_of(data) as ledger:
        grown = ledger.catalogue.dump()
    rebuild(data, HandClock(), random.Random(2))
    catalogue = Catalogue.open_readonly(data)
    anew = catalogue.dump()
    catalogue.close()
    assert grown["operations"][-1] != anew["operations"][-1]  # each opening is an operation of its own
    for content in (grown, anew):
        content.pop("operations")
    assert anew == grown


def busy_day(ledger: Ledger, clock: HandClock) -> list[str]:
    handles = []
    for seed in range(1, 13):
        clock.on(97.3)
        handles.append(record(
            ledger, seed, line=seed % 4, utc_ns=clock.utc_ns, dialled=f"0106503{seed:04d}",
            call_class=CallClass.FAX if seed == 5 else CallClass.VOICE,
        ).handle)  # fmt: skip
    clock.on(1)
    record(ledger, 20, utc_ns=clock.utc_ns, discard=StopReason.DATA_CALL, stop_reason=StopReason.DATA_CALL)
    ledger.note(handles[0], "Pump 3 报警 confirmed", "user:li")
    ledger.note(handles[0], "called back", "user:li")
    ledger.tags(handles[1], ["urgent", "泵站"], "user:li")
    ledger.tags(handles[1], ["泵站", "closed"], "user:li")
    ledger.trash(handles[2:5], "wrong", "user:li")
    ledger.undelete(handles[3:4], "user:li")
    ledger.unrecorded(2, clock.utc_ns, clock.utc_ns + values.NS, "card")
    ledger.operation("listen", "user:li", handles[0], {"seconds": 3})
    ledger.alarm_raise("disk_low", Severity.MAJOR, "disk", {"free": 3}, "Disk", "Make room.")
    return handles


def test_the_catalogue_is_what_a_rebuild_makes(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        handles = busy_day(ledger, clock)
        clock.on(31 * 86_400)
        assert {row.handle for row in ledger.purge_due()} == {handles[2], handles[4], values.handle(20)}
        ledger.alarm_resolve("disk_low", "disk")
    assert_same_when_rebuilt(tmp_path)


def test_rows_tell_what_the_file_and_the_journal_say(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        row = record(ledger, 1, dialled="95588", name=None)
        assert (row.state, row.number, row.direction, row.trigger) == (
            State.SEALED,
            "95588",
            Direction.OUT,
            Trigger.VOLTAGE,
        )
        assert row.id >> 16 == values.NOON // 1_000_000
        ledger.note(row.handle, "first", "user:li")
        noted = ledger.note(row.handle, "second", "user:wang")
        ledger.tags(row.handle, ["a", "b", "a"], "user:li")
        got = ledger.catalogue.get(row.handle)
        assert (got.notes, got.tags, got.path) == (2, ("a", "b"), row.path)
        assert [(n.text, n.actor) for n in ledger.catalogue.notes(row.handle)] == [
            ("first", "user:li"), ("second", "user:wang"),
        ]  # fmt: skip
        assert noted.id == ledger.catalogue.notes(row.handle)[1].id
        acts = [op.act for op in ledger.catalogue.operations(row.handle)]
        assert acts == ["tags", "note", "note"]
        assert "second" not in str(ledger.catalogue.operations(limit=10))
        counts = ledger.catalogue.counts()
        assert (counts.total, counts.sealed, counts.live) == (1, 1, 0)
        assert counts.last_finished_utc_ns == values.NOON + 800 * 125_000
        assert [(d.day, d.recordings, d.samples) for d in ledger.catalogue.days("2026-09-01", "2026-10-01")] == [
            ("2026-09-21", 1, 800),
        ]  # fmt: skip


def test_trash_undelete_and_purge(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock, trash_days=2) as ledger:
        one, two = record(ledger, 1), record(ledger, 2)
        trashed = ledger.trash([one.handle, two.handle], "wrong number", "user:li")
        assert {row.state for row in trashed} == {State.TRASH}
        assert trashed[0].trash is not None
        assert trashed[0].trash.until_utc_ns - clock.utc_ns == 2 * 86_400 * values.NS
        assert ledger.undelete([one.handle], "user:li")[0].trash is None
        with pytest.raises(RefusedError, match="cannot be taken out"):
            ledger.undelete([one.handle], "user:li")
        with pytest.raises(RefusedError, match="is trash"):
            ledger.trash([one.handle, two.handle], "again", "user:li")
        assert ledger.catalogue.get(one.handle).state is State.SEALED
        clock.on(86_400)
        assert ledger.purge_due() == []
        clock.on(86_400)
        assert [row.handle for row in ledger.purge_due()] == [two.handle]
        assert ledger.purge_due() == []
        row = ledger.catalogue.get(two.handle)
        assert (row.state, row.number) == (State.PURGED, "01065035039")
        assert not (tmp_path / two.path).exists() and (tmp_path / one.path).exists()
        assert verify_one(tmp_path, row).finding is Finding.PURGED


def test_a_data_call_goes_to_the_trash_with_its_grace(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock, data_grace_days=0) as ledger:
        row = record(ledger, 1, discard=StopReason.ACCESS_NUMBER)
        assert row.trash is not None
        assert (row.state, row.trash.reason, row.trash.actor) == (State.TRASH, "access_number", "system")
        assert [purged.handle for purged in ledger.purge_due()] == [row.handle]


def test_unknown_recordings_are_named(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        for handle in ("", "x" * 32, values.handle(5), "../../etc"):
            with pytest.raises(NotFoundError, match="none by this handle"):
                ledger.trash([handle], "", "user:li")
        assert ledger.catalogue.operations(limit=5)[0].act == "opened"


def two_notes(ledger: Ledger, known: str, unknown: str) -> None:
    with ledger.batch():
        ledger.note(known, "lost with the batch", "user:li")
        ledger.note(unknown, "x", "user:li")


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        row = record(ledger, 1)
        with pytest.raises(NotFoundError):
            two_notes(ledger, row.handle, values.handle(9))
        assert ledger.catalogue.notes(row.handle) == []
        with ledger.batch():
            ledger.note(row.handle, "kept", "user:li")
            assert ledger.catalogue.notes(row.handle) == []
        assert len(ledger.catalogue.notes(row.handle)) == 1
    assert_same_when_rebuilt(tmp_path)


def test_open_recordings_are_recovered_and_keep_their_place(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        recording = open_recording(ledger, 1, utc_ns=values.NOON + 5)
        live = ledger.catalogue.get(recording.handle)
        assert (live.state, ledger.catalogue.counts().live) == (State.LIVE, 1)
        recording.close()
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.recovered == [recording.handle]
        row = ledger.catalogue.get(recording.handle)
        assert (row.state, row.id, row.recovered, row.samples) == (State.SEALED, live.id, True, 800)
        assert ledger.catalogue.counts().live == 0
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.recovered == []
    assert_same_when_rebuilt(tmp_path)


def test_a_recovered_data_call_goes_to_the_trash(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        recording = open_recording(ledger, 1)
        recording.seal(values.end(discard=StopReason.DATA_CALL))
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.found == [recording.handle]
    with ledger_of(tmp_path) as ledger:
        recording = open_recording(ledger, 2)
        recording._round(values.end(discard=StopReason.DATA_CALL))
        recording.close()
    with ledger_of(tmp_path) as ledger:
        assert ledger.catalogue.get(recording.handle).state is State.TRASH


def test_one_recording_whose_writing_failed_is_sealed_while_the_box_runs(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        recording = open_recording(ledger, 1)
        recording.close()
        row = ledger.recover(recording.path)
        assert (row.state, row.samples) == (State.SEALED, 800)
        other = values.start(7)
        ledger.started(other)
        ledger.abandoned(other.handle)
        assert ledger.catalogue.counts().live == 0


def test_a_call_in_progress_is_found_by_what_is_known_of_it(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        recording = open_recording(ledger, 1)
        told = ledger.known(recording.handle, Direction.OUT, "65035039", None, CallClass.VOICE, 0.9)
        query = Query(number="*5039*", direction=Direction.OUT, states=(State.LIVE, State.SEALED))
        (row,) = ledger.catalogue.search(query).rows
        assert row == told and (row.state, row.number, row.call_class) == (State.LIVE, "65035039", CallClass.VOICE)
        recording.close()
        ledger.recover(recording.path)
        assert ledger.known(recording.handle, Direction.IN, "1", None, CallClass.FAX, 1.0) is None
        assert ledger.catalogue.get(recording.handle).number != "1"


def test_missing_and_returning_files(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        row = record(ledger, 1)
        ledger.note(row.handle, "kept", "user:li")
    away = tmp_path / "away.wav"
    (tmp_path / row.path).rename(away)
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.missing == [row.handle]
        gone = ledger.catalogue.get(row.handle)
        assert (gone.state, gone.number, gone.notes) == (State.MISSING, "01065035039", 1)
    assert_same_when_rebuilt(tmp_path)
    away.rename(tmp_path / row.path)
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.found == [row.handle]
        assert ledger.catalogue.get(row.handle).state is State.SEALED
        assert ledger.catalogue.get(row.handle).notes == 1
    assert_same_when_rebuilt(tmp_path)


def test_a_start_opens_no_file_that_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        busy_day(ledger, clock)

    def never(path: Path) -> RecordingFile:
        raise AssertionError(f"{path} was opened")

    with monkeypatch.context() as patch:
        patch.setattr(reconcile, "load", never)
        with ledger_of(tmp_path, clock) as ledger:
            assert ledger.findings.found == []
        looked = []
        patch.setattr(reconcile, "_look_through", lambda *given: looked.append(given[1]))
        with ledger_of(tmp_path, clock) as ledger:
            assert ledger.findings.found == [] and looked == []


def test_it_refuses_when_more_than_half_would_change(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        handles = busy_day(ledger, clock)
    (tmp_path / "recordings").rename(tmp_path / "unmounted")
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.refused is not None and "mounted" in ledger.findings.refused
        assert ledger.catalogue.get(handles[0]).state is State.SEALED
    shutil.rmtree(tmp_path / "recordings", ignore_errors=True)
    (tmp_path / "unmounted").rename(tmp_path / "recordings")
    with ledger_of(tmp_path) as ledger:
        assert (ledger.findings.refused, ledger.findings.missing) == (None, [])
    shutil.rmtree(tmp_path / "journal")
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.refused is not None and "journal" in ledger.findings.refused
        assert ledger.catalogue.counts().total == 0
    findings = rebuild(tmp_path, HandClock(), random.Random(1))
    assert (findings.refused, len(findings.found)) == (None, 13)
    assert_same_when_rebuilt(tmp_path)


def test_damaged_and_foreign_files_are_named_and_stay(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        row = record(ledger, 1)
    folder = (tmp_path / row.path).parent
    (folder / "foreign.wav").write_bytes(b"RIFF....")
    shutil.copy(tmp_path / row.path, folder / "copy.wav")
    for _ in range(2):
        with ledger_of(tmp_path) as ledger:
            assert sorted(path.name for path, _ in ledger.findings.damaged) == ["copy.wav", "foreign.wav"]
    assert (folder / "foreign.wav").read_bytes() == b"RIFF...."


def test_a_second_ledger_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with ledger_of(tmp_path):
        with pytest.raises(LockedError, match=f"in use by process {os.getpid()}"):
            Ledger.open(tmp_path, HandClock(), random.Random(1))
        with pytest.raises(LockedError):
            rebuild(tmp_path, HandClock(), random.Random(1))
    with ledger_of(tmp_path):
        pass


def test_a_broken_journal_is_told_and_recording_goes_on(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        handles = busy_day(ledger, clock)
        whole = ledger.catalogue.dump()["rows"]
    path = tmp_path / "journal" / "000001.journal"
    damaged = path.read_bytes().replace(b'"act":"unrecorded"', b'"act":"unrecorder"', 1)
    path.write_bytes(damaged)
    for _ in range(2):
        with ledger_of(tmp_path, clock) as ledger:
            (told,) = ledger.findings.journal_broken
            assert re.match(r"journal/000001.journal: the chain is broken at entry \d+: from byte \d+", told)
            assert (ledger.findings.rebuilt, ledger.catalogue.dump()["rows"]) == (None, whole)
            assert "chain" in [operation.act for operation in ledger.catalogue.operations()]
    with ledger_of(tmp_path, clock) as ledger:
        ledger.alarm_raise(JOURNAL_BROKEN, Severity.CRITICAL, "journal")
        after = record(ledger, 30, utc_ns=clock.utc_ns)
    with ledger_of(tmp_path, clock) as ledger:
        assert ledger.findings.journal_broken == ()
        ledger.note(handles[0], "goes on", "user:li")
    assert path.read_bytes() == damaged
    rebuild(tmp_path, clock, random.Random(1))
    with ledger_of(tmp_path, clock) as ledger:
        assert (ledger.findings.journal_broken, ledger.findings.rebuilt) == ((), None)
        assert len(ledger.catalogue.notes(handles[0])) == 3
        assert ledger.catalogue.get(after.handle).state is State.SEALED
        assert ledger.catalogue.unrecorded() == []
    assert_same_when_rebuilt(tmp_path)
    *_, (_, verdict) = chain.verify_chain(tmp_path / "journal")
    assert verdict is not None and verdict.errors == (told,) and verdict.unproved > 0


def test_damage_in_an_older_file_is_found_by_a_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 2000)
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        handles = busy_day(ledger, clock)
    path = tmp_path / "journal" / "000001.journal"
    path.write_bytes(path.read_bytes().replace(b'"act":"sealed"', b'"act":"purged"', 1))
    with ledger_of(tmp_path, clock) as ledger:
        assert ledger.findings.journal_broken == ()
    assert len(rebuild(tmp_path, clock, random.Random(1)).journal_broken) == 1
    with ledger_of(tmp_path, clock) as ledger:
        assert len(ledger.findings.journal_broken) == 1, "as long as no alarm has told of it"
        assert {ledger.catalogue.get(handle).state for handle in handles} == {State.SEALED, State.TRASH}
    assert_same_when_rebuilt(tmp_path)


@pytest.mark.parametrize("lost", ["000001", "000002", "000003", "last", "all"])
def test_a_lost_journal_file_is_told_and_recording_goes_on(
    tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 2000)
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        handles = busy_day(ledger, clock)
    files = [path for path in chain.journal_files(tmp_path / "journal") if path.stat().st_size]
    assert len(files) > 3
    for path in {"last": files[-1:], "all": files}.get(lost, [tmp_path / "journal" / f"{lost}.journal"]):
        path.unlink()
    with ledger_of(tmp_path, clock) as ledger:
        assert ledger.findings.journal_broken
        assert (ledger.findings.rebuilt is not None) == (lost in ("last", "all"))
        after = record(ledger, 30, utc_ns=clock.utc_ns)
    findings = rebuild(tmp_path, clock, random.Random(1))
    assert findings.damaged == []
    with ledger_of(tmp_path, clock) as ledger:
        states = {ledger.catalogue.get(handle).state for handle in [*handles, after.handle]}
        assert states <= {State.SEALED, State.TRASH}
        ledger.alarm_raise(JOURNAL_BROKEN, Severity.CRITICAL, "journal")
    with ledger_of(tmp_path, clock) as ledger:
        assert ledger.findings.journal_broken == ()
    assert_same_when_rebuilt(tmp_path)


def test_a_damaged_catalogue_is_made_anew(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        busy_day(ledger, clock)
        before = ledger.catalogue.dump()["rows"]
    (tmp_path / "catalogue" / "data.mdb").write_bytes(values.audio(1, 50_000))
    with pytest.raises(CatalogueError, match="rebuild"):
        Catalogue.open_readonly(tmp_path)
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.rebuilt is not None and "cannot be opened" in ledger.findings.rebuilt
        assert ledger.catalogue.dump()["rows"] == before


def test_a_catalogue_of_an_older_state_catches_up(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        record(ledger, 99)
    shutil.copytree(tmp_path / "catalogue", tmp_path / "older")
    with ledger_of(tmp_path, clock) as ledger:
        busy_day(ledger, clock)
        before = ledger.catalogue.dump()
    shutil.rmtree(tmp_path / "catalogue")
    (tmp_path / "older").rename(tmp_path / "catalogue")
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.rebuilt is None
        assert ledger.catalogue.dump()["rows"] == before["rows"]
        assert ledger.catalogue.dump()["word"] == before["word"]


def test_a_catalogue_of_another_journal_is_made_anew(tmp_path: Path) -> None:
    with ledger_of(tmp_path / "a") as ledger:
        for seed in range(3):
            record(ledger, seed)
    with ledger_of(tmp_path / "b") as ledger:
        record(ledger, 8)
    shutil.rmtree(tmp_path / "b" / "catalogue")
    shutil.copytree(tmp_path / "a" / "catalogue", tmp_path / "b" / "catalogue")
    with ledger_of(tmp_path / "b") as ledger:
        assert ledger.findings.rebuilt is not None and "not in the journal" in ledger.findings.rebuilt
        assert "remembers" in ledger.findings.journal_broken[0]
        assert [row.handle for row in ledger.catalogue.search(Query()).rows] == [values.handle(8)]


def test_the_map_grows_when_it_is_full(tmp_path: Path) -> None:
    with ledger_of(tmp_path, map_bytes=1 << 18) as ledger:
        handles = [record(ledger, seed, samples=10).handle for seed in range(60)]
        with ledger.batch():
            for n, handle in enumerate(handles):
                ledger.note(handle, f"word{n} " * 300, "user:li")
        assert ledger.catalogue.counts().total == 60
        assert ledger.catalogue.env.info()["map_size"] > 1 << 18
    assert_same_when_rebuilt(tmp_path)


GROW = """
import sys
from pathlib import Path
from recorder.catalogue import Catalogue
catalogue = Catalogue.open_writable(Path(sys.argv[1]), 1 << 20)
catalogue.grow()
with catalogue.env.begin(write=True) as txn:
    for n in range(300):
        txn.put(b"%d" % n, bytes(4000), db=catalogue.tables["notes"])
catalogue.close()
"""


def test_two_readers_follow_a_map_that_another_process_has_grown(tmp_path: Path) -> None:
    (tmp_path / "catalogue").mkdir()
    Catalogue.open_writable(tmp_path, 1 << 20).close()
    reader = Catalogue._open(tmp_path, readonly=True, map_bytes=1 << 20)
    subprocess.run([sys.executable, "-c", GROW, str(tmp_path)], check=True)
    env, together, met = reader.env, threading.Barrier(2), set[int]()

    class Together:
        """Both have met the larger map before either follows it."""

        def begin(self) -> Any:
            try:
                return env.begin()
            except lmdb.MapResizedError:
                if threading.get_ident() not in met:
                    met.add(threading.get_ident())
                    together.wait(10)
                raise

        def set_mapsize(self, size: int) -> None:
            env.set_mapsize(size)

    reader.env = cast(Any, Together())
    threads = [threading.Thread(target=reader.counts, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [thread.is_alive() for thread in threads] == [False, False]
    env.close()


def test_a_catalogue_that_could_not_be_opened_again_is_tried_once_more(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        record(ledger, 1)
        away = tmp_path / "away"
        (tmp_path / "catalogue").rename(away)
        (tmp_path / "catalogue").touch()
        with pytest.raises(CatalogueError):
            ledger.catalogue.reopen()
        (tmp_path / "catalogue").unlink()
        away.rename(tmp_path / "catalogue")
        ledger.catalogue.reopen()
        assert ledger.catalogue.counts().total == 1


def test_an_act_that_the_journal_cannot_take_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger_of(tmp_path) as ledger:
        row = record(ledger, 1)

        def full(*_: object) -> None:
            raise OSError(28, "")

        with monkeypatch.context() as patch:
            patch.setattr(disk, "fdatasync", full)
            with pytest.raises(JournalError, match=r"was not done.*make room"):
                ledger.trash([row.handle], "x", "user:li")
            with pytest.raises(JournalError, match="not writable"):
                ledger.note(row.handle, "x", "user:li")
        assert ledger.catalogue.get(row.handle).state is State.SEALED
        ledger.trash([row.handle], "x", "user:li")
        assert ledger.catalogue.get(row.handle).state is State.TRASH
    assert_same_when_rebuilt(tmp_path)
    *_, (_, verdict) = chain.verify_chain(tmp_path / "journal")
    assert verdict is not None and verdict.errors == ()


def test_an_interrupted_purge_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        row = record(ledger, 1)
    with ledger_of(tmp_path, clock) as ledger:
        ledger.trash([row.handle], "x", "user:li")
        clock.on(40 * 86_400)
        with monkeypatch.context() as patch:
            patch.setattr("recorder.ledger._destroy", lambda path: None)
            ledger.purge_due()
        assert (tmp_path / row.path).exists()
    with ledger_of(tmp_path, clock) as ledger:
        assert not (tmp_path / row.path).exists()
        assert ledger.catalogue.get(row.handle).state is State.PURGED


def test_alarms_count_and_stay_until_they_are_resolved(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        alarm = ledger.alarm_raise("late", Severity.MINOR, "card sim0", {"ms": 41}, "Late", "Look at the load.")
        for _ in range(24):
            last = ledger.alarm_raise("late", Severity.MINOR, "card sim0", {"ms": 50})
        assert (last.id, last.count) == (alarm.id, 25)
        ledger.alarm_raise("late", Severity.MINOR, "card sim1")
        ledger.alarm_ack(alarm.id, "user:li")
    with ledger_of(tmp_path) as ledger:
        one, two = ledger.catalogue.alarms()[::-1]
        assert (one.count, one.acknowledged_by, one.values, one.advice) == (
            20,
            "user:li",
            {"ms": 50},
            "Look at the load.",
        )
        assert (two.object, two.acknowledged_by, two.count) == ("card sim1", None, 1)
        resolved = ledger.alarm_resolve("late", "card sim0")
        assert resolved is not None and resolved.resolved_utc_ns is not None
        assert ledger.alarm_resolve("late", "card sim0") is None
        assert [a.object for a in ledger.catalogue.alarms()] == ["card sim1", "card sim0"]
        with pytest.raises(NotFoundError, match="Alarm 9999"):
            ledger.alarm_ack(9999, "user:li")
    assert_same_when_rebuilt(tmp_path)


def test_accounts_and_the_setup_code(tmp_path: Path) -> None:
    person = Person(name="李明", password_hash=HASH, roles=(Role.ADMINISTRATOR, Role.AUDITOR))
    with ledger_of(tmp_path) as ledger:
        reader = Reader(tmp_path)
        code = ledger.setup_code()
        assert code is not None and reader.setup_open() and reader.setup_valid(code.lower().replace("-", " "))
        assert code not in (tmp_path / "access" / "people.json").read_text()
        with pytest.raises(RefusedError, match="not valid"):
            ledger.setup_finish("AAAA-AAAA-AAAA-AAAA", person, "system")
        ledger.setup_finish(code, person, "system")
        assert not reader.setup_valid(code) and not reader.setup_open()
        assert reader.person("李明") == person and ledger.setup_code() is None
        ledger.user_put(Person(name="wang", password_hash=HASH, roles=(Role.AUDITOR,), language="en"), "user:李明")
        wang = reader.person("WANG")
        assert wang is not None and wang.may(Role.AUDITOR) and not wang.may(Role.ADMINISTRATOR)
        with pytest.raises(RefusedError, match="argon2id"):
            ledger.user_put(Person(name="x", password_hash="plain", roles=(Role.AUDITOR,)), "user:李明")
        fresh = ledger.user_reset("console:root")
        assert reader.setup_valid(fresh) and not any(one.enabled for one in reader.people())
        assert (tmp_path / "access" / "people.json.before").exists()
        acts = [op.act for op in ledger.catalogue.operations()]
        assert acts == ["user_reset", "user", "setup", "setup_code", "opened"]


def test_verify_tells_what_was_changed(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        rows = [record(ledger, seed) for seed in range(5)]
        for row, at in ((rows[1], 4200), (rows[2], -9), (rows[3], 10)):
            path = tmp_path / row.path
            path.chmod(0o640)
            data = bytearray(path.read_bytes())
            data[at] ^= 1
            path.write_bytes(data)
        (tmp_path / rows[4].path).unlink()
        found = [verdict.finding for verdict in verify(tmp_path, rows)]
        assert found == [
            Finding.WHOLE, Finding.CHANGED_AUDIO, Finding.CHANGED_METADATA, Finding.UNREADABLE, Finding.MISSING,
        ]  # fmt: skip


def test_keys_never_repeat_nor_run_back_with_the_clock(tmp_path: Path) -> None:
    hour = 3600 * values.NS
    with ledger_of(tmp_path) as ledger:
        times = [0, 0, 0, hour, hour - 20 * values.NS, 2 * hour, hour // 2, hour // 2 + 5, hour]
        rows = [record(ledger, seed, utc_ns=values.NOON + t) for seed, t in enumerate(times)]
        ids = [row.id for row in rows]
        assert len(set(ids)) == len(ids)
        assert ids[4] < ids[3] < ids[5] < ids[6] < ids[7] < ids[8]
        for since in set(times):
            page = ledger.catalogue.search(
                Query(since_utc_ns=values.NOON + since, until_utc_ns=values.NOON + since + 1)
            )
            assert {row.id for row in page.rows} == {row.id for row, t in zip(rows, times, strict=True) if t == since}
    with ledger_of(tmp_path) as ledger:
        later = record(ledger, 50, utc_ns=values.NOON + hour + 1)
        assert later.id > ids[8]
    assert_same_when_rebuilt(tmp_path)


def test_another_process_opens_read_only(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="Start the daemon"):
        Catalogue.open_readonly(tmp_path)


def test_the_page_may_read_under_a_user_of_its_own_whatever_the_umask(tmp_path: Path) -> None:
    """LMDB enters each reader in lock.mdb; the page is in the daemon's group. Its own mount of the folder outlives a
    rebuild."""
    before = os.umask(0o027)
    try:
        with ledger_of(tmp_path):
            pass
        folder = tmp_path / "catalogue"
        place = folder.stat().st_ino
        rebuild(tmp_path, HandClock(), random.Random(2))
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == {"data.mdb": 0o640, "lock.mdb": 0o660}
    assert folder.stat().st_ino == place


def test_who_reads_finds_a_catalogue_that_another_process_made_anew(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        first = record(ledger, 1, utc_ns=clock.utc_ns).handle
    catalogue = Catalogue.open_readonly(tmp_path)
    assert not catalogue.replaced()
    again = (
        "import random, sys; from pathlib import Path; from recorder.ledger import rebuild; "
        "from tests.recorder.world import HandClock; rebuild(Path(sys.argv[1]), HandClock(), random.Random(2))"
    )
    subprocess.run([sys.executable, "-c", again, tmp_path], check=True)
    assert catalogue.replaced()
    catalogue.reopen()
    assert not catalogue.replaced()
    assert [row.handle for row in catalogue.search(Query()).rows] == [first]
    catalogue.close()
