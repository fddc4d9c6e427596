"""libspandsp hears what libspandsp says; what it refuses is named."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from cffi_bindings import spandsp
from cffi_bindings.spandsp import CallerIdStandard, ConnectTone, Fsk

DIGITS = "0123456789ABCD*#"


def test_dtmf_comes_back_whatever_the_framing() -> None:
    audio = spandsp.dtmf_tx(DIGITS * 5)
    assert spandsp.dtmf_rx(audio) == DIGITS * 5
    receiver = spandsp.DtmfReceiver()
    assert "".join(receiver.feed(audio[at : at + 77]) for at in range(0, len(audio), 77)) == DIGITS * 5


def test_a_digit_that_does_not_exist_sends_nothing() -> None:
    assert spandsp.dtmf_rx(spandsp.dtmf_tx("X")) == ""


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_g711_keeps_every_code(law: Literal["alaw", "ulaw"]) -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(2, 128)
    linear = spandsp.g711_decode(codes, law)
    back = spandsp.g711_encode(linear, law)
    # µ-law has two codes for zero.
    assert np.array_equal(spandsp.g711_decode(back, law), linear)
    assert np.count_nonzero(back != codes) == (law == "ulaw")


@pytest.mark.parametrize("tone", [t for t in ConnectTone if t not in (6, 7)])
def test_connect_tones_are_heard(tone: ConnectTone) -> None:
    reports = spandsp.connect_tone_rx(spandsp.connect_tone_tx(tone, 24000), tone)
    assert next(kind for _, kind, _ in reports) == tone


@pytest.mark.parametrize("multiple", [True, False])
def test_bellcore_caller_id_comes_back(multiple: bool) -> None:
    [message] = spandsp.caller_id_rx(spandsp.caller_id_tx("13800138000", multiple=multiple, time="11221305"))
    if multiple:
        assert (message.type, message.fields) == (0x80, {1: b"11221305", 2: b"13800138000"})
    else:
        assert (message.type, message.fields) == (0x04, {0: b"1122130513800138000"})


def test_caller_name_is_sent() -> None:
    [message] = spandsp.caller_id_rx(spandsp.caller_id_tx("5039", name="张三"))
    assert message.fields[7].decode("gb2312") == "张三"


def test_etsi_and_dtmf_caller_id_come_back() -> None:
    etsi = spandsp.caller_id_tx("02079460000", standard=CallerIdStandard.CLIP, alert=True)
    [message] = spandsp.caller_id_rx(etsi, CallerIdStandard.CLIP)
    assert message.fields[2] == b"02079460000"
    digits = spandsp.caller_id_tx("13800138000", standard=CallerIdStandard.DTMF)
    assert spandsp.dtmf_rx(digits) == "A13800138000C"
    [message] = spandsp.caller_id_rx(digits, CallerIdStandard.DTMF)
    assert message.fields == {ord("A"): b"13800138000"}


def test_a_spoilt_caller_id_is_not_reported() -> None:
    audio = spandsp.caller_id_tx("13800138000")
    audio[3000:3100] = 0
    assert spandsp.caller_id_rx(audio) == []


@pytest.mark.parametrize("modems", ["v27ter", "v29", "v17"])
@pytest.mark.parametrize("ecm", [True, False])
def test_a_fax_page_arrives(tmp_path: Path, modems: Literal["v27ter", "v29", "v17"], ecm: bool) -> None:
    call = spandsp.fax_call(None, tmp_path / "in.tif", modems=modems, ecm=ecm)
    assert (call.pages, call.ecm) == (1, ecm)
    assert call.bit_rate == {"v27ter": 4800, "v29": 9600, "v17": 14400}[modems]
    assert spandsp.connect_tone_rx(call.caller, ConnectTone.CNG)[0][1] is ConnectTone.CNG
    assert (tmp_path / "in.tif").stat().st_size > 1000


def test_a_fax_of_nothing_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(spandsp.SpandspError, match=r"missing\.tif failed at the caller.*Remedy"):
        spandsp.fax_call(tmp_path / "missing.tif", tmp_path / "in.tif")


def test_v22bis_modems_connect_and_depend_on_the_seed_alone() -> None:
    first, again, other = (spandsp.v22bis_call(10.0, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (2, 80000)


def test_v8_ends_in_agreement() -> None:
    audio = spandsp.v8_call()
    assert 2 * 8000 < audio.shape[1] < 20 * 8000
    assert ConnectTone.ANSAM_PR in [kind for _, kind, _ in spandsp.connect_tone_rx(audio[1], ConnectTone.ANSAM_PR)]


@pytest.mark.parametrize(("kind", "bit_rate"), [("v17", 14400), ("v27ter", 4800), ("v29", 9600)])
def test_fax_modems_send(kind: Literal["v17", "v27ter", "v29"], bit_rate: int) -> None:
    audio = spandsp.modem_tx(kind, bit_rate, 16000, level_dbm0=-14.0)
    level = 20 * np.log10(np.std(audio[8000:].astype(float)) / 16141)
    assert abs(level - -14.0) < 1.5


def test_a_bit_rate_that_does_not_exist_is_refused() -> None:
    with pytest.raises(spandsp.SpandspError, match="v29 at 1234 bit/s failed"):
        spandsp.modem_tx("v29", 1234, 8000)


def test_fsk_has_the_frequencies_of_its_channel() -> None:
    marks = spandsp.fsk_tx(np.ones(300, np.uint8), Fsk.V21_CH2)
    spectrum = np.abs(np.fft.rfft(marks[:8000].astype(float)))
    assert abs(int(spectrum.argmax()) - 1650) <= 1
    assert 8000 <= len(marks) <= 8100


def test_tones_have_their_cadence() -> None:
    audio = spandsp.tone_tx([(450, -10)], (350, 350), 16000)
    assert np.all(audio[2800:5600] == 0)
    level = 20 * np.log10(np.std(audio[:2800].astype(float)) / 16141)
    assert abs(level - -10) < 0.5
