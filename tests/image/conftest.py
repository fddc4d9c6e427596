"""These tests start the flashable disk, which `make test-image` builds; without it there is nothing to collect. At the
end the figures are told."""

import os
from pathlib import Path

import pytest

from tests.image.figures import TOLD, sizes


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name.startswith("test_") and "LINEKEEP_IMAGE" not in os.environ else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if "LINEKEEP_IMAGE" in os.environ:
        sizes(Path(os.environ["LINEKEEP_IMAGE"]))
        terminalreporter.section("figures")
        for line in TOLD:
            terminalreporter.line(line)
