"""The data partition and safe mode, as the keeper is asked about them.

Encryption and factory reset are only ordered here (`ordered`); they are done at the next start, before anything uses
the partition (`boot`). The recovery key is made while the box runs, given once in the answer, and kept nowhere.
"""

import asyncio
import re
import uuid as uuids
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from firmware.control import Refusal
from firmware.keeper import ordered, power, safe_mode, volume
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.ordered import Order
from firmware.keeper.place import Failed
from firmware.keeper.volume import Disk, StorageError
from firmware.wire import EncryptionState, Fields, LastOrder

Answer = TypeVar("Answer")
DISK = Disk()


class Encrypt(BoxAct):
    means: Literal["tpm", "usb", "boot", "off"]
    """`off` takes back what was ordered and is not done yet."""


class RecoveryKey(BoxAct):
    pass


class Reset(BoxAct):
    recordings: Literal["keep", "destroy"]


class Resume(BoxAct):
    pass


async def encrypt(keeper: Keeping, request: Encrypt) -> Fields:
    """Ordered for the next start."""
    waiting = await _done(ordered.read, DISK)
    if waiting is not None and (waiting.act != "encrypt" or waiting.step != "asked"):
        raise Refusal(
            "refused",
            "box.encrypt: another order for the data partition waits for a restart.",
            "Restart the box first.",
        )
    if request.means == "off":
        await _done(ordered.finish, DISK)
        return {"restart": False}
    if await asyncio.to_thread(_has_recordings, keeper):
        raise Refusal(
            "refused", "box.encrypt: there are recordings on the data partition, which is made anew to be encrypted.",
            "Copy away what must be kept, reset the box with its recordings destroyed, and encrypt it then.",
        )  # fmt: skip
    await _done(_ordered, keeper, request.means)
    return {"restart": True}


def _ordered(keeper: Keeping, means: volume.Means) -> None:
    if volume.encrypted(DISK):
        raise Refusal("refused", "box.encrypt: the data partition is encrypted already.", "`linekeep box` shows how.")
    if means == "tpm" and not volume.has_tpm(keeper.place.root):
        raise Refusal(
            "refused", "box.encrypt: this machine has no TPM 2 that the system can use.",
            "Switch it on in the machine's setup (fTPM, PTT), or choose a USB stick.",
        )  # fmt: skip
    name = str(uuids.uuid4())
    if means == "usb":
        _key_onto_stick(name)
    ordered.write(DISK, Order(act="encrypt", means=means, uuid=name))


def _key_onto_stick(name: str) -> None:
    found = volume.sticks(DISK)
    if len(found) != 1:
        raise Refusal(
            "refused", f"box.encrypt: {len(found)} USB sticks with a FAT file system are plugged in; one is needed.",
            "Plug in exactly one, formatted with FAT as sticks are when bought.",
        )  # fmt: skip
    # It may be mounted for the updates on it.
    volume.tool("systemctl", "stop", f"linekeep-stick@{found[0].name}.service")
    with volume.mounted(found[0], DISK, type_="vfat") as folder:
        volume.write_key(folder / volume.key_name(name), volume.new_key())


async def recovery_key(keeper: Keeping, request: RecoveryKey) -> Fields:
    """A new one, in place of any before it."""
    return {"recovery_key": await _done(_recovery_key, keeper)}


def _recovery_key(keeper: Keeping) -> str:
    if not volume.encrypted(DISK):
        raise Refusal("refused", "box.recovery_key: the data partition is not encrypted.", "Encrypt it first.")
    key = keeper.place.root / "data" / volume.KEEPERS_KEY
    had = "systemd-recovery" in volume.tokens(DISK)
    words = ["systemd-cryptenroll", f"--unlock-key-file={key}", "--recovery-key"]
    printed = volume.tool(*words, *(["--wipe-slot=recovery"] if had else []), DISK.partition)
    found = re.search(r"\b(?:[bcdefghijklnrtuv]{8}-){7}[bcdefghijklnrtuv]{8}\b", printed)
    if found is None:
        raise StorageError("systemd-cryptenroll made a recovery key and did not tell it; ask for another.")
    return found[0]


async def reset(keeper: Keeping, request: Reset) -> Fields:
    """Ordered, and the box restarts to do it."""
    waiting = await _done(ordered.read, DISK)
    if waiting is not None and waiting.step != "asked":
        raise Refusal("refused", "box.reset: an order for the data partition is half done.", "Restart the box first.")
    await _done(ordered.write, DISK, Order(act=request.recordings))
    return await power.restart(keeper, power.Power(actor=request.actor))


async def resume(keeper: Keeping, request: Resume) -> Fields:
    """The daemon is given another try. Safe mode is over before this is answered: who asks then is told so."""
    await keeper.run("systemctl", "stop", safe_mode.OWN_UNIT)
    await keeper.run("systemctl", "reset-failed", safe_mode.UNIT)
    await keeper.run("systemctl", "start", "--no-block", safe_mode.UNIT)
    return {}


async def state(keeper: Keeping) -> Fields:
    return {
        "safe_mode": await asyncio.to_thread(safe_mode.read, keeper.place.root),
        "encryption": await _done(_encryption, keeper),
        "last_order": await asyncio.to_thread(_last),
    }


def _last() -> LastOrder | None:
    last = ordered.outcome(DISK)
    return LastOrder(**msgspec.structs.asdict(last)) if last is not None else None


def _encryption(keeper: Keeping) -> EncryptionState:
    if not DISK.partition.exists():
        return EncryptionState()
    if volume.encrypted(DISK):
        enrolled = "systemd-recovery" in volume.tokens(DISK)
        return EncryptionState(on=True, means=volume.means(DISK), recovery_enrolled=enrolled)
    waiting = ordered.read(DISK)
    return EncryptionState(
        tpm=volume.has_tpm(keeper.place.root),
        possible=not _has_recordings(keeper),
        ordered=waiting.means or "" if waiting is not None else "",
    )


def _has_recordings(keeper: Keeping) -> bool:
    return any((keeper.place.root / "data/linekeep/recordings").rglob("*.wav"))


async def _done(work: Callable[..., Answer], *arguments: Any) -> Answer:
    """In a thread: the tools take their time."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except StorageError as error:
        raise Failed(str(error).rstrip(".")) from error
