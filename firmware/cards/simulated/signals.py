"""What the exchange and the telephone put on a line besides talk: tones, digits, dial pulses, ringing, caller ID.

Tones and cadences are those of `dsp.zones`; ringing is the zone's own (China: 25 Hz, 1 s on, 4 s off, GB/T 3380).
DTMF follows ITU-T Q.23. Caller ID is sent by libspandsp. Every function gives linear audio in which 0 dBm0 has a root
mean square of 1.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cffi_bindings import spandsp
from cffi_bindings.spandsp import CallerIdStandard
from dsp.zones import ZONES, Tone, Zone
from firmware.cards import BLOCK
from firmware.cards.simulated.plant import RATE, Signal, from_linear, sine

_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a zone's exchange does besides its tones."""

    ring_hz: int
    ring_cadence_s: tuple[float, ...]
    """On, off, on, off ...: one of these periods is what people call a ring."""
    mains_hz: int
    caller_id: Literal["between rings", "before ring"]
    caller_id_standard: CallerIdStandard


EXCHANGES: dict[Zone, Exchange] = {
    "cn": Exchange(25, (1.0, 4.0), 50, "between rings", CallerIdStandard.CLASS),
    "us": Exchange(20, (2.0, 4.0), 60, "between rings", CallerIdStandard.CLASS),
    "eu": Exchange(25, (1.0, 4.0), 50, "between rings", CallerIdStandard.CLIP),
    "uk": Exchange(25, (0.4, 0.2, 0.4, 2.0), 50, "before ring", CallerIdStandard.CLIP),
    "hk": Exchange(25, (0.4, 0.2, 0.4, 3.0), 50, "between rings", CallerIdStandard.CLASS),
}


def progress_tone(zone: Zone, value: str, gain_db: float) -> Signal:
    """A tone of the exchange, as long as its cadence needs to begin anew without a seam: at least 4 s."""
    tone = ZONES[zone].tone(value)
    samples = _period(tone)
    sound = np.zeros(samples, np.float32)
    for frequency in tone.frequencies_hz:
        sound += sine(frequency, tone.level_dbm0 + gain_db, samples)
    return sound * _gate(tone.cadence_s, samples)


def ringing(zone: Zone, level_dbm0: float) -> Signal:
    """A second of ringing current as it seeps into the tap's ear: far below its 90 V, and below the voice band."""
    return sine(EXCHANGES[zone].ring_hz, level_dbm0, RATE)


def dtmf(digit: str, on_samples: int, off_samples: int, level_dbm0: float, twist_db: float) -> Signal:
    """One digit; `level_dbm0` is the low tone's, the high one stands `twist_db` above it."""
    row, column = divmod(_KEYS.index(digit), 4)
    sound = np.zeros(on_samples + off_samples, np.float32)
    sound[:on_samples] = sine(_ROWS_HZ[row], level_dbm0, on_samples)
    sound[:on_samples] += sine(_COLUMNS_HZ[column], level_dbm0 + twist_db, on_samples)
    return sound


def click(samples: int) -> Signal:
    """What a break of the loop sounds like: a knock that dies away."""
    time = np.arange(samples, dtype=np.float32)
    knock: Signal = (np.float32(0.5) * np.exp(-time / 12) * np.cos(time * np.float32(0.9))).astype(np.float32)
    return knock


def caller_id(number: str, standard: CallerIdStandard, time: str, *, alert: bool, level_db: float) -> Signal:
    """The number as the exchange sends it, with date and time (MMDDhhmm); `level_db` above libspandsp's own level."""
    audio = spandsp.caller_id_tx(number, standard=standard, time=time, alert=alert)
    return from_linear(audio) * np.float32(10 ** (level_db / 20))


def _period(tone: Tone) -> int:
    once = round(sum(tone.cadence_s) * RATE) or RATE
    repeats = max(1, -(-4 * RATE // once))
    while repeats * once % BLOCK:
        repeats += 1
    return repeats * once


def _gate(cadence_s: tuple[float, ...], samples: int) -> Signal:
    if not cadence_s:
        return np.ones(samples, np.float32)
    once = [np.full(round(step_s * RATE), i % 2 == 0, np.float32) for i, step_s in enumerate(cadence_s)]
    return np.resize(np.concatenate(once), samples)
