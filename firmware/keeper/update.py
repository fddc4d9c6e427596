"""Updates: a bundle is taken, checked, written into the slot that does not run, looked at, and made the next to start.

Recording goes on all the while: what is heavy is done by RAUC's service at idle priority. The steps, as `box.update`
reports them: `copying` (to where root alone can write, so that what was checked is what is installed), `checking`
(signature, kind of box, formats, room), `installing` (RAUC writes the slot, which cannot be started meanwhile),
`examining` (the new version reads this box's configuration) and `activating`. The restart is for whoever asks for it
(`box.restart`); what happens then is the matter of `proof`.

An update goes on when who asked for it has gone away. A power cut leaves this version the one that starts.
"""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from firmware.control import Refusal
from firmware.keeper import bundle, slots
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import Failed, Place, log
from firmware.keeper.slots import PARTITIONS, Held, Menu, Pending, Slot, Store, other
from firmware.wire import Client, Fields, LastUpdate, SlotState, UpdateState, WireError

ROOM = "update"
PIECE = 4 << 20
START_S = 300.0
INSTALL_S = 3600.0
REPORT_EVERY_S = 1.0
DATA = "data/linekeep"
UPLOADS = "data/linekeep/web/updates"
STICK = "run/linekeep-stick"
"""A memory stick with updates is mounted here, read-only (image/root, linekeep-stick@.service)."""
Step = Literal["", "copying", "checking", "installing", "examining", "activating"]
SHARES: dict[Step, tuple[float, float]] = {
    "copying": (0.0, 0.1),
    "checking": (0.1, 0.12),
    "installing": (0.12, 0.9),
    "examining": (0.9, 0.98),
}
"""Of the whole, by step."""


class InstallUpdate(BoxAct):
    path: str


@dataclass(slots=True)
class _Job:
    """The update that goes on, or the last one."""

    running: bool = False
    version: str = ""
    """Of the bundle, once it is read."""
    step: Step = ""
    share: float = 0.0
    refused: Refusal | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, step: Step, part: float = 0.0) -> None:
        low, high = SHARES.get(step, (0.98, 1.0))
        self.step, self.share = step, round(low + (high - low) * min(part, 1.0), 3)


def _job(keeper: Keeping) -> _Job:
    job: _Job = keeper.memory.setdefault(ROOM, _Job())
    return job


def not_done(name: str, error: Exception) -> Refusal:
    return Refusal(
        "internal", f"{name} was not installed: {error}.", "`journalctl -u linekeep-keeper -u rauc` has more."
    )


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def install(keeper: Keeping, request: InstallUpdate) -> AsyncGenerator[Fields, None]:
    """`box.update`."""
    slot = slots.booted(keeper.place)
    if slot is None:
        raise Refusal("refused", "This machine was not started from a slot of the box.", "Flash it with the image.")
    if (await Menu(keeper.place, keeper.run).read()).get("TRIAL") == slot:
        # The other slot is the only one that is known to come up.
        raise Refusal(
            "busy", "This version is still on trial.", "Wait until it has proved itself or the box has gone back."
        )
    if _job(keeper).running:
        raise Refusal("busy", "An update is being installed already.", "`linekeep update` shows how far it is.")
    source = _allowed(keeper.place.root, request)
    job = keeper.memory[ROOM] = _Job(running=True)
    job.at("copying")
    keeper.begin(_run(keeper, job, source, slot, f"{request.actor.kind}:{request.actor.name}"), "update")
    while job.running:
        yield {"event": "progress", "share": job.share, "step": job.step}
        with suppress(TimeoutError):
            async with asyncio.timeout(REPORT_EVERY_S):
                await job.changed.wait()
    if job.refused is not None:
        raise job.refused
    yield {"event": "progress", "share": 1.0, "step": "done"}
    yield {"event": "end", "reason": "done"}


async def apply(keeper: Keeping) -> None:
    """At the start of the keeper: what a power cut has left of an update is in nobody's way."""
    _copy_of(keeper.place).unlink(missing_ok=True)


def _copy_of(place: Place) -> Path:
    return place.kept / "update/bundle.raucb"


def _allowed(root: Path, request: InstallUpdate) -> Path:
    """Root on the console may name any file, a user of the page what lies where uploads and sticks do."""
    path = Path(request.path)
    if request.actor.kind == "user" and path.parent not in (root / UPLOADS, root / STICK):
        raise Refusal("refused", f"{path} is no uploaded update.", "Upload it under System, Update.")
    return path if path.is_absolute() else root / path


async def _run(keeper: Keeping, job: _Job, source: Path, slot: Slot, actor: str) -> None:
    store = Store(keeper.place)
    # What nothing else is said of has not been done.
    job.refused = not_done(source.name, Failed("the keeper was ended"))
    try:
        job.refused = await _tried(keeper, job, source, slot, actor, store)
        if job.refused is not None:
            log.error("The update was not installed: %s %s", job.refused.message, job.refused.remedy)
            await _remember_failure(keeper, store, job.version, job.refused)
    finally:
        job.running = False
        job.changed.set()


async def _tried(keeper: Keeping, job: _Job, source: Path, slot: Slot, actor: str, store: Store) -> Refusal | None:
    """Why it was not installed."""
    try:
        version = await _install(keeper, job, source, slot, actor, store)
    except Refusal as refusal:
        return refusal
    except (Failed, OSError) as error:
        return not_done(source.name, error)
    except Exception as error:  # noqa: BLE001 - told and remembered as a failure; silence would be taken for success
        log.exception("An update ends by a fault of the keeper")
        return not_done(source.name, Failed(repr(error)))
    log.info("version %s is installed; it starts with the next start of the box", version)
    return None


async def _remember_failure(keeper: Keeping, store: Store, version: str, refusal: Refusal) -> None:
    """What was installed before and waits for its restart still has to prove itself then, if the menu starts it."""
    remembered = store.load()
    message = f"{refusal.message} {refusal.remedy}".strip()
    if not await _starts_next(keeper, remembered.pending):
        remembered.pending = None
    remembered.untold = False
    remembered.last = LastUpdate(version=version, outcome="failed", message=message, utc=now())
    try:
        store.save(remembered)
    except OSError as error:
        log.error("What came of the update is not remembered: %s", error)


async def _starts_next(keeper: Keeping, pending: Pending | None) -> bool:
    if pending is None or pending.phase != "activated":
        return False
    try:
        return (await Menu(keeper.place, keeper.run).read()).get("TRIAL") == pending.slot
    except Failed as error:
        log.error("Whether version %s starts next cannot be said: %s", pending.version, error)
        return True


async def _install(keeper: Keeping, job: _Job, source: Path, slot: Slot, actor: str, store: Store) -> str:
    place, run, target = keeper.place, keeper.run, other(slot)
    own = msgspec.json.decode((place.home / "build.json").read_bytes(), type=bundle.Build)
    copy = _copy_of(place)
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        await asyncio.to_thread(_copy, source, copy, job)
        job.at("checking")
        offered = await bundle.read(run, copy, source.name, own.development)
        job.version = offered.build.version
        partition = _partition(place.root, target)
        bundle.judge(offered, source.name, int((partition / "size").read_text()) * 512)
        before = await asyncio.to_thread(_cards_now, place.root / DATA)
        failed = await failed_units(keeper)
        pending = Pending(
            slot=target, version=offered.build.version, from_version=own.version, phase="installing", began_utc=now(),
            actor=actor, failed_units=failed, cards=before, boot_id=slots.boot_id(place),
            networks=[card.name for card in slots.networks(place) if _has_link(card)],
        )  # fmt: skip
        menu = Menu(place, run)
        # First the menu: a version that waits in the other slot, void from here on, must not start as if it were good.
        await menu.alone(slot)
        _remember(store, pending)
        job.at("installing")
        await _write(keeper, job, copy, partition, offered.image_bytes)
        job.at("examining")
        await examine(keeper, target, offered.build.version)
        job.at("activating")
        _remember(store, msgspec.structs.replace(pending, phase="activated"))
        await menu.activate(target)
    finally:
        copy.unlink(missing_ok=True)
    return pending.version


def _remember(store: Store, pending: Pending) -> None:
    remembered = store.load()
    remembered.pending = pending
    remembered.untold = False
    remembered.last = None
    if pending.phase == "installing":
        remembered.slots.pop(pending.slot, None)
    else:
        remembered.slots[pending.slot] = Held(version=pending.version, installed_utc=now())
        remembered.last = LastUpdate(
            version=pending.version, outcome="installed", utc=now(),
            message=f"Version {pending.version} starts with the next start of the box.",
        )  # fmt: skip
    store.save(remembered)


def _copy(source: Path, target: Path, job: _Job) -> None:
    """A regular file, and no link where it lies. Synced as it goes: recording shares the disk."""
    try:
        given = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal("not_found", f"{source} cannot be read: {error.strerror}.", "Name an update bundle.") from error
    with os.fdopen(given, "rb", buffering=0) as taken:
        told = os.fstat(given)
        if not stat.S_ISREG(told.st_mode):
            raise Refusal("refused", f"{source} is not a file.", "Name an update bundle: linekeep-VERSION-amd64.raucb.")
        target.unlink(missing_ok=True)
        bundle.require_room(target.parent, told.st_size)
        done = 0
        with target.open("xb", buffering=0) as kept:
            while piece := taken.read(min(PIECE, told.st_size - done)):
                kept.write(piece)
                os.fdatasync(kept.fileno())
                os.posix_fadvise(kept.fileno(), done, len(piece), os.POSIX_FADV_DONTNEED)
                os.posix_fadvise(given, done, len(piece), os.POSIX_FADV_DONTNEED)
                done += len(piece)
                job.at("copying", done / max(1, told.st_size))


def _partition(root: Path, slot: Slot) -> Path:
    """The kernel's own account of a slot's partition."""
    named = f"PARTNAME={PARTITIONS[slot]}"
    for uevent in (root / "sys/class/block").glob("*/uevent"):
        # A stick may be pulled meanwhile; what is wanted here stays.
        with suppress(OSError):
            if named in uevent.read_text().splitlines():
                return uevent.parent
    raise Failed(f"there is no partition {PARTITIONS[slot]}")


def _written_bytes(partition: Path) -> int:
    return int((partition / "stat").read_text().split()[6]) * 512


async def _write(keeper: Keeping, job: _Job, copy: Path, partition: Path, size: int) -> None:
    """RAUC writes the slot; how far it is, the disk's own count says."""
    began = _written_bytes(partition)
    # D-Bus would give it 25 seconds to start, which a box that is busy recording may not have.
    await keeper.run("systemctl", "start", "rauc.service", patience_s=START_S)
    work = asyncio.ensure_future(keeper.run("rauc", "install", str(copy), patience_s=INSTALL_S))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=REPORT_EVERY_S)
            job.at("installing", (_written_bytes(partition) - began) / size)
        await work
    finally:
        work.cancel()


async def examine(keeper: Keeping, target: Slot, version: str) -> None:
    """The new root, read-only and shut off from everything else, with its own Python: is it the version it was said to
    be, and does it take the configuration of this box?"""
    configuration, seen = "/data/linekeep/linekeep.toml", "/run/linekeep.toml"
    bound = [f"--property=BindReadOnlyPaths=-{configuration}:{seen}"]
    check = f"cat /usr/lib/linekeep/build.json; test ! -e {seen} || exec linekeep config check {seen} >&2"
    words = (
        "systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=linekeep-examine", "--nice=19",
        f"--property=RootImage=/dev/disk/by-partlabel/{PARTITIONS[target]}", "--property=RootImageOptions=ro",
        "--property=MountAPIVFS=yes", "--property=ProtectSystem=strict", "--property=PrivateNetwork=yes",
        "--property=NoNewPrivileges=yes", "--property=IOSchedulingClass=idle", "--property=RuntimeMaxSec=300", *bound,
        "/bin/sh", "-c", check,
    )  # fmt: skip
    try:
        said = await keeper.run(*words, patience_s=330.0)
        told = msgspec.json.decode(said, type=bundle.Build)
    except (Failed, msgspec.DecodeError) as error:
        # What the command in there says comes last.
        why = str(error).rpartition("linekeep: ")[2].strip().removesuffix(".")
        raise Refusal(
            "refused",
            f"Version {version} does not take this box's configuration, or cannot run: {why}.",
            "This version stays. Correct what is named, or take another version.",
        ) from error
    if told.version != version:
        raise Refusal(
            "refused", f"The bundle says version {version}, its root says {told.version}.", "Take another bundle."
        )


def _cards_now(data: Path) -> dict[str, str]:
    """In which state each card is; none where the daemon does not answer: then the new version owes nothing."""
    try:
        with Client.connect(data, 10.0) as daemon:
            return {card["name"]: card["state"] for card in daemon.call("status")["cards"]}
    except WireError as error:
        log.warning("The state of the cards before the update is not known: %s", error)
        return {}


def _has_link(card: Path) -> bool:
    """An Ethernet card, no interface of software, with a cable. The kernel does not say so of one that is down."""
    try:
        told = [(card / name).read_text().strip() for name in ("type", "carrier")]
    except OSError:
        return False
    return told == ["1", "1"] and (card / "device").exists()


async def failed_units(keeper: Keeping) -> list[str]:
    said = await keeper.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
    return [line.split()[0] for line in said.splitlines() if line.strip()]


async def state(keeper: Keeping) -> Fields:
    """`update`, `slot` and `slots` of `box.state`."""
    slot = slots.booted(keeper.place)
    remembered, job = Store(keeper.place).load(), _job(keeper)
    told: Fields = {
        "update": UpdateState(
            running=job.running, share=job.share if job.running else 0.0, step=job.step if job.running else "",
            last=remembered.last, waiting=_waiting(remembered, slot), offered=_offered(keeper.place.root / STICK),
        )
    }  # fmt: skip
    if slot is None:
        return told
    try:
        menu = await Menu(keeper.place, keeper.run).read()
    except Failed as error:
        keeper.problems["slots"] = f"slots: {error}"
        menu = {}
    else:
        keeper.problems.pop("slots", None)
    held = remembered.slots
    return told | {
        "slot": slot,
        "slots": [
            SlotState(
                name=name, version=held[name].version if name in held else "", booted=name == slot,
                installed_utc=held[name].installed_utc if name in held else "",
                good=menu.get(f"{name}_OK") == "1" and menu.get("TRIAL") != name, on_trial=menu.get("TRIAL") == name,
            )
            for name in PARTITIONS
        ],
    }  # fmt: skip


def _waiting(remembered: slots.Remembered, slot: Slot | None) -> str:
    pending = remembered.pending
    return pending.version if pending and pending.phase == "activated" and pending.slot != slot else ""


def _offered(stick: Path) -> list[str]:
    """Without those whose names are not text: nobody can be told of them."""
    return sorted(str(path) for path in stick.glob("linekeep-*.raucb") if path.name.isprintable() and path.is_file())
