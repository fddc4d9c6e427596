"""Progress tones as exchanges and lines make them: off nominal, at any level, begun anywhere, cut by what follows."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import levels
from dsp.g711 import Law
from dsp.zones import ZONES, Tone, Zone
from tests.eval.tap import RATE, tap

Floats = NDArray[np.float64]
Ending = Literal["silence", "speech", "digits"]
LAWS: tuple[Law, ...] = ("alaw", "ulaw")


@dataclass(frozen=True)
class Case:
    """What the line carries, and what must be said of it."""

    what: str
    zone: Zone
    law: Law
    heard: NDArray[np.uint8]
    values: tuple[str, ...]
    onset_s: float


@dataclass(frozen=True)
class Deviation:
    hz: float = 0.0
    cadence: float = 1.0
    jitter: float = 0.0
    """Each length by itself, as a share."""
    twist_db: float = 0.0


def sounding(
    tone: Tone, seconds: float, level_dbm0: float, how: Deviation, begin_s: float, rng: np.random.Generator
) -> Floats:
    """The tone from `begin_s` of its cadence on, all its frequencies together at `level_dbm0`."""
    n = np.arange(round(seconds * RATE))
    count = 1 if tone.in_turn else len(tone.frequencies_hz)
    gate, which = np.ones(n.size), np.zeros(n.size, np.intp)
    if tone.cadence_s:
        lengths = np.array(tone.cadence_s * (2 + int((seconds + begin_s) / sum(tone.cadence_s) / 0.85)))
        lengths = lengths * how.cadence * (1 + rng.uniform(-how.jitter, how.jitter, lengths.size))
        part = np.searchsorted(np.cumsum(lengths), n / RATE + begin_s, side="right")
        gate = (part % 2 == 0).astype(np.float64)
        if tone.in_turn:
            which, gate = part % len(tone.frequencies_hz), (part < len(tone.frequencies_hz)).astype(np.float64)
    out = np.zeros(n.size)
    for i in range(count):
        hz = np.array(tone.frequencies_hz, np.float64)[which] if tone.in_turn else tone.frequencies_hz[i]
        twist = how.twist_db * (0.5 - i) if count > 1 else 0.0
        amplitude = levels.amplitude(level_dbm0 + twist - 10 * np.log10(count))
        phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz + how.hz, n.shape)) / RATE
        out += amplitude * np.sin(phase + rng.uniform(0, 2 * np.pi))
    return out * gate


def drawn(zone: Zone, tone: Tone, rng: np.random.Generator, speech: NDArray[Any]) -> Case:
    """A tone of a plan with everything drawn that may vary."""
    plan = ZONES[zone]
    tolerance = plan.tolerance_hz if tone.tolerance_hz is None else tone.tolerance_hz
    share = plan.tolerance if tone.tolerance is None else tone.tolerance
    how = Deviation(
        hz=rng.uniform(-1, 1) * tolerance,
        cadence=1 + rng.uniform(-0.8, 0.8) * share,
        jitter=0.2 * share,
        twist_db=rng.uniform(-4, 4),
    )
    period = sum(tone.cadence_s)
    begin = 0.0 if tone.in_turn else float(rng.uniform(0, period)) * (rng.uniform() < 0.5)
    seconds = {0.0: rng.uniform(2.5, 6)}.get(period, rng.uniform(2.6, 3.2) * period + 1)
    level = float(rng.uniform(-35, 0))
    sound = sounding(tone, seconds, level, how, begin, rng)
    ending: Ending = "silence"
    after: NDArray[Any] = np.zeros(RATE)
    if tone.value == "dial" and rng.uniform() < 0.5:
        ending = "digits"
        sound = sound[: round(rng.uniform(0.6, 3) * RATE)]
        after = spandsp.dtmf_tx("".join(rng.choice(list("0123456789"), 6)), on_ms=90, off_ms=120) * 10 ** (
            rng.uniform(-15, 0) / 20
        )
    elif tone.value in ("ringback", "busy", "congestion") and rng.uniform() < 0.4:
        ending = "speech"
        at = int(rng.integers(0, max(1, speech.size - 4 * RATE)))
        after = speech[at : at + 4 * RATE]
    lead = float(rng.uniform(0.1, 1.5))
    line = np.concatenate([np.zeros(round(lead * RATE)), sound, after, np.zeros(round(1.5 * period + 2) * RATE)])
    law = LAWS[int(rng.integers(2))]
    seed = int(rng.integers(2**31))
    noise = max(-60.0, level - float(rng.uniform(12, 40)))
    hum = level - float(rng.uniform(6, 30)) if rng.uniform() < 0.3 else None
    echo = -float(rng.uniform(10, 25)) if rng.uniform() < 0.4 else None
    heard = tap(
        [line], law, noise_dbm0=noise, hum_dbm0=hum, hum_hz=float(rng.choice([50, 60])),
        echo_db=echo, echo_ms=float(rng.uniform(1, 50)), seed=seed,
    )  # fmt: skip
    onset = lead + float(np.flatnonzero(sound)[0]) / RATE
    what = (
        f"{zone} {tone.value} {level:.0f} dBm0 off {how.hz:+.1f} Hz x{how.cadence:.2f} twist {how.twist_db:.1f} from "
        f"{begin:.2f} s, noise {noise:.0f} hum {hum} echo {echo} then {ending} {law}"
    )
    return Case(what, zone, law, heard, (tone.value,), onset)
