"""Alarms: one for each thing that is wrong, counted, open until it is over, and kept across a restart."""

import random
from typing import Any

import msgspec
import pytest

from firmware.alarms import KINDS, SEVERITIES, STORE_COUNT_NS, Alarms, codes
from firmware.clock import SampleClock
from firmware.wire import AlarmReport


class Kept:
    """Where alarms are kept and told: two lists."""

    def __init__(self, *known: AlarmReport) -> None:
        self.clock = SampleClock(1_700_000_000_000_000_000, "test")
        self.stored: list[AlarmReport] = []
        self.told: list[dict[str, Any]] = []
        self.alarms = Alarms(self.clock, random.Random(1), self.stored.append, self.told.append, known)


def test_every_code_says_what_to_do() -> None:
    assert len(codes()) == len(set(codes())) >= 14
    for kind in KINDS.values():
        assert kind.severity in SEVERITIES
        assert kind.title and kind.advice.endswith((".", "again."))


def test_a_condition_is_open_until_it_is_cleared() -> None:
    kept = Kept()
    kept.alarms.raise_("line_cut", "line 3", volts=0.0)
    kept.alarms.raise_("line_cut", "line 3", volts=0.1)
    kept.alarms.raise_("line_cut", "line 4", volts=0.0)
    (first, second) = sorted(kept.alarms.open(), key=lambda alarm: alarm.object)
    assert (first.object, first.count, first.values) == ("line 3", 1, {"volts": 0.1})
    assert first.id != second.id
    kept.alarms.acknowledge(first.id, "user:wang")
    assert kept.alarms.is_open("line_cut", "line 3")
    kept.clock.at_sample(8000)
    kept.alarms.clear("line_cut", "line 3")
    assert not kept.alarms.is_open("line_cut", "line 3")
    over = kept.stored[-1]
    assert (over.id, over.acknowledged_by) == (first.id, "user:wang")
    assert over.resolved_utc_ns == over.raised_utc_ns + 1_000_000_000
    kept.alarms.clear("line_cut", "line 3")
    assert len(kept.stored) == len(kept.told) == 4
    kept.alarms.raise_("line_cut", "line 3", volts=0.0)
    assert kept.stored[-1].id != first.id


def test_an_event_is_counted_and_over_when_a_person_has_seen_it() -> None:
    kept = Kept()
    for samples in range(100):
        kept.alarms.raise_("frames_lost", "card sim0", samples=samples)
    (alarm,) = kept.alarms.open()
    assert (alarm.count, alarm.values) == (100, {"samples": 99})
    assert len(kept.stored) == 1, "a burst is not a burst of writes"
    kept.clock.at_sample(STORE_COUNT_NS // 125_000)
    kept.alarms.raise_("frames_lost", "card sim0", samples=7)
    assert kept.stored[-1].count == 101
    kept.alarms.clear("frames_lost", "card sim0")
    assert kept.alarms.is_open("frames_lost", "card sim0")
    seen = kept.alarms.acknowledge(alarm.id, "console:root")
    assert seen is not None and seen.resolved_utc_ns == seen.acknowledged_utc_ns
    assert kept.alarms.open() == []
    assert kept.alarms.acknowledge(alarm.id, "console:root") is None


def test_the_gravest_comes_first_and_decides() -> None:
    kept = Kept()
    assert kept.alarms.counts().worst is None
    for code in ("clock_unsynchronised", "disk_full", "foreign_file", "line_cut"):
        kept.alarms.raise_(code, "it")
    assert [alarm.severity for alarm in kept.alarms.open()] == ["critical", "major", "minor", "warning"]
    counts = kept.alarms.counts()
    assert (counts.open, counts.unacknowledged, counts.worst) == (4, 4, "critical")


def test_what_was_open_is_open_after_a_restart() -> None:
    before = Kept()
    before.alarms.raise_("disk_low", "disk", free_mb=800)
    before.alarms.raise_("line_cut", "line 1")
    before.alarms.clear("line_cut", "line 1")
    from_disk = [msgspec.convert(msgspec.to_builtins(alarm), AlarmReport) for alarm in before.stored]
    after = Kept(*{alarm.id: alarm for alarm in from_disk}.values())
    after.alarms.raise_("disk_low", "disk", free_mb=700)
    (alarm,) = after.alarms.open()
    assert (alarm.id, alarm.code) == (before.stored[0].id, "disk_low")
    assert after.stored == []


def test_an_alarm_of_another_version_can_still_be_closed() -> None:
    old = AlarmReport(id="1", code="gone", severity="odd", object="x", values={}, title="", advice="", raised_utc_ns=1)
    kept = Kept(old)
    assert [alarm.id for alarm in kept.alarms.open()] == ["1"]
    kept.alarms.acknowledge("1", "console:root")
    assert kept.alarms.open() == []


def test_an_unknown_code_is_our_own_contradiction() -> None:
    with pytest.raises(KeyError):
        Kept().alarms.raise_("no_such_code", "box")
