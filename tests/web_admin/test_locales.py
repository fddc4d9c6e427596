"""Both languages say the same things, and everything that is asked for is there."""

import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from firmware.alarms import KINDS
from recorder.model import CallClass, Direction, StopReason, Trigger
from recorder.verify import Finding
from web_admin import passwords
from web_admin.i18n import TABLES, Locale, negotiate
from web_admin.timeline import CATEGORIES

FOLDER = Path(__file__).parents[2] / "web_admin"
STATES = [
    "cut", "idle", "ringing", "seized", "dialling", "ringback", "talking", "on_hold", "fax", "modem", "disabled",
    "unusable",
]  # fmt: skip


def test_both_tables_have_the_same_keys_and_fields() -> None:
    english, chinese = TABLES["en"], TABLES["zh-CN"]
    assert set(english) == set(chinese)
    for key in english:
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", chinese[key])), key


def test_every_key_a_template_or_module_names_is_there() -> None:
    asked = set()
    for path in [*FOLDER.glob("templates/*.html"), *FOLDER.rglob("*.py")]:
        text = path.read_text("utf-8")
        asked |= set(re.findall(r"""\b(?:L\.)?t\(\s*"([a-z_.0-9]+)"\s*[,)]""", text))
        asked |= {f"{key}.other" for key in re.findall(r"""count\(\s*"([a-z_.]+)"\s*,""", text)}
        asked |= {f"error.{key}.title" for key in re.findall(r"""PageError\(\d+, "(\w+)\"""", text)}
        asked |= set(re.findall(r"""Flash\("([a-z_.]+)\"""", text))
        asked |= set(re.findall(r"""faults\["\w+"\] = "([a-z_.]+)\"""", text))
    assert len(asked) > 200
    assert asked <= set(TABLES["en"]), asked - set(TABLES["en"])


@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("state", STATES),
        ("class", CallClass),
        ("direction", Direction),
        ("why.started", Trigger),
        ("why.stopped", StopReason),
        ("started_by", Trigger),
        ("armed", ["voltage", "vox", "key", "always"]),
        ("category", CATEGORIES),
        ("verify", Finding),
        ("severity", ["critical", "major", "minor", "warning"]),
        ("gap", ["late", "overrun", "card", "writer", "disk", "data", "torn"]),
    ],
)
def test_closed_sets_have_a_word_each(prefix: str, values: list[str]) -> None:
    assert [value for value in values if f"{prefix}.{value}" not in TABLES["zh-CN"]] == []


def test_every_alarm_has_title_and_advice_in_both_languages() -> None:
    for code, kind in KINDS.items():
        assert TABLES["en"][f"alarm.{code}.title"] == kind.title
        assert TABLES["en"][f"alarm.{code}.advice"] == kind.advice
        assert re.search("[\u4e00-\u9fff]", TABLES["zh-CN"][f"alarm.{code}.title"]), code
        assert re.search("[\u4e00-\u9fff]", TABLES["zh-CN"][f"alarm.{code}.advice"]), code


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-GB,en;q=0.9", "en"),
        ("en;q=0.3, zh-TW;q=0.9", "zh-CN"),
        ("de, zh;q=0.1", "zh-CN"),
        ("zh;q=0, en;q=0.1", "en"),
        ("", "en"),
        ("*;q=x,;;", "en"),
    ],
)
def test_language_is_negotiated(header: str, language: str) -> None:
    assert negotiate(header) == language


def test_times_durations_and_sizes_follow_the_language() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    english, chinese = (Locale(one, shanghai, date(2025, 11, 22)) for one in ("en", "zh-CN"))
    moment = 1_763_776_800 * 10**9 + 120_000_000
    assert english.time(moment) == "Today 10:00:00"
    assert chinese.time(moment - 86400 * 10**9) == "昨天 10:00:00"
    assert english.time(moment - 5 * 86400 * 10**9) == "17 Nov 10:00:00"
    assert chinese.time(moment - 365 * 86400 * 10**9) == "2024年11月22日 10:00:00"
    assert english.exact(moment) == "2025-11-22 10:00:00.120 +08:00"
    # A recording keeps the offset of its own day, whatever the box's zone is now.
    assert english.exact(moment, -12600) == "2025-11-21 22:30:00.120 -03:30"
    assert [english.span(s) for s in (0.04, 7.25, 125, 3600, 100000)] == [
        "40 ms",
        "7.2 s",
        "2 min 5 s",
        "1 h",
        "1 d 3 h",
    ]
    assert chinese.span(125) == "2分5秒"
    assert [english.clock(s) for s in (7.9, 725, 3723)] == ["0:07", "12:05", "1:02:03"]
    assert english.size(84_300_000_000) == "84.3 GB"


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("elevenchars", "password.too_short"),
        ("x" * 129, "password.too_long"),
        ("abcabcabcabc", "password.repeats"),
        ("Password2026!", "password.common"),
        ("P@ssw0rd1234567", "password.common"),
        ("qwertyuiop123456", "password.common"),
        ("1qaz2wsx3edc", "password.common"),
        ("woaini1314520!", "password.common"),
        ("zhangwei123456", "password.has_name"),
        ("four old green lamps", None),
        ("绿色的旧台灯有四盏在走廊", None),
    ],
)
def test_common_passwords_are_refused(password: str, fault: str | None) -> None:
    assert passwords.fault(password, "zhangwei") == fault
