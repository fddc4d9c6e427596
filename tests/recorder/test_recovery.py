"""Whatever a crash leaves: what was acknowledged comes back, and recovery twice equals once."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile

from recorder import layout
from recorder.errors import RecordingError
from recorder.layout import AUDIO_OFFSET
from recorder.model import CallClass, Direction, Gap, Mark, StopReason
from recorder.recovery import recover
from recorder.wav import OpenRecording, RecordingFile, events_path, load, path_of
from tests.recorder import values
from tests.recorder.crashdisk import CrashDisk, contents, copy_of

AUDIO = {seed: values.audio(seed, 9_000) for seed in (1, 2)}


def short_run(root: Path, disk: CrashDisk) -> None:
    """Two recordings, a round at a time; the first is sealed, the second is not."""
    first = OpenRecording.create(root, values.start(1))
    second = OpenRecording.create(root, values.start(2, law="ulaw", utc_ns=values.NOON + 3600 * 24 * values.NS))
    for n in range(3):
        for seed, recording in ((1, first), (2, second)):
            recording.append(AUDIO[seed][n * 2000 : n * 2000 + 1999 + seed])
            recording.mark(values.digit(n, str(n), n * 1000))
            if n == 1:
                recording.gap(77, "late")
            recording.flush()
            disk.told("durable", recording.path, recording.sync())
    first.append(AUDIO[1][6000:6500])
    first.seal(values.end())
    disk.told("sealed", first.path, 6574)
    second.append(AUDIO[2][6000:])
    second.flush()
    second.close()


def handed_over(seed: int) -> bytes:
    idle = {1: b"\xd5", 2: b"\xff"}[seed] * 77
    audio, step = AUDIO[seed], 1999 + seed
    return (
        audio[:step]
        + audio[2000 : 2000 + step]
        + idle
        + audio[4000 : 4000 + step]
        + audio[6000:][: (500, 3000)[seed - 1]]
    )


def recover_all(root: Path) -> dict[Path, RecordingFile]:
    """Recovers what is open; a start that was torn before its first sync stays as it is."""
    for path in sorted({p.with_suffix(".wav") for p in root.rglob("*.*")}):
        if not load_sealed(path):
            with suppress(RecordingError):
                recover(path)
    return {path: load(path) for path in root.rglob("*.wav") if load_sealed(path)}


def load_sealed(path: Path) -> bool:
    try:
        return load(path).sealed and not events_path(path).exists()
    except RecordingError:
        return False


def seed_of(file: RecordingFile) -> int:
    return 1 if file.start.law == "alaw" else 2


@pytest.mark.parametrize("kind", ["killed", "cut 1", "cut 2", "cut 3", "cut 4"])
def test_a_crash_at_every_call_keeps_what_was_acknowledged(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "run"
    root.mkdir()
    with CrashDisk(root).in_place() as disk:
        short_run(root, disk)
    lost_something = 0
    for calls in range(len(disk.calls) + 1):
        rng = None if kind == "killed" else random.Random(f"{kind} {calls}")
        image = tmp_path / f"at-{calls}"
        image.mkdir()
        facts = disk.image(calls, image, rng)
        files = recover_all(image)
        for what, path, samples in facts:
            file = files[image / path.relative_to(root)]
            assert file.samples >= samples, f"{what} after {calls} calls"
        for path, file in files.items():
            whole = handed_over(seed_of(file))
            audio = path.read_bytes()[AUDIO_OFFSET : AUDIO_OFFSET + file.samples]
            torn = [gap for gap in file.gaps if gap.reason == "torn"]
            for gap in torn:
                at = gap.start_sample
                whole = whole[:at] + layout.IDLE[file.start.law] * gap.samples + whole[at + gap.samples :]
            assert audio == whole[: file.samples]
            assert file.sealed and soundfile.info(path).frames == file.samples
            assert all(mark.start_sample <= file.samples for mark in file.marks)
            lost_something += file.samples < len(whole)
        once = contents(image)
        recover_all(image)
        assert contents(image) == once
    assert lost_something > 20


def test_a_crash_at_every_call_of_a_recovery_changes_nothing_in_the_end(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    with CrashDisk(root).in_place() as disk:
        short_run(root, disk)
    interrupted = 0
    for calls in range(5, len(disk.calls) + 1, 3):
        crashed = tmp_path / f"{calls}"
        crashed.mkdir()
        disk.image(calls, crashed, random.Random(calls))
        expected = copy_of(crashed, tmp_path / f"{calls}-once")
        expected.mkdir(exist_ok=True)
        recover_all(expected)
        with CrashDisk(crashed).in_place() as again:
            recover_all(crashed)
        assert contents(crashed) == contents(expected)
        for step in range(len(again.calls) + 1):
            image = tmp_path / f"{calls}-{step}"
            image.mkdir()
            again.image(step, image, random.Random(step))
            recover_all(image)
            assert contents(image) == contents(expected), f"crash at {calls}, then at {step} of the recovery"
            interrupted += 1
    assert interrupted > 50


def half_done(root: Path, *, rounds: int = 4, marks: tuple[Mark, ...] = ()) -> Path:
    recording = OpenRecording.create(root, values.start())
    for n in range(rounds):
        recording.append(AUDIO[1][n * 1000 : n * 1000 + 1000])
        for mark in marks:
            recording.mark(mark)
        recording.flush()
    recording.close()
    return recording.path


def test_a_damaged_round_before_a_whole_one_becomes_a_gap(tmp_path: Path) -> None:
    path = half_done(tmp_path)
    with path.open("rb+") as file:
        file.seek(AUDIO_OFFSET + 1500)
        file.write(b"damaged")
    file_ = recover(path)
    assert file_ is not None and file_.end is not None
    assert (file_.samples, file_.gaps) == (4000, (Gap(start_sample=1000, samples=1000, reason="torn"),))
    assert path.read_bytes()[AUDIO_OFFSET + 1000 : AUDIO_OFFSET + 2000] == b"\xd5" * 1000
    assert file_.end.stop_detail == {"cut_samples": 0, "torn_gaps": 1}


def test_what_no_checksum_confirms_is_cut(tmp_path: Path) -> None:
    path = half_done(tmp_path)
    with path.open("ab") as file:
        file.write(b"never flushed")
    events = events_path(path).read_bytes()
    events_path(path).write_bytes(events[:-3])
    recovered = recover(path)
    assert recovered is not None and recovered.end is not None
    assert (recovered.samples, recovered.end.stop_reason) == (3000, StopReason.RECOVERED)


def test_number_and_class_are_taken_from_the_marks(tmp_path: Path) -> None:
    marks = (
        values.digit(1, "4", 10),
        values.digit(2, "2", 900),
        Mark(id=3, kind="class", start_sample=20, value="fax"),
    )
    recovered = recover(half_done(tmp_path, marks=marks))
    assert recovered is not None and recovered.end is not None
    assert (recovered.end.direction, recovered.end.dialled) == (Direction.OUT, "42")
    assert recovered.end.call_class is CallClass.FAX


def test_a_recording_whose_audio_file_never_reached_the_disk_is_an_empty_one(tmp_path: Path) -> None:
    path = half_done(tmp_path)
    path.unlink()
    recovered = recover(path)
    assert recovered is not None and recovered.end is not None
    assert (recovered.samples, recovered.end.stop_detail) == (0, {"cut_samples": 4000, "torn_gaps": 0})
    assert recovered.start == values.start()


def test_names_without_a_byte_are_removed(tmp_path: Path) -> None:
    path = tmp_path / path_of(values.start())
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(4096))
    events_path(path).touch()
    assert recover(path) is None
    assert list(path.parent.iterdir()) == []


def no_trailer(path: Path) -> None:
    layout_page = bytearray(path.read_bytes()[:AUDIO_OFFSET])
    layout.set_sizes(layout_page, 4000, AUDIO_OFFSET + 4000)
    path.write_bytes(layout_page + b"a" * 4000)
    events_path(path).unlink()


def foreign(path: Path) -> None:
    path.write_bytes(b"RIFF" + values.audio(1, 9000))
    events_path(path).write_bytes(b"not ours")


def exchanged(path: Path) -> None:
    events_path(path).write_bytes(layout.frame(0, 0, layout.FrameBody(start=values.start(77)), 0)[0])


@pytest.mark.parametrize("damage", [no_trailer, foreign, exchanged])
def test_damaged_and_foreign_files_are_named_and_left_alone(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = half_done(tmp_path)
    damage(path)
    before = contents(tmp_path)
    with pytest.raises(RecordingError, match=r"left as (it is|they are)"):
        recover(path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("seed", range(20))
def test_a_changed_byte_anywhere_loses_no_more_than_its_round(tmp_path: Path, seed: int) -> None:
    """Damage of the disk itself, in either file: recovery neither fails nor keeps what it cannot confirm."""
    rng = random.Random(seed)
    path = half_done(tmp_path)
    victim = rng.choice((path, events_path(path)))
    data = bytearray(victim.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    victim.write_bytes(data)
    recovered = recover(path)
    assert recovered is not None and recovered.sealed
    audio = path.read_bytes()[AUDIO_OFFSET : AUDIO_OFFSET + recovered.samples]
    for at in range(0, recovered.samples, 1000):
        piece = audio[at : at + 1000]
        assert piece == AUDIO[1][at : at + 1000] or Gap(start_sample=at, samples=1000, reason="torn") in recovered.gaps
