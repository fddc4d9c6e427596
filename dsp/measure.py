"""What a stretch of a line measures: levels, noise, hum, ringing, clipping, offset, active speech, echo.

For the threshold wizard, the acceptance sheet and `linekeep analyse`: seconds to minutes of law bytes in, one figure
a channel out. Not for the 20 ms path; `dsp.Detectors` keeps the little that a meter needs there.

- Level and peak as ITU-T G.711 counts dBm0; noise floor by minimum statistics: the quietest 200 ms of the stretch
  above 100 Hz, where neither the mains nor ringing has its base.
- Lines at 50 or 60 Hz and their harmonics, and ringing between 18 and 30 Hz, from spectra of one second. Hum never
  stops: the quieter quarter of the seconds decides, so that a voice or ringing on the same frequencies does not.
  Ringing comes and goes: the loudest second decides.
- Active speech level after ITU-T P.56, method B: envelope of 30 ms, hangover of 200 ms, margin 15.9 dB.
- Echo: `x(t) + a x(t - d)` lays a ripple over every spectrum, of which the mean power cepstrum of many frames keeps a
  peak of one sample at d, while pitch, which wanders, smears. The ripple's depth is the level of the echo.

One tap hears both directions as one signal: which of them spoke cannot be told from it, so there is no share of
double talk here. Echo nearer than 3 ms is the shape of the line to this method, beyond 120 ms it is not looked for,
and an echo more than 25 dB down, or in less than some four seconds of speech, stays unknown.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE
from dsp.g711 import Law, decode_table
from dsp.levels import FLOOR_DBM0, dbm0, expansion

Values = NDArray[np.float32]
Signal = NDArray[np.float32]

_SECOND: Final = RATE
_UNKNOWN = np.float32(np.nan)


@dataclass(frozen=True)
class Measurements:
    """Every field is `[channels]`. NaN says that the stretch does not tell."""

    level_dbm0: Values
    """Root mean square of the whole, without offset."""
    peak_dbm0: Values
    """Level of the sine that would have the largest sample for its peak: 3.14 (A-law) or 3.17 dBm0 (u-law) at most."""
    noise_floor_dbm0: Values
    """Above 100 Hz; NaN for less than 200 ms."""
    clipped: Values
    """Share of the samples on the last step of the law, 0 to 1."""
    longest_clip_samples: NDArray[np.int64]
    """Longest run of such samples. A loud signal touches the last step; one that is cut off stays there."""
    offset_percent: Values
    """Mean, of full scale, with its sign."""
    hum_dbm0: Values
    """Mains hum with its harmonics up to 360 Hz; -90 for none that stands out, NaN for less than a second."""
    hum_hz: NDArray[np.int64]
    """50 or 60; 0 for no hum."""
    ringing_dbm0: Values
    """Loudest second of ringing voltage, 18 to 30 Hz; -90 for none that stands out, NaN for less than a second."""
    ringing_hz: Values
    """Its frequency; NaN for no ringing."""
    speech_dbm0: Values
    """Active speech level (P.56, method B); -90 where nothing is active."""
    speech_share: Values
    """Share of the stretch that P.56 counts as active, 0 to 1."""
    echo_ms: Values
    """Delay of the strongest echo; NaN for none that is sure."""
    echo_db: Values
    """Its level against the signal; NaN likewise."""


def measure(law_bytes: NDArray[np.uint8], law: Law) -> Measurements:
    """Measure a stretch, uint8 `[channels, n]`. Raises ValueError for anything else, or no sample."""
    if law_bytes.ndim != 2 or law_bytes.dtype != np.uint8 or not law_bytes.size:
        raise ValueError(f"Stretch {law_bytes.dtype}{list(law_bytes.shape)}: uint8 [channels, n >= 1] is wanted.")
    x = expansion(law)[law_bytes]
    offset = x.mean(1, keepdims=True)
    peak = np.abs(x).max(1)
    clipped, longest = _clipping(law_bytes, law)
    x -= offset
    hum, hum_hz, ringing, ringing_hz = _low_lines(x)
    speech, share = _active_speech(_without_hum(x))
    echo_ms, echo_db = _echo(x)
    return Measurements(
        level_dbm0=dbm0(np.square(x).mean(1)),
        peak_dbm0=dbm0(np.square(peak) / 2),
        noise_floor_dbm0=_noise_floor(x),
        clipped=clipped,
        longest_clip_samples=longest,
        offset_percent=(100 * offset[:, 0] / expansion(law).max()).astype(np.float32),
        hum_dbm0=hum,
        hum_hz=hum_hz,
        ringing_dbm0=ringing,
        ringing_hz=ringing_hz,
        speech_dbm0=speech,
        speech_share=share,
        echo_ms=echo_ms,
        echo_db=echo_db,
    )


def _clipping(law_bytes: NDArray[np.uint8], law: Law) -> tuple[Values, NDArray[np.int64]]:
    table = np.abs(decode_table(law).astype(np.int32))
    last = (table == table.max())[law_bytes]
    longest = np.zeros(len(last), np.int64)
    for c in last.any(1).nonzero()[0]:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], last[c].view(np.int8), [0]])))
        longest[c] = np.diff(edges)[::2].max()
    return last.mean(1, dtype=np.float64).astype(np.float32), longest


_QUIET: Final = 1600
_BLOCK: Final = 400


def _without_hum(x: Signal) -> Signal:
    """Without what lies below 100 Hz."""
    above = np.empty_like(x)
    for c, channel in enumerate(x):
        spectrum = np.fft.rfft(channel)
        spectrum[: -(-100 * channel.size // RATE)] = 0
        above[c] = np.fft.irfft(spectrum, channel.size)
    return above


def _noise_floor(x: Signal) -> Values:
    """The quietest 200 ms, every 50 ms. Hum and ringing go with the lowest bins of the blocks of 50 ms."""
    channels, n = x.shape
    blocks = n // _BLOCK
    if n < _QUIET:
        return np.full(channels, _UNKNOWN)
    cut = x[:, : blocks * _BLOCK].reshape(channels, blocks, _BLOCK)
    power = np.abs(np.fft.rfft(cut * np.float32(_HANN400), axis=2)) ** 2
    # Bins of 20 Hz: those below 100 Hz, and the leakage of the window, go.
    above = power[:, :, 6:].sum(2) * (2 / _BLOCK / np.square(_HANN400).sum())
    four = np.lib.stride_tricks.sliding_window_view(above, _QUIET // _BLOCK, axis=1).mean(2)
    return dbm0(four.min(1) * _MINIMUM_BIAS)


_HANN400: Final = np.hanning(_BLOCK)
_MINIMUM_BIAS: Final = 1.07
"""The quietest of many 200 ms of white noise is some 0.3 dB below their mean."""


def _low_lines(x: Signal) -> tuple[Values, NDArray[np.int64], Values, Values]:
    """Hum: dBm0 and base; ringing: dBm0 and Hz."""
    channels, n = x.shape
    if n < _SECOND:
        unknown = np.full(channels, _UNKNOWN)
        return unknown, np.zeros(channels, np.int64), unknown.copy(), unknown.copy()
    window = np.hanning(_SECOND).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, _SECOND, axis=1)[:, :: _SECOND // 2]
    # Bins of 1 Hz, scaled so that a line is its mean square when its five bins are added.
    power = np.stack([np.abs(np.fft.rfft(frames[:, i] * window)[:, :400]) ** 2 for i in range(frames.shape[1])], 1)
    power *= 2 / _SECOND / np.square(window).sum()
    steady = np.quantile(power, 0.25, axis=1)
    hums = np.stack([_comb(steady, base) for base in (50, 60)])
    best = hums.argmax(0)
    hum = dbm0(hums.max(0))
    hum_hz = np.where(hum > FLOOR_DBM0, np.array([50, 60])[best], 0)
    return hum, hum_hz, *_ringing(power)


_STANDS_OUT: Final = 8.0
"""A line holds this many times what its neighbourhood would give it."""


def _line(power: NDArray[np.floating], hz: NDArray[np.intp]) -> NDArray[np.float64]:
    """Power of the lines at `hz` of spectra `[..., 400]`, 0 where they do not stand out: `[..., len(hz)]`."""
    own = sum(power[..., hz + k] for k in range(-2, 3))
    around = np.median(np.stack([power[..., hz + k] for k in (-9, -8, -7, -6, -5, 5, 6, 7, 8, 9)]), axis=0)
    found: NDArray[np.float64] = np.where(own > _STANDS_OUT * 5 * around, own, 0.0)
    return np.where(found > 10 ** (-75 / 10), found, 0.0)


def _comb(power: NDArray[np.floating], base_hz: int) -> NDArray[np.float64]:
    """Hum at `base_hz`: nothing unless the base or its third harmonic is there, which a voice would not hold alone."""
    lines = _line(power, base_hz * np.arange(1, 361 // base_hz + 1))
    found: NDArray[np.float64] = np.where((lines[:, 0] > 0) | (lines[:, 2] > 0), lines.sum(1), 0.0)
    return found


def _ringing(power: NDArray[np.floating]) -> tuple[Values, Values]:
    """The loudest line between 18 and 30 Hz of spectra `[channels, frames, 400]`."""
    hz = np.arange(18, 31)
    own = power[:, :, 16:33]
    sums = np.lib.stride_tricks.sliding_window_view(own, 5, axis=2).sum(3)
    frame, at = np.unravel_index(sums.reshape(len(sums), -1).argmax(1), sums.shape[1:])
    every = np.arange(len(sums))
    loudest = sums[every, frame, at]
    # Pops of breath have more below, and speech far more above.
    below, other = power[every, frame, 3:12].sum(1), power[every, frame, 70:400].sum(1)
    found = (loudest > 10 ** (-60 / 10)) & (loudest > 4 * below) & (loudest > 0.5 * other)
    level = np.where(found, dbm0(loudest), np.float32(FLOOR_DBM0))
    return level.astype(np.float32), np.where(found, hz[at], _UNKNOWN).astype(np.float32)


_ENVELOPE: Final = 20
"""Samples (2.5 ms) of which the rectified mean is taken before smoothing."""
_SMOOTH_S: Final = 0.03
_HANGOVER_S: Final = 0.2
_MARGIN_DB: Final = 15.9


def _active_speech(x: Signal) -> tuple[Values, Values]:
    """P.56, method B (clause 6): level and activity. Two exponential means of 30 ms, one after the other, are one
    weighted mean over the last 300 ms here."""
    channels, n = x.shape
    blocks = n // _ENVELOPE
    if not blocks:
        return np.full(channels, np.float32(FLOOR_DBM0)), np.zeros(channels, np.float32)
    means = np.abs(x[:, : blocks * _ENVELOPE]).reshape(channels, blocks, _ENVELOPE).mean(2)
    envelope = _held(_smoothed(means), round(_HANGOVER_S * RATE / _ENVELOPE))
    total = np.square(x).sum(1, dtype=np.float64) / n
    # All thresholds at once, half a decibel apart: activity falls and the level of the active part rises with them.
    thresholds_db = np.arange(-80.0, 5.0, 0.5)
    levels = np.sort(20 * np.log10(np.maximum(envelope, 1e-5)), axis=1)
    speech, share = np.full(channels, FLOOR_DBM0), np.zeros(channels)
    for c in range(channels):
        active = (blocks - np.searchsorted(levels[c], thresholds_db)) / blocks
        known = active > 0
        level = 10 * np.log10(total[c] / active[known] + 1e-12)
        over = level - thresholds_db[known]
        if known.any() and over.min() <= _MARGIN_DB <= over.max():
            speech[c] = np.interp(_MARGIN_DB, over[::-1], level[::-1])
            share[c] = min(1.0, total[c] / 10 ** (speech[c] / 10))
    return speech.astype(np.float32), share.astype(np.float32)


def _smoothed(means: Values) -> Values:
    age = np.arange(1, 1 + round(0.3 * RATE / _ENVELOPE)) * (_ENVELOPE / RATE / _SMOOTH_S)
    weights = (age * np.exp(-age))[::-1]
    weights /= weights.sum()
    padded = np.pad(means, ((0, 0), (weights.size - 1, 0)))
    smooth: Values = np.lib.stride_tricks.sliding_window_view(padded, weights.size, axis=1) @ weights.astype(np.float32)
    return smooth


def _held(values: Values, blocks: int) -> Values:
    """The largest of each value and the `blocks` before it."""
    held, have = values, 1
    while have < blocks:
        more = min(have, blocks - have)
        held = np.maximum(held, np.pad(held, ((0, 0), (more, 0)))[:, : held.shape[1]])
        have += more
    return held


_FRAME: Final = 4096
_ECHO_S: Final = (0.003, 0.120)
_LEAST_FRAMES: Final = 20
_SURE: Final = 7.0
_FAINTEST_ECHO_DB: Final = -25.0
_LIFTER: Final = 81
"""Bins over which the spectrum is smoothed to be flattened."""
_FAR_FROM_PEAK: Final = np.r_[-40:-3, 4:41]


def _echo(x: Signal) -> tuple[Values, Values]:
    """Delay (ms) and level (dB) of the strongest echo of each channel."""
    found = [_echo_of(channel) for channel in x]
    delays, levels = np.array(found, np.float32).T
    return delays, levels


def _echo_of(x: Signal) -> tuple[float, float]:
    """From the mean power cepstrum of the louder half of the frames."""
    if x.size < _FRAME * _LEAST_FRAMES // 4:
        return np.nan, np.nan
    frames = np.lib.stride_tricks.sliding_window_view(x, _FRAME)[:: _FRAME // 4]
    power = np.square(frames).mean(1)
    active = power > max(10 ** (-50 / 10), 10 ** (-15 / 10) * float(power.max()))
    if active.sum() < _LEAST_FRAMES:
        return np.nan, np.nan
    band = slice(round(300 / RATE * _FRAME), round(3400 / RATE * _FRAME))
    window = np.hanning(_FRAME).astype(np.float32)
    mean_log = np.zeros(band.stop - band.start)
    for frame in frames[active]:
        mean_log += np.log(np.abs(np.fft.rfft(frame * window)[band]) ** 2 + 1e-9)
    mean_log /= active.sum()
    return _ripple(mean_log, band.start)


def _ripple(mean_log: NDArray[np.float64], first: int) -> tuple[float, float]:
    """Delay and level of the ripple in a mean log spectrum whose first bin is number `first`."""
    size = mean_log.size
    hann = np.hanning(size)
    smooth = np.convolve(np.pad(mean_log, _LIFTER // 2, "edge"), np.ones(_LIFTER) / _LIFTER, "valid")
    spread = np.zeros(_FRAME // 2 + 1)
    spread[first : first + size] = (mean_log - smooth) * hann
    ripple = np.fft.irfft(spread)[: _FRAME // 2] * (_FRAME / hann.sum() / 2)
    delays = np.arange(round(_ECHO_S[0] * RATE), round(_ECHO_S[1] * RATE))
    strength = np.abs(ripple)
    around = np.median(strength[np.maximum(delays[:, None] + _FAR_FROM_PEAK, 0)], axis=1)
    # A frame holds less of an echo the later it comes, and the smoothing has taken some of what comes soon.
    held = (1 - delays / _FRAME) * (1 - np.sinc(delays * _LIFTER / _FRAME))
    score = strength[delays] / around
    best = int(score.argmax())
    level_db = 20 * np.log10(min(float(strength[delays[best]] / held[best]), 1.0))
    if score[best] < _SURE or level_db < _FAINTEST_ECHO_DB:
        return np.nan, np.nan
    return 1000 * float(delays[best]) / RATE, float(level_db)
