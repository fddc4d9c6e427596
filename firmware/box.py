"""The box: everything that runs in the daemon, put together, and what it does by the clock.

Made once by `daemon`, asked by `commands`. Its duties run in the event loop: once a second it looks after the engine,
the disk, the clock and the watchdog; once a minute it has what is due destroyed and dead readers of the catalogue
cleared. What takes time is a job of the ledger's thread; the loop only looks at what came of the last one.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from firmware import health
from firmware.alarms import Alarms
from firmware.cards import Card
from firmware.clock import NS, Clock, SampleClock
from firmware.config import CardConfig, Config, box_zone
from firmware.copies import Copies
from firmware.engine import Engine
from firmware.ledger_thread import LedgerThread
from firmware.streams import Reports
from firmware.wire import ClockStatus, DiskStatus, LineSnapshot, RecordingCounts, Status
from recorder.errors import IdentityError
from recorder.identity import Identity, load_or_make
from recorder.ledger import Ledger

VERSION = "0.2.0"
MINUTE_S = 60
UNSYNCHRONISED_AFTER_S = 600
"""A box that has just been switched on is given this long to find its time server."""
SLIPS = 2
"""A span that fell behind its card's others so often has a clock of its own."""
SETTLED_AFTER_S = 30
"""By then every condition that goes on from before the start has been met again."""

log = logging.getLogger(__name__)


class Failed(Exception):
    """A thread of the 20 ms path has died: the daemon must end, and be started again."""


class Box:
    """`ledger` is open. `rng` must be unguessable: it names recordings."""

    def __init__(
        self, data: Path, config: Config, clock: Clock, rng: random.Random, ledger: Ledger, cards: Sequence[Card]
    ) -> None:
        self.data = data
        self.config = config
        self.cards = {number: card for card in cards for number in card.lines}
        self.simulated = bool(cards) and all(card.simulated for card in cards)
        self.run = f"{rng.getrandbits(64):016x}"
        self.started_utc_ns = clock.moment().utc_ns
        self._clock = clock
        self._zone_name, self._zone = box_zone(config.box)
        self._started_ns = clock.monotonic_ns()
        self.reports = Reports(asyncio.get_running_loop())
        kinds = {line.number: line.kind for line in config.lines}
        self.ledger = LedgerThread(ledger, self.reports.publish, Copies(kinds))
        self.catalogue = ledger.catalogue
        self.access = ledger.access
        self.alarms = Alarms(clock, self.ledger.submit, self.reports.publish, ledger.catalogue.alarms(0))
        clocks = {
            card.name: clock if card.paced else SampleClock(_start_utc_ns(settings, clock), self.run)
            for card, settings in zip(cards, config.cards, strict=True)
        }
        self.engine = Engine(config, cards, self.ledger, clocks, self.run, rng, self.reports.publish, self.alarms, data)
        self._disk = health.Disk(data, config.storage.minimum_free_mb)
        self._systemd = health.Systemd()
        self._identity: Identity | None = None

    # Life -------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.ledger.start(self.alarms)
        if self.config.cards:
            self.alarms.clear("no_card", "box")
        else:
            self.alarms.raise_("no_card", "box")
        self.identity()
        self.engine.start()

    def stop(self) -> None:
        """Open recordings are sealed and entered; the data folder is given back."""
        try:
            self.engine.stop()
        finally:
            self.ledger.close()

    def ready(self) -> None:
        self._tell("READY=1")

    async def duties(self) -> None:
        """Until it is cancelled. Raises `Failed`."""
        watchdog = asyncio.create_task(self._feed_watchdog(), name="watchdog")
        try:
            seconds = 0
            while True:
                self.look_after()
                if seconds % MINUTE_S == 0:
                    self.ledger.submit(lambda ledger: ledger.purge_due(), alone=True, change="purged")
                    self.ledger.submit(lambda ledger: ledger.catalogue.check_readers())
                if seconds:  # The first is theirs to begin.
                    self.look_after_cards()
                if seconds == SETTLED_AFTER_S:
                    self.alarms.settle()
                seconds += 1
                await asyncio.sleep(1.0)
        finally:
            watchdog.cancel()
            self._tell("STOPPING=1")
            self._systemd.close()

    async def _feed_watchdog(self) -> None:
        period_s = self._systemd.period_s
        while period_s is not None:
            hanging = self.hanging()
            if hanging:
                log.error("The watchdog is not fed: %s", "; ".join(hanging))
            else:
                self._tell("WATCHDOG=1")
            await asyncio.sleep(period_s)

    def look_after(self) -> None:
        """What is done every second."""
        state = self.engine.health()
        if state.failure is not None:
            raise Failed(f"The path from the cards to the disk has failed: {state.failure}.")
        disk = self.disk()
        if health.is_low(disk):
            self.alarms.raise_("disk_low", "disk", free_mb=disk.free_bytes // 1_000_000)
        else:
            self.alarms.clear("disk_low", "disk")
        if self._clock.moment().synchronised:
            self.alarms.clear("clock_unsynchronised", "clock")
        elif self.uptime_s() > UNSYNCHRONISED_AFTER_S or self.alarms.is_open("clock_unsynchronised", "clock"):
            self.alarms.raise_("clock_unsynchronised", "clock")
        status = self.status()
        self._tell(f"STATUS={status.health}: {status.lines['recording']} of {status.lines['total']} lines recording")

    def look_after_cards(self) -> None:
        """A card that fails says so, and its pump raises and clears the alarm; one that hangs cannot."""
        for card in self.engine.health().cards:
            if health.is_silent(card):
                why = f"it has delivered nothing for more than {health.BLOCK_WITHIN_S:g} s, and reports no error"
                self.alarms.raise_("card_stopped", f"card {card.name}", error=why)
            elif card.state == "running":
                self.alarms.clear("card_stopped", f"card {card.name}")
            if card.counts.get("slips", 0) >= SLIPS:
                self.alarms.raise_("clocks_apart", f"card {card.name}", count=card.counts["slips"])

    def _tell(self, state: str) -> None:
        try:
            self._systemd.tell(state)
        except OSError as error:
            self.alarms.raise_("watchdog_unreachable", "systemd", error=str(error))
        else:
            self.alarms.clear("watchdog_unreachable", "systemd")

    def identity(self) -> Identity | None:
        """The box's key; None, with an alarm, while it cannot be had. Recording does not need it."""
        if self._identity is None:
            try:
                self._identity = load_or_make(self.data)
            except IdentityError as error:
                log.error("Nothing can be signed: %s", error)
                self.alarms.raise_("identity_unusable", "identity", reason=str(error))
            else:
                self.alarms.clear("identity_unusable", "identity")
        return self._identity

    def look_at_zone(self) -> None:
        """The system's zone may be another now; recordings that begin from now on have it."""
        self._zone_name, self._zone = zone = box_zone(self.config.box)
        self.engine.set_zone(zone)

    # What it says of itself -------------------------------------------------------------------------------------------

    def utc_ns(self) -> int:
        return self._clock.moment().utc_ns

    def uptime_s(self) -> float:
        return (self._clock.monotonic_ns() - self._started_ns) / NS

    def hanging(self) -> list[str]:
        state = self.engine.health()
        return health.overdue(state.cards, state.writer, self.alarms.is_open)

    def disk(self) -> DiskStatus:
        written = self.engine.health().writer.written_bytes
        kept = sum(day.samples for day in self.catalogue.days("1970-01-01", "9999-12-31"))
        return self._disk.measure(self._clock.monotonic_ns(), written, kept)

    def status(self) -> Status:
        state, alarms, moment = self.engine.health(), self.alarms.counts(), self._clock.moment()
        return Status(
            version=VERSION,
            run=self.run,
            pid=os.getpid(),
            uptime_s=round(self.uptime_s(), 3),
            started_utc_ns=self.started_utc_ns,
            simulated=self.simulated,
            box=self.config.box.name,
            key_fingerprint="" if self._identity is None else self._identity.fingerprint,
            health=health.word(alarms, self.hanging()),
            clock=ClockStatus(
                utc_ns=moment.utc_ns,
                zone=self._zone_name,
                utc_offset_s=round(
                    (datetime.fromtimestamp(moment.utc_ns / NS, self._zone).utcoffset() or timedelta()).total_seconds()
                ),
                synchronised=moment.synchronised,
            ),
            cards=state.cards,
            lines=_count(self.engine.snapshots()),
            writer=state.writer,
            disk=self.disk(),
            recordings=self._recordings(moment.utc_ns),
            gaps=state.gaps,
            alarms=alarms,
        )

    def _recordings(self, utc_ns: int) -> RecordingCounts:
        counts = self.catalogue.counts()
        today = datetime.fromtimestamp(utc_ns / NS, self._zone).date()
        days = self.catalogue.days(today.isoformat(), (today + timedelta(days=1)).isoformat())
        return RecordingCounts(
            total=counts.total,
            today=sum(day.recordings for day in days),
            trash=counts.trash,
            last_finished_utc_ns=counts.last_finished_utc_ns,
        )


def _count(lines: list[LineSnapshot]) -> dict[str, int]:
    states = Counter(line.state for line in lines)
    return {**states, "total": len(lines), "recording": sum(line.recording is not None for line in lines)}


def _start_utc_ns(card: CardConfig, clock: Clock) -> int:
    """UTC of sample 0 of a card that does not keep real time."""
    if not card.start_utc:
        return clock.moment().utc_ns
    start = datetime.fromisoformat(card.start_utc)
    return round(start.replace(tzinfo=start.tzinfo or UTC).timestamp() * NS)
