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

from tests.bench import card_bench, dsp_bench, interpreter_bench, path_bench, recorder_bench

out = Console(highlight=False, width=118)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    python = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, {python}"


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return " / ".join(shown(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(title: str, rows: list[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """One row a mapping; `columns` are the keys shown and their heads."""
    drawn = Table(title=title, title_justify="left")
    for key, head in columns.items():
        drawn.add_column(head, justify="left" if key == "what" else "right")
    for row in rows:
        drawn.add_row(*(shown(row.get(key, "")) for key in columns))
    out.print(drawn)


def path_row(what: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    tick, sync = figures["tick_ms"], figures["sync_ms"]
    return {
        "what": what, **figures, "late": figures["late_ticks"] if figures["paced"] else "",
        "tick": (tick["p50"], tick["p99"], tick["p99.9"], tick["max"]), "sync": (sync["p50"], sync["max"]),
    }  # fmt: skip


def main() -> None:
    out.print(f"[bold]{machine()}[/]")
    with tempfile.TemporaryDirectory(prefix="linekeep-bench-", dir=Path.cwd()) as folder:
        figures = dsp_bench.figures()
        ours = {"ours_ns_a_sample": "ours", "spandsp_ns_a_sample": "libspandsp", "ratio": "times faster"}
        table("G.711, ns a sample", figures["g711"], {"what": "what", **ours})
        cores = {"ours_channels_a_core": "ours", "spandsp_channels_a_core": "libspandsp", "ratio": "ratio"}
        dtmf = {"what": "what", "channels": "channels", **cores}
        table("DTMF alone, channels a core (CPU time)", [figures["dtmf"]], dtmf)
        ticks = {"us_a_channel": "µs a channel", "tick_ms": "tick ms", "tick_ms_p50": "p50", "tick_ms_p99": "p99"}
        table("All detectors, mixed traffic, channels a core (CPU time)", figures["all_on"], {**dtmf, **ticks})
        out.print(f"  libspandsp does: {dsp_bench.SPANDSP_DOES}.")
        out.print(f"  ours alone does: {dsp_bench.SPANDSP_HAS_NOT}.")
        parts = {"what": "detector"} | {n: f"{n} channels" for n in figures["parts"][0] if n != "what"}
        table("The same by detector, µs a step of 20 ms", figures["parts"], parts)
        columns = {
            "channels": "channels", "us_a_tick": "µs a tick", "us_a_channel": "µs a channel",
            "system_calls": "system calls", "bytes_copied": "bytes", "python_us_a_tick": "in Python", "ratio": "ratio",
        }  # fmt: skip
        table("Reading a card, a tick (CPU time; sockets stand for channels)", [*card_bench.card_figures()], columns)
        paths = path_bench.all_figures(Path(folder))
        columns = {
            "what": "what", "channels_per_core": "channels a core", "core_percent": "% of a core",
            "tick": "tick ms p50 / p99 / p99.9 / max", "late": "late", "sync": "sync ms p50 / max",
        }  # fmt: skip
        table("The whole path with disk (CPU time)", [path_row(*item) for item in paths.items()], columns)
        out.print(f"  {path_bench.LEFT_OUT}")
        columns = {"what": "what", "held_ms": "least of the runs", "worst_ms": "greatest", "allowed_ms": "allowed"}
        held = interpreter_bench.interpreter_figures(Path(folder) / "held")
        table(
            "Longest wait of another thread for the interpreter, ms",
            [*held],
            {**columns, "cpu_ms": "CPU time of the act"},
        )
        records = recorder_bench.all_figures(Path(folder))
        table("Recorder and catalogue", [{"what": k, "figure": v} for k, v in records.items()], {
            "what": "what", "figure": "figure (searches: ms p50 / p99)",
        })  # fmt: skip


main()
