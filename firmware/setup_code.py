"""Where the setup code of the first account is shown.

An installed box shows it on its own console: systemd gives the daemon a folder of its own that no disk holds
(RUNTIME_DIRECTORY), and what draws the console reads it there. It stands in no journal. Elsewhere, where a person has
started the daemon in a terminal, it is printed.
"""

import os
import sys
from pathlib import Path


def _place() -> Path | None:
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(folder, "setup-code") if folder else None


def show(code: str) -> None:
    """From now on this one is valid. Raises `OSError`."""
    place = _place()
    if place is None:
        sys.stderr.write(f"setup code: {code}\n")
        return
    place.unlink(missing_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{code}\n")


def hide() -> None:
    """There is an account: it is valid no more."""
    place = _place()
    if place is not None:
        place.unlink(missing_ok=True)
