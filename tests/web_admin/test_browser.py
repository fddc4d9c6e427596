"""In a real browser: what only a browser shows. The long journey through the product stands elsewhere."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.web_admin.browsing import chromium, signed_in
from tests.web_admin.conftest import World


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(world: World, browser: Browser) -> Iterator[Page]:
    with signed_in(world, browser, "auditor-only") as page:
        yield page


def listed(page: Page) -> Locator:
    """The first recording with 5039 in its number, in the list that a search has given."""
    page.get_by_test_id("nav-recordings").click()
    page.get_by_test_id("search-number").fill("*5039*")
    page.get_by_test_id("search-submit").click()
    page.wait_for_url("**/recordings/s/*")
    return page.locator("tr[data-handle]").first


@pytest.mark.browser
def test_the_key_works_and_its_line_shows_it_without_a_reload(page: Page) -> None:
    page.get_by_test_id("key-3").click()
    expect(page.locator('[data-line="3"]')).to_have_attribute("data-recording", "1")
    expect(page.locator('[data-line="3"] .running')).not_to_be_empty()
    page.get_by_test_id("key-3").click()
    expect(page.locator('[data-line="3"]')).to_have_attribute("data-recording", "0")


@pytest.mark.browser
def test_one_click_plays_and_the_player_goes_on_while_the_person_walks_about(page: Page) -> None:
    row = listed(page)
    handle = row.get_attribute("data-handle")
    row.get_by_test_id("play").click()
    expect(page.get_by_test_id("player-time")).not_to_have_text("0:00")
    expect(page.get_by_test_id("player")).to_have_attribute("data-handle", str(handle))
    page.get_by_test_id("nav-lines").click()
    expect(page.locator("[data-line]")).to_have_count(4)
    expect(page.get_by_test_id("player")).to_be_visible()
    page.go_back()
    expect(page.get_by_test_id("search-number")).to_have_value("*5039*")


@pytest.mark.browser
def test_the_waveform_is_drawn_a_mark_leads_to_its_place_and_the_keyboard_works(page: Page) -> None:
    listed(page).get_by_test_id("open").click()
    expect(page.locator("#waveform[data-ready]")).to_be_visible()
    page.locator('[data-testid=mark][data-category="digit"]').click()
    expect(page.get_by_test_id("wave-time")).to_have_text("0:01")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("wave-time")).to_have_text("0:02")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("wave-time")).to_have_text("0:00")
    page.keyboard.press("+")
    expect(page.get_by_test_id("player-speed")).to_have_value("1.25")


@pytest.mark.browser
def test_what_went_into_the_trash_is_brought_back_by_one_click(page: Page) -> None:
    listed(page).get_by_test_id("open").click()
    expect(page.locator("#waveform[data-ready]")).to_be_visible()
    page.get_by_test_id("trash").click()
    page.get_by_test_id("undo").click()
    expect(page.get_by_test_id("flash")).to_contain_text("brought back")


@pytest.mark.browser
def test_the_wall_says_by_itself_that_the_recorder_went_and_that_it_is_back(world: World, page: Page) -> None:
    world.box.stop()
    expect(page.get_by_test_id("daemon-down")).to_be_visible()
    world.box.start()
    expect(page.locator("[data-line]")).to_have_count(4)


@pytest.mark.browser
def test_the_language_changes_with_one_click_and_no_script_can_read_a_cookie(page: Page) -> None:
    page.get_by_test_id("language-zh-CN").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_test_id("language-en").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert [cookie["httpOnly"] for cookie in page.context.cookies()] == [True, True]  # Session and language.
