"""Scripted lines through every trigger: where recordings start and end, what is in them, and why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dsp.events import Event
from firmware.analysis import Heard, What
from firmware.cards import BLOCK, Block, ChannelStatus, LineEventKind
from firmware.config import RecordingConfig
from recorder.model import Direction, StopReason, Trigger
from tests.bench.path_bench import all_figures
from tests.firmware.rig import CUT, OFF, RATE, START_UTC_NS, Rig, ScriptedCard, digits, noise, run, tones
from tests.material import stretch

S = RATE


def call_card(seconds: float = 20, since: int = 2 * S, until: int = 15 * S, seed: int = 1) -> ScriptedCard:
    """A line that is lifted from `since` to `until`, with sound that never repeats all the time."""
    card = ScriptedCard(seconds)
    card.lay(0, noise(card.samples, seed))
    card.lift(since, until)
    return card


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_voltage_records_the_bytes_of_the_line_from_the_lift_to_the_hang_up(tmp_path: Path, law: str) -> None:
    card = ScriptedCard(20, law=law)  # type: ignore[arg-type]
    card.lay(0, noise(card.samples, 1, law=law))  # type: ignore[arg-type]
    card.lift(2 * S + 50, 15 * S + 70)
    result = run(tmp_path, card)
    (file,) = result.files
    first, end = file.start.first_sample, file.start.first_sample + file.samples
    assert 0 <= 2 * S + 50 - first < BLOCK and 0 <= end - (15 * S + 70) <= BLOCK
    assert result.audio() == card.audio[0, first:end].tobytes()
    assert file.start.trigger is Trigger.VOLTAGE and file.start.law == law and file.start.simulated
    assert file.start.trigger_detail == {"volts": 8.0, "threshold_volts": 18.0}
    assert file.end is not None and file.end.stop_reason is StopReason.ON_HOOK
    assert file.gaps == () and result.unrecorded == []


def test_two_runs_give_the_same_files_to_the_byte(tmp_path: Path) -> None:
    def files(name: str) -> dict[str, bytes]:
        card = ScriptedCard(30, lines=(1, 2, 3))
        for channel in range(3):
            card.lay(0, noise(card.samples, channel, 2000), channel)
            card.lay(5 * S, digits("01088"), channel)
            card.lift((3 + channel) * S, (25 + channel) * S, channel)
        card.status[600:640, 1] = ChannelStatus.LOST
        result = run(tmp_path / name, card, RecordingConfig(longest_s=6))
        return {str(file.path.relative_to(result.data)): file.path.read_bytes() for file in result.files}

    first = files("a")
    assert len(first) == 12
    assert first == files("b")


def test_an_incoming_call_knows_its_ringing_and_an_outgoing_one_its_digits(tmp_path: Path) -> None:
    card = ScriptedCard(60)
    for ring in (1, 6):
        card.tell(ring * S, LineEventKind.RING_ON)
        card.tell((ring + 1) * S, LineEventKind.RING_OFF)
    card.lift(9 * S, 20 * S)
    card.lift(30 * S, 50 * S)
    card.lay(33 * S, digits("62345678"))
    incoming, outgoing = run(tmp_path, card).files
    assert incoming.end is not None and outgoing.end is not None
    assert (incoming.end.direction, incoming.end.ring_samples) == (Direction.IN, 8 * S)
    assert incoming.end.answered_sample == 0
    assert (outgoing.end.direction, outgoing.end.dialled) == (Direction.OUT, "62345678")
    marks = [(m.value, m.start_sample) for m in outgoing.marks if m.kind == "dtmf"]
    assert "".join(value for value, _ in marks) == "62345678"
    assert all(abs(at - (3 * S + i * 1280)) <= 240 for i, (_, at) in enumerate(marks))


def tell(rig: Rig, block: int, event: Event) -> None:
    """Lets the detectors report this, too, in that block."""
    analysis = rig.engine.pumps[0].analysis
    feed = analysis.feed
    last = 0

    def feed_and_tell(block_fed: Block) -> list[Heard]:
        nonlocal last
        heard = [
            h if h.event is None else replace(h, event=replace(h.event, id=2 * h.event.id)) for h in feed(block_fed)
        ]
        last = max([last, *(h.event.id for h in heard if h.event is not None)])
        if block_fed.first_sample == block * BLOCK:
            heard.append(Heard(What.EVENT, event.channel, 0, event=replace(event, id=last + 1)))
        return heard

    analysis.feed = feed_and_tell  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("told_s", [2.5, 3.9])
@pytest.mark.parametrize(("kind", "value"), [("progress", "ringback"), ("progress", "busy"), ("speech", "")])
def test_a_sound_that_began_before_the_last_digit_is_no_answer(
    tmp_path: Path, told_s: float, kind: str, value: str
) -> None:
    """Dial tone taken for something else, reported before the first digit or among them."""
    card = ScriptedCard(20)
    card.lift(1 * S, 15 * S)
    card.lay(3 * S, digits("65035039"))
    rig = Rig(tmp_path, card)
    tell(rig, round(told_s * 50), Event(0, 0, kind, 1.2, None, value))
    (file,) = rig.run().files
    assert file.end is not None and (file.end.direction, file.end.dialled) == (Direction.OUT, "65035039")
    assert any(mark.kind == kind and mark.value == value for mark in file.marks)


def test_ringback_after_the_last_digit_closes_the_number(tmp_path: Path) -> None:
    card = ScriptedCard(20)
    card.lift(1 * S, 15 * S)
    card.lay(3 * S, digits("1234"))
    card.lay(5 * S, digits("99"))
    rig = Rig(tmp_path, card)
    tell(rig, 225, Event(0, 0, "progress", 4.0, None, "ringback"))
    (file,) = rig.run().files
    assert file.end is not None and file.end.dialled == "1234"
    assert "".join(mark.value for mark in file.marks if mark.kind == "dtmf") == "123499"


def test_pulses_are_dialled_digits_in_the_same_recording(tmp_path: Path) -> None:
    card = call_card()
    card.audio[:] = 0xD5
    at = 4 * S
    for pulses in (3, 10):
        for _ in range(pulses):
            card.lift(at, at + 480, volts=48.0)
            at += 800
        at += 6400
    (file,) = run(tmp_path, card).files
    assert file.end is not None and file.end.dialled == "30"
    assert [mark.value for mark in file.marks if mark.kind == "pulse"] == ["3", "0"]
    assert file.samples == 13 * S + BLOCK


def test_a_hook_flash_is_marked_and_loses_nothing(tmp_path: Path) -> None:
    card = call_card()
    card.lift(8 * S, 8 * S + 2000, volts=48.0)
    result = run(tmp_path, card)
    (file,) = result.files
    assert [mark.kind for mark in file.marks if mark.kind == "flash"] == ["flash"]
    assert result.audio() == card.audio[0, 2 * S : 15 * S + BLOCK].tobytes()


def test_a_long_call_is_split_without_losing_or_doubling_a_sample(tmp_path: Path) -> None:
    card = call_card(40, 2 * S, 33 * S)
    result = run(tmp_path, card, RecordingConfig(longest_s=10.0123))
    assert [file.end.stop_reason for file in result.files if file.end] == ["length", "length", "length", "on_hook"]
    for before, after in zip(result.files, result.files[1:], strict=False):
        assert after.start.first_sample == before.start.first_sample + before.samples
        assert after.start.continues == before.start.handle
        assert abs(after.start.utc_ns - before.start.utc_ns - before.samples * 125_000) <= 125_000
    whole = b"".join(result.audio(number) for number in range(4))
    assert whole == card.audio[0, 2 * S : 33 * S + BLOCK].tobytes()


def test_vox_pre_rolls_never_overlap(tmp_path: Path) -> None:
    card = ScriptedCard(40)
    card.volts[:] = np.nan
    for second in (5, 9, 20):
        card.lay(second * S, noise(2 * S, second, 3000))
    result = run(tmp_path, card, RecordingConfig(trigger="vox", pre_roll_s=2.5, hangover_s=1.0))
    spans = [(f.start.first_sample, f.start.first_sample + f.samples, f.start.pre_roll_samples) for f in result.files]
    assert [f.end.stop_reason for f in result.files if f.end] == [StopReason.SILENCE] * 3
    assert spans[0][0] == 5 * S - 20_000 and spans[0][2] == 20_000
    assert spans[1][0] == spans[0][1] and spans[1][2] == 9 * S - spans[0][1]
    assert spans[2][0] == 20 * S - 20_000
    for (_, end, _), second in zip(spans, (5, 9, 20), strict=True):
        assert 0 <= end - (second + 3) * S <= 640
    for number, (first, end, _) in enumerate(spans):
        assert result.audio(number) == card.audio[0, first:end].tobytes()


def test_always_records_every_sample_and_stops_at_a_cut(tmp_path: Path) -> None:
    card = call_card(30)
    card.lift(18 * S, 22 * S, volts=CUT)
    result = run(tmp_path, card, RecordingConfig(trigger="always"))
    first, second = result.files
    assert first.start.first_sample == 0 and first.end is not None and first.end.stop_reason is StopReason.CUT
    assert second.end is not None and second.end.stop_reason is StopReason.SHUTDOWN
    assert second.start.first_sample + second.samples == card.samples
    assert ("raised", "line_cut", "line 1") in result.alarms and ("cleared", "line_cut", "line 1") in result.alarms


def test_a_disabled_line_records_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, call_card(), enabled=False)
    assert result.files == [] and result.engine.snapshots()[0].state == "disabled"


def test_after_an_access_number_recording_does_not_go_on(tmp_path: Path) -> None:
    card = call_card(40, 2 * S, 33 * S)
    card.audio[:] = 0xD5
    dialled = card.lay(4 * S, digits("16300"))
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.end is not None and file.end.discard is StopReason.ACCESS_NUMBER
    end = file.start.first_sample + file.samples
    assert 3.5 * S <= end - dialled <= 5 * S
    assert result.unrecorded == [(1, end, 33 * S + BLOCK, "access_number")]


def test_a_calling_modem_goes_to_the_trash_and_a_corrected_class_goes_on_after_a_gap(tmp_path: Path) -> None:
    def card(talk: bool) -> ScriptedCard:
        card = ScriptedCard(60)
        card.lift(2 * S, 55 * S)
        for second in (4, 7, 10):
            card.lay(second * S, tones(0.6, 1300))
        if talk:
            card.lay(14 * S, stretch(1, 40))
        return card

    trashed = run(tmp_path / "modem", card(talk=False))
    (file,) = trashed.files
    assert file.end is not None and file.end.discard is StopReason.DATA_CALL and file.end.call_class == "modem"
    assert trashed.unrecorded == [(1, file.start.first_sample + file.samples, 55 * S + BLOCK, "data_call")]
    script = card(talk=True)
    kept = run(tmp_path / "talk", script)
    (file,) = kept.files
    (gap,) = file.gaps
    assert file.end is not None and file.end.discard is None and file.end.call_class == "voice"
    assert gap.reason == "data" and file.samples == 53 * S + BLOCK
    resumed = gap.start_sample + gap.samples
    assert kept.audio()[resumed:] == script.audio[0, 2 * S + resumed : 55 * S + BLOCK].tobytes()
    assert kept.audio()[: gap.start_sample] == script.audio[0, 2 * S : 2 * S + gap.start_sample].tobytes()
    assert set(kept.audio()[gap.start_sample : resumed]) == {0xD5}


def test_snapshots_show_the_call_while_it_goes_on(tmp_path: Path) -> None:
    card = call_card()
    card.audio[:] = 0xD5
    card.lay(4 * S, digits("5039"))
    seen = []
    card.before = {600: lambda: seen.extend(rig.engine.snapshots())}
    rig = Rig(tmp_path, card)
    result = rig.run()
    (line,) = seen
    assert (line.state, line.direction, line.number, line.volts) == ("dialling", "out", "5039", OFF)
    assert line.recording == result.files[0].start.handle and line.recorded_s == 10.0 and line.trigger == "voltage"
    assert line.call_start_utc_ns == result.files[0].start.utc_ns and line.simulated
    after = result.engine.snapshots()[0]
    assert (after.state, after.recording, after.number) == ("idle", None, None)


def test_the_lists_learn_of_a_call_in_progress_whom_it_is_with_and_what_it_is(tmp_path: Path) -> None:
    card = ScriptedCard(25)
    card.lift(2 * S, 20 * S)
    card.lay(4 * S, digits("65035039"))
    card.lay(8 * S, stretch(1, 11))
    result = run(tmp_path, card)
    rows = [(e["change"], e["recording"]) for e in result.published if e["event"] == "recording"]
    known = [(row.direction, row.number, row.call_class) for change, row in rows if change == "known"]
    assert [change for change, _ in rows] == ["started", *["known"] * len(known), "sealed"]
    assert 1 <= len(known) <= 3 and {number for _, number, _ in known} == {"65035039"}
    assert known[-1] == ("out", "65035039", "voice")
    assert {row.state for change, row in rows if change == "known"} == {"live"}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_line_that_never_changed_is_what_it_is_since_its_card_was_started(tmp_path: Path, enabled: bool) -> None:
    result = run(tmp_path, ScriptedCard(2), enabled=enabled)
    assert result.engine.snapshots()[0].since_utc_ns - START_UTC_NS in range(20_000_001)


def test_what_is_durable_is_reported_and_never_more_than_was_published(tmp_path: Path) -> None:
    result = run(tmp_path, call_card(30, 2 * S, 25 * S))
    durable = [event for event in result.published if event["event"] == "durable"]
    assert [e["samples"] for e in durable] == sorted(e["samples"] for e in durable)
    assert {e["handle"] for e in durable} == {result.files[0].start.handle}
    assert durable[-1]["samples"] == result.files[0].samples


def test_anchors_tie_each_minute_to_the_clock(tmp_path: Path) -> None:
    (file,) = run(tmp_path, call_card(130, 2 * S, 125 * S)).files
    assert len(file.anchors) == 1 + 2 + 1
    assert {a.utc_ns - a.sample * 125_000 for a in file.anchors} == {file.start.utc_ns}
    assert file.anchors[-1].sample == file.samples


def test_the_benchmark_of_the_path_runs(tmp_path: Path) -> None:
    figures = all_figures(tmp_path, tiny=True)["8 channels"]
    assert figures["alarms"] == [] and figures["written_bytes"] == 8 * 3 * S
    assert figures["channels_per_core"] > 8 and figures["tick_ms"]["p99"] > 0
