"""Tones of machines and V.21 messages as a tap hears them, drawn from a seed over what the Recommendations allow.

Half of the tones are libspandsp's, half are made here: CNG 1100 +-38 Hz of 425 to 575 ms (T.30), answer tones 2100
+-15 Hz with reversals every 450 +-25 ms (V.25) and 20 % of 15 +-0.1 Hz (V.8), 2225 Hz (Bell 103), 1300 Hz (V.25). Each
way of being disturbed is one entry of `DISTURBANCES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone, Fsk
from dsp import levels
from dsp.g711 import Law
from dsp.zones import ZONES
from tests.dsp import signals
from tests.eval import corpus
from tests.eval.report import Part
from tests.eval.tap import tap

RATE: Final = 8000
Rng = np.random.Generator
Wave = NDArray[np.float64]

KINDS: Final = {
    "cng": ("cng", ConnectTone.CNG),
    "ans": ("answer_tone", ConnectTone.ANS),
    "ans_pr": ("answer_tone", ConnectTone.ANS_PR),
    "ansam": ("answer_tone", ConnectTone.ANSAM),
    "ansam_pr": ("answer_tone", ConnectTone.ANSAM_PR),
    "bell_ans": ("answer_tone", ConnectTone.BELL_ANS),
    "ct": ("calling_tone", ConnectTone.CALLING_TONE),
}


@dataclass(frozen=True)
class Trial:
    value: str
    law: Law
    law_bytes: NDArray[np.uint8]
    onset_s: float
    end_s: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Draw:
    """What a disturbance may change: sides beside the tone (at 16-bit scale), and the tap's settings."""

    rng: Rng
    part: Part
    level_dbm0: float
    samples: int
    in_suite: bool
    """Only the voices that the test suite installs."""
    sides: list[NDArray[Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def _beside_dbm0(d: Draw, least_db: float, most_db: float) -> float:
    """So much against the tone, but not so much that both together are clipped."""
    room = 10 ** (levels.OVERLOAD_DBM0["alaw"] / 20) - 10 ** (d.level_dbm0 / 20)
    return float(min(d.level_dbm0 + d.rng.uniform(least_db, most_db), 20 * np.log10(room)))


def _noise(d: Draw) -> None:
    d.settings["noise_dbm0"] = d.level_dbm0 - 15


def _hum(d: Draw) -> None:
    d.settings |= {"hum_dbm0": _beside_dbm0(d, -10, 6) - 1, "hum_hz": float(d.rng.choice([50, 60]))}


def _ringing(d: Draw) -> None:
    d.sides.append(_sine(25 + d.rng.uniform(-3, 3), _beside_dbm0(d, -5, 6), d.samples, d.rng))


def _echo(d: Draw) -> None:
    d.settings |= {"echo_db": d.rng.uniform(-25, -10), "echo_ms": d.rng.uniform(1, 40)}


def _far_noise(d: Draw) -> None:
    d.sides.append(d.rng.normal(0, levels.rms_of_0dbm0("alaw") * 10 ** ((d.level_dbm0 - 20) / 20), d.samples))


def _hello(d: Draw) -> None:
    """Somebody speaks all the while, 6 to 15 dB under the tone (his louder half)."""
    voices = corpus.speech(d.part, 60, in_suite=d.in_suite)
    voice = voices[str(d.rng.choice(sorted(voices)))].astype(np.float64)
    power = np.convolve(voice**2, np.ones(RATE // 2), "valid")
    at = max(0, int(d.rng.choice(np.flatnonzero(power > 0.3 * power.max()))) - RATE // 2)
    said = np.resize(voice[at : at + d.samples], d.samples)
    loud = np.sqrt(np.mean(np.sort(said**2)[said.size // 2 :]))
    level_dbm0 = d.level_dbm0 + d.rng.uniform(-15, -6)
    d.sides.append(said * (levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20) / loud))


def _progress(d: Draw) -> None:
    """Dial tone or ring-back of some zone, 0 to 10 dB under the tone."""
    zone = ZONES[d.rng.choice(["cn", "us", "eu", "uk", "hk"])]
    tone = zone.tone(str(d.rng.choice(["dial", "ringback"])))
    sent_dbm0 = 10 * np.log10(len(tone.frequencies_hz)) + tone.level_dbm0
    gain = 10 ** ((_beside_dbm0(d, -10, 0) - sent_dbm0) / 20)
    d.sides.append(np.roll(signals.progress(tone, 12), -int(d.rng.integers(0, 8 * RATE)))[: d.samples] * gain)


DISTURBANCES: Final[dict[str, Callable[[Draw], None]]] = {
    "clean": lambda d: None,
    "SNR 15 dB": _noise,
    "hum, to +6 dB": _hum,
    "ringing, to +6 dB": _ringing,
    "echo -10 to -25 dB": _echo,
    "far noise -20 dB": _far_noise,
    "dial tone or ring-back, to 0 dB": _progress,
    "somebody speaks, to -6 dB": _hello,
}


def trial(rng: Rng, part: Part, value: str, disturbance: str, in_suite: bool = False) -> Trial:
    """One tone between half a second and more of the line as it is."""
    level_dbm0 = float(rng.uniform(-35, 0))
    law: Law = "alaw" if rng.integers(2) else "ulaw"
    tone = _spandsp_tone(rng, value) if rng.integers(2) else own_tone(rng, value)
    tone = tone * (levels.rms_of_0dbm0(law) * 10 ** (level_dbm0 / 20) / np.sqrt(np.mean(tone**2)))
    lead = int(rng.integers(4000, 8000))
    side = np.concatenate([np.zeros(lead), tone, np.zeros(5000)])
    d = Draw(rng, part, level_dbm0, side.size, in_suite)
    DISTURBANCES[disturbance](d)
    seed = int(rng.integers(1 << 30))
    settings = {"noise_dbm0": min(-58.0, level_dbm0 - 20), **d.settings}
    law_bytes = tap([side, *d.sides], law, seed=seed, **settings)
    onset_s, end_s = lead / RATE, (lead + tone.size) / RATE
    return Trial(value, law, law_bytes, onset_s, end_s, {"level_dbm0": level_dbm0, "disturbance": disturbance})


def own_tone(rng: Rng, value: str) -> Wave:
    """A tone of mean square 1/2 or near it, drawn from the tolerances."""
    hz, off_hz, shortest_s, longest_s = {
        "cng": (1100, 38, 0.425, 0.575),
        "ct": (1300, 12, 0.5, 0.7),
        "bell_ans": (2225, 10, 1.5, 3.0),
    }.get(value, (2100, 15, 2.6, 4.0))
    t = np.arange(round(rng.uniform(shortest_s, longest_s) * RATE)) / RATE
    wave = np.sin(2 * np.pi * ((hz + rng.uniform(-off_hz, off_hz)) * t + rng.uniform()))
    if value.endswith("_pr"):
        wave *= np.where((t / rng.uniform(0.425, 0.475)).astype(int) % 2, -1.0, 1.0)
    if value.startswith("ansam"):
        wave *= 1 + rng.uniform(0.19, 0.21) * np.sin(2 * np.pi * (rng.uniform(14.9, 15.1) * t + rng.uniform()))
    return np.asarray(wave)


def _spandsp_tone(rng: Rng, value: str) -> Wave:
    sent = spandsp.connect_tone_tx(KINDS[value][1], 4 * RATE).astype(np.float64)
    heard = np.flatnonzero(sent)
    sent = sent[heard[0] : heard[-1] + 1]
    if value in ("cng", "ct"):
        # The first burst of its cadence.
        gaps = np.flatnonzero(np.diff(np.flatnonzero(sent)) > 400)
        sent = sent[: int(np.flatnonzero(sent)[gaps[0]]) + 1] if gaps.size else sent
    return np.asarray(sent)


def _sine(hz: float, level_dbm0: float, samples: int, rng: Rng) -> Wave:
    angle = 2 * np.pi * (hz * np.arange(samples) / RATE + rng.uniform())
    return np.asarray(levels.amplitude(level_dbm0) * np.sin(angle))


def message(rng: Rng, *, preamble_s: float | None = None) -> Wave:
    """A V.21 HDLC message of T.30: flags, apart or sharing zeros, for 1 s +-15 %, then frames; mean square 1."""
    flag = [0, 1, 1, 1, 1, 1, 1, 0] if rng.integers(4) else [0, 1, 1, 1, 1, 1, 1]
    seconds = rng.uniform(0.85, 1.15) if preamble_s is None else preamble_s
    bits = (flag * 60)[: round(seconds * 300)]
    for _ in range(int(rng.integers(1, 4))):
        ones = 0
        for bit in rng.integers(0, 2, int(rng.integers(40, 200))).tolist():
            bits.append(bit)
            ones = ones + 1 if bit else 0
            if ones == 5:
                bits.append(0)
                ones = 0
        bits += [0, 1, 1, 1, 1, 1, 1, 0]
    if rng.integers(2):
        wave = spandsp.fsk_tx(np.array(bits, np.uint8), Fsk.V21_CH2).astype(np.float64)
        wave = wave[: np.flatnonzero(wave)[-1] + 1]
    else:
        at = (np.arange(len(bits) * RATE // 300) * 300 / RATE).astype(int)
        off_hz = rng.uniform(-6, 6)
        wave = np.sin(np.cumsum(2 * np.pi / RATE * (np.where(np.array(bits)[at], 1650, 1850) + off_hz)))
    return np.asarray(wave / np.sqrt(np.mean(wave**2)))


def asynchronous(rng: Rng, spec: Fsk, seconds: float) -> Wave:
    """Data of a V.21 modem (8 bits between start and stop bits, idling now and then), or V.8's CM or JM: mean square 1.

    V.8: ten ones, the synchronising 0000001111, then octets, over and over."""
    if rng.integers(2):
        octets = [int(o) for o in rng.integers(0, 256, 5)]
        one = [1] * 10 + [0, 0, 0, 0, 0, 0, 1, 1, 1, 1] + [b for o in octets for b in _framed(o)]
        bits = one * (round(seconds * 300) // len(one) + 1)
    else:
        bits = []
        while len(bits) < seconds * 300:
            bits += [1] * int(rng.integers(0, 40) if rng.integers(8) == 0 else 0)
            bits += _framed(int(rng.choice([0x7E, 0x20, int(rng.integers(256))])))
    wave = spandsp.fsk_tx(np.array(bits[: round(seconds * 300)], np.uint8), spec).astype(np.float64)
    return np.asarray(wave[: np.flatnonzero(wave)[-1] + 1] / np.sqrt(np.mean(wave[wave != 0] ** 2)))


def _framed(octet: int) -> list[int]:
    return [0, *((octet >> k) & 1 for k in range(8)), 1]
