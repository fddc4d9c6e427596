"""Accesses made while the daemon was down, kept until it enters them in the journal when it starts.

One file of JSON for each in `web/spool/` of the data folder, the page's own spool: `id`, `utc_ns`, `act`, `handle`,
`detail`, `actor`. File and folder are synced before a byte of audio leaves.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from firmware.cli.errors import Exit, Failure


def keep(folder: Path, access: dict[str, Any]) -> None:
    """Writes one access durably, or fails: then nothing may be heard or exported."""
    name = f"{access['utc_ns']:020d}-{(ident := secrets.token_hex(16))}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o770)
        with (folder / name).with_suffix(".tmp").open("xb") as file:
            file.write(msgspec.json.encode({"id": ident, **access}))
            file.flush()
            os.fsync(file.fileno())
        (folder / name).with_suffix(".tmp").rename(folder / name)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Failure(
            Exit.DATA,
            f"{folder}: the daemon is down and the access cannot be kept ({error.strerror}); nothing was done.",
            "Start the daemon with `make run`, or call this as a user who may write here.",
        ) from error
