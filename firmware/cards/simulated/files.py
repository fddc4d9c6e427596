"""Sound files for calls on request: any format that libsndfile reads, any rate, mono or stereo.

A G.711 WAV of the line's own law at 8000 samples a second is taken byte for byte. Everything else is mixed to mono,
resampled by soxr and companded once.
"""

import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dsp import g711
from firmware.cards import CardError, Law
from firmware.cards.simulated.plant import RATE

SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".snd", ".w64", ".caf"))
_FORMAT_TAGS = {6: "alaw", 7: "ulaw"}


def sound_files(folder: Path) -> list[Path]:
    """All sound files of `folder`, by name. Raises CardError if there is none or one cannot be read."""
    if not folder.is_dir():
        raise CardError(f"{folder} is not a folder that can be read. Remedy: give a folder of sound files")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise CardError(f"{folder} holds no sound file. Remedy: put files there ({', '.join(sorted(SUFFIXES))})")
    for path in paths:
        _length(path)
    return paths


def load_law(path: Path, law: Law) -> NDArray[np.uint8]:
    """The file companded: `[samples]`. Raises CardError naming the file and what is wrong with it."""
    _length(path)
    as_it_is = _g711_bytes(path, law)
    if as_it_is is not None:
        return as_it_is
    try:
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    mono = audio.mean(axis=1) if audio.shape[1] > 1 else audio[:, 0]
    return compand_audio(soxr.resample(mono, rate, RATE) if rate != RATE else mono, law)


def compand_audio(audio: NDArray[np.generic], law: Law) -> NDArray[np.uint8]:
    """int16 samples, or floats of which 1.0 is full scale, at 8000 a second: one G.711 pass."""
    if audio.ndim != 1 or audio.size == 0:
        raise CardError(f"Audio of shape {audio.shape} is not one channel of samples. Remedy: give a flat array")
    if audio.dtype == np.int16:
        return g711.encode(audio.astype(np.int16), law)
    if not np.issubdtype(audio.dtype, np.floating):
        raise CardError(f"Audio of type {audio.dtype} cannot be played. Remedy: give int16, or floats up to 1.0")
    # libsndfile divides 16-bit samples by 32768, so that this gives them back exactly.
    scaled = np.rint(np.nan_to_num(audio.astype(np.float64)) * 32768)
    return g711.encode(np.clip(scaled, -32768, 32767).astype(np.int16), law)


def _length(path: Path) -> int:
    try:
        frames = int(soundfile.info(path).frames)
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    if frames <= 0:
        raise CardError(f"{path} holds no samples. Remedy: give a sound file with audio in it")
    return frames


def _unreadable(path: Path, error: Exception) -> CardError:
    why = "it does not exist" if not path.exists() else str(error)
    return CardError(f"{path} cannot be played: {why}. Remedy: give a WAV, FLAC, OGG, MP3 ... file the box may read")


def _g711_bytes(path: Path, law: Law) -> NDArray[np.uint8] | None:
    """The `data` chunk of a mono G.711 WAV of this law at 8 kHz, else None."""
    content = path.read_bytes() if path.suffix.lower() == ".wav" else b""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    at, wanted = 12, False
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"fmt " and at + 16 <= len(content):
            tag, channels, rate = struct.unpack_from("<HHI", content, at + 8)
            wanted = _FORMAT_TAGS.get(tag) == law and channels == 1 and rate == RATE
        elif name == b"data":
            audio = np.frombuffer(content[at + 8 : at + 8 + size], np.uint8)
            return audio if wanted and audio.size else None
        at += 8 + size + size % 2
    return None
