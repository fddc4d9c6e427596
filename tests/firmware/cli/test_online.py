"""The command against the real daemon: one box with simulated lines for the whole module, in real time."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dsp import g711
from firmware.cli import sim
from firmware.cli.errors import Exit
from tests.box import Box
from tests.firmware.cli.conftest import FIRST, Shelf
from tests.firmware.cli.console import COMMAND, ROOT, Console, surroundings
from tests.material import write_wav

CONFIGURATION = """
[box]
name = "Test box"
zone = "Asia/Shanghai"

[[card]]
lines = 6
scenario = "none"

[[line]]
number = 6
trigger = "key"
"""
SOUND = np.frombuffer(random.Random(7).randbytes(12_000), np.uint8)
NOBODY = "f" * 32


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("online") / "data", CONFIGURATION) as box:
        yield box
        box.stop()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("sound") / "noise.wav", SOUND)


@pytest.fixture
def console(box: Box) -> Console:
    return Console(box.data)


@pytest.fixture(scope="module")
def recorded(box: Box, sound: Path) -> dict[str, Any]:
    """The recording of one call."""
    words = ("sim", "call", "--line", "3", "--callee", "62345678", "--audio", str(sound), "--wait")
    done: dict[str, Any] = Console(box.data).json(*words)
    assert done["plan"]["line"] == done["recording"]["line"] == 3
    recording: dict[str, Any] = done["recording"]
    return recording


@contextmanager
def running(box: Box, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """The command as a process that goes on until it is interrupted, and says so."""
    with subprocess.Popen(
        [*COMMAND, "--data", str(box.data), *words], cwd="/", env=surroundings(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (Exit.INTERRUPTED, "")


# What happens now ----------------------------------------------------------------------------------------------------


def test_status(console: Console, box: Box) -> None:
    document = console.json("status")
    assert (document["box"], document["simulated"], document["lines"]["total"]) == ("Test box", True, 6)
    assert document["pid"] == box.daemon.process.pid
    shown = dict(console.rows("status"))
    assert shown["box"] == "Test box (simulated)"
    assert shown["daemon"].startswith(f"version {document['version']}, pid {document['pid']}")
    assert shown["lines"].startswith("6, recording ") and "Asia/Shanghai +08:00" in shown["clock"]
    assert "6 lines, alaw" in shown["card sim0"]


def test_status_does_not_wait_for_what_it_does_not_need(box: Box) -> None:
    """What takes longest to import is not imported: `linekeep status` answers at once."""
    program = (
        "import sys; from firmware.cli.__main__ import main; code = main(sys.argv[1:]); "
        "sys.exit(code or sum(name in sys.modules for name in ('numpy', 'rich', 'lmdb', 'soundfile')))"
    )
    words = [sys.executable, "-c", program, "--data", str(box.data), "status"]
    subprocess.run(words, cwd=ROOT, env=surroundings(), stdout=subprocess.DEVNULL, check=True, timeout=60)


def test_lines(console: Console) -> None:
    document = console.json("lines")
    assert [line["line"] for line in document["lines"]] == [1, 2, 3, 4, 5, 6]
    assert all(line["simulated"] for line in document["lines"])
    table = console.rows("lines")
    assert table[0][:3] == ["line", "name", "state"]
    assert [row[0] for row in table[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert {row[-1] for row in table[1:]} == {"sim0 (simulated)"}


def test_a_line_by_key(console: Console) -> None:
    begun = console.json("key", "5", "on")
    assert begun["handle"] and begun["on"]
    assert console.json("lines")["lines"][4]["recording"] == begun["handle"]
    assert console.rows("key", "5", "off") == [[begun["handle"], "stopped"]]
    assert console.json("key", "5", "off", code=Exit.NO)["handle"] is None


def test_lines_as_they_change(box: Box, console: Console) -> None:
    with running(box, "lines", "--watch", "--json") as watching:
        assert watching.stdout is not None
        first = [json.loads(watching.stdout.readline()) for _ in range(6)]
        assert [line["line"] for line in first] == [1, 2, 3, 4, 5, 6]
        console.run("sim", "cut", "6")
        while (line := json.loads(watching.stdout.readline()))["line"] != 6 or line["state"] != "cut":
            assert line["line"] in range(1, 7)
        console.run("sim", "cut", "6", "--mend")
    with running(box, "lines", "--watch") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("line\tname\tstate")
        assert watching.stdout.readline().startswith("1\t")


def test_listen_into_a_file(console: Console, tmp_path: Path) -> None:
    target = tmp_path / "live.wav"
    answer = console.json("listen", "2", "--for", "0.5s", "--to", str(target))
    assert (answer["line"], answer["seconds"], answer["to"]) == (2, 0.5, str(target))
    assert soundfile.info(target).frames == 4000 and soundfile.info(target).subtype == "ALAW"


def test_listen_raw_until_interrupted(box: Box) -> None:
    words = [*COMMAND, "--data", str(box.data), "listen", "2", "--to", "-"]
    with subprocess.Popen(words, cwd="/", env=surroundings(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(1600)) == 1600
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED


def test_what_is_not_there(console: Console, sound: Path) -> None:
    for words in (
        "listen 99 --to -", "sim cut 99", f"sim call --line 99 --callee 1 --audio {sound}",
        f"sim call --line 99 --callee 1 --audio {sound} --wait", "sim call --line 1 --callee 1 --audio /nowhere.wav",
        "sim replay /nowhere", "alarms ack nonsense",
    ):  # fmt: skip
        error = console.error(*words.split(), code=Exit.NOT_FOUND)
        assert error["remedy"] or "." in error["message"], words


# A call --------------------------------------------------------------------------------------------------------------


def test_a_call_is_recorded_found_and_played(console: Console, recorded: dict[str, Any], tmp_path: Path) -> None:
    found = console.json("search", "--since", "1h", "--number", "*3456*", "--line", "3")["recordings"]
    assert [row["handle"] for row in found] == [recorded["handle"]]
    document = console.json("show", recorded["handle"][:12])
    assert document["end"]["dialled"] == "62345678"
    assert [mark["value"] for mark in document["marks"] if mark["kind"] == "dtmf"] == list("62345678")
    console.run("play", recorded["handle"], "--to", str(tmp_path / "x.wav"))
    samples, _ = soundfile.read(tmp_path / "x.wav", dtype="int16")
    assert len(samples) == recorded["samples"]
    assert g711.encode(samples, "alaw").tobytes().find(g711.encode(g711.decode(SOUND, "alaw"), "alaw").tobytes()) > 0


def test_a_call_that_nobody_records_is_not_waited_for(
    console: Console, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim, "SEALED_WITHIN_S", 0.5)
    words = ("sim", "call", "--line", "6", "--callee", "12", "--audio", str(sound), "--answer-after", "0", "--wait")
    assert "Line 6: the call is over and no recording" in console.error(*words, code=Exit.NO)["message"]


def test_who_heard_it_stands_in_the_journal(console: Console, recorded: dict[str, Any], tmp_path: Path) -> None:
    before = len(console.json("show", recorded["handle"])["operations"])
    console.run("play", recorded["handle"], "--to", str(tmp_path / "x.wav"))
    console.run("export", recorded["handle"], "--to", str(tmp_path / "out"))
    operations = console.json("show", recorded["handle"])["operations"]
    assert len(operations) == before + 2
    assert [entry["act"] for entry in operations[:2]] == ["export", "listen"]
    assert all(entry["actor"].startswith("console") for entry in operations[:2])
    assert not (console.data / "web" / "spool").exists()


def test_trash_and_back(console: Console, recorded: dict[str, Any]) -> None:
    handle = recorded["handle"]
    assert console.json("trash", handle[:10], "--reason", "a test call") == {"done": [handle], "failed": []}
    assert [row["handle"] for row in console.json("search", "--trash")["recordings"]] == [handle]
    assert console.json("show", handle)["recording"]["trash"]["reason"] == "a test call"
    again = console.json("trash", handle, "--reason", "twice", code=Exit.NO)
    assert again["done"] == [] and [one["handle"] for one in again["failed"]] == [handle]
    assert console.rows("undelete", handle) == [[handle, "brought back"]]
    assert console.json("search", "--trash")["recordings"] == []
    assert handle in console.run("undelete", handle, code=Exit.NO).err


def test_verify_while_it_runs(console: Console, recorded: dict[str, Any]) -> None:
    assert console.json("verify", recorded["handle"])["findings"] == {"whole": 1}
    assert console.json("verify")["bad"] == []


def test_rebuild_is_refused_while_it_runs(console: Console, box: Box) -> None:
    error = console.error("rebuild", code=Exit.REFUSED)
    assert str(box.daemon.process.pid) in error["message"]


# Simulation and alarms -----------------------------------------------------------------------------------------------


def test_a_cut_line_raises_an_alarm_that_is_acknowledged(console: Console, box: Box) -> None:
    with box.client() as client, closing(client.stream("watch", what=["lines", "alarms"])) as reports:
        next(reports)
        assert console.json("sim", "cut", "5") == {"line": 5, "cut": True}
        alarm = next(report["alarm"] for report in reports if report["event"] == "alarm")
        assert (alarm["code"], alarm["object"]) == ("line_cut", "line 5")
        table = console.rows("alarms")
        (row,) = [row for row in table[1:] if row[5] == "line 5"]
        assert row[:3] == [alarm["id"], "major", "open"]
        assert console.json("alarms", "ack", alarm["id"]) == {"acknowledged": alarm["id"]}
        (shown,) = [one for one in console.json("alarms")["alarms"] if one["id"] == alarm["id"]]
        assert shown["acknowledged_by"] and shown["resolved_utc_ns"] is None
        assert "Line 5 is mended." in console.run("sim", "cut", "5", "--mend").out
        while (report := next(reports))["event"] != "alarm" or report["alarm"]["resolved_utc_ns"] is None:
            assert report["event"] in ("lines", "alarm")


def test_scenario_and_replay(console: Console, tmp_path: Path, sound: Path) -> None:
    assert console.json("sim", "scenario", "on") == {"scenario": True}
    assert "The scenario is off." in console.run("sim", "scenario", "off").out
    (tmp_path / "day").mkdir()
    for number in range(3):
        (tmp_path / "day" / f"{number}.wav").write_bytes(sound.read_bytes())
    assert console.json("sim", "replay", str(tmp_path / "day"), "--over", "8h") == {"calls": 3}
    assert console.error("sim", "replay", str(sound), code=Exit.USAGE)["code"] == "usage"


# People --------------------------------------------------------------------------------------------------------------


def test_user_reset_makes_a_new_code(console: Console, box: Box) -> None:
    code = console.json("user", "reset", "--yes")["code"]
    assert box.call("setup.check", code=code)["valid"] is True
    plain = console.run("user", "reset", "--yes")
    assert box.call("setup.check", code=code)["valid"] is False
    assert box.call("setup.check", code=plain.out.strip())["valid"] is True
    assert console.json("user", "list")["setup_open"] is True


def test_user_reset_asks_first(console: Console) -> None:
    words = [*COMMAND, "--data", str(console.data), "user", "reset"]
    done = subprocess.run(
        words, cwd="/", env=surroundings(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (Exit.USAGE, b"")


# With the daemon down, and then up -----------------------------------------------------------------------------------


def test_what_was_heard_without_a_daemon_is_entered_when_it_starts(shelf: Shelf, tmp_path: Path) -> None:
    shelf.console.run("play", FIRST, "--to", str(tmp_path / "x.wav"))
    (spooled,) = (shelf.data / "web" / "spool").iterdir()
    with Box(shelf.data, CONFIGURATION) as box:
        newest = shelf.console.json("show", FIRST)["operations"][0]
        box.stop()
    assert (newest["act"], newest["detail"]["to"]) == ("listen", "file")
    assert newest["detail"]["spool"] in spooled.name and not spooled.exists()
