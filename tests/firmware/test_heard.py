"""A sealed recording read back: how loud the talk is, how quiet its pauses, and whether the file is what was sealed."""

from pathlib import Path

import numpy as np
import pytest

from dsp import g711, levels
from firmware import heard
from recorder.model import Recording
from recorder.wav import OpenRecording
from tests.recorder.values import digit, end, start

RATE = 8000


def tone(level_dbm0: float, seconds: float, hz: float = 437.0) -> np.ndarray:
    at = np.arange(round(seconds * RATE))
    return levels.amplitude(level_dbm0) * np.sin(2 * np.pi * hz * at / RATE)


def line(level_dbm0: float, noise_dbm0: float) -> np.ndarray:
    """Companded: four bursts of a second with pauses of a second, over noise."""
    rng = np.random.default_rng(1)
    bursts = np.concatenate([np.concatenate((tone(level_dbm0, 1.0), np.zeros(RATE))) for _ in range(4)])
    noise = rng.normal(0, levels.rms_of_0dbm0("alaw") * 10 ** (noise_dbm0 / 20), bursts.size)
    return g711.encode(np.round(bursts + noise).astype(np.int16), "alaw")


@pytest.mark.parametrize(("level", "noise"), [(-10.0, -50.0), (-20.0, -55.0), (-35.0, -58.0)])
def test_level_and_noise_are_what_stands_on_the_line(level: float, noise: float) -> None:
    talk, quiet = heard.talk_levels(line(level, noise), "alaw", 0, [])
    assert talk == pytest.approx(level, abs=1.0) and quiet == pytest.approx(noise, abs=2.5)


def test_tones_and_what_came_before_the_answer_are_no_talk() -> None:
    sound = line(-30.0, -55.0)
    loud = g711.encode(np.round(tone(-5.0, 2.0)).astype(np.int16), "alaw")
    whole = np.concatenate((loud, sound, loud))
    last = (loud.size + sound.size, whole.size)
    talk, quiet = heard.talk_levels(whole, "alaw", loud.size, [last])
    assert talk == pytest.approx(-30.0, abs=1.0) and quiet == pytest.approx(-55.0, abs=2.5)
    assert heard.talk_levels(whole, "alaw", 0, [])[0] == pytest.approx(-6.5, abs=2.0)


def test_nobody_who_spoke_has_no_level() -> None:
    assert heard.talk_levels(line(-90.0, -62.0), "alaw", 0, []) == (None, None)
    assert heard.talk_levels(line(-10.0, -50.0)[:3000], "alaw", 0, []) == (None, None)
    assert heard.talk_levels(np.empty(0, np.uint8), "alaw", 0, []) == (None, None)


def sealed(data: Path) -> Recording:
    recording = OpenRecording.create(data, start())
    recording.append(line(-20.0, -55.0))
    recording.mark(digit(1, "5", 800))
    return recording.seal(end())


def test_a_file_is_read_back_with_its_findings(tmp_path: Path) -> None:
    row = sealed(tmp_path)
    read = heard.read(tmp_path, row)
    assert (read.finding, read.samples, read.handle) == ("whole", 8 * RATE, row.handle)
    assert read.level_dbm0 == pytest.approx(-20.0, abs=1.0)
    path = tmp_path / row.path
    content = bytearray(path.read_bytes())
    content[5000] ^= 0x40
    path.write_bytes(content)
    assert heard.read(tmp_path, row).finding == "changed_audio"
    path.write_bytes(b"no recording")
    broken = heard.read(tmp_path, row)
    assert (broken.finding, broken.level_dbm0) == ("unreadable", None)
    path.unlink()
    assert heard.read(tmp_path, row).finding == "missing"
