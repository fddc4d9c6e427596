"""Progress tones as a line has them: off nominal, faint, noisy, cut short, one after another, and sounds that are none.

The tones are drawn from the plans by `tests.eval.progress_signals`; libspandsp hears the same in `make eval`.
"""

import numpy as np
import pytest

from cffi_bindings import spandsp
from dsp import cadence, g711, levels
from dsp.detectors import Detectors
from dsp.events import Event
from dsp.reports import Reports
from dsp.zones import ZONES, Tone, Zone
from tests.dsp import signals
from tests.eval import progress
from tests.eval.progress_signals import Case, Deviation, drawn, sounding

ENDLESS = {("uk", "busy"), ("hk", "busy")}
"""Their frequencies stand for a continuous tone, too, which may be short."""
SECOND = 50
"""Steps."""


def told(events: list[Event]) -> list[str]:
    """First words on progress tones, in order."""
    return [e.value for e in events if e.kind == "progress" and e.end_s is None]


def line(*parts: signals.Audio, noise_dbm0: float = -55, seed: int = 1) -> signals.Audio:
    return signals.with_noise(np.concatenate([signals.silence(0.4), *parts, signals.silence(2)]), noise_dbm0, seed)


@pytest.mark.parametrize("zone", list(ZONES))
def test_every_tone_of_a_plan_whatever_varies(zone: Zone) -> None:
    rng = np.random.default_rng(1200)
    speech = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 30, 3)[0]
    cases: list[Case] = [drawn(zone, tone, rng, speech) for tone in ZONES[zone].tones for _ in range(2)]
    wrong = []
    for law in ("alaw", "ulaw"):
        of_law = [c for c in cases if c.law == law]
        for case, said in zip(of_law, progress.heard(zone, law, [c.heard for c in of_law]), strict=True):
            if not progress.right(case, said):
                wrong.append((case.what, [e.value for _, e in said]))
    assert not wrong[1:], wrong  # One in thirty may be missed.


@pytest.mark.parametrize(("first", "second", "pause_s"), [("ringback", "busy", 1.0), ("busy", "congestion", 0.7)])
@pytest.mark.parametrize("zone", list(ZONES))
def test_two_cadences_one_after_the_other(zone: Zone, first: str, second: str, pause_s: float) -> None:
    plan = ZONES[zone]
    one, two = plan.tone(first), plan.tone(second)
    seconds = 2 * sum(one.cadence_s) + one.cadence_s[0]
    x = line(signals.progress(one, seconds), signals.silence(pause_s), signals.progress(two, 4))
    events = signals.heard(x, "alaw", zone, ["progress"])
    assert told(events) == [first, second]
    end, begin = signals.final(events, "progress")[0].end_s, signals.final(events, "progress")[1].start_s
    assert end == pytest.approx(0.4 + seconds, abs=0.06) and begin == pytest.approx(0.4 + seconds + pause_s, abs=0.06)


@pytest.mark.parametrize("value", ["dial", "busy", "ringback"])
@pytest.mark.parametrize("zone", ["cn", "us"])
def test_the_same_tone_twice(zone: Zone, value: str) -> None:
    tone = ZONES[zone].tone(value)
    once = signals.progress(tone, 2 * sum(tone.cadence_s) + (tone.cadence_s[0] if tone.cadence_s else 2))
    events = signals.heard(line(once, signals.silence(8), once), "ulaw", zone, ["progress"])
    assert told(events) == [value, value]


def test_ringback_ends_where_somebody_speaks() -> None:
    ringback = signals.progress(ZONES["cn"].tone("ringback"), 6.4)
    talk = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 6, 3)[0]
    d = Detectors(1, "alaw", "cn", ["progress"])
    x = g711.encode(line(ringback, talk), "alaw")[None]
    said = [(at, e) for at in range(0, x.shape[1], 160) for e in d.feed(x[:, at : at + 160])]
    assert [e.value for _, e in said] == ["ringback", "ringback"]
    (_, _), (heard_at, over) = said
    assert over.end_s == pytest.approx(6.4, abs=0.05)
    assert heard_at / 8000 < 0.4 + 6.4 + 1.0


@pytest.mark.parametrize("zone", list(ZONES))
@pytest.mark.parametrize("dial_s", [0.3, 0.5, 1.0, 1.5])
def test_a_digit_ends_a_dial_tone(zone: Zone, dial_s: float) -> None:
    dial = signals.progress(ZONES[zone].tone("dial"), dial_s)
    events = signals.heard(line(dial, spandsp.dtmf_tx("1380013"), signals.silence(5)), "alaw", zone)
    assert told(events) == ["dial"]
    (event,) = signals.final(events, "progress")
    assert event.start_s == pytest.approx(0.4, abs=0.05) and event.end_s == pytest.approx(0.4 + dial_s, abs=0.05)


@pytest.mark.parametrize("click_s", [0.005, 0.03])
@pytest.mark.parametrize(("zone", "value"), [("cn", "dial"), ("cn", "busy"), ("uk", "ringback"), ("us", "dial")])
def test_a_click_in_a_tone(zone: Zone, value: str, click_s: float) -> None:
    sound = signals.progress(ZONES[zone].tone(value), 7)
    sound[24700 : 24700 + round(click_s * 8000)] = 20000
    assert told(signals.heard(line(sound), "alaw", zone, ["progress"])) == [value]


@pytest.mark.parametrize("lengths_s", [(0.33, 0.33, 0.33), (0.38, 0.274, 0.38), (0.274, 0.38, 0.38)])
@pytest.mark.parametrize("hz", [(950, 1400, 1800), (913.8, 1370.6, 1776.7), (985.2, 1428.5, 1776.7)])
@pytest.mark.parametrize("gap_s", [0.0, 0.03])
def test_special_information_tones(lengths_s: tuple[float, ...], hz: tuple[float, ...], gap_s: float) -> None:
    parts = []
    for f, s in zip(hz, lengths_s, strict=True):
        n = np.arange(round(s * 8000))
        parts += [signals.clip(4000 * np.sin(2 * np.pi * f * n / 8000)), signals.silence(gap_s)]
    talk = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 3, 3)[0]
    events = signals.heard(line(*parts, talk), "ulaw", "us", ["progress"])
    assert told(events) == ["sit"]
    (event,) = signals.final(events, "progress")
    assert event.start_s == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("zone", list(ZONES))
def test_speech_and_music_have_no_progress_tone(zone: Zone) -> None:
    sounds = np.concatenate(
        [
            signals.recorded(signals.SOUNDS / folder, 2, 60, 7)
            for folder in ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June")
        ]
        + [signals.recorded(signals.MUSIC, 3, 60, 7)]
    )
    assert told(signals.heard(sounds, "alaw", zone, ["progress"])) == []


@pytest.mark.parametrize("hz", [380, 425, 530, 900])
def test_a_tone_that_is_in_no_plan(hz: int) -> None:
    whistle = signals.clip(4000 * np.sin(2 * np.pi * hz * np.arange(40000) / 8000))
    zone: Zone = "us" if hz == 425 else "cn"
    assert told(signals.heard(line(whistle), "alaw", zone, ["progress"])) == []


@pytest.mark.parametrize("zone", list(ZONES))
@pytest.mark.parametrize("seconds", [0.35, 0.5, 0.7, 1.13])
def test_a_lone_burst_is_no_cadence(zone: Zone, seconds: float) -> None:
    """One beep at the frequency of ring-back or busy, of many a length, in silence."""
    for value in ("ringback", "busy"):
        beep = signals.progress(Tone(value, ZONES[zone].tone(value).frequencies_hz), seconds)
        if (zone, value) not in ENDLESS or seconds < 1:
            assert told(signals.heard(line(beep, signals.silence(6)), "alaw", zone, ["progress"])) == []


@pytest.mark.parametrize("pause_s", [1.5, 2.5])
def test_one_ring_is_told_when_a_long_pause_follows(pause_s: float) -> None:
    """The called party may answer before the second: then speech follows the pause."""
    ring = signals.progress(Tone("ringback", ZONES["cn"].tone("ringback").frequencies_hz), 1.0)
    answered = line(ring, signals.silence(pause_s), signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 3, 5)[0])
    assert told(signals.heard(answered, "alaw", "cn", ["progress"])) == ["ringback"] * (pause_s > 2)


@pytest.mark.parametrize("zone", list(ZONES))
@pytest.mark.parametrize("instrument", ["organ", "flute", "piano"])
def test_notes_in_rhythm_are_no_cadence(zone: Zone, instrument: str) -> None:
    """The same note, at or near a tone of the plan, in the rhythm of busy and of ring-back, and held."""
    plan, wrong = ZONES[zone], []
    for value in ("busy", "ringback", "dial"):
        for hz in {plan.tone(value).frequencies_hz[0], 440, 450}:
            on, off = (plan.tone(value).cadence_s or (3.0, 1.0))[:2]
            one = np.concatenate([note(hz, on, instrument), np.zeros(round(off * 8000))])
            x = line(signals.clip(np.tile(one, 3)))
            wrong += [(value, hz, e) for e in told(signals.heard(x, "alaw", zone, ["progress"]))]
    assert not wrong


def note(hz: float, seconds: float, instrument: str) -> signals.Audio:
    """A note with the harmonics and the envelope of an instrument."""
    t = np.arange(round(seconds * 8000)) / 8000
    harmonics = {"organ": (1, 0.5, 0.25), "flute": (1, 0.15, 0.05), "piano": (1, 0.3, 0.1)}[instrument]
    x = np.sum([a * np.sin(2 * np.pi * hz * k * t) for k, a in enumerate(harmonics, 1)], axis=0)
    envelope = {"organ": np.ones_like(t), "flute": 1 - np.exp(-t / 0.04), "piano": np.exp(-t / 0.5)}[instrument]
    return signals.clip(5000 * x * envelope)


def test_a_vowel_that_is_held_is_no_dial_tone() -> None:
    """Vibrato of a singer: 450 Hz that swings by 2.5 % five times a second."""
    n = np.arange(5 * 8000) / 8000
    sung = signals.clip(6000 * np.sin(2 * np.pi * 450 * n + 450 * 0.025 / 5 * np.sin(2 * np.pi * 5 * n)))
    assert told(signals.heard(line(sung), "alaw", "cn", ["progress"])) == []


def test_noise_and_hum_under_a_faint_tone() -> None:
    """-35 dBm0 with noise 12 dB below it, and mains hum as loud as the tone."""
    rng = np.random.default_rng(1201)
    n = np.arange(8 * 8000) / 8000
    hum = levels.amplitude(-35) * np.sin(2 * np.pi * 50 * n)
    for zone, plan in ZONES.items():
        busy = sounding(plan.tone("busy"), 8, -35, Deviation(), 0.0, rng)
        assert told(signals.heard(line(signals.clip(busy + hum), noise_dbm0=-47), "alaw", zone, ["progress"])) == [
            "busy"
        ]


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_with_its_odd_harmonics_takes_no_purity_from_a_tone(mains_hz: int) -> None:
    rng = np.random.default_rng(1202)
    n = np.arange(8 * 8000) / 8000
    hum = sum(levels.amplitude(-25) * np.sin(2 * np.pi * mains_hz * k * n + k) / k for k in range(1, 8, 2))
    for zone, plan in ZONES.items():
        busy = sounding(plan.tone("busy"), 8, -22, Deviation(), 0.0, rng)
        assert told(signals.heard(line(signals.clip(busy + hum)), "alaw", zone, ["progress"])) == ["busy"]


@pytest.mark.parametrize("zone", list(ZONES))
@pytest.mark.parametrize("then", ["silence", "speech"])
def test_a_ring_back_that_is_answered_in_its_burst_is_no_call_waiting(zone: Zone, then: str) -> None:
    """Cut off at every 50 ms of the burst, and begun at every eighth of the cadence."""
    ringback = ZONES[zone].tone("ringback")
    period = sum(ringback.cadence_s)
    talk = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 9, 3)[0]
    after = talk if then == "speech" else signals.silence(9)
    lines = []
    for k, on_s in enumerate(np.arange(0.05, sum(ringback.cadence_s[:-1]) + 0.05, 0.05)):
        sound = signals.progress(ringback, 3 * period)[
            round(k % 8 * period / 8 * 8000) : round((2 * period + on_s) * 8000)
        ]
        lines.append(g711.encode(line(sound, after), "alaw"))
    said = progress.heard(zone, "alaw", lines)
    assert [{e.value for _, e in one} for one in said] == [{"ringback"}] * len(lines)


@pytest.mark.parametrize("zone", ["cn", "us", "hk"])
def test_call_waiting_in_talk(zone: Zone) -> None:
    """Two bursts with speech of the near end between them, which rests while they sound."""
    tone = ZONES[zone].tone("call_waiting")
    on, off = (round(s * 8000) for s in tone.cadence_s)
    (talk,) = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 25, 3)
    burst = signals.progress(tone, on / 8000)
    x = np.concatenate([talk[: 3 * 8000], burst, talk[3 * 8000 :][:off], burst, talk[: 2 * 8000]])
    assert told(signals.heard(line(x), "alaw", zone, ["progress"])) == ["call_waiting"]


def test_what_cadences_say_without_audio() -> None:
    """Three bursts of 0.36 s are busy in China; five of them are still one event, which ends when the sixth is due."""
    patterns, out = cadence.Patterns(ZONES["cn"]), Reports()
    c = cadence.Cadence(0, patterns)
    looks: list[int] = []
    for k in range(5):
        looks = c.burst(cadence.Stretch(1, 36 * k, 36 * k + 18), out)
    (begun,) = out.take()
    assert (begun.value, begun.start_s) == ("busy", 0.0) and not c.over(4 * 36 + 20)
    for step in sorted(looks):
        c.look(None, 0, step, out)
    (ended,) = out.take()
    assert ended.end_s == (4 * 36 + 18) * 0.02 and c.over(max(looks))


def test_a_cadence_that_two_tones_begin_with_waits() -> None:
    """0.2 s on, off, on is congestion or call waiting in Europe; what comes next tells."""
    patterns, out = cadence.Patterns(ZONES["eu"]), Reports()
    c = cadence.Cadence(0, patterns)
    for k in range(2):
        c.burst(cadence.Stretch(1, 21 * k, 21 * k + 10), out)
    assert not out.take()
    c.burst(cadence.Stretch(1, 42, 52), out)
    assert [e.value for e in out.take()] == ["congestion"]


def test_a_new_zone_is_an_entry_only() -> None:
    """All that is looked for comes from the plan: what a plan names is in its patterns, and nothing else is."""
    for plan in ZONES.values():
        patterns = cadence.Patterns(plan)
        assert [p.value for p in patterns.all] == [t.value for t in plan.tones]
        assert {s for p in patterns.all for s in p.sets} == set(range(1, 1 + len(plan.sets)))
