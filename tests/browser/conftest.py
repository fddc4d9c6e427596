"""The whole box under its supervisor, as `make run` starts it, and a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.box import Process, free_port

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
)  # fmt: skip

expect.set_options(timeout=20_000)  # A page that comes late on a busy machine is no wrong page.


class Running:
    """What the supervisor printed, and its data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.supervisor = Process(
            "-m", "firmware.supervisor", "--listen", f"127.0.0.1:{free_port()}", "--data", str(data)
        )
        self.address = self.supervisor.line("Linekeep  ").rstrip("/")
        self.setup_code = self.supervisor.line("setup code  ").split()[0]
        self.command = self.supervisor.line("command  ")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For a module: its office telephones as long as it runs, and takes the other tests' time."""
    box = Running(tmp_path_factory.mktemp("box"))
    yield box
    code = box.supervisor.stop()
    assert code == 0, "".join(box.supervisor.output)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module: while Playwright runs, no other test of this process can have an event loop."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()
