"""Makes the documents' pictures of the page anew, from the page as it is: `make pictures`, then look at them.

A box in software with its simulated callers for lines and recording; for wizard and update a page whose keeper is only
told of. Console and cards are not made here: they are taken of the flashed disk in QEMU, where the driver is.
"""

import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page

from recorder.catalogue import Catalogue
from recorder.model import CallClass, Direction, Query, Recording
from tests.box import ROOT, wait_for
from tests.browser.conftest import Running
from tests.web_admin.browsing import chromium
from tests.web_admin.conftest import PASSWORD
from tests.web_admin.test_setting_up import STATE, start_flashed, stop
from tests.web_admin.test_updating import uploaded

FOLDER = ROOT / "docs" / "pictures"
LANGUAGES = ("en", "zh-CN")
PATIENCE_S = 600.0
"""Calls take their own time."""


def opened(browser: Browser, base: str, width: int, height: int) -> Page:
    page = browser.new_context(
        base_url=base, locale="en-GB", timezone_id="Asia/Shanghai", viewport={"width": width, "height": height}
    ).new_page()
    page.goto("/")
    return page


def take(page: Page, name: str, language: str) -> None:
    # Bars grow into their place and live parts come by the event stream.
    page.wait_for_timeout(1500)
    page.screenshot(path=FOLDER / f"{name}-{language}.png", full_page=True)
    print(f"docs/pictures/{name}-{language}.png", flush=True)


def speak(page: Page, language: str) -> None:
    page.get_by_test_id(f"language-{language}").click()
    page.locator(f"html[lang='{language}']").wait_for()


def call_to_show(data: Path) -> Recording | None:
    """An answered call, dialled by the line, long enough to be looked at."""
    with closing(Catalogue.open_readonly(data)) as catalogue:
        rows = catalogue.search(Query(direction=Direction.OUT, classes=(CallClass.VOICE,), min_s=30.0)).rows
    return next((row for row in rows if row.answered and row.number), None)


def of_calls(browser: Browser, folder: Path) -> None:
    running = Running(folder)
    try:
        page = opened(browser, running.address, 1360, 430)
        for field, value in (("code", running.setup_code), ("name", "wanglei"), ("password", PASSWORD)):
            page.get_by_test_id(field).fill(value)
        page.get_by_test_id("again").fill(PASSWORD)
        page.get_by_test_id("setup-submit").click()
        page.get_by_test_id("nav-lines").wait_for()
        call = wait_for("a call to show", lambda: call_to_show(folder), PATIENCE_S)
        page.goto("/lines")
        page.wait_for_function(
            'document.querySelectorAll(\'[data-line][data-recording="1"][data-state="talking"]\').length >= 3',
            timeout=PATIENCE_S * 1000,
        )
        for language in LANGUAGES:
            speak(page, language)
            page.goto("/lines")
            take(page, "lines", language)
        for language in LANGUAGES:
            speak(page, language)
            page.goto(f"/recordings/{call.handle}")
            take(page, "recording", language)
    finally:
        running.supervisor.stop()


def of_setting_up(browser: Browser, folder: Path) -> None:
    flashed = start_flashed(folder)
    try:
        page = opened(browser, flashed.base, 1080, 720)
        page.get_by_test_id("name").fill("chief")
        page.get_by_test_id("password").fill(PASSWORD)
        page.get_by_test_id("sign-in-submit").click()
        page.get_by_test_id("nav-lines").wait_for()
        flashed.told(development=False)
        for language in LANGUAGES:
            speak(page, language)
            for step in ("network", "encryption"):
                page.goto(f"/system/setup/{step}")
                take(page, f"wizard-{step}", language)
        # A box that records, and has been updated before.
        flashed.admin.submit("/system/cards/simulate", {"lines": "4", "from": "setup"})
        flashed.admin.submit("/system/cards/recorder", {"step": "cards"})
        before, after = STATE["slots"][0] | {"booted": False}, STATE["slots"][1] | {"booted": True}
        flashed.told(slots=[before | {"version": "0.1.0"}, after | {"version": "0.2.0"}], slot="B")
        uploaded(flashed, b"good" * 42_000_000)
        for language in LANGUAGES:
            speak(page, language)
            page.goto("/system/update")
            page.get_by_test_id("held").wait_for()
            take(page, "update", language)
    finally:
        stop(flashed)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        of_setting_up(browser, Path(folder) / "flashed")
        of_calls(browser, Path(folder) / "calls")


if __name__ == "__main__":
    main()
