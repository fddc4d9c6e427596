"""Whole data calls, both sides, drawn from a seed: what the carrier detector is measured on.

Written from the Recommendations: V.22 and V.22bis (clause 6.3), V.32bis (clauses 5 and 6), V.34 (clauses 5 and 10,
phases 2 to 4), V.90 (clauses 5, 8 and 9), V.8 and V.25 for what goes before. FSK, fax and a second V.22bis come from
libspandsp, which has no V.32, V.34 or V.90. Bits are random: no receiver would ever connect, but spectra, symbol
clocks, levels and the order of the signals are those prescribed; training lengths are drawn from the allowed ranges.

Signals are float64 at 8000 samples a second, a mean square of 1 being the nominal power of a side; `Call.sides` holds
them on the 16-bit scale at -10 dBm0 a side, to be weighed by the tap.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone, Fsk
from tests.eval.modem_waves import (
    RATE,
    Call,
    Carrier,
    Line,
    Rng,
    Symbols,
    Wave,
    alternating,
    keyed,
    points,
    shaped,
    tone,
)  # fmt: skip

FAMILY: Final = {
    **dict.fromkeys(("v27ter", "v29", "v17"), "fax"),
    **dict.fromkeys(("v21", "bell103", "v22", "v22bis", "v23", "v32", "v34", "v90"), "modem"),
}
V34_CARRIERS_HZ: Final = {
    2400: (1600, 1800),
    19200 / 7: (11520 / 7, 12800 / 7),
    2800: (1680, 5600 / 3),
    3000: (1800, 2000),
    3200: (12800 / 7, 1920),
    24000 / 7: (96000 / 49, 96000 / 49),
}
"""V.34, tables 1 and 2: symbol rate, low and high carrier."""
_PROBE: Final = {
    150: 1, 300: -1, 450: 1, 600: 1, 750: 1, 1050: 1, 1350: 1, 1500: 1, 1650: -1, 1950: 1, 2100: 1, 2250: -1, 2550: 1,
    2700: -1, 2850: 1, 3000: -1, 3150: -1, 3300: -1, 3450: -1, 3600: 1, 3750: 1,
}  # fmt: skip
"""V.34, table 17: the tones of L1 and L2 and their signs."""


def _finish(caller: Line, answerer: Line, seconds: float, carriers: Sequence[Carrier], **notes: object) -> Call:
    n = round(seconds * RATE)
    return Call(caller.wave(n), answerer.wave(n), tuple(carriers), notes)


def v22_call(rng: Rng, *, bis: bool, seconds: float = 12.0) -> Call:
    """V.22 or V.22bis by clause 6.3.1 of V.22bis: USB1, S1, SB1 (1200 bit/s), then 2400 bit/s or 1200 for good."""
    guard_hz = float(rng.choice([0, 550, 1800]))
    start = rng.uniform(0.5, 2.0)

    def high(symbols: Symbols) -> Wave:
        wave = shaped(symbols, 600, 2400, 0.75)
        if guard_hz:
            wave = 0.89 * wave
            wave += tone(wave.size / RATE, guard_hz, 10 ** (-0.3 if guard_hz == 550 else -0.6), rng=rng)[: wave.size]
        return wave

    def low(symbols: Symbols) -> Wave:
        return shaped(symbols, 600, 1200, 0.75)

    def walk(count: int, turns: NDArray[Any]) -> Symbols:
        return np.asarray(np.exp(1j * np.cumsum(np.resize(turns, count)) * np.pi / 2))

    def scrambled(ms: float) -> Symbols:
        count = round(ms * 0.6)
        return walk(count, rng.integers(0, 4, count))

    answerer, caller = Line().until(start), Line()
    answerer.add(tone(rng.uniform(2.6, 4.0), 2100, 1, reversals_s=float(rng.choice([0, 0.45])), rng=rng))
    answerer.until(answerer.s + 0.075)
    onset = answerer.s
    heard = onset + 0.155 + rng.uniform(0, 0.08)
    caller.until(heard + 0.456)
    s1 = walk(60, np.array([1, 3]))
    data = 16 if bis else 4
    left = round((seconds - caller.s) * 600)
    if bis:
        answered = caller.s + rng.uniform(0.06, 0.12)
        mine = [s1, scrambled(1000 * (answered + 0.6 - caller.s))]
        caller.add(low(np.concatenate([*mine, points(rng, left, data)])))
        usb1 = walk(round((answered - onset) * 600), np.array([3]))
        answerer.add(high(np.concatenate([usb1, s1, scrambled(500), points(rng, left, data)])))
    else:
        caller.add(low(np.concatenate([scrambled(1000), points(rng, left, 4)])))
        answered = heard + 0.456 + 0.27
        usb1 = walk(round((answered - onset) * 600), np.array([3]))
        answerer.add(high(np.concatenate([usb1, points(rng, left, 4)])))
    name = "v22bis" if bis else "v22"
    # Until S1 nothing distinguishes them.
    return _finish(caller, answerer, seconds, [Carrier(name, onset, seconds)], guard_hz=guard_hz, telling_s=answered)


def v32_call(rng: Rng, *, seconds: float = 14.0) -> Call:
    """V.32 or V.32bis by clause 6 of V.32bis: ANS with reversals, AA, AC, CA, S, TRN, R1..R3, duplex data."""
    rolloff, size = rng.uniform(0.1, 0.25), int(rng.choice([4, 16, 32, 64, 128]))

    def band(symbols: Symbols) -> Wave:
        return shaped(symbols, 2400, 1800, rolloff)

    def conditioning(trn: int) -> list[Symbols]:
        return [alternating(256), -alternating(16), points(rng, trn, 4)]

    caller, answerer = Line(), Line().until(rng.uniform(0.3, 1.5))
    answerer.add(tone(rng.uniform(2.6, 3.6), 2100, 1, reversals_s=0.45, rng=rng)).until(answerer.s + 0.075)
    ac = answerer.s
    calling = ac - rng.uniform(-0.1, 1.0)
    reversal = max(ac + 0.06, calling + 0.08)
    count = round((reversal - ac) * 1200) * 2
    caller.until(calling)
    caller.add(tone(reversal + 0.03 - calling, 1800, 1, rng=rng), tone(0.06, 1800, 1, rng=rng))
    silent = caller.s + 0.01
    first = [alternating(count, 180), -alternating(144, 180), alternating(2 * round((silent - reversal - 0.06) * 1200))]
    first += [np.zeros(16, np.complex128)]
    trn = round(2400 * rng.uniform(0.6, 3.4))
    answerer.add(band(np.concatenate([*first, *conditioning(trn), points(rng, 600, 4)])))
    # The caller's S ends R1.
    s = answerer.s - 0.02
    caller.until(s)
    trn2, r2 = round(2400 * rng.uniform(0.6, 3.4)), round(2400 * rng.uniform(0.6, 1.5))
    left = round((seconds - s) * 2400)
    caller.add(
        band(np.concatenate([alternating(200), *conditioning(trn2), points(rng, r2, 4), points(rng, left, size)]))
    )
    answerer.until(s + (200 + 272 + trn2 + 300) / 2400)
    answerer.add(band(np.concatenate([*conditioning(1300), points(rng, 400, 4), points(rng, left, size)])))
    return _finish(caller, answerer, seconds, [Carrier("v32", ac, seconds)], rolloff=rolloff, points=size)


def _v8(caller: Line, answerer: Line, rng: Rng) -> None:
    """ANSam, CM and JM, CJ: V.8 clauses 7 and 8; both are silent 75 ms at the end."""
    answerer.until(rng.uniform(0.3, 1.5))
    start, length = answerer.s, rng.uniform(1.8, 3.5)
    reversals = float(rng.choice([0.45, 0.45, 0]))
    answerer.add(tone(length, 2100, 1, reversals_s=reversals, am=0.2, rng=rng))
    cm = np.tile(rng.integers(0, 2, 50), 9)
    caller.until(start + rng.uniform(1.0, length - 0.5))
    end = start + length + rng.uniform(0.6, 1.2)
    caller.add(keyed(cm, Fsk.V21_CH1)[: round((end - caller.s) * RATE)])
    answerer.add(keyed(np.tile(rng.integers(0, 2, 50), 9), Fsk.V21_CH2)[: round((end + 0.1 - answerer.s) * RATE)])
    both = max(caller.s, answerer.s) + 0.075
    caller.until(both)
    answerer.until(both)


def _phase2(low: Line, high: Line, rng: Rng, probes_first: Line) -> None:
    """V.34 clause 11.2.1 (V.90: 9.2.1, with the sides' bands exchanged): `low` sends on 1200 Hz, `high` on 2400 Hz
    with the 1800 Hz guard tone."""

    def info(line: Line, bits: int) -> None:
        turns = np.cumsum(rng.integers(0, 2, bits)) * np.pi
        wave = shaped(np.exp(1j * turns), 600, 1200 if line is low else 2400, 0.75)
        guard = tone(wave.size / RATE, 1800, 0.2, rng=rng)[: wave.size]
        line.add(wave if line is low else 0.89 * wave + guard)

    def hum(line: Line, seconds: float) -> None:
        line.add(tone(seconds, 1200, 1, rng=rng) if line is low else tone(seconds, 2400, 0.79, 1800, 0.2, rng=rng))

    info(low, 49)
    info(high, 49)
    answering, other = probes_first, low if probes_first is high else high
    hum(low, rng.uniform(0.15, 0.5))
    hum(low, 0.05)
    hum(high, low.s - high.s + 0.04)
    hum(high, 0.05)
    both = max(low.s, high.s)
    t = np.arange(round(0.7 * RATE)) / RATE
    comb = sum(sign * np.cos(2 * np.pi * hz * t) for hz, sign in _PROBE.items()) / np.sqrt(len(_PROBE) / 2)
    for line, listening in ((answering, other), (other, answering)):
        line.until(both)
        line.add(2 * comb[:1280], comb[: round(rng.uniform(0.25, 0.5) * RATE)])
        listening.until(line.s - rng.uniform(0.05, 0.2))
        hum(listening, rng.uniform(0.1, 0.3))
        hum(listening, 0.06)
        both = max(line.s, listening.s)
    low.until(both)
    info(low, 109)
    high.until(low.s - 0.15)
    hum(high, 0.15)
    info(high, 70)


class _V34Band:
    """One direction of V.34: a symbol rate, a carrier, a spectrum."""

    def __init__(self, rng: Rng, rates: Sequence[float]) -> None:
        self.rng = rng
        self.baud = float(rng.choice(np.array(rates)))
        self.carrier_hz = float(V34_CARRIERS_HZ[self.baud][int(rng.integers(0, 2))])
        self.rolloff, self.tilt_db = rng.uniform(0.08, 0.2), rng.uniform(-2, 8)
        self.points = int(rng.choice([16, 64, 256, 640, 960, 1408]))

    def wave(self, *symbols: Symbols) -> Wave:
        return shaped(np.concatenate(symbols), self.baud, self.carrier_hz, self.rolloff, self.tilt_db)

    def training(self, seconds: float) -> list[Symbols]:
        k, i = np.divmod(np.arange(288), 4)
        pp = np.exp(1j * np.pi * np.where(k % 3 == 1, k * i + 4, k * i) / 6)
        trn = points(self.rng, round(seconds * self.baud), 4)
        return [alternating(128), -alternating(16), pp, trn]

    def data(self, seconds: float) -> list[Symbols]:
        b = self.baud
        return [points(self.rng, round(1.2 * b), 4), points(self.rng, round(max(0.0, seconds) * b), self.points)]


def v34_call(rng: Rng, *, seconds: float = 16.0) -> Call:
    """V.34 after V.8: INFO, tones A and B, L1 and L2, half-duplex training both ways, duplex data."""
    caller, answerer = Line(), Line()
    _v8(caller, answerer, rng)
    phase2 = answerer.s
    _phase2(caller, answerer, rng, answerer)
    up, down = _V34Band(rng, list(V34_CARRIERS_HZ)), _V34Band(rng, list(V34_CARRIERS_HZ))
    if rng.uniform() < 0.6:
        up.baud, up.carrier_hz = down.baud, down.carrier_hz
    answerer.until(answerer.s + 0.07)
    phase3 = answerer.s
    answerer.add(down.wave(*down.training(rng.uniform(0.4, 1.9))))
    caller.until(answerer.s + rng.uniform(-0.02, 0.1))
    caller.add(up.wave(*up.training(rng.uniform(0.4, 1.9)), *up.data(seconds - caller.s)))
    answerer.until(answerer.s + rng.uniform(1.0, 2.4))
    answerer.add(down.wave(alternating(128), *down.data(seconds - answerer.s)))
    carriers = [Carrier("v34", phase3, seconds)]
    return _finish(caller, answerer, seconds, carriers, phase2_s=phase2, up=up.baud, down=down.baud)


def v90_call(rng: Rng, *, seconds: float = 20.0, codec: bool | None = None) -> Call:
    """V.90: the digital modem answers; phase 2 with the bands exchanged, the analogue modem's V.34 training, then Sd,
    TRN1d, DIL and PCM data downstream. `codec`: heard behind the exchange's codec (200..3500 Hz), or in the digits."""
    codec = bool(rng.uniform() < 0.6) if codec is None else codec
    caller, answerer = Line(), Line()
    _v8(caller, answerer, rng)
    phase2 = answerer.s
    _phase2(answerer, caller, rng, caller)
    up = _V34Band(rng, [3000, 3200, 3200])
    up.points = int(rng.choice([64, 256, 640]))
    caller.until(caller.s + 0.07)
    phase3 = caller.s
    caller.add(up.wave(*up.training(rng.uniform(0.5, 2.0)), points(rng, 600, 4)))
    answerer.until(caller.s - 0.05)
    pcm = answerer.s
    w = 1.2
    sd = np.tile([w, 0.02, w, -w, -0.02, -w], 64)
    trn1d = rng.choice([-1.0, 1.0], round(rng.uniform(2.2, 4.5) * RATE))
    dil = np.concatenate([_dil_segment(rng) for _ in range(int(rng.integers(40, 125)))])
    answerer.add(_line_codec(np.concatenate([sd, trn1d, dil, _pcm_data(rng, seconds - answerer.s)]), codec))
    caller.until(pcm + (sd.size + trn1d.size) / RATE - rng.uniform(0.0, 0.3))
    caller.add(up.wave(alternating(128), *up.data(seconds - caller.s)))
    carriers = [Carrier("v34", phase3, pcm, frozenset({"v90"})), Carrier("v90", pcm, seconds)]
    return _finish(caller, answerer, seconds, carriers, phase2_s=phase2, up=up.baud, codec=codec)


def _dil_segment(rng: Rng) -> Wave:
    """A training symbol among reference symbols in a pattern of signs (V.90, 8.4.1)."""
    length = 6 * int(rng.integers(4, 30))
    signs = np.resize(rng.choice([-1.0, 1.0], 12), length)
    training = np.resize(rng.integers(0, 2, 6), length).astype(bool)
    return np.asarray(signs * np.where(training, 10 ** rng.uniform(-1.5, 0.4), 0.6))


def _pcm_data(rng: Rng, seconds: float) -> Wave:
    """Codes of a constellation, as G.711 spaces them, with random signs."""
    count = round(max(0.0, seconds) * RATE)
    magnitudes = np.unique(np.round(2.0 ** rng.uniform(-5, 1.3, int(rng.integers(12, 40))), 2))
    wave = rng.choice(magnitudes, count) * rng.choice([-1.0, 1.0], count)
    return np.asarray(wave / np.sqrt(np.mean(wave**2)) if count else wave)


def _line_codec(wave: Wave, on: bool) -> Wave:
    """The exchange's reconstruction filter and the line: 200 to 3500 Hz (G.712)."""
    if not on:
        return wave
    spectrum = np.fft.rfft(wave)
    hz = np.fft.rfftfreq(wave.size, 1 / RATE)
    gain = 1 / np.sqrt(1 + (180 / np.maximum(hz, 1)) ** 6) / np.sqrt(1 + (np.maximum(hz, 1) / 3550) ** 60)
    return np.asarray(np.fft.irfft(spectrum * gain, wave.size))


def fsk_call(rng: Rng, name: str, *, seconds: float = 9.0) -> Call:
    """V.21, Bell 103 or V.23: answer tone, the answerer's mark, the caller's mark, then data in bursts both ways."""
    answer = {"bell103": 2225.0}.get(name, 2100.0)
    specs = {
        "v21": (Fsk.V21_CH1, Fsk.V21_CH2),
        "bell103": (Fsk.BELL103_CH1, Fsk.BELL103_CH2),
        "v23": (Fsk.V23_CH2, Fsk.V23_CH1),
    }[name]
    caller, answerer = Line(), Line().until(rng.uniform(0.3, 1.0))
    answerer.add(tone(rng.uniform(2.0, 3.3), answer, 1, rng=rng))
    if name != "bell103":
        answerer.until(answerer.s + 0.075)
    # Before data each side idles on its mark, which alone is nobody's carrier yet.
    idle = rng.uniform(0.2, 0.8)
    both = answerer.s + idle
    for line, spec, lead in ((answerer, specs[1], idle), (caller, specs[0], idle / 2)):
        baud = {Fsk.V23_CH1: 1200, Fsk.V23_CH2: 75}.get(spec, 300)
        line.until(both - lead)
        bits = np.concatenate([np.ones(round(lead * baud)), rng.integers(0, 2, round((seconds - both + 1) * baud))])
        line.add(keyed(bits, spec)[: round((seconds - line.s) * RATE)])
    return _finish(caller, answerer, seconds, [Carrier(name, both, seconds)])


def v22bis_spandsp(rng: Rng, *, bis: bool, seconds: float = 9.0) -> Call:
    """libspandsp's V.22 or V.22bis: 75 ms of silence, then the handshake; no answer tone."""
    guards: Any = (0, 550, 1800)
    guard = guards[int(rng.integers(0, 3))]
    sides = spandsp.v22bis_call(seconds, bit_rate=2400 if bis else 1200, guard_hz=guard, seed=int(rng.integers(1, 99)))
    name = "v22bis" if bis else "v22"
    return _of_spandsp(sides[0], sides[1], [Carrier(name, 0.075, seconds)], guard_hz=guard)


def _of_spandsp(caller: NDArray[Any], answerer: NDArray[Any], carriers: Sequence[Carrier], **notes: object) -> Call:
    unit = max(float(np.sqrt(np.mean(side[side != 0].astype(float) ** 2))) for side in (caller, answerer))
    return Call(caller / unit, answerer / unit, tuple(carriers), notes)


def fax_burst(rng: Rng, name: str, *, seconds: float = 5.0) -> Call:
    """CED, the V.21 of DIS and DCS, then training and data of one of the fax modems at one of its rates."""
    rates = {"v17": (7200, 9600, 12000, 14400), "v29": (7200, 9600), "v27ter": (2400, 4800)}[name]
    kind: Any = name
    data = spandsp.modem_tx(
        kind, int(rng.choice(rates)), round(seconds * RATE), echo_protection_tone=True, seed=int(rng.integers(1, 999))
    )
    flags = spandsp.fsk_tx(np.tile(np.array([0, 1, 1, 1, 1, 1, 1, 0], np.uint8), 50), Fsk.V21_CH2)
    ced = spandsp.connect_tone_tx(ConnectTone.ANS, 3 * RATE)
    gap = np.zeros(600)
    answerer = np.concatenate([gap, ced, gap, flags])
    caller = np.concatenate([np.zeros(answerer.size + 1600), flags, gap])
    onset = caller.size / RATE
    caller = np.concatenate([caller, data])
    answerer = np.concatenate([answerer, np.zeros(caller.size - answerer.size)])
    return _of_spandsp(caller, answerer, [Carrier(name, onset, caller.size / RATE)])


def v8bis(rng: Rng) -> Wave:
    """What some modems send before ANSam: CRe, then messages of HDLC on V.21 between stations (V.8bis, clauses 7 to 9):
    each a tone pair of 400 ms and a single tone of 100 ms, or 100 ms of mark, two to five flags and some octets."""
    line = Line().until(rng.uniform(0.3, 1.0))
    pair = ((1375, 2002, 400), (1375, 2002, 1900), (1529, 2225, 1650))[int(rng.integers(0, 3))]
    line.add(tone(0.4, pair[0], 0.5, pair[1], 0.5, rng=rng), tone(0.1, pair[2], 1, rng=rng))
    for _ in range(int(rng.integers(1, 4))):
        line.until(line.s + rng.uniform(0.1, 0.6))
        flag = np.array([0, 1, 1, 1, 1, 1, 1, 0])
        octets = np.resize([0, 1, 1, 0, 1], 8 * int(rng.integers(5, 14))) ^ rng.integers(0, 2)
        bits = np.concatenate([np.ones(30), np.tile(flag, int(rng.integers(4, 6))), octets, np.tile(flag, 3)])
        line.add(keyed(bits, Fsk.V21_CH2)[: round(bits.size * RATE / 300)])
    return line.until(line.s + 0.1).wave(line.samples)


Maker = Callable[[Rng], Call]
MAKERS: Final[dict[str, Maker]] = {
    "v21": lambda rng: fsk_call(rng, "v21"),
    "bell103": lambda rng: fsk_call(rng, "bell103"),
    "v23": lambda rng: fsk_call(rng, "v23"),
    "v22": lambda rng: v22_call(rng, bis=False),
    "v22bis": lambda rng: v22_call(rng, bis=True),
    "v22 (spandsp)": lambda rng: v22bis_spandsp(rng, bis=False),
    "v22bis (spandsp)": lambda rng: v22bis_spandsp(rng, bis=True),
    "v32": v32_call,
    "v34": v34_call,
    "v90": v90_call,
    "v27ter": lambda rng: fax_burst(rng, "v27ter"),
    "v29": lambda rng: fax_burst(rng, "v29"),
    "v17": lambda rng: fax_burst(rng, "v17"),
}
"""Every kind of call, by the carrier it is named after."""
