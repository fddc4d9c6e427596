"""A day of simulated traffic through the whole recorder, and the proof that nothing is missing: `make test-day`.

The office of the simulated card telephones for as many hours as are asked, as fast as the machine can. A witness stands
between the card and the box and keeps of every block of every line a checksum and whether the line was off-hook. In
the end the recordings are held against it: each block of a recording that no gap covers is the very one that came off
the line, and each block in which a line was off-hook lies in a recording, or in an interval that the journal states as
unrecorded, with its reason.
"""

import argparse
import random
import sys
import tempfile
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.cards import BLOCK, Block, Card
from firmware.cards.make import make_cards
from firmware.clock import SampleClock
from firmware.config import CardConfig, Config, LineConfig, RecordingConfig, StorageConfig
from firmware.engine import Engine
from firmware.ledger_thread import LedgerThread
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger
from recorder.wav import RecordingFile, load

RATE = 8000
RECORDING = RecordingConfig()
BLOCKS_A_SECOND = RATE // BLOCK
START_UTC_NS = 1_790_000_000_000_000_000
HOUR_S = 3600
UNSEEN_BLOCKS = 5
"""The hook is believed when it has been seen for 60 ms; a line that was lifted for less was not lifted."""


class Witness:
    """A card that keeps what it has delivered."""

    def __init__(self, card: Card, told: Callable[[float], None]) -> None:
        self._card, self._told = card, told
        self.name, self.kind, self.simulated, self.law = card.name, card.kind, card.simulated, card.law
        self.lines, self.paced = card.lines, card.paced
        self.checksums = array("I")
        """Of every block, channel after channel."""
        self.off_hook = bytearray()

    def start(self) -> None:
        self._card.start()

    def close(self) -> None:
        self._card.close()

    def read(self) -> Block:
        block = self._card.read()
        assert block.volts is not None
        self.checksums.extend(zlib.crc32(law) for law in block.law)
        self.off_hook += (block.volts < RECORDING.off_hook_volts).tobytes()
        if block.first_sample % (600 * RATE) == 0:
            self._told(block.first_sample / RATE / HOUR_S)
        return block

    def seen(self) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """`[channels, blocks]`: checksums, and whether the line was off-hook at the block's end."""
        shape = (-1, len(self.lines))
        checksums = np.frombuffer(self.checksums, np.uint32).reshape(shape)
        return checksums.T, np.frombuffer(self.off_hook, np.bool_).reshape(shape).T


@dataclass
class Day:
    """What was found. `wrong` is empty if all is well."""

    hours: float
    lines: int
    recordings: int = 0
    recorded_s: float = 0.0
    compared_blocks: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    """Samples of marked gaps, by reason."""
    unrecorded: Counter[str] = field(default_factory=Counter)
    """Intervals that the journal states, by reason."""
    off_hook_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    alarms: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        gaps = ", ".join(f"{samples / RATE:.1f} s {reason}" for reason, samples in self.gaps.items()) or "none"
        unrecorded = ", ".join(f"{n} {reason}" for reason, n in self.unrecorded.items()) or "none"
        return (
            f"{self.hours:g} h on {self.lines} lines: off-hook {self.off_hook_s / HOUR_S:.2f} h, "
            f"{self.recordings} recordings of {self.recorded_s / HOUR_S:.2f} h\n"
            f"compared with what came off the lines: {self.compared_blocks} blocks of 20 ms\n"
            f"marked gaps: {gaps}\nstated as unrecorded: {unrecorded}\n"
            f"alarms: {dict(self.alarms) or 'none'}\n"
            + ("nothing is missing that is not marked" if not self.wrong else "WRONG:\n" + "\n".join(self.wrong[:40]))
        )


@dataclass(frozen=True)
class Recorded:
    data: Path
    witness: Witness
    alarms: Counter[str]
    failure: str | None


class _Alarms:
    def __init__(self) -> None:
        self.raised: Counter[str] = Counter()

    def raise_(self, code: str, object: str, **values: Any) -> None:
        self.raised[code] += 1

    def clear(self, code: str, object: str) -> None:
        pass


def record(
    data: Path, hours: float, lines: int, seed: int, told: Callable[[float], None] = lambda hours: None
) -> "Recorded":
    """Records so many hours of so many lines into `data`, an empty folder. `told` is told how many hours are over."""
    config = Config(
        storage=StorageConfig(minimum_free_mb=64),
        cards=(CardConfig(lines=lines, seed=seed, paced=False),),
        lines=tuple(LineConfig(number=number) for number in range(1, lines + 1)),
    )
    (card,) = make_cards(config, data)
    witness, alarms = Witness(card, told), _Alarms()
    clock = SampleClock(START_UTC_NS, "day")
    ledger = LedgerThread(Ledger.open(data, clock, random.Random(seed)), lambda report: None)
    ledger.start(alarms)
    blocks = round(hours * HOUR_S * BLOCKS_A_SECOND)
    engine = Engine(
        config, [witness], ledger, {card.name: clock}, "day", random.Random(seed), lambda report: None, alarms, data,
        until=blocks * BLOCK,
    )  # fmt: skip
    engine.start()
    try:
        assert engine.wait(hours * HOUR_S)
    finally:
        engine.stop()
        ledger.close()
    return Recorded(data, witness, alarms.raised, engine.health().failure)


def compare(recorded: Recorded) -> Day:
    """Holds what was recorded against what came off the lines."""
    data, witness = recorded.data, recorded.witness
    checksums, off_hook = witness.seen()
    lines, blocks = off_hook.shape
    day = Day(blocks / BLOCKS_A_SECOND / HOUR_S, lines, alarms=recorded.alarms)
    day.off_hook_s = float(off_hook.sum()) / BLOCKS_A_SECOND
    if recorded.failure is not None:
        day.wrong.append(recorded.failure)
    accounted = np.zeros_like(off_hook)
    for path in sorted(data.glob("recordings/**/*.wav")):
        file = load(path)
        channel = witness.lines.index(file.start.line)
        day.recordings += 1
        day.recorded_s += file.samples / RATE
        _check(day, file, checksums[channel])
        accounted[channel, _blocks(file.start.first_sample, file.samples)] = 1
    with closing(Catalogue.open_readonly(data)) as catalogue:
        for interval in catalogue.unrecorded():
            day.unrecorded[interval.reason] += 1
            utc_ns = interval.from_utc_ns, interval.to_utc_ns
            since, until = ((at - START_UTC_NS) * BLOCKS_A_SECOND / 1e9 for at in utc_ns)
            accounted[witness.lines.index(interval.line), int(since) : int(np.ceil(until))] = 1
    day.wrong += _untold(witness.lines, off_hook & ~accounted)
    return day


def _untold(lines: Sequence[int], unaccounted: NDArray[np.bool_]) -> Iterator[str]:
    for channel, line in enumerate(lines):
        for since, until in _runs(unaccounted[channel]):
            if until - since >= UNSEEN_BLOCKS:
                at, length = since / BLOCKS_A_SECOND, (until - since) / BLOCKS_A_SECOND
                yield f"line {line}: off-hook for {length:.2f} s at {at:.2f} s, and nothing tells of it"


def _check(day: Day, file: RecordingFile, checksums: NDArray[np.uint32]) -> None:
    """Each whole block of the recording that no gap touches is the one that came off the line."""
    if not file.sealed:
        day.wrong.append(f"{file.path.name}: it is not sealed")
    audio = file.path.read_bytes()[file.audio_offset : file.audio_offset + file.samples]
    first = -file.start.first_sample % BLOCK
    places = range(first, file.samples - BLOCK + 1, BLOCK)
    ours = np.fromiter((zlib.crc32(audio[at : at + BLOCK]) for at in places), np.uint32, len(places))
    sure = np.ones(len(places), np.bool_)
    for gap in file.gaps:
        day.gaps[gap.reason] += gap.samples
        sure[_blocks(gap.start_sample - first, gap.samples)] = 0
    since = (file.start.first_sample + first) // BLOCK
    theirs = checksums[since : since + len(places)]
    differ = np.flatnonzero(sure & (ours != theirs))
    day.compared_blocks += int(sure.sum())
    if differ.size:
        day.wrong.append(
            f"{file.path.name}: {differ.size} blocks are not what came off the line, "
            f"the first at {places[int(differ[0])] / RATE:.2f} s, and no gap is marked there"
        )


def _blocks(first_sample: int, samples: int) -> slice:
    """The blocks that hold any of these samples."""
    return slice(max(0, first_sample // BLOCK), max(0, -(-(first_sample + samples) // BLOCK)))


def _runs(there: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], there.astype(np.int8), [0]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-day", description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--lines", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="linekeep-day-", dir=Path.cwd() / "build") as folder:
        recorded = record(
            Path(folder), arguments.hours, arguments.lines, arguments.seed,
            lambda hours: print(f"{time.monotonic() - began:8.0f} s  {hours:.2f} h are over", flush=True),
        )  # fmt: skip
        day = compare(recorded)
    print(day.text())
    return bool(day.wrong)


if __name__ == "__main__":
    sys.exit(main())
