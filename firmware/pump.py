"""The pump of a card: one thread that takes a block every 20 ms through the whole path.

Block → what is missing → ring → analysis → line machines and calls → published to the writer. The sample index is the
time of everything: samples that did not come are filled in and marked as gaps, so that it stays true. What is missing
shows in three ways: as the status of a channel, as a jump of the card's index, and as a card that fails and comes
back, where the clock says how long it was away. A jump of up to half a minute is walked through block by block as
silence; a longer one, or one backwards, ends what is recorded and begins anew.

A card that does not keep real time is held back by the writer instead of overrunning the ring, and moves its clock by
its samples: nothing is lost and two runs give the same recordings. With a paced card the pump measures how late it
is against the earliest arrivals of the last two minutes.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsp.g711 import IDLE
from firmware.alarms import AlarmSink
from firmware.analysis import Analysis
from firmware.cards import BLOCK, Block, Card, CardError, ChannelStatus, LineEventKind
from firmware.clock import NS, RATE, SAMPLE_NS, Clock, Moment, SampleClock
from firmware.orders import Feed
from firmware.switch import Switch
from firmware.wire import numbered
from firmware.writer import Writer

MINUTE_SAMPLES = 60 * RATE
LONGEST_FILLED_SAMPLES = 30 * RATE
DOWN_BLOCKS = 100
"""A channel without samples for 2 s is down; until then it is a gap."""
LATE_NS = BLOCK * SAMPLE_NS
RETRY_S = 1.0
TICKS = 3000
"""Durations kept: those of a minute."""


@dataclass(slots=True)
class PumpFigures:
    """Read by others at any time."""

    state: str = "stopped"
    """`running`, `stopped`, `alarm`."""
    blocks: int = 0
    late_ticks: int = 0
    lost_samples: int = 0
    gaps: int = 0
    lag_ns: int = 0
    last_block_ns: int = 0
    """Monotonic time of the last block."""
    down: tuple[int, ...] = ()
    """Lines that are down."""


class Pump:
    """`reach`: how far back a decision may reach, pre-roll and release; the rest of the ring is the writer's slack."""

    def __init__(
        self, card: Card, clock: Clock, feed: Feed, reach: int, analysis: Analysis, switch: Switch, writer: Writer,
        alarm: AlarmSink, until: int | None = None,
    ) -> None:  # fmt: skip
        self.card, self.analysis, self.switch = card, analysis, switch
        self._clock, self._feed, self._writer, self._alarm = clock, feed, writer, alarm
        self._slack = feed.ring.samples - reach
        self._until = until
        self._channels = len(card.lines)
        self._base = 0
        """The domain's index less the card's, after the card began to count anew."""
        self._fed = 0
        self._started = False
        self._next_anchor = MINUTE_SAMPLES
        self._wall_ns: int | None = None
        self._lateness = Lateness()
        self._wanted = np.array([line.config.enabled for line in switch.lines], np.bool_)
        """A disabled line may give nothing: that is no gap and no alarm."""
        self._down_blocks = np.zeros(self._channels, np.int64)
        self._any_down = self._away = False
        self._last_ns = self._held_ns = 0
        self._gap_end = np.full(self._channels, -1, np.int64)
        self._gap_why = [""] * self._channels
        self._asked: list[tuple[Callable[[], str | None], Future[str | None]]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pump-{card.name}")
        self._ticks_ns = np.zeros(TICKS, np.int64)
        self.figures = PumpFigures(last_block_ns=time.monotonic_ns())
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Takes the card and begins. One that cannot be taken is an alarm, and is tried again."""
        self.switch.known_since(self._clock.moment().utc_ns)
        try:
            self.card.start()
            self.figures.state = "running"
        except CardError as error:
            self._stamp(0, None)
            self._gone("card_failed", error)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the block that is being read; open recordings end with the reason `shutdown`."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def join(self, timeout_s: float) -> bool:
        """Waits for a pump that ends by itself; False if it is still running then."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def ask(self, act: Callable[[], str | None]) -> "Future[str | None]":
        """Has `act` done between two blocks."""
        future: Future[str | None] = Future()
        with self._lock:
            self._asked.append((act, future))
        return future

    def tick_ms(self) -> NDArray[np.float64]:
        """Durations of the ticks of the last minute, sorted; without what the writer held the pump back."""
        return np.sort(self._ticks_ns[: min(self.figures.blocks, TICKS)]) / 1e6

    # The thread.

    def _run(self) -> None:
        try:
            if self._away:
                self._take_again("card_failed")
            while not self._stop.is_set() and (self._until is None or self._feed.ring.claimed < self._until):
                block = self._read()
                if block is not None:
                    self._take(block)
            self._finish()
        except BaseException as failure:
            self.failure = failure
            self.figures.state = "alarm"
            raise

    def _finish(self) -> None:
        if self._started:
            self.switch.hear((), self.analysis.close())
            self.switch.stop()
        self._feed.ring.publish()
        self._writer.published(self._feed)
        self.card.close()
        self.figures.state = "stopped"
        self._answer()

    def _read(self) -> Block | None:
        """The next block; None where the card failed: then it has been started again, or the pump is to stop."""
        try:
            return self.card.read()
        except CardError as error:
            self._gone("card_stopped", error)
        self._take_again("card_stopped")
        return None

    def _gone(self, code: str, error: CardError) -> None:
        if not self._away:
            self._all_usable(False, "failed")
        self._away = True
        self.figures.state = "alarm"
        self._alarm.raise_(code, f"card {self.card.name}", error=str(error))

    def _take_again(self, code: str) -> None:
        """Returns when the card has been started, or the pump is to stop."""
        self.card.close()
        while not self._stop.wait(RETRY_S):
            try:
                self.card.start()
                return
            except CardError as error:
                self._alarm.raise_(code, f"card {self.card.name}", error=str(error))
                self.card.close()

    def _back(self, first_sample: int) -> None:
        """The card is back: this block, which ends now, stands where the clock says."""
        if self._last_ns:
            away = (self._clock.raw_ns() - self._last_ns) // SAMPLE_NS
            self._base = self._feed.ring.claimed + max(0, away - BLOCK) - first_sample
        self._away = False
        for code in ("card_failed", "card_stopped"):
            self._alarm.clear(code, f"card {self.card.name}")
        self.figures.state = "running"

    def _usable_again(self, block: Block) -> None:
        """The card is back; a channel that still gives nothing is down at once."""
        down = block.status == ChannelStatus.DOWN
        self._down_blocks[down] = DOWN_BLOCKS - 1
        for channel in np.flatnonzero(~down).tolist():
            self.switch.usable(channel, True, "back")

    def _all_usable(self, up: bool, why: str) -> None:
        for channel in range(self._channels):
            self.switch.usable(channel, up, why)

    # A block.

    def _take(self, block: Block) -> None:
        started_ns, self._held_ns = time.perf_counter_ns(), 0
        if not self._started:
            self._begin(block.first_sample)
        back = self._away
        if back:
            self._back(block.first_sample)
        jump = block.first_sample + self._base - self._feed.ring.claimed
        if jump:
            self._jump(jump, block)
        if back:
            self._usable_again(block)
        if self._base:
            events = tuple(replace(event, sample=event.sample + self._base) for event in block.events)
            block = replace(block, first_sample=self._feed.ring.claimed, events=events)
        if self.card.paced:
            with self._writer.turns:
                self.tick(block)
        else:
            self.tick(block)
        self._last_ns = self._clock.raw_ns()
        figures = self.figures
        self._ticks_ns[figures.blocks % TICKS] = time.perf_counter_ns() - started_ns - self._held_ns
        figures.blocks += 1
        figures.last_block_ns = time.monotonic_ns()

    def _begin(self, first_sample: int) -> None:
        self._started = True
        self._feed.ring.begin(first_sample)
        self._feed.drained = first_sample
        self.analysis.begin(first_sample, 0)
        self._stamp(first_sample, None)
        self.switch.start()

    def _jump(self, jump: int, block: Block) -> None:
        """The card's index is not where it was left."""
        ring = self._feed.ring
        reason = "overrun" if any(event.kind is LineEventKind.OVERRUN for event in block.events) else "card"
        if 0 < jump <= LONGEST_FILLED_SAMPLES:
            while jump:
                size = min(jump, BLOCK)
                self.tick(self._silence(size), reason)
                jump -= size
            return
        self._all_usable(False, "the sample index jumped")
        ring.publish()
        self._writer.wait_until_drained(self._feed, ring.head - BLOCK)
        if jump < 0:
            self._base -= jump
        else:
            self.figures.lost_samples += jump * self._channels
            ring.begin(ring.claimed + jump)
            self._feed.drained = ring.claimed
        self.analysis.begin(ring.claimed, self._fed)
        self._stamp(ring.claimed, None)
        self._all_usable(True, "the sample index jumped")

    def _silence(self, size: int) -> Block:
        law = np.full((self._channels, size), IDLE[self.card.law], np.uint8)
        status = np.full(self._channels, ChannelStatus.LOST, np.uint8)
        return Block(self._feed.ring.claimed, law, status, None)

    def tick(self, block: Block, reason: str = "") -> None:
        """One block through the path; it follows the one before without a gap. `reason`: why all of it is filler."""
        ring, size = self._feed.ring, block.law.shape[1]
        if not self.card.paced:
            began_ns = time.perf_counter_ns()
            self._writer.wait_until_drained(self._feed, ring.claimed + size - self._slack)
            self._held_ns += time.perf_counter_ns() - began_ns
        ring.write(block.law)
        self._stamp(ring.claimed, block)
        if self._any_down or block.status.any():
            block = self._missing(block, ring.claimed, reason)
        self._fed += size
        self.switch.hear(block.events, self.analysis.feed(block))
        self._answer()
        if ring.claimed >= self._next_anchor:
            self._next_anchor = ring.claimed + MINUTE_SAMPLES
            self.switch.anchor()
        ring.publish()
        self._writer.published(self._feed)

    def _missing(self, block: Block, end: int, reason: str) -> Block:
        """Channels whose bytes are filler: gaps, and after two seconds a channel that is down."""
        overrun = {event.channel for event in block.events if event.kind is LineEventKind.OVERRUN}
        gone = np.flatnonzero(self._wanted & (block.status != ChannelStatus.OK)).tolist()
        begun = []
        for channel in gone:
            begins = self._gap_end[channel] != block.first_sample
            if block.status[channel] == ChannelStatus.LATE:
                why = "late"
            elif channel in overrun or (not begins and self._gap_why[channel] == "overrun"):
                why = "overrun"  # A driver says it once, at the beginning of the burst.
            else:
                why = reason or "card"
            self.switch.missing(channel, block.first_sample, end, why)
            if begins:
                begun.append(channel)
            self._gap_end[channel], self._gap_why[channel] = end, why
        self.figures.lost_samples += len(gone) * (end - block.first_sample)
        self.figures.gaps += len(begun)
        if begun:
            alone = f"line {self.card.lines[begun[0]]}" if len(begun) == 1 else f"card {self.card.name}"
            lines = numbered(self.card.lines[channel] for channel in begun)
            self._alarm.raise_("frames_lost", alone, lines=lines, reason=why)
        return self._down(block)

    def _down(self, block: Block) -> Block:
        down = self._wanted & (block.status == ChannelStatus.DOWN)
        was, self._down_blocks = self._down_blocks, (self._down_blocks + 1) * down
        fell = np.flatnonzero(self._down_blocks == DOWN_BLOCKS).tolist()
        rose = np.flatnonzero(~down & (was >= DOWN_BLOCKS)).tolist()
        for channel in fell:
            self.switch.usable(channel, False, "down")
        for channel in rose:
            self.switch.usable(channel, True, "back")
        if fell or rose:
            self._tell_down()
        self._any_down = bool(down.any())
        if block.volts is None or not self._any_down:
            return block
        return replace(block, volts=np.where(down, np.float32(np.nan), block.volts))

    def _tell_down(self) -> None:
        """One alarm for all the card's lines that are down: a pulled cable of E1 takes thirty at once."""
        down = np.flatnonzero(self._down_blocks >= DOWN_BLOCKS).tolist()
        self.figures.down = tuple(self.card.lines[channel] for channel in down)
        if self.figures.down:
            lines = numbered(self.figures.down)
            self._alarm.raise_("line_alarm", f"card {self.card.name}", count=len(self.figures.down), lines=lines)
        else:
            self._alarm.clear("line_alarm", f"card {self.card.name}")

    def _answer(self) -> None:
        """Does what was asked for from outside."""
        if not self._asked:
            return
        with self._lock:
            asked, self._asked = self._asked, []
        for act, future in asked:
            if future.set_running_or_notify_cancel():
                future.set_result(act())

    def _stamp(self, end: int, block: Block | None) -> None:
        """The time of sample `end`: that of the earliest arrivals, not of a block that was late."""
        if isinstance(self._clock, SampleClock):
            self._clock.at_sample(end)
        moment = self._clock.moment()
        if self.card.paced:
            self.figures.lag_ns = lag = self._lateness.of(self._clock.raw_ns(), end, anew=block is None)
            self.figures.late_ticks += lag > LATE_NS
            moment = Moment(moment.utc_ns - lag, moment.boottime_ns - lag, moment.boot_id, moment.synchronised)
        self.switch.at(end, moment)
        wall_ns, before = moment.utc_ns - moment.boottime_ns, self._wall_ns
        self._wall_ns = wall_ns
        if before is not None and abs(wall_ns - before) > NS:
            self.switch.clock_step((wall_ns - before) / NS)


class Lateness:
    """How late blocks are, in ns, against the earliest of this minute and the last: so a card's drift is no delay."""

    def __init__(self) -> None:
        self._earliest_ns: list[int] = []
        self._until = 0

    def of(self, raw_ns: int, sample: int, anew: bool) -> int:
        offset_ns = raw_ns - sample * SAMPLE_NS
        if anew or not self._earliest_ns:
            self._earliest_ns, self._until = [offset_ns], sample + MINUTE_SAMPLES
        elif sample >= self._until:
            self._earliest_ns, self._until = [self._earliest_ns[-1], offset_ns], sample + MINUTE_SAMPLES
        self._earliest_ns[-1] = min(self._earliest_ns[-1], offset_ns)
        return offset_ns - min(self._earliest_ns)
