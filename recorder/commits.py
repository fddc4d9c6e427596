"""One batch of acts: journal first and durable, then the catalogue, which may be late but never wrong.

What a batch does to the catalogue is kept as steps, so that a map that turns out to be full is grown and the batch
done once more. If the catalogue cannot commit at all, the acts stand in the journal and the next batch catches up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb

from recorder import acts
from recorder.catalogue import Catalogue
from recorder.chain import Entry, Side, Walk
from recorder.errors import CatalogueError
from recorder.journal import Journal
from recorder.model import Recording
from recorder.tables import Tables

_CATCH_UP = 5000
_TOLD_EVERY = 100
"""Entries; each may have a recording's file read, on a disk that needs tens of milliseconds for it."""


class Commits:
    """Journal and catalogue of one data folder, written together by one thread."""

    def __init__(self, data: Path, book: Journal, catalogue: Catalogue) -> None:
        self.data, self.book, self.catalogue = data, book, catalogue
        self.txn: Any = None
        """The catalogue's open transaction inside a batch."""
        self.fresh: dict[str, Recording] = {}
        """Rows of files sealed in this batch, which need not be read again."""
        self.after: list[Callable[[], None]] = []
        """Done once the batch is durable."""
        self._steps: list[Callable[[Any], None]] = []
        self._behind = False

    @contextmanager
    def batch(self) -> Iterator[None]:
        """All acts inside become durable together at its end; an exception inside undoes them all."""
        if self.txn is not None:
            yield
            return
        if self._behind:
            self._recover_catalogue()
        self.txn = self.catalogue.env.begin(write=True)
        try:
            yield
            self.book.commit()
        except BaseException:  # Whatever ends the batch, Ctrl-C too, undoes it; it is raised again.
            self.book.abandon()
            self._clear().abort()
            self.after = []
            raise
        self._commit_catalogue()
        after, self.after = self.after, []
        for act in after:
            act()

    def _clear(self) -> Any:
        txn, self.txn = self.txn, None
        self._steps, self.fresh = [], {}
        return txn

    def _commit_catalogue(self) -> None:
        """The journal has it; a catalogue that cannot follow now does so later."""
        try:
            self.do(self._state_applied)
            self.txn.commit()
        except lmdb.MapFullError:
            self._regrow()
            self._commit_catalogue()
            return
        except lmdb.Error:
            self._behind = True
            with suppress(lmdb.Error):
                self.txn.abort()
        self._clear()

    def _state_applied(self, txn: Any) -> None:
        stated = b"%d %s" % (self.book.seq, self.book.hash.hex().encode())
        txn.put(b"applied", stated, db=self.catalogue.tables["meta"])

    def do(self, step: Callable[[Any], None]) -> None:
        self._steps.append(step)
        try:
            step(self.txn)
        except lmdb.MapFullError:
            self._regrow()

    def _regrow(self) -> None:
        """The map is full: a larger one, and the batch so far once more."""
        while True:
            self.txn.abort()
            self.catalogue.grow()
            self.txn = self.catalogue.env.begin(write=True)
            try:
                for step in self._steps:
                    step(self.txn)
            except lmdb.MapFullError:
                continue
            return

    def act(
        self, act: str, actor: str, utc_ns: int, handle: str | None = None, detail: dict[str, Any] | None = None,
        side: Side | None = None,
    ) -> Entry:  # fmt: skip
        """One entry, and what it does to the catalogue. Call inside a batch, after every check."""
        if (chain := self.book.begin_chain(utc_ns)) is not None:
            self._apply(chain, None)
        entry = self.book.append(act, actor, utc_ns, handle, detail, side)
        self._apply(entry, side)
        return entry

    def _apply(self, entry: Entry, side: Side | None) -> None:
        fresh = self.fresh
        self.do(lambda txn: acts.apply(txn, self.catalogue.tables, self.data, entry, side, fresh))

    def catch_up(self, progress: Callable[[int], None] | None = None) -> None:
        """Enters what the journal has and the catalogue has not."""
        with self.catalogue.reading() as txn:
            after = applied(txn, self.catalogue.tables)[0]
        if after >= self.book.durable_seq:
            return
        walk = Walk(self.data / "journal", after)
        self.txn = self.catalogue.env.begin(write=True)
        try:
            for count, (entry, side, _) in enumerate(walk.read(after), 1):
                self._apply(entry, side)
                if count % _CATCH_UP == 0:
                    self._step_on(walk)
                if progress is not None and count % _TOLD_EVERY == 0:
                    progress(count)
            self._step_on(walk)
        finally:
            self._clear().abort()
        self.book.breaks = self.book.breaks or walk.unnamed()

    def _step_on(self, walk: Walk) -> None:
        stated = b"%d %s" % (walk.seq, walk.hash.hex().encode())
        self.do(lambda txn: txn.put(b"applied", stated, db=self.catalogue.tables["meta"]))
        try:
            self.txn.commit()
        except lmdb.MapFullError:
            self._regrow()
            self.txn.commit()
        self._clear()
        self.txn = self.catalogue.env.begin(write=True)

    def _recover_catalogue(self) -> None:
        try:
            self.catalogue.reopen()
            self._behind = False
            self.catch_up()
        except lmdb.Error as error:
            self._behind = True
            raise CatalogueError(
                f"{self.data / 'catalogue'}: still not writable ({error}). Make room on the disk; nothing is lost, "
                "the journal has what was answered."
            ) from error


def applied(txn: Any, tables: Tables) -> tuple[int, bytes]:
    """The last entry of the journal that the catalogue has, and its hash."""
    seq, _, stated = (txn.get(b"applied", db=tables["meta"]) or b"0 " + b"00" * 32).partition(b" ")
    return int(seq), bytes.fromhex(stated.decode())
