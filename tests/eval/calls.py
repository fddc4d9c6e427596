"""The class of whole calls, as a tap hears them: what it ends as, how soon a machine is named, what is never said.

Fax calls are libspandsp's (every modem, with and without error correction), with and without CNG, with ringback or
somebody's hello before; data calls those of `modem_signals`; voice calls are prompts and dialogue of every language
after dial tone and digits, with ringback or busy tone; then menus with music on hold, music alone, silence with hum or
hiss, tones alone. Both laws in turn, sides up to 12 dB apart, some with an echo of the hybrid, all with noise.

The first telling signal of a fax is CNG or the flags of V.21; of a data call ANSam, Bell's tone, or its carrier where
only plain 2100 Hz came before. libspandsp has no class: beside it stands what its own tone receivers would tell.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone
from dsp import g711
from dsp.detectors import Detectors
from dsp.g711 import Law
from dsp.zones import ZONES
from tests.dsp import signals
from tests.eval import corpus, modem_signals, modem_waves
from tests.eval.report import Part, Row, Section
from tests.eval.tap import tap

RATE: Final = 8000
BLOCK: Final = 160
FIRST_SEED: Final = {"seen": 1000, "unseen": 9000}
LAWS: Final[tuple[Law, ...]] = ("alaw", "ulaw")
DATA: Final = ("v21", "bell103", "v22", "v22bis", "v23", "v32", "v34", "v90")
TELLING: Final = {"fax": 0.5, "modem": 1.5}
Side = NDArray[Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Made:
    """One call. `telling_s`: where its first telling signal begins; NaN where it has none."""

    what: str
    ends_as: str
    sides: tuple[Side, ...]
    telling_s: float = np.nan


@dataclass(frozen=True)
class Verdict:
    at_s: float
    value: str


def section(part: Part, scale: float = 1.0) -> Section:
    """The table of the class of a call."""
    made = calls(part, scale)
    heard: list[tuple[Made, list[Verdict], NDArray[np.uint8], Law]] = []
    for n, law in enumerate(LAWS):
        mine = made[n::2]
        if mine:
            batch = _tapped(mine, law, FIRST_SEED[part] + n)
            verdicts = listened(batch, law)
            heard += [(call, v, x, law) for call, v, x in zip(mine, verdicts, batch, strict=True)]
    rows, places = [], []
    for family, within_s in TELLING.items():
        some = [h for h in heard if h[0].ends_as == family]
        ours = [_named_after_s(call, verdicts) for call, verdicts, _, _ in some]
        theirs = [_spandsp_after_s(call, g711.decode(x, law)) for call, _, x, law in some]
        rows.append(
            Row(f"{family} calls named within {within_s} s of their first telling signal", "= 1",
                _share(ours, within_s), _share(theirs, within_s), len(some))
        )  # fmt: skip
        rows.append(Row(f"{family} calls that end as {family}", "= 1", _right(some), None, len(some)))
        known = [s for s in ours if np.isfinite(s)] or [np.inf]
        rows.append(
            Row(f"{family}: latency, 95 %", f"<= {within_s}", float(np.quantile(known, 0.95)), None, len(some), "s")
        )
        places += [f"{c.what}: named after {s:.2f} s" for (c, *_), s in zip(some, ours, strict=True) if s > within_s]
    people = [h for h in heard if h[0].ends_as in ("voice", "music", "none", "other")]
    ever = [c for c, verdicts, _, _ in people if any(v.value in TELLING for v in verdicts)]
    rows.append(Row("calls without a machine that were ever called one", "= 0", len(ever), None, len(people), "calls"))
    places += [f"{call.what}: called a machine" for call in ever]
    for value, what in (("voice", "voice calls, and music on hold after a prompt"), ("music", "music alone"),
                        ("none", "silence, hum, hiss"), ("other", "tones and digits alone")):  # fmt: skip
        some = [h for h in people if h[0].ends_as == value]
        rows.append(
            Row(f"{what}: end as {value}", ">= 0.95" if value == "music" else "= 1", _right(some), None, len(some))
        )
    ends = Counter((c.what, _end(v)) for c, v, _, _ in heard if _end(v) != c.ends_as)
    places += [f"{what}: ended as {end} ({count})" for (what, end), count in ends.items()]
    note = "Latency below zero counts as zero: a reversal told a data call before its carrier began."
    return Section("Class of a call", rows, [note], places if part == "seen" else [])


def calls(part: Part, scale: float) -> list[Made]:
    """Every call of a part, in an order in which both laws have some of each kind."""
    rng = np.random.default_rng(FIRST_SEED[part])
    speech = list(corpus.speech(part, in_suite=scale <= 0.05).items())
    music = list(corpus.music(part, in_suite=scale <= 0.05).items())
    few = max(1, round(12 * scale))
    made = [_fax(rng, k, speech) for k in range(2 * few)]
    made += [_data(rng, name) for name in DATA for _ in range(max(1, round(6 * scale)))]
    kinds: tuple[tuple[int, Callable[[Rng, int], Made]], ...] = (
        (6 * few, lambda rng, k: _voice(rng, *speech[k % len(speech)])),
        (few, lambda rng, k: _menu(rng, speech[k % len(speech)], music[k % len(music)])),
        (3 * few, lambda rng, k: _music(rng, *music[k % len(music)])),
        (few, lambda rng, k: Made("silence", "none", (signals.silence(20),))),
        (few, _tones),
    )
    for count, make in kinds:
        made += [make(rng, k) for k in range(count)]
    return made


def _fax(rng: Rng, k: int, speech: list[tuple[str, Side]]) -> Made:
    modems: Any = ("v17", "v29", "v27ter")[k % 3]
    call = spandsp.fax_call(modems=modems, ecm=k % 2 == 0, seed=int(rng.integers(1, 1000)))
    caller, answerer = call.caller[: 25 * RATE].copy(), call.answerer[: 25 * RATE]
    flags = _second_onset(answerer)
    telling = int(np.flatnonzero(caller)[0])
    if k % 4 >= 2:
        caller[:flags] = 0
        telling = flags
    before = (signals.silence(rng.uniform(0.2, 2)), _ringback(rng), _said(rng, speech[k % len(speech)][1], 2.5))[k % 3]
    sides = [np.concatenate([before, caller]), np.concatenate([np.zeros(before.size, np.int16), answerer])]
    what = f"fax {modems}{', no CNG' if k % 4 >= 2 else ''}, after {('silence', 'ringback', 'a hello')[k % 3]}"
    return Made(what, "fax", tuple(sides), (before.size + telling) / RATE)


def _second_onset(x: Side) -> int:
    """Where the second signal begins: the flags after CED."""
    loud = np.abs(x[: x.size - x.size % 80].reshape(-1, 80)).max(1) > 50
    starts = np.flatnonzero(loud & ~np.roll(loud, 1) & ~np.roll(loud, 2) & ~np.roll(loud, 3))
    return int(starts[1]) * 80


def _data(rng: Rng, name: str) -> Made:
    make: dict[str, Callable[[], modem_waves.Call]] = {
        "v22": lambda: modem_signals.v22_call(rng, bis=False),
        "v22bis": lambda: modem_signals.v22_call(rng, bis=True),
        "v32": lambda: modem_signals.v32_call(rng),
        "v34": lambda: modem_signals.v34_call(rng),
        "v90": lambda: modem_signals.v90_call(rng),
    }
    call = make[name]() if name in make else modem_signals.fsk_call(rng, name)
    telling = call.carriers[0].onset_s
    if name in ("v34", "v90", "bell103"):
        telling = float(np.flatnonzero(call.answerer)[0]) / RATE
    sides = call.sides(rng.uniform(-25, -8))
    if name == "v34" and rng.integers(0, 2):
        before = modem_signals.v8bis(rng) * np.sqrt(np.mean(np.square(sides[1])))
        sides = [np.concatenate([part, side]) for part, side in zip((0 * before, before), sides, strict=True)]
        name, telling = "v34 after V.8bis", telling + before.size / RATE
    return Made(name, "modem", tuple(sides), telling)


def _voice(rng: Rng, name: str, source: Side) -> Made:
    zone = ZONES["cn"]
    digits = spandsp.dtmf_tx("".join(rng.choice(list("0123456789"), 8)), on_ms=80, off_ms=120)
    first = (
        signals.silence(0.5),
        np.concatenate([signals.progress(zone.tone("dial"), rng.uniform(1, 3)), digits, _ringback(rng)]),
    )[int(rng.integers(0, 2))]
    last = (signals.silence(1), signals.progress(zone.tone("busy"), 5))[int(rng.integers(0, 2))]
    talk = _said(rng, source, 30)
    other = _said(rng, source, 30) if rng.random() < 0.3 else np.zeros(1, np.int16)
    lead = np.zeros(first.size, np.int16)
    return Made(f"voice, {name}", "voice", (np.concatenate([first, talk, last]), np.concatenate([lead, other])))


def _menu(rng: Rng, speech: tuple[str, Side], music: tuple[str, Side]) -> Made:
    sides = np.concatenate([_said(rng, speech[1], 15), _said(rng, music[1], 25, -22), _said(rng, speech[1], 8)])
    return Made(f"menu, {speech[0]}, {music[0]}", "voice", (sides,))


def _music(rng: Rng, name: str, source: Side) -> Made:
    return Made(f"music, {name}", "music", (_said(rng, source, 45, rng.uniform(-28, -12)),))


def _tones(rng: Rng, k: int) -> Made:
    if k % 3 == 2:
        return Made("digits", "other", (spandsp.dtmf_tx("13800138000", on_ms=90, off_ms=150),))
    name = ("dial", "busy")[k % 3]
    return Made(name, "other", (signals.progress(ZONES["cn"].tone(name), 15),))


def _ringback(rng: Rng) -> Side:
    return signals.progress(ZONES["cn"].tone("ringback"), float(rng.choice([5, 6, 10, 11])))


def _said(rng: Rng, source: Side, seconds: float, level_dbm0: float | None = None) -> Side:
    """A stretch that is not silent, at a level."""
    size = round(seconds * RATE)
    source = np.resize(source, max(source.size, 2 * size))
    start = int(rng.integers(0, source.size - size))
    stretch = source[start : start + size]
    if not np.abs(stretch).max() > 300:
        return _said(rng, source, seconds, level_dbm0)
    return signals.at_level(stretch, float(rng.uniform(-28, -8)) if level_dbm0 is None else level_dbm0)


def _tapped(made: list[Made], law: Law, seed: int) -> NDArray[np.uint8]:
    """`[calls, samples]`; the shorter are padded with idle."""
    rng = np.random.default_rng(seed)
    longest = -(-max(side.size for call in made for side in call.sides) // BLOCK) * BLOCK + RATE
    out = np.full((len(made), longest), g711.IDLE[law], np.uint8)
    for row, call in zip(out, made, strict=True):
        echo = (
            {"echo_db": float(rng.uniform(-30, -12)), "echo_ms": float(rng.uniform(1, 30))}
            if rng.random() < 0.3
            else {}
        )
        hum = float(rng.uniform(-60, -40)) if rng.random() < 0.3 or call.ends_as == "none" else None
        gains = [0.0, float(rng.uniform(-12, 0))][:: int(rng.choice([1, -1]))]
        noise = float(rng.uniform(-68, -50))
        x = tap(
            call.sides, law, gains_db=gains, noise_dbm0=noise, hum_dbm0=hum, seed=int(rng.integers(1 << 30)), **echo
        )
        row[: x.size] = x[: row.size]
    return out


def listened(batch: NDArray[np.uint8], law: Law) -> list[list[Verdict]]:
    """What was said of each call, and when, in blocks of 20 ms."""
    d = Detectors(len(batch), law)
    verdicts: list[list[Verdict]] = [[] for _ in batch]
    for at in range(0, batch.shape[1], BLOCK):
        for event in d.feed(batch[:, at : at + BLOCK]):
            if event.kind == "class" and event.end_s is None:
                verdicts[event.channel].append(Verdict((at + BLOCK) / RATE, event.value))
    return verdicts


def _end(verdicts: list[Verdict]) -> str:
    return verdicts[-1].value if verdicts else "nothing"


def _right(some: list[tuple[Made, list[Verdict], NDArray[np.uint8], Law]]) -> float:
    return float(np.mean([_end(verdicts) == call.ends_as for call, verdicts, _, _ in some]))


def _named_after_s(call: Made, verdicts: list[Verdict]) -> float:
    return next((max(0.0, v.at_s - call.telling_s) for v in verdicts if v.value == call.ends_as), np.inf)


def _share(after_s: list[float], within_s: float) -> float:
    return float(np.mean([s <= within_s for s in after_s]))


def _spandsp_after_s(call: Made, linear: NDArray[np.int16]) -> float:
    """When libspandsp's receivers first hear what tells this family."""
    kinds = {
        "fax": (ConnectTone.CNG, ConnectTone.FAX_PREAMBLE),
        "modem": (ConnectTone.ANSAM_PR, ConnectTone.BELL_ANS, ConnectTone.CALLING_TONE),
    }[call.ends_as]
    telling = {ConnectTone.CNG, ConnectTone.FAX_PREAMBLE, ConnectTone.BELL_ANS, ConnectTone.CALLING_TONE,
               ConnectTone.ANS_PR, ConnectTone.ANSAM, ConnectTone.ANSAM_PR}  # fmt: skip
    found = [at for kind in kinds for at, what, _ in spandsp.connect_tone_rx(linear, kind) if what in telling]
    return max(0.0, min(found) / RATE - call.telling_s) if found else np.inf
