"""Measurements of mixtures whose parts are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp import g711, levels
from dsp.g711 import Law
from dsp.measure import measure
from tests.dsp import signals
from tests.eval.tap import tap

TALK = signals.recorded(signals.SOUNDS / "it_IT_m_Carlo", 1, 25, 5)[0]


def sine(hz: float, level_dbm0: float, seconds: float = 6, law: Law = "alaw") -> NDArray[np.float64]:
    angle = np.float64(2) * np.pi * hz / 8000 * np.arange(round(seconds * 8000))
    return levels.amplitude(level_dbm0, law) * np.sin(angle)


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("level_dbm0", [0, -10, -35])
def test_a_sine_measures_what_it_is(law: Law, level_dbm0: float) -> None:
    m = measure(tap([sine(1000.7, level_dbm0, law=law)], law)[None], law)
    assert m.level_dbm0[0] == pytest.approx(level_dbm0, abs=0.1)
    assert m.peak_dbm0[0] == pytest.approx(level_dbm0, abs=0.3)
    assert m.clipped[0] == 0 and m.hum_hz[0] == 0


def test_clipping_is_a_share_and_a_run() -> None:
    m = measure(np.stack([tap([sine(200, level)], "alaw") for level in (0, 3.0, 9.0)]), "alaw")
    assert m.clipped[0] == 0 and m.longest_clip_samples[0] == 0
    assert 0 < m.clipped[1] < m.clipped[2] and 0.6 < m.clipped[2] < 0.75
    assert m.longest_clip_samples[2] == pytest.approx(40 * 0.33, abs=1)
    assert m.peak_dbm0[2] == pytest.approx(3.0, abs=0.2)


def test_noise_floor_is_found_between_the_words() -> None:
    noises = (-60, -50, -40)
    m = measure(np.stack([tap([TALK], "ulaw", noise_dbm0=n, seed=2) for n in noises]), "ulaw")
    assert m.noise_floor_dbm0 == pytest.approx(noises, abs=1)


@pytest.mark.parametrize("hum_hz", [50, 60])
@pytest.mark.parametrize("hum_dbm0", [-55, -45, -30])
def test_hum_under_talk_is_measured_and_named(hum_hz: int, hum_dbm0: float) -> None:
    """With its third harmonic 10 dB below, the whole is 0.4 dB louder than the base."""
    m = measure(tap([TALK], "alaw", hum_dbm0=hum_dbm0, hum_hz=hum_hz, noise_dbm0=-60)[None], "alaw")
    assert m.hum_hz[0] == hum_hz
    assert m.hum_dbm0[0] == pytest.approx(hum_dbm0 + 0.4, abs=1)


def test_talk_and_noise_are_no_hum_and_no_ringing() -> None:
    noise = signals.with_noise(np.zeros(80000), -45)
    m = measure(np.stack([g711.encode(x, "alaw") for x in (TALK[:80000], noise)]), "alaw")
    assert m.hum_hz.tolist() == [0, 0] and m.hum_dbm0.tolist() == [-90, -90]
    assert m.ringing_dbm0.tolist() == [-90, -90] and np.isnan(m.ringing_hz).all()


@pytest.mark.parametrize("ringing_hz", [20, 25])
def test_ringing_that_comes_and_goes(ringing_hz: int) -> None:
    x = sine(ringing_hz, -12, 10) * signals.keyed((1.5, 3.5), 80000)
    m = measure(tap([x], "alaw", noise_dbm0=-60)[None], "alaw")
    assert m.ringing_dbm0[0] == pytest.approx(-12, abs=0.5)
    assert m.ringing_hz[0] == pytest.approx(ringing_hz, abs=1.1)
    assert m.hum_hz[0] == 0


def test_offset_has_a_sign() -> None:
    m = measure(np.stack([tap([np.full(8000, v)], "alaw", noise_dbm0=-45) for v in (500.0, -500.0)]), "alaw")
    assert m.offset_percent == pytest.approx([100 * 500 / 32768, -100 * 500 / 32768], abs=0.05)
    assert m.level_dbm0 == pytest.approx([-45, -45], abs=0.3)


def test_active_speech_does_not_depend_on_the_pauses() -> None:
    """P.56: with as much silence again the level falls by 3 dB, the active level stays, the activity halves."""
    talk = signals.at_level(TALK, -20)
    m = measure(g711.encode(np.stack([np.pad(talk, (0, n)) for n in (talk.size, talk.size)]), "alaw"), "alaw")
    alone = measure(g711.encode(talk[None], "alaw"), "alaw")
    assert alone.level_dbm0[0] - m.level_dbm0[0] == pytest.approx(3, abs=0.1)
    assert m.speech_dbm0[0] == pytest.approx(alone.speech_dbm0[0], abs=0.3)
    assert m.speech_share[0] == pytest.approx(alone.speech_share[0] / 2, abs=0.02)


def test_active_speech_of_a_keyed_tone_is_the_tone() -> None:
    x = sine(1000, -20, 20) * signals.keyed((2.0, 2.0), 160000)
    m = measure(tap([x], "alaw")[None], "alaw")
    assert m.speech_share[0] == pytest.approx(0.55, abs=0.02)
    assert m.speech_dbm0[0] == pytest.approx(-20.4, abs=0.2)


@pytest.mark.parametrize(("echo_ms", "echo_db"), [(5, -10), (18.5, -12), (32, -16), (64, -20), (110, -14)])
def test_echo_of_talk(echo_ms: float, echo_db: float) -> None:
    m = measure(tap([TALK], "alaw", echo_ms=echo_ms, echo_db=echo_db, noise_dbm0=-60)[None], "alaw")
    assert m.echo_ms[0] == pytest.approx(echo_ms, abs=0.2)
    assert m.echo_db[0] == pytest.approx(echo_db, abs=2.5)


def test_no_echo_is_unknown() -> None:
    for x in (TALK, signals.with_noise(np.zeros(100000), -30), signals.silence(10), TALK[:8000]):
        m = measure(g711.encode(np.asarray(x, np.int16)[None], "alaw"), "alaw")
        assert np.isnan(m.echo_ms[0]) and np.isnan(m.echo_db[0])


@pytest.mark.parametrize("samples", [1, 159, 1600, 7999])
def test_short_stretches_say_what_they_can(samples: int) -> None:
    m = measure(g711.encode(TALK[None, 8000 : 8000 + samples], "ulaw"), "ulaw")
    assert np.isfinite(m.level_dbm0[0]) and np.isnan(m.hum_dbm0[0]) and m.hum_hz[0] == 0
    assert np.isnan(m.noise_floor_dbm0[0]) == (samples < 1600)


def test_silence_is_silence() -> None:
    m = measure(np.full((2, 16000), g711.IDLE["alaw"], np.uint8), "alaw")
    assert m.level_dbm0.tolist() == [-90, -90] and m.speech_dbm0.tolist() == [-90, -90]
    assert m.hum_hz.tolist() == [0, 0] and m.noise_floor_dbm0.tolist() == [-90, -90]


def test_channels_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(3)
    batch = rng.integers(0, 256, (3, 20000), dtype=np.uint8)
    batch[1] = g711.encode(TALK[:20000], "ulaw")
    whole = vars(measure(batch, "ulaw"))
    for c in range(3):
        for name, value in vars(measure(batch[c : c + 1], "ulaw")).items():
            np.testing.assert_allclose(value[0], whole[name][c], rtol=1e-4, err_msg=name)


def test_what_is_no_stretch_is_refused() -> None:
    for bad in [np.zeros(100, np.uint8), np.zeros((1, 0), np.uint8), np.zeros((1, 100), np.int16)]:
        with pytest.raises(ValueError, match="uint8"):
            measure(bad, "alaw")  # type: ignore[arg-type]
