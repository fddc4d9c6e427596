"""Signals for the detectors' tests: from libspandsp where it can send them, from Debian's recorded prompts, and from
plan tables with seeded noise. All are linear int16 at 8000 samples a second."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp import g711, levels
from dsp.detectors import Detectors
from dsp.events import Event
from dsp.g711 import Law
from dsp.zones import Tone, Zone

Audio = NDArray[np.int16]
SOUNDS = Path("/usr/share/asterisk/sounds")
MUSIC = Path("/usr/share/asterisk/moh")


def silence(seconds: float) -> Audio:
    return np.zeros(round(seconds * 8000), np.int16)


def clip(x: NDArray[Any]) -> Audio:
    return np.asarray(np.clip(np.rint(x), -32768, 32767), np.int16)


def mixed(*sides: NDArray[Any]) -> Audio:
    """What a tap hears of several directions; the shorter are padded."""
    out = np.zeros(max(side.size for side in sides))
    for side in sides:
        out[: side.size] += side
    return clip(out)


def with_noise(x: NDArray[Any], level_dbm0: float, seed: int = 1) -> Audio:
    return clip(
        x + np.random.default_rng(seed).normal(0, levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20), x.size)
    )


def at_level(x: NDArray[Any], level_dbm0: float) -> Audio:
    """Scaled so that what is not silence has this level."""
    sound = x[x != 0].astype(np.float64)
    return clip(x * (levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20) / np.sqrt(np.mean(sound**2))))


def progress(tone: Tone, seconds: float, *, off_hz: float = 0.0) -> Audio:
    """A progress tone in its cadence; of frequencies in turn, one round."""
    n = np.arange(round(seconds * 8000))
    if tone.in_turn:
        ends = np.cumsum(tone.cadence_s) * 8000
        hz = np.append(np.array(tone.frequencies_hz, float) + off_hz, 0.0)[np.searchsorted(ends, n, side="right")]
        return clip(levels.amplitude(tone.level_dbm0) * np.sin(2 * np.pi * np.cumsum(hz) / 8000) * (hz > 0))
    wave = sum(
        levels.amplitude(tone.level_dbm0) * np.sin(2 * np.pi * (f + off_hz) * n / 8000) for f in tone.frequencies_hz
    )
    return clip(wave * keyed(tone.cadence_s, n.size))


def keyed(cadence_s: Iterable[float], samples: int) -> NDArray[np.float64]:
    steps = [round(s * 8000) for s in cadence_s]
    if not steps:
        return np.ones(samples)
    period = np.concatenate([np.full(s, float(i % 2 == 0)) for i, s in enumerate(steps)])
    return np.resize(period, samples)


@cache
def recorded(folder: Path, channels: int, seconds: int, seed: int) -> Audio:
    """`[channels, samples]`: recordings under `folder`, in a seeded order, with pauses of 0.1 to 1 s between."""
    rng = np.random.default_rng(seed)
    files = sorted(folder.rglob("*.wav"))
    assert files, f"no recordings under {folder}: install the Debian packages that the Makefile names"
    rng.shuffle(files)
    out, at = np.zeros(channels * seconds * 8000, np.int16), 0
    for k in range(10**6):
        x, rate = soundfile.read(files[k % len(files)], dtype="int16")
        assert rate == 8000
        x = x[: out.size - at]
        out[at : at + x.size] = x
        at += x.size + int(rng.integers(800, 8000))
        if at >= out.size:
            break
    return out.reshape(channels, -1)


def heard(linear: Audio, law: Law = "alaw", zone: Zone = "cn", detectors: Iterable[str] | None = None) -> list[Event]:
    """All events of one channel, or of `[channels, samples]`."""
    batch = np.atleast_2d(linear)
    d = Detectors(batch.shape[0], law, zone, detectors)
    return d.feed(g711.encode(batch, law)) + d.close()


def final(events: Iterable[Event], kind: str) -> list[Event]:
    """The last word on each event of a kind, in order of discovery."""
    last: dict[int, Event] = {}
    for event in events:
        if event.kind == kind:
            last[event.id] = event
    return list(last.values())


def values(events: Iterable[Event], kind: str) -> list[str]:
    return [event.value for event in final(events, kind)]
