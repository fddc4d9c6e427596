"""`linekeep card learn`, driven from a pipe by a program that works a simulated telephone."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from dsp import g711
from tests.box import Box, wait_for
from tests.firmware.cli.console import COMMAND, called, process, surroundings
from tests.firmware.test_learning import quiet_for, snapshot
from tests.material import talk, write_wav

CONFIGURATION = """
[[card]]
kind = "simulated"
lines = 2
scenario = "none"
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("learn") / "data", CONFIGURATION) as box:
        yield box


def awaited(said: IO[str], words: str) -> list[str]:
    """What is said up to the line with these words."""
    lines = []
    for line in said:
        lines.append(line)
        if words in line:
            return lines
    pytest.fail(f"{words!r} was not said:\n{''.join(lines)}")


def test_a_line_is_learned_step_by_step_and_a_step_that_was_not_done_is_repeated(box: Box, tmp_path: Path) -> None:
    silence, speech = np.zeros(80_000, np.int16), (talk()[:480_000] * 0.3).astype(np.int16)
    wave = write_wav(tmp_path / "call.wav", g711.alaw_encode(np.concatenate([silence, speech])))
    wait_for("the battery", lambda: snapshot(box, 1)["volts"])
    learning = subprocess.Popen(
        [*COMMAND, "--data", str(box.data), "--json", "card", "learn", "--line", "1", "--seconds", "2", "--yes"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1, cwd="/",
        env=surroundings(),
    )  # fmt: skip
    assert learning.stdin and learning.stdout and learning.stderr
    with learning:
        awaited(learning.stderr, "1 of 4  Lay the telephone down")
        learning.stdin.write("\n")
        awaited(learning.stderr, "Taken: 4")
        awaited(learning.stderr, "2 of 4  Lift the telephone")
        learning.stdin.write("\n")
        refused = awaited(learning.stderr, "Not taken")[-1]
        assert "differ by only 0." in refused and "right pair" in refused
        awaited(learning.stderr, "2 of 4")
        box.call("sim.call", line=1, audio=str(wave), callee="95", answer_after_s=1.0, law_exact=False)
        wait_for("the telephone to be lifted", lambda: snapshot(box, 1)["volts"] < 20 or None)
        learning.stdin.write("\n")
        awaited(learning.stderr, "3 of 4")
        wait_for("silence", lambda: quiet_for(box, 1, 1.2))
        learning.stdin.write("\n")
        awaited(learning.stderr, "4 of 4")
        wait_for("talk", lambda: snapshot(box, 1)["level_dbm0"] > -35 or None)
        learning.stdin.write("\n")
        said = json.loads(learning.stdout.read())
        assert "in force now" in learning.stderr.read()
    assert learning.returncode == 0
    assert [each["step"] for each in said["measurements"]] == ["on_hook", "off_hook", "silence", "talk"]
    values = {each["key"]: each["value"] for each in said["proposal"]["proposed"]}
    assert said["applied"]["changed"]["off_hook_volts"] == [18.0, values["off_hook_volts"]]
    assert box.call("learn.begin", line=1)["now"] == values


def test_without_somebody_who_does_the_steps_nothing_is_written(box: Box) -> None:
    before = (box.data / "linekeep.toml").read_bytes()
    said = process("--data", str(box.data), "card", "learn", "--line", "2")
    assert said.code == 1
    assert said.out == ""
    assert "1 of 4  Lay the telephone down" in said.err and "nothing was changed" in said.err
    assert (box.data / "linekeep.toml").read_bytes() == before


def test_a_line_that_is_not_there_and_seconds_that_are_none(box: Box) -> None:
    assert called("--data", str(box.data), "card", "learn", "--line", "9").code == 4
    assert called("--data", str(box.data), "card", "learn", "--line", "1", "--seconds", "99").code == 2
