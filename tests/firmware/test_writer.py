"""The writer when the disk or the box does not keep up: nothing is lost quietly."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.config import RecordingConfig
from firmware.writer import SYNC_EACH_FILES
from recorder import disk
from recorder.model import StopReason, Trigger
from tests.firmware.rig import RATE, Rig, ScriptedCard, noise, run
from tests.firmware.test_engine import call_card

S = RATE


class BadDisk:
    """Stands before the real calls and refuses some: all writes of audio between two moments of the script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        self.refusing = False
        self.refused = 0
        real = getattr(disk, call)

        def hook(*arguments: Any) -> Any:
            if self.refusing and threading.current_thread().name == "writer":
                self.refused += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments)

        monkeypatch.setattr(disk, call, hook)

    def on(self) -> None:
        self.refusing = True

    def off(self) -> None:
        self.refusing = False


def drained(rig: Rig) -> None:
    """Waits, in the card, until the writer has taken all that was published."""
    pump = rig.engine.pumps[0]
    deadline = time.monotonic() + 30
    while pump._feed.ring.head - pump._feed.drained >= S:
        assert time.monotonic() < deadline
        with rig.engine.writer._wake:
            rig.engine.writer._wake.wait(0.1)


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_refuses_for_a_while_costs_nothing_the_ring_still_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    bad = BadDisk(monkeypatch, call)
    card = call_card(40, 2 * S, 35 * S)
    rig = Rig(tmp_path, card)

    def refuse() -> None:
        drained(rig)
        bad.on()

    def relent() -> None:
        drained(rig)
        bad.off()

    card.before = {500: refuse, 600: relent}
    result = rig.run()
    assert bad.refused > 0 and ("raised", "write_failed", "disk") in result.alarms
    first, last = result.files[0], result.files[-1]
    assert first.end is not None and first.end.stop_reason is StopReason.RECOVERED
    assert last.start.trigger is Trigger.RESUMED and last.start.trigger_detail == {"after": "disk"}
    assert last.start.continues == result.files[-2].start.handle
    assert last.end is not None and last.end.stop_reason is StopReason.ON_HOOK
    reached = 2 * S
    for number, file in enumerate(result.files):
        at = file.start.first_sample
        assert at <= reached, "a hole between two files"
        assert result.audio(number) == card.audio[0, at : at + file.samples].tobytes()
        assert abs(file.start.utc_ns - first.start.utc_ns - (at - first.start.first_sample) * 125_000) <= 125_000
        reached = max(reached, at + file.samples)
    assert reached == 35 * S + 160 and result.unrecorded == []


def test_what_the_ring_cannot_hold_while_the_disk_refuses_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = BadDisk(monkeypatch, "pwrite")
    card = call_card(90, 2 * S, 85 * S)
    card.before = {500: bad.on, 2500: bad.off}
    result = run(tmp_path, card)
    covered = [(f.start.first_sample, f.start.first_sample + f.samples) for f in result.files]
    covered += [(since, until) for _, since, until, reason in result.unrecorded if reason == "disk"]
    reached = 2 * S
    for since, until in sorted(covered):
        assert since <= reached + 1, "a hole that nothing states"
        reached = max(reached, until)
    assert reached >= 85 * S and result.unrecorded


def test_below_the_floor_of_free_space_recording_stops_with_an_alarm_and_goes_on_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = os.statvfs, threading.Event()

    class Little:
        f_bavail, f_frsize = 100, 4096

    monkeypatch.setattr("firmware.writer.os.statvfs", lambda path: Little if full.is_set() else real(path))
    card = call_card(60, 2 * S, 55 * S)
    rig = Rig(tmp_path, card, minimum_free_mb=1)

    def at(act: Any) -> Any:
        def do() -> None:
            drained(rig)
            act()

        return do

    card.before = {500: at(full.set), 1500: at(full.clear)}
    result = rig.run()
    first, second = result.files
    assert first.end is not None and first.end.stop_reason is StopReason.DISK
    assert first.end.stop_detail["minimum_free_mb"] == 1
    assert second.start.continues == first.start.handle and second.start.trigger is Trigger.RESUMED
    assert ("raised", "disk_full", "disk") in result.alarms and ("cleared", "disk_full", "disk") in result.alarms
    (hole,) = result.unrecorded
    assert hole[0] == 1 and hole[3] == "disk"
    assert abs(hole[1] - first.start.first_sample - first.samples) <= 1
    assert abs(hole[2] - second.start.first_sample) <= 1
    assert second.start.first_sample + second.samples == 55 * S + 160


def test_a_writer_that_falls_behind_the_ring_leaves_a_marked_gap(tmp_path: Path) -> None:
    card = call_card(40, 2 * S, 35 * S)
    card.paced = True  # Nobody holds this card back; it delivers all the same.
    rig = Rig(tmp_path, card, slack_s=4.0)
    writer, free = rig.engine.writer, threading.Event()
    round_of = writer._round

    def slow() -> None:
        assert free.wait(30)
        round_of()

    writer._round = slow  # type: ignore[method-assign]

    def let_go() -> None:
        free.set()
        drained(rig)

    # Held up for 20 s of sound, which is more than the ring holds; then kept up with, each second.
    card.before = {1000: let_go, **{block: lambda: drained(rig) for block in range(1050, 2000, 50)}}
    result = rig.run()
    (file,) = result.files
    gap = file.gaps[0]
    assert gap.reason == "writer" and gap.start_sample == 0
    assert ("raised", "frames_lost", "line 1") in result.alarms
    assert ("raised", "writer_behind", "writer") in result.alarms
    kept = np.frombuffer(result.audio(), np.uint8)[gap.samples :]
    line = card.audio[0, 2 * S + gap.samples : 35 * S + 160]
    assert np.array_equal(kept, line)
    assert result.engine.health().gaps.samples == gap.samples


def test_above_64_files_one_barrier_serves_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = SYNC_EACH_FILES + 6
    card = ScriptedCard(6, lines=tuple(range(1, lines + 1)))
    for channel in range(lines):
        card.lay(0, noise(card.samples, channel), channel)
        card.lift(S, 5 * S, channel)
    rig = Rig(tmp_path, card, RecordingConfig())
    result = rig.run()
    assert len(result.files) == lines
    for number, file in enumerate(result.files):
        assert file.sealed and result.audio(number) == card.audio[file.start.channel, S : 5 * S + 160].tobytes()
