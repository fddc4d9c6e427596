"""Caller ID as exchanges send it, over the whole range that receivers must take, drawn from a seed.

Written from Telcordia GR-30, ETSI EN 300 659-1 (and its DTMF annex) and YDN 069: independent of libspandsp's sender.
FSK is made at 32 kHz, continuous in phase, tones and rate off by what is allowed, and brought to 8 kHz, which limits
its band as a codec does. Around it stands what a line has: ringing at full level with its edges, hum, noise, an echo.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from dsp import g711, levels
from dsp.g711 import Law

RATE: Final = 8000
_FINE: Final = 32000
Wave = NDArray[np.float64]
Rng = np.random.Generator

TONES_HZ: Final = {"bell202": (1200.0, 2200.0), "v23": (1300.0, 2100.0)}
NAMES: Final = (
    "张三", "李小龙", "国家电网调度中心", "上海港务集团", "朱镕基", "ZHANG WEI", "JOHN Q SMITH", "Duty room 2", "",
)  # fmt: skip


def message(type_: int, parameters: Sequence[tuple[int, bytes]]) -> bytes:
    """Type, length, body, checksum. Of SDMF (04, 06) the bodies alone are sent, one after the other."""
    if type_ < 0x80:
        body = b"".join(part for _, part in parameters)
    else:
        body = b"".join(bytes([kind, len(part)]) + part for kind, part in parameters)
    said = bytes([type_, len(body)]) + body
    return said + bytes([-sum(said) % 256])


@dataclass(frozen=True)
class Keyed:
    """How a message is keyed; errors are shares, `twist_db` mark above space."""

    standard: Literal["bell202", "v23"] = "bell202"
    mark_error: float = 0.0
    space_error: float = 0.0
    rate_error: float = 0.0
    twist_db: float = 0.0
    seizure_bits: int = 300
    mark_bits: int = 180
    idle_bits: tuple[float, ...] = (0.0,)
    """Mark between bytes beyond the stop bit, in turn."""
    markout_bits: int = 0
    alert: bool = False
    """The dual tone 2130 + 2750 Hz, 100 ms, 60 ms before."""


def keyed(data: bytes, how: Keyed = Keyed()) -> Wave:
    """The signal at 8000 a second, mean square 1 while it is keyed."""
    mark, space = TONES_HZ[how.standard]
    runs: list[tuple[int, float]] = [(k % 2, 1.0) for k in range(how.seizure_bits)]
    runs.append((1, float(how.mark_bits)))
    for at, byte in enumerate(data):
        runs += [(0, 1.0), *((byte >> k & 1, 1.0) for k in range(8))]
        runs.append((1, 1.0 + how.idle_bits[at % len(how.idle_bits)]))
    runs.append((1, how.markout_bits + 1e-3))
    bit = np.array([bit for bit, _ in runs])
    edges = np.concatenate([[0.0], np.cumsum([bits for _, bits in runs])]) / (1200 * (1 + how.rate_error))
    hz = np.where(bit, mark * (1 + how.mark_error), space * (1 + how.space_error))
    turns = np.concatenate([[0.0], np.cumsum(hz * np.diff(edges))])
    t = np.arange(int(edges[-1] * _FINE)) / _FINE
    at_run = np.minimum(np.searchsorted(edges, t, "right") - 1, bit.size - 1)
    phase = turns[at_run] + hz[at_run] * (t - edges[at_run])
    ratio = 10 ** (how.twist_db / 20)
    amplitude = np.sqrt(4 / (1 + ratio**2)) * np.where(bit, ratio, 1.0)[at_run]
    wave: Wave = soxr.resample(amplitude * np.sin(2 * np.pi * phase), _FINE, RATE, quality="HQ")
    if how.alert:
        n = np.arange(800)
        tones = sum(np.sin(2 * np.pi * hz / RATE * n) for hz in (2130.0, 2750.0))
        wave = np.concatenate([tones, np.zeros(480), wave])
    return wave


DTMF_HZ: Final = {
    digit: ((697, 770, 852, 941)[i // 4], (1209, 1336, 1477, 1633)[i % 4]) for i, digit in enumerate("123A456B789C*0#D")
}


def dtmf(digits: str, on_ms: float = 70.0, off_ms: float = 70.0, twist_db: float = 2.0) -> Wave:
    """Digits at an even pace, mean square 1 while they sound."""
    n, off = np.arange(round(on_ms * 8)), np.zeros(round(off_ms * 8))
    ratio = 10 ** (twist_db / 20)
    scale = np.sqrt(2 / (1 + ratio**2))
    parts: list[Wave] = []
    for digit in digits:
        low, high = DTMF_HZ[digit]
        parts += [scale * (np.sin(2 * np.pi * low / RATE * n) + ratio * np.sin(2 * np.pi * high / RATE * n)), off]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Around:
    """What a line adds; levels dBm0. `snr_db` is measured in 300 to 3400 Hz against the signal while it is keyed."""

    level_dbm0: float = -13.5
    snr_db: float = 40.0
    hum_dbm0: float | None = None
    hum_hz: float = 50.0
    ring_dbm0: float | None = None
    """25 Hz before the message, up to 0.2 s before it, and again 0.25 s after it, each with the click of its edges."""
    echo_db: float | None = None
    echo_ms: float = 1.0
    before_s: float = 0.35
    after_s: float = 0.5


def on_line(signal: Wave, law: Law, around: Around, rng: Rng) -> tuple[NDArray[np.uint8], int]:
    """Law bytes `[n]`, and the sample after the last of the signal."""
    before, after = round(around.before_s * RATE), round(around.after_s * RATE)
    gain = 10 ** (around.level_dbm0 / 20)
    x = np.zeros(before + signal.size + after)
    x[before : before + signal.size] = gain * signal
    if around.echo_db is not None:
        delay = round(around.echo_ms * RATE / 1000)
        x[delay:] += 10 ** (around.echo_db / 20) * x[: x.size - delay].copy()
    n = np.arange(x.size)
    if around.hum_dbm0 is not None:
        hum = np.sqrt(2) * 10 ** (around.hum_dbm0 / 20)
        start = rng.uniform(0, 2 * np.pi)
        for k, below_db in ((1, 0), (2, 22), (3, 10), (5, 18), (7, 24)):
            x += hum * 10 ** (-below_db / 20) * np.sin(2 * np.pi * k * around.hum_hz / RATE * n + k * start)
    if around.ring_dbm0 is not None:
        x += _ringing(around.ring_dbm0, before, before + signal.size, x.size, rng)
    # White to 4 kHz: of that 3100 Hz are in the band.
    noise = around.level_dbm0 - around.snr_db + 10 * np.log10(4000 / 3100)
    x += rng.normal(0, 10 ** (noise / 20), x.size)
    linear = np.clip(np.rint(x * levels.rms_of_0dbm0(law)), -32768, 32767).astype(np.int16)
    return g711.encode(linear, law), before + signal.size


def _ringing(level_dbm0: float, begin: int, end: int, size: int, rng: Rng) -> Wave:
    n = np.arange(size)
    ring: Wave = np.sqrt(2) * 10 ** (level_dbm0 / 20) * np.sin(2 * np.pi * 25 / RATE * n + rng.uniform(0, 6.28))
    edges = begin - round(0.2 * RATE), end + round(0.25 * RATE)
    ring[max(edges[0], 0) : edges[1]] = 0
    for edge in edges:
        if 0 < edge < size:
            tail = n[: size - edge]
            ring[edge:] += 10 ** (level_dbm0 / 20) * rng.uniform(1, 3) * np.exp(-tail / 40) * np.cos(tail * 0.9)
    return ring


@dataclass(frozen=True)
class Case:
    """One message on a line, and what must be read from it."""

    law: Law
    law_bytes: NDArray[np.uint8]
    end_sample: int
    number: str
    fields: dict[str, str]
    kind: str
    """`sdmf`, `mdmf` (both Bell 202), `v23`, `dtmf`."""
    notes: dict[str, object] = field(default_factory=dict)


def number_of(rng: Rng, shortest: int = 3, longest: int = 16) -> str:
    return "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(shortest, longest + 1))))


def time_of(rng: Rng) -> str:
    month, day, hour, minute = rng.integers([1, 1, 0, 0], [13, 29, 24, 60]).tolist()
    return f"{month:02}{day:02}{hour:02}{minute:02}"


def range_of_keying(rng: Rng, kind: str) -> Keyed:
    """A sender somewhere in the allowed range."""
    v23 = kind == "v23"
    error = 0.015 if v23 else 0.01
    mark_error, space_error = rng.uniform(-error, error, 2).tolist()
    how = Keyed(
        "v23" if v23 else "bell202",
        mark_error,
        space_error,
        float(rng.uniform(-0.01, 0.01)),
        float(rng.uniform(-6, 6 if v23 else 10)),
        int(rng.integers(96, 316)),
        int(rng.integers(55, 206)),
        markout_bits=int(rng.integers(0, 11)),
        alert=v23,
    )
    if rng.uniform() < 0.2:  # Call waiting.
        how = replace(how, seizure_bits=0, mark_bits=int(rng.integers(55, 106)), alert=True)
    if rng.uniform() < 0.4:
        how = replace(how, idle_bits=tuple(rng.integers(0, 11, int(rng.integers(1, 6))).astype(float).tolist()))
    return how


def range_of_lines(rng: Rng, snr_db: float, level_dbm0: float) -> Around:
    """A line somewhere in the range, at a given level and SNR."""
    hum, ring, echo = rng.uniform(size=3) < (0.4, 0.6, 0.3)
    return Around(
        level_dbm0,
        snr_db,
        min(float(rng.uniform(-50, -32)), level_dbm0 - 3) if hum else None,
        float(rng.choice([50.0, 60.0])),
        float(rng.uniform(-25, -3)) if ring else None,
        float(rng.uniform(-25, -12)) if echo else None,
        float(rng.uniform(0.1, 6)),
        float(rng.uniform(0.25, 0.5)),
    )


def drawn(
    rng: Rng, kind: str, *, snr_db: float, level_dbm0: float, plain: bool = False, body_bytes: int | None = None
) -> Case:
    """A message of `kind`; `plain`: the sender and line are as they should be. `body_bytes` pads an MDMF."""
    law: Law = "alaw" if rng.uniform() < 0.5 else "ulaw"
    number = number_of(rng)
    around = range_of_lines(rng, snr_db, level_dbm0)
    if plain:
        around = replace(around, hum_dbm0=None, ring_dbm0=None, echo_db=None)
    if kind == "dtmf":
        start, end = rng.choice(list("ABCD")), rng.choice(list("CDA#"))
        on, off = rng.uniform(50, 100, 2).tolist()
        wave = dtmf(f"{start}{number}{end}", on, off, float(rng.uniform(-2, 3)))
        law_bytes, end_sample = on_line(wave, law, around, rng)
        return Case(law, law_bytes, end_sample - round(off * 8), number, {"number": number}, kind)
    time, name = time_of(rng), str(rng.choice(NAMES))
    fields = {"time": time, "number": number}
    parameters = [(1, time.encode()), (2, number.encode())]
    if kind != "sdmf" and name:
        fields["name"] = name
        parameters.append((7, name.encode("gbk")))
    if body_bytes is not None:
        used = sum(2 + len(part) for _, part in parameters)
        parameters.append((0x50, b"x" * (body_bytes - used - 2)))
    how = Keyed("v23", alert=True) if kind == "v23" else Keyed()
    how = how if plain else range_of_keying(rng, kind)
    wave = keyed(message(4 if kind == "sdmf" else 0x80, parameters), how)
    law_bytes, end_sample = on_line(wave, law, around, rng)
    return Case(law, law_bytes, end_sample, number, fields, kind, {"keyed": how, "around": around})
