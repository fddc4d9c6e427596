"""Factory reset, at a start, before anything uses the data partition.

`keep` leaves the recordings, the journal, the catalogue and what they are verified with (the box's key), and accesses
that are not chained yet; everything else is overwritten and deleted: accounts, configuration, certificate, network,
SSH keys, the system's journal. `destroy` leaves nothing: the partition is erased by the strongest means there is
(`erasing`) and made anew, without encryption. What encryption kept aside on the boot partition goes in both; the
software in the two slots stays in both.

Before `keep` overwrites a byte the file system is checked, wholly: in one that is damaged, a block of a file that goes
may be a recording's, too. What is not mended without losing anything is left as it is, and the order is dropped.

A reset that was cut short goes on at the next start; deleting and erasing may be done twice.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from firmware.keeper import ordered, volume
from firmware.keeper.encrypting import drop_pack
from firmware.keeper.erasing import erase, overwrite_file, remove_tree
from firmware.keeper.ordered import Order
from firmware.keeper.volume import Disk

KEPT = frozenset(
    Path(one)
    for one in (
        "linekeep/recordings", "linekeep/journal", "linekeep/catalogue", "linekeep/identity", "linekeep/web/spool",
        "lost+found", str(volume.KEEPERS_KEY),
    )
)  # fmt: skip
DAMAGED = (
    "The data partition's file system is damaged, and nothing was deleted. If the recordings matter, have the disk "
    "read first. Then start again, press Escape within two seconds after the machine's own start screen and choose "
    '"Repair the data partition": what cannot be mended is lost, the rest is kept. Then order the reset once more.'
)
Say = Callable[[str], None]


def keep(disk: Disk, order: Order, device: Path, say: Say) -> None:
    """`device` is the partition, opened."""
    say("Factory reset: the recordings are kept, everything else is deleted.")
    if not mended(device):
        say(f"Factory reset: not done. {DAMAGED}")
        ordered.tell(disk, order, done=False, message=DAMAGED)
        ordered.finish(disk)
        return
    with volume.mounted(device, disk) as folder:
        clear(folder)
    drop_pack(disk)
    ordered.tell(disk, msgspec.structs.replace(order, by=["overwritten"]), done=True)
    ordered.finish(disk)


def mended(device: Path) -> bool:
    """Is the file system whole, or could it be made so without a decision about what is lost? `-f`, because one that is
    marked as clean is not looked at otherwise. From exit code 4 on, e2fsck(8) has left something as it is."""
    done = subprocess.run(["e2fsck", "-f", "-p", device], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return 0 <= done.returncode < 4


def clear(folder: Path) -> None:
    remove_tree(folder, KEPT)
    (folder / "journal").mkdir()


def destroy(disk: Disk, order: Order, say: Say, discards: bool | None = None) -> None:
    if order.step == "asked":
        say("Factory reset: everything on the data partition is destroyed.")

        def reached(position: int, size: int) -> None:
            ordered.write(disk, msgspec.structs.replace(order, position=position))
            say(f"Factory reset: {100 * position // size} % of {size / 1e9:.0f} GB overwritten.")

        by = erase(disk.partition, order.position, reached, discards)
        order = ordered.write(disk, msgspec.structs.replace(order, step="erased", by=by))
    volume.file_system(disk.partition)
    if disk.boot_key.exists():
        overwrite_file(disk.boot_key)
        disk.boot_key.unlink()
    drop_pack(disk)
    ordered.tell(disk, order, done=True)
    ordered.finish(disk)
