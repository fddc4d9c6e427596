"""The journal: what happened after a recording was sealed, append-only and chained by hashes.

`journal/000001.journal`, `000002.journal` ... hold one entry a line, `HASH JSON\\n`, where HASH is
SHA-256(hash of the entry before, JSON bytes); the first entry goes on from 32 zero bytes. What is personal (numbers,
names, the text of notes) stands in `000001.side` beside it, `SEQ SALT JSON\\n`, and the entry holds only
SHA-256(salt, JSON): blanking the side record, salt and all, erases it and leaves a chain that verifies.

Entries are collected (`append`) and become durable together (`commit`), the side records first, so that an entry
whose side record is missing was erased and not lost. Each entry names the first of its group: a line that cannot be
read is a torn group if nothing of a later group follows it, and is cut when the journal is opened for writing;
anything else is damage, which is reported with file and entry and never mended.

Weak: damage to the very last group looks like a tear. The catalogue remembers the last entry it took, and
`Ledger.open` compares.
"""

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from recorder import disk
from recorder.errors import JournalError, remedy

FIRST_HASH = bytes(32)
ROTATE_BYTES = 16 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act. `detail` holds ids, digests, states and reason codes; nothing personal but the actor."""

    seq: int
    group: int
    """`seq` of the first entry that became durable together with this one."""
    utc_ns: int
    act: str
    actor: str
    """`user:NAME`, `console:NAME` or `system`."""
    handle: str | None = None
    detail: dict[str, Any] = {}
    side: str | None = None
    """SHA-256 of salt and side record, hexadecimal."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode
Side = dict[str, Any]
Read = tuple[Entry, Side | None, bytes]
"""An entry, its side record (None where it has none or it was erased) and its hash."""


def chained(before: bytes, line: bytes) -> bytes:
    return hashlib.sha256(before + line).digest()


def committed(salt: bytes, record: bytes) -> str:
    return hashlib.sha256(salt + record).hexdigest()


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

    @classmethod
    def open(cls, folder: Path, rng: random.Random) -> "Journal":
        """Opens or begins the journal. Only its last file is checked; `verify_chain` checks all.

        Raises `JournalError` naming the file and the entry where the chain is broken, or what the disk refused."""
        journal = cls(folder, rng)
        try:
            disk.make_folders(folder.parent, folder)
            files = journal_files(folder)
            if files:
                journal._resume(files)
            else:
                journal._begin(1)
        except OSError as error:
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

    def _resume(self, files: list[Path]) -> None:
        before, seq = _end_of(files[-2]) if len(files) > 1 else (FIRST_HASH, 0)
        scan = _Scan(files[-1], before, seq)
        for _ in scan.lines():
            pass
        self.cut_bytes = scan.size - scan.whole
        self._number = int(files[-1].stem)
        self._fd, self._side_fd = disk.reopen(files[-1]), _open_or_create(files[-1].with_suffix(".side"))
        self._size = scan.whole
        if self.cut_bytes:
            disk.truncate(self._fd, scan.whole)
            disk.fdatasync(self._fd)
        self.seq = self.durable_seq = scan.seq
        self.hash = self._durable_hash = scan.hash
        self._cut_side(files[-1].with_suffix(".side"))

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


class _Scan:
    """Reads one file, checking the chain, up to its end or to a torn group."""

    def __init__(self, path: Path, before: bytes, seq: int) -> None:
        self.path, self.hash, self.seq = path, before, seq
        self._data = path.read_bytes()
        self.size, self.whole = len(self._data), 0

    def lines(self) -> Iterator[bytes]:
        """The JSON of each entry. Raises `JournalError` where the chain is broken."""
        data = self._data
        while self.whole < self.size:
            end = data.find(b"\n", self.whole)
            line = data[self.whole + 65 : end]
            reached = chained(self.hash, line)
            if end < 0 or data[self.whole : self.whole + 65] != reached.hex().encode() + b" ":
                self._judge()
                return
            self.hash = reached
            self.seq += 1
            self.whole = end + 1
            yield line

    def _judge(self) -> None:
        """Torn, if no line of a group that was written later follows; else damaged."""
        for line in self._data[self.whole :].split(b"\n"):
            try:
                entry = _decode(line[65:])
            except msgspec.DecodeError:
                continue
            if entry.group > self.seq + 1 or entry.seq <= self.seq:
                raise JournalError(
                    f"{self.path}: the chain is broken at entry {self.seq + 1} (byte {self.whole}): it was changed or "
                    "damaged after it was written. Fetch the file from the backup; until then nothing after it counts."
                )


def _end_of(path: Path) -> tuple[bytes, int]:
    """Hash and number of a finished file's last entry, as it states them."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        lines = file.read().splitlines()
    try:
        return bytes.fromhex(lines[-1][:64].decode()), _decode(lines[-1][65:]).seq
    except (IndexError, ValueError, msgspec.DecodeError) as error:
        raise JournalError(
            f"{path}: its last entry cannot be read ({error}). Fetch the file from the backup."
        ) from error


def _open_or_create(path: Path) -> int:
    return disk.reopen(path) if path.exists() else disk.create(path)


def journal_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.journal"))


def read(folder: Path, after: int = 0, *, strict: bool = False) -> Iterator[Read]:
    """The durable entries with a number above `after`, with their side records; checks the chain of what it reads.

    Raises `JournalError` naming file and entry where the chain is broken, and if `strict` also where a side record is
    not what it was; else such a record counts as erased."""
    files = journal_files(folder)
    before, seq = FIRST_HASH, 0
    for number, path in enumerate(files):
        following = files[number + 1] if number + 1 < len(files) else None
        if following is not None and following.stat().st_size and _end_of(path)[1] <= after:
            before, seq = _end_of(path)
            continue
        sides = _sides(path.with_suffix(".side"))
        scan = _Scan(path, before, seq)
        for line in scan.lines():
            if scan.seq > after:
                entry = _decode(line)
                yield entry, _matching(entry, sides, strict), scan.hash
        if following is not None and scan.whole < scan.size:
            raise JournalError(
                f"{path}: entry {scan.seq + 1} is damaged, and there are later files. Fetch it from the backup."
            )
        before, seq = scan.hash, scan.seq


_SideRecords = dict[int, tuple[bytes, bytes]]


def _sides(path: Path) -> _SideRecords:
    """Salt and record of each side record; both empty where it was erased."""
    found = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        number, _, rest = line.partition(b" ")
        salt, _, record = rest.strip(b" ").partition(b" ")
        if number.isdigit():
            found[int(number)] = (salt, record)
    return found


def _matching(entry: Entry, sides: _SideRecords, strict: bool) -> Side | None:
    if entry.side is None:
        return None
    salt, record = sides.get(entry.seq, (b"missing", b""))
    if not salt and not record:
        return None
    try:
        raw = bytes.fromhex(salt.decode())
        if committed(raw, record) != entry.side or raw.hex().encode() != salt:
            raise ValueError("it does not match its entry")
        return msgspec.json.decode(record, type=dict[str, Any])
    except (ValueError, msgspec.DecodeError) as error:
        if not strict:
            return None
        raise JournalError(
            f"Journal entry {entry.seq} ({entry.act}): its side record was changed or lost ({error}). "
            "Fetch the side file from the backup."
        ) from error


def hash_at(folder: Path, seq: int) -> bytes | None:
    """The stated hash of entry `seq`; None if there is no such entry."""
    if seq == 0:
        return FIRST_HASH
    for path in reversed(journal_files(folder)):
        lines = path.read_bytes().splitlines()
        if not lines:
            continue
        try:
            first = _decode(lines[0][65:]).seq
            if first <= seq:
                return bytes.fromhex(lines[seq - first][:64].decode()) if seq - first < len(lines) else None
        except (ValueError, msgspec.DecodeError):
            return None
    return None


class Verdict(msgspec.Struct, frozen=True):
    """What a check of the whole journal found."""

    entries: int
    erased: int
    """Side records that were erased on purpose."""
    error: str | None
    """Where the chain is broken; None if it is whole."""


def verify_chain(folder: Path) -> Iterator[tuple[int, Verdict | None]]:
    """Checks every entry and side record; yields (entries so far, None) now and then, at last the verdict."""
    entries = erased = 0
    try:
        for entry, side, _ in read(folder, strict=True):
            entries += 1
            erased += entry.side is not None and side is None
            if entries % 5000 == 0:
                yield entries, None
    except JournalError as error:
        yield entries, Verdict(entries, erased, str(error))
        return
    yield entries, Verdict(entries, erased, None)
