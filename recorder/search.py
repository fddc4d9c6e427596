"""Search: every filter that an index knows is a stream of ids, newest first, and streams are intersected by seeking.

The rarest streams lead; a filter that nearly every row passes (all voice, all sealed) is checked on the row instead.
A search looks at no more than `MOST_STEPS` places and counts no more than `MOST_FOUND` matches, and says so; `next`
then goes on from where it stopped. Wild cards in a number are resolved to distinct numbers first; where they are too
many (a two-digit suffix), matches are frequent, and rows are checked one by one.

A copy of a call is left out where its principal is found by the same query, on whatever page (unless `copies` is
asked for); only rows that are linked cost that look.
"""

import heapq
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol

import msgspec

from recorder import tables as tb
from recorder.model import Page, Query, Recording, State
from recorder.tables import ID_MAX, Tables, Tested

MOST_FOUND = 1000
MOST_STEPS = 30_000
MOST_NUMBERS = 2000
decode_live = msgspec.msgpack.Decoder(Recording).decode


class _Stream(Protocol):
    count: int

    def at_most(self, row_id: int) -> int | None:
        """The largest id in the stream that is not above `row_id`."""

    def down(self, row_id: int) -> Iterator[int]:
        """All ids from there on, newest first."""


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

    def down(self, row_id: int) -> Iterator[int]:
        if self.at_most(row_id) is None:
            return iter(())
        return map(tb.unkey, self._cursor.iterprev_dup(keys=False, values=True))


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

    def down(self, row_id: int) -> Iterator[int]:
        if len(self._parts) == 1:
            yield from self._parts[0].down(row_id)
            return
        found = self.at_most(row_id)
        while found is not None:
            yield found
            found = self.at_most(found - 1)


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

    def down(self, row_id: int) -> Iterator[int]:
        if self.at_most(row_id) is None:
            return iter(())
        return map(tb.unkey, self._cursor.iterprev(keys=True, values=False))


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

    def matches(self, below: int) -> Iterator[tuple[int, bytes]]:
        """Ids and packed rows."""
        rows = self._tables["rows"]
        for row_id in self._candidates(below - 1):
            data = self._txn.get(tb.key(row_id), db=rows)
            tested = tb.decode_tested(data)
            hidden = tested.copy_of is not None and not self._query.copies and self._finds(tested.copy_of[0])
            if not hidden and self.passes(row_id, tested, data):
                yield row_id, data

    def _finds(self, principal: bytes) -> bool:
        """Is the principal of a copy found too? Then it stands for both."""
        key = self._txn.get(principal, db=self._tables["handles"])
        data = key and self._txn.get(key, db=self._tables["rows"])
        return bool(data) and self.passes(tb.unkey(key), tb.decode_tested(data), data)

    def _candidates(self, x: int) -> Iterator[int]:
        """What the indexes give, inside the spans; it ends early, `spent`, after `MOST_STEPS`."""
        steps = 0
        for low, high in self._spans:
            for row_id in self._inside(low, min(high, x)):
                self.at = abs(row_id)
                steps += 1
                if steps > MOST_STEPS:
                    self.spent = True
                    return
                if row_id >= 0:
                    yield row_id

    def _inside(self, low: int, x: int) -> Iterator[int]:
        """Ids that all streams hold, from `x` down to `low`; where one was sought in vain, the place, negative."""
        if len(self._streams) == 1:
            for row_id in self._streams[0].down(x):
                if row_id < low:
                    return
                yield row_id
            return
        while x >= low:
            y = x
            for stream in self._streams:
                if (found := stream.at_most(y)) is None:
                    return
                y = found
            if y < low:
                return
            yield y if y == x else -y
            x = y - (y == x)

    def _plan(self) -> list[_Stream]:
        query, txn, tables = self._query, self._txn, self._tables
        total = txn.stat(tables["rows"])["entries"]
        streams: list[_Stream] = [self._union("word", [word]) for word in self._keys]
        if self._number is not None:
            head, *rest = query.number.removeprefix("=").split("*")
            first = tb.number_key(head)
            short = next((first[:length] for length in tb.SHORT if len(first) >= length), None)
            numbers = None if rest == [""] and first == short else distinct_numbers(txn, tables, query.number)
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

    def passes(self, row_id: int, row: Tested | Recording, data: bytes | None) -> bool:
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
            and (not q.text or self._has_text(row_id, data))
        )

    def _has_text(self, row_id: int, data: bytes | None) -> bool:
        """Live rows (no `data`) have none yet."""
        if not self._keys or data is None:
            return False
        said = [*tb.decode_row(data).tags, *(note[2] for note in notes_of(self._txn, self._tables, row_id))]
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
    rows = [
        row if isinstance(row, Recording) else tb.unpack(row_id, tb.decode_row(row))
        for row_id, row in islice(matches, limit)
    ]
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
) -> Iterator[tuple[int, bytes | Recording]]:
    sealed: Iterator[tuple[int, bytes | Recording]] = run.matches(below)
    if State.LIVE not in query.states:
        return sealed
    live = [(row.id, row) for row in live_rows(txn, tables) if row.id < below and run.passes(row.id, row, None)]
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
    apart: list[tuple[int, int]] = []
    for first, last in sorted(spans, reverse=True, key=lambda span: span[1]):
        if apart and last >= apart[-1][0]:
            apart[-1] = (min(first, apart[-1][0]), apart[-1][1])
        else:
            apart.append((first, last))
    return apart


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
