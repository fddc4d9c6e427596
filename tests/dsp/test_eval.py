"""The evaluation runs: each section small, its table readable, and the document as it writes it."""

import io
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from dsp import g711, levels
from tests.eval import SECTIONS
from tests.eval.__main__ import table
from tests.eval.document import BEGIN, DOCUMENT, END, ROOT, write
from tests.eval.report import Row, Section, shown
from tests.eval.tap import tap


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_does_not_rot(name: str) -> None:
    section: Section = import_module(f"tests.eval.{name}").section("seen", 0.02)
    assert section.title and len(section.rows) > 2
    for row in section.rows:
        assert row.cases > 0, row
        assert row.met() in (True, False, None)
    screen = io.StringIO()
    Console(width=100, file=screen).print(table(section, "seen"))
    assert section.title[:40] in screen.getvalue()


def test_the_command_measures_in_processes_of_their_own() -> None:
    words = [sys.executable, "-m", "tests.eval", "--part", "seen", "--scale", "0.02", "talkoff"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"seen: \d+ of 14 aims met", done.stdout) and f"Not written into {DOCUMENT}" in done.stdout
    wrong = subprocess.run([*words[:3], "nosuch"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert wrong.returncode == 2 and "no section nosuch" in wrong.stderr


def test_every_section_is_named() -> None:
    """A module that has one and is not in SECTIONS would never be measured."""
    folder = ROOT / "tests" / "eval"
    found = {path.stem for path in folder.glob("*.py") if "\ndef section(" in path.read_text(encoding="utf-8")}
    assert found == set(SECTIONS)


@pytest.mark.parametrize(
    ("aim", "ours", "met"),
    [
        (">= 0.99", 0.99, True), (">= 0.99", 0.9899, False), ("<= 0.5 %", 0.005, True), ("<= 0.5 %", 0.0051, False),
        ("= 0", 0.0, True), ("= 0", 1.0, False), ("≤ 40 ms", 41.0, False), ("≥ 2,500", 2499.0, False), ("", 3.0, None),
    ],
)  # fmt: skip
def test_an_aim_is_met_or_not(aim: str, ours: float, met: bool | None) -> None:
    assert Row("x", aim, ours, None, 1).met() is met


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.0, "share", "1"), (0.0, "share", "0"), (0.99998, "share", "0.9999"), (0.00001, "share", "0.0001"),
        (0.95, "share", "0.95"), (1234.0, "number", "1,234"), (0.2468, "s", "0.247 s"), (float("nan"), "ms", "none"),
    ],
)  # fmt: skip
def test_a_figure_does_not_round_to_perfection(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_an_aim_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="about 3"):
        Row("x", "about 3", 3.0, None, 1).met()


def test_the_tables_stand_between_their_marks(tmp_path: Path) -> None:
    """Both halves apart, the text around them untouched, also the second time."""
    section = Section(
        "Digits | all", [Row("taken", ">= 0.999", 0.99876, 0.95, 1234), Row("late", "", 31, None, 9, "ms")]
    )
    document = tmp_path / "d.md"
    document.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        write({("seen", "dtmf"): section, ("unseen", "dtmf"): section}, document=document)
        text = document.read_text(encoding="utf-8")
        assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"\n{END}\nafter\n") and "stale" not in text
        assert text.index("Part unseen") < text.index("Part seen")
        assert text.count("| taken | >= 0.999 | 0.9988 | 0.95 | 1,234 | **missed** |") == 2
        assert "| late |  | 31 ms |  | 9 |  |" in text
    document.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="once each"):
        write({("seen", "dtmf"): section}, document=document)


def test_the_document_has_its_marks() -> None:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1


# The tap -------------------------------------------------------------------------------------------------------------


def tone(hz: float, level_dbm0: float, samples: int = 16000) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = levels.amplitude(level_dbm0) * np.sin(2 * np.pi * hz / 8000 * np.arange(samples))
    return wave


def power_dbm0(law_bytes: NDArray[np.uint8], hz: float) -> float:
    x = levels.expansion("alaw")[law_bytes]
    return float(10 * np.log10(2 * abs(np.mean(x * np.exp(-2j * np.pi * hz / 8000 * np.arange(x.size)))) ** 2))


def test_a_tap_hears_every_side_at_its_level() -> None:
    heard = tap([tone(1000, -10), tone(2000, -10)], "alaw", gains_db=(0, -12), hum_dbm0=-30, hum_hz=60)
    assert heard.dtype == np.uint8 and heard.shape == (16000,)
    told = [power_dbm0(heard, hz) for hz in (1000, 2000, 60, 180)]
    assert np.allclose(told, [-10, -22, -30, -40], atol=0.5)


def test_an_echo_comes_later_and_weaker() -> None:
    click = np.zeros(800)
    click[100] = 16000
    linear = g711.decode(tap([click], "alaw", echo_db=-20, echo_ms=25), "alaw")
    assert linear.size == 1000
    assert np.flatnonzero(np.abs(linear) > 100).tolist() == [100, 300]
    assert abs(linear[300] / linear[100] - 0.1) < 0.01


def test_noise_has_its_level_and_its_seed() -> None:
    heard = [tap([np.zeros(16000)], "ulaw", noise_dbm0=-40, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(heard[0], heard[1]) and not np.array_equal(heard[0], heard[2])
    assert abs(levels.level_dbm0(g711.decode(heard[0], "ulaw"), "ulaw") + 40) < 0.3
