"""Which recordings are looked at for copies of one call, and what becomes of it: on files with sound that a PBX could
have made, in a real ledger."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.clock import SystemClock
from firmware.config import LineKind
from firmware.copies import Copies
from firmware.ledger_thread import LedgerThread
from recorder.ledger import Ledger
from recorder.model import Recording
from recorder.wav import OpenRecording
from tests.box import wait_for
from tests.firmware.test_ledger_thread import Sink
from tests.recorder import copies as taps
from tests.recorder import values
from tests.recorder.world import ledger_of

KINDS: dict[int, LineKind] = {1: "trunk", 2: "trunk", 5: "extension", 6: "extension", 7: "handset", 8: "direct"}
Sound = NDArray[np.uint8]


def opened(data: Path, line: int, sound: Sound, at_s: float = 0.0) -> OpenRecording:
    seed = line * 1000 + round(at_s)
    start = values.start(seed, line=line, utc_ns=values.NOON + round(at_s * values.NS))
    recording = OpenRecording.create(data, start)
    recording.append(sound)
    recording.flush()
    recording.sync()
    return recording


def record(ledger: Ledger, line: int, sound: Sound, at_s: float = 0.0) -> Recording:
    return ledger.sealed(opened(ledger.data, line, sound, at_s).seal(values.end()))


def looked(ledger: Ledger, row: Recording) -> list[tuple[int, int]]:
    """(line of the copy, line of the principal) of what is found; it is entered."""
    pairs = []
    for found in Copies(KINDS).of(ledger, row, lambda: None):
        if found is not None:
            found.enter(ledger)
            pairs.append((found.copy.line, found.principal.line))
    return pairs


class Call:
    """One conversation of a minute, as several taps hear it."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._sides = taps.talk(self._rng, 60.0)

    def on(
        self, level_dbm0: float, favour_db: float, from_s: float = 0.0, to_s: float = 60.0, late_s: float = 0.0
    ) -> Sound:
        sound = taps.tap(self._rng, *self._sides, level_dbm0, favour_db, 25.0)
        return np.roll(sound, round(late_s * 8000))[round(from_s * 8000) : round(to_s * 8000)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with ledger_of(tmp_path) as ledger:
        yield ledger


def test_the_extension_s_recording_is_a_copy_of_the_trunk_s(ledger: Ledger) -> None:
    call, other = Call(1), Call(2)
    record(ledger, 8, call.on(-20, 0))
    record(ledger, 2, other.on(-20, 0))
    record(ledger, 6, Call(3).on(-20, 0))
    trunk = record(ledger, 1, call.on(-26, -4, 0, 50))
    assert looked(ledger, trunk) == []
    extension = record(ledger, 5, call.on(-15, 5, 8, 52, late_s=0.3), at_s=8.0)
    assert looked(ledger, extension) == [(5, 1)]
    assert looked(ledger, extension) == [], "it has its principal"
    detail = ledger.catalogue.operations(extension.handle)[0].detail
    assert detail["principal"] == trunk.handle
    assert detail["likeness"] > 0.7
    assert detail["lag_ms"] == pytest.approx(300, abs=21)


def test_a_call_that_goes_from_one_extension_to_another_has_two_copies(ledger: Ledger) -> None:
    call = Call(4)
    first = record(ledger, 5, call.on(-15, 5, 2, 25), at_s=2.0)
    second = record(ledger, 6, call.on(-18, 5, 24, 60), at_s=24.0)
    assert looked(ledger, first) == looked(ledger, second) == []
    trunk = record(ledger, 1, call.on(-22, -4))
    assert sorted(looked(ledger, trunk)) == [(5, 1), (6, 1)]
    assert len(ledger.catalogue.get(trunk.handle).copies) == 2
    assert ledger.catalogue.counts().total == 1


def test_a_handset_s_cord_is_behind_the_pbx_and_is_not_compared_with_an_extension(ledger: Ledger) -> None:
    call = Call(5)
    record(ledger, 5, call.on(-18, 3))
    handset = record(ledger, 7, call.on(-18, 6))
    assert looked(ledger, handset) == []
    record(ledger, 1, call.on(-25, -3))
    assert looked(ledger, handset) == [(7, 1)]


def test_what_people_have_parted_stays_so_and_what_is_in_the_trash_is_let_alone(ledger: Ledger) -> None:
    call = Call(6)
    trunk, extension = record(ledger, 1, call.on(-25, -3)), record(ledger, 5, call.on(-18, 6))
    assert looked(ledger, trunk) == [(5, 1)]
    ledger.unlink(extension.handle, "user:li")
    assert looked(ledger, trunk) == looked(ledger, extension) == []
    again = record(ledger, 6, call.on(-18, 6))
    ledger.trash([again.handle], "wrong", "user:li")
    assert looked(ledger, trunk) == looked(ledger, again) == []


def test_a_file_that_is_gone_does_not_keep_the_others_from_being_found(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    call = Call(7)
    gone = record(ledger, 6, call.on(-18, 6))
    record(ledger, 5, call.on(-18, 6))
    (ledger.data / gone.path).unlink()
    assert looked(ledger, record(ledger, 1, call.on(-25, -3))) == [(5, 1)]
    assert str(gone.path) in caplog.text


def test_one_that_ended_long_before_or_is_too_short_is_not_compared(ledger: Ledger) -> None:
    call = Call(8)
    record(ledger, 5, call.on(-18, 6, 0, 20))
    record(ledger, 6, call.on(-18, 6, 40, 47), at_s=40.0)
    assert looked(ledger, record(ledger, 1, call.on(-25, -3, 20, 60), at_s=20.0)) == []


class Running:
    """The ledger's thread on a folder."""

    def __init__(self, data: Path) -> None:
        self.ledger = Ledger.open(data, SystemClock(), random.Random(1))
        self.told: list[dict[str, Any]] = []
        self.thread = LedgerThread(self.ledger, self.told.append, Copies(KINDS))
        self.thread.start(Sink())

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.close()

    def linked(self) -> list[Recording]:
        def ask() -> list[Recording] | None:
            rows = [one["recording"] for one in self.told if one["change"] == "linked"]
            return rows if len(rows) == 2 else None

        return wait_for("a link", ask, 20.0)


def test_the_thread_links_what_it_seals_and_says_so(tmp_path: Path) -> None:
    call, end = Call(9), values.end()
    with Running(tmp_path) as running:
        running.thread.seal(opened(tmp_path, 1, call.on(-25, -3)), end)
        running.thread.seal(opened(tmp_path, 5, call.on(-18, 6)), end)
        copy, principal = running.linked()
    assert (copy.line, principal.line) == (5, 1)
    assert copy.copy_of is not None
    assert copy.copy_of.handle == principal.handle


def test_what_recovery_closes_is_looked_at_too(tmp_path: Path) -> None:
    call = Call(10)
    for line, favour_db in ((1, -3), (5, 6)):
        opened(tmp_path, line, call.on(-20, favour_db)).close()
    with Running(tmp_path) as running:
        copy, principal = running.linked()
    assert (copy.line, principal.line) == (5, 1)
    assert copy.recovered
    assert principal.recovered
