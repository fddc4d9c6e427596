"""Reading the journal: every entry that is sound, in order, and every place where the chain is broken.

A line is sound if its hash follows from the hash that the line before states. So a damaged line is passed over and
those after it are read again, but from there on nothing proves them: they count as not proved, up to the next file
that begins a new chain. Such a file goes on from 32 zero bytes, and its first entry (`chain`) names what was broken,
with the last hash that was good; the damaged file stays as it is, and whoever checks the journal meets both for ever.

Weak: of a line whose forerunner is lost nobody can tell whether it is sound; it is passed over as well.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

FIRST_HASH = bytes(32)
NEW_CHAIN = "chain"
"""The act of an entry that begins a new chain."""


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


class Break(msgspec.Struct, frozen=True):
    """A place where the chain does not go on."""

    file: str
    entry: int
    """The first entry that is not what it was, or not there."""
    last_hash: str
    """Of the entry before it, the last that is proved."""
    why: str

    def __str__(self) -> str:
        return f"journal/{self.file}: the chain is broken at entry {self.entry}: {self.why} Fetch it from the backup."


Side = dict[str, Any]
Read = tuple[Entry, Side | None, bytes]
"""An entry, its side record (None where it has none or it was erased) and its hash."""
_decode = msgspec.json.Decoder(Entry).decode
_SideRecords = dict[int, tuple[bytes, bytes]]


def chained(before: bytes, line: bytes) -> bytes:
    return hashlib.sha256(before + line).digest()


def committed(salt: bytes, record: bytes) -> str:
    return hashlib.sha256(salt + record).hexdigest()


def journal_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.journal"))


class Walk:
    """One pass over the journal from the file that holds the first entry above `after`, or from the start.

    Where it stands is told by `seq` and `hash` (of the last sound entry), `whole` (bytes of the present file that are
    good so far) and `proved`; `breaks` holds what it has met."""

    def __init__(self, folder: Path, after: int = 0, known: int = 0) -> None:
        """`known`: an entry that is known to have been durable, so that losing it is no torn end."""
        self.files = journal_files(folder)
        self.breaks: list[Break] = []
        self.side_errors: list[str] = []
        self.proved = True
        self.seq, self.hash = 0, FIRST_HASH
        self.whole = self.size = 0
        self._known = known
        self._before: bytes | None = FIRST_HASH
        """Stated by the line before; None where that cannot be read."""
        self._first = self._begin_above(after)

    def _begin_above(self, after: int) -> int:
        """The file to begin with: the last one whose forerunner ends at or below `after`, and no gap unheard of."""
        named = {one.file for entry in chains(self.files) for one in breaks_of(entry)}
        first = self._first_gap(named)
        for at in range(min(first, len(self.files) - 1), 0, -1):
            stated = end_of(self.files[at - 1]) if self.files[at].stat().st_size else None
            if stated is not None and stated[1] <= after:
                self.hash, self.seq = stated
                self._before = self.hash
                return at
        return 0

    def _first_gap(self, named: set[str]) -> int:
        """Index of the file before the first missing one that no chain has named; of the last if there is none."""
        numbers = [0, *(int(path.stem) for path in self.files)]
        for at, (number, following) in enumerate(pairwise(numbers)):
            if any(f"{lost:06d}.journal" not in named for lost in range(number + 1, following)):
                return max(at - 1, 0)
        return len(self.files) - 1

    def entries(self) -> Iterator[tuple[Path, Entry]]:
        number = int(self.files[self._first - 1].stem) if self._first else 0
        for path in self.files[self._first :]:
            for lost in range(number + 1, int(path.stem)):
                self._break(f"{lost:06d}.journal", "the file is missing.")
                self._before = None
            number = int(path.stem)
            for entry in self._entries_of(path):
                yield path, entry

    def read(self, after: int = 0) -> Iterator[Read]:
        """The entries above `after` with their side records. One that was changed or lost counts as erased, and is
        named in `side_errors`."""
        at: Path | None = None
        sides: _SideRecords = {}
        for path, entry in self.entries():
            if path != at:
                at, sides = path, _sides(path.with_suffix(".side"))
            if entry.seq > after:
                yield entry, self._side(entry, sides), self.hash

    def unnamed(self) -> list[Break]:
        """Breaks that no later chain has named yet."""
        named = {(one.file, one.entry) for entry in chains(self.files) for one in breaks_of(entry)}
        return [one for one in self.breaks if (one.file, one.entry) not in named]

    def _entries_of(self, path: Path) -> Iterator[Entry]:
        told, self.whole, self.size = False, 0, 0
        try:
            data = path.read_bytes()
        except OSError as error:
            self._break(path.name, f"the file cannot be read ({error.strerror}). Look at the disk.")
            self._before = None
            return
        at, self.size = 0, len(data)
        while at < self.size:
            end = data.find(b"\n", at)
            end = self.size if end < 0 else end
            entry = self._sound(data[at : end + 1], first=at == 0)
            if entry is not None:
                yield entry
            elif not told and path == self.files[-1] and self._is_torn(data[at:]):
                return
            else:
                if not told and self._before is not None:
                    self._break(path.name, f"from byte {at} on it was changed or damaged after it was written.")
                told, self.proved = True, False
                self._before = _hash_of(data[at:end])
            at = end + 1
            self.whole = self.whole if told else at

    def _sound(self, line: bytes, *, first: bool) -> Entry | None:
        """The entry of a line, if it is what was written; the chain then stands at it."""
        stated, text = line[:65], line[65:-1]
        follows = self._before is not None and stated == _told(chained(self._before, text))
        anew = first and stated == _told(chained(FIRST_HASH, text))
        if not (follows or anew) or not line.endswith(b"\n"):
            return None
        try:
            entry = _decode(text)
        except msgspec.DecodeError:
            return None
        if anew and entry.act == NEW_CHAIN and entry.seq > self.seq:
            self.proved = True
        elif not follows or entry.seq <= self.seq or (self.proved and entry.seq != self.seq + 1):
            return None
        self.seq, self.hash = entry.seq, bytes.fromhex(stated[:64].decode())
        self._before = self.hash
        return entry

    def _is_torn(self, rest: bytes) -> bool:
        """The unfinished last group: no line of a group that was written later follows."""
        if self._known > self.seq:
            return False
        for line in rest.split(b"\n"):
            try:
                entry = _decode(line[65:])
            except msgspec.DecodeError:
                continue
            if entry.group > self.seq + 1 or entry.seq <= self.seq:
                return False
        return True

    def _break(self, file: str, why: str) -> None:
        self.breaks.append(Break(file, self.seq + 1, self.hash.hex(), why))
        self.proved = False

    def _side(self, entry: Entry, sides: _SideRecords) -> Side | None:
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
            self.side_errors.append(
                f"journal: entry {entry.seq} ({entry.act}): its side record was changed or lost ({error}). "
                "Fetch the .side files from the backup."
            )
            return None


def _told(digest: bytes) -> bytes:
    return digest.hex().encode() + b" "


def _hash_of(line: bytes) -> bytes | None:
    try:
        stated = bytes.fromhex(line[:64].decode())
    except ValueError:
        return None
    return stated if len(stated) == 32 else None


def _sides(path: Path) -> _SideRecords:
    """Salt and record of each side record; both empty where it was erased."""
    found = {}
    try:
        data = path.read_bytes()
    except OSError:
        # Each entry that should have one then says that it was lost.
        return {}
    for line in data.splitlines():
        number, _, rest = line.partition(b" ")
        salt, _, record = rest.strip(b" ").partition(b" ")
        if number.isdigit():
            found[int(number)] = (salt, record)
    return found


def end_of(path: Path) -> tuple[bytes, int] | None:
    """Hash and number of a finished file's last entry, as it states them; None if that cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            line = file.read().splitlines()[-1]
        stated, entry = _hash_of(line), _decode(line[65:])
    except (OSError, IndexError, msgspec.DecodeError):
        return None
    return None if stated is None else (stated, entry.seq)


def chains(files: list[Path]) -> Iterator[Entry]:
    """The entries that began a new chain because the one before was broken."""
    for path in files:
        try:
            with path.open("rb") as file:
                line = file.readline()
            entry = _decode(line[65:])
        except (OSError, msgspec.DecodeError):
            # Of a file that cannot be read the walk tells.
            continue
        if entry.act == NEW_CHAIN and line.startswith(_told(chained(FIRST_HASH, line[65:-1]))):
            yield entry


def breaks_of(entry: Entry) -> list[Break]:
    """What the first entry of a new chain names."""
    return msgspec.convert(entry.detail["breaks"], list[Break])


def detail_of(breaks: list[Break]) -> dict[str, Any]:
    return {"breaks": [msgspec.structs.asdict(one) for one in breaks]}


def forgotten(file: str, seq: int, digest: bytes, known: int) -> Break:
    """The chain is whole up to `seq`, and yet it is not the one that has the entry `known` of the catalogue."""
    if known <= seq:
        why = f"entry {known} is not the one that the catalogue remembers: changed with all after it, or exchanged."
        return Break(file, known, digest.hex(), why)
    return Break(file, seq + 1, digest.hex(), f"the end is lost, the catalogue remembers entries up to {known}.")


def holds(folder: Path, seq: int, digest: bytes) -> bool:
    """Whether the journal has an entry `seq` that states this hash."""
    if seq == 0:
        return digest == FIRST_HASH
    for path in reversed(journal_files(folder)):
        try:
            data = b"\n" + path.read_bytes()
        except OSError:
            continue
        if data.find(b"\n" + _told(digest)) >= 0:
            return True
        if _seq_of(data[66 : data.find(b"\n", 1)]) <= seq:
            return False
    return False


def _seq_of(text: bytes) -> int:
    try:
        return _decode(text).seq
    except msgspec.DecodeError:
        return 1 << 62


class Verdict(msgspec.Struct, frozen=True):
    """What a check of the whole journal found."""

    entries: int
    erased: int
    """Side records that were erased on purpose."""
    unproved: int = 0
    """Entries after a break: sound in themselves, but nothing proves them."""
    errors: tuple[str, ...] = ()
    """Every place where the chain is or was broken, and every side record that was changed."""


def verify_chain(folder: Path, known: tuple[int, bytes] = (0, FIRST_HASH)) -> Iterator[tuple[int, Verdict | None]]:
    """Checks every entry and side record; yields (entries so far, None) now and then, at last the verdict.

    `known`: number and hash of the entry that the catalogue remembers; a chain that is whole without it has lost it."""
    entries = erased = unproved = 0
    walk = Walk(folder, known=known[0])
    for entry, side, _ in walk.read():
        entries += 1
        erased += entry.side is not None and side is None
        unproved += not walk.proved
        if entries % 5000 == 0:
            yield entries, None
    named = [one for entry in chains(walk.files) for one in breaks_of(entry)]
    unnamed = walk.unnamed()
    if not unnamed and not holds(folder, *known):
        last = walk.files[-1].name if walk.files else "000001.journal"
        unnamed = [forgotten(last, walk.seq, walk.hash, known[0])]
    errors = (*dict.fromkeys(map(str, named + unnamed)), *walk.side_errors)
    yield entries, Verdict(entries, erased - len(walk.side_errors), unproved, errors)
