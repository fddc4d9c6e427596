"""The few calls by which this package changes a disk.

Everything that must survive a power cut goes through here and nowhere else, so that a test can put a disk in their
place that remembers what was synced and shows every state a crash may leave. Reading needs no seam.
"""

import os
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o750


def create(path: Path, mode: int = FILE_MODE) -> int:
    """A new file for reading and writing; raises `FileExistsError` if there is one. Its entry is not yet durable."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def reopen(path: Path) -> int:
    """An existing file for reading and writing."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def pwrite(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """All of `data`; a full disk may have taken a part of it when this raises."""
    done = os.pwrite(fd, data, offset)
    size = len(data)
    while done < size:
        step = os.pwrite(fd, memoryview(data)[done:], offset + done)
        done += step


def truncate(fd: int, size: int) -> None:
    os.ftruncate(fd, size)


def fdatasync(fd: int) -> None:
    os.fdatasync(fd)


def close(fd: int) -> None:
    os.close(fd)


def rename(old: Path, new: Path) -> None:
    os.rename(old, new)


def unlink(path: Path) -> None:
    os.unlink(path)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def mkdir(folder: Path) -> None:
    with suppress(FileExistsError):
        os.mkdir(folder, FOLDER_MODE)


_synced_folders: set[Path] = set()
"""Folders whose name this process knows to be durable: one that a killed process made may not be."""


def make_folders(root: Path, folder: Path) -> None:
    """`folder` and those between it and the existing `root`, each durable in the one above it."""
    if folder == root or (folder in _synced_folders and folder.is_dir()):
        return
    make_folders(root, folder.parent)
    mkdir(folder)
    sync_folder(folder.parent)
    _synced_folders.add(folder)


def replace_file(path: Path, data: bytes, keep: Path | None = None, mode: int = FILE_MODE) -> None:
    """Puts `data` at `path` so that a crash leaves the old or the new content; the old one stays at `keep`."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = create(fresh, mode)
    try:
        pwrite(fd, data, 0)
        fdatasync(fd)
    finally:
        close(fd)
    if keep is not None and path.exists():
        replace_file(keep, path.read_bytes(), mode=mode)
    rename(fresh, path)
    sync_folder(path.parent)
