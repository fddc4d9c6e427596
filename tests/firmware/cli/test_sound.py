"""WAV files that others read, and the pipe to a player."""

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp import g711
from dsp.g711 import Law
from firmware.cli import sound
from firmware.cli.errors import Exit, Failure

AUDIO = random.Random(1).randbytes(4001)

RECORDER = """#!/bin/sh
echo "$@" > "{folder}/words"
exec /bin/cat > "{folder}/bytes"
"""


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_a_wav_is_what_libsndfile_reads(tmp_path: Path, law: Law) -> None:
    path = tmp_path / "x.wav"
    sink = sound.open_sink(str(path), law)
    sink.write(AUDIO[:1000])
    sink.write(AUDIO[1000:])
    sink.close()
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000 and soundfile.info(path).subtype == law.upper()
    assert np.array_equal(samples, g711.decode(np.frombuffer(AUDIO, np.uint8), law))
    assert path.stat().st_size == 58 + 4002


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("mine")
    for act in (lambda: sound.check(str(tmp_path / "x.wav")), lambda: sound.open_sink(str(tmp_path / "x.wav"), "alaw")):
        with pytest.raises(Failure) as caught:
            act()
        assert caught.value.exit_code is Exit.REFUSED
    assert (tmp_path / "x.wav").read_text() == "mine"


@pytest.mark.parametrize(
    ("player", "law", "words"),
    [
        ("aplay", "alaw", "-q -t raw -f A_LAW -r 8000 -c 1"),
        ("aplay", "ulaw", "-q -t raw -f MU_LAW -r 8000 -c 1"),
        ("paplay", "alaw", "--raw --format=alaw --rate=8000 --channels=1"),
        ("paplay", "ulaw", "--raw --format=ulaw --rate=8000 --channels=1"),
    ],
)
def test_a_player_gets_the_bytes_of_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, player: str, law: str, words: str
) -> None:
    """The machine that tests has no sound device: a program that writes down what it is given stands in its place."""
    folder = install(tmp_path, player, RECORDER.format(folder=tmp_path))
    monkeypatch.setenv("PATH", str(folder))
    sink = sound.open_sink(None, law)
    sink.write(AUDIO)
    sink.close()
    assert (tmp_path / "words").read_text().split() == words.split()
    assert (tmp_path / "bytes").read_bytes() == AUDIO


def test_a_player_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path, "aplay", "#!/bin/sh\nexit 3\n")
    monkeypatch.setenv("PATH", str(folder))
    sink = sound.open_sink(None, "alaw")
    with pytest.raises(Failure, match="aplay ended with 3"):
        sink.close()


def test_without_a_player_the_remedy_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failure) as caught:
        sound.check(None)
    assert "--to" in caught.value.remedy
    sound.check("-")


def test_silence_is_what_an_idle_line_sends() -> None:
    for law in ("alaw", "ulaw"):
        assert sound.silence(law, 3) == bytes([g711.IDLE[law]] * 3)


def install(folder: Path, name: str, text: str) -> Path:
    """A folder of programs that holds this one only."""
    place = folder / "bin"
    place.mkdir()
    (place / name).write_text(text)
    (place / name).chmod(0o755)
    return place
