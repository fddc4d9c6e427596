"""The class of a call: what is said first, what is corrected, and what must never be said."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone
from dsp import Detectors, g711
from dsp.events import Event
from dsp.zones import ZONES
from tests.dsp import signals

TALK = signals.at_level(signals.recorded(signals.SOUNDS / "it_IT_m_Carlo", 4, 20, 61), -18)
# From tracks that play; one of them begins with a minute of sparse sounds, which are voice to the detector.
MUSIC = signals.at_level(signals.recorded(signals.MUSIC, 1, 180, 62)[0, -80 * 8000 :].reshape(4, -1), -20)


def said(linear: NDArray[np.int16]) -> list[Event]:
    """Every verdict on one channel, in order, without the end."""
    return [e for e in signals.heard(linear) if e.kind == "class" and e.end_s is None]


def values(linear: NDArray[np.int16]) -> list[str]:
    return [e.value for e in said(linear)]


@pytest.mark.parametrize("noise_dbm0", [-65, -45])
def test_talk_is_voice_and_stays_so(noise_dbm0: float) -> None:
    events = signals.heard(np.stack([signals.with_noise(talk, noise_dbm0) for talk in TALK]))
    assert [e.value for e in events if e.kind == "class" and e.end_s is None] == ["voice"] * 4


@pytest.mark.parametrize("noise_dbm0", [-65, -45])
def test_music_ends_as_music(noise_dbm0: float) -> None:
    ends = signals.values(signals.heard(np.stack([signals.with_noise(music, noise_dbm0) for music in MUSIC])), "class")
    assert ends.count("music") >= 3 and set(ends) <= {"music", "voice"}


def test_a_talk_that_was_plain_stays_voice_on_hold() -> None:
    x = np.concatenate([TALK[0], MUSIC[0], MUSIC[1]])
    assert values(x) == ["voice"]


def test_somebody_answers_after_the_music() -> None:
    x = np.concatenate([MUSIC[1], MUSIC[2], TALK[1]])
    assert values(x)[-1] == "voice" and "music" in values(x)


def test_a_few_words_far_apart_are_voice() -> None:
    word = TALK[2][:7000]
    x = signals.with_noise(np.concatenate([np.concatenate([word, signals.silence(4)])] * 5), -60)
    assert values(x)[-1] == "voice"


@pytest.mark.parametrize(("noise_dbm0", "hum"), [(-75, 0.0), (-50, 0.0), (-60, 900.0)])
def test_silence_is_none(noise_dbm0: float, hum: float) -> None:
    x = signals.with_noise(hum * np.sin(2 * np.pi * 50 / 8000 * np.arange(12 * 8000)), noise_dbm0)
    (verdict,) = said(x)
    assert verdict.value == "none" and verdict.start_s == 0 and 4 < verdict.evidence["decided_s"] < 6  # type: ignore[operator]


@pytest.mark.parametrize("name", ["dial", "ringback", "busy", "congestion"])
def test_tones_are_other(name: str) -> None:
    x = signals.with_noise(signals.progress(ZONES["cn"].tone(name), 30), -60)
    assert set(values(x)) <= {"other", "none"} and values(x)[-1] == "other"


def test_digits_are_other() -> None:
    assert values(signals.with_noise(spandsp.dtmf_tx("13800138000", off_ms=200), -60)) == ["other"]


def test_plain_2100_hz_decides_nothing_between_fax_and_modem() -> None:
    x = signals.with_noise(spandsp.connect_tone_tx(ConnectTone.ANS, 24000), -60)
    assert values(np.concatenate([x, signals.silence(2)])) == ["other"]


def test_flags_make_a_super_g3_answer_fax() -> None:
    """ANSam is a modem's; the preamble that follows where V.8 is not taken up makes it fax, under the same id."""
    flags = spandsp.fax_call().answerer[4 * 8000 :]
    x = np.concatenate([spandsp.connect_tone_tx(ConnectTone.ANSAM_PR, 24000), signals.silence(0.1), flags])
    verdicts = [e for e in said(signals.with_noise(x, -60)) if e.value in ("modem", "fax")]
    assert [e.value for e in verdicts] == ["modem", "fax"] and len({e.id for e in verdicts}) == 1


def test_cng_then_answer_of_v8_is_fax_all_the_time() -> None:
    cng = spandsp.connect_tone_tx(ConnectTone.CNG, 8000)
    x = np.concatenate([cng, signals.silence(1), spandsp.connect_tone_tx(ConnectTone.ANSAM_PR, 24000)])
    assert [v for v in values(signals.with_noise(x, -60)) if v != "other"] == ["fax"]


def test_hello_then_fax() -> None:
    call = spandsp.fax_call()
    x = np.concatenate([TALK[3][: 3 * 8000], signals.mixed(call.caller, call.answerer)])
    events = signals.heard(x)
    (cng, *_) = (e for e in events if e.kind == "cng")
    verdicts = [e for e in events if e.kind == "class" and e.end_s is None]
    assert verdicts[-1].value == "fax" and verdicts[-1].evidence["sign"] in ("cng", "v21")
    (fax, *_) = (e for e in verdicts if e.value == "fax")
    assert float(fax.evidence["decided_s"]) < cng.start_s + 0.5  # type: ignore[arg-type]


def test_a_new_call_begins_afresh() -> None:
    """After `restart` the music of the last call is forgotten and the class has another id."""
    d = Detectors(2, "alaw")
    music, talk = g711.encode(MUSIC[0], "alaw"), g711.encode(TALK[0], "alaw")
    first = d.feed(np.stack([music, music]))
    d.restart(np.array([1]))
    second = d.feed(np.stack([talk, talk])) + d.close()
    mine = [e for e in second if e.kind == "class" and e.channel == 1]
    assert mine[-1].value == "voice" and mine[0].start_s == 20.0
    assert not {e.id for e in first if e.kind == "class"} & {e.id for e in mine}


def test_levels_and_noise_do_not_matter_to_a_verdict() -> None:
    for level_dbm0 in (0, -20, -33):
        assert values(signals.with_noise(signals.at_level(TALK[0], level_dbm0), -65))[-1] == "voice"
        assert values(signals.with_noise(signals.at_level(MUSIC[1], level_dbm0), -65))[-1] == "music"
