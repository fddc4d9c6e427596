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
from recorder.wav import RecordingFile, load, row_of

FEW = 10
"""So many changes are made without asking how large a part of all they are."""
_DAY_MS = 86_400_000


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
    for number, folder in enumerate(_folders(data)):
        name = folder.relative_to(data).as_posix().encode()
        if not folder.is_dir():
            plan.gone += [row for row in _rows_of(txn, tables, name.decode()) if _expects_file(row)]
            plan.looked[name] = 0
            continue
        if txn.get(name, db=tables["folders"]) == _stamp(folder):
            continue
        recovered |= _recover_all(folder, findings)
        stamp = folder.stat().st_mtime_ns
        _look_through(data, folder, txn, tables, plan, findings)
        if not any(path.parent == folder for path, _ in findings.damaged):
            plan.looked[name] = stamp
        if progress is not None and number % 10 == 0:
            progress(len(plan.new))
    vanished = [key for key, _ in txn.cursor(db=tables["folders"]) if not (data / key.decode()).is_dir()]
    for key in vanished:
        plan.gone += [row for row in _rows_of(txn, tables, key.decode()) if _expects_file(row)]
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


def _stamp(folder: Path) -> bytes:
    return stamp_bytes(folder.stat().st_mtime_ns)


def _folders(data: Path) -> Iterator[Path]:
    yield from sorted(path for path in (data / "recordings").glob("[0-9]*/[0-9]*/[0-9]*") if path.is_dir())


def _recover_all(folder: Path, findings: Findings) -> set[Path]:
    names = os.listdir(folder)
    sealed = {name[:-4] for name in names if name.endswith(".wav")}
    recovered = set()
    for name in sorted(names):
        if name.endswith(".events"):
            path = folder / name.replace(".events", ".wav")
            sealed.discard(path.stem)
            try:
                if recover(path) is not None:
                    recovered.add(path)
            except RecordingError as error:
                findings.damaged.append((path, str(error)))
    return recovered


def _look_through(
    data: Path, folder: Path, txn: Any, tables: Tables, plan: _Plan, findings: Findings
) -> None:  # fmt: skip
    name = folder.relative_to(data).as_posix()
    known = {row.path: row for row in _rows_of(txn, tables, name)}
    damaged = {path for path, _ in findings.damaged}
    present = set()
    for entry in sorted(os.listdir(folder)):
        path = folder / entry
        if not entry.endswith(".wav") or path in damaged:
            continue
        relative = path.relative_to(data)
        present.add(relative.as_posix())
        row = known.get(relative.as_posix())
        if row is None or row.state is State.MISSING:
            _take(path, relative, row, plan, findings)
        elif row.state is State.PURGED:
            plan.leftover.append(path)
    damaged_names = {path.relative_to(data).as_posix() for path in damaged if path.is_relative_to(data)}
    plan.gone += [
        row for path, row in known.items() if path not in present | damaged_names and _expects_file(row)
    ]  # fmt: skip


def _take(path: Path, relative: Path, row: Recording | None, plan: _Plan, findings: Findings) -> None:
    try:
        file: RecordingFile | None = load(path)
        if file is not None and not file.sealed:
            file = recover(path)
    except RecordingError as error:
        findings.damaged.append((path, str(error)))
        return
    if file is None:
        return
    entered = row_of(file, relative)
    if tb.unpack(0, tb.decode_row(tb.pack(entered))).path != relative.as_posix():
        findings.damaged.append(
            (path, f"{path}: a copy under another name, or renamed; recordings never move. Remove it or name it back.")
        )
        return
    plan.new.append((file, entered, row))


def _expects_file(row: Recording) -> bool:
    return row.state in (State.SEALED, State.TRASH)


def _rows_of(txn: Any, tables: Tables, folder: str) -> list[Recording]:
    """The rows whose file lies in a folder."""
    year, month, day = (int(part) for part in folder.split("/")[1:])
    start_ms = _days_from_civil(year, month, day) * _DAY_MS
    rows = []
    cursor = txn.cursor(db=tables["rows"])
    for shift, low, high in list(tb.shifts(txn, tables)):
        first = max(low, max(0, start_ms - _DAY_MS + shift) << 16)
        last = min(high, (start_ms + 2 * _DAY_MS + shift) << 16)
        if cursor.set_range(tb.key(first)):
            for key, value in cursor:
                if tb.unkey(key) > last:
                    break
                row = tb.unpack(tb.unkey(key), tb.decode_row(value))
                if row.path.startswith(folder + "/"):
                    rows.append(row)
    return list({row.id: row for row in rows}.values())


def _days_from_civil(year: int, month: int, day: int) -> int:
    return (date(year, month, day) - date(1970, 1, 1)).days


def remove_leftovers(plan: _Plan) -> None:
    for path in plan.leftover:
        disk.unlink(path)
        disk.sync_folder(path.parent)
