"""`make eval`, `python -m tests.eval [--part seen|unseen|both] [--scale X] [section ...]`.

Runs the sections in two processes, prints their tables, and, where all of them ran in full over both parts, writes
them into docs/detectors.md. It measures; nothing here passes or fails, but the missed aims are counted.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the daemon has it; before numpy is loaded

import argparse
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.eval import SECTIONS
from tests.eval.document import DOCUMENT, write
from tests.eval.report import PARTS, Part, Row, Section, shown
from tests.eval.run import Job, run

out = Console(highlight=False)


def table(section: Section, part: Part) -> Table:
    drawn = Table(title=f"{section.title} ({part})", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    drawn.add_column("what", overflow="fold")
    for head in ("aim", "ours", "libspandsp", "cases"):
        drawn.add_column(head, justify="right", no_wrap=True)
    drawn.add_column("", no_wrap=True)
    for row in section.rows:
        theirs = "" if row.spandsp is None else shown(row.spandsp, row.unit)
        drawn.add_row(row.what, row.aim, shown(row.ours, row.unit), theirs, f"{row.cases:,}", verdict(row))
    return drawn


def verdict(row: Row) -> Text:
    return {True: Text("met", "green"), False: Text("missed", "bold red"), None: Text("")}[row.met()]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.eval", description=__doc__)
    parser.add_argument("--part", choices=(*PARTS, "both"), default="both")
    parser.add_argument("--scale", type=float, default=1.0, help="of the material; 1 is all of it")
    parser.add_argument(
        "--write", action="store_true", help="into the document also what less material gave; it says so"
    )
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    arguments = parser.parse_args(words)
    if unknown := sorted(set(arguments.sections) - set(SECTIONS)):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    parts = PARTS if arguments.part == "both" else (arguments.part,)
    names = arguments.sections or SECTIONS
    results = run([(part, name) for name in names for part in parts], arguments.scale)
    for (part, _), section in results.items():
        out.print(table(section, part))
        for note in (*section.notes, *section.places):
            out.print(f"  {note}", style="dim", markup=False, soft_wrap=True)
        out.print()
    say_how_it_stands(results)
    if (arguments.scale >= 1 or arguments.write) and len(results) == len(SECTIONS) * len(PARTS):
        write(results, arguments.scale)
        out.print(f"Written into {DOCUMENT}.")
    else:
        out.print(f"Not written into {DOCUMENT}: that takes every section and both parts, at scale 1 or with --write.")
    return 0


def say_how_it_stands(results: dict[Job, Section]) -> None:
    for part in PARTS:
        verdicts = [row.met() for (p, _), section in results.items() if p == part for row in section.rows]
        aims = [met for met in verdicts if met is not None]
        if aims:
            out.print(f"[bold]{part}[/]: {sum(aims)} of {len(aims)} aims met")


if __name__ == "__main__":
    sys.exit(main())
