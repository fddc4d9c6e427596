"""What does not come: gaps that keep the time line true, cards that fail, channels that go down."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware.cards import BLOCK, ChannelStatus, LineEventKind
from firmware.clock import NS, Moment, SampleClock
from firmware.config import RecordingConfig
from firmware.engine import EngineError, UnknownLineError
from firmware.pump import Lateness
from recorder.model import StopReason
from tests.firmware.rig import RATE, START_UTC_NS, Rig, ScriptedCard, noise, run
from tests.firmware.test_engine import call_card

S = RATE


@pytest.mark.parametrize(
    ("status", "reason"),
    [(ChannelStatus.LOST, "card"), (ChannelStatus.LATE, "late"), (ChannelStatus.DOWN, "card")],
)
def test_lost_blocks_are_one_gap_and_the_time_line_stays_true(tmp_path: Path, status: int, reason: str) -> None:
    card = call_card()
    card.status[300:380] = status
    result = run(tmp_path, card)
    (file,) = result.files
    (gap,) = file.gaps
    assert (gap.start_sample, gap.samples, gap.reason) == (300 * BLOCK - 2 * S, 80 * BLOCK, reason)
    assert file.samples == 13 * S + BLOCK
    audio, line = np.frombuffer(result.audio(), np.uint8), card.audio[0, 2 * S : 15 * S + BLOCK].copy()
    line[gap.start_sample : gap.start_sample + gap.samples] = 0xD5
    assert np.array_equal(audio, line)
    health = result.engine.health()
    assert (health.gaps.count, health.gaps.samples) == (1, 80 * BLOCK)
    assert health.cards[0].lost_samples == 80 * BLOCK
    assert ("raised", "frames_lost", "line 1") in result.alarms


def test_a_burst_that_the_card_reports_once_is_one_gap_with_one_reason(tmp_path: Path) -> None:
    card = call_card()
    card.status[300:380] = ChannelStatus.LOST
    card.status[400:402] = ChannelStatus.LOST
    card.tell(300 * BLOCK, LineEventKind.OVERRUN, 80 * BLOCK)
    result = run(tmp_path, card)
    (file,) = result.files
    assert [(gap.start_sample, gap.samples, gap.reason) for gap in file.gaps] == [
        (300 * BLOCK - 2 * S, 80 * BLOCK, "overrun"),
        (400 * BLOCK - 2 * S, 2 * BLOCK, "card"),
    ]
    assert result.engine.health().gaps.count == 2


def test_a_jump_of_the_index_is_a_gap_of_just_that_many_samples(tmp_path: Path) -> None:
    card = call_card()
    card.skipped[400] = 1001
    card.tell(400 * BLOCK, LineEventKind.OVERRUN, 1001)
    (file,) = run(tmp_path, card).files
    (gap,) = file.gaps
    assert (gap.start_sample, gap.samples, gap.reason) == (400 * BLOCK - 2 * S, 1001, "overrun")
    assert abs(file.samples - (13 * S + BLOCK + 1001)) <= BLOCK


def test_an_index_that_jumps_by_hours_or_back_ends_the_recording_and_begins_anew(tmp_path: Path) -> None:
    for name, jump in (("far", 5000 * S), ("back", -3 * S)):
        card = call_card(30, 2 * S, 25 * S)
        card.skipped[500] = jump
        rig = Rig(tmp_path / name, card)
        rig.engine.pumps[0]._until = (2**62) if jump > 0 else card.samples
        card.before = {card.blocks - 1: lambda rig=rig: rig.engine.pumps[0]._stop.set()}  # type: ignore[misc]
        first, second = rig.run().files
        assert first.end is not None and first.end.stop_reason is StopReason.CARD
        assert first.start.first_sample + first.samples == 500 * BLOCK
        assert second.start.first_sample == 500 * BLOCK + max(0, jump)
        assert second.end is not None and second.end.stop_reason is StopReason.ON_HOOK


def test_the_first_sample_of_a_card_need_not_be_zero(tmp_path: Path) -> None:
    card = call_card()
    card.first_sample = 123_456_789
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.start.first_sample == card.first_sample + 2 * S
    assert result.audio() == card.audio[0, 2 * S : 15 * S + BLOCK].tobytes()


def test_a_pre_roll_over_lost_blocks_shows_the_gap(tmp_path: Path) -> None:
    card = ScriptedCard(30)
    card.volts[:] = np.nan
    card.status[210:230] = ChannelStatus.LOST
    card.lay(5 * S, noise(4 * S, 1, 3000))
    (file,) = run(tmp_path, card, RecordingConfig(trigger="vox", hangover_s=1)).files
    assert [(g.start_sample, g.samples) for g in file.gaps] == [(210 * BLOCK - 3 * S, 20 * BLOCK)]


def test_a_channel_that_stays_down_ends_its_recording_and_comes_back(tmp_path: Path) -> None:
    card = call_card(40, 2 * S, 35 * S)
    card.status[500:1000] = ChannelStatus.DOWN
    first, second = run(tmp_path, card).files
    assert first.end is not None and first.end.stop_reason is StopReason.CARD
    assert first.end.stop_detail == {"card": "down"}
    assert second.start.first_sample == 1000 * BLOCK
    assert second.end is not None and second.end.stop_reason is StopReason.ON_HOOK


def test_lines_that_give_nothing_are_named_in_one_alarm_and_nobody_else_notices(tmp_path: Path) -> None:
    """A cable of three lines is pulled for ten seconds, in the middle of calls on it and beside it."""
    card = ScriptedCard(40, lines=(1, 2, 3, 4))
    for channel in range(4):
        card.lift(2 * S, 35 * S, channel)
        card.lay(2 * S, noise(33 * S, channel), channel)
    card.status[500:1000, 1:] = ChannelStatus.DOWN
    rig = Rig(tmp_path, card)
    seen = {}
    card.before = {
        at: lambda at=at: seen.update({at: rig.engine.health().cards[0].down})  # type: ignore[misc]
        for at in (599, 600, 601, 1001)
    }
    result = rig.run()
    assert seen == {599: [], 600: [2, 3, 4], 601: [2, 3, 4], 1001: []}
    told = [said for said in rig.alarms.said if said[1] == "line_alarm"]
    assert told == [("raised", "line_alarm", "card script0"), ("cleared", "line_alarm", "card script0")]
    assert rig.alarms.values["line_alarm", "card script0"] == {"count": 3, "lines": "2-4"}
    (whole,) = [number for number, file in enumerate(result.files) if file.start.line == 1]
    assert not result.files[whole].gaps
    assert result.audio(whole) == card.audio[0, 2 * S : 2 * S + result.files[whole].samples].tobytes()
    assert result.files[whole].samples > 32 * S
    for line in (2, 3, 4):
        first, second = (file for file in result.files if file.start.line == line)
        assert first.end is not None and first.end.stop_reason is StopReason.CARD
        assert second.start.first_sample == 1000 * BLOCK, "taken back"
    status = result.engine.health().cards[0]
    assert (status.gaps, status.lost_samples, status.driver, status.spans) == (3, 3 * 500 * BLOCK, "", [])


def test_a_line_that_is_in_alarm_when_its_card_comes_back_is_down_at_once(tmp_path: Path) -> None:
    """Nothing is recorded of it before it gives something again, and the block that tells so is over."""
    card = ScriptedCard(20, lines=(1, 2))
    for channel in range(2):
        card.lay(0, noise(20 * S, channel), channel)
    card.fails_at = frozenset({300})
    card.status[300:350, 1] = ChannelStatus.DOWN
    card.tell(350 * BLOCK, LineEventKind.CLEAR, channel=1)
    result = run(tmp_path, card, RecordingConfig(trigger="always"))
    told = [said for said in result.alarms.said if said[1] in ("card_stopped", "line_alarm")]
    assert told == [
        ("raised", "card_stopped", "card script0"), ("cleared", "card_stopped", "card script0"),
        ("raised", "line_alarm", "card script0"), ("cleared", "line_alarm", "card script0"),
    ]  # fmt: skip
    begins = [(file.start.line, file.start.first_sample, len(file.gaps)) for file in result.files]
    assert sorted(begins) == [(1, 0, 0), (1, 300 * BLOCK, 0), (2, 0, 0), (2, 351 * BLOCK, 0)]


def test_a_disabled_line_that_gives_nothing_is_nobody_s_alarm(tmp_path: Path) -> None:
    card = ScriptedCard(10)
    card.status[100:400] = ChannelStatus.DOWN
    result = run(tmp_path, card, enabled=False)
    assert not {code for _, code, _ in result.alarms.said} & {"line_alarm", "frames_lost"}
    assert (result.engine.health().gaps.count, result.engine.health().cards[0].lost_samples) == (0, 0)


def test_a_card_that_cannot_be_started_is_an_alarm_and_is_taken_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.pump.RETRY_S", 0.01)
    card = call_card()
    card.refuses = 3
    rig = Rig(tmp_path, card)
    (file,) = rig.run().files
    assert card.starts == 4
    assert rig.result().audio() == card.audio[0, 2 * S : 2 * S + file.samples].tobytes()
    raised = [said for said in rig.alarms.said if said[1] == "card_failed"]
    assert raised == [("raised", "card_failed", "card script0")] * 3 + [("cleared", "card_failed", "card script0")]


def test_a_box_is_stopped_while_its_card_cannot_be_started(tmp_path: Path) -> None:
    card = call_card()
    card.refuses = 10**6
    rig = Rig(tmp_path, card)
    rig.engine.start()
    (snapshot,) = rig.engine.snapshots()
    assert (snapshot.state, rig.engine.health().cards[0].state) == ("unusable", "alarm")
    rig.engine.stop()
    rig.thread.close()
    assert rig.result().files == []
    assert rig.engine.health().failure is None


def test_a_card_that_fails_is_an_alarm_and_is_started_again(tmp_path: Path) -> None:
    card = call_card()
    card.fails_at = frozenset({400})
    result = run(tmp_path, card)
    first, second = result.files
    assert card.starts == 2
    assert (
        first.end is not None and first.end.stop_reason is StopReason.CARD and first.end.stop_detail["card"] == "failed"
    )
    assert second.start.first_sample == 400 * BLOCK
    for number, file in enumerate(result.files):
        at = file.start.first_sample
        assert result.audio(number) == card.audio[0, at : at + file.samples].tobytes()
    assert ("raised", "card_stopped", "card script0") in result.alarms
    assert ("cleared", "card_stopped", "card script0") in result.alarms


def test_a_contradiction_is_recorded_counted_and_the_line_goes_on(tmp_path: Path) -> None:
    card = call_card()
    card.tell(100 * BLOCK, LineEventKind.RING_ON)
    card.tell(600 * BLOCK, LineEventKind.CLEAR)
    card.tell(840 * BLOCK, LineEventKind.ALARM)
    card.tell(845 * BLOCK, LineEventKind.RING_ON)
    result = run(tmp_path, card)
    assert len(result.files) == 1
    assert result.engine.health().faults == {"ring_in_unusable": 1}
    assert ("raised", "line_fault", "line 1") in result.alarms


class Gate:
    """Lets a card deliver up to a block, and waits there for the test."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go.wait(30)


def test_the_key_starts_and_stops_while_the_card_runs(tmp_path: Path) -> None:
    card, start, stop = call_card(30, 0, 0), Gate(), Gate()
    card.before = {500: start, 1000: stop}
    rig = Rig(tmp_path, card, RecordingConfig(trigger="key", pre_roll_s=1))
    handles: list[str | None] = []
    with ThreadPoolExecutor(1) as other:
        rig.engine.start()
        for gate, on in ((start, True), (stop, False)):
            assert gate.reached.wait(30)
            pressed = other.submit(rig.engine.key, 1, on, "user anna")
            while not rig.engine.pumps[0]._asked:
                assert not pressed.done()
            gate.go.set()
            handles.append(pressed.result(30))
        with pytest.raises(UnknownLineError, match="Line 9"):
            rig.engine.key(9, True, "user anna")
    result = rig.run_on()
    (file,) = result.files
    assert handles == [file.start.handle] * 2
    assert file.start.first_sample == 501 * BLOCK - S and file.samples == 500 * BLOCK + S
    assert file.start.trigger_detail == {"actor": "user anna"}
    assert file.end is not None and file.end.stop_reason is StopReason.KEY
    with pytest.raises(EngineError, match="not running"):
        rig.engine.key(1, True, "user anna")


def test_a_listener_hears_the_line_and_learns_what_it_missed(tmp_path: Path) -> None:
    card, gate, late = call_card(40), Gate(), Gate()
    card.before = {400: gate, 1900: late}
    rig = Rig(tmp_path, card)
    rig.engine.start()
    assert gate.reached.wait(30)
    listener = rig.engine.listen(1)
    assert rig.engine.snapshots()[0].listeners == 1
    assert listener.read() == (400 * BLOCK, b"", 0)
    gate.go.set()
    assert late.reached.wait(30)
    first, law, lost = listener.read()
    ring = rig.engine.pumps[0]._feed.ring
    assert lost == 1900 * BLOCK - ring.samples - 400 * BLOCK and first == 400 * BLOCK + lost
    assert law == card.audio[0, first : 1900 * BLOCK].tobytes()
    listener.close()
    assert rig.engine.snapshots()[0].listeners == 0
    late.go.set()
    rig.run_on()


class PutRight(SampleClock):
    """A time server makes the system's clocks run a tenth fast; the machine's oscillator goes on as before."""

    def moment(self) -> Moment:
        moment = super().moment()
        return replace(moment, utc_ns=moment.utc_ns + self._ns // 10, boottime_ns=moment.boottime_ns * 11 // 10)

    def monotonic_ns(self) -> int:
        return self._ns * 11 // 10


def test_a_clock_that_is_put_right_makes_no_block_late(tmp_path: Path) -> None:
    card = call_card()
    card.paced = True
    rig = Rig(tmp_path, card)
    rig.engine.pumps[0]._clock = PutRight(START_UTC_NS, "test")
    (file,) = rig.run().files
    assert rig.engine.health().cards[0].late_ticks == 0
    anchor = file.start.anchor
    at_ns = (file.start.first_sample + anchor.sample) * NS // RATE
    assert anchor.utc_ns - START_UTC_NS == at_ns * 11 // 10, "an anchor is dated by what its block was late"


def test_lateness_is_against_the_earliest_and_follows_a_drift() -> None:
    lateness, block_ns = Lateness(), 20_000_000
    late = [lateness.of(b * block_ns + (7_000_000 if b == 50 else 0), b * BLOCK, anew=b == 0) for b in range(100)]
    assert late[50] == 7_000_000 and sum(late) == 7_000_000
    slow = [lateness.of(b * block_ns + b * 2000, b * BLOCK, anew=b == 0) for b in range(60_000)]  # 100 ppm slow
    assert max(slow) <= 2 * 3000 * 2000
