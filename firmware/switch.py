"""The lines of one card: what was heard moves the line machines, the calls decide, the scribe tells the writer.

Runs in the card's pump, once a block, and touches only the lines on which something happened. `lines` says what a
line is doing, `calls` what is to be recorded, `scribe` writes it down; this module carries values between them and
keeps for every line a small immutable `View` that other threads may look at.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

import numpy as np

from dsp.events import Event
from firmware import calls as decided
from firmware.alarms import AlarmSink
from firmware.analysis import NEVER, Analysis, Heard, Hook, What
from firmware.calls import Calls
from firmware.cards import Card, LineEvent, LineEventKind
from firmware.clock import RATE, Moment
from firmware.config import LineConfig, RecordingConfig
from firmware.line import Line, View, ending
from firmware.lines import OFF_HOOK, Input, Output, State, step
from firmware.orders import Feed, Missing
from firmware.scribe import Scribe
from firmware.wire import numbered
from firmware.writer import LedgerQueue
from recorder.model import CallClass, RecordingEnd, StopReason, Trigger

RING_PAUSE_SAMPLES = 6 * RATE
"""No ring for this long: the caller gave up. The longest pause between two rings is 4 s (China, Europe, US)."""
PATIENCE_SAMPLES = 2 * RATE
"""Sound on a line that was just lifted is given so long to turn out to be a dial tone; it takes 1.3 s to be told."""
PROGRESS = {
    "dial": Input.DIAL, "ringback": Input.RINGBACK, "busy": Input.BUSY, "congestion": Input.CONGESTION,
    "vacant": Input.CONGESTION, "unobtainable": Input.CONGESTION, "sit": Input.CONGESTION, "howler": Input.CONGESTION,
}  # fmt: skip
NOBODY_THERE = frozenset({"busy", "congestion", "unobtainable", "howler"})
"""Tones that an exchange sends for ever to who has not hung up."""
SURE_CLASS = 0.9
CLASSES = {"voice": Input.VOICE, "fax": Input.FAX, "modem": Input.MODEM, "music": Input.MUSIC}
INPUTS = {
    What.OFF_HOOK: Input.OFF_HOOK, What.RELEASED: Input.ON_HOOK, What.CUT: Input.CUT, What.BATTERY: Input.BATTERY,
    What.PULSE: Input.DIGIT,
}  # fmt: skip


class Switch:
    """All lines of `card`. `zone`: name and rules of the box's time zone."""

    def __init__(
        self, card: Card, lines: Sequence[LineConfig], ledger: LedgerQueue, publish: Callable[[dict[str, Any]], None],
        alarm: AlarmSink, run: str, rng: random.Random, zone: tuple[str, tzinfo],
    ) -> None:  # fmt: skip
        self._alarm = alarm
        self._scribe = Scribe(card, ledger, publish, run, rng, zone)
        self.lines = [Line(channel, line, Calls(line.recording)) for channel, line in enumerate(lines)]
        self._due = np.full(len(lines), NEVER, np.int64)
        self._last_event = 0
        self._restart: list[int] = []
        self.faults: Counter[str] = Counter()
        self._card_name = card.name
        self.blind: frozenset[int] = frozenset()
        """Lines that are recorded by sound because nothing shows their hook. Any thread may look."""
        self.now = 0
        """End of the block that is being looked at."""

    def set_zone(self, zone: tuple[str, tzinfo]) -> None:
        """For recordings that begin from now on. Any thread."""
        self._scribe.zone = zone

    def connect(self, feed: Feed, analysis: Analysis) -> None:
        self._analysis = analysis
        self._scribe.connect(feed)

    # The pump's side.

    def known_since(self, utc_ns: int) -> None:
        """The card is about to be started: the lines are what they are from now on."""
        for line in self.lines:
            line.since_utc_ns = utc_ns
            line.view, line.shown = View(since_utc_ns=utc_ns), ()

    def at(self, now: int, moment: Moment) -> None:
        """The next block ends before sample `now`, at this moment."""
        self.now = now
        self._scribe.at(now, moment)

    def start(self) -> None:
        """The first block is there: disabled lines are told so, lines that always record begin."""
        for line in self.lines:
            line.calls = Calls(line.config.recording, self.now)
            if line.config.enabled:
                self._decide(line, line.calls.found(self.now))
            else:
                self._move(line, Input.DISABLE, self.now)
            self._settle(line)

    def hear(self, events: Sequence[LineEvent], heard: Sequence[Heard]) -> None:
        """Everything that changed in this block, and whatever was waited for until now."""
        for event in events:
            self._event(self.lines[event.channel], event)
        blind = self.blind
        for what in heard:
            self._heard(self.lines[what.channel], what)
        if self.blind != blind:
            self._tell_blind()
        for channel in (self._due <= self.now).nonzero()[0].tolist():
            self._time(self.lines[channel])
        if self._restart:
            self._analysis.restart(self._restart)
            self._restart = []

    def missing(self, channel: int, first_sample: int, end_sample: int, reason: str) -> None:
        """Samples of a channel did not come."""
        self._scribe.missing(self.lines[channel], Missing(first_sample, end_sample, reason))

    def usable(self, channel: int, up: bool, why: str) -> None:
        """The channel went down, or came back."""
        line = self.lines[channel]
        if not up:
            self._analysis.loop.forget(channel)
        self._input(line, Input.CARD_UP if up else Input.CARD_DOWN, self.now, value=why)
        self._settle(line)

    def key(self, channel: int, on: bool, actor: str) -> str | None:
        """The handle of the recording that was started, runs already, or was stopped; None if there is none."""
        line = self.lines[channel]
        before = line.live
        self._decide(line, line.calls.key(on, actor, self.now))
        self._settle(line)
        live = line.live if on else before
        return None if live is None else live.start.handle

    def configure(self, channel: int, recording: RecordingConfig) -> str | None:
        """Other thresholds or another trigger for a line, from the next block on: the trigger. None, and nothing is
        changed, where it is another trigger and a call or recording goes on: that is ended as it was begun, and a call
        that sound was to begin would not be begun by its hook any more."""
        line = self.lines[channel]
        if recording.trigger != line.config.recording.trigger and (line.live is not None or line.calls.in_call):
            return None
        line.config = replace(line.config, recording=recording)
        line.calls.configure(recording)
        self._analysis.configure(channel, recording)
        number = {line.config.number}
        blind = recording.trigger == "voltage" and self._analysis.is_blind(channel)
        self.blind = self.blind | number if blind else self.blind - number
        self._tell_blind()
        return recording.trigger

    def anchor(self) -> None:
        """Once a minute: ties this sample to the clocks in every recording."""
        for line in self.lines:
            self._scribe.anchor(line)

    def clock_step(self, step_s: float) -> None:
        """The wall clock was set while recordings ran."""
        for line in self.lines:
            self._scribe.mark(line, "clock_step", self.now, self.now, f"{step_s:+.3f}")
        self.anchor()

    def stop(self) -> None:
        for line in self.lines:
            self._decide(line, line.calls.stop(self.now))
            self._settle(line)

    # For other threads.

    def describe(self, handle: str, reason: StopReason, detail: dict[str, Any]) -> RecordingEnd:
        """What is known of a running recording now, as its end."""
        line = next((line for line in self.lines if line.live is not None and line.live.start.handle == handle), None)
        facts = decided.Facts() if line is None else line.calls.facts
        return ending(reason, detail, facts, 0 if line is None or line.live is None else line.live.first_sample)

    # What is heard.

    def _event(self, line: Line, event: LineEvent) -> None:
        kind = event.kind
        if kind is LineEventKind.RING_ON:
            line.ring_deadline = event.sample + RING_PAUSE_SAMPLES
            line.ring_mark = (event.sample, self._scribe.mark(line, "ring", event.sample, None))
            self._input(line, Input.RING, event.sample)
        elif kind is LineEventKind.RING_OFF:
            line.ring_deadline = event.sample + RING_PAUSE_SAMPLES
            if line.ring_mark is not None:
                self._scribe.mark(line, "ring", line.ring_mark[0], event.sample, mark_id=line.ring_mark[1])
            self._input(line, Input.RING_END, event.sample)
        elif kind is LineEventKind.POLARITY:
            self._scribe.mark(line, "polarity", event.sample, event.sample, "reversed" if event.value else "normal")
            self._input(line, Input.POLARITY, event.sample)
        elif kind in (LineEventKind.OFF_HOOK, LineEventKind.ON_HOOK):
            hook = Hook.OFF if kind is LineEventKind.OFF_HOOK else Hook.ON
            for heard in self._analysis.loop.report(line.channel, hook, event.sample):
                self._heard(line, heard)
        elif kind is LineEventKind.CALLER_ID:
            self._caller_by_card(line, event)
        elif kind in (LineEventKind.ALARM, LineEventKind.CLEAR):
            self.usable(line.channel, kind is LineEventKind.CLEAR, "alarm")
        self._settle(line)

    def _caller_by_card(self, line: Line, event: LineEvent) -> None:
        """What was heard of the caller in the audio stands above what the card says of the same call."""
        if line.calls.facts.caller is None:
            self._scribe.mark(line, "cid", event.sample, event.sample, event.text, evidence={"by": "card"})
            self._decide(line, line.calls.caller_id(event.sample, event.text, None))

    def _heard(self, line: Line, heard: Heard) -> None:
        calls = line.calls
        if line.state is State.DISABLED:
            return
        if heard.event is not None:
            self._detected(line, heard.event, heard.sample)
        elif heard.what is What.BREAK:
            self._decide(line, calls.broke(heard.sample))
        elif heard.what is What.MADE:
            self._decide(line, calls.made())
        elif heard.what is What.SOUND:
            self._decide(line, calls.sound(heard.sample, heard.level_dbm0))
            if self._analysis.loop.hook[line.channel] is Hook.UNKNOWN:  # Sound is all there is to tell a call by.
                self._input(line, Input.OFF_HOOK, heard.sample)
        elif heard.what in (What.BLIND, What.SEEN):
            self._sight(line, heard.what is What.SEEN, heard.sample)
        elif heard.what is What.SILENCE:
            self._decide(line, calls.silence(self.now))
            if self._analysis.loop.hook[line.channel] is Hook.UNKNOWN and line.state in OFF_HOOK:
                self._input(line, Input.ON_HOOK, self.now)
        else:
            if heard.what in (What.PULSE, What.FLASH):
                self._scribe.mark(line, heard.what, heard.sample, heard.end, heard.value)
            if heard.what is not What.FLASH:
                self._input(line, INPUTS[heard.what], heard.sample, heard.volts, heard.value)
        self._settle(line)

    def _sight(self, line: Line, seen: bool, sample: int) -> None:
        """The hook has come to be known, or is not: then a line that waits for it is recorded by sound meanwhile."""
        if line.config.recording.trigger == "voltage":
            number = {line.config.number}
            self.blind = self.blind - number if seen else self.blind | number
        if not seen:
            self._decide(line, line.calls.hook_lost())
            if line.state in OFF_HOOK:
                self._analysis.await_silence(line.channel)
        else:
            line.calls.hook_seen()
            if self._analysis.loop.hook[line.channel] is Hook.ON and line.state in OFF_HOOK:
                self._input(line, Input.ON_HOOK, sample)

    def _tell_blind(self) -> None:
        """One alarm for all the card's lines that are recorded by sound against what their configuration says."""
        thing, blind = f"card {self._card_name}", self.blind
        if blind:
            self._alarm.raise_("hook_unknown", thing, count=len(blind), lines=numbered(blind))
        else:
            self._alarm.clear("hook_unknown", thing)

    def _detected(self, line: Line, event: Event, fed_from: int) -> None:
        """A report of a detector: a mark, and where it is the first of its id, or a class, an input."""
        start = fed_from + event.start_sample
        end = None if event.end_sample is None else fed_from + event.end_sample
        place = start if event.kind != "class" else self._decided(line, event, fed_from)
        self._scribe.mark(line, event.kind, place, end, event.value, event.confidence, event.evidence, event.id)
        first = event.id > self._last_event  # Detectors number events in the order in which they first report them.
        self._last_event = max(self._last_event, event.id)
        if event.kind == "class":
            evidence = dict(event.evidence)
            self._decide(line, line.calls.classed(CallClass(event.value), event.confidence, evidence, self.now))
            if event.value in CLASSES:  # A class begins with its call, and says nothing of now but by its verdict.
                sure = event.value in ("fax", "modem") and event.confidence >= SURE_CLASS
                self._answering(line, CLASSES[event.value], self.now, sure)
        elif event.kind == "cid":
            if not str(event.evidence.get("type", "")).endswith("_waiting"):  # A message that waits is of no caller.
                name = event.evidence.get("name")
                self._decide(line, line.calls.caller_id(start, event.value or None, str(name) if name else None))
        elif first and event.kind == "dtmf":
            self._input(line, Input.DIGIT, start, value=event.value)
        elif not first and event.id == line.tone[0]:
            line.tone_deadline = NEVER
        elif event.kind == "speech" and event.end_s == event.start_s:
            line.waiting = None  # Withdrawn: it has turned out to be a tone.
        elif start < line.calls.last_digit:
            pass  # Nothing that was there before the last digit answers the dialling; dial tone is at times misheard.
        elif first and event.kind == "speech":
            self._answering(line, Input.SPEECH, start, sure=False)
        elif first and event.kind == "progress" and event.value in PROGRESS:
            if event.value == "dial":
                line.waiting = None
            self._input(line, PROGRESS[event.value], start)
            longest_s = line.config.recording.busy_tone_s
            if event.value in NOBODY_THERE and longest_s and self._analysis.loop.hook[line.channel] is Hook.UNKNOWN:
                line.tone, line.tone_deadline = (event.id, event.value), start + round(longest_s * RATE)

    def _decided(self, line: Line, event: Event, fed_from: int) -> int:
        """Where the class of a call was decided; it holds for the whole call, which tells nothing on a waveform."""
        if line.class_mark[:2] != (event.id, event.value):
            decided_s = event.evidence.get("decided_s")
            place = fed_from + round(decided_s * RATE) if isinstance(decided_s, float) else self.now
            line.class_mark = (event.id, event.value, place)
        return line.class_mark[2]

    def _answering(self, line: Line, what: Input, sample: int, sure: bool) -> None:
        """Something that says that the call is answered. While further digits may come it waits: what is heard between
        two digits is the caller's room more often than the called party, and must not close the number. Before the
        first digit it waits for the dial tone to be told."""
        lifted = line.state is State.SEIZED
        if not sure and (lifted or (line.state is State.DIALLING and not line.calls.number_complete)):
            since = sample if line.waiting is None else line.waiting[1]
            line.waiting = what, since, since + PATIENCE_SAMPLES if lifted else NEVER
        else:
            self._input(line, what, sample)

    def _time(self, line: Line) -> None:
        if line.ring_deadline <= self.now:
            line.ring_deadline = NEVER
            if line.state is State.RINGING:
                self._input(line, Input.RING_STOPPED, self.now)
        self._decide(line, line.calls.due(self.now))
        if line.waiting is not None:
            what, sample, until = line.waiting
            if until <= self.now or (line.state is State.DIALLING and line.calls.number_complete):
                line.waiting = None
                self._input(line, what, sample)
        if line.tone_deadline <= self.now:
            line.tone_deadline = NEVER
            if line.state in OFF_HOOK:
                self._input(line, Input.CLEARED, self.now, value=line.tone[1])
        self._settle(line)

    # What follows from it.

    def _input(self, line: Line, what: Input, sample: int, volts: float | None = None, value: str = "") -> None:
        if line.state is State.DISABLED:
            return
        output = self._move(line, what, sample)
        calls, now = line.calls, self.now
        if what is Input.OFF_HOOK and output in (Output.SEIZED, Output.ANSWERED):
            line.ring_deadline, line.waiting = NEVER, None
            self._restart.append(line.channel)
            self._decide(line, calls.seized(sample, volts))
        elif output is Output.RUNG:
            self._decide(line, calls.rung(sample))
        elif output is Output.MISSED:
            self._decide(line, calls.missed())
        elif output is Output.DIALLED:
            line.waiting = None
            self._decide(line, calls.digit(value, now))
        elif output is Output.HEARD_BACK:
            line.waiting = None
            self._decide(line, calls.dialling_over(now))
        elif output is Output.ANSWERED:
            self._decide(line, calls.answered(sample, now))
        elif output is Output.RELEASED:
            self._decide(line, calls.released(sample, volts))
        elif output is Output.CLEARED:
            self._decide(line, calls.cleared(value, now))
        elif output is Output.CUT:
            self._decide(line, calls.cut(sample, volts, now))
        elif output is Output.LOST:
            self._decide(line, calls.lost(now, value))
        elif output is Output.FOUND:
            self._decide(line, calls.found(now))
        elif output is Output.FAULT:
            self._after_fault(line, volts)

    def _move(self, line: Line, what: Input, sample: int) -> Output:
        before = line.state
        moved = step(before, what, self._analysis.loop.hook[line.channel].name.lower())
        line.state = moved.state
        if moved.fault is not None:
            self.faults[moved.fault] += 1
            self._scribe.mark(line, "fault", sample, sample, moved.fault)
            self._alarm.raise_("line_fault", f"line {line.config.number}", fault=moved.fault)
        if moved.state is not before:
            line.since_utc_ns = self._scribe.utc_ns(sample)
            self._scribe.mark(line, "state", sample, sample, moved.state)
            if State.CUT in (before, moved.state):
                act = self._alarm.raise_ if moved.state is State.CUT else self._alarm.clear
                act("line_cut", f"line {line.config.number}")
        return moved.output

    def _after_fault(self, line: Line, volts: float | None) -> None:
        """The line stands where its hook says; what the calls believe is brought into line with it."""
        if line.state in OFF_HOOK and not line.calls.in_call:
            self._decide(line, line.calls.seized(self.now, volts))
        elif line.state not in OFF_HOOK and line.calls.in_call:
            self._decide(line, line.calls.released(self.now, volts))

    def _decide(self, line: Line, decisions: Sequence[decided.Decision]) -> None:
        for decision in decisions:
            self._scribe.carry_out(line, decision)
            by_sound_or_key = isinstance(decision, decided.Begin) and decision.trigger in (Trigger.VOX, Trigger.KEY)
            if by_sound_or_key and line.state not in OFF_HOOK:
                self._restart.append(line.channel)

    def _settle(self, line: Line) -> None:
        """After a line was touched: when it must be looked at again, and what others see of it."""
        calls = line.calls
        waits_until = NEVER if line.waiting is None else line.waiting[2]
        self._due[line.channel] = min(line.ring_deadline, line.tone_deadline, waits_until, calls.deadline)
        if calls.number_complete:
            self._scribe.known(line)
        shown = (line.state, line.since_utc_ns, calls.facts, line.live, calls.recording_trigger)
        if shown == line.shown:  # As after most of what is heard.
            return
        line.shown = shown
        facts, in_call = calls.facts, line.state in OFF_HOOK or line.state is State.RINGING
        since = facts.start_sample
        line.view = View(
            line.state, line.since_utc_ns,
            facts.direction.value if in_call else "unknown",
            facts.number if in_call else None,
            facts.name if in_call else None,
            facts.call_class.value if in_call and facts.call_class is not CallClass.NONE else None,
            self._scribe.utc_ns(since) if in_call and since is not None else None,
            line.live, calls.recording_trigger is not None,
        )  # fmt: skip
