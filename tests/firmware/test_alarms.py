"""Alarms: one for each thing that is wrong, counted, open until it is over, kept in the journal of a real ledger."""

import random
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from firmware.alarms import KINDS, SEVERITIES, Alarms, codes
from firmware.clock import NS, SampleClock
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger
from recorder.model import Alarm, Severity


class Kept:
    """Alarms over a ledger whose work is done at once, or refused."""

    def __init__(self, data: Path) -> None:
        self.clock = SampleClock(1_700_000_000 * NS, "test")
        self.ledger = Ledger.open(data, self.clock, random.Random(1))
        self.told: list[dict[str, Any]] = []
        self.jobs = 0
        self.broken = False
        self.alarms = Alarms(self.clock, self.submit, self.told.append, self.ledger.catalogue.alarms(0))

    def submit(self, act: Any, /, *, alone: bool = False) -> "Future[Alarm | None]":
        self.jobs += 1
        future: Future[Alarm | None] = Future()
        if self.broken:
            future.set_exception(OSError(28, "No space left on device"))
        else:
            future.set_result(act(self.ledger))
        return future

    @property
    def catalogue(self) -> Catalogue:
        return self.ledger.catalogue

    def later(self, seconds: float) -> None:
        self.clock.at_sample(self.clock.monotonic_ns() * 8 // 1_000_000 + round(seconds * 8000))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.ledger.close()


def test_every_code_says_what_to_do() -> None:
    assert len(codes()) == len(set(codes())) >= 14
    for kind in KINDS.values():
        assert kind.severity in SEVERITIES
        assert kind.title
        assert kind.advice.endswith(".")


def test_a_condition_is_open_until_it_is_cleared(kept: Kept) -> None:
    kept.alarms.raise_("line_cut", "line 3", volts=0.0)
    kept.alarms.raise_("line_cut", "line 3", volts=0.1)
    kept.alarms.raise_("line_cut", "line 4", volts=0.0)
    first, second = sorted(kept.alarms.open(), key=lambda alarm: alarm.object)
    assert (first.object, first.count, first.values) == ("line 3", 1, {"volts": 0.1})
    assert first.id != second.id
    assert {str(alarm.id) for alarm in kept.catalogue.alarms(0)} == {first.id, second.id}
    kept.alarms.acknowledge(first.id, "user:wang")
    assert kept.alarms.is_open("line_cut", "line 3")
    kept.later(1)
    kept.alarms.clear("line_cut", "line 3")
    assert not kept.alarms.is_open("line_cut", "line 3")
    (over,) = [alarm for alarm in kept.catalogue.alarms() if alarm.resolved_utc_ns]
    assert (str(over.id), over.acknowledged_by) == (first.id, "user:wang")
    assert over.resolved_utc_ns == over.raised_utc_ns + NS
    assert [event["alarm"].id for event in kept.told] == [first.id, second.id, first.id, first.id]
    kept.alarms.clear("line_cut", "line 3")
    assert kept.jobs == len(kept.told) == 4
    kept.alarms.raise_("line_cut", "line 3", volts=0.0)
    assert kept.told[-1]["alarm"].id not in (first.id, second.id)


def test_an_event_is_counted_once_a_second_and_over_when_a_person_has_seen_it(kept: Kept) -> None:
    for samples in range(100):
        kept.alarms.raise_("frames_lost", "card sim0", samples=samples)
    (alarm,) = kept.alarms.open()
    assert (alarm.count, alarm.values) == (1, {"samples": 99})
    assert kept.jobs == 1, "a burst is not a burst of writes"
    kept.later(1)
    kept.alarms.raise_("frames_lost", "card sim0", samples=7)
    assert kept.alarms.open()[0].count == kept.catalogue.alarms(0)[0].count == 2
    kept.alarms.clear("frames_lost", "card sim0")
    assert kept.alarms.is_open("frames_lost", "card sim0")
    seen = kept.alarms.acknowledge(alarm.id, "console:root")
    assert seen is not None
    assert seen.resolved_utc_ns == seen.acknowledged_utc_ns
    assert kept.alarms.open() == []
    assert kept.catalogue.alarms(0) == []
    assert kept.alarms.acknowledge(alarm.id, "console:root") is None


def test_the_gravest_comes_first_and_decides(kept: Kept) -> None:
    assert kept.alarms.counts().worst is None
    for code in ("clock_unsynchronised", "disk_full", "foreign_file", "line_cut"):
        kept.alarms.raise_(code, "it")
    assert [alarm.severity for alarm in kept.alarms.open()] == ["critical", "major", "minor", "warning"]
    counts = kept.alarms.counts()
    assert (counts.open, counts.unacknowledged, counts.worst) == (4, 4, "critical")


def test_what_was_open_is_open_after_a_restart(tmp_path: Path) -> None:
    before = Kept(tmp_path)
    before.alarms.raise_("disk_low", "disk", free_mb=800)
    before.alarms.raise_("line_cut", "line 1")
    before.alarms.clear("line_cut", "line 1")
    (alarm,) = before.alarms.open()
    before.ledger.close()
    after = Kept(tmp_path)
    after.alarms.raise_("disk_low", "disk", free_mb=700)
    (again,) = after.alarms.open()
    assert (again.id, again.code, again.values) == (alarm.id, "disk_low", {"free_mb": 700})
    assert after.jobs == 0
    after.ledger.close()


def test_conditions_of_the_run_before_end_when_nobody_meets_them_again(tmp_path: Path) -> None:
    before = Kept(tmp_path)
    for code, thing in (("disk_full", "disk"), ("line_cut", "line 1"), ("line_cut", "line 2"), ("recovered", "it")):
        before.alarms.raise_(code, thing)
    before.ledger.close()
    after = Kept(tmp_path)
    after.alarms.raise_("line_cut", "line 2")
    after.alarms.settle()
    assert {(alarm.code, alarm.object) for alarm in after.alarms.open()} == {
        ("line_cut", "line 2"),
        ("recovered", "it"),
    }
    assert len(after.catalogue.alarms(0)) == 2
    after.ledger.close()


def test_an_alarm_that_the_ledger_cannot_take_is_told_and_handed_in_again(kept: Kept) -> None:
    kept.broken = True
    kept.alarms.raise_("disk_full", "disk", free_mb=1)
    assert kept.told[-1]["alarm"].code == "disk_full"
    assert kept.alarms.is_open("disk_full", "disk")
    assert kept.catalogue.alarms(0) == []
    kept.broken = False
    kept.later(1)
    kept.alarms.raise_("disk_full", "disk", free_mb=1)
    (entered,) = kept.catalogue.alarms(0)
    assert [alarm.id for alarm in kept.alarms.open()] == [str(entered.id)]
    kept.later(1)
    kept.alarms.raise_("disk_full", "disk", free_mb=1)
    assert kept.jobs == 2


def test_an_alarm_of_another_version_can_still_be_closed(tmp_path: Path) -> None:
    before = Kept(tmp_path)
    before.ledger.alarm_raise("gone", Severity.MINOR, "x")
    before.ledger.close()
    after = Kept(tmp_path)
    (alarm,) = after.alarms.open()
    after.alarms.acknowledge(alarm.id, "console:root")
    assert after.alarms.open() == []
    assert after.catalogue.alarms(0) == []
    after.ledger.close()


def test_an_unknown_code_is_our_own_contradiction(kept: Kept) -> None:
    with pytest.raises(KeyError):
        kept.alarms.raise_("no_such_code", "box")
