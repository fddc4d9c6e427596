"""Words typed, exit codes given, with no daemon and mostly no data: every failure says what, where and the remedy."""

import errno
import json
import os
import signal
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from firmware.cli import parser
from firmware.cli.box import Box, data_folder
from firmware.cli.errors import Exit, Failure
from tests.box import wait_for
from tests.firmware.cli.console import COMMAND, ROOT, Console, process, surroundings

EVERY_COMMAND = [
    "status", "lines", "listen 1", "search", "show aaaaaa", "play aaaaaa", "export aaaaaa --to x",
    "trash aaaaaa --reason x", "undelete aaaaaa", "verify", "rebuild", "user list", "user reset", "alarms",
    "alarms ack 1", "config check", "sim call --line 1 --caller 1 --audio x", "sim replay x", "sim scenario on",
    "sim cut 1",
    "key 1 on", "card scan", "card monitor --line 1 --every 0.5 --for 5s --card e1", "doctor",
]  # fmt: skip


@pytest.mark.parametrize("words", EVERY_COMMAND)
def test_every_command_has_its_function_and_takes_json_and_data_anywhere(words: str) -> None:
    for line in (f"--json --data /x {words}", f"{words} --json --data /x"):
        arguments = parser.build().parse_args(line.split())
        module, function = arguments.run.split(":")
        assert callable(getattr(import_module(f"firmware.cli.{module}"), function))
        assert (arguments.json, arguments.data) == (True, "/x")


@pytest.mark.parametrize(
    "words",
    [
        "", "nonsense", "listen", "listen 0", "listen x", "search --direction up", "search --limit 0", "search --min x",
        "trash aaaaaa", "export aaaaaa", "sim call --line 1 --audio x", "sim scenario maybe", "status extra",
        "sim call --line 1 --caller 1 --callee 2 --audio x", "verify aaaaaa --all", "user", "sim",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.build().parse_args(words.split())
    assert caught.value.code == Exit.USAGE
    assert "usage: linekeep" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "lines",
        "lines --watch",
        "card monitor",
        "listen 1 --to -",
        "alarms",
        "alarms ack 1",
        "sim scenario on",
        "sim cut 1",
        "key 1 on",
    ],
)
def test_without_a_daemon(tmp_path: Path, words: str) -> None:
    error = Console(tmp_path).error(*words.split(), code=Exit.NO_DAEMON)
    assert error["code"] == "no_daemon"
    assert str(tmp_path / "control.sock") in error["message"]


@pytest.mark.parametrize(
    "words", ["search", "show aaaaaa", "play aaaaaa --to -", "export aaaaaa --to x", "verify", "rebuild", "user list"]
)
def test_without_a_data_folder(tmp_path: Path, words: str) -> None:
    missing = tmp_path / "missing"
    error = Console(missing).error(*words.split(), code=Exit.NOT_FOUND)
    assert str(missing) in error["message"] and "--data" in error["remedy"]
    assert not missing.exists()


def test_the_data_folder_is_named_or_in_the_environment_or_the_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEKEEP_DATA", "/srv/a")
    assert data_folder("/srv/b") == Path("/srv/b")
    assert data_folder(None) == Path("/srv/a")
    monkeypatch.delenv("LINEKEEP_DATA")
    assert data_folder(None) == ROOT / "var"


def test_it_is_a_process_like_others(tmp_path: Path) -> None:
    said = process("--data", str(tmp_path), "status")
    assert (said.code, said.out) == (Exit.NO_DAEMON, "")
    assert said.err.startswith("linekeep: The daemon does not answer on ")
    assert process("nonsense").code == Exit.USAGE


def test_help_names_every_exit_code(tmp_path: Path) -> None:
    shown = Console(tmp_path).run("--help").out
    page = (ROOT / "docs" / "command.md").read_text()
    for code in Exit:
        assert f"  {int(code)} " in shown
        assert f"| {int(code)} |" in page


def test_the_output_may_go_away(tmp_path: Path) -> None:
    """The reader has closed its end before the command writes."""
    (tmp_path / "linekeep.toml").write_text("")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "--data", str(tmp_path), "config", "check"], cwd="/", env=surroundings(), stdout=writing,
            stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.PIPE, b"")


def writing_end(fifo: Path) -> int | None:
    """Opens it as soon as somebody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    """The command waits for a writer of its input file when it is interrupted."""
    fifo = tmp_path / "linekeep.toml"
    os.mkfifo(fifo)
    command = subprocess.Popen(
        [*COMMAND, "--data", str(tmp_path), "config", "check", str(fifo)], cwd="/", env=surroundings(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with command:
        writer = wait_for("the command to open its input", lambda: writing_end(fifo))
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
        os.close(writer)
    assert (command.returncode, out, err) == (Exit.INTERRUPTED, b"", b"")


# Configuration -------------------------------------------------------------------------------------------------------


def test_config_check(tmp_path: Path) -> None:
    console = Console(tmp_path)
    assert console.error("config", "check", code=Exit.NOT_FOUND)["code"] == "not_found"
    (tmp_path / "linekeep.toml").write_text("[[card]]\nlines = 3\n\n[[line]]\nnumber = 2\nenabled = false\n")
    assert console.json("config", "check") == {
        "file": str(tmp_path / "linekeep.toml"), "ok": True, "cards": 1, "lines": 3, "enabled": 2,
    }  # fmt: skip
    assert "good; 1 cards, 3 lines, 2 enabled" in console.run("config", "check").out


def test_config_check_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('[box]\nname = "x"\ncolour = "red"\n')
    console = Console(tmp_path)
    verdict = console.json("config", "check", str(file), code=Exit.NO)
    assert verdict["ok"] is False and "line 3" in verdict["error"] and "colour" in verdict["error"]
    assert verdict["error"] in console.run("config", "check", str(file), code=Exit.NO).err


# The spool -----------------------------------------------------------------------------------------------------------


def test_an_access_without_a_daemon_is_kept_for_it(tmp_path: Path) -> None:
    Box(tmp_path).operation("listen", "ab" * 16, {"from_s": 0.0})
    (kept,) = (tmp_path / "web" / "spool").iterdir()
    access = json.loads(kept.read_bytes())
    assert kept.name == f"{access['utc_ns']:020d}-{access['id']}.json"
    assert (access["act"], access["handle"], access["detail"]) == ("listen", "ab" * 16, {"from_s": 0.0})
    assert access["actor"]["kind"] == "console" and access["actor"]["name"]


def test_on_a_box_the_daemon_may_remove_what_the_command_of_root_has_kept(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\numask\n")
    python.chmod(0o755)
    command = ROOT / "image/root/usr/bin/linekeep"
    words = ["sh", "-c", f"umask 022; PATH={tmp_path}:$PATH exec {command} search"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert int(told, 8) == 0o007, "its group may write there"


def test_an_access_that_the_journal_would_not_take_stops_the_act_at_once(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"at most 16384 do\. Nothing was done"):
        Box(tmp_path).operation("search", None, {"text": "泵" * 6000})
    assert not (tmp_path / "web").exists()


def test_an_access_that_cannot_be_kept_stops_the_act(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("a file where a folder should be")
    with pytest.raises(Failure, match="nothing is heard or exported") as caught:
        Box(tmp_path).operation("listen", None, {})
    assert caught.value.exit_code is Exit.DATA
