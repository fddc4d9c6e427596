"""Taking a data folder: its lock, and a catalogue that belongs to its journal."""

import fcntl
import os
import shutil
from pathlib import Path

from recorder import disk, journal
from recorder.catalogue import Catalogue
from recorder.commits import applied
from recorder.errors import CatalogueError, LockedError, remedy


def lock(data: Path) -> int:
    """Holds the folder until the descriptor is closed. Raises `LockedError` naming the process that has it."""
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
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd


def open_catalogue(data: Path, map_bytes: int, *, anew: bool) -> tuple[Catalogue, str | None]:
    """The catalogue if it belongs to this journal, else a new one and why."""
    folder = data / "catalogue"
    why = "asked for" if anew else None
    if not anew and folder.exists():
        try:
            catalogue = Catalogue.open_writable(data, map_bytes)
            with catalogue.reading() as txn:
                seq, stated = applied(txn, catalogue.tables)
            if journal.hash_at(data / "journal", seq) == stated:
                return catalogue, None
            catalogue.close()
            why = f"it had entry {seq} of another journal, or of one that was longer"
        except CatalogueError as error:
            why = str(error)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise CatalogueError(f"{folder}: the damaged catalogue cannot be removed. Correct the owner of the folder.")
    disk.make_folders(data, folder)
    return Catalogue.open_writable(data, map_bytes), why
