"""Sound files on lines: byte for byte, resampled, mixed, refused; folders replayed."""

import logging
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp import g711
from firmware.cards import CardError
from firmware.cards.simulated.files import load_law
from tests.sim.plant import RATE, listen, make_card, paced_card, tone


def write_g711(path: Path, law_bytes: bytes, tag: int) -> Path:
    head = struct.pack("<HHIIHH", tag, 1, RATE, RATE, 1, 8)
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + b"note\x03\0\0\0abc\0"
    chunks += b"data" + struct.pack("<I", len(law_bytes)) + law_bytes
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    return path


def test_g711_of_the_same_law_passes_byte_for_byte(tmp_path: Path) -> None:
    codes = bytes(range(256)) * 4
    for law, tag in (("alaw", 6), ("ulaw", 7)):
        path = write_g711(tmp_path / f"{law}.wav", codes, tag)
        assert load_law(path, law).tobytes() == codes  # type: ignore[arg-type]
    other = load_law(tmp_path / "ulaw.wav", "alaw")
    assert np.array_equal(other, g711.encode(g711.decode(np.frombuffer(codes, np.uint8), "ulaw"), "alaw"))


def test_pcm_passes_through_g711_once(tmp_path: Path) -> None:
    linear = np.random.default_rng(1).integers(-32768, 32768, 5000).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, linear, RATE)
        assert np.array_equal(load_law(tmp_path / name, "alaw"), g711.encode(linear, "alaw"))


def test_other_rates_are_resampled_and_stereo_is_mixed(tmp_path: Path) -> None:
    turns = 2 * np.pi * np.arange(44100) / 44100
    sides = 0.5 * np.sin(np.outer(turns, [440, 1000]))
    soundfile.write(tmp_path / "a.ogg", sides, 44100)
    linear = g711.decode(load_law(tmp_path / "a.ogg", "alaw"), "alaw")
    assert abs(linear.size - RATE) < 10
    power = np.abs(np.fft.rfft(linear[:RATE].astype(float), RATE))
    assert sorted(np.argsort(power)[-2:]) == pytest.approx([440, 1000], abs=1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "it does not exist. Remedy"),
        ("text.wav", b"this is no sound", "cannot be played"),
        ("empty.wav", b"", "cannot be played"),
        ("short.flac", b"fLaC\0\0\0\x22", "cannot be played"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CardError, match=message) as raised:
        make_card().call(1, audio=path)
    assert str(path) in str(raised.value)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    with pytest.raises(CardError, match="holds no samples"):
        make_card().call(1, audio=tmp_path / "none.wav")


def folder_of(path: Path, calls: int) -> list[np.ndarray]:
    path.mkdir()
    sounds = [g711.encode(tone(300 + 100 * i, 1.5), "alaw") for i in range(calls)]
    for i, sound in enumerate(sounds):
        soundfile.write(path / f"{i:02}.wav", g711.decode(sound, "alaw"), RATE)
    return sounds


def found(law: np.ndarray, sound: np.ndarray) -> bool:
    return any(channel.tobytes().find(sound.tobytes()) >= 0 for channel in law)


@pytest.mark.parametrize("over_s", [None, 60.0])
def test_a_folder_is_replayed_untouched_on_all_lines(tmp_path: Path, over_s: float | None) -> None:
    sounds = folder_of(tmp_path / "calls", 9)
    (tmp_path / "calls" / "list.txt").write_text("not a sound")
    card = make_card(3)
    assert card.replay(tmp_path / "calls", over_s) == 9
    heard = listen(card, 90)
    assert all(found(heard.law, sound) for sound in sounds)
    starts = sorted(first for channel in range(3) for first, _ in heard.off_hook(channel))
    assert len(starts) == 9
    if over_s:
        assert starts[-1] - starts[0] > 30 * RATE
    else:
        assert all(len(heard.off_hook(channel)) == 3 for channel in range(3))


def test_two_cards_share_a_folder(tmp_path: Path) -> None:
    sounds = folder_of(tmp_path / "calls", 5)
    cards = [make_card(1), make_card(1)]
    assert [card.replay(tmp_path / "calls", first=i, every=2) for i, card in enumerate(cards)] == [3, 2]
    heard = [listen(card, 60) for card in cards]
    assert [[found(one.law, sound) for sound in sounds] for one in heard] == [
        [True, False, True, False, True], [False, True, False, True, False],
    ]  # fmt: skip


def test_a_folder_is_replayed_in_real_time_too(tmp_path: Path) -> None:
    [sound] = folder_of(tmp_path / "calls", 1)
    _, card = paced_card(1)
    card.replay(tmp_path / "calls")
    # The worker needs a moment of real time, which this clock does not know: read until the phone is lifted.
    patience = time.monotonic() + 30
    while listen(card, 0.02).volts[0, -1] > 20:
        assert time.monotonic() < patience, "the call never came"
    assert found(listen(card, 15).law, sound)
    card.close()


def test_folders_that_cannot_be_replayed_are_refused(tmp_path: Path) -> None:
    card = make_card()
    with pytest.raises(CardError, match="not a folder"):
        card.replay(tmp_path / "none")
    with pytest.raises(CardError, match="holds no sound file"):
        card.replay(tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"x")
    with pytest.raises(CardError, match=r"bad\.wav cannot be played"):
        card.replay(tmp_path)
    with pytest.raises(CardError, match="cannot be replayed over"):
        card.replay(tmp_path, 0)


def test_a_file_that_went_bad_meanwhile_is_reported_and_the_others_are_played(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sounds = folder_of(tmp_path / "calls", 2)
    card = make_card(1)
    card.replay(tmp_path / "calls")
    (tmp_path / "calls" / "00.wav").write_bytes(b"x")
    with caplog.at_level(logging.ERROR):
        heard = listen(card, 20)
    assert "00.wav" in caplog.text
    assert found(heard.law, sounds[1])
