"""V.21 messages of fax: found at their flags, each with its beginning and its end, and told from other V.21."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import Fsk
from dsp import Detectors, Event, levels
from dsp.g711 import Law
from dsp.v21 import FLAG_SAMPLES, flags
from tests.eval.connect_signals import asynchronous, message
from tests.eval.tap import tap

RATE = 8000


def heard(law_bytes: NDArray[np.uint8], law: Law = "alaw") -> list[tuple[float, Event]]:
    d = Detectors(1, law, "cn", ["v21"])
    out = []
    for at in range(0, law_bytes.size, 160):
        out += [((at + 160) / RATE, e) for e in d.feed(law_bytes[None, at : at + 160])]
    return out + [(law_bytes.size / RATE, e) for e in d.close()]


def at_level(wave: NDArray[np.float64], level_dbm0: float) -> NDArray[np.float64]:
    return wave * levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20)


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("level_dbm0", [0, -20, -35])
@pytest.mark.parametrize("seed", range(3))
def test_messages_75_ms_apart_at_snr_15(law: Law, level_dbm0: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    waves = [at_level(message(rng), level_dbm0) for _ in range(3)]
    gap = np.zeros(600)
    line = np.concatenate([np.zeros(4000), *(part for wave in waves for part in (wave, gap)), np.zeros(4000)])
    events = heard(tap([line], law, noise_dbm0=level_dbm0 - 15, seed=seed), law)
    ended = [e for _, e in events if e.end_s is not None]
    assert [e.value for e in ended] == ["v21_hdlc"] * 3
    at = 4000
    for wave, event in zip(waves, ended, strict=True):
        begin_s, end_s = at / RATE, (at + wave.size) / RATE
        assert abs(event.start_s - begin_s) < 0.03
        assert event.end_s is not None and abs(event.end_s - end_s) < 0.04
        assert min(when for when, e in events if e.id == event.id) - begin_s <= 0.25
        at += wave.size + 600


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_asynchronous_data_and_v8_are_no_flags(both: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = [at_level(asynchronous(rng, spec, 6), -15) for spec in (Fsk.V21_CH2, Fsk.V21_CH1)[: 1 + both]]
    assert heard(tap(sides, "alaw", noise_dbm0=-50)) == []


def test_a_v8_exchange_is_no_fax() -> None:
    assert heard(tap(list(spandsp.v8_call()), "alaw")) == []


def test_an_idle_mark_is_no_flag() -> None:
    n = np.arange(FLAG_SAMPLES)
    mark = np.sin(2 * np.pi * 1650 * n / RATE).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 0.1, (20, FLAG_SAMPLES)).astype(np.float32)
    assert flags(mark + noise).max() < 0.4


def test_flags_that_share_zeros_and_flags_that_do_not() -> None:
    for bits in ([0, 1, 1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1, 1]):
        wave = spandsp.fsk_tx(np.array(bits * 20, np.uint8), Fsk.V21_CH2).astype(np.float32)
        assert flags(wave[None, 400 : 400 + FLAG_SAMPLES])[0] > 0.9
