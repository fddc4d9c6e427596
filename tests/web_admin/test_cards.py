"""What the System page says of cards and spans."""

import re
from dataclasses import fields
from html import unescape
from typing import get_args

import pytest

from cffi_bindings import dahdi
from firmware.cards.dahdi import Counts as DahdiCounts
from firmware.cards.synway import Counts as SynwayCounts
from firmware.config import LineKind, Role
from firmware.wire import AlarmReport, CardStatus, SpanStatus, numbered
from web_admin.i18n import Locale
from web_admin.render import fragment
from web_admin.routes.system import SHOWN_COUNTS, alarm_object

TAP = CardStatus(
    name="tap0", kind="dahdi", simulated=False, law="alaw", lines=4, state="running", volts=[0.2, 48.6],
    driver="DAHDI 2.11.1", counts={"overruns": 0, "lost_interrupts": 2, "lost_samples": 9, "calls_of_tick": 5},
    spans=[SpanStatus(number=1, name="WCTDM/0", type="FXO", lines=[1, 2, 3, 4])],
)  # fmt: skip
E1 = CardStatus(
    name="e1", kind="dahdi", simulated=False, law="alaw", lines=30, state="running", down=list(range(5, 35)),
    driver="DAHDI 2.11.1", gaps=30, lost_samples=24000,
    spans=[SpanStatus(number=2, name="WCT1/0", type="E1", alarms=["red", "los"], interrupts_missed=7,
                      lines=list(range(5, 35)))],
)  # fmt: skip
SYNWAY = CardStatus(name="shd0", kind="synway", simulated=False, law="alaw", lines=8, state="alarm")


def said(language: str, *cards: CardStatus) -> str:
    """The text of the cards' section."""
    locale = Locale(language)
    values = {"t": locale.t, "L": locale, "cards": list(cards), "numbered": numbered, "shown_counts": SHOWN_COUNTS}
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", fragment("cards.html", values))).split())


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("0–49 V", "Nothing from lines 5-34", "red alarm · no signal", "interrupts lost 2", "3.0 s")),
        ("zh-CN", ("0–49 V", "线路 5-34 没有信号", "红告警 · 无信号", "中断丢失 2", "3.0秒")),
    ],
)
def test_spans_alarms_gaps_and_volts_are_there(language: str, words: tuple[str, ...]) -> None:
    text = said(language, TAP, E1)
    assert [word for word in (*words, "DAHDI 2.11.1", "WCTDM/0", "1-4") if word not in text] == []
    assert "calls_of_tick" not in text, "which is no fault"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "declared from public documentation, not yet run on a real card"),
        ("zh-CN", "依公开文档声明，尚未在真卡上运行"),
    ],
)
def test_a_synway_card_says_that_it_was_never_run(language: str, words: str) -> None:
    assert words in said(language, SYNWAY)
    assert words not in said(language, TAP)


@pytest.mark.parametrize(
    ("object_", "english", "chinese"),
    [
        ("card e1-east", "card e1-east", "板卡 e1-east"),
        ("line 3", "line 3", "线路 3"),
        ("disk", "disk", "磁盘"),
        ("2025/11/22/odd file.wav", "2025/11/22/odd file.wav", "2025/11/22/odd file.wav"),
    ],
)
def test_what_an_alarm_is_about_is_said_in_the_visitor_s_language(object_: str, english: str, chinese: str) -> None:
    alarm = AlarmReport(
        id="1", code="x", severity="minor", object=object_, values={}, title="", advice="", raised_utc_ns=0
    )
    assert (alarm_object(alarm, Locale("en")), alarm_object(alarm, Locale("zh-CN"))) == (english, chinese)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_figure_and_alarm_of_the_cards_has_its_word(language: str) -> None:
    locale = Locale(language)
    kept = {field.name for counts in (DahdiCounts, SynwayCounts) for field in fields(counts)}
    no_faults = {"lost_samples", "calls_of_tick", "digits"}
    assert kept - no_faults == set(SHOWN_COUNTS)
    assert [name for name in SHOWN_COUNTS if not locale.has(f"card_count.{name}")] == []
    alarms = dahdi.alarms(sum(1 << bit for bit in range(16)))
    assert len(alarms) == 9
    assert [name for name in alarms if not locale.has(f"span_alarm.{name}")] == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_kind_and_role_of_a_line_has_its_word(language: str) -> None:
    locale = Locale(language)
    for prefix, names in (("line_kind", get_args(LineKind)), ("line_role", get_args(Role))):
        assert [name for name in names if locale.word(prefix, name) == name] == []
