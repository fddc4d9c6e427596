"""The daemon as a process: what it needs before it starts, how it runs, how it ends.

Nothing is touched before the configuration is known to be good and the data folder to be ours. SIGTERM and SIGINT stop
it cleanly: open recordings are sealed, the ledger is closed. SIGHUP has the configuration file looked at: what is
wrong with it is an alarm, and what is right takes effect at the next start. If a thread of the path from the cards to
the disk has died, the process ends with an error so that it is started again: what was being recorded is recovered
then. A disk that is full at the start is waited for.
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from firmware import setup_code, spool
from firmware.alarms import Alarms
from firmware.box import VERSION, Box, Failed
from firmware.cards.make import make_cards
from firmware.clock import NS, SystemClock
from firmware.commands import Commands
from firmware.config import CONFIG_NAME, Config, ConfigError, system_zone
from firmware.config_file import default_text, load, save
from firmware.control import ControlServer
from firmware.health import Systemd
from firmware.logs import log_to_stderr
from recorder.errors import LockedError, RecorderError
from recorder.ledger import JOURNAL_BROKEN, Ledger

log = logging.getLogger("firmware")

FILES_OF_A_LINE = 4
"""Audio and events of its recording, and of the one before while that is being sealed."""
OTHER_FILES = 1024
"""Connections, journal, catalogue, and what else is open."""

FULL_BYTES = 1 << 20
"""Where less is free, whatever fails at the start is laid to the full disk."""
FULL_AGAIN_S = 2.0
PATIENCE_US = 180_000_000

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_DATA_FOLDER = 3
EXIT_LEDGER = 4
EXIT_AGAIN = -1
"""Not the process's own: it is to start anew."""


class CannotStart(Exception):
    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m firmware", description="The Linekeep daemon.")
    parser.add_argument("--data", type=Path, default=Path("var"), help="the data folder (default: ./var)")
    parser.add_argument("--config", type=Path, help=f"the configuration (default: {CONFIG_NAME} in the data folder)")
    parser.add_argument("--keeper", type=Path, help="the folder of the keeper's socket, on a box that was flashed")
    given = parser.parse_args(arguments)
    log_to_stderr()
    os.umask(0o027)
    try:
        code = _start(given.data.absolute(), given.config, given.keeper)
    except CannotStart as error:
        log.error("%s", error)
        return error.exit_code
    if code == EXIT_AGAIN and not Systemd().listens:
        again = sys.argv[1:] if arguments is None else arguments
        os.execv(sys.executable, [sys.executable, "-m", "firmware", *again])  # noqa: S606 - ourselves
    # systemd starts it again, and its watchdog waits for that; it would not wait for a start in place.
    return max(code, 0)


def _start(data: Path, config_path: Path | None, keeper: Path | None) -> int:
    if config_path is not None or (data / CONFIG_NAME).exists():
        config = _configuration(config_path or data / CONFIG_NAME)
        _make_folder(data)
    else:
        _make_folder(data)
        config = save(data / CONFIG_NAME, default_text(system_zone()))
    _allow_files(len(config.lines))
    clock, rng = SystemClock(), random.SystemRandom()
    taken = _take(data, config, clock, rng)
    return asyncio.run(_run(data, config, config_path or data / CONFIG_NAME, keeper, clock, rng, taken))


def _configuration(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        raise CannotStart(EXIT_CONFIGURATION, f"The configuration is refused: {error} Nothing was changed.") from error


def _make_folder(data: Path) -> None:
    """The data folder is there and can be written."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise CannotStart(
            EXIT_DATA_FOLDER,
            f"The data folder {data} cannot be written ({error.strerror}). Name another with --data, or give it to the "
            f"user with id {os.getuid()}.",
        ) from error


def _allow_files(lines: int) -> None:
    """As many open files as this many lines may need; systems begin with 1,024."""
    wanted = FILES_OF_A_LINE * lines + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        log.error(
            "Only %d files may be open, %d lines may need %d: calls that come together will not all be recorded. Raise "
            "the limit (LimitNOFILE= of the unit, or `ulimit -Hn`).", hard, lines, wanted,
        )  # fmt: skip


class _Taken(NamedTuple):
    """The data folder is ours, and what was found in it."""

    ledger: Ledger
    foreign: list[tuple[Path, str]]
    setup_code: str | None
    waited_s: float
    """For room on a full disk."""


def _take(data: Path, config: Config, clock: SystemClock, rng: random.Random) -> _Taken:
    """A disk that is full is waited for: nothing could be recorded there anyway, and as soon as there is room
    everything goes on by itself."""
    since_ns, waits, systemd = clock.monotonic_ns(), False, Systemd()
    while True:
        try:
            ledger, foreign, code = _opened(data, config, clock, rng)
            return _Taken(ledger, foreign, code, (clock.monotonic_ns() - since_ns) / NS if waits else 0.0)
        except LockedError as error:
            raise CannotStart(EXIT_DATA_FOLDER, f"The daemon cannot start: {error}") from error
        except RecorderError as error:
            if not _is_full(data):
                raise CannotStart(EXIT_LEDGER, f"The daemon cannot start: {error}") from error
            if not waits:
                log.critical("Nothing is recorded, the daemon waits until the disk has room: %s", error)
                waits = True
            # As far as systemd goes it has started, and it is alive: the page, which begins after it, must not wait.
            systemd.tell(f"READY=1\nWATCHDOG=1\nSTATUS=Nothing is recorded: the disk is full. {error}")
        time.sleep(FULL_AGAIN_S)


def _opened(
    data: Path, config: Config, clock: SystemClock, rng: random.Random
) -> tuple[Ledger, list[tuple[Path, str]], str | None]:
    days = config.storage.trash_days, config.storage.data_grace_days
    ledger = Ledger.open(
        data, clock, rng, trash_days=days[0], data_grace_days=days[1], progress=partial(_ask_patience, Systemd())
    )
    try:
        return ledger, spool.take(ledger, data / "web" / "spool"), ledger.setup_code()
    except BaseException:  # Whatever it was, the folder is given back; it is raised again.
        ledger.close()
        raise


def _ask_patience(systemd: Systemd, done: int) -> None:
    """A catalogue that is made anew may take longer than systemd waits for a start (sd_notify(3))."""
    systemd.tell(f"EXTEND_TIMEOUT_USEC={PATIENCE_US}\nSTATUS=The list of recordings is made anew: {done}")


def _is_full(data: Path) -> bool:
    stat = os.statvfs(data)
    return stat.f_bavail * stat.f_frsize < FULL_BYTES or (stat.f_files > 0 and stat.f_favail == 0)


async def _run(
    data: Path, config: Config, config_path: Path, keeper: Path | None, clock: SystemClock, rng: random.Random,
    taken: _Taken,
) -> int:  # fmt: skip
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    box = Box(data, config, clock, rng, taken.ledger, make_cards(config, data))
    again = asyncio.Event()

    def end_and_begin() -> None:
        again.set()
        stop.set()

    commands = Commands(box, config_path, end_and_begin, keeper)
    server = ControlServer(data, commands.answer, commands.streams())
    loop.add_signal_handler(signal.SIGHUP, _look_at_configuration, config_path, box)
    loop.set_exception_handler(partial(_internal, box.alarms))
    try:
        box.start()
        _tell_findings(box.alarms, taken)
        await server.start()
        if taken.setup_code is not None:
            setup_code.show(taken.setup_code)
        log.info("ready: version %s, pid %d, %d lines, data in %s", VERSION, os.getpid(), len(config.lines), data)
        gc.collect()
        gc.freeze()
        code = await _until(stop, box)
        return EXIT_AGAIN if again.is_set() and code == 0 else code
    finally:
        await server.close()
        # Sealing takes its time; the loop goes on for what the threads have to tell.
        await asyncio.to_thread(box.stop)
        log.info("stopped")


async def _until(stop: asyncio.Event, box: Box) -> int:
    box.ready()
    duties = asyncio.create_task(box.duties(), name="duties")
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({duties, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    duties.cancel()
    try:
        await duties
    except asyncio.CancelledError:
        log.info("stopping: open recordings are sealed")
        return 0
    except Failed as error:
        log.error("%s It is to be started again.", error)
    return EXIT_FAILED


def _tell_findings(alarms: Alarms, taken: _Taken) -> None:
    """What the start found, as alarms and in the log."""
    ledger, found = taken.ledger, taken.ledger.findings
    if taken.waited_s:
        alarms.raise_("waited_for_room", "disk", seconds=round(taken.waited_s))
    if found.rebuilt:
        log.warning("The catalogue was made anew from recordings and journal: %s", found.rebuilt)
    if found.recovered:
        alarms.raise_("recovered", "recordings", count=len(found.recovered))
    if found.journal_broken:
        log.error("The journal is damaged, a new chain was begun: %s", " ".join(found.journal_broken))
        alarms.raise_(JOURNAL_BROKEN, "journal", reason=" ".join(found.journal_broken))
    if found.refused:
        alarms.raise_("reconcile_refused", "catalogue", reason=found.refused)
    for path, why in [*found.damaged, *taken.foreign]:
        name = str(path.relative_to(ledger.data)) if path.is_relative_to(ledger.data) else str(path)
        alarms.raise_("foreign_file", name, reason=why)


def _look_at_configuration(path: Path, box: Box) -> None:
    try:
        if load(path) != box.config:
            log.info("the configuration is good; it takes effect at the next start")
    except ConfigError as error:
        log.error("The configuration is refused: %s", error)
        box.alarms.raise_("configuration_rejected", CONFIG_NAME, reason=str(error))


def _internal(alarms: Alarms, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody foresaw is in the log and an alarm, and the box goes on."""
    loop.default_exception_handler(context)
    alarms.raise_("internal", "daemon", error=f"{context['message']}: {context.get('exception')!r}")
