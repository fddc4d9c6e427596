"""Times as people say them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.cli import times

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=SHANGHAI)  # a Sunday


def begin(text: str, now: datetime = NOW) -> str:
    return times.utc_text(times.parse_when(text, now, end=False))


def end(text: str, now: datetime = NOW) -> str:
    return times.utc_text(times.parse_when(text, now, end=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-22T07:04:05.000Z"),
        ("today", "2026-11-21T16:00:00.000Z"),
        ("yesterday", "2026-11-20T16:00:00.000Z"),
        ("2026-11-22", "2026-11-21T16:00:00.000Z"),
        ("friday", "2026-11-19T16:00:00.000Z"),
        ("Sunday", "2026-11-21T16:00:00.000Z"),
        ("9:30", "2026-11-22T01:30:00.000Z"),
        ("14:30:15", "2026-11-22T06:30:15.000Z"),
        ("2026-11-22 14:30", "2026-11-22T06:30:00.000Z"),
        ("2026-11-22T14:30:00+09:00", "2026-11-22T05:30:00.000Z"),
        ("2026-11-22T14:30:00Z", "2026-11-22T14:30:00.000Z"),
        ("90m", "2026-11-22T05:34:05.000Z"),
        ("1h30m", "2026-11-22T05:34:05.000Z"),
        ("3d", "2026-11-19T07:04:05.000Z"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert begin(text) == expected


def test_a_day_ends_at_its_end() -> None:
    assert end("2026-11-22") == end("today") == begin("2026-11-23")
    assert end("14:30") == begin("14:30")


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "5", "14", "3x", "m", "--", "14:3"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"say .*yesterday"):
        times.parse_when(text, NOW, end=False)


def test_the_hour_that_occurs_twice_is_taken_whole() -> None:
    now = datetime(2026, 10, 26, 12, tzinfo=BERLIN)
    assert begin("2026-10-25 02:30", now) == "2026-10-25T00:30:00.000Z"
    assert end("2026-10-25 02:30", now) == "2026-10-25T01:30:00.000Z"


def test_a_day_with_a_clock_change_has_its_real_length() -> None:
    now = datetime(2026, 10, 26, 12, tzinfo=BERLIN)
    length = times.parse_when("2026-10-25", now, end=True) - times.parse_when("2026-10-25", now, end=False)
    assert length == 25 * 3600 * times.NS


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.booleans())
def test_what_is_shown_is_understood(moment: datetime, upper: bool) -> None:
    utc_ns = times.to_ns(moment.replace(tzinfo=UTC)) // 1_000_000 * 1_000_000
    for shown in (times.local_text(utc_ns, BERLIN), times.utc_text(utc_ns)):
        assert times.parse_when(shown, NOW, end=upper) == utc_ns


def test_durations() -> None:
    assert [times.parse_duration(text) for text in ("8h", "1h30m", "45s", "2.5", "1w")] == [
        28800, 5400, 45, 2.5, 604800,
    ]  # fmt: skip
    for text in ("", "8 hours", "h", "1h30", "-5s"):
        with pytest.raises(ValueError, match="is not a duration"):
            times.parse_duration(text)


def test_shown() -> None:
    noon = times.to_ns(datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert times.local_text(noon, BERLIN) == "2026-07-01T14:00:00.000+02:00"
    assert times.short_text(noon, BERLIN) == "2026-07-01 14:00:00"
    assert [times.clock_text(s) for s in (0, 7.4, 59.6, 751, 3723)] == ["0:00", "0:07", "1:00", "12:31", "1:02:03"]
    assert times.place_text(8000 * 62 + 2760) == "1:02.345"
    assert [times.offset_text(s) for s in (28800, -12600, 0)] == ["+08:00", "-03:30", "+00:00"]
    assert times.to_ns(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=1)) == 1000
