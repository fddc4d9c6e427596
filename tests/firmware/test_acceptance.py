"""The acceptance test's core: from what happens on a line to what is shown of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from firmware import acceptance
from firmware.acceptance import Heard, Line, LineTest, Outcome
from firmware.sheet.document import AlarmSheet, FindingSheet, LineSheet, judged
from firmware.sheet.sealed import Verdict

S = 1_000_000_000
LINE = Line(
    number=3, name="Front", card="card0", simulated=False, role="tap", kind="direct", armed="voltage",
    off_hook_volts=18.0, cut_volts=3.0,
)  # fmt: skip
HANDLE = "ab" * 16
HEARD = Heard(
    handle=HANDLE, finding="whole", samples=80_000, first_utc_ns=100 * S, pre_roll_samples=0, gaps=0, gap_samples=0,
    direction="out", dialled="62345678", caller="", stop_reason="on_hook", discarded=False, volts=8.0,
    threshold_volts=18.0, level_dbm0=-18.0, noise_dbm0=-58.0, audio_sha256="5d" * 32,
)  # fmt: skip


def snapshot(state: str, volts: float | None = 48.0) -> dict[str, Any]:
    return {"line": 3, "state": state, "volts": volts}


def called(test: LineTest, heard: Heard = HEARD, volts: float | None = 8.0, late_s: float = 0.1) -> LineTest:
    """A whole call: idle, seized, recorded, hung up; `late_s` from the hook to the report of the recording."""
    begun_ns = heard.first_utc_ns + round(late_s * S)
    test = acceptance.seen(test, snapshot("idle"))
    test = acceptance.seen(test, snapshot("seized", volts))
    test = acceptance.begun(test, heard.handle, begun_ns)
    test = acceptance.seen(test, snapshot("talking", volts))
    test = acceptance.closed(test, heard, begun_ns + heard.samples * S // 8000)
    return acceptance.seen(test, snapshot("idle"))


def told(test: LineTest) -> dict[str, tuple[Outcome, str]]:
    return {name: (result.outcome, result.reason) for name, result in test.results.items()}


def test_a_good_call_shows_everything_but_what_only_a_person_knows() -> None:
    test = called(LineTest(LINE, "62345678"))
    assert told(test) == {
        "connected": ("passed", "on_hook"), "lifted": ("passed", "recorded"), "digits": ("passed", "digits_agree"),
        "sound": ("passed", "in_range"), "sealed": ("passed", "whole"), "caller": ("not_done", "not_tried"),
    }  # fmt: skip
    assert (test.verdict, acceptance.complete(test)) == ("accepted", False)
    assert test.results["lifted"].values == {
        "latency_ms": 100.0, "volts": 8.0, "threshold_volts": 18.0, "cut_volts": 3.0
    }  # fmt: skip
    assert test.results["connected"].values["volts"] == 48.0


def test_a_call_that_came_in_adds_its_number_and_takes_nothing_away() -> None:
    test = called(LineTest(LINE, "62345678"))
    test = called(test, replace(HEARD, handle="cd" * 16, direction="in", dialled="", caller="13800138000"))
    assert told(test)["caller"] == ("passed", "number_shown")
    assert test.results["caller"].values == {"number": "•••••••8000"}
    assert told(test)["digits"] == ("passed", "digits_agree")
    assert acceptance.complete(test) and [one.handle for one in test.recordings] == [HANDLE, "cd" * 16]


CASES: list[tuple[str, dict[str, Any], dict[str, Any], Outcome, str]] = [
    # check, what the recording is, how it was called, outcome, reason
    ("lifted", {}, {"late_s": 2.1}, "failed", "late"),
    ("lifted", {"pre_roll_samples": 16_000, "samples": 96_000}, {"late_s": 2.1}, "passed", "recorded"),
    ("lifted", {}, {"volts": 15.1}, "failed", "volts_near"),
    ("lifted", {}, {"volts": 3.9}, "failed", "volts_cut"),
    ("lifted", {"volts": 16.0}, {"volts": None}, "failed", "volts_near"),
    ("lifted", {"volts": None}, {"volts": None}, "passed", "recorded"),
    ("digits", {"dialled": "62345679"}, {}, "failed", "digits_differ"),
    ("digits", {"dialled": ""}, {}, "not_done", "no_digits"),
    ("sound", {"level_dbm0": -35.1}, {}, "failed", "too_quiet"),
    ("sound", {"level_dbm0": -2.9}, {}, "failed", "too_loud"),
    ("sound", {"noise_dbm0": -44.9}, {}, "failed", "noisy"),
    ("sound", {"level_dbm0": None, "noise_dbm0": None}, {}, "not_done", "no_talk"),
    ("sealed", {"finding": "changed_audio"}, {}, "failed", "not_whole"),
    ("sealed", {"gaps": 1, "gap_samples": 160}, {}, "failed", "gaps"),
    ("sealed", {"stop_reason": "card"}, {}, "failed", "bad_end"),
    ("sealed", {"stop_reason": "silence"}, {}, "passed", "whole"),
    ("sealed", {"discarded": True}, {}, "failed", "discarded"),
    ("caller", {"direction": "in", "caller": ""}, {}, "not_done", "no_number"),
]


@pytest.mark.parametrize(("check", "change", "how", "outcome", "reason"), CASES)
def test_each_check_by_its_figures(
    check: str, change: dict[str, Any], how: dict[str, Any], outcome: Outcome, reason: str
) -> None:
    test = called(LineTest(LINE, "62345678"), replace(HEARD, **change), **how)
    assert told(test)[check] == (outcome, reason)
    assert test.verdict == {"failed": "not_accepted", "not_done": "incomplete", "passed": "accepted"}[outcome]


def test_a_recording_is_as_long_as_its_call() -> None:
    test = acceptance.begun(acceptance.seen(LineTest(LINE), snapshot("idle")), HANDLE, 100 * S)
    for seconds, outcome in ((10, "passed"), (12.9, "passed"), (13.1, "failed"), (6.9, "failed")):
        closed = acceptance.closed(test, HEARD, 100 * S + round(seconds * S))
        assert closed.results["sealed"].outcome == outcome, seconds


@pytest.mark.parametrize(
    ("line", "state", "volts", "outcome", "reason"),
    [
        (LINE, "idle", 48.0, "passed", "on_hook"),
        (LINE, "idle", 21.0, "passed", "on_hook"),
        (LINE, "idle", 20.9, "failed", "volts_near"),
        (LINE, "cut", 0.0, "failed", "cut"),
        (LINE, "unusable", None, "failed", "unusable"),
        (LINE, "disabled", None, "failed", "disabled"),
        (LINE, "talking", 8.0, "not_done", "in_use"),
        (LINE, "idle", None, "passed", "no_volts"),
        (replace(LINE, off_hook_volts=0.0, cut_volts=0.0), "idle", 48.0, "passed", "no_volts"),
        (replace(LINE, off_hook_volts=0.0, cut_volts=0.0), "talking", 1.0, "not_done", "not_tried"),
    ],
)
def test_what_an_idle_line_shows(line: Line, state: str, volts: float | None, outcome: Outcome, reason: str) -> None:
    assert told(acceptance.seen(LineTest(line), snapshot(state, volts)))["connected"] == (outcome, reason)


def test_a_line_that_is_mended_is_connected_again_and_no_failure_is_counted() -> None:
    test = acceptance.seen(acceptance.seen(LineTest(LINE), snapshot("cut", 0.0)), snapshot("idle"))
    assert told(test)["connected"] == ("passed", "on_hook") and test.results["connected"].failed_before == 0


def test_a_call_without_a_recording_is_a_failure_but_on_a_line_recorded_by_key() -> None:
    def used(line: Line) -> LineTest:
        test = LineTest(line)
        for state in ("idle", "seized", "dialling", "idle"):
            test = acceptance.seen(test, snapshot(state))
        return test

    assert told(used(LINE))["lifted"] == ("failed", "not_recorded")
    assert told(used(replace(LINE, armed="key")))["lifted"] == ("not_done", "armed_key")


def test_what_was_going_on_before_is_not_ours() -> None:
    """A call that ran when the test began, and a recording whose beginning was not seen, prove nothing."""
    test = acceptance.seen(LineTest(LINE), snapshot("talking", 8.0))
    test = acceptance.seen(acceptance.closed(test, HEARD, 110 * S), snapshot("idle"))
    assert told(test) == {"connected": ("passed", "on_hook")}
    assert test.verdict == "incomplete" and test.last is None


def test_the_last_call_counts_and_earlier_failures_are_told() -> None:
    test = LineTest(LINE, "62345678")
    for dialled in ("6", "62", "62345678"):
        test = called(test, replace(HEARD, dialled=dialled))
    assert told(test)["digits"] == ("passed", "digits_agree") and test.results["digits"].failed_before == 2
    # A call without digits says nothing of them.
    assert called(test, replace(HEARD, dialled="")).results["digits"] == test.results["digits"]
    worse = called(test, replace(HEARD, level_dbm0=-50.0))
    assert (worse.results["sound"].outcome, worse.verdict) == ("failed", "not_accepted")


@pytest.mark.parametrize(("yes", "outcome", "reason"), [(True, "passed", "said"), (False, "failed", "denied")])
def test_a_person_says_what_no_machine_knows(yes: bool, outcome: Outcome, reason: str) -> None:
    test = called(LineTest(LINE))
    assert told(test)["digits"] == ("not_done", "unconfirmed") and test.verdict == "incomplete"
    test = acceptance.answered(acceptance.answered(test, "digits", yes), "playback", yes)
    assert told(test)["digits"] == told(test)["playback"] == (outcome, reason)
    assert test.results["digits"].values == {"digits": "••••5678", "count": 8}
    assert test.verdict == ("accepted" if yes else "not_accepted")


@pytest.mark.parametrize(
    ("number", "text"), [("", ""), ("163", "163"), ("6234", "6234"), ("62345678", "••••5678"), ("*#", "*#")]
)
def test_of_a_number_its_end_is_shown(number: str, text: str) -> None:
    assert acceptance.shown(number) == text


# The box --------------------------------------------------------------------------------------------------------------


def line(number: int, verdict: Verdict) -> LineSheet:
    return LineSheet(
        line=number, name="", card="card0", simulated=False, role="tap", kind="direct", armed="voltage",
        off_hook_volts=18.0, cut_volts=3.0, verdict=verdict, checks=[], recordings=[],
    )  # fmt: skip


def alarm(severity: str, acknowledged: bool = False) -> AlarmSheet:
    return AlarmSheet(
        code="line_cut", severity=severity, object="line 8", title="cut", raised_utc_ns=0, acknowledged=acknowledged
    )


def finding(verdict: str) -> FindingSheet:
    return FindingSheet(what="ticks", verdict=verdict, figure="", remedy="")


@pytest.mark.parametrize(
    ("make", "verdict", "why"),
    [
        (lambda: judged([line(1, "accepted")], [finding("warn")], [alarm("minor")]), "accepted", []),
        (lambda: judged([], [], []), "incomplete", ["no_line "]),
        (
            lambda: judged([line(n, "incomplete") for n in (1, 2, 4)], [], []),
            "incomplete",
            ["lines_incomplete 1-2, 4"],
        ),
        (
            lambda: judged([line(1, "accepted"), line(2, "not_accepted"), line(3, "incomplete")], [], []),
            "not_accepted",
            ["lines_failed 2", "lines_incomplete 3"],
        ),
        (lambda: judged([line(1, "accepted")], [finding("bad")], []), "not_accepted", ["finding_bad ticks"]),
        (lambda: judged([line(1, "accepted")], [], [alarm("major")]), "not_accepted", ["alarm_open line_cut"]),
        (lambda: judged([line(1, "accepted")], [], [alarm("critical", acknowledged=True)]), "accepted", []),
    ],
)
def test_the_verdict_on_the_box(
    make: Callable[[], tuple[Verdict, list[Any]]], verdict: Verdict, why: list[str]
) -> None:
    found, reasons = make()
    assert (found, [f"{one.what} {one.which}" for one in reasons]) == (verdict, why)
