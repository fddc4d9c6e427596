"""What each act of the journal does to the catalogue.

The same function serves the daemon as it works and a rebuild: an entry, its side record and the file that it names
give the same rows whenever they are applied. A recording whose file cannot be read keeps a row that says so.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from recorder import search
from recorder import tables as tb
from recorder.catalogue import find
from recorder.chain import Entry, Side
from recorder.errors import NotFoundError, RecordingError
from recorder.model import (
    Alarm,
    Copy,
    Direction,
    Operation,
    Recording,
    State,
    TrashState,
    Trigger,
    Unrecorded,
)
from recorder.model import CallClass as Class
from recorder.tables import Tables
from recorder.wav import load, path_of_row, row_of

UNTOLD = {"sealed", "found", "unrecorded", "alarm_again"}
"""Acts that are not listed as operations: the rows themselves tell them."""
LOOK_AGAIN = bytes(8)
"""A folder's stamp that reconciliation takes for changed."""
_decode_alarm = msgspec.msgpack.Decoder(Alarm).decode


def apply(
    txn: Any, tables: Tables, data: Path, entry: Entry, side: Side | None, fresh: Mapping[str, Recording]
) -> None:
    """Enters one entry. `fresh` holds rows of files that were sealed a moment ago and need not be read again."""
    match entry.act:
        case "sealed" | "found":
            _enter(txn, tables, data, entry, fresh.get(entry.handle or ""))
        case "trash":
            _change(txn, tables, entry, state=State.TRASH, trash=_trash_state(entry))
        case "undelete":
            _change(txn, tables, entry, state=State.SEALED, trash=None)
        case "purged" | "missing":
            _entomb(txn, tables, entry, side)
        case "note":
            _note(txn, tables, entry, side)
        case "tags":
            _tags(txn, tables, entry, side)
        case "link":
            _link(txn, tables, entry)
        case "unlink":
            _unlink(txn, tables, entry)
        case "unrecorded":
            interval = msgspec.convert(entry.detail, Unrecorded)
            at = tb.key(interval.from_utc_ns) + tb.key(entry.seq)
            txn.put(at, tb.encode(interval), db=tables["unrecorded"])
        case "alarm_open" | "alarm_again" | "alarm_ack" | "alarm_resolve":
            _alarm(txn, tables, entry)
    if entry.act not in UNTOLD:
        _tell(txn, tables, entry, side)


def sealed_detail(row: Recording) -> dict[str, Any]:
    """What the journal says of a sealed recording: enough for a row without its file, and nothing personal."""
    return {
        "id": row.id, "path": row.path, "line": row.line, "card": row.card, "simulated": row.simulated, "law": row.law,
        "start_utc_ns": row.start_utc_ns, "utc_offset_s": row.utc_offset_s, "samples": row.samples,
        "trigger": row.trigger.value, "audio_sha256": row.audio_sha256, "meta_sha256": row.meta_sha256,
    }  # fmt: skip


def _enter(txn: Any, tables: Tables, data: Path, entry: Entry, fresh: Recording | None) -> None:
    handle, told = entry.handle or "", entry.detail
    row = fresh
    if row is None:
        path = path_of_row(told["start_utc_ns"], told["utc_offset_s"], told["line"], handle)
        with suppress(RecordingError):
            file = load(data / path)
            if file.sealed and file.start.handle == handle:
                row = row_of(file, path)
    row = replace(row or _without_file(handle, told), id=told["id"])
    old = _row(txn, tables, handle) if txn.get(bytes.fromhex(handle), db=tables["handles"]) else None
    if old is not None:
        state = State.TRASH if old.trash else row.state
        row = replace(
            row, tags=old.tags, notes=old.notes, trash=old.trash, state=state, copy_of=old.copy_of, copies=old.copies
        )
    tb.put_row(txn, tables, row)
    txn.put(row.path.rpartition("/")[0].encode(), LOOK_AGAIN, db=tables["folders"], overwrite=False)
    txn.delete(bytes.fromhex(handle), db=tables["live"])


def _without_file(handle: str, told: dict[str, Any]) -> Recording:
    return Recording(
        id=told["id"], handle=handle, path=told["path"], state=State.MISSING, line=told["line"], line_name="",
        card=told["card"], simulated=told["simulated"], law=told["law"], start_utc_ns=told["start_utc_ns"],
        utc_offset_s=told["utc_offset_s"], samples=told["samples"], direction=Direction.UNKNOWN, number=None, name=None,
        call_class=Class.NONE, class_confidence=0.0, trigger=Trigger(told["trigger"]), stop_reason=None, gaps=0,
        gap_samples=0, dtmf="", answered=False, recovered=False, audio_sha256=told["audio_sha256"],
        meta_sha256=told["meta_sha256"],
    )  # fmt: skip


def _row(txn: Any, tables: Tables, handle: str | None) -> Recording | None:
    with suppress(NotFoundError):
        row = find(txn, tables, handle or "")
        return None if row.state is State.LIVE else row
    return None


def _change(txn: Any, tables: Tables, entry: Entry, **change: Any) -> None:
    row = _row(txn, tables, entry.handle)
    if row is not None:
        tb.put_row(txn, tables, replace(row, **change))


def _trash_state(entry: Entry) -> TrashState:
    until, reason = entry.detail["until_utc_ns"], entry.detail["reason"]
    return TrashState(since_utc_ns=entry.utc_ns, until_utc_ns=until, reason=reason, actor=entry.actor)


def _entomb(txn: Any, tables: Tables, entry: Entry, side: Side | None) -> None:
    """The row as it was when the file went; it now stands in the journal's side record."""
    state = State.PURGED if entry.act == "purged" else State.MISSING
    if side is None:
        _change(txn, tables, entry, state=state, number=None, name=None, dtmf="")
        return
    row = replace(msgspec.convert(side, Recording), state=state)
    tb.put_row(txn, tables, row)
    txn.put(row.path.rpartition("/")[0].encode(), LOOK_AGAIN, db=tables["folders"])


def _note(txn: Any, tables: Tables, entry: Entry, side: Side | None) -> None:
    row = _row(txn, tables, entry.handle)
    if row is None or side is None:
        return
    at = tb.key(row.id) + tb.key(entry.seq)
    txn.put(at, tb.encode((entry.utc_ns, entry.actor, side["text"])), db=tables["notes"])
    tb.change_words(txn, tables, row.id, [], [side["text"]])
    tb.put_row(txn, tables, replace(row, notes=row.notes + 1))


def _tags(txn: Any, tables: Tables, entry: Entry, side: Side | None) -> None:
    row = _row(txn, tables, entry.handle)
    if row is None:
        return
    tags = tuple(side["tags"]) if side else ()
    noted = [text for _, _, text, _ in search.notes_of(txn, tables, row.id)]
    tb.change_words(txn, tables, row.id, row.tags, [*tags, *noted])
    tb.put_row(txn, tables, replace(row, tags=tags))


def _link(txn: Any, tables: Tables, entry: Entry) -> None:
    """Both rows name each other, so that neither needs the other to be read."""
    row, principal = _row(txn, tables, entry.handle), _row(txn, tables, entry.detail["principal"])
    if row is None or principal is None or row.copy_of is not None:
        return
    tb.put_row(txn, tables, replace(row, copy_of=Copy(handle=principal.handle, line=principal.line)))
    copies = [*principal.copies, Copy(handle=row.handle, line=row.line)]
    copies.sort(key=lambda copy: (copy.line, copy.handle))
    tb.put_row(txn, tables, replace(principal, copies=tuple(copies)))


def _unlink(txn: Any, tables: Tables, entry: Entry) -> None:
    row, principal = _row(txn, tables, entry.handle), _row(txn, tables, entry.detail["principal"])
    if row is not None:
        tb.put_row(txn, tables, replace(row, copy_of=None))
    if principal is not None:
        left = tuple(copy for copy in principal.copies if copy.handle != entry.handle)
        tb.put_row(txn, tables, replace(principal, copies=left))


def _alarm(txn: Any, tables: Tables, entry: Entry) -> None:
    if entry.act == "alarm_open":
        alarm = msgspec.convert(
            {**entry.detail, "id": entry.seq, "raised_utc_ns": entry.utc_ns, "last_utc_ns": entry.utc_ns, "count": 1},
            Alarm,
        )
    else:
        data = txn.get(tb.key(entry.detail["alarm"]), db=tables["alarms"])
        if data is None:
            return
        alarm = _decode_alarm(data)
        match entry.act:
            case "alarm_again":
                alarm = replace(
                    alarm, last_utc_ns=entry.utc_ns, count=entry.detail["count"], values=entry.detail["values"]
                )
            case "alarm_ack":
                alarm = replace(alarm, acknowledged_utc_ns=entry.utc_ns, acknowledged_by=entry.actor)
            case _:
                alarm = replace(alarm, resolved_utc_ns=entry.utc_ns)
    if alarm.resolved_utc_ns is None:
        txn.put(tb.key(alarm.id), tb.encode(alarm), db=tables["alarms"])
    else:
        txn.delete(tb.key(alarm.id), db=tables["alarms"])
        txn.put(tb.key(alarm.id), tb.encode(alarm), db=tables["resolved_alarms"])


def _tell(txn: Any, tables: Tables, entry: Entry, side: Side | None) -> None:
    detail = entry.detail if side is None or entry.act in ("note", "purged", "missing") else entry.detail | side
    operation = Operation(
        seq=entry.seq, utc_ns=entry.utc_ns, act=entry.act, actor=entry.actor, handle=entry.handle, detail=detail
    )
    txn.put(tb.key(entry.seq), tb.encode(operation), db=tables["operations"])
    for handle in (entry.handle, entry.detail.get("principal")):
        if handle:
            txn.put(bytes.fromhex(handle), tb.key(entry.seq), db=tables["handle_operations"])
