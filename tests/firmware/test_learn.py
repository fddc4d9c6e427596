"""The wizard's core: what is refused, and what is proposed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp import g711
from dsp.levels import amplitude
from firmware.config import KIND_DEFAULTS, LineKind, RecordingConfig, recording_of
from firmware.config_keys import RECORDING
from firmware.learn import (
    DEAD_VOLTS,
    FAINTEST_TALK_DBM0,
    LEAST_DROP_VOLTS,
    NO_BATTERY_VOLTS,
    WORDS,
    Step,
    check,
    measured,
    propose,
    steps,
)
from firmware.wire import Measurement, Proposal, Spread
from tests.material import stretch

ON, OFF, SILENCE, TALK = Step


def spread(volts: float, width: float = 0.4) -> Spread:
    return Spread(low=volts - width / 2, mean=volts, high=volts + width / 2)


def found(step: Step, volts: float | Spread | None = None, **said: Any) -> Measurement:
    """A quiet line, or in the last step one on which people talk at -20 dBm0."""
    talk = {"level_dbm0": -24.0, "loud_dbm0": -15.0, "peak_dbm0": -3.0, "speech_dbm0": -20.0, "speech_share": 0.8}
    usual: dict[str, Any] = {"seconds": 5.0, "quiet_dbm0": -64.0, "level_dbm0": -62.0, "loud_dbm0": -60.0}
    usual |= {"peak_dbm0": -48.0, "noise_dbm0": -63.0} | (talk if step is TALK else {})
    known = spread(volts) if isinstance(volts, float | int) else volts
    return Measurement(step=step.value, volts=known, **(usual | said))


def line(on: float | None = 48.0, off: float | None = 8.0, **talk: Any) -> dict[Step, Measurement]:
    done = {ON: found(ON, on), OFF: found(OFF, off), SILENCE: found(SILENCE, off), TALK: found(TALK, off, **talk)}
    return {step: done[step] for step in steps(on is not None)}


def values(proposal: Proposal) -> dict[str, float | str]:
    return {each.key: each.value for each in proposal.proposed}


def codes(proposal: Proposal) -> list[str]:
    return [each.code for each in proposal.verdicts]


# Was it what should have been done? -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        ({}, found(ON, 48), None),
        ({}, found(ON, -48), None),
        ({}, found(ON, 24), None),
        ({}, found(ON), None),
        ({}, found(ON, 0.2), "no_battery"),
        ({}, found(ON, Spread(low=8, mean=30, high=48)), "unsteady"),
        ({}, found(ON, Spread(low=-90, mean=10, high=90)), "unsteady"),
        ({}, found(ON, 48, ringing_dbm0=-20.0), "rang"),
        ({ON: 48}, found(OFF, 8), None),
        ({ON: -48}, found(OFF, -8), None),
        ({ON: -48}, found(OFF, 8), None),
        ({ON: 24}, found(OFF, 7), None),
        ({ON: 48}, found(OFF, 48.1), "volts_unchanged"),
        ({ON: 48}, found(OFF, 45.5), "volts_unchanged"),
        ({ON: 8}, found(OFF, 48), "volts_rose"),
        ({ON: 48}, found(OFF, 0.1), "line_dead"),
        ({ON: 48}, found(OFF, Spread(low=8, mean=30, high=48)), "unsteady"),
        ({ON: 48}, found(OFF, Spread(low=8, mean=46, high=48)), "unsteady"),
        ({ON: 48}, found(OFF), "volts_gone"),
        ({ON: 48, OFF: 8}, found(SILENCE, 8), None),
        ({ON: 48, OFF: 8}, found(SILENCE, 47), "laid_down"),
        ({ON: 48, OFF: 8}, found(SILENCE, 0), "line_dead"),
        ({ON: 48, OFF: 8}, found(SILENCE, Spread(low=8, mean=20, high=48)), "unsteady"),
        ({ON: 48, OFF: 8}, found(SILENCE, 8, tones=["dial"], loud_dbm0=-10.0), "tone_there"),
        ({ON: 48, OFF: 8}, found(SILENCE, 8, speech_dbm0=-20.0, speech_share=0.3, loud_dbm0=-15.0), "somebody_spoke"),
        ({ON: 48, OFF: 8}, found(SILENCE, 8, level_dbm0=-35.0, loud_dbm0=-33.0, quiet_dbm0=-37.0), None),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 8), None),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 48), "laid_down"),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 8, speech_dbm0=None, speech_share=0.0), "nobody_spoke"),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 8, speech_dbm0=-55.0), "nobody_spoke"),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 8, speech_share=0.04), "nobody_spoke"),
        ({ON: 48, OFF: 8, SILENCE: 8}, found(TALK, 8, tones=["busy"]), "tone_there"),
        ({ON: None, SILENCE: None}, found(TALK), None),
    ],
)  # fmt: skip
def test_a_measurement_that_contradicts_its_step_is_refused_with_a_remedy(
    before: Mapping[Step, float | None], now: Measurement, code: str | None
) -> None:
    refused = check(now, {step: found(step, volts) for step, volts in before.items()})
    assert (None if refused is None else refused.code) == code
    if refused is not None:
        assert refused.severity == "refused" and refused.text and refused.remedy
        assert "{" not in refused.text + refused.remedy


def test_the_message_names_what_was_measured() -> None:
    refused = check(found(OFF, 45.0), {ON: found(ON, 48.0)})
    assert refused is not None
    assert refused.text == "On-hook and off-hook differ by only 3.0 V (48.0 and 45.0 V)."
    assert "right pair" in refused.remedy


# What is proposed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "kind", "expected", "said"),
    [
        (line(), "direct", {"trigger": "voltage", "off_hook_volts": 22.0, "cut_volts": 3.0, "vox_level_dbm0": -42.0},
         {"all_good"}),
        (line(24, 7), "extension", {"trigger": "voltage", "off_hook_volts": 13.0, "cut_volts": 2.5}, {"all_good"}),
        (line(-48, -8), "direct", {"trigger": "voltage", "off_hook_volts": 22.0, "cut_volts": 3.0}, {"all_good"}),
        (line(18, 9), "extension", {"trigger": "voltage", "off_hook_volts": 12.0}, {"all_good"}),
        (line(14, 6), "extension", {"trigger": "voltage"}, {"little_battery"}),
        (line(48, 43), "direct", {"trigger": "vox", "off_hook_volts": 45.0}, {"small_drop"}),
        (line(48, 3), "direct", {"trigger": "voltage", "cut_volts": 1.0}, set()),
        (line(48, 1.2), "direct", {"trigger": "voltage", "cut_volts": 0.0}, {"cut_untold"}),
        (line(120, 80), "direct", {"trigger": "vox"}, {"volts_out_of_range"}),
        (line(None), "direct", {"trigger": "vox", "vox_level_dbm0": -42.0}, {"all_good"}),
        (line(None), "handset", {"trigger": "vox", "vox_level_dbm0": -42.0}, {"all_good"}),
        (line(speech_dbm0=-36.0, loud_dbm0=-30.0), "direct", {"vox_level_dbm0": -50.0}, {"talk_quiet"}),
        (line(speech_dbm0=-6.0, loud_dbm0=-2.0), "direct", {}, {"talk_loud"}),
        (line(clipped=0.01), "direct", {}, {"clipped"}),
        (line() | {SILENCE: found(SILENCE, 8, level_dbm0=-36.0, loud_dbm0=-35.0, hum_dbm0=-36.0, hum_hz=50)}, "direct",
         {"vox_level_dbm0": -28.0}, {"hum", "noisy", "noise_near_talk"}),
        (line() | {SILENCE: found(SILENCE, 8, level_dbm0=-24.0, loud_dbm0=-23.0)}, "direct", {},
         {"noisy", "vox_impossible"}),
    ],
)  # fmt: skip
def test_thresholds_with_their_reasons(
    done: dict[Step, Measurement], kind: LineKind, expected: dict[str, float | str], said: set[str]
) -> None:
    now = recording_of(kind, RecordingConfig())
    proposal = propose(done, now, kind)
    assert expected.items() <= values(proposal).items()
    assert said <= set(codes(proposal))
    for each in proposal.proposed:
        assert each.now == getattr(now, each.key)
        assert each.why.text and "{" not in each.why.text
    if "vox_impossible" in said:
        assert "vox_level_dbm0" not in values(proposal)
    if "all_good" in said:
        assert not any(each.severity == "warning" for each in proposal.verdicts)


@pytest.mark.parametrize(("talk", "gain"), [(-20.0, None), (-34.0, 14), (-6.0, -14)])
def test_the_gain_that_brings_talk_to_its_usual_level(talk: float, gain: int | None) -> None:
    assert propose(line(speech_dbm0=talk, loud_dbm0=talk + 5), RecordingConfig()).gain_db == gain


@pytest.mark.parametrize("trigger", ["key", "always"])
def test_what_somebody_chose_stays(trigger: str) -> None:
    proposal = propose(line(), RecordingConfig(trigger=trigger))  # type: ignore[arg-type]
    assert "trigger" not in values(proposal)
    assert "kept" in codes(proposal)
    assert values(proposal)["off_hook_volts"] == 22.0


def test_a_port_that_tells_the_hook_itself_keeps_its_trigger() -> None:
    assert "trigger" not in values(propose(line(None), RecordingConfig(), "direct", "station"))
    assert values(propose(line(None), RecordingConfig(), "direct", "tap"))["trigger"] == "vox"


def test_a_line_without_volts_has_no_step_of_lifting() -> None:
    assert steps(volts=True) == (ON, OFF, SILENCE, TALK)
    assert steps(volts=False) == (ON, SILENCE, TALK)


def levels(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(10 * low), round(10 * high)).map(lambda tenths: tenths / 10)


@st.composite
def loops(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Volts that are not refused, up to the limits: on-hook, off-hook and in the call; how far each moves."""
    width = draw(st.floats(0, 3))
    on = draw(st.floats(max(NO_BATTERY_VOLTS, width + 4.2), 130))
    off = draw(st.floats(DEAD_VOLTS, on - width - LEAST_DROP_VOLTS - 0.1))
    call = draw(st.floats(DEAD_VOLTS, (on + off - width) / 2 - 0.1))
    way = draw(st.sampled_from((1, -1)))
    return way * on, way * off, way * call, width


@st.composite
def sounds(draw: st.DrawFn) -> tuple[float, float]:
    """Noise in the call and talk that stands out of it, in dBm0."""
    talk = draw(levels(FAINTEST_TALK_DBM0, 3))
    return max(-90.0, round(talk - draw(levels(3.1, 93)), 1)), talk


@settings(max_examples=150)
@given(
    loop=loops(), sound=sounds(), rest=levels(-90, -50) | levels(-90, 3), kind=st.sampled_from(sorted(KIND_DEFAULTS))
)
def test_what_is_proposed_stands_between_what_was_measured_and_may_stand_in_the_file(
    loop: tuple[float, float, float, float], sound: tuple[float, float], rest: float, kind: LineKind
) -> None:
    (on, off, call, width), (noise, talk) = loop, sound
    measurements = {
        ON: found(ON, spread(on, width), loud_dbm0=rest),
        OFF: found(OFF, spread(off, width)),
        SILENCE: found(SILENCE, spread(call, width), quiet_dbm0=noise - 1, level_dbm0=noise, loud_dbm0=noise),
        TALK: found(TALK, spread(call, width), speech_dbm0=talk, loud_dbm0=talk + 5),
    }
    done: dict[Step, Measurement] = {}
    for step, measurement in measurements.items():
        assert check(measurement, done) is None
        done[step] = measurement
    proposal = propose(done, recording_of(kind, RecordingConfig()), kind)
    proposed = values(proposal)
    for key, value in proposed.items():
        assert RECORDING[key].read(value) == value
    if "off_hook_volts" in proposed:
        threshold, cut = float(proposed["off_hook_volts"]), float(proposed["cut_volts"])
        lifted = max(abs(off), abs(call)) + width / 2
        assert lifted < threshold < abs(on) - width / 2
        assert 0 <= cut < min(abs(off), abs(call)) and cut < threshold
    if "vox_level_dbm0" in proposed:
        assert max(noise, rest) < float(proposed["vox_level_dbm0"]) < talk
    if kind == "handset":
        assert proposed["trigger"] == "vox"
    assert set(codes(proposal)) <= set(WORDS)


# Measuring ------------------------------------------------------------------------------------------------------------


def hum(seconds: float, level_dbm0: float, hz: float) -> "np.ndarray[Any, np.dtype[np.int16]]":
    at = np.arange(round(seconds * 8000)) / 8000
    return np.round(amplitude(level_dbm0) * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def test_speech_is_measured_as_talk_and_a_silent_line_as_silence() -> None:
    talk = measured(TALK, stretch(3, 5.0), "alaw", "cn", [8.0, 8.2, 7.8])
    assert talk.volts == Spread(low=7.8, mean=8.0, high=8.2)
    assert talk.seconds == 5.0
    assert talk.speech_share > 0.5 and talk.speech_dbm0 is not None and -30 < talk.speech_dbm0 < 0
    assert talk.quiet_dbm0 < talk.level_dbm0 < talk.loud_dbm0 < talk.peak_dbm0
    noise = np.random.default_rng(1).normal(0, amplitude(-60) / np.sqrt(2), 40_000)
    silence = measured(SILENCE, g711.encode(noise.astype(np.int16), "alaw"), "alaw", "cn", [])
    assert silence.volts is None
    assert silence.level_dbm0 == pytest.approx(-60, abs=3)
    assert check(silence, {ON: found(ON)}) is None
    assert check(talk, {ON: found(ON), SILENCE: silence}) is None
    refused = check(measured(TALK, g711.encode(noise.astype(np.int16), "alaw"), "alaw", "cn", []), {SILENCE: silence})
    assert refused is not None and refused.code == "nobody_spoke"


def test_hum_and_the_dial_tone_are_told() -> None:
    humming = measured(SILENCE, g711.encode(hum(4, -40, 50), "alaw"), "alaw", "cn", [])
    assert humming.hum_hz == 50
    assert humming.hum_dbm0 == pytest.approx(-40, abs=1)
    dial = measured(SILENCE, g711.encode(hum(4, -12, 450), "alaw"), "alaw", "cn", [])
    assert "dial" in dial.tones
    refused = check(dial, {ON: found(ON)})
    assert refused is not None and refused.code == "tone_there"
