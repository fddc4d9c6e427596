"""A data folder with a handful of recordings, made by the recorder itself; each test gets a copy of its own."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware.clock import SystemClock
from recorder.ledger import Ledger
from recorder.model import CallClass, Direction, RecordingEnd, RecordingStart, StopReason
from recorder.wav import OpenRecording
from tests.firmware.cli.console import Console
from tests.recorder.values import NOON, NS, audio, digit, end, start

MINUTE = 60 * NS
MODEM_HEARD = StopReason.DATA_CALL
FIRST = "ab12cd" + "0" * 26
"""Shares its first six digits with `SECOND`."""
SECOND = "ab12cd" + "f" * 26
FAX = "fa" * 16
DATA = "da" * 16
ULAW = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Shelf:
    """What is in the folder: the audio of each recording by handle."""

    data: Path
    audio: dict[str, bytes]

    @property
    def console(self) -> Console:
        return Console(self.data)

    def file(self, handle: str) -> Path:
        (path,) = self.data.glob(f"recordings/**/*-{handle[:8]}.wav")
        return path


def keep(ledger: Ledger, data: Path, begin: RecordingStart, finish: RecordingEnd, sound: bytes) -> None:
    """One recording from start to catalogue: a gap in the middle, two digits."""
    recording = OpenRecording.create(data, begin)
    ledger.started(begin)
    recording.append(sound[:4000])
    recording.mark(digit(1, "5", 800))
    recording.mark(digit(2, "#", 1600))
    recording.append(sound[4000:])
    recording.flush()
    recording.sync()
    ledger.sealed(recording.seal(finish), finish.discard)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    data = tmp_path_factory.mktemp("box") / "data"
    data.mkdir()
    (data / "linekeep.toml").write_text('[box]\nzone = "Asia/Shanghai"\n')
    sounds = {handle: audio(n, 16_001 + 800 * n) for n, handle in enumerate((FIRST, SECOND, FAX, DATA, ULAW))}
    incoming = end(direction=Direction.IN, dialled=None, caller="13800138000", name='=HYPERLINK("x")')
    plans = [
        (start(handle=FIRST, line=3), incoming),
        (start(handle=SECOND, line=1, line_name="Front", utc_ns=NOON + MINUTE), end()),
        (start(handle=FAX, line=2, utc_ns=NOON + 2 * MINUTE), end(dialled="5551234", call_class=CallClass.FAX)),
        (
            start(handle=DATA, line=2, utc_ns=NOON + 3 * MINUTE),
            end(dialled="163", call_class=CallClass.MODEM, stop_reason=MODEM_HEARD, discard=MODEM_HEARD),
        ),
        (start(handle=ULAW, line=4, law="ulaw", utc_ns=NOON + 4 * MINUTE), end(dialled="7005039")),
    ]  # fmt: skip
    ledger = Ledger.open(data, SystemClock(), random.Random(1))
    for begin, finish in plans:
        keep(ledger, data, begin, finish, sounds[begin.handle])
    ledger.note(FIRST, "asked about the 调度 order", "user:li")
    ledger.tags(FIRST, ("urgent",), "user:li")
    ledger.close()
    return Shelf(data, sounds)


@pytest.fixture
def shelf(original: Shelf, tmp_path: Path) -> Shelf:
    shutil.copytree(original.data, tmp_path / "data")
    return Shelf(tmp_path / "data", original.audio)
