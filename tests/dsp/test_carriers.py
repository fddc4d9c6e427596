"""Carriers by name in whole calls, both directions on one channel, and in what is no carrier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import g711, levels
from dsp.carrier_signs import CLOCKS, SAMPLES, constellation, look, probing
from dsp.carriers import NAMES, recognise
from dsp.detectors import Detectors
from dsp.events import Event
from tests.dsp import signals
from tests.eval import modem_signals
from tests.eval.modem_signals import FAMILY, MAKERS
from tests.eval.modem_waves import Call, points, shaped, tone
from tests.eval.tap import tap

LATEST_S = 1.5


def tapped(call: Call, seed: int, gains_db: Sequence[float] = (0.0, -8.0)) -> NDArray[np.uint8]:
    sides = call.sides(-14)
    return tap(sides, "alaw", gains_db=gains_db, noise_dbm0=-55, echo_db=-18, echo_ms=4.0, seed=seed)


def carriers(law_bytes: NDArray[np.uint8]) -> list[tuple[float, Event]]:
    """Every report on one channel with the second at which it came."""
    d = Detectors(1, "alaw")
    reports = []
    for at in range(0, law_bytes.size, 160):
        reports += [((at + 160) / 8000, e) for e in d.feed(law_bytes[None, at : at + 160]) if e.kind == "carrier"]
    return reports


@pytest.mark.parametrize("gains_db", [(0.0, -15.0), (-6.0, 0.0)], ids=str)
@pytest.mark.parametrize("kind", list(MAKERS))
def test_a_call_names_its_carrier_in_time(kind: str, gains_db: Sequence[float]) -> None:
    call = MAKERS[kind](np.random.default_rng(77))
    reports = carriers(tapped(call, 3, gains_db=gains_db))
    for carrier in call.carriers:
        by_then = {e.id: e for at, e in reports if at <= carrier.onset_s + LATEST_S}
        heard = {e.value for e in by_then.values() if e.end_s is None or e.end_s > carrier.onset_s}
        assert heard & {carrier.name, *carrier.also}, (carrier, reports)
        assert {FAMILY[name] for name in heard} == {FAMILY[carrier.name]}
    assert reports[-1][1].value == call.carriers[-1].name


def test_v22bis_is_one_event_that_is_corrected() -> None:
    """Its first second is V.22's, until S1."""
    call = modem_signals.v22_call(np.random.default_rng(8), bis=True)
    reports = carriers(tapped(call, 1))
    assert len({e.id for _, e in reports}) == 1
    assert [e.value for _, e in reports if e.end_s is None] == ["v22", "v22bis"]


def test_probing_names_v34_before_its_data() -> None:
    call = modem_signals.v34_call(np.random.default_rng(8))
    at, event = carriers(tapped(call, 1))[0]
    assert event.value == "v34" and at < call.carriers[0].onset_s


@pytest.mark.parametrize("name", ["v17", "v29", "v27ter"])
def test_a_fax_call_has_its_fax_carrier_only(name: str) -> None:
    fax = spandsp.fax_call(modems=name)  # type: ignore[arg-type]
    events = signals.heard(signals.mixed(fax.caller, fax.answerer * 0.3))
    assert set(signals.values(events, "carrier")) == {name}


@pytest.mark.parametrize(
    ("name", "bit_rate"),
    [("v17", r) for r in (7200, 9600, 12000, 14400)]
    + [("v29", r) for r in (7200, 9600)]
    + [("v27ter", 2400), ("v27ter", 4800)],
)
def test_one_look_knows_every_fax_rate(name: Any, bit_rate: int) -> None:
    x = spandsp.modem_tx(name, bit_rate, 16000)[-SAMPLES:].astype(np.float32)
    assert NAMES[recognise(x[None])[0][0]] == name


@pytest.mark.parametrize("rolloff", [0.1, 0.2])
@pytest.mark.parametrize("tilt_db", [-3.0, 8.0])
def test_the_clock_of_every_v34_rate_is_heard(rolloff: float, tilt_db: float) -> None:
    rng = np.random.default_rng(9)
    for baud, both in modem_signals.V34_CARRIERS_HZ.items():
        for hz in both:
            x = shaped(points(rng, round(baud), 640), baud, hz, rolloff, tilt_db)[-SAMPLES:]
            signs = look(x[None].astype(np.float32))
            assert signs.coherence[0] > 0.75 and CLOCKS[signs.clock[0]][1] == pytest.approx(baud), (baud, hz)


def test_noise_and_tones_have_no_clock_and_no_name() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.1, (24, SAMPLES))
    t = np.arange(SAMPLES) / 8000
    tones = [np.sin(2 * np.pi * hz * t) for hz in (400, 425, 450, 980, 1100, 1300, 1650, 1800, 2100, 2225, 2250)]
    x = np.concatenate([noise, tones]).astype(np.float32)
    assert look(x).coherence[:24].max() < 0.5
    assert set(recognise(x)[0]) == {-1}


def test_four_phases_are_told_from_sixteen_points() -> None:
    rng = np.random.default_rng(6)
    for size, least, most in ((4, 0.9, 1.15), (16, 1.2, 1.5)):
        x = shaped(points(rng, 600, size), 600, 2400, 0.75)[:SAMPLES].astype(np.float32)
        kurtosis, s1 = constellation(look(x[None]).spectra[0], (2400,))
        assert least < kurtosis[0] < most and s1[0] < 0.6


def test_only_probing_looks_like_probing() -> None:
    t = np.arange(SAMPLES) / 8000
    absent = (900, 1200, 1800, 2400)
    comb = sum(np.cos(2 * np.pi * hz * t + hz) for hz in range(150, 3751, 150) if hz not in absent)
    sung = sum(np.cos(2 * np.pi * hz * t + hz) * 500 / hz for hz in range(150, 3751, 150))
    found = probing(look(np.stack([comb, sung]).astype(np.float32)).power)
    assert found[0] > 0.9 and found[1] < 0.5


def test_speech_and_music_are_no_carrier() -> None:
    talk = signals.recorded(signals.SOUNDS / "it_IT_m_Carlo", 12, 30, 71)
    music = signals.recorded(signals.MUSIC, 4, 30, 72)
    d = Detectors(16, "ulaw", "us", ["carrier"])
    assert d.feed(g711.encode(np.concatenate([talk, music]), "ulaw")) + d.close() == []


def test_steady_noise_and_ringing_are_no_carrier() -> None:
    rng = np.random.default_rng(12)
    t = np.arange(20 * 8000) / 8000
    rows = [rng.normal(0, 10 ** (dbm0 / 20) * 23000, t.size) for dbm0 in (-15, -30, -45)]
    rows.append(9000 * np.sin(2 * np.pi * 25 * t) * (t % 5 < 1) + rng.normal(0, 10, t.size))
    d = Detectors(len(rows), "alaw", "cn", ["carrier"])
    assert d.feed(g711.encode(signals.clip(np.stack(rows)), "alaw")) + d.close() == []


@pytest.mark.parametrize("before", ["", "ans", "ansam", "dial"])
def test_noise_of_the_telephone_band_is_no_carrier(before: str) -> None:
    """It has the shape of V.34 and stands as still; so does the noise under a tone when that ends."""
    rng = np.random.default_rng(13)
    n = 9 * 8000
    lead = np.zeros(n)
    if before:
        seconds = 3.0 if before != "dial" else 9.0
        hz = 450 if before == "dial" else 2100
        sent = tone(seconds, hz, 1, am=0.2 * (before == "ansam"), rng=rng)
        lead[4000 : 4000 + sent.size] = sent[: n - 4000]
    rows = []
    for dbm0 in (-20, -30, -40):
        for low_hz, high_hz in ((300, 3400), (200, 3600), (600, 3000)):
            spectrum = np.fft.rfft(rng.normal(0, 1, n))
            hz_of = np.fft.rfftfreq(n, 1 / 8000)
            noise = np.fft.irfft(spectrum * ((hz_of > low_hz) & (hz_of < high_hz)), n)
            scale = levels.rms_of_0dbm0("alaw") * 10 ** (dbm0 / 20)
            rows.append(scale * (noise / np.sqrt(np.mean(noise**2)) + 10 ** (16 / 20) * lead))
    events = signals.heard(signals.clip(np.stack(rows)))
    assert not [e for e in events if e.kind == "carrier"]
    machines = {e.value for e in events if e.kind == "class"} & {"fax", "modem"}
    assert machines == ({"modem"} if before == "ansam" else set())


def test_a_new_call_does_not_inherit_the_one_before() -> None:
    """V.90 is only told after V.34's probing; without it the same signal is nothing."""
    call = modem_signals.v90_call(np.random.default_rng(4), codec=True)
    law_bytes = tapped(call, 2)
    onset = round(call.carriers[1].onset_s * 8000)
    d = Detectors(1, "alaw")
    d.feed(law_bytes[None, : onset - 4000])
    d.restart(np.array([0]))
    quiet = np.full((1, 16000), g711.IDLE["alaw"], np.uint8)
    after = d.feed(np.concatenate([quiet, law_bytes[None, onset : onset + 12000]], axis=1))
    assert not [e for e in after if e.kind == "carrier" and e.end_s is None]


def test_each_page_of_a_fax_is_a_carrier_of_its_own() -> None:
    """Training check and page, with frames of V.21 between them that stand as still as they do."""
    call = spandsp.fax_call(modems="v29")
    events = signals.heard(signals.mixed(call.caller, call.answerer * 0.4))
    carriers = signals.final(events, "carrier")
    frames = signals.final(events, "v21")
    assert [e.value for e in carriers] == ["v29", "v29"]
    for carrier in carriers:
        assert carrier.end_s is not None
        assert not [f for f in frames if f.start_s < carrier.end_s - 0.05 and (f.end_s or 99) > carrier.start_s + 0.1]
