"""Search: every filter that an index knows is a stream of ids, newest first, and streams are intersected by seeking.

The rarest streams lead; a filter that nearly every row passes (all voice, all sealed) is checked on the row instead.
A search looks at no more than `MOST_STEPS` places and counts no more than `MOST_FOUND` matches, and says so; `next`
then goes on from where it stopped. Wild cards in a number are resolved to distinct numbers first; where they are too
many (a two-digit suffix), matches are frequent, and rows are checked one by one.
"""

import heapq
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

import msgspec

from recorder import tables as tb
from recorder.model import Page, Query, Recording, State
from recorder.tables import ID_MAX, Row, Tables

MOST_FOUND = 1000
MOST_STEPS = 50_000
MOST_NUMBERS = 2000
decode_live = msgspec.msgpack.Decoder(Recording).decode


class _Stream(Protocol):
    count: int

    def at_most(self, row_id: int) -> int | None:
        """The largest id in the stream that is not above `row_id`."""


class _Posting:
    """The ids under one key of an index."""

    def __init__(self, cursor: Any, key: bytes) -> None:
        self._cursor, self._key = cursor, key
        self.count = cursor.count() if cursor.set_key(key) else 0

    def at_most(self, row_id: int) -> int | None:
        cursor = self._cursor
        if not cursor.set_range_dup(self._key, tb.key(row_id)):
            return tb.unkey(cursor.value()) if cursor.set_key(self._key) and cursor.last_dup() else None
        found = tb.unkey(cursor.value())
        if found == row_id:
            return found
        return tb.unkey(cursor.value()) if cursor.prev_dup() else None


class _Union:
    """Ids under any of several keys; a heap of where each stands."""

    def __init__(self, parts: list[_Posting]) -> None:
        self.count = sum(part.count for part in parts)
        self._parts = parts
        self._heads = [(-ID_MAX - 1, n) for n in range(len(parts))]

    def at_most(self, row_id: int) -> int | None:
        heads = self._heads
        while heads and -heads[0][0] > row_id:
            n = heads[0][1]
            found = self._parts[n].at_most(row_id)
            if found is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (-found, n))
        return -heads[0][0] if heads else None


class _AllRows:
    def __init__(self, cursor: Any, count: int) -> None:
        self._cursor, self.count = cursor, count

    def at_most(self, row_id: int) -> int | None:
        cursor = self._cursor
        if not cursor.set_range(tb.key(row_id)):
            return tb.unkey(cursor.key()) if cursor.last() else None
        found = tb.unkey(cursor.key())
        if found == row_id:
            return found
        return tb.unkey(cursor.key()) if cursor.prev() else None


class _Search:
    """One pass, newest first, from an id downwards. `at` is where it has come to, `spent` whether it ended there."""

    def __init__(self, txn: Any, tables: Tables, query: Query) -> None:
        self._txn, self._tables, self._query = txn, tables, query
        self.at = ID_MAX
        self.spent = False
        self._number = number_pattern(query.number) if query.number else None
        self._keys, self._runs = tb.wanted(query.text)
        self._spans = _spans(txn, tables, query)
        self._streams = self._plan()

    def matches(self, below: int) -> Iterator[tuple[int, Row]]:
        steps, x = 0, below - 1
        while x >= 0:
            self.at = x
            steps += 1
            if steps > MOST_STEPS:
                self.spent = True
                return
            found = self._next(x)
            if found is None:
                return
            row_id, settled = found
            if settled:
                row = tb.decode_row(self._txn.get(tb.key(row_id), db=self._tables["rows"]))
                if self.passes(row_id, row):
                    yield row_id, row
            x = row_id - settled

    def _next(self, x: int) -> tuple[int, bool] | None:
        """One round over all streams: the id it came to, and whether all of them hold it."""
        y = _at_most(self._spans, x)
        for stream in self._streams:
            if y is None:
                return None
            y = stream.at_most(y)
        if y is None:
            return None
        return y, y == x or (len(self._streams) == 1 and _at_most(self._spans, y) == y)

    def _plan(self) -> list[_Stream]:
        query, txn, tables = self._query, self._txn, self._tables
        total = txn.stat(tables["rows"])["entries"]
        streams: list[_Stream] = [self._union("word", [word]) for word in self._keys]
        if self._number is not None:
            numbers = distinct_numbers(txn, tables, query.number)
            first = tb.number_key(query.number.removeprefix("=").split("*")[0])
            short = next((first[:length] for length in tb.SHORT if len(first) >= length), None)
            if numbers is not None:
                streams.append(self._union("number", numbers))
            elif short is not None:
                streams.append(self._union("prefix", [short]))
        if query.lines:
            streams.append(self._union("line", [tb.line_key(line) for line in query.lines if 0 <= line < 1 << 32]))
        streams.append(self._union("state", [state.encode() for state in query.states]))
        if query.direction is not None:
            streams.append(self._union("direction", [query.direction.encode()]))
        if query.classes:
            streams.append(self._union("class", [name.encode() for name in query.classes]))
        streams.sort(key=lambda stream: stream.count)
        telling = [stream for stream in streams if stream.count * 4 < total]
        return telling or [_AllRows(txn.cursor(db=tables["rows"]), total)]

    def _union(self, table: str, keys: list[bytes]) -> _Union:
        cursor = self._txn.cursor(db=self._tables[table])
        return _Union([_Posting(cursor, key) for key in dict.fromkeys(keys)])

    def passes(self, row_id: int, row: Row | Recording) -> bool:
        q = self._query
        return (
            row.state in q.states
            and (not q.lines or row.line in q.lines)
            and (q.since_utc_ns is None or row.start_utc_ns >= q.since_utc_ns)
            and (q.until_utc_ns is None or row.start_utc_ns < q.until_utc_ns)
            and (q.direction is None or row.direction == q.direction)
            and (not q.classes or row.call_class in q.classes)
            and (q.min_s is None or row.samples >= q.min_s * 8000)
            and (q.max_s is None or row.samples <= q.max_s * 8000)
            and (self._number is None or (row.number is not None and self._number.fullmatch(row.number) is not None))
            and (not q.text or self._has_text(row_id, row))
        )

    def _has_text(self, row_id: int, row: Row | Recording) -> bool:
        if not self._keys:
            return False
        said = [*row.tags, *(note[2] for note in notes_of(self._txn, self._tables, row_id))]
        held = set[bytes]().union(*map(tb.words, said))
        return held.issuperset(self._keys) and all(any(run in text for text in said) for run in self._runs)


def notes_of(txn: Any, tables: Tables, row_id: int) -> Iterator[tuple[int, int, str, str]]:
    """(id of the note, utc_ns, text, actor), oldest first."""
    first = tb.key(row_id)
    cursor = txn.cursor(db=tables["notes"])
    if cursor.set_range(first):
        for note_key, value in cursor:
            if not note_key.startswith(first):
                return
            utc_ns, actor, text = msgspec.msgpack.decode(value)
            yield tb.unkey(note_key[8:]), utc_ns, text, actor


def live_rows(txn: Any, tables: Tables) -> list[Recording]:
    """Recordings that are being written, newest first."""
    rows = [decode_live(value) for _, value in txn.cursor(db=tables["live"])]
    return sorted(rows, key=lambda row: -row.id)


def search(txn: Any, tables: Tables, query: Query) -> Page:
    """One page, newest first; see `Query` and `Page`."""
    limit = min(max(query.limit, 1), 500)
    below = ID_MAX if query.before_id is None else query.before_id
    run = _Search(txn, tables, query)
    matches = _with_live(run, txn, tables, query, below)
    rows = [row if isinstance(row, Recording) else tb.unpack(row_id, row) for row_id, row in islice(matches, limit)]
    more = next(matches, None) is not None
    if run.spent and len(rows) < limit:
        following: int | None = run.at + 1
    else:
        following = rows[-1].id if rows and (more or run.spent) else None
    if query.before_id is None:
        found = len(rows) + more + sum(1 for _ in islice(matches, max(MOST_FOUND - len(rows), 0)))
    else:
        run = _Search(txn, tables, query)
        found = sum(1 for _ in islice(_with_live(run, txn, tables, query, ID_MAX), MOST_FOUND + 1))
    capped = found > MOST_FOUND or run.spent
    return Page(rows=tuple(rows), next=following, found=min(found, MOST_FOUND), capped=capped)


def _with_live(
    run: _Search, txn: Any, tables: Tables, query: Query, below: int
) -> Iterator[tuple[int, Row | Recording]]:
    sealed: Iterator[tuple[int, Row | Recording]] = run.matches(below)
    if State.LIVE not in query.states:
        return sealed
    live = [(row.id, row) for row in live_rows(txn, tables) if row.id < below and run.passes(row.id, row)]
    return heapq.merge(live, sealed, key=lambda match: -match[0])


def _spans(txn: Any, tables: Tables, query: Query) -> list[tuple[int, int]]:
    """Ranges of ids, highest first, in which rows that start between the query's times lie."""
    since, until = query.since_utc_ns, query.until_utc_ns
    if since is None and until is None:
        return [(0, ID_MAX)]
    spans = []
    for shift, low, high in tb.shifts(txn, tables):
        first = low if since is None else max(low, (since // 1_000_000 + shift << 16))
        last = high if until is None else min(high, (until // 1_000_000 + shift << 16) | 0xFFFF)
        if first <= last:
            spans.append((first, last))
    spans.sort(reverse=True)
    return spans


def _at_most(spans: list[tuple[int, int]], x: int) -> int | None:
    inside = [min(high, x) for low, high in spans if low <= x]
    return max(inside, default=None)


def number_pattern(number: str) -> re.Pattern[str]:
    """`5039` or `=5039` exact, `5039*` prefix, `*5039` suffix, `*5039*` any part."""
    return re.compile(".*".join(map(re.escape, number.removeprefix("=").split("*"))), re.DOTALL)


def distinct_numbers(txn: Any, tables: Tables, number: str) -> list[bytes] | None:
    """Keys of the numbers that match; None where they are too many to follow one by one."""
    parts = number.removeprefix("=").split("*")
    pattern = number_pattern(number)
    first, last = tb.number_key(parts[0]), tb.number_key(parts[-1])
    if len(parts) == 1:
        return [first]
    if first:
        keys = _keys_from(txn.cursor(db=tables["number"]), first)
    elif last:
        keys = (key[::-1] for key in _keys_from(txn.cursor(db=tables["reversed"]), last[::-1]))
    else:
        longest = max(parts, key=len)
        if not longest:
            return None
        keys = _containing(txn.cursor(db=tables["packed"]), longest.encode())
    found: list[bytes] = []
    for seen, key in enumerate(keys):
        if pattern.fullmatch(key.decode(errors="replace")):
            found.append(key)
        if len(found) > MOST_NUMBERS or seen > 10 * MOST_NUMBERS:
            return None
    return found


def _keys_from(cursor: Any, prefix: bytes) -> Iterator[bytes]:
    if cursor.set_range(prefix):
        for key in cursor.iternext_nodup(keys=True, values=False):
            if not key.startswith(prefix):
                return
            yield key


def _containing(cursor: Any, part: bytes) -> Iterator[bytes]:
    for block in cursor.iternext(keys=False, values=True):
        at = block.find(part)
        while at >= 0:
            begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            yield block[begin:end]
            at = block.find(part, end)
