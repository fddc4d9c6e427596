"""The catalogue's tables: what their keys and values are, and how a row gets into and out of its indexes.

A row's key is 64 bits, big-endian: 48 bits of milliseconds and 16 that tell rows of one millisecond apart, so that
the order of keys is the order of starts. The indexes are LMDB's sorted duplicates: one key (a line, a number, a word)
with the ids of its rows as values, so that newest first is the last duplicate backwards and an intersection is a
matter of seeking. Numbers are looked for among the distinct ones: the index's own keys give exact and prefix,
`reversed` holds them backwards for suffixes, and `packed` holds them in blocks that are scanned for any part.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import lmdb
import msgspec

from recorder.model import CallClass, Copy, Direction, Recording, State, StopReason, TrashState, Trigger
from recorder.wav import path_of_row

ID_MAX = (1 << 64) - 1
_ID = struct.Struct(">Q")
_DAY = struct.Struct(">qq")
_RANGE = struct.Struct(">QQ")
SHORT = (5, 3)
"""Lengths of the beginnings of a number that have an index of their own."""
PACKED_BYTES = 3000
"""A block of `packed` stays below LMDB's page, so that a new number rewrites one page."""

PLAIN = (
    "meta", "rows", "handles", "live", "reversed", "packed", "notes", "operations", "alarms", "resolved_alarms",
    "unrecorded", "days", "shifts", "folders",
)  # fmt: skip
POSTINGS = ("line", "number", "prefix", "class", "direction", "state", "word", "copies", "handle_operations")


class Tables:
    """Handles of the named databases of one environment."""

    def __init__(self, env: lmdb.Environment, *, create: bool) -> None:
        self._all = {name: env.open_db(name.encode(), create=create) for name in PLAIN}
        for name in POSTINGS:
            self._all[name] = env.open_db(name.encode(), create=create, dupsort=True, dupfixed=True, integerdup=False)

    def __getitem__(self, name: str) -> Any:
        return self._all[name]


class Tested(msgspec.Struct, array_like=True, frozen=True):
    """The beginning of a packed row: what a search looks at. The rest need not be read to pass it over."""

    state: str
    line: int
    start_utc_ns: int
    samples: int
    direction: str
    number: str | None
    call_class: str
    copy_of: tuple[bytes, int] | None


class Row(Tested, array_like=True, frozen=True):
    """A recording as it is packed: what the key and the path's rule do not say."""

    handle: bytes
    line_name: str
    card: str
    simulated: bool
    law: str
    utc_offset_s: int
    name: str | None
    class_confidence: float
    trigger: str
    stop_reason: str | None
    gaps: int
    gap_samples: int
    dtmf: str
    answered: bool
    recovered: bool
    tags: tuple[str, ...]
    notes: int
    audio_sha256: bytes
    meta_sha256: bytes
    trash: tuple[int, int, str, str] | None
    copies: tuple[tuple[bytes, int], ...]


encode = msgspec.msgpack.Encoder().encode
decode_row = msgspec.msgpack.Decoder(Row).decode
decode_tested = msgspec.msgpack.Decoder(Tested).decode


def key(row_id: int) -> bytes:
    return _ID.pack(row_id)


def unkey(data: bytes) -> int:
    return int(_ID.unpack(data)[0])


def pack(row: Recording) -> bytes:
    trash = row.trash
    return encode(
        Row(
            row.state, row.line, row.start_utc_ns, row.samples, row.direction, row.number, row.call_class,
            None if row.copy_of is None else _packed(row.copy_of),
            bytes.fromhex(row.handle), row.line_name, row.card, row.simulated, row.law, row.utc_offset_s, row.name,
            row.class_confidence, row.trigger, row.stop_reason, row.gaps, row.gap_samples, row.dtmf, row.answered,
            row.recovered, row.tags, row.notes, bytes.fromhex(row.audio_sha256), bytes.fromhex(row.meta_sha256),
            None if trash is None else (trash.since_utc_ns, trash.until_utc_ns, trash.reason, trash.actor),
            tuple(map(_packed, row.copies)),
        )
    )  # fmt: skip


def _packed(copy: Copy) -> tuple[bytes, int]:
    return bytes.fromhex(copy.handle), copy.line


def _copy(packed: tuple[bytes, int]) -> Copy:
    return Copy(handle=packed[0].hex(), line=packed[1])


def unpack(row_id: int, row: Row) -> Recording:
    handle = row.handle.hex()
    return Recording(
        id=row_id, handle=handle, path=path_of_row(row.start_utc_ns, row.utc_offset_s, row.line, handle),
        state=State(row.state), line=row.line, line_name=row.line_name, card=row.card, simulated=row.simulated,
        law=row.law, start_utc_ns=row.start_utc_ns, utc_offset_s=row.utc_offset_s, samples=row.samples,
        direction=Direction(row.direction), number=row.number, name=row.name, call_class=CallClass(row.call_class),
        class_confidence=row.class_confidence, trigger=Trigger(row.trigger),
        stop_reason=None if row.stop_reason is None else StopReason(row.stop_reason), gaps=row.gaps,
        gap_samples=row.gap_samples, dtmf=row.dtmf, answered=row.answered, recovered=row.recovered, tags=row.tags,
        notes=row.notes, audio_sha256=row.audio_sha256.hex(), meta_sha256=row.meta_sha256.hex(),
        trash=None if row.trash is None else TrashState(
            since_utc_ns=row.trash[0], until_utc_ns=row.trash[1], reason=row.trash[2], actor=row.trash[3]
        ),
        copy_of=None if row.copy_of is None else _copy(row.copy_of), copies=tuple(map(_copy, row.copies)),
    )  # fmt: skip


_LATIN = re.compile(r"[^\W_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_CJK = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")


def words(text: str) -> set[bytes]:
    """Index keys of a text: words of letters and digits in lower case; single characters and pairs of CJK runs."""
    found = {word.encode()[:200] for word in _LATIN.findall(text.lower())}
    for run in _CJK.findall(text):
        found.update(char.encode() for char in run)
        found.update(run[at : at + 2].encode() for at in range(len(run) - 1))
    return found


def wanted(text: str) -> tuple[list[bytes], list[str]]:
    """What a search for `text` seeks in the index, and the CJK runs that must then stand in the text as they are."""
    keys = {word.encode()[:200] for word in _LATIN.findall(text.lower())}
    runs = _CJK.findall(text)
    for run in runs:
        keys.update([run.encode()] if len(run) == 1 else [run[at : at + 2].encode() for at in range(len(run) - 1)])
    return sorted(keys), [run for run in runs if len(run) > 2]


def number_key(number: str) -> bytes:
    return number.encode()[:200]


def line_key(line: int) -> bytes:
    return line.to_bytes(4, "big")


def day_key(row: Recording) -> bytes:
    """Local date at the start, as days since 1970."""
    local_s = row.start_utc_ns // 1_000_000_000 + row.utc_offset_s
    return (local_s // 86_400).to_bytes(4, "big", signed=False)


def index_keys(row: Recording) -> Iterator[tuple[str, bytes]]:
    """All postings of a row but its words."""
    yield "line", line_key(row.line)
    yield "class", row.call_class.encode()
    yield "direction", row.direction.encode()
    yield "state", row.state.encode()
    if row.number:
        number = number_key(row.number)
        yield "number", number
        for length in SHORT:
            if len(number) >= length:
                yield "prefix", number[:length]
    if row.copy_of is not None:
        yield "copies", bytes.fromhex(row.copy_of.handle)


def put_row(txn: Any, tables: Tables, row: Recording) -> None:
    """Enters a row or replaces the one with its id, with all its indexes and sums."""
    row_key = key(row.id)
    old_data = txn.get(row_key, db=tables["rows"])
    old = unpack(row.id, decode_row(old_data)) if old_data else None
    before = set(index_keys(old)) if old else set()
    after = set(index_keys(row))
    for table, value in before - after:
        txn.delete(value, row_key, db=tables[table])
    for table, value in after - before:
        if table == "number":
            _new_number(txn, tables, value)
        put_newest(txn, value, row_key, tables[table])
    put_newest(txn, row_key, pack(row), tables["rows"])
    txn.put(bytes.fromhex(row.handle), row_key, db=tables["handles"])
    if old is None:
        _widen_shift(txn, tables, row)
    _sum(txn, tables, row, old)


def put_newest(txn: Any, at: bytes, value: bytes, table: Any) -> None:
    """Puts what mostly is the newest: appended it leaves full pages behind, and half of them empty otherwise."""
    if not txn.put(at, value, db=table, append=True):
        txn.put(at, value, db=table)


def _new_number(txn: Any, tables: Tables, number: bytes) -> None:
    if not txn.put(number[::-1], b"", db=tables["reversed"], overwrite=False):
        return
    with txn.cursor(db=tables["packed"]) as cursor:
        block = cursor.value() if cursor.last() else b""
        at = unkey(cursor.key()) if block else 0
    if len(block) + len(number) + 1 > PACKED_BYTES:
        at, block = at + 1, b""
    txn.put(key(at), (block or b"\n") + number + b"\n", db=tables["packed"])


def _widen_shift(txn: Any, tables: Tables, row: Recording) -> None:
    """Rows whose key runs ahead of their start (the clock was set back) lie in a range of ids that is kept here."""
    shift = key((row.id >> 16) - row.start_utc_ns // 1_000_000)
    data = txn.get(shift, db=tables["shifts"])
    low, high = _RANGE.unpack(data) if data else (row.id, row.id)
    if data is None or row.id < low or row.id > high:
        txn.put(shift, _RANGE.pack(min(low, row.id), max(high, row.id)), db=tables["shifts"])


def shifts(txn: Any, tables: Tables) -> Iterator[tuple[int, int, int]]:
    """(shift in ms, lowest id, highest id)."""
    for data, value in txn.cursor(db=tables["shifts"]):
        yield unkey(data), *_RANGE.unpack(value)


def _sum(txn: Any, tables: Tables, row: Recording, old: Recording | None) -> None:
    for one, sign in ((old, -1), (row, 1)):
        if one is not None:
            data = txn.get(day_key(one), db=tables["days"])
            count, samples = _DAY.unpack(data) if data else (0, 0)
            count += 0 if one.copy_of else sign
            txn.put(day_key(one), _DAY.pack(count, samples + sign * one.samples), db=tables["days"])
    end = row.start_utc_ns + row.samples * 125_000
    last = txn.get(b"last_finished", db=tables["meta"])
    if last is None or int(last) < end:
        txn.put(b"last_finished", b"%d" % end, db=tables["meta"])


def days(txn: Any, tables: Tables, first: bytes, end: bytes) -> Iterator[tuple[int, int, int]]:
    """(day since 1970, recordings, samples) of the days from `first` up to and without `end`."""
    cursor = txn.cursor(db=tables["days"])
    if cursor.set_range(first):
        for day, value in cursor:
            if day >= end:
                return
            yield int.from_bytes(day, "big"), *_DAY.unpack(value)


def change_words(txn: Any, tables: Tables, row_id: int, old: Iterable[str], new: Iterable[str]) -> None:
    """Replaces the words of a row: those of `old` texts that no `new` text has go."""
    before = set[bytes]().union(*map(words, old))
    after = set[bytes]().union(*map(words, new))
    for word in before - after:
        txn.delete(word, key(row_id), db=tables["word"])
    for word in after - before:
        txn.put(word, key(row_id), db=tables["word"])
