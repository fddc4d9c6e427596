"""A console for tests: the real command as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "firmware.cli"]


def surroundings(change: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment, without what would make a run differ from machine to machine."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LINEKEEP_DATA", "TZ", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), "TZ": "UTC", **(change or {})}


@dataclass(frozen=True)
class Console:
    data: Path

    def run(
        self, *words: str, code: int = 0, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `linekeep` with these words; the test fails, showing what it said, when the exit code is another."""
        done = subprocess.run(
            [*COMMAND, "--data", str(self.data), *words], cwd="/", env=surroundings(environment), input=stdin,
            capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        """The one JSON document of a command."""
        return json.loads(self.run("--json", *words, code=code).stdout)

    def rows(self, *words: str, code: int = 0) -> list[list[str]]:
        """The plain lines of a command, split at their tabs."""
        return [line.split("\t") for line in self.run(*words, code=code).stdout.splitlines()]

    def error(self, *words: str, code: int) -> dict[str, str]:
        """What a failure says to a program; standard output stays empty."""
        done = self.run("--json", *words, code=code)
        assert done.stdout == ""
        error: dict[str, str] = json.loads(done.stderr)["error"]
        assert error["message"]
        plain = self.run(*words, code=code)
        assert plain.stdout == ""
        assert error["message"] in plain.stderr and error["remedy"] in plain.stderr
        return error
