"""The measured tables of docs/detectors.md, written between two marks by `make eval`."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tests.eval.report import PARTS, Part, Section, shown

ROOT = Path(__file__).parents[2]
DOCUMENT = Path("docs", "detectors.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

PREAMBLE = {
    "seen": "Thresholds were chosen on this half.",
    "unseen": "Other seeds, speakers, languages, tracks and parameters; nothing was chosen on it.",
}


def write(results: Mapping[tuple[Part, str], Section], scale: float = 1.0, document: Path = ROOT / DOCUMENT) -> None:
    """Puts the tables in the place of those that stand there. Raises ValueError for a document without the marks."""
    text = document.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise ValueError(f"{document}: {BEGIN} and {END} must stand in it once each. Remedy: put them where tables go.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    document.write_text(f"{before}{BEGIN}\n{measured(results, scale)}\n{END}{after}", encoding="utf-8")


def measured(results: Mapping[tuple[Part, str], Section], scale: float = 1.0) -> str:
    """The tables in Markdown, the unseen half first."""
    material = "" if scale >= 1 else f" Of the material about {scale:.0%} was used."
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {version()}, libspandsp 0.0.6 beside it, on {machine()}."
        + material,
        "",
    ]
    for part in reversed(PARTS):
        lines += [f"### Part {part}", "", PREAMBLE[part], ""]
        for (p, _), section in results.items():
            if p == part:
                lines += _section(section)
    return "\n".join(lines).rstrip()


def _section(section: Section) -> list[str]:
    lines = [f"#### {section.title}", "", "| what | aim | ours | libspandsp | cases | |", "|---|---|---|---|---|---|"]
    for row in section.rows:
        theirs = "" if row.spandsp is None else shown(row.spandsp, row.unit)
        verdict = {True: "met", False: "**missed**", None: ""}[row.met()]
        cells = (row.what, row.aim, shown(row.ours, row.unit), theirs, f"{row.cases:,}", verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, "", *[f"- {note}" for note in section.notes], *([""] if section.notes else [])]


def version() -> str:
    """The commit, with `-dirty` where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return f"version {told.stdout.strip()}" if told.returncode == 0 else "a copy without its history"


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"
