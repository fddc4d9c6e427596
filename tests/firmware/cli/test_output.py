"""What is printed, by itself: plain tables, waveforms, cells that came in over a telephone line."""

import io

import numpy as np
import pytest

from firmware.cli import change
from firmware.cli.output import Column, Output, clean, rich_table
from firmware.cli.waveform import BARS, waveform

COLUMNS = (Column("name"), Column("count", True))


def test_a_table_in_a_pipe_is_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False, terminal=False).table(COLUMNS, [("x" * 300, 1), (None, 2.5)], title="not in a pipe")
    assert capsys.readouterr().out == f"name\tcount\n{'x' * 300}\t1\n\t2.5\n"


def test_a_table_on_a_terminal_has_its_title_and_no_markup() -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=60, no_color=True)
    console.print(rich_table(COLUMNS, [("[bold]x", 1)], title="times of UTC"))
    file = console.file
    assert isinstance(file, io.StringIO)
    shown = file.getvalue()
    assert "times of UTC" in shown and "[bold]x" in shown


def test_a_narrow_terminal_gets_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("line", True), Column("empty"), Column("minor", minor=True), Column("handle"))
    rows = [(1, None, "m" * 20, "h" * 12)]
    for width, heads in (("80", ["line", "minor", "handle"]), ("30", ["line", "handle"])):
        monkeypatch.setenv("COLUMNS", width)
        assert [column.header for column in rich_table(columns, rows).columns] == heads
    assert len(rich_table(columns, []).columns) >= 3


def test_a_callers_name_cannot_drive_the_terminal() -> None:
    assert clean("a\x1b[2Jb\tc\nd\u202e") == "a\ufffd[2Jb\ufffdc\ufffdd\ufffd"
    assert clean("守线 é") == "守线 é"


def test_pairs_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False, terminal=False).pairs([("a", 1), ("b", None), ("c", ""), ("d", 0)])
    assert capsys.readouterr().out == "a\t1\nd\t0\n"
    Output(json=False, terminal=True).pairs([("a", 1), ("long", "x")])
    assert capsys.readouterr().out == "a     1\nlong  x\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    Output(json=True, terminal=False).document({"name": "守线", "list": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"name": "守线", "list": [1, None]}


@pytest.mark.parametrize("columns", [1, 10, 72, 1000])
def test_a_waveform_shows_where_it_is_loud(columns: int) -> None:
    peaks = np.zeros((500, 2), np.int8)
    peaks[250:, 0] = -128
    drawn = waveform(peaks, columns)
    assert len(drawn) == min(columns, 500)
    half = len(drawn) // 2
    assert drawn[:half] == BARS[0] * half
    assert set(drawn[half + (len(drawn) % 2) :]) <= {BARS[-1]}


def test_a_waveform_of_nothing_is_empty() -> None:
    assert waveform(np.empty((0, 2), np.int8), 72) == ""


def test_an_alarm_on_a_narrow_screen_is_a_paragraph(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("24", "critical", "open", "2026-11-22 19:04:15", 3, "disk", "The disk is full.", "Make room at once; " * 5)
    change._say_alarm(Output(json=False, terminal=True), row)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "24  critical, open, disk, since 2026-11-22 19:04:15, 3 times"
    assert rest[0] == "    The disk is full."
    assert len(rest) == 3 and all(len(line) <= 60 for line in rest), rest
