"""CNG, calling tone and answer tones on a tap: what is told, when, and what must not be said on the way."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import Fsk
from dsp import Detectors, Event, g711, levels
from dsp.g711 import Law
from tests.dsp import signals
from tests.eval.connect_signals import KINDS, own_tone
from tests.eval.tap import tap

RATE = 8000
TONES = ("cng", "calling_tone", "answer_tone")


def heard(law_bytes: NDArray[np.uint8], law: Law = "alaw") -> list[tuple[float, Event]]:
    """Events of one channel and the second at which each came out."""
    d = Detectors(1, law, "cn", TONES)
    out = []
    for at in range(0, law_bytes.size, 160):
        out += [((at + 160) / RATE, e) for e in d.feed(law_bytes[None, at : at + 160])]
    return out + [(law_bytes.size / RATE, e) for e in d.close()]


def sent(value: str, level_dbm0: float, seed: int) -> NDArray[np.float64]:
    tone = own_tone(np.random.default_rng(seed), value)
    gain = levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20) / np.sqrt(np.mean(tone**2))
    return np.asarray(tone * gain)


def between_silence(tone: NDArray[np.float64], lead_s: float = 0.5) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(round(lead_s * RATE)), tone, np.zeros(5000)])


@pytest.mark.parametrize("value", list(KINDS))
@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("level_dbm0", [0, -18, -35])
def test_each_tone_at_snr_15_in_time_and_by_its_name(value: str, law: Law, level_dbm0: float) -> None:
    seed = abs(level_dbm0) + len(value)
    tone = sent(value, level_dbm0, int(seed))
    events = heard(tap([between_silence(tone)], law, noise_dbm0=level_dbm0 - 15, seed=3), law)
    assert {e.kind for _, e in events} == {KINDS[value][0]}
    last = events[-1][1]
    assert last.value == value and last.end_s is not None
    assert abs(last.start_s - 0.5) < 0.03 and abs(last.end_s - 0.5 - tone.size / RATE) < 0.03
    if value != "ct":
        assert events[0][0] - 0.5 <= 0.3
    assert min(at for at, e in events if e.value == value) - 0.5 <= 1.0


@pytest.mark.parametrize("value", ["ans", "ans_pr", "ansam", "ansam_pr"])
@pytest.mark.parametrize("echo", [(-10, 3), (-10, 33), (-18, 12), (-25, 40)])
def test_an_echo_of_itself_changes_no_kind(value: str, echo: tuple[float, float]) -> None:
    on_the_way = {"ans_pr": {"ans"}, "ansam": {"ans"}, "ansam_pr": {"ans", "ansam"}}.get(value, set())
    for seed in range(3):
        line = tap([between_silence(sent(value, -12, seed))], "alaw", echo_db=echo[0], echo_ms=echo[1], noise_dbm0=-45)
        events = heard(line)
        assert events[-1][1].value == value
        assert {e.value for _, e in events} <= {value} | on_the_way, "no wrong claim on the way"


def test_cng_under_ringback_and_while_somebody_speaks() -> None:
    ringback = np.zeros(12000)
    n = np.arange(12000)
    for hz in (440, 480):
        ringback += levels.amplitude(-16) * np.sin(2 * np.pi * hz * n / RATE)
    voice = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 5, 3)[0][8000:20000] * 0.3
    for beside in (ringback, voice):
        events = heard(tap([between_silence(sent("cng", -13, 5)), beside], "alaw", noise_dbm0=-50))
        assert [e.value for _, e in events if e.end_s is not None] == ["cng"]


@pytest.mark.parametrize("hz", [1062, 1100, 1138])
@pytest.mark.parametrize("hum_hz", [50, 60])
def test_a_short_cng_at_the_edge_of_its_tolerance_under_louder_hum(hz: float, hum_hz: float) -> None:
    for seed, late in enumerate(range(0, 160, 27)):
        cng = levels.amplitude(-20) * np.sin(2 * np.pi * hz * np.arange(round(0.425 * RATE)) / RATE)
        line = np.concatenate([np.zeros(4000 + late), cng, np.zeros(4000)])
        events = heard(tap([line], "alaw", hum_dbm0=-15, hum_hz=hum_hz, noise_dbm0=-45, seed=seed))
        assert [e.value for _, e in events] == ["cng", "cng"] and events[0][0] <= 1.1


@pytest.mark.parametrize("value", ["cng", "ct"])
def test_a_burst_while_somebody_speaks(value: str) -> None:
    """Harmonics of the voice beat with the tone, but in a band of 20 Hz it is steady."""
    voices = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 6, 2, 3).astype(float)
    for seed, voice in enumerate(voices):
        tone = between_silence(sent(value, -14, seed))
        loud = np.sqrt(np.mean(np.sort(voice**2)[voice.size // 2 :]))
        said = voice[: tone.size] * (levels.rms_of_0dbm0("alaw") * 10 ** (-17 / 20) / loud)
        events = heard(tap([tone, said], "ulaw", noise_dbm0=-50, seed=seed), "ulaw")
        assert [e.value for _, e in events if e.end_s is not None] == [value]


@pytest.mark.parametrize("late_s", [0.2, 0.27, 0.35])
@pytest.mark.parametrize("louder_db", [-6, 0, 6, 12])
def test_a_cng_that_is_answered_is_told_in_half_a_second(louder_db: float, late_s: float) -> None:
    n = np.arange(round(0.5 * RATE))
    cng = levels.amplitude(-24) * np.sin(2 * np.pi * 1100 * n / RATE)
    ced = levels.amplitude(-24 + louder_db) * np.sin(2 * np.pi * 2100 * np.arange(3 * RATE) / RATE)
    for shift in range(0, 640, 160):
        lead = np.zeros(4000 + shift)
        caller, called = np.concatenate([lead, cng]), np.concatenate([lead, np.zeros(round(late_s * RATE)), ced])
        first = {e.kind: (at, e) for at, e in reversed(heard(tap([caller, called], "alaw", noise_dbm0=-55)))}
        at, event = first["cng"]
        assert at - lead.size / RATE <= 0.5 and abs(event.start_s - lead.size / RATE) <= 0.02
        assert first["answer_tone"][1].value == "ans"


def test_a_tone_that_goes_on_is_no_calling_tone() -> None:
    """V.23 idles on 1300 Hz: for good, or for half a second before its data."""
    bits = np.concatenate([np.ones(720, np.uint8), np.random.default_rng(2).integers(0, 2, 2400, np.uint8)])
    keyed = spandsp.fsk_tx(bits, Fsk.V23_CH1).astype(float)
    n = np.arange(4 * RATE)
    lasting = levels.amplitude(-13) * np.sin(2 * np.pi * 1300 * n / RATE)
    for line in (keyed, lasting):
        assert heard(tap([between_silence(line)], "alaw", noise_dbm0=-55)) == []


@pytest.mark.parametrize("hz", [1050, 1150, 2070, 2130, 2250])
def test_a_neighbour_of_a_tone_is_none(hz: float) -> None:
    n = np.arange(RATE // 2)
    assert heard(tap([between_silence(levels.amplitude(-13) * np.sin(2 * np.pi * hz * n / RATE))], "alaw")) == []


def test_a_note_that_fades_is_no_cng() -> None:
    """C sharp of the third octave above middle C on something struck."""
    n = np.arange(RATE // 2)
    note = levels.amplitude(-10) * np.exp(-n / 2500) * np.sin(2 * np.pi * 1108.7 * n / RATE)
    assert heard(tap([np.concatenate([np.zeros(4000), np.tile(note, 4), np.zeros(4000)])], "alaw")) == []


def test_what_other_channels_hear_changes_nothing() -> None:
    line = tap([between_silence(sent("ans_pr", -20, 1))], "alaw", noise_dbm0=-50)
    alone = [(e.value, e.start_s, e.end_s) for _, e in heard(line)]
    other = np.roll(line, 3333)
    batch = np.stack([line, other, np.full_like(line, g711.IDLE["alaw"])])
    d = Detectors(3, "alaw", "cn", TONES)
    events = d.feed(batch) + d.close()
    assert [(e.value, e.start_s, e.end_s) for e in events if e.channel == 0] == alone
