"""Encrypting the data partition of a box that has no recordings yet, at a start, before anything uses it.

A partition is encrypted by being made anew. The little that is on it (accounts, keys, configuration, journal) is first
packed onto the boot partition, synced and read again; only then is it overwritten and the partition made; then it is
unpacked, the partition closed and opened once more by the means that shall open it from now on, and only then is the
pack overwritten, too. The order says how far it is, and each step may be done twice:

    asked   the data is as it was: pack, and go on
    staged  the pack is whole: overwrite, make the partition anew, unpack
    done    remove the pack

So a power cut at any moment leaves a box that goes on by itself at its next start. Where a step fails (the TPM refuses,
the stick is gone), a plain partition is made instead and unpacked onto: the box starts as it was, and says why it is
not encrypted.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from firmware.keeper import ordered, volume
from firmware.keeper.erasing import can_discard, overwrite_file, remove_tree
from firmware.keeper.ordered import Order
from firmware.keeper.volume import Disk, StorageError, tool
from recorder.disk import sync_folder

Say = Callable[[str], None]
LEFT_OUT = ("./linekeep/catalogue", "./lost+found", "./linekeep/web/updates/*", "./system/update/*")
"""The catalogue is an index: the daemon makes it anew. An update that was uploaded is larger than all the rest."""
SYSTEM_JOURNAL = "./journal"


def encrypt(disk: Disk, order: Order, say: Say) -> None:
    """Leaves a closed, encrypted partition; or a plain one, with the reason told."""
    pack = pack_of(disk)
    if order.step == "asked":
        say("Encryption: keeping accounts, keys, configuration and journal aside.")
        try:
            with volume.mounted(disk.partition, disk, "ro") as folder:
                order = msgspec.structs.replace(order, step="staged", digest=packed(folder, pack))
        except StorageError as error:
            drop(disk, order, f"Not encrypted, nothing was changed: {error}")
            return
        ordered.write(disk, order)
    if order.step == "staged":
        if digest(pack) != order.digest:
            raise StorageError(
                f"{pack}: what was kept aside for encryption is damaged, and the data partition is being made anew. "
                "Reset the box to factory state from the boot menu, or flash it anew."
            )
        try:
            _encrypted(disk, order, pack, say)
            ordered.tell(disk, order, done=True)
        except StorageError as error:
            say(f"Encryption failed, the data partition is made anew without it: {error}")
            _plain(disk, pack)
            ordered.tell(disk, order, done=False, message=f"Not encrypted: {error}")
        order = ordered.write(disk, msgspec.structs.replace(order, step="done"))
    drop_pack(disk)
    ordered.finish(disk)


def drop(disk: Disk, order: Order, message: str) -> None:
    ordered.tell(disk, order, done=False, message=message)
    drop_remains(disk)
    ordered.finish(disk)


def pack_of(disk: Disk) -> Path:
    return disk.boot / "kept.tar.zst"


def drop_remains(disk: Disk) -> None:
    """Of an order that is gone; where one could not be read, the pack may be all that is left of the data."""
    if not ordered.unread(disk).exists():
        drop_pack(disk)


def drop_pack(disk: Disk) -> None:
    pack = pack_of(disk)
    if pack.exists():
        overwrite_file(pack)
        pack.unlink()
        sync_folder(pack.parent)
    ordered.unread(disk).unlink(missing_ok=True)


def packed(folder: Path, pack: Path) -> str:
    """Packs a folder durably and gives the digest; the system's journal is left out where there is no room for it."""
    pack.parent.mkdir(parents=True, exist_ok=True)
    for left_out in (LEFT_OUT, (*LEFT_OUT, f"{SYSTEM_JOURNAL}/*")):
        options = [f"--exclude={one}" for one in left_out]
        try:
            tool("tar", "--create", "--zstd", "--sparse", "--numeric-owner", "--file", pack, *options,
                 "--directory", folder, ".")  # fmt: skip
            tool("sync", pack, pack.parent)
            break
        except StorageError as error:
            pack.unlink(missing_ok=True)
            failed = error
    else:
        raise StorageError(
            f"There is no room on the boot partition to keep the box's data aside: {failed}. Reset the box with its "
            "recordings destroyed, and encrypt it then."
        )
    return digest(pack)


def unpacked(pack: Path, folder: Path) -> None:
    tool("tar", "--extract", "--zstd", "--sparse", "--numeric-owner", "--preserve-permissions", "--file", pack,
         "--directory", folder)  # fmt: skip


def digest(pack: Path) -> str:
    try:
        with pack.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _encrypted(disk: Disk, order: Order, pack: Path, say: Say) -> None:
    assert order.means is not None
    say("Encryption: overwriting what was not encrypted.")
    if volume.kind(disk.partition) == "ext4":
        with volume.mounted(disk.partition, disk) as folder:
            remove_tree(folder, frozenset())
    if can_discard(disk.partition):
        volume.succeeds("blkdiscard", "--force", disk.partition)
    say("Encryption: making the data partition anew.")
    keepers = disk.work / "volume.key"
    try:
        volume.write_key(keepers, volume.new_key())
        if order.means == "boot":
            volume.write_key(disk.boot_key, volume.new_key())
        volume.encrypt(disk, order.means, order.uuid, keepers)
        volume.open_with(disk, keepers)
        try:
            volume.file_system(volume.MAPPED)
            with volume.mounted(volume.MAPPED, disk) as folder:
                unpacked(pack, folder)
                volume.write_key(folder / volume.KEEPERS_KEY, keepers.read_bytes())
        finally:
            volume.close()
        if why := volume.open_by_itself(disk):
            raise StorageError(f"The new partition does not open by itself. {why}")
        volume.close()
    finally:
        keepers.unlink(missing_ok=True)


def _plain(disk: Disk, pack: Path) -> None:
    disk.boot_key.unlink(missing_ok=True)
    volume.file_system(disk.partition)
    with volume.mounted(disk.partition, disk) as folder:
        unpacked(pack, folder)
