"""`linekeep doctor`: is this machine fit to record, and if not, what is to be done.

Works without daemon, driver, cards and data folder, and says what is missing. The processor comes first: on one that
is too old NumPy's packages end the process, so nothing that needs them is asked then.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.cli.box import Box, actor
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Column, Output
from firmware.examine import Finding, machine, worst

if TYPE_CHECKING:
    from firmware.config import Config
    from firmware.examine.cards import Person

COLUMNS = (Column("verdict"), Column("examined"), Column("found", text=True), Column("what to do", text=True))
PROC = Path("/proc")
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


def doctor(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Exit code 1 where something is bad; a warning alone is none."""
    found = list(findings(box))
    verdict = worst(finding.verdict for finding in found)
    if out.json:
        out.document({"verdict": verdict, "findings": [asdict(finding) for finding in found]})
    else:
        out.table(COLUMNS, [(f.verdict, f.what, f.figure, f.remedy) for f in found])
        out.remark(
            {
                "ok": "Fit to record.",
                "warn": "Fit to record; the warnings should be put right.",
                "bad": "Not fit to record: put right what is bad, then ask again.",
            }[verdict]
        )
    return Exit.NO if verdict == "bad" else Exit.OK


def findings(box: Box) -> Iterator[Finding]:
    """Everything that is examined, one after the other; some seconds."""
    processor = machine.processor((PROC / "cpuinfo").read_text(), os.uname().machine)
    yield processor
    if processor.verdict == "bad":
        return
    source = CLOCK_SOURCE.read_text().strip() if CLOCK_SOURCE.exists() else ""
    yield machine.clock(source, datetime.now(UTC))
    yield machine.synchronisation(_synchronised())
    settings, finding = configuration(box)
    yield finding
    status, why_not = _daemon(box)
    yield from _cards_and_load(box, settings, status)
    from firmware.examine import daemon

    if status is None:
        yield daemon.absent(why_not)
    else:
        yield from daemon.daemon(status)


def _synchronised() -> bool | None:
    from cffi_bindings.errors import LibraryMissing
    from cffi_bindings.libc import clock_is_synchronised

    try:
        return clock_is_synchronised()
    except (OSError, LibraryMissing):
        return None


def configuration(box: Box) -> tuple["Config", Finding]:
    """What the daemon would run with; the default where there is none or it is refused."""
    from firmware import config, config_file

    path = box.data / config.CONFIG_NAME
    if not path.exists():
        remedy = "The daemon writes one at its first start; --data names another folder."
        return config.Config(), Finding("configuration", "warn", f"there is no {path}", remedy)
    try:
        found = config_file.load(path)
    except config.ConfigError as error:
        return config.Config(), Finding("configuration", "bad", str(error), "Mend the line; `linekeep config check`.")
    kinds = ", ".join(f"{card.name} ({card.kind})" for card in found.cards) or "no card"
    return found, Finding("configuration", "ok", f"{path}: {len(found.lines)} lines on {kinds}")


def _cards_and_load(box: Box, configuration: "Config", status: dict[str, Any] | None) -> Iterator[Finding]:
    """The cards are asked before and after the machine is put to work, to see whether interrupts get lost."""
    from firmware.cards import scan
    from firmware.examine import cards

    before = scan.look()
    wanted = any(card.kind == "dahdi" for card in configuration.cards)
    yield from cards.drivers(before, wanted)
    if wanted or before.spans:
        yield cards.permissions(_runs_the_daemon(status))
    yield machine.ticks(machine.measure_ticks())
    yield from _disk(box, configuration)
    for card in configuration.cards:
        if card.kind == "synway":
            yield cards.synway(card.name, card.vendor_library, Path(card.folder))
    if before.spans:
        after = scan.look()
        for card in configuration.cards:
            if card.kind == "dahdi":
                yield cards.configured(card.name, card.law, card.channels, after.channels)
        yield from cards.alarms(after.spans)
        drivers = {board.driver for board in after.boards if board.driver}
        yield cards.interrupts(before.spans, after.spans, (PROC / "interrupts").read_text(), drivers)
        yield cards.buffers(after.channels)


def _runs_the_daemon(status: dict[str, Any] | None) -> "Person":
    """The user of the running daemon, else the one who asks."""
    from firmware.examine import cards

    process, name = ("self", actor()["name"]) if status is None else (str(status["pid"]), "the daemon")
    return cards.process_owner((PROC / process / "status").read_text(), name)


def _disk(box: Box, configuration: "Config") -> Iterator[Finding]:
    lines = len(configuration.lines)
    try:
        total, free = machine.measure_room(box.data)
        yield machine.room(total, free, configuration.storage.minimum_free_mb, lines)
        yield machine.disk_speed(machine.measure_disk(box.data, (PROC / "self/mounts").read_text()), lines)
    except OSError as error:
        remedy = "Name the box's data folder with --data or $LINEKEEP_DATA, and ask as a user who may write there."
        yield Finding("disk", "warn", f"not measured: {box.data}: {error.strerror}", remedy)


def _daemon(box: Box) -> tuple[dict[str, Any] | None, str]:
    """What it says of itself, or why it does not."""
    try:
        return box.call("status"), ""
    except Failure as failure:
        return None, failure.message
