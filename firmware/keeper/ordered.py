"""What is to be done to the data partition at the next start, and what came of it.

The order stands on the boot partition, because the data partition itself may be made anew: one small file, of a single
sector, that names the act and how far it is. It goes when all is done; until then every start goes on where the last
one was, whatever cut it short. An order that cannot be read is put aside and said, and nothing is done to the data; nor
to what encryption kept aside, of which it may have been the order, until a reset or another encryption is done.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from firmware.keeper.volume import Disk, Means, StorageError
from recorder.disk import sync_folder

Act = Literal["encrypt", "keep", "destroy"]
Step = Literal["asked", "staged", "erased", "done"]
SECTOR = 512
Erasure = Literal["key destroyed", "discarded", "overwritten"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    act: Act
    step: Step = "asked"
    """`staged`: what was on the partition is kept aside, whole. `erased`: nothing of it can be read any more."""
    means: Means | None = None
    uuid: str = ""
    """Of the partition that is to be encrypted: the key on a stick carries it in its name."""
    digest: str = ""
    """SHA-256 of what is kept aside."""
    position: int = 0
    """Bytes that are overwritten."""
    by: list[Erasure] = []


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last order."""

    act: Act
    done: bool
    utc: str
    by: list[Erasure] = []
    """How what is gone was made unreadable (`erasing`)."""
    message: str = ""


def read(disk: Disk) -> Order | None:
    """Raises `StorageError` where there is one that cannot be read; it is put aside."""
    path = _order(disk)
    try:
        # One that the power cut found being made was never given.
        written = path.read_bytes().strip(b"\0 ")
        return msgspec.json.decode(written, type=Order) if written else None
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        path.replace(unread(disk))
        raise StorageError(
            f"{path}: what was to be done to the data partition cannot be read ({error}). Nothing was done; ask anew."
        ) from error


def unread(disk: Disk) -> Path:
    """Where an order lies that could not be read."""
    return _order(disk).with_suffix(".bad")


def write(disk: Disk, order: Order) -> Order:
    _write(_order(disk), msgspec.json.encode(order))
    return order


def finish(disk: Disk) -> None:
    path = _order(disk)
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync_folder(path.parent)


def tell(disk: Disk, order: Order, *, done: bool, message: str = "") -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    outcome = Outcome(act=order.act, done=done, utc=now, by=order.by, message=message)
    _write(disk.boot / "outcome.json", msgspec.json.encode(outcome))


def outcome(disk: Disk) -> Outcome | None:
    try:
        return msgspec.json.decode((disk.boot / "outcome.json").read_bytes(), type=Outcome)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def sentence(outcome: Outcome) -> str:
    """For the console."""
    what = {
        "encrypt": "Encryption of the data partition",
        "keep": "Factory reset (recordings kept)",
        "destroy": "Factory reset (recordings destroyed)",
    }[outcome.act]
    if not outcome.done:
        return f"{what}: not done. {outcome.message}"
    return f"{what}: done at {outcome.utc}{', by ' + ' and '.join(outcome.by) if outcome.by else ''}."


def _order(disk: Disk) -> Path:
    return disk.boot / "order.json"


def _write(path: Path, content: bytes) -> None:
    """In place, filled up to a sector, which a disk writes wholly or not at all. Renaming a file over another would not
    do: on FAT the name goes on showing the old content until some later sync, and that content is given away."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, content.ljust(SECTOR), 0)
        os.ftruncate(fd, max(len(content), SECTOR))
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(path.parent)
