"""An administrator and auditor's first quarter of an hour, in a real browser, on the whole box.

Setup with the one-time code, a wall of lines that lives, the last call found by a part of its number, played, sought
in, a digit's mark read, the call deleted and brought back; then every page in both languages, whose pictures are put
into `build/screenshots` to be looked at. No request leaves the box, no script fails, no number stands in an address.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from recorder.catalogue import Catalogue
from recorder.model import Query, Recording, State
from recorder.wav import load
from tests.box import ROOT, wait_for
from tests.browser.conftest import Running

PICTURES = ROOT / "build" / "screenshots"
PASSWORD = "seven calm harbours 守线"  # of an account in a folder that the test made
FIRST_CALL_S = 20.0


class Watched:
    """A browser's context that notes what must not happen."""

    def __init__(self, browser: Browser, address: str, language: str) -> None:
        self.address = address
        self.outside: list[str] = []
        self.addresses: list[str] = []
        self.faults: list[str] = []
        self.context: BrowserContext = browser.new_context(
            base_url=address, locale=language, timezone_id="Asia/Shanghai", viewport={"width": 1360, "height": 860}
        )
        self.context.set_default_timeout(15000)
        self.context.on("request", self._requested)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)
        self.addresses.append(request.url)

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    def check(self) -> None:
        assert not self.outside, self.outside
        assert not self.faults, self.faults


@pytest.fixture(scope="module")
def signed_in(running: Running, browser: Browser) -> Iterator[Watched]:
    """The first account, made with the one-time code, in English."""
    watched = Watched(browser, running.address, "en-GB")
    page = watched.page
    page.goto("/")
    expect(page.get_by_test_id("setup-form")).to_be_visible()
    watched.picture("setup-en")
    page.get_by_test_id("code").fill(running.setup_code)
    page.get_by_test_id("name").fill("wanglei")
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("again").fill(PASSWORD)
    expect(page.get_by_test_id("role-administrator")).to_be_checked()
    expect(page.get_by_test_id("role-auditor")).to_be_checked()
    page.get_by_test_id("setup-submit").click()
    expect(page.get_by_test_id("nav-lines")).to_be_visible()
    yield watched
    watched.check()
    watched.context.close()


def last_call(data: Path) -> Recording | None:
    """The newest finished recording of a dialled number."""
    with closing(Catalogue.open_readonly(data)) as catalogue:
        rows = catalogue.search(Query(states=(State.SEALED,))).rows
    return next((row for row in rows if row.dtmf and row.number), None)


def test_the_wall_lives(signed_in: Watched) -> None:
    page = signed_in.page
    page.get_by_test_id("nav-lines").click()
    tiles = page.locator("[data-line]")
    expect(tiles).to_have_count(8)
    expect(page.get_by_test_id("simulated")).to_be_visible()
    shown = page.evaluate("[...document.querySelectorAll('[data-line]')].map(t => [t.dataset.state, t.dataset.level])")
    page.wait_for_function(
        """before => { const now = [...document.querySelectorAll('[data-line]')];
           return now.some((t, n) => t.dataset.state !== before[n][0])
               && now.some((t, n) => t.dataset.level !== before[n][1]); }""",
        arg=shown,
    )
    expect(page.locator("[data-line][data-recording='1']").first).to_be_visible()
    cut = "[...document.querySelectorAll('.tile .words, .tile .party')].filter(t => t.scrollWidth > t.clientWidth)"
    assert page.evaluate(f"{cut}.map(t => t.textContent)") == [], "what a tile says is read whole"


def test_the_last_call_is_found_played_deleted_and_brought_back(running: Running, signed_in: Watched) -> None:
    page = signed_in.page
    row = wait_for("the first finished call", lambda: last_call(running.data), FIRST_CALL_S)
    assert row.number is not None
    part = row.number[2:6]

    page.get_by_test_id("nav-recordings").click()
    page.get_by_test_id("search-number").fill(f"*{part}*")
    page.get_by_test_id("search-submit").click()
    found = page.locator(f"[data-handle='{row.handle}']").first
    expect(found).to_be_visible()
    expect(found).to_contain_text(row.number)

    found.get_by_test_id("play").click()
    time = page.get_by_test_id("player-time")
    expect(time).not_to_have_text("0:00")
    page.get_by_test_id("player-toggle").click()

    found.get_by_test_id("open").click()
    expect(page.get_by_test_id("waveform")).to_be_visible()
    digit = next(mark for mark in load(running.data / row.path).marks if mark.kind == "dtmf")
    mark = page.locator("[data-testid='mark'][data-category='digit']").first
    expect(mark).to_contain_text(digit.value)
    mark.click()
    begin = page.evaluate("document.querySelector('#player audio').currentTime")
    assert begin == pytest.approx(digit.start_sample / 8000, abs=0.25)
    page.get_by_test_id("on-10").click()
    page.wait_for_function("from => document.querySelector('#player audio').currentTime > from + 4", arg=begin)
    expect(page.get_by_test_id("digest")).to_have_text(row.audio_sha256)
    page.get_by_test_id("verify").click()
    expect(page.get_by_test_id("flash")).to_be_visible()

    page.get_by_test_id("trash").click()
    expect(page.get_by_test_id("undo")).to_be_visible()
    page.get_by_test_id("nav-trash").click()
    trashed = page.locator(f"[data-testid='trash-rows'] [data-handle='{row.handle}']").first
    expect(trashed).to_be_visible()
    trashed.get_by_test_id("undelete").click()
    expect(page.locator(f"[data-testid='trash-rows'] [data-handle='{row.handle}']")).to_have_count(0)
    page.get_by_test_id("nav-recordings").click()
    expect(page.locator(f"[data-handle='{row.handle}']").first).to_be_visible()
    paths = [re.sub("[0-9a-f]{32}", "", address.split("/", 3)[3]) for address in signed_in.addresses]
    assert not [path for path in paths if part in path], "the number stands in an address"


def test_a_download_is_the_file(running: Running, signed_in: Watched) -> None:
    row = wait_for("a finished call", lambda: last_call(running.data), FIRST_CALL_S)
    signed_in.page.goto(f"/recordings/{row.handle}")
    with signed_in.page.expect_download() as download:
        signed_in.page.get_by_test_id("download").click()
    assert Path(download.value.path()).read_bytes() == (running.data / row.path).read_bytes()


def test_every_page_in_both_languages(running: Running, signed_in: Watched) -> None:
    page = signed_in.page
    row = wait_for("a finished call", lambda: last_call(running.data), FIRST_CALL_S)
    words = {"en": "Recordings", "zh-CN": "录音"}
    for language in ("zh-CN", "en"):
        page.get_by_test_id(f"language-{language}").click()
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.get_by_test_id("nav-recordings")).to_contain_text(words[language])
        for name in ("lines", "recordings", f"recordings/{row.handle}", "trash", "system", "account"):
            page.goto(f"/{name}")
            expect(page.locator("main h1")).to_be_visible()
            if name == "lines":
                expect(page.locator("[data-line]").first).to_be_visible()
            if row.handle in name:
                expect(
                    page.locator("[data-testid='waveform'] canvas, [data-testid='waveform'] div").first
                ).to_be_visible()
            missing = page.evaluate("document.body.innerText.match(/\\b[a-z_]+\\.[a-z_]+(\\.[a-z_]+)?\\b(?=\\s|$)/g)")
            assert not missing, f"{name} in {language} shows keys: {missing}"
            signed_in.picture(f"{'recording' if row.handle in name else name}-{language}")


def test_a_stranger_sees_nothing(running: Running, browser: Browser) -> None:
    stranger = Watched(browser, running.address, "zh-CN")
    row = wait_for("a finished call", lambda: last_call(running.data), FIRST_CALL_S)
    for path in ("/lines", "/recordings", f"/recordings/{row.handle}", "/system"):
        stranger.page.goto(path)
        expect(stranger.page.get_by_test_id("sign-in-form")).to_be_visible()
    expect(stranger.page.locator("html")).to_have_attribute("lang", "zh-CN")
    stranger.picture("sign-in-zh-CN")
    stranger.context.close()
