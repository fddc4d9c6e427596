"""What is heard on a simulated line, by independent ears: libspandsp and the Fourier transform."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import CallerIdStandard, ConnectTone
from firmware.cards import LineEventKind
from firmware.cards.simulated import modem, signals
from tests.sim.plant import RATE, listen, make_card, tone

# Frequencies and cadences as the national lists give them (GB/T 3380-82; Precise Tone Plan; ITU-T E.180).
TONES: dict[str, dict[str, tuple[list[int], list[float]]]] = {
    "cn": {"dial": ([450], []), "ringback": ([450], [1, 4]), "busy": ([450], [0.35, 0.35])},
    "us": {"dial": ([350, 440], []), "ringback": ([440, 480], [2, 4]), "busy": ([480, 620], [0.5, 0.5])},
    "eu": {"dial": ([425], []), "ringback": ([425], [1, 4]), "busy": ([425], [0.5, 0.5])},
    "uk": {"dial": ([350, 440], []), "ringback": ([400, 450], [0.4, 0.2, 0.4, 2]), "busy": ([400], [0.375, 0.375])},
    "hk": {"dial": ([350, 440], []), "ringback": ([440, 480], [0.4, 0.2, 0.4, 3]), "busy": ([480, 620], [0.5, 0.5])},
}


def peaks_hz(sound: NDArray[Any]) -> list[int]:
    """Everything within 6 dB of the strongest line of a spectrum of 1 Hz."""
    power = np.abs(np.fft.rfft(sound[: RATE * (len(sound) // RATE)].astype(float) * np.hanning(len(sound))))
    power = power[:: len(sound) // RATE]
    near = np.flatnonzero(power > power.max() / 2)
    return [int(f) for f in near if power[f] == power[max(0, f - 3) : f + 4].max()]


@pytest.mark.parametrize("zone", TONES)
@pytest.mark.parametrize("value", ["dial", "ringback", "busy"])
def test_tones_have_the_cadence_and_frequencies_of_their_zone(zone: Any, value: str) -> None:
    frequencies, cadence = TONES[zone][value]
    sound = signals.progress_tone(zone, value, 0.0)
    assert sound.size % 160 == 0
    sounding = np.sqrt(np.square(sound).reshape(-1, 40).mean(axis=1)) > 0.02
    steps = np.flatnonzero(np.diff(np.concatenate([sounding, [~sounding[-1]]]).astype(int))) + 1
    lengths = np.diff(np.concatenate([[0], steps])) * 40 / RATE
    if cadence:
        assert lengths[: len(cadence)] == pytest.approx(cadence, abs=0.01)
    else:
        assert sounding.all()
    on = sound[: round((cadence[0] if cadence else 1) * RATE)]
    assert peaks_hz(np.resize(on[: RATE // 5], RATE)) == pytest.approx(frequencies, abs=6)


@pytest.mark.parametrize("zone", TONES)
def test_dial_tone_digits_and_ringback_are_on_the_line(zone: Any) -> None:
    card = make_card(1, zone=zone)
    plan = card.call(1, audio=tone(1000, 2.0), callee="0123456789*#ABCD", answer_after_s=6.0)
    heard = listen(card, plan.end_sample / RATE)
    assert plan.off_hook_sample is not None
    assert plan.answer_sample is not None
    dial = heard.linear(0, plan.off_hook_sample, plan.digits[0][1])
    assert len(dial) == RATE
    assert peaks_hz(dial) == pytest.approx(TONES[zone]["dial"][0], abs=2)
    digits = heard.linear(0, plan.digits[0][1], plan.answer_sample)
    assert spandsp.dtmf_rx(digits) == "0123456789*#ABCD"
    last = plan.digits[-1][2] + 4 * 160
    ringback = heard.linear(0, last, last + round(TONES[zone]["ringback"][1][0] * RATE))
    assert peaks_hz(np.resize(ringback[: RATE // 5], RATE)) == pytest.approx(TONES[zone]["ringback"][0], abs=6)


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_digits_stand_where_the_plan_says(law: Any) -> None:
    card = make_card(1, law=law)
    plan = card.call(1, audio=tone(1000, 2.0), callee="62345678")
    heard = listen(card, plan.end_sample / RATE)
    for digit, first, end in plan.digits:
        assert spandsp.dtmf_rx(heard.linear(0, first - 160, end + 160, law)) == digit
        assert end - first == 640


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("zone", "standard"),
    [("cn", CallerIdStandard.CLASS), ("us", CallerIdStandard.CLASS), ("uk", CallerIdStandard.CLIP),
     ("eu", CallerIdStandard.CLIP), ("hk", CallerIdStandard.CLASS)],
)  # fmt: skip
def test_the_callers_number_is_read_from_the_line(zone: Any, standard: CallerIdStandard, exact: bool) -> None:
    card = make_card(2, zone=zone)
    plan = card.call(2, audio=tone(1000, 2.0), caller="13800138000", law_exact=exact)
    heard = listen(card, plan.end_sample / RATE)
    assert plan.answer_sample is not None
    assert plan.caller_id_sample is not None
    [message] = spandsp.caller_id_rx(heard.linear(1, max(0, plan.caller_id_sample - 800), plan.answer_sample), standard)
    assert message.fields[2] == b"13800138000"
    before_first_ring = plan.caller_id_sample < plan.rings[0][0]
    assert before_first_ring == (zone == "uk")
    assert before_first_ring or plan.rings[0][1] < plan.caller_id_sample < plan.rings[-1][0]


def test_a_withheld_number_is_not_sent() -> None:
    card = make_card(1)
    plan = card.call(1, audio=tone(1000, 2.0))
    assert plan.caller_id_sample is None
    assert spandsp.caller_id_rx(listen(card, plan.end_sample / RATE).linear(0, 0, plan.end_sample)) == []


def test_the_office_sends_dtmf_caller_id_dials_163_and_faxes() -> None:
    heard = listen(make_card(8, scenario=True), 80)
    rung = heard.of(7, LineEventKind.RING_ON)[0][0]
    number = spandsp.dtmf_rx(heard.linear(7, 0, rung))
    assert number[0] == "A"
    assert number[-1] == "C"
    assert number[1:-1].isdigit()
    assert spandsp.dtmf_rx(heard.linear(0, *heard.off_hook(0)[0]))[0] == "6"
    [fax, *_] = heard.off_hook(2)
    assert ConnectTone.CNG in kinds(heard.linear(2, *fax), ConnectTone.CNG)
    assert fax[1] - fax[0] > 30 * RATE
    [data, *_] = heard.off_hook(3)
    audio = heard.linear(3, *data)
    assert spandsp.dtmf_rx(audio[: 5 * RATE]) == "16300"
    assert kinds(audio, ConnectTone.ANS)


def kinds(audio: NDArray[np.int16], listening_for: ConnectTone) -> set[ConnectTone | None]:
    return {kind for _, kind, _ in spandsp.connect_tone_rx(audio, listening_for)} - {None}


@pytest.mark.parametrize("kind", modem.FAX_KINDS)
def test_a_fax_answers_as_v25_says_and_calls_as_t30_does(kind: modem.FaxKind) -> None:
    caller, answerer = modem.fax(kind)
    silent = np.flatnonzero(np.abs(answerer) > 0.01)[0] / RATE
    assert 1.8 <= silent <= 2.5
    sounding = (np.square(caller[: 5 * RATE]).reshape(-1, 80).mean(axis=1) > 1e-4).astype(int)
    on, off = (np.flatnonzero(np.diff(sounding, prepend=0, append=0) == turn) / 100 for turn in (1, -1))
    assert off - on == pytest.approx(0.5, abs=0.02) and np.diff(on) == pytest.approx(3.5, abs=0.02)
    assert on.size == 2 and on[0] < silent
    (_, first, _) = spandsp.connect_tone_rx(np.rint(answerer[: 6 * RATE] * 5000).astype(np.int16), ConnectTone.ANS)[0]
    assert first is ConnectTone.ANS


@pytest.mark.parametrize("kind", modem.MODEM_KINDS)
def test_modem_calls_sound_from_both_ends(kind: modem.ModemKind) -> None:
    caller, answerer = modem.modem(kind)
    assert caller.shape == answerer.shape
    assert caller.size > 14 * RATE
    for end in (caller[-5 * RATE :], answerer[-5 * RATE :]):
        assert -20 < 10 * np.log10(np.mean(np.square(end))) < -9


def test_v34_data_lies_in_its_band() -> None:
    caller, _ = modem.modem("v34")
    spectrum = np.fft.rfft(caller[-4 * RATE :] * np.hanning(4 * RATE))
    power = np.square(np.abs(spectrum))[1:].reshape(40, -1).mean(axis=1)  # bands of 100 Hz
    inside = power[4:33]
    assert 10 * np.log10(inside.max() / inside.min()) < 6
    assert power[0] < inside.mean() / 10
    assert power[36:].max() < inside.mean() / 1000


def test_both_parties_are_heard_unequally() -> None:
    heard = listen(make_card(8, scenario=True), 40)
    talk = heard.linear(4, 12 * RATE, 40 * RATE).astype(float)
    levels = 10 * np.log10(np.square(talk[: talk.size // 1600 * 1600]).reshape(-1, 1600).mean(axis=1) / 16141**2 + 1e-9)
    assert -25 < np.percentile(levels, 95) < -8
    assert np.percentile(levels, 5) < -45, "nobody ever paused"
