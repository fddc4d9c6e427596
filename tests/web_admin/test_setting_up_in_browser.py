"""The pages under System in a real browser; the keeper is only told of."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.web_admin.browsing import chromium, visiting
from tests.web_admin.conftest import PASSWORD
from tests.web_admin.test_setting_up import Flashed, as_it_was, flashed

__all__ = ["as_it_was", "flashed"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(flashed: Flashed, browser: Browser) -> Iterator[Page]:
    with visiting(flashed.base, browser, "chief") as page:
        yield page


@pytest.mark.browser
def test_a_form_whose_button_is_pressed_twice_is_sent_once(flashed: Flashed, page: Page) -> None:
    flashed.told(encryption={"on": True, "means": "tpm"})
    page.goto(f"{flashed.base}/system/storage")
    page.get_by_test_id("key-password").fill(PASSWORD)
    page.get_by_test_id("make-key").dblclick()
    expect(page.get_by_test_id("recovery-key")).to_be_visible()
    page.get_by_test_id("nav-lines").click()
    page.wait_for_url("**/lines")
    assert [do for do, _ in flashed.asked()].count("box.recovery_key") == 1


NO_ANSWER = "() => { window.fetch = () => Promise.reject(new TypeError('no answer')); }"


@pytest.fixture
def cut_off(flashed: Flashed, browser: Browser) -> Iterator[Page]:
    """The page's scripts get no answer from now on, as after a change of the certificate."""
    with visiting(flashed.base, browser, "chief", provoked="no answer") as page:
        page.goto(f"{flashed.base}/system/storage")
        page.evaluate(NO_ANSWER)
        yield page


@pytest.mark.browser
def test_a_page_that_the_script_cannot_reach_is_the_browsers_to_load(cut_off: Page) -> None:
    cut_off.get_by_test_id("tab-network").click()
    cut_off.wait_for_url("**/system/network")
    expect(cut_off.get_by_test_id("part-network")).to_be_visible()
    cut_off.get_by_test_id("tab-storage").click()
    expect(cut_off.get_by_test_id("part-power")).to_be_visible()


@pytest.mark.browser
def test_an_act_without_an_answer_says_so(flashed: Flashed, cut_off: Page) -> None:
    before = len(flashed.asked())
    cut_off.get_by_test_id("restart").click()
    expect(cut_off.locator("#notice .bad")).to_contain_text("The box did not answer")
    expect(cut_off.get_by_test_id("restart")).to_have_css("opacity", "1")
    assert len(flashed.asked()) == before


@pytest.mark.browser
def test_an_upload_that_is_refused_says_why_and_can_be_sent_again(flashed: Flashed, browser: Browser) -> None:
    bundle: FilePayload = {"name": "linekeep (1).raucb", "mimeType": "application/octet-stream", "buffer": b"good"}
    with visiting(flashed.base, browser, "chief", provoked="status of 4") as page:
        page.goto(f"{flashed.base}/system/update")
        flashed.told(update={"running": True, "share": 0.2, "step": "copying"})
        page.get_by_test_id("file").set_input_files(bundle)
        page.get_by_test_id("upload").click()
        expect(page.get_by_test_id("upload-fault")).to_contain_text("An update is being installed")
        flashed.told(update={})
        page.get_by_test_id("upload").click()
        expect(page.get_by_test_id("held")).to_contain_text("linekeep-1.raucb")
        page.get_by_test_id("remove-update").click()
        expect(page.get_by_test_id("held")).to_have_count(0)


@pytest.mark.browser
def test_a_recorder_that_starts_again_is_waited_for_in_words(flashed: Flashed, browser: Browser) -> None:
    with visiting(flashed.base, browser, "chief", provoked="no answer") as page:
        page.goto(f"{flashed.base}/system/cards")
        page.get_by_test_id("simulate").click()
        again = page.get_by_test_id("recorder-again")
        expect(again).to_be_visible()
        page.evaluate(NO_ANSWER)
        again.click()
        expect(page.locator("#notice .bad")).to_be_visible()
        expect(again).to_have_text("Start the recorder again")
        page.reload()
        again.click()
        expect(again).to_have_text("Starting …")
        expect(page.get_by_test_id("flash")).to_be_visible(timeout=120_000)
        expect(again).to_have_count(0)


@pytest.mark.browser
def test_safe_mode_comes_to_a_page_that_is_open_and_goes_from_it(flashed: Flashed, page: Page) -> None:
    banner = page.get_by_test_id("safe-mode")
    page.goto(f"{flashed.base}/system")
    expect(banner).to_have_count(0)
    safe = {"on": True, "reason": "It ended by signal 9.", "since_utc": "2026-11-22T01:00:00Z", "said": ["KeyError"]}
    told_and_seen(flashed, safe_mode=safe)
    banner.locator("summary").click()
    told_and_seen(flashed, safe_mode=safe | {"reason": "It ended by signal 6."})
    expect(banner).to_contain_text("by signal 6")
    expect(banner.get_by_text("KeyError")).to_be_visible()
    told_and_seen(flashed, safe_mode={})
    expect(banner).to_have_count(0)


def told_and_seen(flashed: Flashed, **changed: Any) -> None:
    """Somebody else's page has asked how the box is."""
    flashed.told(**changed)
    assert flashed.admin.get("/system/storage").status_code == 200
