"""Accesses made while the daemon was down: kept here until it chains them into the journal.

Who heard or exported what is in the journal before the first byte leaves. When the daemon does not answer, the page or
the command writes the access to `DATA/web/spool/` instead, synced, file and folder, before the first byte leaves; the
daemon takes the files in the order of their names when it starts, and the page hands over what is left when it finds
the daemon again.
A file holds one JSON object: `id`, `utc_ns`, `act`, `handle`, `detail`, `actor`.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from recorder.errors import RefusedError

LONGEST_DETAIL = 16 << 10
"""Bytes that an operation may say of itself, as JSON: more than the longest path, and little beside a call."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Random: the daemon chains an access once, however often it sees it."""
    utc_ns: int
    act: str
    handle: str | None
    detail: dict[str, Any]
    actor: dict[str, str]


class SpoolError(Exception):
    """An access could not be made durable; nothing may be heard or exported."""


def checked(act: str, detail: dict[str, Any]) -> dict[str, Any]:
    """The detail of an operation; raises `RefusedError` where it is longer than the journal takes."""
    length = len(msgspec.json.encode(detail))
    if length > LONGEST_DETAIL:
        raise RefusedError(
            f"Operation {act}: what is to stand in the journal has {length} bytes, at most {LONGEST_DETAIL} do. "
            "Nothing was done; ask for less at once."
        )
    return detail


def keep(
    folder: Path, utc_ns: int, act: str, handle: str | None, detail: dict[str, Any], actor: dict[str, str]
) -> Path:
    """Write one access durably. Raises `SpoolError`."""
    access = Access(id=secrets.token_hex(16), utc_ns=utc_ns, act=act, handle=handle, detail=detail, actor=actor)
    try:
        checked(act, chained(detail, access.id, utc_ns))
    except RefusedError as error:
        raise SpoolError(str(error)) from error
    path = folder / f"{utc_ns:020d}-{access.id}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o770)
        with open(path.with_suffix(".tmp"), "xb") as file:
            file.write(msgspec.json.encode(access))
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".tmp").rename(path)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SpoolError(
            f"The access could not be written to {folder} ({error.strerror}), so nothing is heard or exported. "
            "Free space on the disk, or start the daemon."
        ) from error
    return path


def chained(detail: dict[str, Any], ident: str, utc_ns: int) -> dict[str, Any]:
    """The detail as it is to stand in the journal."""
    return {**detail, "spool": ident, "utc_ns": utc_ns}


def read(path: Path) -> Access | None:
    """One access; None where somebody else has taken it, or where the file is none (the daemon reports those)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def waiting(folder: Path) -> list[Path]:
    """What the daemon has not taken yet, oldest first."""
    return sorted(folder.glob("*.json"))
