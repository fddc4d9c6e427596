"""The cards' code on the real DAHDI driver, in a machine in software: what `guest/` says there is said here, test by
test. Where the machine cannot run these fail."""

import ast
from pathlib import Path

import pytest

from tests.dahdi.machine import Outcome, run

GUEST = Path(__file__).parent / "guest"
SHORT = ("test_box.py", "test_card.py", "test_daemon.py", "test_tools.py")
BOOT_S = 1500
"""Some seven minutes on a quiet machine with two processors; a busy one takes three times as long."""


def _tests(*files: str) -> list[str]:
    return [
        node.name
        for file in files
        for node in ast.parse((GUEST / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return run([f"tests/dahdi/guest/{file}" for file in SHORT], tmp_path_factory.mktemp("machine"), BOOT_S)


@pytest.mark.timeout(BOOT_S + 600)
@pytest.mark.parametrize("name", _tests(*SHORT))
def test_on_the_real_driver(name: str, outcomes: dict[str, Outcome]) -> None:
    assert name in outcomes, f"the machine did not run it; it ran {sorted(outcomes)}"
    assert outcomes[name].passed, outcomes[name].said
