"""The catalogue: an LMDB index over recordings and journal, and nothing that they do not say.

`Catalogue.open_readonly` is for the page and the command; the daemon's `Ledger` holds the only writing one and others
in its process read through `ledger.catalogue` (LMDB allows one open per process). Every method takes one short read
transaction and copies what it returns. `dump` gives the whole logical content, by which a rebuilt catalogue is
compared with the grown one.

LMDB 0.9 is asked for by number: 1.0 cannot read its files. The map is large and sparse, and grown when it is full;
`writemap` is never used (a full disk would kill the process).

Weak: LMDB's compacting copy (`env.copy(compact=True)`) crashes the process on these fixed-size duplicates; a backup
copies without compacting.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from recorder import search
from recorder import tables as tb
from recorder.errors import CatalogueError, NotFoundError
from recorder.model import Alarm, Copy, Counts, DayCount, Note, Operation, Page, Query, Recording, State, Unrecorded
from recorder.tables import Tables

FORMAT = b"3"
MAP_BYTES = 16 << 30
_EPOCH = date(1970, 1, 1)
_decode_operation = msgspec.msgpack.Decoder(Operation).decode
_decode_alarm = msgspec.msgpack.Decoder(Alarm).decode
_decode_unrecorded = msgspec.msgpack.Decoder(Unrecorded).decode


def _file_of(data: Path) -> int | None:
    """Which file the catalogue is at the moment."""
    try:
        return (data / "catalogue/data.mdb").stat().st_ino
    except FileNotFoundError:
        return None


class Catalogue:
    """Open with `open_readonly`; usable from any thread."""

    def __init__(self, env: lmdb.Environment, tables: Tables, data: Path, *, readonly: bool, map_bytes: int) -> None:
        self.env, self.tables = env, tables
        self._data, self._readonly, self._map_bytes = data, readonly, map_bytes
        self._file = _file_of(data)
        self._readers = 0
        self._gate = threading.Condition()

    @classmethod
    def open_readonly(cls, data: Path) -> "Catalogue":
        """The catalogue of a data folder, for reading; the daemon need not run.

        Raises `CatalogueError` if there is none yet or it cannot be read."""
        return cls._open(data, readonly=True, map_bytes=MAP_BYTES)

    @classmethod
    def open_writable(cls, data: Path, map_bytes: int = MAP_BYTES) -> "Catalogue":
        """For `Ledger` alone, which holds the folder's lock."""
        return cls._open(data, readonly=False, map_bytes=map_bytes)

    @classmethod
    def _open(cls, data: Path, *, readonly: bool, map_bytes: int) -> "Catalogue":
        folder = data / "catalogue"
        try:
            env = lmdb.open(
                str(folder), subdir=True, map_size=map_bytes, max_dbs=32, max_readers=512, readonly=readonly,
                create=not readonly, writemap=False, sync=True, metasync=True, lock=True, mode=0o640, lib_version=0,
            )  # fmt: skip
            if not readonly:
                # Whoever reads enters itself there, under a user of its own, whatever the umask.
                (folder / "lock.mdb").chmod(0o660)
        except lmdb.Error as error:
            raise CatalogueError(
                f"{folder}: the catalogue cannot be opened ({error}). Start the daemon once; if it is damaged, "
                "`linekeep rebuild` makes it anew from the recordings and the journal."
            ) from error
        try:
            env.reader_check()
            catalogue = cls(env, Tables(env, create=not readonly), data, readonly=readonly, map_bytes=map_bytes)
            with env.begin(write=not readonly) as txn:
                stated = txn.get(b"format", db=catalogue.tables["meta"])
                if stated is None and not readonly:
                    txn.put(b"format", FORMAT, db=catalogue.tables["meta"])
                    stated = FORMAT
        except lmdb.Error as error:
            env.close()
            raise CatalogueError(f"{folder}: the catalogue is damaged or unfinished ({error}).") from error
        if stated != FORMAT:
            env.close()
            raise CatalogueError(f"{folder}: format {stated!r} is another version's. `linekeep rebuild` makes it anew.")
        return catalogue

    def close(self) -> None:
        self.env.close()

    def check_readers(self) -> int:
        """Frees the places of readers that died; returns how many. Call it on a timer."""
        return int(self.env.reader_check())

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A short read transaction; the map is not grown meanwhile."""
        with self._gate:
            self._readers += 1
        try:
            while True:
                try:
                    txn = self.env.begin()
                    break
                except lmdb.MapResizedError:
                    self._follow()
            with txn:
                yield txn
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def _follow(self) -> None:
        """The daemon has grown the map. Who waits for the others to end counts as ended, for several may wait."""
        with self._gate:
            self._readers -= 1
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._readers == 0)
            self.env.set_mapsize(0)
            self._readers += 1

    def reopen(self) -> None:
        """After LMDB gave up on a failed write, or when it was replaced. Raises `CatalogueError`; it is closed then."""
        with self._gate:
            self._gate.wait_for(lambda: self._readers == 0)
            self.env.close()
            fresh = self._open(self._data, readonly=self._readonly, map_bytes=self._map_bytes)
            self.env, self.tables, self._file = fresh.env, fresh.tables, fresh._file

    def replaced(self) -> bool:
        """Was it made anew since it was opened? What is open is then a file that nobody finds any more."""
        return _file_of(self._data) != self._file

    def grow(self) -> None:
        """Doubles the map, once nobody in this process reads."""
        with self._gate:
            self._gate.wait_for(lambda: self._readers == 0)
            self._map_bytes = 2 * self.env.info()["map_size"]
            self.env.set_mapsize(self._map_bytes)

    def search(self, query: Query) -> Page:
        """Newest first; bounded, see `Page.capped`."""
        with self.reading() as txn:
            return search.search(txn, self.tables, query)

    def get(self, handle: str) -> Recording:
        """The row of a recording, live ones included. Raises `NotFoundError`."""
        with self.reading() as txn:
            return find(txn, self.tables, handle)

    def copies_of(self, row: Recording) -> list[Copy]:
        """The other recordings of the same call, the principal first."""
        if row.copy_of is None:
            return list(row.copies)
        siblings = self.get(row.copy_of.handle).copies
        return [row.copy_of, *(copy for copy in siblings if copy.handle != row.handle)]

    def begin_with(self, prefix: str, most: int) -> list[Recording]:
        """At most `most` recordings, live ones included, whose handle begins with these hexadecimal digits."""
        first = bytes.fromhex(prefix.ljust(32, "0"))
        with self.reading() as txn:
            found: dict[str, None] = {}
            for name in ("handles", "live"):
                cursor = txn.cursor(db=self.tables[name])
                for key in cursor.iternext(keys=True, values=False) if cursor.set_range(first) else ():
                    if len(found) >= most or not key.hex().startswith(prefix):
                        break
                    found[key.hex()] = None
            return [find(txn, self.tables, handle) for handle in found]

    def live(self) -> list[Recording]:
        with self.reading() as txn:
            return search.live_rows(txn, self.tables)

    def notes(self, handle: str) -> list[Note]:
        """Oldest first. Raises `NotFoundError`."""
        with self.reading() as txn:
            row_id = find(txn, self.tables, handle).id
            return [
                Note(id=note, handle=handle, utc_ns=utc_ns, actor=actor, text=text)
                for note, utc_ns, text, actor in search.notes_of(txn, self.tables, row_id)
            ]

    def operations(self, handle: str | None = None, limit: int = 100, before_seq: int | None = None) -> list[Operation]:
        """Newest first, all or those about one recording."""
        first = tb.ID_MAX if before_seq is None else before_seq
        with self.reading() as txn:
            if handle is not None:
                return list(self._operations_of(txn, handle, limit, first))
            cursor = txn.cursor(db=self.tables["operations"])
            found = cursor.prev() if cursor.set_range(tb.key(first)) else cursor.last()
            values = cursor.iterprev(keys=False, values=True) if found else iter(())
            return [_decode_operation(value) for value, _ in zip(values, range(limit), strict=False)]

    def _operations_of(self, txn: Any, handle: str, limit: int, first: int) -> Iterator[Operation]:
        cursor = txn.cursor(db=self.tables["handle_operations"])
        if not _is_handle(handle) or not cursor.set_key(bytes.fromhex(handle)):
            return
        cursor.last_dup()
        for value in cursor.iterprev_dup(keys=False, values=True):
            if limit and tb.unkey(value) < first:
                limit -= 1
                yield _decode_operation(txn.get(value, db=self.tables["operations"]))

    def alarms(self, resolved: int = 100) -> list[Alarm]:
        """Open ones first, then at most `resolved` others; newest first in both."""
        with self.reading() as txn:
            return alarms(txn, self.tables, resolved)

    def unrecorded(self, since_utc_ns: int = 0, until_utc_ns: int = 1 << 62) -> list[Unrecorded]:
        """Off-hook intervals without audio that begin in this time, oldest first."""
        with self.reading() as txn:
            cursor = txn.cursor(db=self.tables["unrecorded"])
            if not cursor.set_range(tb.key(since_utc_ns)):
                return []
            return [_decode_unrecorded(value) for at, value in cursor if tb.unkey(at[:8]) < until_utc_ns]

    def counts(self) -> Counts:
        with self.reading() as txn:
            cursor = txn.cursor(db=self.tables["state"])
            by_state = {state: cursor.count() if cursor.set_key(state.encode()) else 0 for state in State}
            last = txn.get(b"last_finished", db=self.tables["meta"])
            return Counts(
                total=txn.stat(self.tables["rows"])["entries"] - txn.stat(self.tables["copies"])["entries"],
                sealed=by_state[State.SEALED], trash=by_state[State.TRASH],
                purged=by_state[State.PURGED], missing=by_state[State.MISSING],
                live=txn.stat(self.tables["live"])["entries"], last_finished_utc_ns=int(last) if last else None,
            )  # fmt: skip

    def days(self, first: str, end: str) -> list[DayCount]:
        """Recordings of each local date from `first` up to and without `end` (`2026-11-22`), empty days left out."""
        low, high = ((date.fromisoformat(day) - _EPOCH).days.to_bytes(4, "big") for day in (first, end))
        with self.reading() as txn:
            return [
                DayCount(day=(_EPOCH + timedelta(days=day)).isoformat(), recordings=count, samples=samples)
                for day, count, samples in tb.days(txn, self.tables, low, high)
                if count or samples
            ]

    def dump(self) -> dict[str, Any]:
        """All that the catalogue says, postings included, in an order of its own; for comparing and for tests."""
        with self.reading() as txn:
            content: dict[str, Any] = {
                name: [(key, value) for key, value in txn.cursor(db=self.tables[name])]
                for name in (*tb.PLAIN, *tb.POSTINGS) if name not in ("meta", "folders", "packed", "rows")
            }  # fmt: skip
            content["rows"] = [
                tb.unpack(tb.unkey(key), tb.decode_row(value)) for key, value in txn.cursor(db=self.tables["rows"])
            ]
            packed = b"".join(value for _, value in txn.cursor(db=self.tables["packed"]))
            content["packed"] = sorted(number for number in packed.split(b"\n") if number)
            content["last_finished"] = txn.get(b"last_finished", db=self.tables["meta"])
        return content


def _is_handle(handle: str) -> bool:
    return len(handle) == 32 and not set(handle) - set("0123456789abcdef")


def find(txn: Any, tables: Tables, handle: str) -> Recording:
    """The row of `handle`, sealed or live. Raises `NotFoundError`."""
    if _is_handle(handle):
        raw = bytes.fromhex(handle)
        if row_key := txn.get(raw, db=tables["handles"]):
            return tb.unpack(tb.unkey(row_key), tb.decode_row(txn.get(row_key, db=tables["rows"])))
        if live := txn.get(raw, db=tables["live"]):
            return search.decode_live(live)
    raise NotFoundError(f"Recording {handle[:40]!r}: there is none by this handle. Search for it anew.")


def alarms(txn: Any, tables: Tables, resolved: int | None) -> list[Alarm]:
    newest = txn.cursor(db=tables["alarms"]).iterprev(keys=False, values=True)
    closed = txn.cursor(db=tables["resolved_alarms"]).iterprev(keys=False, values=True)
    return [_decode_alarm(value) for value in (*newest, *islice(closed, resolved))]
