"""The copper of a simulated line: volts, loss, noise, hum and the echo of its hybrid.

A tap hears both parties at once, unequally: the near one, at this end of the loop, loud; the far one through the loss
of the network, and each again as an echo. What a line adds is drawn from the seed, so that a line keeps its character.
Figures: 48 V battery; a loop of some 20 mA over a telephone leaves 6 to 12 V; noise between -68 and -54 dBm0, mains
hum with its third and fifth harmonic between -75 and -60 dBm0; trans-hybrid loss of 14 to 26 dB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from dsp.levels import amplitude, rms_of_0dbm0
from firmware.cards import BLOCK, Law

RATE = 8000
Signal = NDArray[np.float32]
"""Linear audio in units where 0 dBm0 has a root mean square of 1: `[samples]`."""


@dataclass(frozen=True, slots=True)
class LinePlant:
    """What a line does to sound. Many lines of a large card share one."""

    name: str
    """Enters the names of shared sound."""
    near_gain_db: float
    far_gain_db: float
    exchange_gain_db: float
    """Of the tones of the exchange."""
    echo_gain_db: float
    echo_samples: int
    noise_dbm0: float
    hum_dbm0: float
    mains_hz: int


def draw_plant(seed: int, number: int, mains_hz: int) -> LinePlant:
    """The plant with this number: depends on nothing else."""
    rng = np.random.default_rng([seed, number, 0x10])
    return LinePlant(
        name=f"p{number}",
        near_gain_db=float(rng.uniform(-3.0, 0.0)),
        far_gain_db=float(rng.uniform(-10.0, -5.0)),
        exchange_gain_db=float(rng.uniform(-5.0, 0.0)),
        echo_gain_db=float(rng.uniform(-26.0, -14.0)),
        echo_samples=int(rng.integers(24, 280)),
        noise_dbm0=float(rng.uniform(-68.0, -54.0)),
        hum_dbm0=float(rng.uniform(-75.0, -60.0)),
        mains_hz=mains_hz,
    )


def gain(level_db: float) -> np.float32:
    return np.float32(10 ** (level_db / 20))


def two_parties(plant: LinePlant, near: Signal, far: Signal) -> Signal:
    """Both ends of a call as a tap on this line hears them."""
    heard = near * gain(plant.near_gain_db) + far * gain(plant.far_gain_db)
    heard[plant.echo_samples :] += heard[: -plant.echo_samples] * gain(plant.echo_gain_db)
    return heard


def on_line(plant: LinePlant, signal: Signal, law: Law, seed: int) -> NDArray[np.uint8]:
    """`signal` with the line's noise and hum, companded and filled to whole blocks."""
    samples = whole_blocks(signal.size)
    rng = np.random.default_rng([seed, 0x20])
    heard = rng.standard_normal(samples, dtype=np.float32) * gain(plant.noise_dbm0)
    heard[: signal.size] += signal
    heard += _hum(plant, samples)
    return compand(heard, law)


def compand(signal: Signal, law: Law) -> NDArray[np.uint8]:
    """One G.711 pass; what is louder than full scale is clipped."""
    linear = np.rint(signal * np.float32(rms_of_0dbm0(law)))
    return g711.encode(np.clip(linear, -32768, 32767).astype(np.int16), law)


def from_linear(linear: NDArray[np.int16], law: Law = "alaw") -> Signal:
    return linear.astype(np.float32) / np.float32(rms_of_0dbm0(law))


def whole_blocks(samples: int) -> int:
    """The next multiple of a block."""
    return -(-samples // BLOCK) * BLOCK


def sine(frequency_hz: float, level_dbm0: float, samples: int) -> Signal:
    """From phase 0."""
    peak = amplitude(level_dbm0) / rms_of_0dbm0("alaw")
    cycles = np.arange(samples) * (frequency_hz / RATE) % 1.0
    wave: Signal = (peak * np.sin(2 * np.pi * cycles)).astype(np.float32)
    return wave


def _hum(plant: LinePlant, samples: int) -> Signal:
    # A second of it holds whole cycles of every harmonic.
    second = sine(plant.mains_hz, plant.hum_dbm0, RATE)
    second += sine(3 * plant.mains_hz, plant.hum_dbm0 - 4, RATE)
    second += sine(5 * plant.mains_hz, plant.hum_dbm0 - 9, RATE)
    return np.resize(second, samples)
