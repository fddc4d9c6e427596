"""DTMF to Q.24: what must be taken, what must be refused, and speech, which says no digits."""

import numpy as np
import pytest

from cffi_bindings import spandsp
from dsp import levels
from dsp.dtmf import DIGITS, HIGH_HZ, LOW_HZ
from tests.dsp import signals

COUNT = 160


def dialled(
    *,
    deviation_percent: float = 0,
    twist_db: float = 0,
    on_ms: float = 50,
    off_ms: float = 50,
    level_dbm0: float = -10,
    seed: int = 1,
) -> tuple[str, signals.Audio]:
    """Random digits: the low tone at `level_dbm0`, the high one `twist_db` above, each tone off to a random side."""
    rng = np.random.default_rng(seed)
    digits = "".join(rng.choice(list(DIGITS), COUNT))
    n = np.arange(round(on_ms * 8))
    parts: list[np.ndarray] = [np.zeros(800)]
    for digit in digits:
        at = DIGITS.index(digit)
        low, high = np.array([LOW_HZ[at // 4], HIGH_HZ[at % 4]]) * (
            1 + rng.choice([-1, 1], 2) * deviation_percent / 100
        )
        phase = rng.uniform(0, 6.28, 2)
        wave = np.sin(2 * np.pi * low * n / 8000 + phase[0])
        wave += 10 ** (twist_db / 20) * np.sin(2 * np.pi * high * n / 8000 + phase[1])
        parts += [wave * levels.amplitude(level_dbm0), np.zeros(round(off_ms * 8) + int(rng.integers(0, 80)))]
    return digits, signals.clip(np.concatenate(parts))


def taken(x: signals.Audio, detectors: tuple[str, ...] = ("dtmf", "progress")) -> str:
    return "".join(signals.values(signals.heard(x, detectors=detectors), "dtmf"))


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_spandsp_s_digits(law: str) -> None:
    x = np.concatenate([spandsp.dtmf_tx(DIGITS, level_dbm0=level) for level in (-3, -10, -25, -35)])
    events = signals.heard(x, law)  # type: ignore[arg-type]
    assert "".join(signals.values(events, "dtmf")) == DIGITS * 4


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"on_ms": 40},
        {"deviation_percent": 1.5},
        {"deviation_percent": 1.8},
        {"twist_db": 4},
        {"twist_db": -8},
        {"level_dbm0": -35},
        {"level_dbm0": -1},
        {"off_ms": 30},
    ],
    ids=str,
)
def test_what_must_be_taken(how: dict[str, float]) -> None:
    digits, x = dialled(**how)  # type: ignore[arg-type]
    assert taken(x) == digits


@pytest.mark.parametrize(
    "how", [{"on_ms": 23, "off_ms": 100}, {"deviation_percent": 3.5}, {"level_dbm0": -56}], ids=str
)
def test_what_must_be_refused(how: dict[str, float]) -> None:
    assert taken(dialled(**how)[1]) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("snr_db", [15, 12])
def test_noise(snr_db: float) -> None:
    digits, x = dialled(level_dbm0=-15)
    assert taken(signals.with_noise(x, -15 - snr_db + 3)) == digits


def test_dial_tone_under_the_digits() -> None:
    digits, x = dialled(level_dbm0=-15, on_ms=60)
    dial = levels.amplitude(-10) * np.sin(2 * np.pi * 450 * np.arange(x.size) / 8000)
    assert taken(signals.clip(x + dial)) == digits


def test_a_break_of_10_ms_does_not_split() -> None:
    digits, x = dialled(on_ms=100)
    begun = starts(x)
    assert len(begun) == COUNT
    for start in begun:
        x[start + 320 : start + 400] = 0
    assert taken(x) == digits


def starts(x: signals.Audio) -> list[int]:
    """First samples after at least 30 ms of silence."""
    loud = np.flatnonzero(x)
    return [int(at) for at in loud[np.diff(loud, prepend=-1000) > 240]]


def test_position() -> None:
    x = np.concatenate([signals.silence(0.5123), spandsp.dtmf_tx("5", on_ms=80), signals.silence(0.3)])
    (digit,) = signals.final(signals.heard(x), "dtmf")
    assert digit.start_s == pytest.approx(0.5123, abs=0.006)
    assert digit.end_s == pytest.approx(0.5923, abs=0.006)


def test_speech_and_music_dial_nothing() -> None:
    """Twelve minutes of English and French speech and six of music."""
    for folder, seed in (
        (signals.SOUNDS / "en_US_f_Allison", 71),
        (signals.SOUNDS / "fr_CA_f_June", 72),
        (signals.MUSIC, 73),
    ):
        x = signals.recorded(folder, 12, 30, seed)
        assert signals.values(signals.heard(x, detectors=["dtmf"]), "dtmf") == []
