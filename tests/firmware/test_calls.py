"""What is decided on a line: starts and ends to the sample, each with its reason, and nothing left unexplained."""

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.calls import DIALLED_PAUSE_SAMPLES, Begin, Calls, Decision, End, GoOn, Hold, Unrecorded
from firmware.config import RecordingConfig
from recorder.model import CallClass, Direction, StopReason, Trigger

S = 8000


def dial(calls: Calls, digits: str, at: int) -> int:
    for digit in digits:
        assert calls.digit(digit, at) == []
        at += 800
    return at


def ended(decisions: list[Decision]) -> End:
    (end,) = [d for d in decisions if isinstance(d, End)]
    return end


def test_voltage_begins_at_the_hook_and_ends_where_the_loop_opened() -> None:
    calls = Calls(RecordingConfig())
    assert calls.seized(1600, 8.52) == [Begin(1600, 0, Trigger.VOLTAGE, {"volts": 8.5, "threshold_volts": 18.0}, False)]
    assert calls.broke(80_000) == [Hold(80_000)]
    end = ended(calls.released(80_000, 48.0))
    assert (end.sample, end.reason, end.discard) == (80_000, StopReason.ON_HOOK, None)
    assert end.detail == {"volts": 48.0, "threshold_volts": 18.0, "release_ms": 400}


def test_a_break_that_is_not_the_release_loses_nothing() -> None:
    calls = Calls(RecordingConfig())
    calls.seized(0, 8.0)
    assert calls.broke(8000) == [Hold(8000)] and calls.made() == [GoOn(8000)]
    assert calls.made() == []


def test_an_incoming_call_has_its_caller_its_ringing_and_its_answer() -> None:
    calls = Calls(RecordingConfig())
    calls.rung(1 * S)
    calls.caller_id(2 * S, "13800138000", "张三")
    calls.rung(6 * S)
    calls.seized(9 * S, 8.0)
    dial(calls, "42", 12 * S)
    facts = ended(calls.released(20 * S, 48.0)).facts
    assert (facts.direction, facts.caller, facts.name, facts.number) == (
        Direction.IN, "13800138000", "张三", "13800138000",
    )  # fmt: skip
    assert (facts.ring_samples, facts.answered_sample, facts.dialled) == (8 * S, 9 * S, "")


def test_caller_id_before_the_first_ring_belongs_to_it_and_an_old_one_does_not() -> None:
    for pause, caller in ((2 * S, "5039"), (20 * S, None)):
        calls = Calls(RecordingConfig())
        calls.caller_id(S, "5039", None)
        calls.rung(S + pause)
        assert calls.facts.caller == caller


def test_a_withheld_number_does_not_replace_one_that_is_known() -> None:
    calls = Calls(RecordingConfig())
    calls.rung(S)
    calls.caller_id(2 * S, None, "Private")
    assert (calls.facts.caller, calls.facts.name) == (None, "Private")
    calls.caller_id(3 * S, "5039", "Office")
    calls.caller_id(4 * S, None, None)
    assert (calls.facts.caller, calls.facts.name) == ("5039", "Office")


def test_a_missed_call_leaves_nothing_to_the_next() -> None:
    calls = Calls(RecordingConfig())
    calls.rung(S)
    calls.caller_id(2 * S, "5039", None)
    calls.missed()
    calls.seized(30 * S, 8.0)
    assert calls.facts.direction is Direction.UNKNOWN and calls.facts.caller is None


def test_digits_after_the_answer_of_the_exchange_are_not_part_of_the_number() -> None:
    calls = Calls(RecordingConfig())
    calls.seized(0, 8.0)
    at = dial(calls, "01088", 2 * S)
    calls.dialling_over(at)
    dial(calls, "99", at)
    calls.answered(9 * S, 9 * S)
    facts = ended(calls.released(20 * S, 48.0)).facts
    assert (facts.direction, facts.dialled, facts.answered_sample) == (Direction.OUT, "01088", 9 * S)


def test_the_longest_length_continues_with_the_very_next_sample() -> None:
    calls = Calls(RecordingConfig(longest_s=10))
    calls.seized(100, 8.0)
    assert calls.deadline == 100 + 10 * S
    first, second = calls.due(100 + 10 * S + 60)
    assert isinstance(first, End) and isinstance(second, Begin)
    assert (first.sample, first.reason) == (100 + 10 * S, StopReason.LENGTH)
    assert (second.sample, second.trigger, second.continues) == (100 + 10 * S, Trigger.VOLTAGE, True)


def test_vox_takes_its_pre_roll_but_never_out_of_the_recording_before() -> None:
    calls = Calls(RecordingConfig(trigger="vox", pre_roll_s=2.0, hangover_s=1.0))
    (begin,) = calls.sound(10 * S, -20.0)
    assert begin == Begin(8 * S, 2 * S, Trigger.VOX, {"level_dbm0": -20.0, "threshold_dbm0": -38.0}, False)
    end = ended(calls.silence(14 * S))
    assert (end.sample, end.reason) == (14 * S, StopReason.SILENCE)
    (again,) = calls.sound(15 * S, -20.0)
    assert isinstance(again, Begin) and (again.sample, again.pre_roll_samples) == (14 * S, S)


def test_an_off_hook_interval_that_no_sound_recorded_is_stated() -> None:
    calls = Calls(RecordingConfig(trigger="vox"))
    calls.seized(S, 8.0)
    assert calls.released(9 * S, 48.0) == [Unrecorded(S, 9 * S, "silence")]


def test_the_key_starts_with_pre_roll_and_what_it_leaves_out_is_stated() -> None:
    calls = Calls(RecordingConfig(trigger="key", pre_roll_s=1.0))
    calls.seized(10 * S, 8.0)
    assert calls.key(True, "anna", 15 * S) == [
        Unrecorded(10 * S, 14 * S, "key"), Begin(14 * S, S, Trigger.KEY, {"actor": "anna"}, False),
    ]  # fmt: skip
    assert calls.key(True, "anna", 16 * S) == []
    end = ended(calls.key(False, "bo", 20 * S))
    assert (end.sample, end.reason, end.detail) == (20 * S, StopReason.KEY, {"actor": "bo"})
    assert calls.released(25 * S, 48.0) == [Unrecorded(20 * S, 25 * S, "key")]
    assert calls.key(False, "bo", 26 * S) == []


def test_always_ends_with_the_card_and_begins_when_it_is_back() -> None:
    calls = Calls(RecordingConfig(trigger="always"))
    assert calls.found(160) == [Begin(160, 0, Trigger.ALWAYS, {}, False)]
    assert calls.seized(S, 8.0) == [] and calls.broke(2 * S) == [] and calls.released(2 * S, 48.0) == []
    assert ended(calls.lost(3 * S, "alarm")).reason is StopReason.CARD
    assert calls.found(9 * S) == [Begin(9 * S, 0, Trigger.ALWAYS, {}, False)]
    assert ended(calls.cut(10 * S, 0.0, 10 * S)).reason is StopReason.CUT


def test_a_data_call_is_held_at_the_verdict_and_goes_to_the_trash() -> None:
    calls = Calls(RecordingConfig())
    calls.seized(0, 8.0)
    assert calls.classed(CallClass.MODEM, 0.9, {"carrier": "v34"}, 10 * S) == [Hold(10 * S)]
    assert calls.recording_trigger is None
    assert calls.classed(CallClass.MODEM, 0.99, {}, 12 * S) == []
    assert calls.broke(60 * S) == []
    end, rest = calls.released(60 * S, 48.0)
    assert isinstance(end, End)
    assert (end.sample, end.reason, end.discard) == (10 * S, StopReason.DATA_CALL, StopReason.DATA_CALL)
    assert end.facts.call_class is CallClass.MODEM and end.facts.class_confidence == 0.99
    assert rest == Unrecorded(10 * S, 60 * S, "data_call")


def test_a_corrected_class_goes_on_after_a_gap() -> None:
    for right in (CallClass.VOICE, CallClass.FAX):
        calls = Calls(RecordingConfig(pre_roll_s=2.0))
        calls.seized(0, 8.0)
        calls.classed(CallClass.MODEM, 0.6, {}, 10 * S)
        assert calls.classed(right, 0.9, {}, 30 * S) == [GoOn(28 * S)]
        end = ended(calls.released(60 * S, 48.0))
        assert (end.sample, end.reason, end.discard) == (60 * S, StopReason.ON_HOOK, None)


def test_an_access_number_is_known_once_no_digit_follows() -> None:
    calls = Calls(RecordingConfig())
    calls.seized(0, 8.0)
    last = dial(calls, "16300", 2 * S) - 800
    assert calls.deadline == last + DIALLED_PAUSE_SAMPLES
    assert calls.due(calls.deadline) == [Hold(last + DIALLED_PAUSE_SAMPLES)]
    end = ended(calls.released(30 * S, 48.0))
    assert (end.reason, end.discard) == (StopReason.ACCESS_NUMBER, StopReason.ACCESS_NUMBER)


def test_a_number_that_only_begins_like_an_access_number_is_a_call() -> None:
    calls = Calls(RecordingConfig())
    calls.seized(0, 8.0)
    at = dial(calls, "16312345678", 2 * S)
    assert calls.dialling_over(at) == []


def test_what_the_key_records_is_kept_and_what_always_records_is_paused() -> None:
    keyed = Calls(RecordingConfig(trigger="key"))
    keyed.seized(0, 8.0)
    keyed.key(True, "anna", S)
    assert keyed.classed(CallClass.MODEM, 0.9, {}, 9 * S) == []
    always = Calls(RecordingConfig(trigger="always"))
    always.found(0)
    always.seized(S, 8.0)
    assert always.classed(CallClass.MODEM, 0.9, {}, 9 * S) == [Hold(9 * S)]
    assert always.released(20 * S, 48.0) == [GoOn(20 * S)]
    assert ended(always.stop(30 * S)).discard is None


def test_a_short_recording_goes_to_the_trash_with_a_stated_reason() -> None:
    calls = Calls(RecordingConfig(shortest_s=3))
    calls.seized(S, 8.0)
    end, short = calls.released(3 * S, 48.0)
    assert isinstance(end, End) and end.discard is StopReason.ON_HOOK
    assert short == Unrecorded(S, 3 * S, "short")


ACTS = {
    "rung": lambda calls, now: calls.rung(now),
    "missed": lambda calls, now: calls.missed(),
    "seized": lambda calls, now: calls.seized(now, 8.0),
    "broke": lambda calls, now: calls.broke(now),
    "made": lambda calls, now: calls.made(),
    "released": lambda calls, now: calls.released(now, 48.0),
    "cut": lambda calls, now: calls.cut(now, 0.0, now),
    "lost": lambda calls, now: calls.lost(now, "alarm"),
    "found": lambda calls, now: calls.found(now),
    "sound": lambda calls, now: calls.sound(now, -20.0),
    "silence": lambda calls, now: calls.silence(now),
    "key on": lambda calls, now: calls.key(True, "a", now),
    "key off": lambda calls, now: calls.key(False, "a", now),
    "digit": lambda calls, now: calls.digit("1", now),
    "modem": lambda calls, now: calls.classed(CallClass.MODEM, 1.0, {}, now),
    "voice": lambda calls, now: calls.classed(CallClass.VOICE, 1.0, {}, now),
    "due": lambda calls, now: calls.due(now),
}


@settings(max_examples=300)
@given(
    st.sampled_from(["voltage", "vox", "key", "always"]),
    st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(1, 5 * S)), max_size=60),
)
def test_no_sample_belongs_to_two_recordings_and_every_begin_has_one_end(
    trigger: str, acts: list[tuple[str, int]]
) -> None:
    """Whatever happens in whatever order."""
    calls = Calls(RecordingConfig(trigger=trigger, longest_s=6, pre_roll_s=2))  # type: ignore[arg-type]
    now, last_end = 0, 0
    began: int | None = None
    decisions: list[Decision] = []
    for name, later in acts:
        now += later
        # The line machine lets these through only in a call, and the first only out of one.
        if calls.in_call if name == "seized" else name in ("broke", "made", "released") and not calls.in_call:
            continue
        decisions += ACTS[name](calls, now)
    decisions += calls.stop(now + S)
    for decision in decisions:
        if isinstance(decision, Begin):
            assert began is None and decision.sample >= last_end
            began = decision.sample
        elif isinstance(decision, Unrecorded):
            assert decision.from_sample <= decision.to_sample
        else:
            assert began is not None and decision.sample >= began
            if isinstance(decision, End):
                last_end, began = decision.sample, None
    assert began is None
