"""`linekeep analyse`: files of every kind in, events and a picture out, with the real detectors."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from cffi_bindings import spandsp
from dsp import g711, levels
from dsp.g711 import Law
from dsp.zones import ZONES
from firmware.cli import picture
from firmware.cli.audiofile import channels_of
from firmware.cli.errors import Exit
from tests.dsp import signals
from tests.firmware.cli.console import Said, called

DIGITS = "1632"


def dialled(digits: str = DIGITS, lead_s: float = 0.5) -> NDArray[np.int16]:
    """Digits, half a second after the beginning, 105 ms each."""
    return signals.with_noise(np.concatenate([signals.silence(lead_s), spandsp.dtmf_tx(digits)]), -60)


def wav(path: Path, sound: NDArray[Any], rate: int = 8000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, sound, rate, subtype=subtype, format="WAV" if path.suffix == ".wav" else "FLAC")
    return path


def analysed(*words: str | Path, code: int = 0) -> list[dict[str, Any]]:
    said = called("--json", "analyse", *map(str, words))
    assert said.code == code, said
    return [json.loads(line) for line in said.out.splitlines()]


def plain(*words: str | Path, code: int = 0) -> Said:
    said = called("analyse", *map(str, words))
    assert said.code == code, said
    return said


def digits_of(records: list[dict[str, Any]], file: Path, channel: int = 0) -> str:
    own = [r for r in records if r["file"] == str(file) and r["channel"] == channel]
    return "".join(r["value"] for r in own if r["kind"] == "dtmf")


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extensible", [False, True])
def test_g711_is_taken_byte_for_byte(tmp_path: Path, law: Law, channels: int, extensible: bool) -> None:
    """Also the bytes that no encoder makes, like µ-law's negative zero; an odd chunk before the sound is passed by."""
    sound = np.random.default_rng(1).integers(0, 256, (401, channels), np.uint8)
    tag = {"alaw": 6, "ulaw": 7}[law]
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, 8000, 8000 * channels, channels, 8)
    fmt += struct.pack("<HHIH14s", 22, 8, 0, tag, bytes(14)) if extensible else b"\0\0"
    chunks = [(b"fmt ", fmt), (b"odd ", b"abc"), (b"data", sound.tobytes())]
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    found = channels_of(path, "ulaw" if law == "alaw" else "alaw")
    assert [c.law for c in found] == [law] * channels
    assert [c.number for c in found] == ([0] if channels == 1 else [1, 2])
    assert all(np.array_equal(c.law_bytes, sound[:, i]) for i, c in enumerate(found))


def test_files_of_every_kind_in_one_batch(tmp_path: Path) -> None:
    """Both laws, PCM, float, stereo, another rate, of different lengths."""
    short, long = dialled(), np.concatenate([dialled("99#"), signals.silence(4), dialled("0")])
    other = np.zeros_like(short)
    stereo = np.stack([other, short], 1).repeat(2, axis=0).astype(np.float32) / 32768
    files = [
        wav(tmp_path / "a.wav", short, subtype="ALAW"), wav(tmp_path / "u.wav", long, subtype="ULAW"),
        wav(tmp_path / "pcm.wav", long), wav(tmp_path / "float.wav", stereo, 16000, "FLOAT"),
        wav(tmp_path / "rate.flac", short, 8000),
    ]  # fmt: skip
    records = analysed(*files)
    expected = {(f, 0): DIGITS for f in files} | {(files[1], 0): "99#0", (files[2], 0): "99#0", (files[3], 2): DIGITS}
    expected[files[3], 1] = ""
    del expected[files[3], 0]
    assert {key: digits_of(records, *key) for key in expected} == expected
    heads = [r for r in records if r["kind"] == "file"]
    assert [h["law"] for h in heads] == ["alaw", "ulaw", "alaw", "alaw", "alaw", "alaw"]
    assert [h["channel"] for h in heads] == [0, 0, 0, 1, 2, 0]
    # One file alone says the same as in company.
    assert analysed(files[0]) == [r for r in records if r["file"] == str(files[0])]


def test_events_have_their_place_and_end_with_the_file(tmp_path: Path) -> None:
    dial_tone = signals.with_noise(np.tile(tone(450, -10), 3), -60)
    path = wav(tmp_path / "dial.wav", dial_tone, subtype="ALAW")
    (dial,) = [r for r in analysed(path, "--zone", "cn") if r["kind"] == "progress"]
    assert dial["value"] == "dial" and dial["start_s"] < 0.1 and dial["end_s"] == 3.0
    assert not [r for r in analysed(path, "--zone", "us") if r["kind"] == "progress"]
    digits = [r for r in analysed(wav(tmp_path / "d.wav", dialled())) if r["kind"] == "dtmf"]
    assert [round(d["start_s"] - 0.5 - 0.105 * i, 2) for i, d in enumerate(digits)] == [0.0] * 4
    assert all(0.04 < d["end_s"] - d["start_s"] < 0.06 for d in digits)


def test_a_data_call(tmp_path: Path) -> None:
    """Ring-back, then two modems: class and carrier, and no speech, which the modems were taken for at first."""
    ringing = signals.progress(ZONES["cn"].tone("ringback"), 6)
    call = signals.with_noise(np.concatenate([ringing, signals.mixed(*spandsp.v22bis_call(8))]), -58)
    records = analysed(wav(tmp_path / "call.wav", call, subtype="ULAW"))
    assert records[0]["class"] == "modem" and records[0]["law"] == "ulaw"
    told = {r["kind"]: r["value"] for r in records[1:]}
    assert told == {"class": "modem", "progress": "ringback", "carrier": "v22bis"}
    assert all(r["end_s"] > r["start_s"] for r in records[1:])


def test_a_table_for_a_pipe(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in plain(wav(tmp_path / "d.wav", dialled())).out.splitlines()]
    assert rows[0] == ["file", "channel", "start", "end", "kind", "value", "sure", "evidence"]
    assert rows[1][4] == "file" and rows[1][5].startswith("0:01, A-law, -") and "digits 1632" in rows[1][5]
    assert [row[5] for row in rows if row[4] == "dtmf"] == list(DIGITS)
    assert all(len(row) == 8 for row in rows)


def test_what_cannot_be_read_is_named_and_the_rest_analysed(tmp_path: Path) -> None:
    good = wav(tmp_path / "d.wav", dialled())
    (tmp_path / "text.wav").write_text("not sound at all")
    empty = wav(tmp_path / "empty.wav", np.zeros(0, np.int16))
    said = plain(tmp_path / "none.wav", good, tmp_path / "text.wav", empty, code=Exit.NO)
    assert "digits 1632" in said.out
    for name in ("none.wav: there is no such file", "text.wav: cannot be read as sound", "empty.wav: holds no samples"):
        assert name in said.err
    assert plain(tmp_path / "none.wav", code=Exit.NOT_FOUND).out == ""
    said = called("--json", "analyse", str(tmp_path / "text.wav"))
    assert said.code == Exit.DATA and said.out == "" and json.loads(said.err)["error"]["remedy"]


def test_an_error_says_what_is_wrong_with_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "text.wav").write_text("not sound at all")
    whole = wav(tmp_path / "whole.wav", dialled(), subtype="ALAW").read_bytes()
    (tmp_path / "head.wav").write_bytes(whole[:30])
    said = plain(tmp_path, *(tmp_path / f"{name}.wav" for name in ("nothing", "text", "head")), code=Exit.NOT_FOUND)
    told = said.err.splitlines()[::2]
    assert told[0] == f"linekeep: {tmp_path}: is a folder."
    assert told[1] == f"linekeep: {tmp_path}/nothing.wav: is empty."
    assert told[2].startswith(f"linekeep: {tmp_path}/text.wav: cannot be read as sound (Format")
    assert told[3].startswith(f"linekeep: {tmp_path}/head.wav: cannot be read as sound (")
    # Each file is named once, and no sentence ends twice.
    assert all(line.count(str(tmp_path)) == 1 and ".)" not in line for line in told)


@pytest.mark.parametrize("subtype", ["ALAW", "PCM_16"])
def test_a_file_that_was_cut_off_is_heard_as_far_as_it_goes_and_says_so(tmp_path: Path, subtype: str) -> None:
    whole = wav(tmp_path / "whole.wav", dialled(), subtype=subtype)
    cut, piped = tmp_path / "cut.wav", tmp_path / "piped.wav"
    head, sound = whole.read_bytes().split(b"data", 1)
    cut.write_bytes(whole.read_bytes()[: len(head) + len(sound) * 4 // 5])
    # As from a program that wrote into a pipe and did not know the length.
    piped.write_bytes(head + b"data" + struct.pack("<I", 0xFFFF_FFFF) + sound[4:])
    heads = {Path(r["file"]).stem: r for r in analysed(whole, cut, piped) if r["kind"] == "file"}
    assert {name: head["cut_off"] for name, head in heads.items()} == {"whole": False, "cut": True, "piped": False}
    assert heads["cut"]["digits"] == DIGITS[:2] and heads["piped"]["digits"] == DIGITS
    assert ", cut off" in plain(cut).out and "cut off" not in plain(whole, piped).out


# The picture ---------------------------------------------------------------------------------------------------------


def test_a_picture_shows_what_was_heard(tmp_path: Path) -> None:
    """The bars of the digits stand where they were sent, in the ink of their lane."""
    target = tmp_path / "x.png"
    said = plain(wav(tmp_path / "d.wav", dialled()), "--plot", target)
    assert f"drawn into {target}" in said.err
    with Image.open(target) as image:
        pixels = np.asarray(image)
    assert pixels.shape[1] == picture.WIDTH
    ink = (pixels == picture.LANE_INK["dtmf"]).all(2)[:, picture.LEFT : picture.RIGHT]
    row = ink[ink.sum(1).argmax()]
    begins = np.flatnonzero(np.diff(row.astype(np.int8)) == 1)
    length_s = dialled().size / 8000
    assert np.allclose(begins / picture.COLUMNS * length_s, 0.5 + 0.105 * np.arange(4), atol=0.012)


def test_the_spectrogram_has_the_tone_at_its_height_and_level() -> None:
    """1 kHz at -5 dBm0 and above is the loudest colour, a quarter up; silence the quietest."""
    x = levels.expansion("alaw")[g711.encode(tone(1000, 0), "alaw")]
    pixels = np.asarray(picture.spectrogram(x)).astype(int)
    assert pixels.shape == (picture.SPECTRUM, picture.COLUMNS, 3)
    middle = pixels[:, picture.COLUMNS // 2].sum(1)
    assert abs(middle.argmax() / (picture.SPECTRUM - 1) - 0.75) < 0.01
    assert np.allclose(pixels[middle.argmax(), picture.COLUMNS // 2], picture.STOPS[-1], atol=12)
    assert np.allclose(pixels[5, picture.COLUMNS // 2], picture.STOPS[0], atol=2)


def test_a_louder_tone_is_lighter() -> None:
    lightest = []
    for level in (-60, -50, -40, -30, -20, -10):
        x = levels.expansion("alaw")[g711.encode(tone(1000, level), "alaw")]
        lightest.append(int(np.asarray(picture.spectrogram(x)).astype(int).sum(2).max()))
    assert sorted(set(lightest)) == lightest


def tone(hz: float, level_dbm0: float) -> NDArray[np.int16]:
    wave = levels.amplitude(level_dbm0) * np.sin(2 * np.pi * hz / 8000 * np.arange(8000))
    return signals.clip(wave)


@pytest.mark.parametrize("samples", [1, 160, 700])
def test_the_shortest_files_can_be_drawn(tmp_path: Path, samples: int) -> None:
    plain(wav(tmp_path / "短.wav", tone(1000, -10)[:samples]), "--plot", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size[0] == picture.WIDTH


def test_a_picture_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    path = wav(tmp_path / "d.wav", dialled())
    (tmp_path / "x.png").write_text("mine")
    assert "exists already" in plain(path, "--plot", tmp_path / "x.png", code=Exit.REFUSED).err
    assert (tmp_path / "x.png").read_text() == "mine"
    assert "PNG" in plain(path, "--plot", tmp_path / "x.jpg", code=Exit.USAGE).err
    assert "no such folder" in plain(path, "--plot", tmp_path / "y" / "x.png", code=Exit.NOT_FOUND).err
    many = [path] * (picture.MOST_PANELS + 1)
    assert "do not fit one picture" in plain(*many, "--plot", tmp_path / "many.png", code=Exit.REFUSED).err
    assert not (tmp_path / "many.png").exists()
