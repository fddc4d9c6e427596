"""Lines that wait for their hook while nothing shows it: they are recorded by sound, and a person is told."""

from pathlib import Path
from typing import Any

from firmware.cards import LineEventKind
from firmware.config import RecordingConfig
from recorder.model import StopReason, Trigger
from tests.firmware.rig import RATE as S
from tests.firmware.rig import Result, Rig, ScriptedCard, noise, run

NAN = float("nan")


def silent(seconds: float, **more: Any) -> ScriptedCard:
    """A card that gives no voltage."""
    card = ScriptedCard(seconds, **more)
    card.volts[:] = NAN
    return card


def talk(seconds: float, seed: int = 1) -> Any:
    return noise(round(seconds * S), seed, 3000)


def told(result: Result) -> list[str]:
    return [act for act, code, thing in result.alarms.said if (code, thing) == ("hook_unknown", "card script0")]


def no_fault(result: Result) -> None:
    assert result.engine.health().faults == {}
    assert result.engine.health().failure is None


def test_a_line_whose_hook_nothing_shows_is_recorded_by_sound_and_somebody_is_told(tmp_path: Path) -> None:
    card = silent(40, lines=(1, 2, 3, 4))
    card.volts[:, 1] = 48.0
    for channel in range(4):
        card.lay(10 * S, talk(8, channel), channel)
    result = run(tmp_path, card)
    assert [file.start.line for file in result.files] == [1, 3, 4]
    for number, file in enumerate(result.files):
        assert file.start.trigger is Trigger.VOX and file.start.trigger_detail["hook"] == "unknown"
        assert file.start.first_sample == 8 * S, "with its pre-roll"
        assert file.end is not None and file.end.stop_reason is StopReason.SILENCE
        assert 0 <= file.start.first_sample + file.samples - 22 * S <= 640
        channel = file.start.line - 1
        assert result.audio(number) == card.audio[channel, 8 * S : 8 * S + file.samples].tobytes()
    assert told(result) == ["raised"]
    assert result.alarms.values["hook_unknown", "card script0"] == {"count": 3, "lines": "1, 3-4"}
    assert [line.armed for line in result.engine.snapshots()] == ["vox", "voltage", "vox", "vox"]
    no_fault(result)


def test_nothing_is_lost_of_a_call_that_was_there_before(tmp_path: Path) -> None:
    card = silent(20)
    card.lay(0, talk(9))
    (file,) = run(tmp_path, card).files
    assert file.start.first_sample <= 1000


def test_a_voltage_may_come_late(tmp_path: Path) -> None:
    card = ScriptedCard(20)
    card.lift(5 * S, 15 * S)
    card.volts[: round(1.5 * 50)] = NAN
    card.lay(0, talk(15))
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.start.trigger is Trigger.VOLTAGE and file.start.first_sample == 5 * S
    assert told(result) == []


def test_a_card_that_tells_the_hook_needs_no_voltage(tmp_path: Path) -> None:
    card = silent(40)
    card.tell(0, LineEventKind.ON_HOOK)
    card.lay(4 * S, talk(2))
    card.tell(10 * S, LineEventKind.OFF_HOOK)
    card.lay(10 * S, talk(3))
    card.tell(30 * S, LineEventKind.ON_HOOK)
    result = run(tmp_path, card)
    (file,) = result.files
    assert (file.start.trigger, file.start.first_sample, file.samples) == (Trigger.VOLTAGE, 10 * S, 20 * S)
    assert file.end is not None and file.end.stop_reason is StopReason.ON_HOOK
    assert file.end.stop_detail["volts"] is None and file.start.trigger_detail["volts"] is None
    assert told(result) == []
    no_fault(result)


def test_the_hook_ends_what_sound_began(tmp_path: Path) -> None:
    """The card tells the hook for the first time in the middle of a call; then nobody speaks for a long time."""
    card = silent(50)
    card.lay(10 * S, talk(8))
    card.tell(12 * S, LineEventKind.OFF_HOOK)
    card.tell(40 * S, LineEventKind.ON_HOOK)
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.start.trigger is Trigger.VOX and file.end is not None and file.end.stop_reason is StopReason.ON_HOOK
    assert (file.start.first_sample, file.start.first_sample + file.samples) == (8 * S, 40 * S)
    assert told(result) == ["raised", "cleared"]
    assert result.unrecorded == []
    no_fault(result)


def test_sound_on_a_line_that_turns_out_to_be_on_hook_is_no_call(tmp_path: Path) -> None:
    card = silent(40)
    card.lay(10 * S, talk(20))
    card.volts[15 * 50 :] = 48.0
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.end is not None and file.end.stop_reason is StopReason.ON_HOOK
    assert abs(file.start.first_sample + file.samples - 15 * S) < 0.1 * S
    assert result.engine.snapshots()[0].state == "idle"
    assert told(result) == ["raised", "cleared"]
    no_fault(result)


def test_a_line_that_is_always_switched_by_sound_may_show_its_hook_late(tmp_path: Path) -> None:
    card = silent(40)
    card.lay(5 * S, talk(4))
    card.tell(6 * S, LineEventKind.OFF_HOOK)
    card.tell(20 * S, LineEventKind.ON_HOOK)
    result = run(tmp_path, card, RecordingConfig(trigger="vox"))
    (file,) = result.files
    assert file.end is not None and file.end.stop_reason is StopReason.SILENCE
    assert "hook" not in file.start.trigger_detail
    assert result.engine.snapshots()[0].state == "idle"
    assert told(result) == []
    no_fault(result)


def test_voltages_that_stop_coming_leave_the_line_to_sound(tmp_path: Path) -> None:
    card = ScriptedCard(60)
    card.volts[5 * 50 :] = NAN
    card.lay(30 * S, talk(8))
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.start.trigger is Trigger.VOX and file.start.first_sample == 28 * S
    assert told(result) == ["raised"]


def test_voltages_that_stop_coming_in_a_call_leave_its_end_to_silence(tmp_path: Path) -> None:
    card = ScriptedCard(80)
    card.lift(5 * S, 80 * S)
    card.volts[10 * 50 :] = NAN
    card.lay(5 * S, talk(40))
    card.lay(60 * S, talk(4))
    result = run(tmp_path, card)
    first, second = result.files
    assert first.start.trigger is Trigger.VOLTAGE and first.start.first_sample == 5 * S
    assert first.end is not None and first.end.stop_reason is StopReason.SILENCE
    assert abs(first.start.first_sample + first.samples - 49 * S) <= 640
    assert second.start.trigger is Trigger.VOX and second.start.first_sample == 58 * S
    no_fault(result)


def test_silence_ends_a_call_that_was_silent_when_its_hook_was_lost(tmp_path: Path) -> None:
    card = ScriptedCard(60)
    card.lift(5 * S, 60 * S)
    card.volts[10 * 50 :] = NAN
    result = run(tmp_path, card)
    (file,) = result.files
    assert file.end is not None and file.end.stop_reason is StopReason.SILENCE
    assert abs(file.start.first_sample + file.samples - 26 * S) < S


def test_a_disabled_line_is_nobody_s_concern(tmp_path: Path) -> None:
    card = silent(10)
    card.lay(4 * S, talk(4))
    result = run(tmp_path, card, enabled=False)
    assert result.files == [] and told(result) == []


def test_a_line_that_is_always_recorded_or_by_key_needs_no_hook(tmp_path: Path) -> None:
    for recording, files in ((RecordingConfig(trigger="always"), 1), (RecordingConfig(trigger="key"), 0)):
        card = silent(10)
        card.lay(4 * S, talk(4))
        result = run(tmp_path / recording.trigger, card, recording)
        assert len(result.files) == files and told(result) == []


def test_another_trigger_waits_for_the_end_of_a_call_that_is_not_yet_recorded(tmp_path: Path) -> None:
    """A silent call that sound was to record: its hook, which was seen long ago, would not begin a recording."""
    card = ScriptedCard(30)
    card.lift(2 * S, 20 * S)
    card.lay(10 * S, talk(8))
    rig = Rig(tmp_path, card, RecordingConfig(trigger="vox"))
    switch, other = rig.engine.pumps[0].switch, RecordingConfig(trigger="voltage")
    taken: list[str | None] = []
    for second in (6, 28):
        card.before = {**card.before, second * 50: lambda: taken.append(switch.configure(0, other))}
    result = rig.run()
    assert taken == [None, "voltage"]
    (file,) = result.files
    assert file.start.trigger is Trigger.VOX and file.start.first_sample == 8 * S, "with its pre-roll"
    no_fault(result)
