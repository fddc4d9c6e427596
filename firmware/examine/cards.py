"""The cards: drivers, permissions, alarms, lost interrupts, the driver's buffers, and whether the configuration fits.

Everything about DAHDI matters only where a card of the configuration is one, or where one is plugged in.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cffi_bindings.dahdi import Channel, Signalling, Span
from cffi_bindings.dahdi_channels import BLOCK, BUFFERS, Channels
from cffi_bindings.errors import BindingError
from cffi_bindings.synway import UNPROVED, Library
from firmware.cards.boards import Board
from firmware.cards.scan import Found, card_of
from firmware.cards.synway_driver import FILES
from firmware.examine import Finding, Verdict

DEVICES: Final = (Path("/dev/dahdi/ctl"), Path("/dev/dahdi/channel"))
"""All that a card opens."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who runs the daemon, or would."""

    name: str
    uid: int
    groups: frozenset[int]


def process_owner(status: str, name: str) -> Person:
    """`status` is the text of /proc/PID/status."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    groups = {int(group) for group in fields["Groups"].split()} | {int(fields["Gid"].split()[1])}
    return Person(name, int(fields["Uid"].split()[1]), frozenset(groups))


# Drivers --------------------------------------------------------------------------------------------------------------


def drivers(found: Found, wanted: bool) -> list[Finding]:
    """`wanted`: a card of the configuration is DAHDI's."""
    findings = [_board(board) for board in found.boards]
    if found.version is not None:
        told = {"driver": found.version.driver, "echo_canceller": found.version.echo_canceller}
        figure = f"DAHDI {found.version.driver}, {len(found.spans)} spans, {len(found.channels)} channels"
        verdict: Verdict = "ok" if found.channels or not wanted else "bad"
        remedy = (
            "" if verdict == "ok" else "It has no card: load the module of the card, `linekeep card scan` tells which."
        )
        return [*findings, Finding("DAHDI driver", verdict, figure, remedy, told)]
    fault, _, remedy = found.trouble.partition(" Remedy: ")
    if wanted:
        return [*findings, Finding("DAHDI driver", "bad", fault, remedy)]
    return [*findings, Finding("DAHDI driver", "ok", "not loaded, and no card of the configuration needs it")]


def _board(board: Board) -> Finding:
    what, told = f"card {board.address}", {"id": board.id, "driver": board.driver or ""}
    if board.driver is not None:
        return Finding(what, "ok", f"{board.maker} {board.id}, driver {board.driver}", measured=told)
    figure = f"{board.maker} {board.id}, no driver has it"
    if board.modules:
        return Finding(what, "bad", figure, f"modprobe {board.modules[0]}", told)
    remedy = "No installed module knows it: `apt-get install dahdi-dkms dahdi`, or the module of the card's maker."
    return Finding(what, "bad", figure, remedy, told)


def permissions(person: Person, devices: Sequence[Path] = DEVICES) -> Finding:
    """May this person read and write what a card opens?"""
    what = "permissions"
    for device in devices:
        try:
            info = os.stat(device)
        except OSError as error:
            remedy = "The driver makes it through udev: is udev running, and the driver loaded?"
            return Finding(what, "bad", f"{device}: {error.strerror}", remedy)
        mode = info.st_mode >> (6 if person.uid == info.st_uid else 3 if info.st_gid in person.groups else 0) & 7
        if person.uid != 0 and mode & 6 != 6:
            owner = f"uid {info.st_uid}, gid {info.st_gid}, mode {info.st_mode & 0o777:o}"
            remedy = (
                f"Make {person.name} a member of the group that owns it (a udev rule names the group), and start again."
            )
            return Finding(what, "bad", f"{person.name} may not read and write {device} ({owner})", remedy)
    return Finding(what, "ok", f"{person.name} may read and write {' and '.join(map(str, devices))}")


# What the cards say ---------------------------------------------------------------------------------------------------


def alarms(spans: Sequence[Span]) -> list[Finding]:
    """A finding for each span in alarm, one for all where none is."""
    findings = [
        Finding(
            f"span {span.number}",
            "bad",
            f"{span.name or span.description}: alarm {', '.join(span.alarms)}",
            "Check its cable and the equipment at the other end; dahdi_tool shows more.",
            {"alarms": " ".join(span.alarms)},
        )
        for span in spans
        if span.alarms
    ]
    return findings or [Finding("spans", "ok", f"{len(spans)} spans, none in alarm")]


def interrupts(before: Sequence[Span], after: Sequence[Span], text: str, drivers: Collection[str]) -> Finding:
    """`before` and `after` the time of the examination; `text` of /proc/interrupts; `drivers` of telephony cards."""
    # The driver counts for a card, and tells the same for each of its spans.
    began = {card_of(span): span.interrupts_missed for span in before}
    cards = {card_of(span): span.interrupts_missed for span in after}
    missed = sum(cards.values())
    lately = sum(count - began.get(card, 0) for card, count in cards.items())
    shared = shared_interrupts(text, drivers)
    told: dict[str, float | int | str] = {"missed": missed, "missed_now": lately, "shared": "; ".join(shared)}
    figure = f"{missed} missed since the driver was loaded, {lately} during this examination"
    if shared:
        figure += f"; shared: {'; '.join(shared)}"
    if lately > 0:
        remedy = (
            "Samples are being lost: give the card a slot with an interrupt of its own; dmesg may say what blocks it."
        )
        return Finding("interrupts", "bad", figure, remedy, told)
    if missed or shared:
        remedy = (
            "Give the card a slot with an interrupt of its own; look here again in an hour whether the number grows."
        )
        return Finding("interrupts", "warn", figure, remedy, told)
    return Finding("interrupts", "ok", figure, measured=told)


def shared_interrupts(text: str, drivers: Collection[str]) -> list[str]:
    """The handlers of each interrupt on which a telephony card is not alone."""
    found = []
    for line in text.splitlines():
        handlers = [part.split()[-1] for part in line.split(",") if part.split()]
        if len(handlers) > 1 and any(handler in drivers for handler in handlers):
            found.append(", ".join(handlers))
    return found


def buffers(channels: Sequence[Channel]) -> Finding:
    """Asks the driver for the buffers of a recording, on the first channel that no other program holds."""
    whole = f"{BUFFERS} of {BLOCK} bytes a channel: {BUFFERS * BLOCK // 8} ms until something is lost"
    usable = [c for c in channels if c.signalling in (Signalling.LINE, Signalling.TELEPHONE, Signalling.CLEAR)]
    for channel in usable:
        one = Channels([channel.number])
        try:
            one.open(0, law=channel.law, clear=channel.signalling is Signalling.CLEAR)
        except BindingError as error:
            if "in use" in str(error):
                continue
            fault, _, remedy = str(error).partition(" Remedy: ")
            return Finding("buffers", "bad", fault, remedy)
        finally:
            one.close_all()
        return Finding("buffers", "ok", f"{whole} (channel {channel.number})", measured={"buffers": BUFFERS})
    if usable:
        return Finding("buffers", "ok", f"{whole}; every channel is in use", measured={"buffers": BUFFERS})
    remedy = "Give channels signalling in /etc/dahdi/system.conf, then call dahdi_cfg."
    return Finding("buffers", "warn", "no channel is configured", remedy)


def configured(card: str, law: str, numbers: Sequence[int], channels: Sequence[Channel]) -> Finding:
    """Do the channels of a `[[card]]` exist as it says?"""
    known = {channel.number: channel for channel in channels}
    absent = [str(number) for number in numbers if number not in known]
    bare = [str(number) for number in numbers if number in known and known[number].signalling is Signalling.NONE]
    other = [str(number) for number in numbers if number in known and known[number].law != law]
    what = f"configured card {card}"
    if absent:
        remedy = "Is its driver loaded? `linekeep card scan` lists the channels that are there."
        return Finding(what, "bad", f"channels {', '.join(absent)} do not exist", remedy)
    if bare:
        remedy = "Give them signalling in /etc/dahdi/system.conf, then call dahdi_cfg."
        return Finding(what, "bad", f"channels {', '.join(bare)} are not configured in the driver", remedy)
    if other:
        remedy = f"They are {known[int(other[0])].law}: write that as the card's law, or make them a card of their own."
        return Finding(what, "bad", f"channels {', '.join(other)} are not {law}", remedy)
    return Finding(what, "ok", f"{len(numbers)} channels, {law}, as configured")


def synway(card: str, library: str, folder: Path) -> Finding:
    """Is there what a Synway card needs to be started? It is not: that would take it from the daemon."""
    what = f"configured card {card}"
    try:
        bits = Library(library).dword_bits
    except BindingError as error:
        fault, _, remedy = str(error).partition(" Remedy: ")
        return Finding(what, "bad", fault, remedy)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        remedy = "Let the vendor's tool write them, and name their folder in the [[card]]."
        return Finding(what, "bad", f"there is no {' and no '.join(missing)} in {folder}", remedy)
    figure = f"the library is there; {UNPROVED}"
    remedy = "Make test calls, and compare what is recorded with what was said."
    return Finding(what, "warn", figure, remedy, {"dword_bits": bits})
