"""A smoke test in a real browser: what only a browser shows. The long journey through the product stands elsewhere."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.web_admin.conftest import PASSWORD, World

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
PATIENCE_MS = 20_000
# Playwright's own screenshots and the page's are told apart by this: the page never breaks its policy.
WATCH = (
    "addEventListener('securitypolicyviolation', e => console.error('POLICY ' + e.violatedDirective + e.blockedURI))"
)


class Seen:
    """What the browser complained about, and every request it made."""

    def __init__(self, page: Page) -> None:
        self.faults: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.hosts.add(re.sub(r"^(\w+://[^/]+).*", r"\1", request.url)))


@pytest.fixture
def browser_page(world: World) -> Iterator[tuple[Page, Seen]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        page = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        page.add_init_script(WATCH)
        yield page, Seen(page)
        browser.close()


@pytest.mark.browser
def test_a_person_signs_in_listens_and_walks_about(world: World, browser_page: tuple[Page, Seen]) -> None:
    page, seen = browser_page
    page.goto(world.base)
    page.get_by_test_id("name").fill("auditor-only")
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    expect(page.locator("[data-line]")).to_have_count(4)

    # A line that changes shows it without a reload, and the key works.
    page.get_by_test_id("key-3").click()
    expect(page.locator('[data-line="3"]')).to_have_attribute("data-recording", "1")
    expect(page.locator('[data-line="3"] .running')).not_to_be_empty()
    page.get_by_test_id("key-3").click()
    expect(page.locator('[data-line="3"]')).to_have_attribute("data-recording", "0")

    # One click plays; the player goes on while the person walks about.
    page.get_by_test_id("nav-recordings").click()
    page.get_by_test_id("search-number").fill("*5039*")
    page.get_by_test_id("search-submit").click()
    page.wait_for_url("**/recordings/s/*")
    row = page.locator("tr[data-handle]").first
    handle = row.get_attribute("data-handle")
    row.get_by_test_id("play").click()
    expect(page.get_by_test_id("player-time")).not_to_have_text("0:00")
    expect(page.get_by_test_id("player")).to_have_attribute("data-handle", str(handle))
    page.get_by_test_id("nav-lines").click()
    expect(page.locator("[data-line]")).to_have_count(4)
    expect(page.get_by_test_id("player")).to_be_visible()
    page.go_back()
    expect(page.get_by_test_id("search-number")).to_have_value("*5039*")

    # The waveform is drawn from the stored peaks, a mark leads to its place, the keyboard works.
    page.locator(f'tr[data-handle="{handle}"]').get_by_test_id("open").click()
    expect(page.locator("#waveform[data-ready]")).to_be_visible()
    page.locator('[data-testid=mark][data-category="digit"]').click()
    expect(page.get_by_test_id("wave-time")).to_have_text("0:01")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("wave-time")).to_have_text("0:02")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("wave-time")).to_have_text("0:00")
    page.keyboard.press("+")
    expect(page.get_by_test_id("player-speed")).to_have_value("1.25")

    # Trash and undo.
    page.get_by_test_id("trash").click()
    page.get_by_test_id("undo").click()
    expect(page.get_by_test_id("flash")).to_contain_text("brought back")

    # The wall says by itself that the recorder went, and shows the lines by itself when it is back.
    page.get_by_test_id("nav-lines").click()
    expect(page.locator("[data-line]")).to_have_count(4)
    world.box.stop()
    expect(page.get_by_test_id("daemon-down")).to_be_visible()
    world.box.start()
    expect(page.locator("[data-line]")).to_have_count(4)

    page.get_by_test_id("language-zh-CN").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_test_id("language-en").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert seen.faults == []
    assert seen.hosts == {world.base}
    assert [cookie["httpOnly"] for cookie in page.context.cookies()] == [True, True]
