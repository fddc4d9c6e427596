"""Where the keeper keeps and applies things, and how it runs a program."""

import asyncio
import logging
import os
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
    def home(self) -> Path:
        return self.root / "usr/lib/linekeep"


def publish(path: Path, text: str) -> bool:
    """The file under /run says this, and every service may read it; an empty text takes it away. True where that is
    new."""
    if (path.read_text(encoding="utf-8") if path.exists() else "") == text:
        return False
    if not text:
        path.unlink()
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.rename(path)
    return True


def point(link: Path, target: Path) -> None:
    """A symbolic link to this, there at every moment."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.replace(fresh, link)


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
