"""A real browser at the page: what its tests share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

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


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def signed_in(world: World, browser: Browser, name: str) -> Iterator[Page]:
    """The wall, as this person sees it who has just signed in."""
    with visiting(world.base, browser, name) as page:
        expect(page.locator("[data-line]")).to_have_count(4)
        yield page


@contextmanager
def visiting(base: str, browser: Browser, name: str, provoked: str | None = None) -> Iterator[Page]:
    """This person has just signed in. Whatever a test does then, the browser asks nobody but this box, and complains
    about nothing but what the test has `provoked`."""
    page = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.add_init_script(WATCH)
    seen = Seen(page)
    page.goto(base)
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in-submit").click()
    expect(page.get_by_test_id("nav-lines")).to_be_visible()
    yield page
    assert [fault for fault in seen.faults if provoked is None or provoked not in fault] == []
    assert seen.hosts == {base}
    page.context.close()
