"""The benchmark runs, tiny, so that it cannot rot."""

from pathlib import Path

from tests.bench.recorder_bench import all_figures


def test_every_figure_is_there(tmp_path: Path) -> None:
    figures = all_figures(tmp_path / "bench", tiny=True)
    assert figures["rows"] == 2000
    numbers = [n for value in figures.values() for n in (value if isinstance(value, tuple) else (value,))]
    assert len(numbers) > 20 and all(n > 0 for n in numbers)
