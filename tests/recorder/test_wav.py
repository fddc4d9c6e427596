"""A recording's file: what goes in comes out, at every moment, in our reader and in other people's."""

import hashlib
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import disk, layout
from recorder.errors import RecordingError, WriteFailed
from recorder.layout import AUDIO_OFFSET
from recorder.model import Gap, Mark, RecordingStart, State, StopReason
from recorder.wav import OpenRecording, events_path, load, path_of
from tests.recorder import values


def stored(path: Path, samples: int) -> bytes:
    return path.read_bytes()[AUDIO_OFFSET : AUDIO_OFFSET + samples]


def sox_decodes(path: Path) -> bytes:
    return subprocess.run(
        ["sox", path, "-t", "raw", "-e", "signed", "-b", "16", "-"], capture_output=True, check=True
    ).stdout


def test_a_sealed_recording_says_all_that_was_told(tmp_path: Path) -> None:
    start, audio = values.start(), values.audio(1, 20_001)
    recording = OpenRecording.create(tmp_path, start)
    recording.append(audio[:8000])
    recording.mark(values.digit(1, "5", 100))
    recording.mark(Mark(id=2, kind="speech", start_sample=900))
    recording.flush()
    assert recording.sync() == 8000
    recording.append(np.frombuffer(audio[8000:16_000], np.uint8))
    recording.gap(1_000, "overrun")
    recording.mark(Mark(id=2, kind="speech", start_sample=900, end_sample=7000))
    recording.mark(values.digit(3, "0", 50))
    recording.append(memoryview(bytearray(audio[16_000:])))
    recording.anchor(values.anchor(16_000, start.utc_ns + 2 * values.NS))
    row = recording.seal(values.end(anchor=values.anchor(21_001)))

    file = load(recording.path)
    whole = audio[:16_000] + b"\xd5" * 1000 + audio[16_000:]
    assert stored(file.path, file.samples) == whole
    assert (file.start, file.sealed, file.samples) == (start, True, 21_001)
    assert file.end == values.end(anchor=values.anchor(21_001))
    assert [(m.id, m.end_sample) for m in file.marks] == [(3, 450), (1, 500), (2, 7000)]
    assert file.gaps == (Gap(start_sample=16_000, samples=1000, reason="overrun"),)
    assert [a.sample for a in file.anchors] == [0, 16_000, 21_001]
    assert file.audio_sha256 == hashlib.sha256(whole).hexdigest() == row.audio_sha256
    assert file.samples_per_peak == 80 and file.peaks.shape == (263, 2)
    assert not events_path(file.path).exists()
    assert (row.state, row.number, row.dtmf, row.answered) == (State.SEALED, "01065035039", "05", True)
    assert (row.gaps, row.gap_samples, row.samples) == (1, 1000, 21_001)
    assert tmp_path / row.path == file.path


def test_the_name_is_local_time_offset_line_and_handle() -> None:
    start = values.start(utc_ns=values.NOON, utc_offset_s=-(3 * 3600 + 1800), line=12)
    assert path_of(start).as_posix() == (f"recordings/2026/09/21/20260921T104320-0330-L0012-{start.handle[:8]}.wav")


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("samples", [0, 1, 8000, 24_001])
def test_other_programs_play_it_sealed(tmp_path: Path, law: str, samples: int) -> None:
    recording = OpenRecording.create(tmp_path, values.start(law=law))
    recording.append(values.audio(2, samples))
    recording.seal(values.end())
    data, rate = soundfile.read(recording.path, dtype="int16")
    assert (len(data), rate) == (samples, 8000)
    assert sox_decodes(recording.path) == data.tobytes()
    info = soundfile.info(recording.path)
    assert info.subtype == {"alaw": "ALAW", "ulaw": "ULAW"}[law]


def test_other_programs_play_it_while_it_is_written_and_torn(tmp_path: Path) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    for second in range(5):
        recording.append(values.audio(second, 8001))
        recording.flush()
        if second:
            data, _ = soundfile.read(recording.path, dtype="int16")
            assert len(data) >= 8001 * second - 1
            assert sox_decodes(recording.path) == data.tobytes()[: 2 * (8001 * second // 2 * 2)]
        recording.sync()
    with recording.path.open("rb+") as torn:
        torn.truncate(AUDIO_OFFSET + 8001 * 4)
    data, _ = soundfile.read(recording.path, dtype="int16")
    assert len(data) >= 8001 * 4 - 1
    assert load(recording.path).samples == 8001 * 4


def test_an_open_recording_can_be_read(tmp_path: Path) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    recording.append(b"x" * 500)
    recording.mark(values.digit(1, "9", 0))
    assert load(recording.path).samples == 0
    recording.flush()
    file = load(recording.path)
    assert (file.samples, file.sealed, file.end, len(file.marks)) == (500, False, None, 1)
    assert (file.audio_sha256, len(file.peaks)) == ("", 0)


def test_peaks_are_few_and_lie_around_the_audio(tmp_path: Path) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    recording.append(b"\xd5" * 800_000)
    recording.append(b"\x2a\xaa" * 400_000)  # the largest positive and negative code of A-law
    recording.seal(values.end())
    file = load(recording.path)
    assert file.samples_per_peak == 200 and file.peaks.shape == (8000, 2)
    assert np.abs(file.peaks[:4000]).max() <= 1
    assert (file.peaks[4000:] == [-126, 126]).all()


def test_marks_with_numpy_values_and_no_number_are_kept(tmp_path: Path) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    evidence = {"level": np.float32(-20.5), "row": np.arange(2), "odd": Path("x"), "nan": math.nan}
    recording.mark(Mark(id=1, kind="carrier", start_sample=0, evidence=evidence))
    recording.seal(values.end())
    assert load(recording.path).marks[0].evidence == {"level": -20.5, "row": [0, 1], "odd": "x", "nan": None}


def test_a_start_that_is_too_long_is_cut_and_says_so(tmp_path: Path) -> None:
    start = values.start(line_name="线" * 3000, trigger_detail={"x": "y" * 5000})
    recording = OpenRecording.create(tmp_path, start)
    recording.seal(values.end())
    file = load(recording.path)
    assert file.start.trigger_detail == {"left_out": "too long"}
    assert file.start.line_name == "线" * 200


def test_nothing_is_added_to_a_sealed_recording(tmp_path: Path) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    recording.seal(values.end())
    for act in (lambda: recording.append(b"x"), recording.flush, lambda: recording.seal(values.end())):
        with pytest.raises(RecordingError, match="it is closed"):
            act()


def test_a_handle_used_twice_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    first = OpenRecording.create(tmp_path, values.start())
    first.append(b"abc")
    first.flush()
    with pytest.raises(WriteFailed, match="File exists"):
        OpenRecording.create(tmp_path, values.start())
    assert load(first.path).samples == 3
    first.seal(values.end())


def test_after_a_failed_write_the_file_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = OpenRecording.create(tmp_path, values.start())
    recording.append(b"a" * 8000)
    recording.flush()
    recording.sync()
    recording.append(b"b" * 8000)

    def full(*_: object) -> None:
        raise OSError(28, "")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "fdatasync", full)
        recording.flush()
        with pytest.raises(WriteFailed, match=r"8000 samples are safe, 8000 .* make room") as caught:
            recording.sync()
    assert (caught.value.durable_samples, caught.value.lost_samples, caught.value.errno) == (8000, 8000, 28)
    for act in (recording.flush, recording.sync, lambda: recording.append(b"c"), lambda: recording.seal(values.end())):
        with pytest.raises(RecordingError, match="has failed"):
            act()
    recording.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=9000), at=st.integers(0, 30_000), cut=st.integers(0, 30_000))
def test_a_reader_of_arbitrary_bytes_raises_only_its_own_error(tmp_path: Path, junk: bytes, at: int, cut: int) -> None:
    path = tmp_path / "some.wav"
    path.write_bytes(junk)
    with pytest.raises(RecordingError, match="left as it is"):
        load(path)
    good = bytearray(layout.header(values.start()) + b"a" * 20_000)
    good[at : at + len(junk)] = junk
    path.write_bytes(good[:cut])
    try:
        samples = load(path).samples
    except RecordingError:
        samples = 0
    assert samples <= 20_000 + len(junk)


@settings(max_examples=200)
@given(data=st.binary(max_size=400), cut=st.integers(0, 2000))
def test_frames_are_read_up_to_the_first_torn_one(data: bytes, cut: int) -> None:
    whole, chain, sizes = b"", 0, [0]
    for n in range(5):
        body = layout.FrameBody(marks=(values.digit(n, "1", n),)) if n % 2 else None
        piece, chain = layout.frame(n * 10, n, body, chain)
        whole += piece
        sizes.append(len(whole))
    frames, used, _ = layout.read_frames(whole[:cut] + data)
    complete = sum(cut >= size for size in sizes) - 1
    assert len(frames) >= complete
    assert used >= sizes[complete]
    assert [frame.samples for frame in frames[:complete]] == [0, 10, 20, 30, 40][:complete]


def test_the_start_is_a_value_that_survives_json() -> None:
    start: RecordingStart = values.start(continues=values.handle(9))
    assert layout.read_header(bytes(layout.header(start)))[0] == start
    assert StopReason("recovered") is StopReason.RECOVERED
