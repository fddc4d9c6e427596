"""A file that comes in: written piece by piece where the keeper looks for it, never held in memory.

One at a time, under a name of its own until it is whole and synced. What was left by a page that ended meanwhile goes
at the next start. The keeper copies what it installs to where root alone can write, so nothing is gained by changing a
file here afterwards.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

LARGEST_BYTES = 1 << 30
"""A bundle has some 150 MB."""
SPARED_BYTES = 256 << 20
"""Room that is left to the recorder whatever comes in."""
SYNC_EVERY_BYTES = 8 << 20
PATIENCE_S = 60.0
"""Between two pieces."""
ENDING = ".raucb"
LONGEST_NAME = 120
_PART = "upload.part"


class UploadError(Exception):
    """It was not taken: a key of the locale tables (`update.KEY`), and what is shown beside it."""

    def __init__(self, key: str, detail: str = "") -> None:
        super().__init__(f"{key} {detail}".rstrip())
        self.key = key
        self.detail = detail


def held(folder: Path) -> list[Path]:
    """What was uploaded and not installed yet."""
    return sorted(folder.glob("*.raucb")) if folder.is_dir() else []


def tidy(folder: Path) -> None:
    for path in [*held(folder), folder / _PART]:
        path.unlink(missing_ok=True)


async def take(folder: Path, name: str, size: int, pieces: AsyncIterator[bytes]) -> Path:
    """The whole file under its name, in place of one that was there before. Raises `UploadError`."""
    if not name.endswith(ENDING):
        raise UploadError("not_a_bundle", name[:LONGEST_NAME])
    if not 0 < size <= LARGEST_BYTES:
        raise UploadError("too_large")
    folder.mkdir(mode=0o770, exist_ok=True)
    part = folder / _PART
    if shutil.disk_usage(folder).free < size + SPARED_BYTES:
        raise UploadError("no_room")
    try:
        file = part.open("xb", buffering=0)
    except FileExistsError as error:
        raise UploadError("already_uploading") from error
    try:
        with file:
            if await _written(file.fileno(), size, pieces) != size:
                raise UploadError("cut_short")
        tidy_others(folder)
        return part.rename(folder / cleaned(name))
    except OSError as error:
        raise UploadError("not_written", error.strerror or "") from error
    finally:
        part.unlink(missing_ok=True)


def cleaned(name: str) -> str:
    """What a file is called here, whatever the browser calls it: `linekeep-0.3.0-amd64 (1).raucb` was fetched twice."""
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", name.removesuffix(ENDING)).strip("-.")[:LONGEST_NAME]
    return (stem or "update") + ENDING


def tidy_others(folder: Path) -> None:
    for path in held(folder):
        path.unlink()


async def _written(fd: int, size: int, pieces: AsyncIterator[bytes]) -> int:
    """How many bytes came; never more than `size` are taken. Synced as it goes, for recording shares the disk."""
    done = unsynced = 0
    while True:
        try:
            async with asyncio.timeout(PATIENCE_S):
                piece = await anext(pieces, None)
        except TimeoutError as error:
            raise UploadError("cut_short") from error
        if piece is None or done + len(piece) > size:
            await asyncio.to_thread(os.fdatasync, fd)
            return done + len(piece or b"")
        await asyncio.to_thread(os.write, fd, piece)
        done += len(piece)
        unsynced += len(piece)
        if unsynced >= SYNC_EVERY_BYTES:
            await asyncio.to_thread(os.fdatasync, fd)
            unsynced = 0
