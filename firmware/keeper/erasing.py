"""Making what was on a disk unreadable, by the strongest means that is there, and saying which it was.

- `key destroyed`: of an encrypted partition every key slot is overwritten; without them nobody reads the rest.
- `discarded`: the disk was told to drop every block (TRIM); when its flash lets go of the cells is the disk's own
  affair. There are disks that say yes and give the old data back: some hundred places are read again, and where one of
  them is not zeros, a partition whose key was not destroyed is overwritten, too.
- `overwritten`: zeros over every block, once. On a magnetic disk nothing is read after that; a flash disk may keep
  copies in cells that nobody can address.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from firmware.keeper.ordered import Erasure
from firmware.keeper.volume import StorageError, kind, succeeds, tool

PIECE = 4 << 20
SPOT = 4096
READ_AGAIN = 512
SYNC_EVERY = 256 << 20
SAID_EVERY_S = 10.0


def erase(
    device: Path, position: int, reached: Callable[[int, int], None], discards: bool | None = None
) -> list[Erasure]:
    """A whole partition; an overwriting that was cut short goes on at `position`. `reached` is told of it, and of the
    size, every ten seconds."""
    by: list[Erasure] = []
    if kind(device) == "crypto_LUKS":
        tool("cryptsetup", "luksErase", "--batch-mode", device)
        by.append("key destroyed")
    if (can_discard(device) if discards is None else discards) and succeeds("blkdiscard", "--force", device):
        by.append("discarded")
    # An overwriting that has begun is finished: the places that held something may be zeros by now.
    if not by or (by == ["discarded"] and (position or not _reads_as_zeros(device))):
        _overwrite(device, position, reached)
        by.append("overwritten")
    return by


def can_discard(device: Path) -> bool:
    """Does the disk take TRIM, and promise zeros or nothing after it?"""
    block = Path("/sys/class/block", device.resolve().name)
    queues = [folder / "queue/discard_max_bytes" for folder in (block, block.resolve().parent)]
    return any(queue.exists() and int(queue.read_text()) > 0 for queue in queues)


def _reads_as_zeros(device: Path) -> bool:
    """Its beginning, its end and places all over it, as the disk gives them now and not as memory has them."""
    with device.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        stride = max(size // READ_AGAIN // SPOT, 1) * SPOT
        spots = [(0, PIECE), (max(size - PIECE, 0), PIECE), *((at, SPOT) for at in range(0, size, stride))]
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return not any(any(os.pread(file.fileno(), length, at)) for at, length in spots)
        except OSError:
            # What cannot be read can perhaps be written; that says what is wrong.
            return False


def _overwrite(device: Path, position: int, reached: Callable[[int, int], None]) -> None:
    zeros = memoryview(bytes(PIECE))
    fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        said, synced = time.monotonic(), position
        while position < size:
            position += os.pwrite(fd, zeros[: size - position], position)
            if position - synced >= SYNC_EVERY or position == size:
                os.fdatasync(fd)
                # What was written is of no more use; the memory is.
                os.posix_fadvise(fd, synced, position - synced, os.POSIX_FADV_DONTNEED)
                synced = position
                if (now := time.monotonic()) - said >= SAID_EVERY_S:
                    said = now
                    reached(position, size)
    except OSError as error:
        raise StorageError(
            f"{device}: overwriting failed at byte {position} ({error.strerror}). Is the disk broken? Then destroy it."
        ) from error
    finally:
        os.close(fd)


def overwrite_file(path: Path) -> None:
    """Zeros over what a file has on the disk; its holes stay holes."""
    with path.open("r+b") as file:
        end = size = path.stat().st_size
        start = 0
        while start < size:
            try:
                start = os.lseek(file.fileno(), start, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            except OSError:  # ENXIO: holes up to the end
                break
            while start < end:
                start += os.pwrite(file.fileno(), bytes(min(PIECE, end - start)), start)
        os.fsync(file.fileno())


def remove_tree(folder: Path, keep: frozenset[Path], within: Path = Path()) -> None:
    """Overwrites and deletes all but what is named, by paths within the folder."""
    for entry in sorted((folder / within).iterdir()):
        name = within / entry.name
        if name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(folder, keep, name)
            if not any(name in one.parents for one in keep):
                entry.rmdir()
            continue
        if entry.is_file() and not entry.is_symlink():
            overwrite_file(entry)
        entry.unlink()
