"""What the line machine and the recordings make of progress tones, digits and classes, with the real detectors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dsp import g711
from dsp.zones import ZONES
from firmware.calls import DIALLED_PAUSE_SAMPLES, Calls, End
from firmware.config import RecordingConfig
from firmware.switch import PROGRESS
from recorder.model import CallClass, Direction, Mark, StopReason, Trigger
from recorder.wav import RecordingFile
from tests.dsp import signals
from tests.firmware.rig import ScriptedCard, digits, run

S = 8000
PLAN = ZONES["cn"]


def tone(value: str, seconds: float) -> np.ndarray:
    return g711.encode(signals.progress(PLAN.tone(value), seconds), "alaw")


def talk(seconds: float, seed: int = 3) -> np.ndarray:
    return g711.encode(
        signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 20, seed)[0][: round(seconds * S)], "alaw"
    )


def marks(file: RecordingFile, kind: str) -> list[Mark]:
    return sorted((m for m in file.marks if m.kind == kind), key=lambda m: m.start_sample)


def states(file: RecordingFile) -> list[str]:
    return [m.value for m in marks(file, "state")]


def dialled_call() -> tuple[ScriptedCard, dict[str, int]]:
    """Lift, dial tone, a number, ring-back twice and a half, an answer; in samples where each begins."""
    card, at = ScriptedCard(50), {"lift": 2 * S}
    card.lift(2 * S, 45 * S)
    card.lay(2 * S + 800, tone("dial", 1.5))
    at["digits"] = 2 * S + 800 + round(1.5 * S)
    end = card.lay(at["digits"], digits("13800138000"))
    at["ringback"] = end + S
    end = card.lay(at["ringback"], tone("ringback", 10.6))
    at["answer"] = end
    card.lay(end, talk(15))
    return card, at


def test_a_call_is_followed_by_what_the_exchange_says(tmp_path: Path) -> None:
    card, at = dialled_call()
    (file,) = run(tmp_path, card).files
    assert file.end is not None
    assert states(file)[:4] == ["seized", "dialling", "ringback", "talking"]
    assert (file.end.direction, file.end.dialled) == (Direction.OUT, "13800138000")
    assert file.end.answered_sample is not None
    assert 0 <= file.end.answered_sample + file.start.first_sample - at["answer"] < 0.6 * S
    first = file.start.first_sample
    dial, ringback = marks(file, "progress")
    assert (dial.value, ringback.value) == ("dial", "ringback")
    assert first + dial.start_sample == pytest.approx(at["lift"] + 800, abs=400)
    assert first + (dial.end_sample or 0) == pytest.approx(at["digits"], abs=400)
    assert first + ringback.start_sample == pytest.approx(at["ringback"], abs=400)
    assert first + (ringback.end_sample or 0) == pytest.approx(at["answer"], abs=400)
    keys = marks(file, "dtmf")
    assert "".join(m.value for m in keys) == "13800138000"
    assert all(
        after.start_sample - before.start_sample == pytest.approx(1280, abs=160) for before, after in pairwise(keys)
    )


def test_the_class_is_marked_where_it_was_decided(tmp_path: Path) -> None:
    card, at = dialled_call()
    (file,) = run(tmp_path, card).files
    voice = [m for m in marks(file, "class") if m.value == "voice"]
    assert len(voice) == 1 and voice[0].start_sample + file.start.first_sample > at["answer"]


def test_talk_between_two_digits_does_not_close_the_number(tmp_path: Path) -> None:
    """Somebody reads the number aloud while dialling it: no answer, however sure the class is that this is a voice."""
    card = ScriptedCard(40)
    card.lift(2 * S, 35 * S)
    end = card.lay(3 * S, digits("138"))
    end = card.lay(end + 1600, talk(2.8))
    end = card.lay(end + 1600, digits("00"))
    end = card.lay(end + 1600, talk(2.8, 4))
    end = card.lay(end + 1600, digits("13"))
    card.lay(end + 8 * S, talk(8, 5))
    (file,) = run(tmp_path, card).files
    assert file.end is not None and file.end.dialled == "1380013"
    answered = file.end.answered_sample
    assert answered is not None and answered + file.start.first_sample > end


def test_a_line_without_a_dial_tone_is_answered_by_speech(tmp_path: Path) -> None:
    """A direct line: nothing is dialled. Speech waits for a dial tone that does not come, and keeps its place."""
    card = ScriptedCard(20)
    card.lift(2 * S, 18 * S)
    card.lay(3 * S, talk(12))
    (file,) = run(tmp_path, card).files
    assert file.end is not None and file.end.answered_sample is not None
    assert abs(file.end.answered_sample + file.start.first_sample - 3 * S) < S
    assert states(file) == ["seized", "talking", "idle"]


def test_a_noisy_dial_tone_is_no_answer(tmp_path: Path) -> None:
    card = ScriptedCard(20)
    card.lift(2 * S, 18 * S)
    card.lay(2 * S + 400, talk(0.3))
    end = card.lay(2 * S + 400 + round(0.3 * S), tone("dial", 1.6))
    end = card.lay(end, digits("13800138000"))
    card.lay(end + 6 * S, talk(3))
    (file,) = run(tmp_path, card).files
    assert states(file)[:3] == ["seized", "dialling", "talking"]
    assert file.end is not None and file.end.dialled == "13800138000"


def test_a_call_without_a_loop_ends_by_its_busy_tone(tmp_path: Path) -> None:
    card = ScriptedCard(45)
    card.volts[:] = np.nan
    end = card.lay(3 * S, talk(8))
    card.lay(end, tone("busy", 22))
    result = run(tmp_path, card, RecordingConfig(trigger="vox", hangover_s=2.0))
    (file,) = result.files
    assert file.end is not None and file.end.stop_reason is StopReason.BUSY_TONE
    assert file.end.stop_detail == {"tone": "busy", "busy_tone_s": 6.0}
    assert 6 * S <= file.start.first_sample + file.samples - end < 6.2 * S
    assert result.engine.snapshots()[0].state == "idle"


@pytest.mark.parametrize("value", ["congestion", "howler"])
def test_other_tones_that_never_end_do_too(tmp_path: Path, value: str) -> None:
    card = ScriptedCard(30)
    card.volts[:] = np.nan
    end = card.lay(3 * S, talk(5))
    card.lay(end, tone(value, 15))
    (file,) = run(tmp_path, card, RecordingConfig(trigger="vox", hangover_s=2.0, busy_tone_s=4)).files
    assert (
        file.end is not None and file.end.stop_reason is StopReason.BUSY_TONE and file.end.stop_detail["tone"] == value
    )


@pytest.mark.parametrize("how", [{"busy_tone_s": 0.0}, {"busy_tone_s": 6.0, "busy_s": 4}])
def test_a_busy_tone_that_is_short_or_not_asked_for_ends_nothing(tmp_path: Path, how: dict[str, float]) -> None:
    card = ScriptedCard(30)
    card.volts[:] = np.nan
    end = card.lay(3 * S, talk(5))
    end = card.lay(end, tone("busy", how.get("busy_s", 12)))
    card.lay(end + S, talk(4, 6))
    (file,) = run(tmp_path, card, RecordingConfig(trigger="vox", hangover_s=3.0, busy_tone_s=how["busy_tone_s"])).files
    assert file.end is not None and file.end.stop_reason is StopReason.SILENCE


def test_where_the_loop_is_seen_the_loop_decides(tmp_path: Path) -> None:
    card = ScriptedCard(40)
    card.lift(2 * S, 35 * S)
    end = card.lay(3 * S, talk(5))
    card.lay(end, tone("busy", 25))
    (file,) = run(tmp_path, card).files
    assert file.end is not None and file.end.stop_reason is StopReason.ON_HOOK
    (busy,) = marks(file, "progress")
    assert busy.value == "busy"


def test_a_line_that_always_records_goes_on_after_a_busy_tone() -> None:
    calls = Calls(RecordingConfig(trigger="always"))
    calls.found(0)
    calls.seized(S, None)
    calls.classed(CallClass.MODEM, 1.0, {}, 5 * S)
    decisions = calls.cleared("busy", 20 * S)
    assert not [d for d in decisions if isinstance(d, End)] and not calls.in_call
    assert calls.recording_trigger is Trigger.ALWAYS


def test_every_tone_of_a_call_that_fails_is_an_input() -> None:
    values = {t.value for plan in ZONES.values() for t in plan.tones}
    assert values - set(PROGRESS) == {"notice", "call_waiting", "reminder"} and set(PROGRESS) <= values
    assert DIALLED_PAUSE_SAMPLES == 4 * S
