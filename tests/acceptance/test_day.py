"""A few minutes of the day, so that it cannot rot; and that it sees what is missing."""

from pathlib import Path

from recorder.wav import load
from tests.acceptance.day import RATE, compare, record


def test_what_is_there_is_what_came_off_the_lines_and_what_is_not_is_seen(tmp_path: Path) -> None:
    data = tmp_path / "data"
    recorded = record(data, 0.15, 2, 1)
    day = compare(recorded)
    assert day.wrong == [], day.text()
    assert day.recordings >= 3 and day.compared_blocks > 10_000

    longest, other = sorted((load(path) for path in data.glob("recordings/**/*.wav")), key=lambda file: -file.samples)[
        :2
    ]
    audio = bytearray(longest.path.read_bytes())
    audio[longest.audio_offset + RATE] ^= 1
    longest.path.write_bytes(audio)
    other.path.unlink()
    day = compare(recorded)
    assert len(day.wrong) == 2, day.text()
    assert any(longest.path.name in wrong and "1 blocks are not" in wrong for wrong in day.wrong)
    assert any(f"line {other.start.line}: off-hook" in wrong and "nothing tells of it" in wrong for wrong in day.wrong)
