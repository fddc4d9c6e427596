"""The scribe of one card: what the calls decide, and what the lines show, becomes orders to the writer.

Runs in the card's pump. It names recordings, turns positions of the domain into those of a recording and into UTC,
numbers the marks that no detector made, and says of a running recording what is known of its call. It decides nothing:
`calls` does, and `switch` brings it here.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from firmware import calls as decided
from firmware.cards import Card
from firmware.clock import NS, SAMPLE_NS, Moment
from firmware.line import NOTHING, Line, Live, ending
from firmware.orders import Close, Feed, Gone, GoOn, Hold, Known, Missing, Open, Say, add_missing
from firmware.writer import LedgerQueue
from recorder.model import Anchor, Mark, RecordingStart

OWN_MARKS = 1 << 32
"""Marks that no detector made are numbered from here."""


class Scribe:
    """Writes for all lines of `card`. `zone`: name and rules of the box's time zone."""

    def __init__(
        self, card: Card, ledger: LedgerQueue, publish: Callable[[dict[str, Any]], None], run: str, rng: random.Random,
        zone: tuple[str, tzinfo],
    ) -> None:  # fmt: skip
        self._card, self._ledger, self._publish = card, ledger, publish
        self._run, self._rng, self.zone = run, rng, zone
        self._next_mark = OWN_MARKS
        self.now = 0
        """End of the block that is being looked at."""
        self._moment = Moment(0, 0, "", False)

    def connect(self, feed: Feed) -> None:
        self._feed = feed

    def at(self, now: int, moment: Moment) -> None:
        self.now, self._moment = now, moment

    def utc_ns(self, sample: int) -> int:
        return self._moment.utc_ns - (self.now - sample) * SAMPLE_NS

    # What was decided.

    def carry_out(self, line: Line, decision: decided.Decision) -> None:
        if isinstance(decision, decided.Begin):
            self._begin(line, decision)
        elif isinstance(decision, decided.Unrecorded):
            number, since = line.config.number, self.utc_ns(decision.from_sample)
            until, reason = self.utc_ns(decision.to_sample), decision.reason
            self._ledger.submit(lambda ledger: ledger.unrecorded(number, since, until, reason))
        elif line.live is not None:
            handle = line.live.start.handle
            if isinstance(decision, decided.Hold):
                self._feed.orders.append(Hold(handle, decision.sample))
            elif isinstance(decision, decided.GoOn):
                self._feed.orders.append(GoOn(handle, decision.sample))
            else:
                self._finish(line, line.live, decision)

    def _begin(self, line: Line, begin: decided.Begin) -> None:
        first, card = begin.sample, self._card
        utc_ns = self.utc_ns(first)
        offset = datetime.fromtimestamp(utc_ns // NS, UTC).astimezone(self.zone[1]).utcoffset()
        assert offset is not None
        start = RecordingStart(
            handle=f"{self._rng.getrandbits(128):032x}",
            line=line.config.number, line_name=line.config.name, card=card.name, simulated=card.simulated,
            channel=line.channel, law=card.law, trigger=begin.trigger, trigger_detail=begin.detail,
            first_sample=first, pre_roll_samples=begin.pre_roll_samples, utc_ns=utc_ns,
            utc_offset_s=round(offset.total_seconds()), zone=self.zone[0], run=self._run,
            anchor=self._anchor(self.now, first), continues=line.last_handle if begin.continues else None,
        )  # fmt: skip
        line.live, line.last_handle, line.told = Live(start), start.handle, NOTHING
        missing = tuple(gap for gap in line.gaps if gap.end_sample > first)
        self._feed.orders.append(Open(start.handle, start, missing))
        self.mark(line, "state", first, first, line.state)
        facts = line.calls.facts
        if facts.caller is not None:  # Heard before the recording began; so it survives a power cut.
            self.mark(line, "cid", first, first, facts.caller, evidence={"name": facts.name} if facts.name else {})

    def _finish(self, line: Line, live: Live, end: decided.End) -> None:
        line.live = None
        said = msgspec.structs.replace(
            ending(end.reason, end.detail, end.facts, live.first_sample),
            anchor=self._anchor(end.sample, live.first_sample), discard=end.discard,
        )  # fmt: skip
        self._feed.orders.append(Close(live.start.handle, end.sample, said))

    # What is said of a running recording.

    def mark(
        self, line: Line, kind: str, start: int, end: int | None, value: str = "", confidence: float = 1.0,
        evidence: Any = None, mark_id: int | None = None,
    ) -> int:  # fmt: skip
        """Marks the running recording, if there is one and it is not all before it; returns the mark's id."""
        if mark_id is None:
            mark_id, self._next_mark = self._next_mark, self._next_mark + 1
        if line.live is None or (end is not None and end < line.live.first_sample):
            return mark_id
        first, handle = line.live.first_sample, line.live.start.handle
        mark = Mark(
            id=mark_id, kind=str(kind), start_sample=max(0, start - first),
            end_sample=None if end is None else end - first, value=str(value), confidence=float(confidence),
            evidence=dict(evidence or {}),
        )  # fmt: skip
        self._feed.orders.append(Say(handle, mark))
        self._publish({"event": "mark", "handle": handle, "line": line.config.number, "mark": mark})
        return mark_id

    def missing(self, line: Line, gap: Missing) -> None:
        """Samples of a line did not come: kept for a recording that begins before now, and said to the running one."""
        oldest = self.now - self._feed.ring.samples
        while line.gaps and line.gaps[0].end_sample < oldest:
            line.gaps.popleft()
        add_missing(line.gaps, gap)
        if line.live is not None:
            self._feed.orders.append(Gone(line.live.start.handle, gap))

    def known(self, line: Line) -> None:
        """What is known of the call that is recorded, when it changes: a few times a call."""
        if line.live is None:
            return
        facts = line.calls.facts
        told = (facts.direction, facts.number, facts.name, facts.call_class)
        if told != line.told:
            line.told = told
            self._feed.orders.append(Known(line.live.start.handle, *told, facts.class_confidence))

    def anchor(self, line: Line) -> None:
        """Ties this moment to the clocks in the running recording."""
        if line.live is not None:
            self._feed.orders.append(Say(line.live.start.handle, self._anchor(self.now, line.live.first_sample)))

    def _anchor(self, sample: int, first_sample: int) -> Anchor:
        """The clocks at `sample`, in a recording that began at `first_sample`."""
        m = self._moment
        behind_ns = (self.now - sample) * SAMPLE_NS
        return Anchor(
            sample=sample - first_sample, utc_ns=m.utc_ns - behind_ns, boottime_ns=m.boottime_ns - behind_ns,
            boot_id=m.boot_id, synchronised=m.synchronised,
        )  # fmt: skip
