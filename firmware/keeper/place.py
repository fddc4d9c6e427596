"""Where the keeper keeps and applies things, and how it runs a program."""

import asyncio
import logging
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("keeper")

PATIENCE_S = 30.0
Run = Callable[..., Awaitable[str]]
"""Runs a program with its words and gives what it printed. Raises `Failed`."""


class Failed(Exception):
    """A program or a file did not do its part; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """All paths of the keeper, under `root`: another one than / is for tests."""

    root: Path = Path("/")

    @property
    def kept(self) -> Path:
        return self.root / "data/system"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def public(self) -> Path:
        """What every service may read of the settings."""
        return self.run / "linekeep-box"

    @property
    def socket(self) -> Path:
        return self.run / "linekeep-keeper"

    @property
    def library(self) -> Path:
        return self.root / "usr/lib/linekeep"


async def run(*words: str, patience_s: float = PATIENCE_S) -> str:
    """`Run`, for real."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise Failed(f"{words[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(patience_s):
            out, err = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise Failed(f"`{shlex.join(words)}` did not end within {patience_s:.0f} s") from error
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise Failed(f"`{shlex.join(words)}` failed ({process.returncode}): {said or 'it said nothing'}")
    return out.decode(errors="replace")
