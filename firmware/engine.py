"""The engine: cards, pumps, writer and what they know, put together.

`Engine` is handed everything it needs (cards, clocks, ledger, randomness, where to publish and to raise alarms),
starts one pump for each card and one writer for all, and answers for them: what each line is doing, whether the path
is well, a key that was pressed, a live listener. Its methods may be called from any thread; none but `key`,
`configure`, `wait` and `stop` waits.
"""

import gc
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np

from firmware.alarms import AlarmSink
from firmware.analysis import SILENCE_DBM0, Analysis
from firmware.cards import Card, CardReport, Reporting
from firmware.clock import RATE, Clock
from firmware.config import CardConfig, Config, LineConfig, RecordingConfig, box_zone
from firmware.lines import State
from firmware.orders import Feed
from firmware.pump import Pump
from firmware.ring import SLACK_S, Ring, ring_samples
from firmware.switch import Switch
from firmware.wire import CardStatus, GapCounts, LineSnapshot, SpanStatus, SyncTimes, TickTimes, WriterStatus
from firmware.writer import LedgerQueue, Writer

KEY_WITHIN_S = 2.0
SWITCH_S = 0.001
"""No pump waits longer for a thread that keeps the interpreter; Python's own 5 ms are a quarter of a tick."""


class EngineError(Exception):
    """What was asked of a line cannot be done now; the message names line, reason and remedy."""


class UnknownLineError(EngineError):
    """The box has no such line."""


@dataclass(frozen=True, slots=True)
class EngineHealth:
    cards: list[CardStatus]
    writer: WriterStatus
    gaps: GapCounts
    faults: dict[str, int]
    """Contradictions of the line machines since the start, by name."""
    failure: str | None
    """A thread of the path has died: the process must end, and be started again."""


class Listener:
    """Hears a line live, from the moment it was made. Used by one thread."""

    def __init__(self, engine: "Engine", line: int, ring: Ring, channel: int, law: str) -> None:
        self.line, self.law = line, law
        self._engine, self._ring, self._channel = engine, ring, channel
        self._next = ring.head

    def read(self) -> tuple[int, bytes, int]:
        """What came since the last call: the first byte's sample, the companded bytes, and how many samples before
        them were lost because this listener was too slow. Does not wait; there may be nothing."""
        samples = self._ring.head - self._next
        lost, law = self._ring.read(self._channel, self._next, samples) if samples > 0 else (0, b"")
        self._next += lost + len(law)
        return self._next - len(law), law, lost

    def close(self) -> None:
        self._engine._gone(self)


class Probe:
    """A line's sound, level and voltage for measuring. Used by one thread."""

    def __init__(self, listener: Listener, pump: Pump, channel: int) -> None:
        self.listener = listener
        self._pump, self._channel = pump, channel

    def level_dbm0(self) -> float:
        return round(float(self._pump.analysis.level_dbm0[self._channel]), 1)

    def volts(self) -> float | None:
        """Magnitude; None where the card measures none."""
        volts = self._pump.analysis.volts
        value = np.nan if volts is None else float(volts[self._channel])
        return None if value != value else round(value, 1)


class Engine:
    """`rng` names recordings: where it matters that a name cannot be guessed, `random.SystemRandom`. `data` is the data
    folder. `slack_s`: how far the writer may fall behind. `until`: the sample at which cards
    that run as fast as they can are stopped (benchmarks, tests)."""

    def __init__(
        self, config: Config, cards: Sequence[Card], ledger: LedgerQueue, clocks: Mapping[str, Clock], run: str,
        rng: random.Random, publish: Callable[[dict[str, Any]], None], alarm: AlarmSink, data: Path,
        slack_s: float = SLACK_S, until: int | None = None,
    ) -> None:  # fmt: skip
        self._card_of: dict[int, tuple[Pump, Feed, int]] = {}
        self._lines = {line.number: line for line in config.lines}
        self._listeners: list[Listener] = []
        zone = box_zone(config.box)
        feeds: dict[str, Feed] = {}
        built: list[tuple[Card, Switch, Analysis, int]] = []
        settings = {card.name: card for card in config.cards}
        for card in cards:
            lines = [self._lines[number] for number in card.lines]
            reach = _reach(lines)
            switch = Switch(card, lines, ledger, publish, alarm, run, rng, zone)
            ring = Ring(len(lines), ring_samples(reach / RATE, slack_s))
            feed = feeds[card.name] = Feed(ring, card.paced, switch.describe)
            tone_zone = settings.get(card.name, CardConfig()).zone
            analysis = Analysis(card.law, tone_zone, [line.recording for line in lines])
            switch.connect(feed, analysis)
            built.append((card, switch, analysis, reach))
        self.writer = Writer(
            data, feeds, ledger, publish, alarm, lambda: f"{rng.getrandbits(128):032x}",
            config.storage.minimum_free_mb,
        )  # fmt: skip
        self.pumps: list[Pump] = []
        self._switches = [switch for _, switch, _, _ in built]
        for card, switch, analysis, reach in built:
            feed = feeds[card.name]
            pump = Pump(card, clocks[card.name], feed, reach, analysis, switch, self.writer, alarm, until)
            self.pumps.append(pump)
            self._card_of |= {number: (pump, feed, channel) for channel, number in enumerate(card.lines)}

    def start(self) -> None:
        """Starts the writer and every card; one that cannot be started is an alarm and is tried again, while the
        others run."""
        sys.setswitchinterval(SWITCH_S)
        gc.disable()  # The writer collects.
        self.writer.start()
        for pump in self.pumps:
            pump.start()

    def stop(self) -> None:
        """Seals open recordings with the reason `shutdown`; returns when they are on the disk and entered."""
        for pump in self.pumps:
            pump.stop()
        try:
            self.writer.finish()
        finally:
            gc.enable()

    def wait(self, timeout_s: float) -> bool:
        """Waits for cards that end by themselves; True if all have."""
        deadline = time.monotonic() + timeout_s
        return all(pump.join(max(0.0, deadline - time.monotonic())) for pump in self.pumps)

    def snapshots(self) -> list[LineSnapshot]:
        """Every line as it is now, by number."""
        listeners = Counter(listener.line for listener in self._listeners)
        return sorted(
            (s for pump in self.pumps for s in self._snapshots(pump, listeners)), key=lambda snapshot: snapshot.line
        )

    def health(self) -> EngineHealth:
        faults: Counter[str] = Counter()
        for pump in self.pumps:
            faults.update(dict(pump.switch.faults))
        figures, gaps = self.writer.figures, [pump.figures for pump in self.pumps]
        failures = [self.writer.failure, *(pump.failure for pump in self.pumps)]
        failed = next((failure for failure in failures if failure is not None), None)
        return EngineHealth(
            cards=[_card_status(pump) for pump in self.pumps],
            writer=_writer_status(self.writer),
            gaps=GapCounts(
                count=figures.gaps + sum(g.gaps for g in gaps),
                samples=figures.gap_samples + sum(g.lost_samples for g in gaps),
            ),
            faults=dict(faults),
            failure=None if failed is None else repr(failed),
        )

    def key(self, line: int, on: bool, actor: str) -> str | None:
        """Starts (`on`) or stops a recording by key: the handle of the recording that runs, or that was stopped; None
        if there was none to stop. Waits for the next block. Raises `EngineError`."""
        pump, _, channel = self._found(line)
        state = pump.switch.lines[channel].state
        if on and state in (State.DISABLED, State.UNUSABLE):
            raise EngineError(f"Line {line}: a recording cannot be started, the line is {state}. Enable or mend it.")
        if pump.figures.state != "running":
            raise EngineError(f"Line {line}: card {pump.card.name} is not running. See the open alarms.")
        try:
            return pump.ask(lambda: pump.switch.key(channel, on, actor)).result(KEY_WITHIN_S)
        except NoAnswer:
            raise EngineError(
                f"Line {line}: card {pump.card.name} has delivered nothing for {KEY_WITHIN_S:.0f} s; the key may act "
                "when it goes on. See the open alarms."
            ) from None

    def listen(self, line: int) -> Listener:
        """Raises `UnknownLineError`."""
        pump, feed, channel = self._found(line)
        listener = Listener(self, line, feed.ring, channel, pump.card.law)
        self._listeners.append(listener)
        return listener

    def probe(self, line: int) -> "Probe":
        """Looks at a line without being counted as one who listens. Raises `UnknownLineError`."""
        pump, feed, channel = self._found(line)
        return Probe(Listener(self, line, feed.ring, channel, pump.card.law), pump, channel)

    def set_zone(self, zone: tuple[str, tzinfo]) -> None:
        for switch in self._switches:
            switch.set_zone(zone)

    def configure(self, line: int, recording: RecordingConfig) -> bool:
        """Gives a line other thresholds, or another trigger, from its next block on. False where that cannot be now:
        its card stands still, or the trigger is another and a call goes on. Raises `UnknownLineError`."""
        pump, _, channel = self._found(line)

        def change() -> str | None:
            trigger = pump.switch.configure(channel, recording)
            self._lines[line] = pump.switch.lines[channel].config
            return trigger

        if pump.figures.state != "running":
            return False
        future = pump.ask(change)
        try:
            return future.result(KEY_WITHIN_S) is not None
        except NoAnswer:
            # Withdrawn, so that it does not come about later unseen; unless it is being done at this moment.
            return not future.cancel() and future.result() is not None

    def _gone(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def _found(self, line: int) -> tuple[Pump, Feed, int]:
        if line not in self._card_of:
            raise UnknownLineError(f"Line {line}: the box has no such line. Ask for its lines.")
        return self._card_of[line]

    def _snapshots(self, pump: Pump, listeners: Mapping[int, int]) -> Iterable[LineSnapshot]:
        card, now = pump.card, pump.switch.now
        # The arrays are replaced by the pump with every block, so these references stay as they are.
        levels, volts = pump.analysis.level_dbm0.tolist(), pump.analysis.volts
        known = [] if volts is None else np.round(volts, 1).tolist()
        for channel, number in enumerate(card.lines):
            view, config = pump.switch.lines[channel].view, self._lines[number]
            live = view.live if view.writing else None
            volt = known[channel] if known else float("nan")
            yield LineSnapshot(
                line=number, name=config.name, card=card.name, simulated=card.simulated, enabled=config.enabled,
                role=config.role, kind=config.kind, state=view.state, since_utc_ns=view.since_utc_ns,
                direction=view.direction, number=view.number,
                name_shown=view.name, level_dbm0=round(max(SILENCE_DBM0, levels[channel]), 1),
                volts=None if volt != volt else volt,
                recording=None if live is None else self.writer.handle_now(live.start.handle),
                recorded_s=0.0 if live is None else (now - live.first_sample) / RATE,
                trigger=None if live is None else live.start.trigger.value, call_class=view.call_class,
                call_start_utc_ns=view.call_start_utc_ns, listeners=listeners.get(number, 0),
                armed="vox" if number in pump.switch.blind else config.recording.trigger,
            )  # fmt: skip


def _reach(lines: Sequence[LineConfig]) -> int:
    """How far back, in samples, a decision on any of these lines may reach."""
    seconds = max((max(r.pre_roll_s, r.release_ms / 1000) for r in (line.recording for line in lines)), default=0.0)
    return round((seconds + 0.1) * RATE)


def _card_status(pump: Pump) -> CardStatus:
    card, figures, ticks = pump.card, pump.figures, pump.tick_ms()
    times = TickTimes()
    if ticks.size:
        p50, p99 = np.percentile(ticks, (50, 99)).tolist()
        times = TickTimes(p50=round(p50, 2), p99=round(p99, 2), max=round(float(ticks[-1]), 2))
    report = card.report() if isinstance(card, Reporting) else CardReport()
    return CardStatus(
        name=card.name, kind=card.kind, simulated=card.simulated, law=card.law, lines=len(card.lines),
        state=figures.state, blocks=figures.blocks, late_ticks=figures.late_ticks, lost_samples=figures.lost_samples,
        last_block_age_s=round((time.monotonic_ns() - figures.last_block_ns) / 1e9, 3), tick_ms=times,
        gaps=figures.gaps, down=list(figures.down), volts=_volts(pump), driver=report.driver,
        spans=[
            SpanStatus(
                number=span.number, name=span.name, type=span.type, alarms=list(span.alarms),
                interrupts_missed=span.interrupts_missed, lines=list(span.lines),
            )
            for span in report.spans
        ],
        counts=dict(report.counts),
    )  # fmt: skip


def _volts(pump: Pump) -> list[float]:
    """The lowest and the highest of the card's lines."""
    volts = pump.analysis.volts
    known = np.empty(0) if volts is None else volts[np.isfinite(volts)]
    return [round(float(known.min()), 1), round(float(known.max()), 1)] if known.size else []


def _writer_status(writer: Writer) -> WriterStatus:
    figures = writer.figures
    sync = sorted(figures.sync_ms.copy())
    return WriterStatus(
        open=figures.open_files, last_sync_age_s=round((time.monotonic_ns() - figures.last_round_ns) / 1e9, 3),
        sync_ms=SyncTimes(p50=round(sync[len(sync) // 2], 2), max=round(sync[-1], 2)) if sync else SyncTimes(),
        written_bytes=figures.written_bytes, behind_s=round(figures.behind_samples / RATE, 2),
    )  # fmt: skip
