"""Tones of machines, carriers, classes, progress tones and caller ID, as a tap hears them."""

import numpy as np
import pytest

from cffi_bindings import spandsp
from cffi_bindings.spandsp import CallerIdStandard, ConnectTone, Fsk
from dsp.carriers import recognise
from dsp.zones import ZONES, Zone
from tests.dsp import signals
from tests.eval import modem_signals

KINDS = {
    ConnectTone.CNG: ("cng", "cng"),
    ConnectTone.ANS: ("answer_tone", "ans"),
    ConnectTone.ANS_PR: ("answer_tone", "ans_pr"),
    ConnectTone.ANSAM: ("answer_tone", "ansam"),
    ConnectTone.ANSAM_PR: ("answer_tone", "ansam_pr"),
    ConnectTone.BELL_ANS: ("answer_tone", "bell_ans"),
    ConnectTone.CALLING_TONE: ("calling_tone", "ct"),
}


@pytest.mark.parametrize("level_dbm0", [-3, -15, -35])
@pytest.mark.parametrize("tone", list(KINDS), ids=lambda t: t.name)
def test_connect_tones(tone: ConnectTone, level_dbm0: float) -> None:
    sent = signals.at_level(spandsp.connect_tone_tx(tone, 24000), level_dbm0)
    x = signals.with_noise(np.concatenate([signals.silence(0.3), sent, signals.silence(0.5)]), level_dbm0 - 20)
    events = signals.heard(x)
    kind, value = KINDS[tone]
    assert set(signals.values(events, kind)) == {value}
    others = {"cng", "answer_tone", "calling_tone", "v21", "carrier", "progress", "dtmf"} - {kind}
    assert not [e for e in events if e.kind in others]


@pytest.mark.parametrize("modems", ["v17", "v29", "v27ter"])
@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_a_fax_call_is_fax_from_its_first_tone(modems: str, law: str) -> None:
    call = spandsp.fax_call(modems=modems)  # type: ignore[arg-type]
    events = signals.heard(signals.mixed(call.caller, call.answerer * 0.4), law)  # type: ignore[arg-type]
    assert signals.values(events, "class") == ["fax"]
    assert set(signals.values(events, "v21")) == {"v21_hdlc"}
    assert set(signals.values(events, "carrier")) == {modems}
    talk_s = sum((e.end_s or 0) - e.start_s for e in signals.final(events, "speech"))
    assert talk_s < 0.1 * call.caller.size / 8000


def test_fax_without_cng_is_fax_at_its_preamble() -> None:
    """An answered call: hello, then the machine's CED and DIS. CED alone decides nothing, the flags do."""
    call = spandsp.fax_call()
    hello = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 5, 3)[0]
    d = np.concatenate([hello, call.answerer])
    events = signals.heard(d)
    verdicts = [e for e in events if e.kind == "class" and e.value == "fax"]
    (flags, *_) = (e for e in events if e.kind == "v21")
    assert verdicts and signals.values(events, "class") == ["fax"]
    assert events.index(verdicts[0]) == events.index(flags) + 1


@pytest.mark.parametrize("guard_hz", [0, 550, 1800])
@pytest.mark.parametrize("far", [1.0, 0.25])
def test_a_v22bis_call_is_modem(guard_hz: int, far: float) -> None:
    caller, answerer = spandsp.v22bis_call(9, guard_hz=guard_hz)  # type: ignore[arg-type]
    events = signals.heard(signals.mixed(caller, answerer * far))
    assert signals.values(events, "class") == ["modem"]
    assert "v22bis" in signals.values(events, "carrier")


def test_a_v8_call_is_modem_at_its_answer_tone() -> None:
    events = signals.heard(signals.mixed(*spandsp.v8_call()))
    assert signals.values(events, "class") == ["modem"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("from_answer_tone", [True, False])
def test_the_messages_of_v8bis_do_not_make_a_data_call_a_fax(seed: int, from_answer_tone: bool) -> None:
    """They are HDLC on V.21, but short; ANSam, or the carrier of who has missed it, says what they were."""
    call, before = modem_signals.v34_call(np.random.default_rng(seed)), modem_signals.v8bis(np.random.default_rng(seed))
    start = 0 if from_answer_tone else round(8000 * (call.carriers[0].onset_s - 1.5))
    answerer = np.concatenate([before, call.answerer[start:]])
    caller = np.concatenate([np.zeros_like(before), call.caller[start:]])
    events = signals.heard(signals.mixed(4000 * caller, 3000 * answerer))
    assert signals.values(events, "v21") and signals.values(events, "class") == ["modem"]


@pytest.mark.parametrize("name", ["v21", "v32"])
def test_an_answer_tone_after_the_messages_of_v8bis_says_what_they_were(name: str) -> None:
    """A fax sends its CED before the first flags. Without that V.32 would be V.17, and V.21 a message of the fax."""
    call, before = modem_signals.MAKERS[name](np.random.default_rng(2)), modem_signals.v8bis(np.random.default_rng(2))
    answerer, caller = np.concatenate([before, call.answerer]), np.concatenate([np.zeros_like(before), call.caller])
    events = signals.heard(signals.mixed(4000 * caller, 3000 * answerer))
    assert signals.values(events, "v21") and signals.values(events, "class") == ["modem"]
    assert signals.values(events, "carrier")[-1] == name


@pytest.mark.parametrize("gain", [1.0, 0.2])
@pytest.mark.parametrize("modems", ["v17", "v29", "v27ter"])
def test_a_fax_without_cng_is_never_anything_else(modems: str, gain: float) -> None:
    call = spandsp.fax_call(modems=modems)  # type: ignore[arg-type]
    caller = call.caller.copy()
    caller[: int(np.flatnonzero(call.answerer)[0]) + 24000] = 0
    events = signals.heard(signals.with_noise(signals.mixed(caller * gain, call.answerer), -50))
    assert {e.value for e in events if e.kind == "class"} <= {"fax", "other"}


@pytest.mark.parametrize(
    ("pair", "name"),
    [((Fsk.V21_CH1, Fsk.V21_CH2), "v21"), ((Fsk.BELL103_CH1, Fsk.BELL103_CH2), "bell103"), ((Fsk.V23_CH1,), "v23")],
)
def test_keyed_carriers(pair: tuple[Fsk, ...], name: str) -> None:
    rng = np.random.default_rng(4)
    sides = [spandsp.fsk_tx(rng.integers(0, 2, 1200 * 4, dtype=np.uint8), spec)[:24000] for spec in pair]
    events = signals.heard(signals.mixed(*sides))
    assert set(signals.values(events, "carrier")) == {name}
    assert signals.values(events, "class") == ["modem"]


def test_noise_is_no_carrier() -> None:
    x = np.random.default_rng(5).normal(0, 0.1, (8, 3200)).astype(np.float32)
    assert recognise(x)[0] == [-1] * 8


@pytest.mark.parametrize(("zone", "value"), [(z, t.value) for z, plan in ZONES.items() for t in plan.tones])
def test_progress_tones(zone: Zone, value: str) -> None:
    tone = ZONES[zone].tone(value)
    x = signals.with_noise(
        np.concatenate([signals.silence(0.5), signals.progress(tone, 11, off_hz=3), signals.silence(1)]), -50
    )
    events = signals.heard(x, "alaw", zone)
    assert signals.values(events, "progress") == [value]
    assert signals.values(events, "class") == ["other"]


def test_the_end_of_a_cadence_is_heard() -> None:
    busy = ZONES["cn"].tone("busy")
    x = np.concatenate([signals.progress(busy, 4.2), signals.silence(4)])
    (event,) = signals.final(signals.heard(x), "progress")
    assert event.end_s == pytest.approx(3.85, abs=0.1)


@pytest.mark.parametrize(
    "how",
    [
        {"standard": CallerIdStandard.CLASS, "multiple": False},
        {"standard": CallerIdStandard.CLASS, "name": "张三"},
        {"standard": CallerIdStandard.CLIP, "name": "JOE", "alert": True},
        {"standard": CallerIdStandard.DTMF},
    ],
    ids=lambda how: how["standard"].name,
)
@pytest.mark.parametrize("level_dbm0", [-5, -20, -35])
def test_caller_id(how: dict[str, object], level_dbm0: float) -> None:
    for seed in range(4):
        number = f"138001{38000 + 7919 * seed:05d}"
        sent = signals.at_level(spandsp.caller_id_tx(number, **how), level_dbm0)  # type: ignore[arg-type]
        x = np.concatenate([signals.silence(0.2 + 0.0013 * seed), sent, signals.silence(0.4)])
        (message,) = signals.final(signals.heard(signals.with_noise(x, level_dbm0 - 15, seed)), "cid")
        assert message.value == number and message.evidence["number"] == number
        if "name" in how:
            assert message.evidence["name"] == how["name"] and message.evidence["time"] == "01010000"


def test_a_damaged_message_is_no_message() -> None:
    x = spandsp.caller_id_tx("13800138000")
    x[-700:-600] = 0
    assert signals.values(signals.heard(np.concatenate([x, signals.silence(0.5)])), "cid") == []


@pytest.mark.parametrize("folder", ["en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June"])
def test_speech_is_voice_and_no_machine(folder: str) -> None:
    x = signals.recorded(signals.SOUNDS / folder, 8, 40, 81)
    events = signals.heard(x)
    assert {e.value for e in events if e.kind == "class"} <= {"voice", "none", "other"}
    assert signals.values(events, "class") == ["voice"] * 8
    assert not [e for e in events if e.kind in ("cng", "answer_tone", "calling_tone", "v21", "carrier", "cid")]


def test_music_is_no_machine() -> None:
    events = signals.heard(signals.recorded(signals.MUSIC, 8, 40, 82))
    assert {e.value for e in events if e.kind == "class"} <= {"voice", "music", "none", "other"}
    assert not [e for e in events if e.kind in ("cng", "answer_tone", "calling_tone", "v21", "carrier", "cid")]


def test_ringing_back_is_not_voice_until_somebody_speaks() -> None:
    ringback = signals.progress(ZONES["cn"].tone("ringback"), 11)
    talk = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 6, 3)[0]
    events = signals.heard(np.concatenate([ringback, talk]))
    classes = [(e.value, e.id) for e in events if e.kind == "class" and e.end_s is None]
    assert [value for value, _ in classes] == ["other", "voice"] and len({id_ for _, id_ in classes}) == 1


@pytest.mark.parametrize("dial_s", [0.4, 0.9, 1.0, 1.1, 2.0])
@pytest.mark.parametrize("pause_s", [0.0, 0.1, 1.5])
def test_a_dial_tone_that_a_digit_ends_is_no_ringback(dial_s: float, pause_s: float) -> None:
    """A second of dial tone, then digits, is a burst and a silence of the right lengths."""
    dial = signals.progress(ZONES["cn"].tone("dial"), dial_s)
    digits = spandsp.dtmf_tx("65", off_ms=1000)
    x = np.concatenate([signals.silence(0.5), dial, signals.silence(pause_s / 10), digits, signals.silence(2)])
    assert set(signals.values(signals.heard(signals.with_noise(x, -55)), "progress")) <= {"dial"}


def test_a_continuous_tone_is_a_dial_tone_from_the_first_word() -> None:
    dial = signals.progress(ZONES["cn"].tone("dial"), 8)
    events = signals.heard(signals.with_noise(np.concatenate([signals.silence(0.3), dial]), -55))
    assert {event.value for event in events if event.kind == "progress"} == {"dial"}


def test_a_click_in_a_dial_tone_does_not_end_it() -> None:
    dial = signals.progress(ZONES["cn"].tone("dial"), 5)
    dial[20000:20080] = 20000
    (event,) = signals.final(signals.heard(dial), "progress")
    assert event.value == "dial" and event.end_s == 5
