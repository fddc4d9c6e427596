"""Where audio goes: a sound device, a WAV file, or raw to standard output.

The companded bytes of the line are handed on as they are: `aplay` (ALSA) and `paplay` (PulseAudio, PipeWire) both
take A-law and µ-law at 8000 a second, and so does a WAV file (RIFF, format tags 6 and 7).
"""

import contextlib
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

from firmware.cli.errors import Exit, Failure

RATE = 8000
_TAGS = {"alaw": 6, "ulaw": 7}
_IDLE = {"alaw": 0xD5, "ulaw": 0xFF}
_PLAYERS = {
    "aplay": {"alaw": "A_LAW", "ulaw": "MU_LAW"},
    "paplay": {"alaw": "alaw", "ulaw": "ulaw"},
}


class Sink(Protocol):
    def write(self, law_bytes: bytes) -> None: ...

    def close(self) -> None: ...


def silence(law: str, samples: int) -> bytes:
    """Companded bytes of an idle line."""
    return bytes([_IDLE[law]]) * samples


def player() -> str:
    """The name of the installed player."""
    for name in _PLAYERS:
        if shutil.which(name):
            return name
    raise Failure(
        Exit.NOT_FOUND,
        "No sound player: neither aplay nor paplay is installed.",
        "Use --to FILE.wav, or install alsa-utils or pulseaudio-utils.",
    )


def check(to: str | None) -> None:
    """Fails where `open_sink` could only fail, before anything is entered in the journal."""
    if to is None:
        player()
    elif to != "-" and Path(to).exists():
        raise _exists(Path(to))


def _exists(path: Path) -> Failure:
    return Failure(Exit.REFUSED, f"{path} exists already.", "Name another file, or remove this one.")


def open_sink(to: str | None, law: str) -> Sink:
    """The sound device for None, standard output (raw) for `-`, else a new WAV file."""
    if to is None:
        return Player(law)
    return Raw() if to == "-" else WavFile(Path(to), law)


class Raw:
    def write(self, law_bytes: bytes) -> None:
        sys.stdout.buffer.write(law_bytes)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        pass


class WavFile:
    """A G.711 WAV. Its sizes are written when it is closed; it never replaces a file."""

    def __init__(self, path: Path, law: str) -> None:
        self._law, self._samples = law, 0
        try:
            self._file: IO[bytes] = path.open("xb")
        except FileExistsError as error:
            raise _exists(path) from error
        self._file.write(wav_head(law, 0))

    def write(self, law_bytes: bytes) -> None:
        self._file.write(law_bytes)
        self._samples += len(law_bytes)

    def close(self) -> None:
        with self._file as file:
            if self._samples % 2:
                file.write(b"\0")
            file.seek(0)
            file.write(wav_head(self._law, self._samples))


def wav_head(law: str, samples: int) -> bytes:
    """RIFF header, `fmt `, `fact` and the head of `data` for companded mono audio."""
    padded = samples + samples % 2
    fmt = struct.pack("<4sIHHIIHHH", b"fmt ", 18, _TAGS[law], 1, RATE, RATE, 1, 8, 0)
    fact = struct.pack("<4sII", b"fact", 4, samples)
    data = struct.pack("<4sI", b"data", samples)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + len(fact) + len(data) + padded, b"WAVE") + fmt + fact + data


class Player:
    """A sound device through whichever player is installed. In a session of its own, so that Ctrl-C at the command
    lets it play out what it has and end in good order."""

    def __init__(self, law: str) -> None:
        self._name = player()
        form = _PLAYERS[self._name][law]
        command = (
            ["aplay", "-q", "-t", "raw", "-f", form, "-r", str(RATE), "-c", "1"]
            if self._name == "aplay"
            else ["paplay", "--raw", f"--format={form}", f"--rate={RATE}", "--channels=1"]
        )
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def write(self, law_bytes: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(law_bytes)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure() from error

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait() != 0 and sys.exc_info()[0] is None:
            raise self._failure()

    def _failure(self) -> Failure:
        code = self._process.wait()
        return Failure(Exit.NO, f"{self._name} ended with {code}; its own words stand above.", "Use --to FILE.wav.")
