"""Speech activity: what is kept of speech and quiet, what is no speech, and what a meter shows."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import Detectors, g711, levels
from dsp.events import Event
from dsp.g711 import Law
from dsp.zones import ZONES, Zone
from tests.dsp import signals
from tests.eval.tap import tap

TALK = signals.at_level(signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 3, 7)[0], -20)


def talk_s(events: list[Event]) -> float:
    return sum((e.end_s or 0) - e.start_s for e in signals.final(events, "speech"))


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize(("level_dbm0", "noise_dbm0"), [(0, -40), (-15, -65), (-25, -50), (-35, -65)])
def test_a_word_in_quiet_is_kept_to_the_step(law: Law, level_dbm0: float, noise_dbm0: float) -> None:
    word = signals.at_level(TALK[:12000], level_dbm0)
    loud = np.flatnonzero(np.abs(word) > np.abs(word).max() / 30)
    begin, end = loud[0] + 16000, loud[-1] + 16000
    side = np.concatenate([signals.silence(2), word, signals.silence(2)])
    law_bytes = tap([side], law, noise_dbm0=noise_dbm0, hum_dbm0=-45, seed=4)
    d = Detectors(1, law)
    speech = signals.final(d.feed(law_bytes[None]) + d.close(), "speech")
    assert speech and speech[0].start_sample <= begin + 480
    assert speech[0].start_sample >= 16000 - 640 and (speech[-1].end_sample or 0) <= end + 2400
    assert sum((e.end_sample or 0) - e.start_sample for e in speech) > 0.8 * (end - begin)


@pytest.mark.parametrize("noise_dbm0", [-65, -50, -40])
def test_noise_and_hum_are_no_speech(noise_dbm0: float) -> None:
    law_bytes = tap([signals.silence(20)], "alaw", noise_dbm0=noise_dbm0, hum_dbm0=-35, hum_hz=60, seed=5)
    events = Detectors(1, "alaw").feed(law_bytes[None])
    assert signals.final(events, "speech") == []


def test_noise_that_is_switched_on_is_quiet_after_half_a_second() -> None:
    side = np.concatenate([signals.silence(3), signals.with_noise(np.zeros(64000), -45)])
    speech = signals.final(signals.heard(side), "speech")
    assert sum((e.end_s or 0) - e.start_s for e in speech) <= 0.66


def said(side: NDArray[Any], zone: Zone = "cn") -> list[Event]:
    """The reports of speech."""
    return [e for e in signals.heard(side, zone=zone) if e.kind == "speech"]


@pytest.mark.parametrize("zone", sorted(ZONES))
def test_progress_tones_are_not_even_for_a_moment_speech(zone: Zone) -> None:
    for tone in ZONES[zone].tones:
        for level_dbm0 in (-5, -33):
            side = signals.at_level(np.concatenate([signals.silence(2), signals.progress(tone, 6)]), level_dbm0)
            assert said(signals.with_noise(side, -55), zone) == [], tone


def test_bursts_of_any_tone_and_of_noise_are_no_speech() -> None:
    n = np.arange(8 * 8000)
    keyed = signals.keyed([0.3, 0.3], n.size) * (n > 16000)
    noise = np.random.default_rng(3).normal(size=n.size)
    for sound in (np.sin(n * 0.2), np.sin(n * 0.61) + np.sin(n * 0.7), np.sin(n), noise):
        assert said(signals.with_noise(signals.at_level(sound * keyed, -20), -60)) == []


def test_a_voice_in_the_pause_of_ringing_is_kept_from_its_beginning() -> None:
    ringing = signals.progress(ZONES["cn"].tone("ringback"), 12).astype(float)
    at = round(6.8 * 8000)
    ringing[at : at + TALK.size] += TALK
    speech = signals.final(signals.heard(signals.with_noise(ringing, -60)), "speech")
    assert speech and abs(speech[0].start_s - 6.8) < 0.25


def test_digits_are_no_speech() -> None:
    events = signals.heard(signals.with_noise(spandsp.dtmf_tx("1234567890*#ABCD" * 4), -55))
    assert talk_s(events) < 0.1


def test_a_fax_and_a_data_call_are_no_speech() -> None:
    fax = spandsp.fax_call()
    for caller, answerer in ((fax.caller, fax.answerer), spandsp.v22bis_call(12)):
        x = signals.with_noise(signals.mixed(caller, answerer), -55)
        assert talk_s(signals.heard(x)) < 0.03 * x.size / 8000


def test_talk_after_a_fax_is_speech() -> None:
    fax = spandsp.fax_call()
    x = np.concatenate([signals.mixed(fax.caller, fax.answerer), signals.silence(1), TALK])
    after = [e for e in signals.final(signals.heard(x), "speech") if e.start_s > fax.caller.size / 8000]
    assert sum((e.end_s or 0) - e.start_s for e in after) > 1


def test_the_meter() -> None:
    """Level, activity, noise floor and clipping of four lines at once."""
    n = np.arange(24000)
    sides: list[NDArray[Any]] = [
        TALK[:24000],
        np.zeros(n.size),
        levels.amplitude(8) * np.sin(n),
        levels.amplitude(-10) * np.sin(n),
    ]
    d = Detectors(4, "alaw")
    assert not d.feed(np.full((4, 1600), g711.IDLE["alaw"], np.uint8))
    d.feed(np.stack([tap([side], "alaw", noise_dbm0=-52, seed=i) for i, side in enumerate(sides)]))
    assert d.clipped.tolist() == [False, False, True, False]
    assert d.level_dbm0[3] == pytest.approx(-10, abs=0.3) and d.level_dbm0[1] == pytest.approx(-52, abs=2)
    assert d.noise_floor_dbm0[:2] == pytest.approx(-52, abs=2.5)
    assert d.active.tolist()[1:] == [False, True, True]
