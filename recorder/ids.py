"""Keys of recordings: 48 bits of milliseconds and 16 bits that tell recordings of one millisecond apart.

They sort by start. They follow a recording's start back only as far as a pre-roll and a late report may reach; when
the clock itself is set back, keys go on from the last one by a constant shift, which the catalogue keeps, so that a
search by time still finds the right range of keys.
"""

from typing import Any

from recorder import tables as tb
from recorder.model import Recording
from recorder.search import live_rows
from recorder.tables import Tables

_BACK_MS = 60_000


class Ids:
    def __init__(self) -> None:
        self._last_ms = 0
        self._shift_ms = 0
        self._given: set[int] = set()
        """Given to recordings that are not in the catalogue yet."""

    def resume(self, txn: Any, tables: Tables) -> None:
        """Goes on from the newest row."""
        cursor = txn.cursor(db=tables["rows"])
        rows = [tb.unpack(tb.unkey(cursor.key()), tb.decode_row(cursor.value()))] if cursor.last() else []
        newest = max(rows + live_rows(txn, tables), key=lambda row: row.id, default=None)
        if newest is not None:
            self._last_ms = newest.id >> 16
            self._shift_ms = self._last_ms - newest.start_utc_ns // 1_000_000

    def next(self, txn: Any, tables: Tables, start_ms: int) -> int:
        """For a recording that starts now."""
        if start_ms + self._shift_ms < self._last_ms - _BACK_MS:
            self._shift_ms = self._last_ms - start_ms
        ms = start_ms + self._shift_ms
        self._last_ms = max(self._last_ms, ms)
        return self._free(txn, tables, ms)

    def place(self, txn: Any, tables: Tables, row: Recording) -> int:
        """For a file that was found: where its start says it belongs."""
        return self._free(txn, tables, row.start_utc_ns // 1_000_000)

    def entered(self, row_id: int) -> None:
        """The catalogue has it."""
        self._given.discard(row_id)

    def _free(self, txn: Any, tables: Tables, ms: int) -> int:
        row_id = ms << 16
        while row_id in self._given or txn.get(tb.key(row_id), db=tables["rows"]) is not None:
            row_id += 1
        self._given.add(row_id)
        return row_id
