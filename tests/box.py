"""A real box for tests: the daemon (and the page) as processes of their own, on a data folder of their own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from firmware.wire import Client, DaemonUnreachableError

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, ask: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """Asks until there is an answer; the test fails, naming what was waited for, when there is none in time."""
    deadline = time.monotonic() + patience_s
    while (answer := ask()) is None or answer is False:
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(0.02)
    return answer


class Process:
    """A process of ours whose output is kept, so that a failure can show it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        self.output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.output.extend(self.process.stdout)

    def line(self, start: str) -> str:
        """The first line of output that begins so, without its beginning."""

        def ask() -> str | None:
            for line in self.output:
                if start in line:
                    return line.split(start, 1)[1].strip()
            assert self.process.poll() is None, "".join(self.output)
            return None

        return wait_for(f"a line {start!r}", ask)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def at_home_anywhere(configuration: str) -> str:
    """With room asked for that any machine has: below two gigabytes a box of the default has an alarm."""
    return configuration if "[storage]" in configuration else f"{configuration}\n[storage]\nminimum_free_mb = 1\n"


class Box:
    """The daemon on `data`, started with `configuration` (TOML) and more words on its command line."""

    def __init__(self, data: Path, configuration: str | None = None, *arguments: str) -> None:
        self.data, self._arguments = data, arguments
        data.mkdir(parents=True, exist_ok=True)
        if configuration is not None:
            (data / "linekeep.toml").write_text(at_home_anywhere(configuration), encoding="utf-8")
        self.start()

    def start(self) -> None:
        self.daemon = Process("-m", "firmware", "--data", str(self.data), *self._arguments)
        wait_for("the daemon's answer", self._answers)

    def _answers(self) -> bool:
        assert self.daemon.process.poll() is None, "".join(self.daemon.output)
        try:
            with Client.connect(self.data) as client:
                client.call("hello")
        except DaemonUnreachableError:
            return False
        return True

    def client(self) -> Client:
        return Client.connect(self.data)

    def call(self, do: str, **fields: Any) -> dict[str, Any]:
        with self.client() as client:
            return client.call(do, **fields)

    def stop(self) -> None:
        code = self.daemon.stop()
        assert code == 0, "".join(self.daemon.output)

    def kill(self) -> None:
        self.daemon.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if self.daemon.process.poll() is None:
            self.daemon.stop()
        if failure is not None:
            print("".join(self.daemon.output[-40:]))
