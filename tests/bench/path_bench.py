"""What a channel costs on the whole path: detectors, line machines, ring, writer, disk, journal and catalogue.

Functions that return figures; nothing is printed here. Every channel talks (recorded speech, each at another place)
and is recorded for the whole run. `LEFT_OUT` says what is not in the figures and belongs beside them.
"""

import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.alarms import AlarmSink
from firmware.cards import BLOCK, Block, Law
from firmware.clock import Clock, SampleClock, SystemClock
from firmware.config import CardConfig, Config, LineConfig, StorageConfig
from firmware.engine import Engine
from firmware.ledger_thread import LedgerThread
from recorder.ledger import Ledger
from tests.material import stretch

RATE = 8000
LOOP_S = 8
FEW = 200
"""With more channels than this, calls do not all begin in the same tick,"""
STARTS_OVER_S = 2.0
"""but within this time."""
LEFT_OUT = (
    "left out: the audio is rendered beforehand and handed over without a copy (a real card's driver call is not in "
    "it), no browser watches, sealing at the end of the calls. Above 200 channels the calls begin within two seconds"
)


class ReplayCard:
    """Hands out rendered speech: as fast as it is asked, or in real time."""

    def __init__(self, channels: int, paced: bool, law: Law = "alaw") -> None:
        self.name, self.kind, self.simulated, self.law, self.paced = "bench0", "simulated", True, law, paced
        self.lines = tuple(range(1, channels + 1))
        pool = stretch(1, 100, law)
        starts = np.random.default_rng(1).integers(0, pool.size - LOOP_S * RATE, channels)
        self._audio: NDArray[np.uint8] = np.stack([pool[at : at + LOOP_S * RATE] for at in starts])
        self._status = np.zeros(channels, np.uint8)
        lifted = np.random.default_rng(2).integers(0, round(STARTS_OVER_S * RATE), channels)
        self._lifted = np.where(channels > FEW, lifted, 0)
        self._first = 0
        self._began_ns = 0

    def start(self) -> None:
        self._began_ns = time.monotonic_ns()

    def close(self) -> None:
        """There is nothing to give back."""

    def read(self) -> Block:
        if self.paced:
            due_ns = self._began_ns + (self._first + BLOCK) * 125_000
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        at = self._first % (LOOP_S * RATE)
        volts = np.where(self._lifted <= self._first, np.float32(8.0), np.float32(48.0))
        block = Block(self._first, self._audio[:, at : at + BLOCK], self._status, volts)
        self._first += BLOCK
        return block


class _Alarms:
    """Counts what goes wrong: a benchmark that loses frames must say so."""

    def __init__(self) -> None:
        self.raised: list[str] = []

    def raise_(self, code: str, object: str, **values: Any) -> None:
        self.raised.append(code)

    def clear(self, code: str, object: str) -> None:
        pass


def path(folder: Path, channels: int, seconds: float, paced: bool = False) -> dict[str, Any]:
    """The path with `channels` talking and recorded for `seconds` of sound, on the disk that `folder` lies on.

    `cpu_s` is the processor time of all threads of the process from the first block to the last, the writing of it
    included; `channels_per_core` the channels that much time would carry in real time on one core; `core_percent` the
    share of a core that these channels take. Paced runs take real time, and show what ticks are like then.
    """
    _allow_files(2 * channels + 100)
    folder.mkdir(parents=True, exist_ok=True)
    alarms, run_s = _Alarms(), seconds
    clock: Clock = SystemClock() if paced else SampleClock(time.time_ns(), "bench")
    ledger = LedgerThread(Ledger.open(folder, clock, random.Random(1)), _ignore)
    ledger.start(alarms)
    card = ReplayCard(channels, paced)
    until = round(run_s * RATE) // BLOCK * BLOCK
    engine = _engine(folder, card, ledger, clock, alarms, until)
    before, began = time.process_time(), time.perf_counter()
    engine.start()
    assert engine.wait(3600)
    cpu_s, wall_s = time.process_time() - before, time.perf_counter() - began
    engine.stop()
    ledger.close()
    health, ticks = engine.health(), engine.pumps[0].tick_ms()
    assert health.failure is None, health.failure
    assert health.gaps.samples == 0, f"{health.gaps.samples} samples were lost: the figures say nothing"
    p50, p99, p999 = np.percentile(ticks, (50, 99, 99.9)).tolist()
    return {
        "channels": channels, "sound_s": run_s, "cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3),
        "channels_per_core": round(channels * run_s / cpu_s), "core_percent": round(100 * cpu_s / run_s, 2),
        "tick_ms": {"p50": round(p50, 3), "p99": round(p99, 3), "p99.9": round(p999, 3), "max": round(ticks[-1], 3)},
        "late_ticks": health.cards[0].late_ticks, "written_bytes": health.writer.written_bytes,
        "sync_ms": {"p50": health.writer.sync_ms.p50, "max": health.writer.sync_ms.max}, "alarms": alarms.raised,
        "paced": paced, "left_out": LEFT_OUT,
    }  # fmt: skip


def all_figures(folder: Path, tiny: bool = False) -> dict[str, dict[str, Any]]:
    """96 and 2,000 channels in real time (share of a core) and as fast as they go (channels a core carries)."""
    if tiny:
        return {"8 channels": path(folder / "8", 8, 3)}
    return {
        "96 channels, real time": path(folder / "96p", 96, 60, paced=True),
        "96 channels": path(folder / "96", 96, 60),
        "2000 channels, real time": path(folder / "2000p", 2000, 20, paced=True),
        "2000 channels": path(folder / "2000", 2000, 20),
    }


def _engine(folder: Path, card: ReplayCard, ledger: LedgerThread, clock: Clock, alarm: AlarmSink, until: int) -> Engine:
    config = Config(
        storage=StorageConfig(minimum_free_mb=64),
        cards=(CardConfig(name=card.name, lines=len(card.lines), paced=card.paced),),
        lines=tuple(LineConfig(number=number) for number in card.lines),
    )
    publish: Callable[[dict[str, Any]], None] = _ignore
    return Engine(
        config, [card], ledger, {card.name: clock}, "bench", random.Random(2), publish, alarm, folder, until=until
    )


def _ignore(event: dict[str, Any]) -> None:
    """Nobody watches."""


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
