"""Telephony cards on the PCI bus, whether or not a driver has them: what sysfs says, and which module would.

The makers are those whose cards DAHDI drives (the PCI tables of its drivers): Tiger Jet's chip carries the older
Digium cards and most of OpenVox. The module for a card is the one that the kernel's own list names
(`modules.alias`, written by depmod), as modprobe would choose it.

Limits: a card of another maker is not seen here, nor one on USB; if its driver is loaded its spans are.
"""

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

MAKERS: Final = {"e159": "Tiger Jet (Digium, OpenVox)", "d161": "Digium", "1b74": "OpenVox", "1923": "Sangoma"}


@dataclass(frozen=True, slots=True)
class Board:
    address: str
    """On the bus, such as `0000:04:06.0`."""
    id: str
    """Vendor and device, such as `d161:8005`."""
    maker: str
    driver: str | None
    """That has it now."""
    modules: tuple[str, ...]
    """Installed modules that would take it."""


def boards(sys: Path = Path("/sys"), modules: Path | None = None) -> list[Board]:
    """In the order of their addresses; none where the machine has no PCI bus."""
    modules = modules or Path("/lib/modules") / os.uname().release
    found = []
    for device in sorted((sys / "bus/pci/devices").glob("*")):
        vendor = _word(device / "vendor")
        if vendor in MAKERS:
            driver = device / "driver"
            found.append(
                Board(
                    device.name,
                    f"{vendor}:{_word(device / 'device')}",
                    MAKERS[vendor],
                    driver.resolve().name if driver.exists() else None,
                    _modules_for((device / "modalias").read_text().strip(), modules / "modules.alias"),
                )
            )
    return found


def _word(file: Path) -> str:
    return file.read_text().strip().removeprefix("0x")


def _modules_for(modalias: str, aliases: Path) -> tuple[str, ...]:
    if not aliases.is_file():
        return ()
    found: list[str] = []
    for line in aliases.read_text().splitlines():
        words = line.split()
        if (
            len(words) == 3
            and words[1].startswith("pci:")
            and fnmatchcase(modalias, words[1])
            and words[2] not in found
        ):
            found.append(words[2])
    return tuple(found)
