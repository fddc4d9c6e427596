"""Finding recordings: straight from the catalogue, so that it works with the daemon down."""

import argparse
import time
from typing import TYPE_CHECKING, Any

import msgspec

from firmware.cli.box import Box
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output
from firmware.cli.times import clock_text, local_text, parse_when, short_text, utc_text
from recorder.model import CallClass, Direction, Page, Query, Recording, State

if TYPE_CHECKING:
    from recorder.catalogue import Catalogue

PAGE_ROWS = 500
ENOUGH = 12
"""Digits of a handle that a table on a terminal shows."""
COLUMNS = (
    Column("start"), Column("line", True), Column("length", True), Column("dir"), Column("number"),
    Column("name", text=True), Column("class"), Column("digits", minor=True), Column("stopped by", minor=True),
    Column("gaps", True), Column("also on", True, minor=True), Column("handle"),
)  # fmt: skip


def search(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    query = _query(box, arguments)
    asked = {name: value for name, value in msgspec.to_builtins(query).items() if value not in (None, "", ())}
    with box.catalogue() as catalogue:
        box.operation("search", None, asked)
        rows, last = _pages(catalogue, query, arguments.limit)
    if out.json:
        shown = [row_document(box, row) for row in rows]
        out.document({"recordings": shown, "found": last.found, "capped": last.capped, "more": last.next is not None})
        return Exit.OK
    out.table(COLUMNS, [_row(box, row, out.terminal) for row in rows], title=f"times of {box.zone_name}")
    count = f"{last.found}{'+' if last.capped else ''}"
    out.remark(f"{len(rows)} of {count} found" + ("; --limit shows more" if last.next is not None else ""))
    return Exit.OK


def _query(box: Box, arguments: argparse.Namespace) -> Query:
    try:
        since = "today" if arguments.today else arguments.since
        now = box.now()
        return Query(
            since_utc_ns=None if since is None else parse_when(since, now, end=False),
            until_utc_ns=None if arguments.until is None else parse_when(arguments.until, now, end=True),
            lines=tuple(sorted(set(arguments.line))),
            number=arguments.number,
            direction=arguments.direction and Direction(arguments.direction),
            min_s=arguments.min,
            max_s=arguments.max,
            classes=tuple(CallClass(name) for name in arguments.classes),
            text=arguments.text,
            states=(State.TRASH,) if arguments.trash else (State.SEALED, State.LIVE),
            copies=arguments.copies or arguments.trash,
            limit=min(arguments.limit, PAGE_ROWS),
        )
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{error}.", "`linekeep search --help` shows examples.") from error


def _pages(catalogue: "Catalogue", query: Query, limit: int) -> tuple[list[Recording], Page]:
    """Rows up to the limit, and the last page: its `found` is that of the first."""
    first = page = catalogue.search(query)
    rows = list(page.rows)
    while page.next is not None and len(rows) < limit:
        narrowed = msgspec.structs.replace(query, before_id=page.next, limit=min(PAGE_ROWS, limit - len(rows)))
        page = catalogue.search(narrowed)
        rows.extend(page.rows)
    return rows, msgspec.structs.replace(page, found=max(first.found, len(rows)), capped=first.capped)


def _row(box: Box, row: Recording, short: bool) -> tuple[Cell, ...]:
    live = row.state is State.LIVE
    length_s = time.time() - row.start_utc_ns / 1e9 if live else row.duration_s
    return (
        short_text(row.start_utc_ns, box.zone), row.line, clock_text(length_s),
        "" if row.direction is Direction.UNKNOWN else str(row.direction), row.number, row.name,
        None if live and row.call_class is CallClass.NONE else str(row.call_class), row.dtmf,
        "recording" if live else str(row.stop_reason or ""),
        row.gaps or None, also_on(row), row.handle[:ENOUGH] if short else row.handle,
    )  # fmt: skip


def also_on(row: Recording) -> str:
    """The lines on which the same call was recorded too."""
    others = row.copies if row.copy_of is None else (row.copy_of,)
    return ", ".join(map(str, sorted({copy.line for copy in others})))


def row_document(box: Box, row: Recording) -> dict[str, Any]:
    """A catalogue row as JSON: the fields of docs/command.md, the id (which lives inside the box only) left out."""
    document: dict[str, Any] = msgspec.to_builtins(row)
    del document["id"]
    times = {"start_utc": utc_text(row.start_utc_ns), "start_local": local_text(row.start_utc_ns, box.zone)}
    return {**document, **times, "duration_s": row.duration_s}
