"""A simulated card for tests, what it delivers in some seconds, and a time that only moves when somebody sleeps."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from firmware.cards import BLOCK, Block, Law, LineEvent, LineEventKind
from firmware.cards.simulated import SimulatedCard

RATE = 8000
CACHE = Path(__file__).resolve().parents[2] / "build" / "material"


def make_card(lines: int = 4, **options: Any) -> SimulatedCard:
    """Unpaced and without a scenario unless told otherwise; started."""
    options = {"paced": False, "scenario": False} | options
    card = SimulatedCard("sim0", tuple(range(1, lines + 1)), CACHE, **options)
    card.start()
    return card


@dataclass
class Heard:
    first_sample: int
    law: NDArray[np.uint8]
    """[channels, samples]"""
    volts: NDArray[np.float32]
    """[channels, blocks]"""
    events: list[LineEvent]
    status: NDArray[np.uint8]
    """[channels, blocks]"""

    def linear(self, channel: int, first: int, end: int, law: Law = "alaw") -> NDArray[np.int16]:
        """By sample index of the card."""
        return g711.decode(self.law[channel, first - self.first_sample : end - self.first_sample], law)

    def of(self, channel: int, *kinds: LineEventKind) -> list[tuple[int, LineEventKind, int]]:
        return [(e.sample, e.kind, e.value) for e in self.events if e.channel == channel and e.kind in kinds]

    def off_hook(self, channel: int) -> list[tuple[int, int]]:
        """Stretches of blocks with the phone lifted, in samples of the card."""
        lifted = np.concatenate([[0], (self.volts[channel] < 20).astype(int), [0]])
        edges = np.flatnonzero(np.diff(lifted)) * BLOCK + self.first_sample
        return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def listen(card: SimulatedCard, seconds: float) -> Heard:
    blocks: list[Block] = []
    for _ in range(round(seconds * RATE / BLOCK)):
        block = card.read()
        assert block.volts is not None
        assert not blocks or block.first_sample == blocks[-1].first_sample + BLOCK
        # The arrays are the card's until the next read.
        blocks.append(
            Block(block.first_sample, block.law.copy(), block.status.copy(), block.volts.copy(), block.events)
        )
    return Heard(
        blocks[0].first_sample,
        np.concatenate([block.law for block in blocks], axis=1),
        np.stack([block.volts for block in blocks if block.volts is not None], axis=1),
        [event for block in blocks for event in block.events],
        np.stack([block.status for block in blocks], axis=1),
    )


@dataclass
class Time:
    now_ns: int = 10**15
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * 1e9)


def tone(frequency_hz: float, seconds: float) -> NDArray[np.int16]:
    cycles = frequency_hz * np.arange(round(seconds * RATE)) / RATE
    wave: NDArray[np.int16] = (8000 * np.sin(2 * np.pi * cycles)).astype(np.int16)
    return wave


def paced_card(lines: int = 2, **options: Any) -> tuple[Time, SimulatedCard]:
    """A card in real time, of a time that stands until somebody sleeps."""
    time = Time()
    return time, make_card(lines, paced=True, now_ns=lambda: time.now_ns, sleep=time.sleep, **options)
