"""Fax and dial-up calls as their two ends send them, from the answer on.

Fax, V.8 and V.22bis are libspandsp's. Of V.34 it has nothing, so what follows V.8 there is made here: it sounds and
measures like V.34 (ITU-T V.34, clause 10: INFO at 600 bit/s on 1200 and 2400 Hz, tones A and B, line probing, then
3200 Bd on 1829 Hz both ways), but no modem would train on it.
"""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone
from firmware.cards.simulated.plant import RATE, Signal, from_linear, sine

Ends = tuple[Signal, Signal]
"""What the caller and what the answerer sent."""

FaxKind = Literal["v17", "v29", "v27ter"]
ModemKind = Literal["v34", "v22bis"]
FAX_KINDS: tuple[FaxKind, ...] = ("v17", "v29", "v27ter")
MODEM_KINDS: tuple[ModemKind, ...] = ("v34", "v22bis")
_DATA_S = 12.0


@cache
def fax(kind: FaxKind) -> Ends:
    """A call of one page. CED begins 2.2 s after the answer (ITU-T V.25: 1.8 to 2.5 s)."""
    call = spandsp.fax_call(modems=kind, ecm=kind == "v17", seed=len(kind))
    # libspandsp's ends begin together, with CNG at once and CED after 0.2 s. A caller has sent CNG since it dialled:
    # 0.5 s every 3.5 s until it hears the other one's V.21, so once before CED and once under it.
    quiet = np.zeros(2 * RATE, np.int16)
    caller, answerer = np.concatenate([quiet, call.caller]), np.concatenate([quiet, call.answerer])
    caller[: 3 * RATE] = 0
    burst = spandsp.connect_tone_tx(ConnectTone.CNG, RATE // 2)
    for at in (int(0.3 * RATE), int(3.8 * RATE)):
        caller[at : at + burst.size] = burst
    return from_linear(caller), from_linear(answerer)


@cache
def modem(kind: ModemKind) -> Ends:
    """A dial-up call: V.8 and V.34, or the answer tone of V.25 and V.22bis."""
    if kind == "v34":
        caller, answerer = from_linear(spandsp.v8_call())
        return np.concatenate([caller, _v34(0)]), np.concatenate([answerer, _v34(1)])
    tone = spandsp.connect_tone_tx(ConnectTone.ANS, int(3.3 * RATE))
    pause = np.zeros(int(0.075 * RATE), np.int16)
    data = spandsp.v22bis_call(_DATA_S, seed=3)
    answer = np.concatenate([tone, pause, data[1]])
    call = np.concatenate([np.zeros(len(tone) + len(pause), np.int16), data[0]])
    return from_linear(call), from_linear(answer)


def _v34(end: int) -> Signal:
    """Everything after V.8 of one end (0 calls, 1 answers)."""
    rng = np.random.default_rng([34, end])
    carrier_hz = (1200, 2400)[end]
    info = _dpsk(rng.integers(0, 2, 60), carrier_hz)
    if end:
        info += sine(1800, -24, info.size)
    tone = sine(carrier_hz, -15, int(0.4 * RATE))
    tone[tone.size // 2 :] *= -1  # the reversal that measures the round trip
    probing = _probing(int(0.7 * RATE))
    quiet = np.zeros(int(0.2 * RATE), np.float32)
    # The ends probe one after the other; training and data are full duplex.
    first, second = (probing, np.zeros_like(probing))[:: 1 - 2 * end]
    return np.concatenate([info, tone, quiet, first, second, quiet, _qam(rng, int(_DATA_S * RATE))])


def _dpsk(bits: NDArray[np.int64], carrier_hz: int) -> Signal:
    """600 bit/s, a change of phase for each 1."""
    sign = np.cumprod(1 - 2 * bits)
    symbol = np.arange(bits.size * RATE // 600) * 600 // RATE
    return sine(carrier_hz, -15, symbol.size) * sign[symbol].astype(np.float32)


def _probing(samples: int) -> Signal:
    """L1: cosines every 150 Hz from 150 to 3750 Hz, without 900, 1200, 1800 and 2400 Hz (V.34, 10.1.2.4)."""
    sound = np.zeros(samples, np.float32)
    for step in range(1, 26):
        if step * 150 not in (900, 1200, 1800, 2400):
            # Phases that grow with the square keep the peaks low.
            delay = step * step * 2
            sound += np.roll(sine(step * 150, -26, samples), delay)
    return sound


def _qam(rng: np.random.Generator, samples: int) -> Signal:
    """3200 Bd on 1829 Hz at -15 dBm0, shaped by a root raised cosine of 12 %."""
    symbols = rng.integers(-3, 4, (2, samples * 3200 // RATE + 64)).astype(np.float64)
    baseband = np.zeros(symbols.shape[1] * 5, np.complex128)  # 16,000 samples a second
    baseband[::5] = symbols[0] + 1j * symbols[1]
    frequency = np.abs(np.fft.fftfreq(baseband.size, 1 / 16000))
    inner, outer = 1600 * 0.88, 1600 * 1.12
    shape = np.cos(np.pi / 2 * np.clip((frequency - inner) / (outer - inner), 0, 1))
    shaped = np.fft.ifft(np.fft.fft(baseband) * shape)
    wave = (shaped * np.exp(2j * np.pi * 1829 / 16000 * np.arange(shaped.size))).real[::2][:samples]
    level = 10 ** (-15 / 20) / np.sqrt(np.mean(wave**2))
    sound: Signal = (wave * level).astype(np.float32)
    return sound
