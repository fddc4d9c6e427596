"""`make bench`: what a channel costs, beside libspandsp doing the same job in the same run.

Prints the machine, then a table a subject; what a figure leaves out stands beside it. Nothing here passes or fails.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the daemon has it; before numpy is loaded

import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench import dsp_bench, path_bench, recorder_bench

out = Console(highlight=False)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    python = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, {python}"


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return "  ".join(f"{name} {shown(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return " / ".join(shown(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(title: str, rows: list[Mapping[str, Any]]) -> None:
    """One row a mapping; all have the keys of the first."""
    drawn = Table(title=title, title_justify="left")
    for name in rows[0]:
        drawn.add_column(str(name).replace("_", " "), justify="left" if name == "what" else "right")
    for row in rows:
        drawn.add_row(*(shown(value) for value in row.values()))
    out.print(drawn)


def main() -> None:
    out.print(f"[bold]{machine()}[/]")
    with tempfile.TemporaryDirectory(prefix="linekeep-bench-", dir=Path.cwd()) as folder:
        figures = dsp_bench.figures()
        table("G.711 (ns a sample)", figures["g711"])
        table("Detectors, CPU time", [figures["dtmf"], *figures["all_on"]])
        paths = path_bench.all_figures(Path(folder))
        table("The whole path with disk", [{"what": what, **row} for what, row in paths.items()])
        out.print(f"  {path_bench.LEFT_OUT}")
        records = recorder_bench.all_figures(Path(folder))
        table("Recorder and catalogue", [{"what": what, "figure": value} for what, value in records.items()])


main()
