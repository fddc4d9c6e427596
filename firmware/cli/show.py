"""One recording, whole: what it holds, why it started and stopped, what was done with it since."""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from firmware.cli.box import Box
from firmware.cli.errors import Exit
from firmware.cli.find import row_document
from firmware.cli.output import Cell, Column, Output
from firmware.cli.times import clock_text, local_text, place_text, short_text, utc_text
from recorder.model import Copy, Gap, Mark, Note, Operation, Recording, RecordingEnd, RecordingStart, State

if TYPE_CHECKING:
    from recorder.wav import RecordingFile

PLAIN_COLUMNS = 72
_MOST_OPERATIONS = 100


@dataclass(frozen=True, slots=True)
class Shown:
    row: Recording
    file: "RecordingFile | None"
    trouble: str
    """Why the file could not be read; empty where it could, or where it was purged."""
    copies: Sequence[Copy]
    notes: Sequence[Note]
    operations: Sequence[Operation]


def show(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """A recording whose file cannot be read is still shown from the catalogue, and the exit code says so."""
    with box.catalogue() as catalogue:
        row = box.resolve(catalogue, arguments.handle)
        copies, notes = catalogue.copies_of(row), catalogue.notes(row.handle)
        operations = catalogue.operations(row.handle, _MOST_OPERATIONS)
    file, trouble = _load(box, row)
    shown = Shown(row, file, trouble, copies, notes, operations)
    if out.json:
        out.document(_document(box, shown))
    else:
        _print(box, out, shown)
    if trouble:
        out.remark(f"linekeep: {trouble}")
    return Exit.DATA if trouble else Exit.OK


def _load(box: Box, row: Recording) -> tuple["RecordingFile | None", str]:
    from recorder import wav
    from recorder.errors import RecordingError

    if row.state is State.PURGED:
        return None, ""
    try:
        return wav.load(box.data / row.path), ""
    except RecordingError as error:
        return None, str(error)


def _document(box: Box, shown: Shown) -> dict[str, Any]:
    file = shown.file
    return {
        "recording": row_document(box, shown.row),
        "start": msgspec.to_builtins(file.start) if file else None,
        "end": msgspec.to_builtins(file.end) if file and file.end else None,
        "marks": [_mark_document(mark) for mark in file.marks] if file else [],
        "gaps": msgspec.to_builtins(list(file.gaps)) if file else [],
        "notes": [_timed(msgspec.to_builtins(note), note.utc_ns) for note in shown.notes],
        "operations": [_timed(msgspec.to_builtins(entry), entry.utc_ns) for entry in shown.operations],
        "waveform": _wave(file, PLAIN_COLUMNS),
        "trouble": shown.trouble or None,
    }


def _mark_document(mark: Mark) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(mark)
    end = {} if mark.end_sample is None else {"end_s": mark.end_sample / 8000}
    return {**fields, "start_s": mark.start_sample / 8000, **end}


def _timed(fields: dict[str, Any], utc_ns: int) -> dict[str, Any]:
    return {**fields, "utc": utc_text(utc_ns)}


def _wave(file: "RecordingFile | None", columns: int) -> str:
    from firmware.cli.waveform import waveform

    return waveform(file.peaks, columns) if file else ""


# For people ----------------------------------------------------------------------------------------------------------


def _print(box: Box, out: Output, shown: Shown) -> None:
    reasons = _reasons(shown.file.start, shown.file.end) if shown.file else ()
    out.pairs((*_facts(box, shown.row), *_copies(shown), *reasons))
    if shown.file:
        columns = min(shutil.get_terminal_size().columns - 1, 120) if out.terminal else PLAIN_COLUMNS
        out.say(f"\n{_wave(shown.file, columns)}")
        if shown.file.marks:
            out.say("")
            out.table(_MARKS, [_mark_row(mark) for mark in shown.file.marks])
        if shown.file.gaps:
            out.say("")
            out.table(_GAPS, [_gap_row(gap) for gap in shown.file.gaps])
    for note in shown.notes:
        out.say(f"\nnote by {note.actor}, {short_text(note.utc_ns, box.zone)}: ")
        for line in note.text.splitlines():
            out.line("  " + line)
    if shown.operations:
        out.say("")
        out.table(_OPERATIONS, [_operation_row(box, entry) for entry in shown.operations])


def _facts(box: Box, row: Recording) -> Iterator[tuple[str, Cell]]:
    yield "handle", row.handle
    yield "state", row.state + (" (recovered)" if row.recovered else "")
    yield (
        "line",
        f"{row.line} {row.line_name}".strip() + f", card {row.card}" + (" (simulated)" if row.simulated else ""),
    )
    yield "start", local_text(row.start_utc_ns, box.zone)
    yield "start UTC", utc_text(row.start_utc_ns)
    yield "length", f"{clock_text(row.duration_s)} ({row.samples} samples, {row.law})"
    yield "direction", str(row.direction) + (", answered" if row.answered else "")
    yield "number", " ".join(filter(None, (row.number, row.name)))
    yield "class", f"{row.call_class} ({row.class_confidence:.0%})" if row.class_confidence else str(row.call_class)
    yield "digits", row.dtmf
    yield "gaps", f"{row.gaps}, {row.gap_samples / 8000:.3f} s" if row.gaps else None
    yield "tags", ", ".join(row.tags)
    if row.trash:
        until = short_text(row.trash.until_utc_ns, box.zone)
        yield "trash", f"{row.trash.reason} ({row.trash.actor}), kept until {until}"
    yield "file", row.path
    yield "audio SHA-256", row.audio_sha256
    yield "metadata SHA-256", row.meta_sha256


def _copies(shown: Shown) -> Iterator[tuple[str, Cell]]:
    for copy in shown.copies:
        counts = shown.row.copy_of is not None and copy.handle == shown.row.copy_of.handle
        yield "same call", f"line {copy.line}, {copy.handle}" + (", which counts" if counts else "")


def _reasons(start: RecordingStart, end: RecordingEnd | None) -> Iterator[tuple[str, Cell]]:
    yield "started by", f"{start.trigger}{_detail(start.trigger_detail)}"
    if start.pre_roll_samples:
        yield "pre-roll", f"{start.pre_roll_samples / 8000:.2f} s"
    yield "continues", start.continues
    yield "clock", "synchronised" if start.anchor.synchronised else "not synchronised at the start"
    if end:
        yield "stopped by", f"{end.stop_reason}{_detail(end.stop_detail)}"


def _detail(detail: Mapping[str, Any]) -> str:
    words = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in detail.items()
    )
    return f" ({words})" if words else ""


_MARKS = (Column("at", True), Column("until", True), Column("mark"), Column("value", text=True), Column("sure", True))
_GAPS = (Column("gap at", True), Column("seconds", True), Column("reason"))
_OPERATIONS = (Column("when"), Column("act"), Column("by"), Column("detail", text=True))


def _mark_row(mark: Mark) -> tuple[Cell, ...]:
    until = None if mark.end_sample is None else place_text(mark.end_sample)
    return place_text(mark.start_sample), until, mark.kind, mark.value, f"{mark.confidence:.0%}"


def _gap_row(gap: Gap) -> tuple[Cell, ...]:
    return place_text(gap.start_sample), f"{gap.samples / 8000:.3f}", gap.reason


def _operation_row(box: Box, entry: Operation) -> tuple[Cell, ...]:
    return short_text(entry.utc_ns, box.zone), entry.act, entry.actor, _detail(entry.detail).strip(" ()")
