"""The journal: what happened after a recording was sealed, append-only and chained by hashes.

`journal/000001.journal`, `000002.journal` ... hold one entry a line, `HASH JSON\\n`, where HASH is
SHA-256(hash of the entry before, JSON bytes); the first entry goes on from 32 zero bytes. What is personal (numbers,
names, the text of notes) stands in `000001.side` beside it, `SEQ SALT JSON\\n`, and the entry holds only
SHA-256(salt, JSON): blanking the side record, salt and all, erases it and leaves a chain that verifies.

Entries are collected (`append`) and become durable together (`commit`), the side records first, so that an entry
whose side record is missing was erased and not lost. Each entry names the first of its group: a line that cannot be
read is a torn group if nothing of a later group follows it, and is cut when the journal is opened for writing.
Anything else is damage: the files are left as they are, and the journal goes on as a new chain in a new file
(`begin_chain`), whose first entry says so. Reading is the matter of `recorder.chain`.

Weak: opening checks the last file and that no file is missing; damage in an older one is met by whoever reads it
(a rebuild, `verify_chain`).
"""

import os
import random
from pathlib import Path
from typing import Any

import msgspec

from recorder import disk
from recorder.chain import (
    FIRST_HASH,
    NEW_CHAIN,
    Break,
    Entry,
    Side,
    Walk,
    chained,
    committed,
    detail_of,
    forgotten,
    holds,
)
from recorder.errors import JournalError, remedy

ROTATE_BYTES = 16 << 20
_CHAIN_STEP = 1_000_000
"""A new chain counts on from the next multiple: above every entry that may have been lost with the old one."""
_encode = msgspec.json.Encoder().encode


class Journal:
    """The open journal of a data folder; one writer (who holds the folder's lock)."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self._rng = rng
        self.seq = 0
        """Last entry, durable or not yet."""
        self.hash = FIRST_HASH
        self.cut_bytes = 0
        """Torn bytes that `open` removed."""
        self.durable_seq = 0
        self._durable_hash = FIRST_HASH
        self._number = 0
        self._fd = self._side_fd = -1
        self._size = self._side_size = 0
        self._lines: list[bytes] = []
        self._sides: list[bytes] = []
        self._group = 0
        self._broken = False
        self._known_seq = 0
        self.breaks: list[Break] = []
        """What was found broken and no entry names yet: `begin_chain` comes before the next entry."""
        self.remembers = True
        """Whether the journal has the entry that `open` was told of."""

    @classmethod
    def open(cls, folder: Path, rng: random.Random, known: tuple[int, bytes] = (0, FIRST_HASH)) -> "Journal":
        """Opens or begins the journal. Only its last file is checked; `verify_chain` checks all.

        `known`: number and hash of an entry that somebody (the catalogue) remembers; a journal without it has lost it.
        A broken chain is no error, see `breaks`. Raises `JournalError` naming what the disk refused."""
        journal = cls(folder, rng)
        try:
            disk.make_folders(folder.parent, folder)
            journal._resume(Walk(folder, 1 << 62, known[0]), known)
        except OSError as error:
            journal.close()
            raise JournalError(f"{folder}: opening the journal failed ({error}). {remedy(error)}") from error
        return journal

    def append(
        self, act: str, actor: str, utc_ns: int, handle: str | None = None,
        detail: dict[str, Any] | None = None, side: Side | None = None,
    ) -> Entry:  # fmt: skip
        """Adds an entry to the group that the next `commit` makes durable."""
        if self._broken:
            self._mend()
        if not self._lines:
            self._group = self.seq + 1
        seal = None
        if side is not None:
            salt, record = self._rng.randbytes(16), _encode(side)
            seal = committed(salt, record)
            self._sides.append(b"%d %s %s\n" % (self.seq + 1, salt.hex().encode(), record))
        entry = Entry(
            seq=self.seq + 1, group=self._group, utc_ns=utc_ns, act=act, actor=actor, handle=handle,
            detail=detail or {}, side=seal,
        )  # fmt: skip
        line = _encode(entry)
        self.hash = chained(self.hash, line)
        self._lines.append(b"%s %s\n" % (self.hash.hex().encode(), line))
        self.seq += 1
        return entry

    def commit(self) -> None:
        """Makes everything appended durable. If that fails nothing of the group counts, and `JournalError` says why."""
        if not self._lines:
            return
        try:
            if self._sides:
                data = b"".join(self._sides)
                disk.pwrite(self._side_fd, data, self._side_size)
                disk.fdatasync(self._side_fd)
                self._side_size += len(data)
            data = b"".join(self._lines)
            disk.pwrite(self._fd, data, self._size)
            disk.fdatasync(self._fd)
        except OSError as error:
            self.abandon()
            self._broken = True
            raise JournalError(
                f"{self.folder}: the journal could not be written ({os.strerror(error.errno or 0)}), "
                f"the act was not done. {remedy(error)}"
            ) from error
        self._size += len(data)
        self._lines.clear()
        self._sides.clear()
        self.durable_seq, self._durable_hash = self.seq, self.hash
        self.breaks = []
        if self._size > ROTATE_BYTES:
            self._rotate()

    def abandon(self) -> None:
        """Forgets what was appended since the last `commit`."""
        self._lines.clear()
        self._sides.clear()
        self.seq, self.hash = self.durable_seq, self._durable_hash

    def close(self) -> None:
        for fd in (self._fd, self._side_fd):
            if fd >= 0:
                disk.close(fd)
        self._fd = self._side_fd = -1

    def _resume(self, walk: Walk, known: tuple[int, bytes]) -> None:
        for _ in walk.entries():
            pass
        self.breaks = walk.unnamed() or ([] if walk.proved else walk.breaks)
        self.seq = self.durable_seq = walk.seq
        self.hash = self._durable_hash = walk.hash
        self._number = int(walk.files[-1].stem) if walk.files else 0
        self._known_seq, self.remembers = known[0], holds(self.folder, *known)
        if not self.breaks and not self.remembers:
            self.breaks = self._forgotten(known[0])
        if self.breaks:
            return
        try:
            if walk.files:
                self._reopen(walk.whole, walk.size)
                return
        except OSError:
            # A file that cannot be written or whose side cannot be read stays; the chain goes on in the next.
            self.cut_bytes = 0
        self._begin(self._number + 1)

    def _forgotten(self, known: int) -> list[Break]:
        """The chain is whole, and yet it is not the one that the catalogue remembers."""
        if known <= self.seq:
            return [forgotten(f"{self._number:06d}.journal", self.seq, self.hash, known)]
        # The numbers of files that may have been lost stay free: who finds them must be able to put them back.
        lost = [self._number + 1]
        while (self.folder / f"{lost[-1] + 1:06d}.side").exists():
            lost.append(lost[-1] + 1)
        self._number = lost[-1]
        return [forgotten(f"{number:06d}.journal", self.seq, self.hash, known) for number in lost]

    def _reopen(self, whole: int, size: int) -> None:
        """The last file goes on; what is torn at its end is cut."""
        path = self.folder / f"{self._number:06d}.journal"
        self._fd = disk.reopen(path)
        self._side_fd = _open_or_create(path.with_suffix(".side"))
        self._size, self.cut_bytes = whole, size - whole
        if self.cut_bytes:
            disk.truncate(self._fd, whole)
            disk.fdatasync(self._fd)
        self._cut_side(path.with_suffix(".side"))

    def begin_chain(self, utc_ns: int) -> Entry | None:
        """If something was found broken: leaves it as it is and begins a new chain with an entry that names it."""
        if not self.breaks or self._lines:
            return None
        try:
            if self._fd < 0 or self._size:
                self._begin(self._number + 1)
        except OSError as error:
            raise JournalError(f"{self.folder}: no new file can be begun ({error}). {remedy(error)}") from error
        self.seq = (max(self.seq, self._known_seq) // _CHAIN_STEP + 1) * _CHAIN_STEP
        self.hash = FIRST_HASH
        return self.append(NEW_CHAIN, "system", utc_ns, detail=detail_of(self.breaks))

    def _cut_side(self, path: Path) -> None:
        """Side records whose entry never became durable go: their numbers will be used again."""
        data = path.read_bytes()
        keep = 0
        for line in data.splitlines(keepends=True):
            number = line.split(b" ", 1)[0]
            if not line.endswith(b"\n") or not number.isdigit() or int(number) > self.seq:
                break
            keep += len(line)
        if keep < len(data):
            disk.truncate(self._side_fd, keep)
            disk.fdatasync(self._side_fd)
        self._side_size = keep

    def _begin(self, number: int) -> None:
        path = self.folder / f"{number:06d}.journal"
        side_fd = _open_or_create(path.with_suffix(".side"))
        try:
            fd = _open_or_create(path)
        except OSError:
            disk.close(side_fd)
            raise
        self.close()
        self._fd, self._side_fd, self._number = fd, side_fd, number
        disk.sync_folder(self.folder)
        self._size = self._side_size = 0

    def _rotate(self) -> None:
        try:
            self._begin(self._number + 1)
        except OSError:
            # The old file goes on; the next group tries again.
            return

    def _mend(self) -> None:
        """After a failed write: the unfinished group is cut off, and the chain goes on in a new file."""
        try:
            disk.truncate(self._fd, self._size)
            disk.fdatasync(self._fd)
            disk.truncate(self._side_fd, self._side_size)
            disk.fdatasync(self._side_fd)
            if self._size:
                self._begin(self._number + 1)
        except OSError as error:
            raise JournalError(
                f"{self.folder}: the journal is still not writable ({error}). {remedy(error)}"
            ) from error
        self._broken = False


def _open_or_create(path: Path) -> int:
    return disk.reopen(path) if path.exists() else disk.create(path)
