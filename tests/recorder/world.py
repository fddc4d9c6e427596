"""A data folder with a clock that is set by hand, and recordings made in a moment."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.ledger import Ledger
from recorder.model import Recording, StopReason
from recorder.wav import OpenRecording
from tests.recorder import values


@dataclass
class HandClock:
    utc_ns: int = values.NOON

    def moment(self) -> "HandClock":
        return self

    def on(self, seconds: float) -> None:
        self.utc_ns += round(seconds * values.NS)


@contextmanager
def ledger_of(data: Path, clock: HandClock | None = None, **change: Any) -> Iterator[Ledger]:
    ledger = Ledger.open(data, clock or HandClock(), random.Random(1), **change)
    try:
        yield ledger
    finally:
        ledger.close()


def record(
    ledger: Ledger, seed: int, *, samples: int = 800, discard: StopReason | None = None, **known: Any
) -> Recording:
    """A whole recording, from its start to its row; `known` goes to start and end by name."""
    ends = {"dialled", "caller", "direction", "call_class", "stop_reason", "name"}
    start = values.start(seed, **{key: value for key, value in known.items() if key not in ends})
    ledger.started(start)
    recording = OpenRecording.create(ledger.data, start)
    recording.append(values.audio(seed, samples))
    end = values.end(discard=discard, **{key: value for key, value in known.items() if key in ends})
    return ledger.sealed(recording.seal(end), discard)


def open_recording(ledger: Ledger, seed: int, **known: Any) -> OpenRecording:
    start = values.start(seed, **known)
    ledger.started(start)
    recording = OpenRecording.create(ledger.data, start)
    recording.append(values.audio(seed, 800))
    recording.flush()
    recording.sync()
    return recording
