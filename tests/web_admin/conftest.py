"""A real box for the page: known recordings, the daemon, the page, and three people, each a process or a client.

`offered` describes what the page offers to a browser test; see the table in README.md beside this.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from dsp import g711
from firmware.clock import SystemClock
from recorder.ledger import Ledger
from recorder.model import (
    RATE,
    Anchor,
    CallClass,
    Direction,
    Mark,
    Recording,
    RecordingEnd,
    RecordingStart,
    StopReason,
    Trigger,
)
from recorder.wav import OpenRecording
from tests.box import Box, Process

PASSWORD = "four old green lamps"
CONFIGURATION = """
[box]
zone = "Asia/Shanghai"
[[card]]
kind = "simulated"
lines = 4
scenario = "none"
"""
NS = 1_000_000_000
START_NS = 1_763_776_800 * NS
"""2025-11-22 02:00:00 UTC."""
NUMBERS = ("13800138000", "02165039111", "95588", "5039", "01085039")


def record(data: Path, ledger: Ledger, place: int) -> Recording:
    """A recording of three seconds with a digit, as the engine would make it."""
    rng = random.Random(place)
    begun_ns = START_NS + place * 600 * NS
    anchor = Anchor(sample=0, utc_ns=begun_ns, boottime_ns=0, boot_id="test", synchronised=True)
    start = RecordingStart(
        handle=f"{rng.getrandbits(128):032x}", line=place % 4 + 1, line_name="", card="sim0", simulated=True,
        channel=place % 4, law="alaw", trigger=Trigger.VOLTAGE, first_sample=0, pre_roll_samples=0, utc_ns=begun_ns,
        trigger_detail={"volts": 8.6, "threshold_volts": 18.0}, utc_offset_s=28800, zone="Asia/Shanghai", run="test",
        anchor=anchor,
    )  # fmt: skip
    ledger.started(start)
    recording = OpenRecording.create(data, start)
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
    recording.append(g711.alaw_encode(tone.astype(np.int16)))
    recording.mark(Mark(id=1, kind="dtmf", start_sample=RATE, end_sample=RATE + 800, value="5"))
    recording.sync()
    end = RecordingEnd(
        stop_reason=StopReason.ON_HOOK, stop_detail={"volts": 47.9, "threshold_volts": 18.0, "release_ms": 400},
        direction=Direction.OUT, dialled=NUMBERS[place % len(NUMBERS)], call_class=CallClass.VOICE,
        class_confidence=0.97,
    )  # fmt: skip
    return ledger.sealed(recording.seal(end))


def stock(data: Path, recordings: int) -> list[Recording]:
    """Fills a data folder with recordings; the last of them goes to the trash."""
    ledger = Ledger.open(data, SystemClock(), random.Random(7))
    rows = [record(data, ledger, place) for place in range(recordings)]
    ledger.trash([rows[-1].handle], "user", "user:somebody")
    ledger.close()
    return rows


class Person(httpx.Client):
    """A browser without a screen: keeps its cookies and posts forms as one does."""

    def __init__(self, base: str) -> None:
        # A generous wait: the machine may be busy with other tests.
        super().__init__(base_url=base, timeout=30.0, headers={"Accept-Language": "en"})
        self.get("/", follow_redirects=True)

    def token(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/", follow_redirects=True).text)
        assert found is not None
        return found[1]

    def submit(self, path: str, fields: dict[str, str | list[str]] | None = None, **changed: str) -> httpx.Response:
        """Post a form of this page."""
        token = self.token()
        headers = {"Sec-Fetch-Site": "same-origin", "X-Form-Token": token, **changed}
        return self.post(path, data={"csrf": token, **(fields or {})}, headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return self.submit("/sign-in", {"name": name, "password": password})


@dataclass
class World:
    data: Path
    rows: list[Recording]
    box: Box
    page: Process
    base: str
    first: Person
    """Administrator and auditor."""
    administrator: Person
    auditor: Person
    setup_answers: dict[str, httpx.Response]
    visitors: list[Person]

    def someone(self) -> Person:
        """A browser that nobody has signed in with; closed with the world."""
        self.visitors.append(Person(self.base))
        return self.visitors[-1]


def start_page(data: Path) -> tuple[Process, str]:
    page = Process("-m", "web_admin", "--data", str(data), "--listen", "127.0.0.1:0")
    return page, "http:" + page.line("http:").rstrip("/")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("page") / "data"
    data.mkdir()
    rows = stock(data, 60)
    box = Box(data, CONFIGURATION)
    page, base = start_page(data)
    try:
        first, answers = set_up(base, box.daemon.line("setup code: "))
        people = []
        for role in ("administrator", "auditor"):
            made = first.submit("/system/people", {"name": f"{role}-only", "password": PASSWORD, role: "1"})
            assert made.status_code == 303, made.text
            people.append(Person(base))
            assert people[-1].sign_in(f"{role}-only").headers["location"] == "/lines"
        visitors = [first, *people]
        yield World(data, rows, box, page, base, first, people[0], people[1], answers, visitors)
        for person in visitors:
            person.close()
    finally:
        page.stop()
        box.stop()


def set_up(base: str, code: str) -> tuple[Person, dict[str, httpx.Response]]:
    """Makes the first account, after three attempts that must fail."""
    first = Person(base)
    form: dict[str, str | list[str]] = {
        "code": code, "name": "first", "password": PASSWORD, "again": PASSWORD, "administrator": "1", "auditor": "1",
    }  # fmt: skip
    answers = {
        "wrong code": first.submit("/setup", {**form, "code": "AAAA-AAAA-AAAA-AAAA"}),
        "common password": first.submit("/setup", {**form, "password": "Password2026!", "again": "Password2026!"}),
        "no administrator": first.submit("/setup", {key: text for key, text in form.items() if key != "administrator"}),
        "good": first.submit("/setup", form),
    }
    other = Person(base)
    answers["again"] = other.submit("/setup", form)
    other.close()
    return first, answers
