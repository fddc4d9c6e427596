"""Taking a data folder: its lock and its catalogue."""

import fcntl
import os
import shutil
from pathlib import Path

from recorder import disk
from recorder.catalogue import Catalogue
from recorder.chain import FIRST_HASH
from recorder.commits import applied
from recorder.errors import CatalogueError, FolderError, LockedError, remedy


def lock(data: Path) -> int:
    """Holds the folder until the descriptor is closed. Raises `LockedError` naming the process that has it, or
    `FolderError`."""
    path = data / "lock"
    try:
        data.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, disk.FILE_MODE)
    except OSError as error:
        raise LockedError(f"{data}: the data folder cannot be used ({error}). {remedy(error)}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise LockedError(
            f"{data}: the data folder is in use by process {owner}. Stop it first, or use another folder (--data)."
        ) from error
    try:
        # Never cut and written anew: that would need a free block on a disk that may be full.
        os.pwrite(fd, b"%-10d\n" % os.getpid(), 0)
    except OSError as error:
        os.close(fd)
        raise FolderError(f"{path}: the process cannot be named in it ({error.strerror}). {remedy(error)}") from error
    return fd


def open_catalogue(data: Path, map_bytes: int) -> tuple[Catalogue | None, str | None]:
    """The catalogue that is there; or None, and why it cannot be used if there is one."""
    if not (data / "catalogue").exists():
        return None, None
    try:
        return Catalogue.open_writable(data, map_bytes), None
    except CatalogueError as error:
        return None, str(error)


def remembered(catalogue: Catalogue | None) -> tuple[int, bytes]:
    """The last entry of the journal that the catalogue has, and its hash."""
    if catalogue is None:
        return 0, FIRST_HASH
    with catalogue.reading() as txn:
        return applied(txn, catalogue.tables)


def new_catalogue(data: Path, map_bytes: int) -> Catalogue:
    """In place of whatever is there. The folder stays: the page may have it mounted for itself."""
    folder = data / "catalogue"
    try:
        for entry in folder.iterdir() if folder.exists() else ():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise CatalogueError(
            f"{folder}: the damaged catalogue cannot be removed ({error.strerror}). Correct the owner of the folder."
        ) from error
    disk.make_folders(data, folder)
    return Catalogue.open_writable(data, map_bytes)
