"""Writing the configuration file by request: first the journal says who changes what, then the file is another one."""

import asyncio
from pathlib import Path

from firmware.box import Box
from firmware.config_file import save
from firmware.control import Refusal
from firmware.wire import Fields


async def save_entered(box: Box, path: Path, text: str, who: str, detail: Fields, what: str) -> None:
    """Entered and on the disk when it returns. Raises `Refusal`, naming `what` was not changed, where the file cannot
    be written; the journal is told of that, too."""
    await _enter(box, who, detail)
    try:
        await asyncio.to_thread(save, path, text)
    except OSError as error:
        await _enter(box, who, {**detail, "failed": error.strerror})
        raise Refusal(
            "refused", f"{what} was not changed: {path} cannot be written ({error.strerror}).",
            "Give the disk room, and the daemon the right to write in that folder.",
        ) from error  # fmt: skip


async def _enter(box: Box, who: str, detail: Fields) -> None:
    entry = box.ledger.submit(lambda ledger: ledger.operation("configure", who, None, detail))
    await asyncio.wrap_future(entry)
