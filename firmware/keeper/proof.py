"""`python -m firmware.keeper.proof`: after each start of the box, is this version to stay?

On an ordinary start the slot is marked good as soon as this runs: it came up. A slot that an update has just filled is
on trial, and has to prove itself first: the daemon answers and says its version, each card is in the state it had
before the update or better, what runs delivers, the page answers over TLS on the box itself, each network card that had
a link is there (a cable may be pulled, and a switch be slow), and no unit has failed that had not before. Where that is
not so within `PATIENCE_S`, or the daemon gives up earlier, this ends with an error; then `linekeep-give-up.service`
takes the slot out of the menu and restarts the box, which comes up in the version before. That service needs none of
our Python, and a timer starts it too, so that a root in which nothing works goes back as well; three starts that end in
a panic or a power cut have GRUB go back. It leaves a proved slot as well after three starts that did not come this far;
the other one then says so, and is the first from there on.

What is on trial the boot menu says, too. What is remembered of the update may be gone (a factory reset deletes it, a
power cut may tear it): then the version has to prove itself all the same. Where the menu itself was torn and had to be
made anew, a version that runs without having been good is left, or goes on with its trial, and goes back from here:
the other way back needs a start that the menu knew to be one on trial.

What came of an update is remembered, and told to the daemon, which enters it in the journal and raises an alarm when
the box has gone back.
"""

import asyncio
import contextlib
import http.client
import logging
import ssl
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from firmware.keeper import bundle, slots, update
from firmware.keeper.place import Failed, Place, Run, run
from firmware.keeper.slots import Held, Menu, Pending, Remembered, Slot, Store, other
from firmware.logs import log_to_stderr
from firmware.wire import Client, Fields, LastUpdate, WireError

log = logging.getLogger("proof")

PATIENCE_S = 600.0
LOOK_EVERY_S = 5.0
TELL_S = 600.0
CRASHES = 5
"""Starts of the daemon within a trial that say enough."""
PAGE = ("127.0.0.1", 443, "/sign-in")


@dataclass(slots=True)
class Look:
    """What was seen of the box at one time."""

    version: str = ""
    cards: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Sentences on what did not answer."""
    networks: list[str] = field(default_factory=list)


def shortcomings(pending: Pending, first: Look, second: Look) -> list[str]:
    """What a version on trial still owes, of two looks some seconds apart; empty: it has proved itself."""
    owed = list(second.missing)
    if second.version and second.version != pending.version:
        owed.append(f"the daemon is version {second.version}")
    for name, now in second.cards.items():
        # One that is broken stands in the configuration, and so here; one that was taken out of it owes nothing.
        before = pending.cards.get(name, now)
        if now not in (before, "running"):
            owed.append(f"card {name} is {now}, it was {before} before the update")
        if now == "running" and second.blocks[name] <= first.blocks.get(name, second.blocks[name]):
            owed.append(f"card {name} delivers nothing")
    owed += [f"network card {name} is not there" for name in pending.networks if name not in second.networks]
    owed += [f"{unit} has failed" for unit in second.failed if unit not in pending.failed_units]
    return owed


async def look(place: Place, run: Run) -> Look:
    seen = Look()
    try:
        status = await asyncio.to_thread(_status, place)
    except WireError as error:
        log.info("%s", error)
        seen.missing.append("the daemon does not answer")
    else:
        seen.version = status["version"]
        seen.cards = {card["name"]: card["state"] for card in status["cards"]}
        seen.blocks = {card["name"]: card["blocks"] for card in status["cards"]}
    try:
        await asyncio.to_thread(_page)
    except (OSError, http.client.HTTPException) as error:
        seen.missing.append(f"the page does not answer ({error})")
    seen.networks = [card.name for card in slots.networks(place)]
    said = await run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager")
    seen.failed = [line.split()[0] for line in said.splitlines() if line.strip()]
    return seen


def _status(place: Place) -> Mapping[str, Any]:
    with Client.connect(place.root / update.DATA, 10.0) as daemon:
        return daemon.call("status")


def _page() -> None:
    """Answers over TLS. Whose certificate it is does not matter here, on the box itself."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port, path = PAGE
    with contextlib.closing(http.client.HTTPSConnection(host, port, timeout=10.0, context=context)) as asked:
        asked.request("GET", path)
        answer = asked.getresponse()
        if answer.status >= 500:
            raise http.client.HTTPException(f"it says {answer.status}")


async def _crashes(run: Run) -> bool:
    """The daemon will not come up."""
    said = await run("systemctl", "show", "linekeep.service", "--property=NRestarts,ActiveState")
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return told["ActiveState"] == "failed" or int(told["NRestarts"]) >= CRASHES


async def proves(place: Place, run: Run, pending: Pending, patience_s: float = PATIENCE_S) -> list[str]:
    """Waits until the version on trial owes nothing; else what it owed last."""
    until = time.monotonic() + patience_s
    before = await look(place, run)
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        seen = await look(place, run)
        owed = shortcomings(pending, before, seen)
        if not owed or time.monotonic() > until or await _crashes(run):
            return owed
        log.info("not yet: %s", "; ".join(owed))
        before = seen


def outcome(remembered: Remembered, slot: Slot, tried: bool) -> LastUpdate | None:
    """What an update came to that is not on trial in this slot; `tried`: the menu has started it, or it was given
    up."""
    pending = remembered.pending
    if pending is None or (pending.slot == slot and pending.phase == "activated"):
        return None
    if pending.phase == "installing" or not tried:
        message = (
            f"Version {pending.version} was being installed when the box stopped. Version {pending.from_version} "
            "stays; install it again."
        )
        return LastUpdate(version=pending.version, outcome="interrupted", message=message, utc=update.now())
    message = (
        f"Version {pending.version} did not come up so far that it could say why (kernel, disk or watchdog). The box "
        f"went back to version {pending.from_version}."
    )
    return LastUpdate(version=pending.version, outcome="fell_back", message=message, utc=update.now())


async def prove(place: Place, run: Run) -> bool:
    """False: the box is to go back."""
    slot = slots.booted(place)
    if slot is None:
        log.info("this machine was not started from a slot of the box")
        return True
    menu, store = Menu(place, run), Store(place)
    machine_id = (place.root / "etc/machine-id").read_text(encoding="ascii").strip()
    remembered = store.load()
    mended = await menu.mend(slot, machine_id, remembered)
    told = await menu.read()
    build = msgspec.json.decode((place.home / "build.json").read_bytes(), type=bundle.Build)
    if mended and told[f"{slot}_OK"] == "0":
        log.error("version %s in slot %s was not good, it ran for want of a boot menu", build.version, slot)
        return await _goes_back(place, run)
    pending = _pending(remembered, slot, build.version, told.get("TRIAL") == slot)
    if pending is not None:
        if not await _on_trial(place, run, menu, store, pending):
            return await _goes_back(place, run)
    else:
        await _settle(place, menu, store, slot, build.version, mended)
    remembered = store.load()
    held = remembered.slots.get(slot, Held(version=build.version))
    remembered.slots[slot] = msgspec.structs.replace(held, version=build.version, good=True)
    store.save(remembered)
    await run("systemctl", "stop", "linekeep-give-up.timer")
    log.info("version %s in slot %s is good", build.version, slot)
    return True


def _pending(remembered: Remembered, slot: Slot, version: str, trial: bool) -> Pending | None:
    """The update that is on trial in this slot; what only the menu knows of is held against nothing."""
    pending = remembered.pending
    if pending is not None and pending.slot == slot and pending.phase == "activated":
        return pending
    if not trial:
        return None
    before = remembered.slots.get(other(slot), Held(version=""))
    return Pending(slot=slot, version=version, from_version=before.version, phase="activated", began_utc="")


async def _goes_back(place: Place, run: Run) -> Literal[False]:
    """By `linekeep-give-up.service`, whose condition is a start on trial; without one, from here."""
    if "linekeep.trial" not in (place.root / "proc/cmdline").read_text(encoding="utf-8").split():
        await run("systemctl", "reboot")
    return False


async def _on_trial(place: Place, run: Run, menu: Menu, store: Store, pending: Pending) -> bool:
    """The version on trial in this slot: has it proved itself?"""
    owed = await proves(place, run, pending)
    message = f"Version {pending.version} has proved itself."
    if owed:
        before = f"version {pending.from_version}" if pending.from_version else "the version before"
        message = f"{'; '.join(owed)}. The box goes back to {before}."
        message = message[:1].upper() + message[1:]
        log.error("version %s has not proved itself: %s", pending.version, "; ".join(owed))
        # First: with nothing remembered on trial, a start after a power cut would take it for proved.
        await menu.write(**{f"{pending.slot}_OK": "0"})
    else:
        # First here, too: a disk that is too full to remember it is no reason to go back.
        await menu.good(pending.slot)
    came_to: Literal["fell_back", "proved"] = "fell_back" if owed else "proved"
    _close(store, LastUpdate(version=pending.version, outcome=came_to, message=message, utc=update.now()))
    return not owed


async def _settle(place: Place, menu: Menu, store: Store, slot: Slot, version: str, mended: bool) -> None:
    """Nothing is on trial in this slot, which came up: what became of the other?"""
    env, remembered, away = await menu.read(), store.load(), other(slot)
    pending = remembered.pending
    if pending is not None and pending.boot_id == slots.boot_id(place) and not mended:
        # The keeper, which does not wait for the daemon, was quicker than this, and called this slot good before it
        # wrote the other. What the menu says of that stands until the next start.
        return
    tried = pending is not None and (mended or env.get(f"{pending.slot}_TRY", "0") != "0")
    came_to = outcome(remembered, slot, tried)
    if came_to is not None:
        await menu.bad(away)
        _close(store, came_to)
    elif env.get("ORDER", "").startswith(away) and env.get(f"{away}_OK") == "1":
        # It was good, and the menu has left it all the same; or it was on trial, and that is not remembered.
        await menu.first(slot)
        if env.get("TRIAL") == away:
            await menu.bad(away)
        _close(store, left(remembered, away, version))
    await menu.good(slot)


def left(remembered: Remembered, away: Slot, version: str) -> LastUpdate:
    """What is said of a slot that the menu has left after three starts."""
    held = remembered.slots.get(away, Held(version=""))
    message = f"Slot {away} was started three times and did not come up; slot {other(away)} runs, version {version}."
    return LastUpdate(version=held.version, outcome="fell_back", message=message, utc=update.now())


def _close(store: Store, last: LastUpdate) -> None:
    """What the keeper wrote meanwhile stays."""
    remembered = store.load()
    remembered.pending, remembered.last, remembered.untold = None, last, True
    if last.outcome != "proved":
        log.error("%s: %s", last.outcome, last.message)
    store.save(remembered)


async def tell(place: Place) -> None:
    """The daemon hears once what came of the update; where it is not up in time, at the next start. Another update may
    begin meanwhile: what is remembered of it stays."""
    store = Store(place)
    until = time.monotonic() + TELL_S
    while (remembered := store.load()).untold and remembered.last is not None:
        fields: Fields = {**msgspec.structs.asdict(remembered.last), "actor": {"kind": "console", "name": "root"}}
        try:
            await asyncio.to_thread(_tell, place, fields)
        except WireError as error:
            if time.monotonic() > until:
                log.error("The daemon was not told what came of the update: %s", error)
                return
            await asyncio.sleep(LOOK_EVERY_S)
        else:
            _told(store, remembered.last)


def _told(store: Store, last: LastUpdate) -> None:
    remembered = store.load()
    if remembered.last == last:
        remembered.untold = False
        store.save(remembered)


def _tell(place: Place, fields: Fields) -> None:
    with Client.connect(place.root / update.DATA, 10.0) as daemon:
        daemon.call("update.outcome", **fields)


async def _main(place: Place) -> int:
    try:
        good = await prove(place, run)
    except (Failed, OSError, msgspec.DecodeError) as error:
        log.error("Whether this version is good cannot be said: %s", error)
        return 1
    if good:
        await tell(place)
    return 0 if good else 1


if __name__ == "__main__":
    log_to_stderr()
    sys.exit(asyncio.run(_main(Place())))
