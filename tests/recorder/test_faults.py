"""The whole room under a crash at every disk call, a really full disk, and a folder that cannot be written."""

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import chain
from recorder.errors import LockedError, RecorderError, RecordingError, WriteFailed
from recorder.layout import AUDIO_OFFSET
from recorder.ledger import Ledger, rebuild
from recorder.model import Query, State
from recorder.wav import OpenRecording
from tests.recorder import values
from tests.recorder.crashdisk import CrashDisk
from tests.recorder.world import HandClock, ledger_of, open_recording, record

ANY = tuple(State)


def working_day(data: Path, disk: CrashDisk) -> None:
    clock = HandClock()
    with ledger_of(data, clock, trash_days=1) as ledger:
        rows = [record(ledger, seed, utc_ns=clock.utc_ns + seed, samples=300) for seed in (1, 2)]
        disk.told("sealed", *[row.handle for row in rows])
        ledger.note(rows[0].handle, "kept", "user:li")
        disk.told("noted", rows[0].handle)
        ledger.trash([rows[1].handle], "wrong", "user:li")
        disk.told("trashed", rows[1].handle)
        clock.on(2 * 86_400)
        ledger.purge_due()
        disk.told("purged", rows[1].handle)
        recording = open_recording(ledger, 3, utc_ns=clock.utc_ns)
        disk.told("durable", recording.handle)
        recording.close()


def check(ledger: Ledger, facts: list[tuple[str, ...]]) -> None:
    told = {str(what): handles for what, *handles in facts}
    catalogue = ledger.catalogue
    rows = {row.handle: row for row in catalogue.search(Query(states=ANY)).rows}
    assert rows.keys() >= {*told.get("sealed", []), *told.get("durable", [])}
    for what, state in (("trashed", (State.TRASH, State.PURGED)), ("purged", (State.PURGED,))):
        if what in told:
            assert rows[told[what][0]].state in state
    if "noted" in told:
        assert [note.text for note in catalogue.notes(told["noted"][0])] == ["kept"]
    for row in rows.values():
        path = ledger.data / row.path
        assert path.exists() != (row.state is State.PURGED)
        if path.exists():
            audio = path.read_bytes()[AUDIO_OFFSET:][: row.samples]
            assert any(audio == values.audio(seed, 800)[: row.samples] for seed in (1, 2, 3))


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_crash_at_every_call_keeps_every_answered_act(tmp_path: Path, kind: int) -> None:
    data = tmp_path / "run"
    data.mkdir()
    with CrashDisk(data).in_place() as disk:
        working_day(data, disk)
    step = 1 if kind == 0 else 2
    for calls in range(0, len(disk.calls) + 1, step):
        image = tmp_path / f"at-{calls}"
        image.mkdir()
        facts = disk.image(calls, image, random.Random(f"{kind} {calls}") if kind else None)
        with ledger_of(image) as ledger:
            check(ledger, facts)
            grown = ledger.catalogue.dump()
        rebuild(image, HandClock(), random.Random(5))
        with ledger_of(image) as ledger:
            anew = ledger.catalogue.dump()
        for content in (grown, anew):
            content.pop("operations")
        assert anew == grown
        *_, (_, verdict) = chain.verify_chain(image / "journal")
        assert verdict is not None and verdict.errors == ()


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own; mounting is root's, or sudo's without a question."""
    folder.mkdir()
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*root, "mount", "-t", "tmpfs", "-o", f"{options},mode=1777", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*root, "umount", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Takes all room but `leave` bytes."""
    path = folder / "ballast"
    stat = os.statvfs(folder)
    with path.open("wb") as file:
        file.write(bytes(max(0, stat.f_bavail * stat.f_frsize - leave)))
    return path


def append_much(recording: OpenRecording) -> None:
    for _ in range(20):
        recording.append(values.audio(3, 8000))


def create_many(data: Path) -> None:
    for seed in range(50, 70):
        OpenRecording.create(data, values.start(seed))


def note_much(ledger: Ledger, handle: str) -> None:
    for _ in range(2000):
        ledger.note(handle, "x" * 4000, "user:li")


def test_a_full_disk_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "size=6m") as data:
        with ledger_of(data) as ledger:
            before = record(ledger, 1)
            recording = open_recording(ledger, 2, utc_ns=values.NOON + values.NS)
            ballast = fill(data, 40_000)
            with pytest.raises(WriteFailed, match=r"800 samples are safe.*disk is full") as caught:
                append_much(recording)
            assert caught.value.lost_samples > 0
            with pytest.raises(WriteFailed, match="creating the recording"):
                create_many(data)
            with pytest.raises(RecorderError, match=r"[Mm]ake room"):
                note_much(ledger, before.handle)
            recording.close()
            ballast.unlink()
            noted = len(ledger.catalogue.notes(before.handle))
            ledger.note(before.handle, "room again", "user:li")
            assert len(ledger.catalogue.notes(before.handle)) >= noted + 1
            row = ledger.recover(recording.path)
            assert row.samples == 800
        with ledger_of(data) as ledger:
            assert ledger.catalogue.notes(before.handle)[-1].text == "room again"
            grown = ledger.catalogue.dump()["rows"]
        rebuild(data, HandClock(), random.Random(1))
        with ledger_of(data) as ledger:
            assert ledger.catalogue.dump()["rows"] == grown


def test_a_recording_that_met_a_full_disk_is_sealed_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "size=4m") as data:
        with ledger_of(data) as ledger:
            recording = open_recording(ledger, 1)
            ballast = fill(data, 0)
            with pytest.raises(WriteFailed, match="disk is full"):
                append_much(recording)
            with pytest.raises(RecordingError, match="has failed"):
                recording.seal(values.end())
            recording.close()
            # What is cut makes the room that the seal needs; the journal and the catalogue need some of their own.
            ballast.unlink()
            assert ledger.recover(recording.path).samples == 800


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    data = tmp_path / "file"
    data.write_text("not a folder")
    with pytest.raises(LockedError, match="cannot be used"):
        Ledger.open(data, HandClock(), random.Random(1))
    with small_disk(tmp_path / "ro", "ro") as folder:
        with pytest.raises(LockedError, match="read-only: look for disk errors"):
            Ledger.open(folder, HandClock(), random.Random(1))
        with pytest.raises(WriteFailed, match="read-only"):
            OpenRecording.create(folder, values.start())


WRITER = """
import random, sys, time
from pathlib import Path
from tests.recorder import values
from tests.recorder.world import HandClock
from recorder.ledger import Ledger
from recorder.wav import OpenRecording
data = Path(sys.argv[1])
ledger = Ledger.open(data, HandClock(), random.Random(int(sys.argv[2])))
first = int(sys.argv[2]) * 1000
for n in range(first, first + 1000):
    start = values.start(n, utc_ns=values.NOON + n)
    ledger.started(start)
    recording = OpenRecording.create(data, start)
    for at in range(3):
        recording.append(values.audio(n, 3000)[at * 1000 : at * 1000 + 1000])
        recording.flush()
        print(start.handle, n, recording.sync(), flush=True)
    ledger.sealed(recording.seal(values.end()))
    print(start.handle, n, 3000, "sealed", flush=True)
"""


def test_a_killed_process_loses_nothing_it_reported(tmp_path: Path) -> None:
    reported: dict[str, tuple[int, int]] = {}
    for round_ in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round_)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line, _ in zip(process.stdout, range(7 * round_ + round_ % 3), strict=False):
            handle, number, samples = line.split()[:3]
            reported[handle] = (int(number), int(samples))
        process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                handle, number, samples = line.split()[:3]
                reported[handle] = (int(number), int(samples))
        process.wait()
        process.stdout.close()
        with ledger_of(tmp_path) as ledger:
            for name, (seed, durable) in reported.items():
                row = ledger.catalogue.get(name)
                audio = (tmp_path / row.path).read_bytes()[AUDIO_OFFSET:][: row.samples]
                assert row.samples >= durable
                assert audio == values.audio(seed, 3000)[: row.samples]
    assert len(reported) > 20
