"""What the detectors hear on every channel of some sound files.

Each is a channel of one batch of `dsp.Detectors` (a batch for each law, at most BATCH channels at a time). Shorter
ones go on as an idle line, and all of them for TAIL_S, so that what is late is still said; what began after a file's
end is left out, and only the last word on each event is kept; one that ends where it began was withdrawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsp import Detectors, Event
from dsp.events import RATE
from dsp.g711 import IDLE
from dsp.levels import FLOOR_DBM0
from dsp.measure import measure
from firmware.cli.audiofile import Channel
from firmware.cli.output import Progress
from firmware.cli.times import clock_text

if TYPE_CHECKING:
    from dsp.detectors import Zone

BATCH = 64
TAIL_S = 2
MEASURED_S = 600
"""Of a longer file the levels are those of its beginning."""
LAW_NAMES = {"alaw": "A-law", "ulaw": "µ-law"}


@dataclass(frozen=True)
class Heard:
    """One channel, and what was heard on it, by time."""

    channel: Channel
    events: list[Event]
    level_dbm0: float
    noise_floor_dbm0: float | None

    @property
    def call_class(self) -> Event | None:
        return next((event for event in reversed(self.events) if event.kind == "class"), None)

    @property
    def digits(self) -> str:
        return "".join(event.value for event in self.events if event.kind == "dtmf")

    @property
    def callers(self) -> list[str]:
        return [event.value for event in self.events if event.kind == "cid" and event.value]


def summary(result: Heard) -> str:
    """`0:41, A-law, -17.3 dBm0 (noise -62.0), fax (98%), digits 5039`."""
    channel, told = result.channel, result.call_class
    noise = "" if result.noise_floor_dbm0 is None else f" (noise {result.noise_floor_dbm0:.1f})"
    parts = [
        clock_text(channel.length_s),
        LAW_NAMES[channel.law],
        f"{result.level_dbm0:.1f} dBm0{noise}",
        "no class" if told is None else f"{told.value} ({told.confidence:.0%})",
    ]
    if result.callers:
        parts.append(f"caller {', '.join(result.callers)}")
    if result.digits:
        parts.append(f"digits {result.digits}")
    if channel.cut_off:
        parts.append("cut off")
    return ", ".join(parts)


def end_sample(event: Event, channel: Channel) -> int:
    """Where it ends, at the file's end at the latest."""
    size = channel.law_bytes.size
    return size if event.end_sample is None else min(event.end_sample, size)


def heard(channels: Sequence[Channel], zone: "Zone") -> list[Heard]:
    """Every channel analysed, in the order given."""
    results: dict[int, Heard] = {}
    with Progress("analyse, seconds") as progress:
        batches = list(_batches(channels))
        total = sum(_steps(channels, batch) for batch in batches)
        done = 0
        for batch in batches:
            last: list[dict[int, Event]] = [{} for _ in batch]
            for second, events in enumerate(_events([channels[i] for i in batch], zone)):
                for event in events:
                    if second <= channels[batch[event.channel]].length_s + TAIL_S:
                        last[event.channel][event.id] = event
                progress.at(done + second, total)
            done += _steps(channels, batch)
            for i, events_of in zip(batch, last, strict=True):
                results[i] = _result(channels[i], list(events_of.values()))
    return [results[i] for i in range(len(channels))]


def _batches(channels: Sequence[Channel]) -> Iterator[list[int]]:
    """Indexes of channels of one law, the shortest first, so that few have to wait for a long one."""
    for law in LAW_NAMES:
        own = [i for i, channel in enumerate(channels) if channel.law == law]
        own.sort(key=lambda i: channels[i].law_bytes.size)
        for at in range(0, len(own), BATCH):
            yield own[at : at + BATCH]


def _steps(channels: Sequence[Channel], batch: Sequence[int]) -> int:
    return -(-max(channels[i].law_bytes.size for i in batch) // RATE) + TAIL_S + 1


def _events(batch: Sequence[Channel], zone: "Zone") -> Iterator[list[Event]]:
    """What was reported in each second of the batch, and at last by its end."""
    law = batch[0].law
    detectors = Detectors(len(batch), law, zone)
    for second in range(_steps(batch, range(len(batch))) - 1):
        block = np.full((len(batch), RATE), IDLE[law], np.uint8)
        for row, channel in zip(block, batch, strict=True):
            part = channel.law_bytes[second * RATE : (second + 1) * RATE]
            row[: part.size] = part
        yield detectors.feed(block)
    yield detectors.close()


def _result(channel: Channel, events: list[Event]) -> Heard:
    begun = [event for event in events if event.start_s < channel.length_s and event.end_s != event.start_s]
    measured = measure(channel.law_bytes[None, : MEASURED_S * RATE], channel.law)
    floor = float(measured.noise_floor_dbm0[0])
    return Heard(
        channel,
        sorted(begun, key=lambda event: (event.start_s, event.kind != "class", event.id)),
        max(float(measured.level_dbm0[0]), FLOOR_DBM0),
        None if np.isnan(floor) else floor,
    )
