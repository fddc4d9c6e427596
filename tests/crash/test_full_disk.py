"""A disk that fills while lines talk, or is full at the start: the box says so, keeps what it has, and goes on by
itself when there is room.

A real small file system (tmpfs), the real daemon. Twice: with the floor that is meant to be met first, and without
one to speak of, so that writes themselves are refused.
"""

import errno
import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.clock import SystemClock
from firmware.wire import Client
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger
from recorder.model import Query, Recording, State, StopReason, Trigger
from recorder.wav import load
from tests.box import Box, Process, wait_for
from tests.material import stretch, write_wav
from tests.recorder.test_faults import small_disk

LINES = 4
TALK_S = 120.0


def configuration(minimum_free_mb: int) -> str:
    return f'[storage]\nminimum_free_mb = {minimum_free_mb}\n[[card]]\nlines = {LINES}\nscenario = "none"\n'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "size=48m") as folder:
        yield folder


def fill(folder: Path, leave: int) -> Path:
    """Takes all room but `leave` bytes, while others write too."""
    path = folder / "ballast"
    stat = os.statvfs(folder)
    free = stat.f_bavail * stat.f_frsize
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while free > leave:
            free -= os.write(file, bytes(min(1 << 20, free - leave)))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(file)
    return path


def open_alarm(box: Box, code: str) -> bool:
    return any(a["code"] == code and a["resolved_utc_ns"] is None for a in box.call("alarm.list")["alarms"])


def recorded(box: Box) -> dict[int, float]:
    return {line["line"]: line["recorded_s"] for line in box.call("lines")["lines"] if line["recording"]}


def talking(box: Box) -> bool:
    now = recorded(box)
    return len(now) == LINES and min(now.values()) > 1.5


def rows(data: Path) -> list[Recording]:
    with closing(Catalogue.open_readonly(data)) as catalogue:
        return list(catalogue.search(Query(states=tuple(State), limit=500)).rows)


def audio_of(data: Path, row: Recording) -> tuple[int, np.ndarray[Any, np.dtype[np.uint8]]]:
    file = load(data / row.path)
    with (data / row.path).open("rb") as opened:
        opened.seek(file.audio_offset)
        return file.start.first_sample, np.frombuffer(opened.read(file.samples), np.uint8)


@pytest.mark.parametrize(("minimum_free_mb", "leave", "code"), [(8, 6 << 20, "disk_full"), (1, 0, "write_failed")])
def test_a_full_disk_is_said_and_what_was_recorded_stays(
    tmp_path: Path, disk: Path, minimum_free_mb: int, leave: int, code: str
) -> None:
    source = stretch(11, TALK_S)
    wave = write_wav(tmp_path / "talk.wav", source)
    data = disk / "data"
    with Box(data, configuration(minimum_free_mb)) as box:
        plans = {
            line: box.call("sim.call", line=line, callee=f"6555000{line}", audio=str(wave), law_exact=True)["plan"]
            for line in range(1, LINES + 1)
        }
        wait_for("four recordings", lambda: talking(box))
        ballast = fill(disk, leave)
        wait_for(f"the alarm {code} or the floor's", lambda: open_alarm(box, code) or open_alarm(box, "disk_full"))
        assert box.call("status")["health"] == "alarm"
        wait_for("every line stopped", lambda: not recorded(box))
        os.unlink(ballast)
        wait_for("recording again", lambda: talking(box))
        wait_for("the alarm resolved", lambda: not open_alarm(box, "disk_full"))
        box.stop()

    kept = rows(data)
    assert {row.state for row in kept} == {State.SEALED}
    for line, plan in plans.items():
        parts = sorted((row for row in kept if row.line == line), key=lambda row: row.start_utc_ns)
        assert len(parts) >= 2, "recording did not go on in a new file"
        assert parts[-1].trigger is Trigger.RESUMED
        assert parts[-1].stop_reason is StopReason.SHUTDOWN
        for row in parts:
            first, audio = audio_of(data, row)
            begin = plan["audio_first_sample"] - first
            if begin + len(source) <= 0 or begin >= len(audio):
                continue
            heard = audio[max(0, begin) : begin + len(source)]
            assert np.array_equal(heard, source[max(0, -begin) : max(0, -begin) + len(heard)])


def fill_block(data: Path) -> None:
    """Leaves so little of the journal's last block that no entry fits any more."""
    path = data / "journal" / "000001.journal"
    with closing(Ledger.open(data, SystemClock(), random.Random(1))) as ledger:
        before = path.stat().st_size
        ledger.operation("x", "console:test")
        entry = path.stat().st_size - before
        ledger.operation("x" * (-(path.stat().st_size + entry + 30) % 4096), "console:test")
    assert -path.stat().st_size % 4096 < 40


@pytest.mark.parametrize("begun", [True, False])
def test_a_disk_that_is_full_at_the_start_is_waited_for(disk: Path, begun: bool) -> None:
    """`begun`: the folder was in use before, and it is the journal that cannot go on; else not even the lock can."""
    data = disk / "data"
    if begun:
        with Box(data, configuration(1)) as box:
            box.stop()
        fill_block(data)
    else:
        data.mkdir()
        (data / "linekeep.toml").write_text(configuration(1))
    ballast = fill(disk, 0)
    daemon = Process("-m", "firmware", "--data", str(data))
    try:
        told = daemon.line("the daemon waits until the disk has room: ")
        assert "The disk is full: make room" in told and ("journal" if begun else "lock") in told
        os.unlink(ballast)
        daemon.line("ready: ")
        with Client.connect(data) as client:
            (alarm,) = [a for a in client.call("alarm.list")["alarms"] if a["code"] == "waited_for_room"]
            assert alarm["severity"] == "critical" and alarm["values"]["seconds"] >= 1
            assert client.call("key", line=1, on=True, actor={"kind": "user", "name": "li"})["handle"]
            wait_for("a recording", lambda: client.call("lines")["lines"][0]["recorded_s"] > 0.5)
    finally:
        code = daemon.stop()
    assert code == 0, "".join(daemon.output)
    assert [row.state for row in rows(data)] == [State.SEALED]


def test_systemd_holds_up_nothing_while_a_full_disk_is_waited_for(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = disk / "data"
    data.mkdir()
    (data / "linekeep.toml").write_text(configuration(1))
    fill(disk, 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        daemon = Process("-m", "firmware", "--data", str(data))
        try:
            said = [listener.recv(4096).decode().split("\n") for _ in range(2)]
        finally:
            daemon.stop()
    for ready, alive, status in said:
        assert [ready, alive] == ["READY=1", "WATCHDOG=1"]
        assert status.startswith("STATUS=Nothing is recorded: the disk is full.")
