"""Who may do what: accounts and their roles in `access/people.json`, and the one-time code that makes the first.

Password hashes are made elsewhere (argon2id, as PHC strings) and kept as they come. The file is replaced atomically
and the former version stays beside it. Of the setup code only the SHA-256 is kept; it is void once used, and a reset
(from the console alone) disables every account and makes a new one. The daemon writes, through `Ledger`; the page
reads with `Reader`, which looks again when the file has changed.
"""

import hashlib
import random
import re
from enum import StrEnum
from pathlib import Path

import msgspec

from recorder import disk
from recorder.errors import AccessError, RefusedError

_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without letters that are read for others: 32 of them, 5 bits each."""


class Role(StrEnum):
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    password_hash: str
    roles: tuple[Role, ...]
    language: str = ""
    """`zh-CN`, `en`; empty: the browser's."""
    enabled: bool = True

    def may(self, role: Role) -> bool:
        return self.enabled and role in self.roles


class _People(msgspec.Struct, frozen=True):
    format: int
    people: tuple[Person, ...]
    setup_sha256: str = ""
    """Of the code that is valid now; empty: setup is closed."""


class Reader:
    """Reads the accounts; every call looks whether the file has changed. Usable from any thread."""

    def __init__(self, data: Path) -> None:
        self.path = data / "access" / "people.json"
        self._seen: tuple[int, int, int] | None = None
        self._people = _People(1, ())

    def load(self) -> _People:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return _People(1, ())
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen != self._seen:
            try:
                self._people = msgspec.json.decode(self.path.read_bytes(), type=_People)
            except (OSError, msgspec.DecodeError) as error:
                raise AccessError(
                    f"{self.path}: the accounts cannot be read ({error}). The version before stands in "
                    "people.json.before; or `linekeep user reset` begins anew."
                ) from error
            self._seen = seen
        return self._people

    def people(self) -> tuple[Person, ...]:
        return self.load().people

    def person(self, name: str) -> Person | None:
        return next((person for person in self.people() if person.name.casefold() == name.casefold()), None)

    def setup_open(self) -> bool:
        """Whether a first account may still be made with the setup code."""
        return bool(self.load().setup_sha256)

    def setup_valid(self, code: str) -> bool:
        stated = self.load().setup_sha256
        return bool(stated) and _sha(code) == stated


class Access(Reader):
    """The one that writes; its changes are journalled by `Ledger` before they are made.

    `rng` makes the setup code: `random.SystemRandom` everywhere but in tests."""

    def __init__(self, data: Path, rng: random.Random) -> None:
        super().__init__(data)
        self._rng = rng

    def put(self, person: Person) -> None:
        """Makes or changes an account."""
        known = self.load()
        others = tuple(one for one in known.people if one.name.casefold() != person.name.casefold())
        self._save(_People(1, (*others, person), known.setup_sha256))

    def close_setup(self, person: Person) -> None:
        """Makes the first account; the code is void."""
        self.put(person)
        self._save(_People(1, self.load().people))

    def new_code(self) -> str:
        """A new setup code, four groups of four; the former one is void."""
        code = "-".join("".join(self._rng.choices(_CODE_LETTERS, k=4)) for _ in range(4))
        self._save(_People(1, self.load().people, _sha(code)))
        return code

    def reset(self) -> str:
        """Disables every account and makes a new setup code."""
        try:
            known = self.load().people
        except AccessError:
            known = ()
        disabled = tuple(msgspec.structs.replace(person, enabled=False) for person in known)
        self._save(_People(1, disabled))
        return self.new_code()

    def _save(self, people: _People) -> None:
        data = msgspec.json.format(msgspec.json.encode(people), indent=2)
        try:
            disk.make_folders(self.path.parent.parent, self.path.parent)
            disk.replace_file(self.path, data, keep=self.path.with_name("people.json.before"))
        except OSError as error:
            raise AccessError(f"{self.path}: the accounts could not be written ({error}). Look at the disk.") from error


def checked(person: Person) -> Person:
    """`person`, if it may be stored. Raises `RefusedError` saying what is wrong."""
    if not 1 <= len(person.name) <= 64 or not person.name.isprintable() or person.name != person.name.strip():
        raise RefusedError(f"Account {person.name[:64]!r}: a name has 1 to 64 printable characters. Choose another.")
    if not re.match(r"\$argon2id\$v=\d+\$", person.password_hash):
        raise RefusedError(f"Account {person.name!r}: the password hash is no argon2id PHC string.")
    if not person.roles or len(set(person.roles)) != len(person.roles):
        raise RefusedError(f"Account {person.name!r}: it needs at least one role, each once.")
    return person


def _sha(code: str) -> str:
    plain = "".join(char for char in code.upper() if char in _CODE_LETTERS)
    return hashlib.sha256(plain.encode()).hexdigest()
