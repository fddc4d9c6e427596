"""The benchmark of who keeps the interpreter runs, tiny, and nothing keeps it for longer than is allowed."""

from pathlib import Path

from tests.bench.interpreter_bench import ALLOWED_MS, CONTROL, interpreter_figures


def test_neither_the_wizard_nor_the_search_for_copies_keeps_the_interpreter(tmp_path: Path) -> None:
    rows = {row["what"]: row for row in interpreter_figures(tmp_path, tiny=True)}
    control = rows.pop(CONTROL)
    assert control["held_ms"] > ALLOWED_MS, "the measure does not see what keeps the interpreter"
    assert len(rows) == 4
    assert {what: row["held_ms"] for what, row in rows.items() if row["held_ms"] > ALLOWED_MS} == {}
