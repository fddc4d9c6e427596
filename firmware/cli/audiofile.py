"""Sound files for `linekeep analyse`: every channel of a file as the bytes a line would have carried.

A G.711 WAV at 8000 samples a second (RIFF format tags 6 and 7, also as the subtype of an extensible one) is taken
byte for byte, with its own law. Everything else that libsndfile reads is resampled by soxr where it has another rate
and companded once. A WAV that was cut off is taken as far as it goes, and says so.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dsp import g711
from dsp.events import RATE
from dsp.g711 import Law
from firmware.cli.errors import Exit, Failure

LAWS: dict[int, Law] = {6: "alaw", 7: "ulaw"}
EXTENSIBLE = 0xFFFE
UNKNOWN_LENGTH = 0x7FFF_0000


@dataclass(frozen=True)
class Channel:
    """One channel of a file."""

    path: Path
    number: int
    """From 1; 0 where the file has one channel only."""
    law: Law
    law_bytes: NDArray[np.uint8]
    cut_off: bool = False
    """Its head announces more sound than there is."""

    @property
    def length_s(self) -> float:
        return self.law_bytes.size / RATE

    @property
    def name(self) -> str:
        return f"{self.path}, channel {self.number}" if self.number else str(self.path)


def channels_of(path: Path, law: Law) -> list[Channel]:
    """The channels of a file; `law` is for one that is not G.711. Raises Failure naming the file and the remedy."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise Failure(Exit.NOT_FOUND, f"{path}: {what}.", "Check the name; a folder is given as DIR/*.wav.")
    try:
        chunk = _sound_chunk(path)
        own_law, sound = _law_bytes(path, chunk) or (law, _companded(path, law))
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if sound.size == 0:
        raise Failure(Exit.DATA, f"{path}: holds no samples.", "Give a file with sound in it.")
    number = 0 if len(sound) == 1 else 1
    cut_off = chunk is not None and chunk.cut_off
    return [Channel(path, number + i, own_law, np.ascontiguousarray(one), cut_off) for i, one in enumerate(sound)]


def _unreadable(path: Path, error: Exception) -> Failure:
    if path.stat().st_size == 0:
        return Failure(Exit.DATA, f"{path}: is empty.", "Give a file with sound in it; fetch this one again.")
    why = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    remedy = "Give a WAV, FLAC, OGG or MP3 file you may read."
    return Failure(Exit.DATA, f"{path}: cannot be read as sound ({str(why).rstrip('.')}).", remedy)


def _companded(path: Path, law: Law) -> NDArray[np.uint8]:
    """`[channels, samples]`, one G.711 pass."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE and sound.size:
        sound = soxr.resample(sound, rate, RATE)
    # libsndfile divides 16-bit samples by 32768, so that this gives them back exactly.
    linear = np.clip(np.rint(np.nan_to_num(sound) * np.float32(32768)), -32768, 32767).astype(np.int16)
    return g711.encode(linear.T, law)


@dataclass(frozen=True)
class _SoundChunk:
    """Where the sound of a RIFF file stands."""

    law: Law | None
    """None where it is not G.711 at 8000 samples a second."""
    channels: int
    place: int
    announced: int
    """Bytes by its head."""
    there: int
    """Bytes up to the file's end."""

    @property
    def cut_off(self) -> bool:
        """Who writes into a pipe does not know the length and announces nearly all that 31 or 32 bits can say."""
        return self.there < self.announced < UNKNOWN_LENGTH


def _law_bytes(path: Path, chunk: _SoundChunk | None) -> tuple[Law, NDArray[np.uint8]] | None:
    """Law and bytes `[channels, samples]` of a G.711 WAV at 8000 samples a second; None for any other file."""
    if chunk is None or chunk.law is None:
        return None
    count = min(chunk.announced, chunk.there) // chunk.channels * chunk.channels
    content = np.fromfile(path, np.uint8, count, offset=chunk.place)
    return chunk.law, content.reshape(-1, chunk.channels).T


def _sound_chunk(path: Path) -> _SoundChunk | None:
    """None for a file that is not RIFF, or ends before its sound."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        law: Law | None = None
        channels = 0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                return _SoundChunk(law, channels, file.tell(), size, path.stat().st_size - file.tell())
            body = file.read(size + size % 2) if name == b"fmt " else b""
            if len(body) >= 16:
                tag, channels, rate = struct.unpack_from("<HHI", body)
                if tag == EXTENSIBLE and len(body) >= 26:
                    (tag,) = struct.unpack_from("<H", body, 24)
                law = LAWS.get(tag) if rate == RATE and channels else None
            elif name != b"fmt ":
                file.seek(size + size % 2, 1)
    return None
