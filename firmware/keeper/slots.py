"""The two slots of the root, and what is remembered of an update while it is on trial.

The boot menu and RAUC share GRUB's environment on the boot partition: which slot is first (`ORDER`), which may be
started (`A_OK`), how often one was started since it last proved itself (`A_TRY`), and, ours alone, which is the slot of
an update that has yet to prove itself (`TRIAL`). The menu leaves a slot after three starts; see image/grub.cfg.

What is remembered lies beside the other settings, in `update.json`: it must outlive the restart that it is about,
whichever slot comes up.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from firmware.keeper.place import Failed, Place, Run
from firmware.wire import LastUpdate
from recorder import disk

log = logging.getLogger("keeper")

Slot = Literal["A", "B"]
PARTITIONS: dict[Slot, str] = {"A": "linekeep-root-a", "B": "linekeep-root-b"}


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a slot."""

    version: str
    installed_utc: str = ""
    good: bool = False
    """It came up here and proved itself: what a boot menu that is made anew goes by."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An update between its beginning and its proof."""

    slot: Slot
    version: str
    from_version: str
    phase: Literal["installing", "activated"]
    began_utc: str
    actor: str = ""
    failed_units: list[str] = []
    """That had failed already before,"""
    cards: dict[str, str] = {}
    """in which state each card was,"""
    networks: list[str] = []
    """and which network cards had a link: what the new version is held against."""
    boot_id: str = ""
    """It was installed after this start of the box; until the next one nothing has come of it."""


class Remembered(msgspec.Struct, kw_only=True):
    """`update.json`."""

    pending: Pending | None = None
    last: LastUpdate | None = None
    untold: bool = False
    """The daemon has not heard of `last` yet."""
    slots: dict[Slot, Held] = {}


@dataclass(frozen=True, slots=True)
class Store:
    place: Place

    @property
    def _path(self) -> Path:
        return self.place.kept / "update.json"

    def load(self) -> Remembered:
        """What cannot be read is begun anew, with a word in the log: no update is worth a box that does not start."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Remembered)
        except FileNotFoundError:
            return Remembered()
        except (OSError, msgspec.DecodeError) as error:
            log.error("%s is forgotten, it cannot be read: %s", self._path, error)
            return Remembered()

    def save(self, remembered: Remembered) -> None:
        disk.replace_file(self._path, msgspec.json.encode(remembered), mode=0o600)


def booted(place: Place) -> Slot | None:
    """The slot that runs; None on a machine that was not started by the box's menu."""
    told = place.root / "proc/cmdline"
    words = told.read_text(encoding="utf-8").split() if told.exists() else []
    found: dict[str, Slot] = {"rauc.slot=A": "A", "rauc.slot=B": "B"}
    return next((found[word] for word in words if word in found), None)


def networks(place: Place) -> list[Path]:
    """The kernel's folders of what is in the network."""
    return sorted((place.root / "sys/class/net").glob("*"))


def boot_id(place: Place) -> str:
    """Of this start of the box."""
    return (place.root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def other(slot: Slot) -> Slot:
    return "B" if slot == "A" else "A"


@dataclass(frozen=True, slots=True)
class Menu:
    """GRUB's environment."""

    place: Place
    run: Run

    @property
    def _path(self) -> str:
        return str(self.place.root / "efi/grub/grubenv")

    async def read(self) -> dict[str, str]:
        told = await self.run("grub-editenv", self._path, "list")
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    async def write(self, **values: str) -> None:
        await self.run("grub-editenv", self._path, "set", *(f"{name}={value}" for name, value in values.items()))

    async def mend(self, slot: Slot, machine_id: str, remembered: Remembered) -> bool:
        """Makes it anew where it cannot be read (a power cut while it was written), of what is remembered. True where
        that was needed."""
        try:
            if "ORDER" in await self.read():
                return False
        except Failed as error:
            log.error("GRUB's environment cannot be read, it is made anew: %s", error)
        await self.run("grub-editenv", self._path, "create")
        await self.write(machine_id=machine_id, **anew(slot, remembered))
        return True

    # What RAUC's own marks would write, without its service, which a box that is barely up may not start in time.

    async def good(self, slot: Slot) -> None:
        """It came up; nothing is on trial."""
        await self.write(**{f"{slot}_OK": "1", f"{slot}_TRY": "0", "TRIAL": ""})

    async def alone(self, slot: Slot) -> None:
        """It is good, the other may be written. One write: at no moment is there nothing to start, or something on
        trial that is being given up."""
        await self.write(**_alone(slot))

    async def bad(self, slot: Slot) -> None:
        await self.write(**{f"{slot}_OK": "0", f"{slot}_TRY": "0"})

    async def first(self, slot: Slot) -> None:
        """It starts from now on; the other has its three starts should this one fail."""
        await self.write(**{"ORDER": f"{slot} {other(slot)}", f"{other(slot)}_TRY": "0"})

    async def activate(self, slot: Slot) -> None:
        """It starts next, on trial."""
        await self.write(**{f"{slot}_OK": "1", f"{slot}_TRY": "0", "ORDER": f"{slot} {other(slot)}", "TRIAL": slot})


def anew(slot: Slot, remembered: Remembered) -> dict[str, str]:
    """A menu in place of one that was torn. Without one GRUB starts slot A, whatever is in it: that it runs says
    nothing for it where another version is known to be good."""
    away, pending = other(slot), remembered.pending
    good = {name for name, held in remembered.slots.items() if held.good}
    if pending is not None and pending.slot == slot and pending.phase == "activated":
        return _alone(slot) | {f"{slot}_TRY": "1", f"{away}_OK": "1", "TRIAL": slot}
    if away in good and slot not in good:
        return _alone(away)
    return _alone(slot) | {f"{away}_OK": "1" if away in good else "0"}


def _alone(slot: Slot) -> dict[str, str]:
    away = other(slot)
    return {
        f"{slot}_OK": "1", f"{slot}_TRY": "0", f"{away}_OK": "0", f"{away}_TRY": "0",
        "ORDER": f"{slot} {away}", "TRIAL": "",
    }  # fmt: skip
