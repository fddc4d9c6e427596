"""The threshold wizard in a real browser, with the keyboard alone; and who may use it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from dsp import g711
from firmware.config_file import load
from firmware.learn import WORDS
from firmware.wire import Measurement, Spread
from tests.box import wait_for
from tests.firmware.test_learning import quiet_for, snapshot
from tests.material import talk, write_wav
from tests.web_admin.browsing import chromium, signed_in
from tests.web_admin.conftest import World
from web_admin.i18n import TABLES
from web_admin.routes.learn import ORDER, open_steps

LINE = 2


@pytest.fixture(scope="module", autouse=True)
def call_over(world: World) -> Iterator[None]:
    """The box is the other modules' too: a call that is left on the line ends with this one."""
    yield
    world.box.call("sim.cut", line=LINE, on=True)
    wait_for("the end of its recording", lambda: snapshot(world.box, LINE)["recording"] is None)
    world.box.call("sim.cut", line=LINE, on=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(world: World, browser: Browser) -> Iterator[Page]:
    """An administrator may hear nothing, and learn."""
    with signed_in(world, browser, "administrator-only") as page:
        yield page


def press(page: Page) -> None:
    """The one large button has the focus already."""
    expect(page.locator("button.main.big")).to_be_focused()
    page.keyboard.press("Enter")


def at(page: Page, step: str) -> None:
    expect(page.get_by_test_id("learn-step")).to_have_attribute("data-step", step)


def learn(page: Page, world: World, wave: Path, look: Callable[[str], object] = lambda name: None) -> None:
    """All steps of line 2 up to the result."""
    page.get_by_test_id(f"learn-{LINE}").click()
    at(page, "on_hook")
    expect(page.locator(".live .volts")).to_have_text(re.compile(r"^4\d V$"))
    look("on-hook")
    press(page)
    expect(page.locator("progress")).to_be_visible()
    expect(page.get_by_test_id("measure")).to_be_disabled()
    look("measuring")
    at(page, "off_hook")
    press(page)
    expect(page.get_by_test_id("refused")).to_have_attribute("data-code", "volts_unchanged")
    look("refused")
    world.box.call("sim.call", line=LINE, audio=str(wave), callee="95", answer_after_s=1.0, law_exact=False)
    expect(page.locator(".live .volts")).to_have_text(re.compile(r"^(\d|1\d) V$"))
    press(page)
    at(page, "silence")
    wait_for("silence", lambda: quiet_for(world.box, LINE, 1.2))
    press(page)
    at(page, "talk")
    wait_for("talk", lambda: snapshot(world.box, LINE)["level_dbm0"] > -35 or None)
    look("talk")
    press(page)
    expect(page.get_by_test_id("learn-result")).to_be_visible()
    look("result")


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = np.zeros(24 * 8000, np.int16), (talk()[: 60 * 8000] * 0.3).astype(np.int16)
    return write_wav(tmp_path_factory.mktemp("sound") / "call.wav", g711.alaw_encode(np.concatenate(parts)))


@pytest.mark.browser
def test_a_line_is_learned_with_the_keyboard_and_what_is_ticked_is_written(
    world: World, page: Page, wave: Path
) -> None:
    learn(page, world, wave)
    expect(page.locator("svg.scale")).to_have_count(2)
    expect(page.locator("tr[data-key]")).to_have_count(4)
    page.locator('tr[data-key="vox_level_dbm0"] input').uncheck()
    page.get_by_test_id("apply").click()
    expect(page.get_by_test_id("flash")).to_contain_text("written and in use")
    lines = load(world.data / "linekeep.toml").lines
    assert 15 < lines[LINE - 1].recording.off_hook_volts < 35
    assert lines[LINE - 1].recording.off_hook_volts != 18.0
    assert lines[LINE - 1].recording.vox_level_dbm0 == -38.0


def test_only_who_administers_the_box_may_learn(world: World) -> None:
    assert world.administrator.get("/lines/1/learn").status_code == 200
    assert "learn-1" in world.administrator.get("/lines").text
    assert world.auditor.get("/lines/1/learn").status_code == 404
    assert "learn-1" not in world.auditor.get("/lines").text
    for act in ("apply", "again", "measure/on_hook"):
        assert world.auditor.submit(f"/lines/1/learn/{act}").status_code == 404
    assert world.someone().get("/lines/1/learn").status_code == 303


def test_what_is_not_there_is_not_found_and_what_was_not_measured_is_not_written(world: World) -> None:
    assert world.administrator.get("/lines/99/learn").status_code == 404
    assert world.administrator.submit("/lines/1/learn/measure/nonsense").status_code == 404
    assert world.administrator.submit("/lines/1/learn/apply", {"off_hook_volts": "1"}).status_code == 400


def test_every_verdict_has_its_words_in_both_languages() -> None:
    for code, (_, found, remedy) in WORDS.items():
        assert TABLES["en"][f"verdict.{code}.found"] == found
        assert TABLES["en"][f"verdict.{code}.remedy"] == remedy
        assert re.search("[\u4e00-\u9fff]", TABLES["zh-CN"][f"verdict.{code}.found"]), code
        assert bool(TABLES["zh-CN"][f"verdict.{code}.remedy"]) is bool(remedy), code


def test_a_voltage_that_is_gone_leaves_the_step_that_says_so() -> None:
    """The daemon then tells of three steps, and would refuse to propose for want of the fourth."""
    levels: dict[str, Any] = {"quiet_dbm0": -60.0, "level_dbm0": -60.0, "loud_dbm0": -60.0, "peak_dbm0": -50.0}
    rest = Measurement(step="on_hook", seconds=5.0, volts=Spread(low=48.0, mean=48.0, high=48.0), **levels)
    without = ("on_hook", "silence", "talk")
    assert open_steps(without, {}) == list(without)
    assert open_steps(without, {"on_hook": replace(rest, volts=None)}) == list(without)
    assert open_steps(without, {"on_hook": rest}) == list(ORDER)
