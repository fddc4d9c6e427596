"""`linekeep card accept` beside the real daemon: calls on simulated lines, a sheet, and the sheet checked."""

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from firmware.cli.errors import Exit
from firmware.cli.parser import line_numbers
from recorder import identity
from recorder.catalogue import Catalogue
from tests.box import Box, wait_for
from tests.firmware.cli.console import COMMAND, ROOT, Console, called, surroundings
from tests.material import stretch, write_wav

CONFIGURATION = """
[box]
language = "en"

[[card]]
lines = 8
scenario = "none"

[[line]]
number = 1
name = "Front <desk>"
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("accept") / "data", CONFIGURATION) as box:
        yield box
        box.stop()


@pytest.fixture
def console(box: Box) -> Console:
    return Console(box.data)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_wav(tmp_path_factory.mktemp("talk") / "talk.wav", stretch(1, 3.0)))


class Accepting:
    """The command as a process of its own: what it says is heard while it runs, and what a person types reaches it."""

    def __init__(self, box: Box, *words: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--data", str(box.data), "--json", "card", "accept", *words], cwd=ROOT, env=surroundings(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def wait_for(self, words: str) -> None:
        def heard() -> bool:
            assert self.process.poll() is None or any(words in line for line in self.said), "".join(self.said)
            return any(words in line for line in self.said)

        wait_for(words, heard)

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, code: int) -> dict[str, Any]:
        assert self.process.stdout is not None and self.process.stdin is not None
        document = self.process.stdout.read()
        assert self.process.wait(60) == code, "".join(self.said)
        self._reader.join(60)
        for stream in (self.process.stdout, self.process.stdin, self.process.stderr):
            assert stream is not None
            stream.close()
        assert "Traceback" not in "".join(self.said)
        answer: dict[str, Any] = json.loads(document)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def outcomes(document: dict[str, Any], line: int) -> dict[str, str]:
    (tested,) = [one for one in document["sheet"]["lines"] if one["line"] == line]
    return {check["check"]: check["outcome"] for check in tested["checks"]}


def values(document: dict[str, Any], line: int, check: str) -> dict[str, Any]:
    (tested,) = [one for one in document["sheet"]["lines"] if one["line"] == line]
    (found,) = [one["values"] for one in tested["checks"] if one["check"] == check]
    return dict(found)


@pytest.fixture(scope="module")
def watched(box: Box, talk: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Line 1 is dialled from and called, line 2 dials something else, line 3 is cut, line 4 is left alone; Ctrl-C."""
    file = tmp_path_factory.mktemp("sheet") / "sheet.html"
    words = ("--watch", "10m", "--lines", "1-4", "--digits", "6234", "--installer", "Li & Co", "--out", str(file))
    with Accepting(box, *words) as accepting:
        accepting.wait_for("line 4: connected passed")
        box.call("sim.cut", line=3, on=True)
        for line, callee in ((1, "6234"), (2, "6235")):
            box.call("sim.call", line=line, callee=callee, audio=talk, law_exact=False)
        for line in (1, 2):
            accepting.wait_for(f"line {line}: sealed")
        box.call("sim.call", line=1, caller="13800138000", audio=talk, law_exact=False)
        accepting.wait_for("line 1: caller passed")
        accepting.wait_for("line 3: connected failed (cut)")
        accepting.process.send_signal(signal.SIGINT)
        document = accepting.end(Exit.NO)
    box.call("sim.cut", line=3, on=False)
    return file, document


def test_what_happened_on_each_line_stands_on_the_sheet(watched: tuple[Path, dict[str, Any]], box: Box) -> None:
    file, document = watched
    sheet = document["sheet"]
    shown = {"connected": "passed", "lifted": "passed", "sound": "passed", "sealed": "passed", "playback": "not_done"}
    assert outcomes(document, 1) == {**shown, "digits": "passed", "caller": "passed"}
    assert outcomes(document, 2) == {**shown, "digits": "failed", "caller": "not_done"}
    assert outcomes(document, 3)["connected"] == "failed"
    assert {*outcomes(document, 4).values()} == {"passed", "not_done"}
    verdicts = [line["verdict"] for line in sheet["lines"]]
    assert verdicts == ["accepted", "not_accepted", "not_accepted", "incomplete"]
    assert (sheet["verdict"], sheet["simulated"], sheet["installer"]) == ("not_accepted", True, "Li & Co")
    assert 40 < values(document, 1, "connected")["volts"] < 55
    lifted = values(document, 1, "lifted")
    assert 6 < lifted["volts"] < 12 and 0 < lifted["latency_ms"] < 2000
    assert values(document, 1, "caller")["number"] == "•••••••8000"
    sound = values(document, 1, "sound")
    assert -30 < sound["level_dbm0"] < -8 and sound["noise_dbm0"] < -45
    catalogue = Catalogue.open_readonly(box.data)
    for recording in sheet["lines"][0]["recordings"]:
        row = catalogue.get(recording["handle"])
        assert row is not None and row.audio_sha256 == recording["audio_sha256"] and row.line == 1
    (entered,) = [one for one in catalogue.operations(None, 100) if one.act == "accept"]
    catalogue.close()
    assert entered.detail["sha256"] == document["statement"]["sha256"] and entered.detail["verdict"] == "not_accepted"
    text = file.read_text("utf-8")
    assert "NOT ACCEPTED" in text and "Front &lt;desk&gt;" in text and "13800138000" not in text


def test_the_sheet_is_this_boxs_and_a_changed_one_is_not_trusted(
    watched: tuple[Path, dict[str, Any]], console: Console, tmp_path: Path
) -> None:
    file, document = watched
    good = console.json("card", "accept", "--verify", str(file))
    assert good["good"] is True and good["key"] == "this box's" and good["told"] == document["sheet"]
    noted = identity.fingerprint(identity.public_of(console.data)).lower()
    elsewhere = Console(tmp_path)
    assert elsewhere.json("card", "accept", "--verify", str(file), "--fingerprint", noted)["good"] is True
    assert "not compared" in elsewhere.json("card", "accept", "--verify", str(file))["key"]
    wrong = elsewhere.json("card", "accept", "--verify", str(file), "--fingerprint", noted[::-1], code=Exit.NO)
    assert wrong["good"] is False and "NOT" in wrong["key"]
    changed = tmp_path / "changed.html"
    changed.write_text(file.read_text("utf-8").replace("NOT ACCEPTED", "ACCEPTED"), "utf-8")
    said = console.run("card", "accept", "--verify", str(changed), code=Exit.NO)
    assert "shows something else" in said.out and "not to be trusted" in said.err
    changed.write_text("<html>", "utf-8")
    assert "no acceptance sheet" in console.error("card", "accept", "--verify", str(changed), code=Exit.NO)["message"]
    assert "No such file" in console.run("card", "accept", "--verify", str(tmp_path / "none"), code=Exit.DATA).err


def test_a_person_is_asked_what_no_machine_knows(box: Box, talk: str, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    with Accepting(box, "--lines", "5-6", "--language", "zh-CN", "--out", str(file)) as accepting:
        accepting.wait_for("Line 5, simulated")
        accepting.wait_for("Lift the telephone, dial any number")
        accepting.wait_for("line 5: connected passed")
        box.call("sim.call", line=5, callee="6234", audio=talk, law_exact=False)
        accepting.wait_for("Heard 6234. Is that what was dialled?")
        accepting.type("perhaps")
        accepting.type("y")
        accepting.wait_for("Did you hear yourself, clearly?")
        accepting.type("n")
        accepting.wait_for("Call line 5 from elsewhere")
        accepting.type("")
        accepting.wait_for("Line 6, simulated")
        accepting.type("")
        accepting.wait_for("Call line 6 from elsewhere")
        accepting.type("")
        document = accepting.end(Exit.NO)
    tested = outcomes(document, 5)
    assert (tested["digits"], tested["playback"], tested["caller"]) == ("passed", "failed", "not_done")
    assert "failed" not in outcomes(document, 6).values()
    text = file.read_text("utf-8")
    assert 'lang="zh-CN"' in text and "验收不合格" in text and "由人否定" in text


def test_it_ends_by_itself_when_all_is_shown_or_the_time_is_over_or_nobody_is_there(
    box: Box, console: Console, tmp_path: Path
) -> None:
    for number, words in enumerate((("--watch", "1s"), ())):
        file = tmp_path / f"{number}.html"
        with Accepting(box, "--lines", "7", "--out", str(file), *words) as accepting:
            if not words:
                accepting.wait_for("Line 7")
                assert accepting.process.stdin is not None
                accepting.process.stdin.close()
            assert accepting.end(Exit.NO)["sheet"]["lines"][0]["verdict"] == "incomplete"


def test_what_cannot_be_done_is_said_before_the_test(box: Box, console: Console, tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("")
    said = console.error("card", "accept", "--watch", "1s", "--out", str(there), code=Exit.USAGE)
    assert "there already" in said["message"]
    nowhere = str(tmp_path / "none" / "sheet.html")
    assert "no folder" in console.error("card", "accept", "--out", nowhere, code=Exit.USAGE)["message"]
    new = str(tmp_path / "new.html")
    assert (
        "no line 99" in console.error("card", "accept", "--lines", "99", "--out", new, code=Exit.NOT_FOUND)["message"]
    )
    (tmp_path / "box").mkdir()
    Console(tmp_path / "box").error("card", "accept", "--watch", "1s", "--out", new, code=Exit.NO_DAEMON)
    assert not os.path.exists(new)


@pytest.mark.parametrize(
    "words", [("--installer", "Li\udcff"), ("--customer", "a\nb"), ("--digits", "62 34"), ("--digits", "\udcff")]
)
def test_what_the_sheet_could_not_say_is_refused_before_the_test(words: tuple[str, str]) -> None:
    assert called("card", "accept", "--verify", "/none", *words).code == Exit.USAGE


def test_a_disk_that_takes_only_the_beginning_of_the_sheet_keeps_none_of_it(
    box: Box, console: Console, tmp_path: Path
) -> None:
    file, limits = tmp_path / "sheet.html", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        words = ("--watch", "1s", "--lines", "8", "--out", str(file))
        said = console.run("card", "accept", *words, code=Exit.DATA).err
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{file}: File too large" in said and "its space" in said
    assert not file.exists()


@pytest.mark.parametrize(("text", "lines"), [("3", (3,)), ("1-3", (1, 2, 3)), ("5,1-2,2", (1, 2, 5))])
def test_lines_as_they_are_named(text: str, lines: tuple[int, ...]) -> None:
    assert line_numbers(text) == lines


@pytest.mark.parametrize("text", ["", "0", "3-1", "a-b", "1-", "1--3"])
def test_lines_that_are_none(text: str) -> None:
    assert called("card", "accept", "--lines", text).code == Exit.USAGE
