"""What the command prints: tables for people, tab-separated lines for pipes, JSON for programs.

Results go to standard output; remarks, errors and progress go to standard error. A table on a terminal is drawn by
rich, which honours NO_COLOR; into a pipe the same rows go as plain lines with tabs between and nothing wrapped or
cut. With `--json` a command prints one document, or one line a report where it is a stream.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from firmware.cli.errors import Failure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.table import Table

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    right: bool = False
    minor: bool = False
    """Left out on a terminal too narrow for the whole table."""
    text: bool = False
    """May go over several lines."""


@dataclass(frozen=True, slots=True)
class Output:
    json: bool
    terminal: bool = field(default_factory=lambda: sys.stdout.isatty())

    def document(self, value: Any) -> None:
        """The one JSON document of a command."""
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")

    def record(self, value: Any) -> None:
        """One line of a JSON stream, out at once."""
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
        sys.stdout.flush()

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], title: str = "") -> None:
        if self.terminal:
            console().print(rich_table(columns, list(rows), title))
            return
        self.line(*(column.title for column in columns))
        for row in rows:
            self.line(*row)

    def pairs(self, rows: Iterable[tuple[str, Cell]]) -> None:
        """Names and values, one a line; rows without a value are left out."""
        shown = [(name, value) for name, value in rows if value not in (None, "")]
        width = max((len(name) for name, _ in shown), default=0) if self.terminal else 0
        for name, value in shown:
            self.say(f"{name:<{width}}  {clean(value)}" if width else f"{name}\t{clean(value)}")

    def line(self, *cells: Cell) -> None:
        """Cells with tabs between."""
        self.say("\t".join(clean(cell) for cell in cells))

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def flush(self) -> None:
        sys.stdout.flush()

    def failure(self, failure: Failure) -> None:
        """What could not be done, where, and the remedy, on standard error; with `--json` one document there."""
        if self.json:
            error = {"code": failure.exit_code.name.lower(), "message": failure.message, "remedy": failure.remedy}
            self.remark(msgspec.json.encode({"error": error}).decode())
        else:
            self.remark(f"linekeep: {failure.message}\n  {failure.remedy}".rstrip())

    def remark(self, text: str) -> None:
        """For the person, beside the result: standard error."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")


def clean(cell: Cell) -> str:
    """A cell as text. What came in over a telephone line cannot drive the terminal or break the columns."""
    if cell is None:
        return ""
    return "".join(c if c.isprintable() else "�" for c in str(cell))


def rich_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], title: str = "") -> "Table":
    """The table as it fits: empty columns are left out, and minor ones, from the right, where it is narrow."""
    shown = [at for at in range(len(columns)) if not rows or any(row[at] not in (None, "") for row in rows)]
    minor = [at for at in shown if columns[at].minor]
    screen = console()
    table = _drawn(columns, rows, shown, title)
    while minor and screen.measure(table, options=screen.options.update(width=1000)).maximum > screen.width:
        shown.remove(minor.pop())
        table = _drawn(columns, rows, shown, title)
    return table


def _drawn(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], shown: Sequence[int], title: str) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in (columns[at] for at in shown):
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, overflow="fold", no_wrap=not column.text)
    for row in rows:
        table.add_row(*(Text(clean(row[at])) for at in shown))
    return table


def console(stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


class Progress:
    """A bar on standard error, where that is a terminal, for work that has taken longer than a second."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        self._bar: RichProgress | None = None

    def __enter__(self) -> "Progress":
        return self

    def at(self, done: int, total: int | None) -> None:
        if self._bar is None:
            if time.monotonic() - self._started < 1.0 or not sys.stderr.isatty():
                return
            self._begin()
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def _begin(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = RichProgress(*columns, console=console(stderr=True), transient=True)
        self._bar.add_task(self._what, total=None)
        self._bar.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
