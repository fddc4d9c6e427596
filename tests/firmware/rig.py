"""The whole path on a scripted card: real detectors, real files, a real ledger; blocks as fast as they are taken."""

import random
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from firmware.cards import BLOCK, Block, CardError, ChannelStatus, Law, LineEvent, LineEventKind
from firmware.clock import SampleClock
from firmware.config import CardConfig, Config, LineConfig, RecordingConfig, StorageConfig
from firmware.engine import Engine
from firmware.ledger_thread import LedgerThread
from recorder.ledger import Ledger
from recorder.model import RecordingEnd
from recorder.wav import OpenRecording, RecordingFile, load

RATE = 8000
ON, OFF, CUT = 48.0, 8.0, 0.2
START_UTC_NS = 1_780_000_000_000_000_000
T = TypeVar("T")


def quiet(samples: int, law: Law = "alaw") -> NDArray[np.uint8]:
    return np.full(samples, g711.IDLE[law], np.uint8)


def noise(samples: int, seed: int, level: float = 900.0, law: Law = "alaw") -> NDArray[np.uint8]:
    """Bytes that hardly repeat, so that a shift by one sample shows."""
    linear = np.random.default_rng(seed).normal(0, level, samples)
    return g711.encode(np.clip(linear, -32000, 32000).astype(np.int16), law)


def tones(seconds: float, *hertz: float, level: float = 4000.0, law: Law = "alaw") -> NDArray[np.uint8]:
    t = np.arange(round(seconds * RATE)) / RATE
    linear = np.sum([level * np.sin(2 * np.pi * f * t) for f in hertz], axis=0)
    return g711.encode(linear.astype(np.int16), law)


KEYS = {key: (low, high) for low, row in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
        for high, key in zip((1209, 1336, 1477, 1633), row, strict=True)}  # fmt: skip


def digits(text: str, law: Law = "alaw") -> NDArray[np.uint8]:
    """80 ms tone, 80 ms pause each."""
    parts = [part for key in text for part in (tones(0.08, *KEYS[key], law=law), quiet(640, law))]
    return np.concatenate(parts)


@dataclass
class ScriptedCard:
    """Delivers what was laid on its lines, block by block, as fast as it is asked."""

    seconds: float
    lines: tuple[int, ...] = (1,)
    law: Law = "alaw"
    paced: bool = False
    name: str = "script0"
    kind: str = "simulated"
    simulated: bool = True
    first_sample: int = 0
    fails_at: frozenset[int] = frozenset()
    """Blocks at which reading fails once."""
    refuses: int = 0
    """So many attempts to start it fail."""
    before: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    """What is done before a block is delivered."""

    def __post_init__(self) -> None:
        self.blocks = round(self.seconds * RATE) // BLOCK
        self.audio = np.full((len(self.lines), self.blocks * BLOCK), g711.IDLE[self.law], np.uint8)
        self.volts = np.full((self.blocks, len(self.lines)), ON, np.float32)
        self.status = np.zeros((self.blocks, len(self.lines)), np.uint8)
        self.events: dict[int, list[LineEvent]] = {}
        self.skipped: dict[int, int] = {}
        self.next = 0
        self.starts = self.closes = 0

    @property
    def samples(self) -> int:
        return self.blocks * BLOCK

    def lay(self, at: int, audio: NDArray[np.uint8], channel: int = 0) -> int:
        """Puts audio on a line; returns where it ends."""
        self.audio[channel, at : at + audio.size] = audio
        return at + audio.size

    def lift(self, since: int, until: int, channel: int = 0, volts: float = OFF) -> None:
        """Off-hook from sample to sample: a block whose end lies in between shows it."""
        ends = (np.arange(self.blocks) + 1) * BLOCK
        self.volts[(ends > since) & (ends <= until), channel] = volts

    def tell(self, sample: int, kind: LineEventKind, value: int = 0, channel: int = 0) -> None:
        event = LineEvent(sample + self.first_sample, channel, kind, value)
        self.events.setdefault(sample // BLOCK, []).append(event)

    def start(self) -> None:
        self.starts += 1
        if self.starts <= self.refuses:
            raise CardError(f"{self.name}: it cannot be taken, as the script says. Nothing to be done.")

    def close(self) -> None:
        self.closes += 1

    def read(self) -> Block:
        block = self.next
        if block in self.fails_at and self.closes == 0:
            raise CardError(f"{self.name}: reading failed, as the script says. Nothing to be done.")
        if block in self.before:
            self.before[block]()
        self.next += 1
        at = block * BLOCK
        jumped = sum(samples for where, samples in self.skipped.items() if where <= block)
        law = self.audio[:, at : at + BLOCK].copy()
        law[self.status[block] != ChannelStatus.OK] = 0x2A
        return Block(
            self.first_sample + at + jumped, law, self.status[block], self.volts[block],
            tuple(self.events.get(block, ())),
        )  # fmt: skip


class Alarms:
    """Remembers what was raised and cleared."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.values: dict[tuple[str, str], dict[str, Any]] = {}

    def raise_(self, code: str, object: str, **values: Any) -> None:
        self.said.append(("raised", code, object))
        self.values[code, object] = values

    def clear(self, code: str, object: str) -> None:
        self.said.append(("cleared", code, object))

    def __contains__(self, said: tuple[str, str, str]) -> bool:
        return said in self.said


class NotedLedger:
    """The ledger's thread, and a note of what was entered through it."""

    def __init__(self, thread: LedgerThread) -> None:
        self._thread, self.turns = thread, thread.turns
        self.ends: list[RecordingEnd] = []

    def submit(self, act: Callable[[Ledger], T], /, *, change: str = "") -> "Future[T]":
        return self._thread.submit(act, change=change)

    def seal(self, recording: OpenRecording, end: RecordingEnd, /) -> "Future[Any]":
        self.ends.append(end)
        return self._thread.seal(recording, end)


@dataclass
class Result:
    data: Path
    files: list[RecordingFile]
    """Sealed, in the order of their first samples."""
    published: list[dict[str, Any]]
    alarms: Alarms
    engine: Engine
    unrecorded: list[tuple[int, int, int, str]]
    """Line, from and to in samples, reason."""
    ends: list[RecordingEnd]

    def audio(self, number: int = 0) -> bytes:
        file = self.files[number]
        return file.path.read_bytes()[file.audio_offset : file.audio_offset + file.samples]


class Rig:
    """One box around scripted cards. `run` takes them to their end."""

    def __init__(
        self, data: Path, card: ScriptedCard, recording: RecordingConfig | None = None, enabled: bool = True,
        slack_s: float = 10.0, minimum_free_mb: int = 0,
    ) -> None:  # fmt: skip
        data.mkdir(exist_ok=True)
        self.data, self.card, self.alarms = data, card, Alarms()
        self.published: list[dict[str, Any]] = []
        self.clock = SampleClock(START_UTC_NS, "test")
        ledger = Ledger.open(data, self.clock, random.Random(7))
        self.unrecorded = _noted(ledger)
        self.thread = LedgerThread(ledger, self.published.append)
        self.thread.start(self.alarms)
        self.ledger = NotedLedger(self.thread)
        lines = tuple(
            LineConfig(number=n, name=f"line {n}", enabled=enabled, recording=recording or RecordingConfig())
            for n in card.lines
        )
        config = Config(
            storage=StorageConfig(minimum_free_mb=minimum_free_mb), lines=lines,
            cards=(CardConfig(name=card.name, lines=len(card.lines), law=card.law, paced=card.paced),),
        )  # fmt: skip
        self.engine = Engine(
            config, [card], self.ledger, {card.name: self.clock}, "test", random.Random(5), self.published.append,
            self.alarms, data, slack_s=slack_s, until=card.first_sample + card.samples,
        )  # fmt: skip

    def run(self) -> Result:
        """From the start to the end."""
        self.engine.start()
        return self.run_on()

    def run_on(self) -> Result:
        """A started one to its end."""
        try:
            assert self.engine.wait(120)
        finally:
            self.engine.stop()
            self.thread.close()
        return self.result()

    def result(self) -> Result:
        loaded = sorted(
            (load(path) for path in self.data.glob("recordings/**/*.wav")),
            # Two that begin alike: the one that the other continues was given up, and is the shorter.
            key=lambda file: (file.start.first_sample, file.start.line, file.samples),
        )
        return Result(self.data, loaded, self.published, self.alarms, self.engine, self.unrecorded, self.ledger.ends)


def _noted(ledger: Ledger) -> list[tuple[int, int, int, str]]:
    """Notes what is entered as unrecorded, in samples, and lets it pass."""
    noted: list[tuple[int, int, int, str]] = []
    enter = ledger.unrecorded

    def unrecorded(line: int, from_utc_ns: int, to_utc_ns: int, reason: str) -> Any:
        since, until = ((utc_ns - START_UTC_NS) * RATE // 10**9 for utc_ns in (from_utc_ns, to_utc_ns))
        noted.append((line, since, until, reason))
        return enter(line, from_utc_ns, to_utc_ns, reason)

    ledger.unrecorded = unrecorded  # type: ignore[method-assign]
    return noted


def run(data: Path, card: ScriptedCard, recording: RecordingConfig | None = None, **more: Any) -> Result:
    return Rig(data, card, recording, **more).run()
