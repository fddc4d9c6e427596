"""A console for tests: what the command says and how it exits.

Most tests run it within their own process, which is ten times as quick; `process` makes it one of its own.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.cli.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "firmware.cli"]


def surroundings() -> dict[str, str]:
    """The environment, without what would make a run differ from machine to machine."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LINEKEEP_DATA", "TZ", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def called(*words: str) -> Said:
    """Within this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else -1
    out.seek(0)
    return Said(code, out.read(), err.getvalue())


def process(*words: str) -> Said:
    done = subprocess.run(
        [*COMMAND, *words], cwd="/", env=surroundings(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Console:
    data: Path

    def run(self, *words: str, code: int = 0) -> Said:
        """Runs `linekeep` with these words; the test fails, showing what it said, when the exit code is another."""
        said = called("--data", str(self.data), *words)
        assert said.code == code, f"{words}: exit {said.code}\n{said.out}\n{said.err}"
        return said

    def json(self, *words: str, code: int = 0) -> Any:
        """The one JSON document of a command."""
        return json.loads(self.run("--json", *words, code=code).out)

    def rows(self, *words: str, code: int = 0) -> list[list[str]]:
        """The plain lines of a command, split at their tabs."""
        return [line.split("\t") for line in self.run(*words, code=code).out.splitlines()]

    def error(self, *words: str, code: int) -> dict[str, str]:
        """What a failure says to a program; standard output stays empty."""
        said = self.run("--json", *words, code=code)
        assert said.out == ""
        error: dict[str, str] = json.loads(said.err)["error"]
        assert error["message"]
        plain = self.run(*words, code=code)
        assert plain.out == ""
        assert error["message"] in plain.err and error["remedy"] in plain.err
        return error
