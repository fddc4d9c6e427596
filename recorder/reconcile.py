"""Brings journal and catalogue in line with the files: the files are the truth.

Only folders whose modification time has changed since they were last looked through are read, so that a start with
years of recordings takes a moment. Open recordings are recovered; sealed files that the journal does not know are
entered; rows whose file is gone say so; a file whose destruction was journalled but interrupted goes. If more than
half of what is known would change, a disk is not mounted or a journal was lost: nothing is touched, and that is said.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from recorder import disk
from recorder import tables as tb
from recorder.errors import RecordingError
from recorder.model import Recording, State
from recorder.recovery import recover
from recorder.tables import Tables
from recorder.wav import RecordingFile, load, path_of, path_of_row, row_of

FEW = 10
"""So many changes are made without asking how large a part of all they are."""
_DAY_MS = 86_400_000
_ZONES_MS = 15 * 3_600_000
"""No zone is further from UTC."""


@dataclass(slots=True)
class Findings:
    """What a start found; the daemon turns it into alarms."""

    recovered: list[str] = field(default_factory=list)
    """Handles of recordings that were open."""
    found: list[str] = field(default_factory=list)
    """Handles of sealed files that the journal did not know, or that had been missing."""
    missing: list[str] = field(default_factory=list)
    """Handles whose file is gone."""
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    """Files that cannot be read or do not belong here, left as they are, each with what is wrong."""
    refused: str | None = None
    """Why nothing was mended."""
    rebuilt: str | None = None
    """Why the catalogue was made anew."""
    journal_cut_bytes: int = 0
    """A torn last group of the journal was cut: acts that had not been answered."""
    journal_broken: tuple[str, ...] = ()
    """Where the journal's chain was found broken (file and entry), as long as no alarm has told of it."""


@dataclass(slots=True)
class _Plan:
    new: list[tuple[RecordingFile, Recording, Recording | None]] = field(default_factory=list)
    """(file, its row, the row it had)."""
    gone: list[Recording] = field(default_factory=list)
    leftover: list[Path] = field(default_factory=list)
    looked: dict[bytes, int] = field(default_factory=dict)


def look(
    data: Path, txn: Any, tables: Tables, findings: Findings, progress: Callable[[int], None] | None = None
) -> _Plan:
    """Recovers what is open and says what journal and catalogue lack. Only reads the catalogue."""
    plan = _Plan()
    recovered: set[Path] = set()
    folders = _folders(data)
    for folder in folders:
        name = folder.relative_to(data).as_posix()
        if txn.get(name.encode(), db=tables["folders"]) == stamp_bytes(folder.stat().st_mtime_ns):
            continue
        recovered |= _recover_all(folder, findings)
        stamp = folder.stat().st_mtime_ns
        _look_through(folder, name, txn, tables, plan, findings)
        if not any(path.parent == folder for path, _ in findings.damaged):
            plan.looked[name.encode()] = stamp
        if progress is not None:
            progress(len(plan.new))
    there = {folder.relative_to(data).as_posix().encode() for folder in folders}
    for key, _ in txn.cursor(db=tables["folders"]):
        if key not in there:
            plan.gone += [tb.unpack(*row) for row in _rows_of(txn, tables, key.decode()) if _expects_file(row[1])]
    findings.recovered = [file.start.handle for file, _, _ in plan.new if file.path in recovered]
    return plan


def refusal(plan: _Plan, findings: Findings, total: int) -> str | None:
    """Why the plan must not be carried out; None if it may."""
    found = len(plan.new) - len(findings.recovered)
    if len(plan.gone) > FEW and 2 * len(plan.gone) > total:
        return (
            f"{len(plan.gone)} of {total} recordings have no file. Nothing was changed: is the disk of the recordings "
            "mounted? If they are really gone, `linekeep rebuild` enters that."
        )
    if found > FEW and 2 * found > total:
        return (
            f"{found} files are not in the journal, which knows {total}. Nothing was changed: was the journal lost or "
            "exchanged? Put it back, or let `linekeep rebuild` enter the files."
        )
    return None


def stamp_bytes(stamp: int) -> bytes:
    return stamp.to_bytes(8, "big")


def _folders(data: Path) -> list[Path]:
    return sorted(path for path in (data / "recordings").glob("[0-9]*/[0-9]*/[0-9]*") if path.is_dir())


def _recover_all(folder: Path, findings: Findings) -> set[Path]:
    recovered = set()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".events"):
            path = folder / name.replace(".events", ".wav")
            try:
                if recover(path) is not None:
                    recovered.add(path)
            except RecordingError as error:
                findings.damaged.append((path, str(error)))
    return recovered


def _look_through(folder: Path, name: str, txn: Any, tables: Tables, plan: _Plan, findings: Findings) -> None:
    """Compares names with rows; only files that no row has, or whose row says that they are gone, are opened."""
    left = {path_of_row(row.start_utc_ns, row.utc_offset_s, row.line, row.handle.hex()): (row_id, row)
            for row_id, row in _rows_of(txn, tables, name)}  # fmt: skip
    damaged = {path.name for path, _ in findings.damaged if path.parent == folder}
    for entry in sorted(os.listdir(folder)):
        known = left.pop(f"{name}/{entry}", None)
        if not entry.endswith(".wav") or entry in damaged:
            continue
        if known is None or known[1].state == State.MISSING:
            _take(folder / entry, f"{name}/{entry}", None if known is None else tb.unpack(*known), plan, findings)
        elif known[1].state == State.PURGED:
            plan.leftover.append(folder / entry)
    for path, row in left.items():
        if _expects_file(row[1]) and path.rpartition("/")[2] not in damaged:
            plan.gone.append(tb.unpack(*row))


def _take(path: Path, relative: str, row: Recording | None, plan: _Plan, findings: Findings) -> None:
    try:
        file: RecordingFile | None = load(path)
        if file is not None and not file.sealed:
            file = recover(path)
    except RecordingError as error:
        findings.damaged.append((path, str(error)))
        return
    if file is None:
        return
    if path_of(file.start).as_posix() != relative:
        findings.damaged.append(
            (path, f"{path}: a copy under another name, or renamed; recordings never move. Remove it or name it back.")
        )
        return
    plan.new.append((file, row_of(file, relative), row))


def _expects_file(row: tb.Row) -> bool:
    return row.state in (State.SEALED, State.TRASH)


def _rows_of(txn: Any, tables: Tables, folder: str) -> Iterator[tuple[int, tb.Row]]:
    """The rows whose file lies in a folder, each once."""
    year, month, day = (int(part) for part in folder.split("/")[1:])
    local_day = (date(year, month, day) - date(1970, 1, 1)).days
    start_ms = local_day * _DAY_MS
    cursor = txn.cursor(db=tables["rows"])
    done: list[tuple[int, int]] = []
    for shift, low, high in list(tb.shifts(txn, tables)):
        first = max(low, max(0, start_ms - _ZONES_MS + shift) << 16)
        last = min(high, (start_ms + _DAY_MS + _ZONES_MS + shift) << 16)
        if first <= last and cursor.set_range(tb.key(first)):
            for key, value in cursor:
                row_id = tb.unkey(key)
                if row_id > last:
                    break
                row = tb.decode_row(value)
                local_s = row.start_utc_ns // 1_000_000_000 + row.utc_offset_s
                if local_s // 86_400 == local_day and not any(a <= row_id <= b for a, b in done):
                    yield row_id, row
        done.append((first, last))


def remove_leftovers(plan: _Plan) -> None:
    for path in plan.leftover:
        disk.unlink(path)
        disk.sync_folder(path.parent)
