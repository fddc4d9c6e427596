"""Carriers: whole calls of every kind as a parallel tap hears them, and speech, music and noise without any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from dsp.detectors import Detectors
from dsp.events import Event
from dsp.g711 import Law
from tests.eval import corpus
from tests.eval.modem_signals import FAMILY, MAKERS
from tests.eval.modem_waves import Call, Carrier
from tests.eval.report import Part, Row, Section
from tests.eval.tap import RATE, tap

SEEDS: dict[Part, int] = {"seen": 1000, "unseen": 9000}
LATEST_S = 1.5
CALLS_EACH = 16
WINDOW_S = 60
LAWS: tuple[Law, Law] = ("alaw", "ulaw")
NOTES = [
    "Calls drawn from seeds by the Recommendations (tests/eval/modem_signals.py); FSK, the fax modems and a second set "
    "of V.22 and V.22bis are libspandsp's. The louder side has -3 to -35 dBm0, the other is up to 20 dB weaker, each "
    "with an echo of -10 to -30 dB within 20 ms, noise 20 dB or more below the louder and 12 dB "
    "or more below the weaker one.",
    f"Right: what stands {LATEST_S} s after the carrier's onset is its name (or family) and nothing of another. V.90's "
    "onset is that of the PCM codes downstream; before, V.34 is as true. A name that was told ahead, by the start-up, "
    "counts as no latency.",
    "libspandsp names no carrier.",
]


@dataclass(frozen=True)
class Verdict:
    carrier: Carrier
    named: bool
    of_family: bool
    latency_s: float | None


def section(part: Part, scale: float = 1.0) -> Section:
    each = max(1, round(CALLS_EACH * scale))
    rows: list[Row] = []
    everything: list[Verdict] = []
    for kind in MAKERS:
        verdicts = [v for call, said in _heard(kind, part, each) for v in judged(call, said)]
        everything += verdicts
        rows.append(Row(f"{kind}: name", ">= 0.90", _share([v.named for v in verdicts]), None, len(verdicts)))
    rows.append(Row("family, all", ">= 0.99", _share([v.of_family for v in everything]), None, len(everything)))
    rows.append(Row("name, all", ">= 0.90", _share([v.named for v in everything]), None, len(everything)))
    latencies = [v.latency_s for v in everything if v.latency_s is not None]
    for p in (50, 95):
        late = float(np.percentile(latencies, p)) if latencies else np.inf
        rows.append(Row(f"latency, p{p}", "<= 1.5" if p == 95 else "", late, None, len(latencies), "s"))
    rows += [_false_alarms(part, law, scale) for law in LAWS]
    return Section("Carriers in a call", rows, NOTES)


def judged(call: Call, said: Sequence[tuple[float, Event]]) -> list[Verdict]:
    """What the reports (second fed, event) of one call are worth, for each of its carriers."""
    verdicts = []
    for carrier in call.carriers:
        right = {carrier.name, *carrier.also}
        by_then = {e.id: e.value for at, e in said if at <= carrier.onset_s + LATEST_S}
        over = {e.id for at, e in said if e.end_s is not None and e.end_s <= carrier.onset_s}
        standing = {value for id_, value in by_then.items() if id_ not in over}
        named = bool(standing) and standing <= right
        of_family = bool(standing) and {FAMILY[value] for value in standing} == {FAMILY[carrier.name]}
        first = [at for at, e in said if e.value in right and e.id not in over]
        verdicts.append(Verdict(carrier, named, of_family, max(0.0, first[0] - carrier.onset_s) if first else None))
    return verdicts


def _heard(kind: str, part: Part, each: int) -> Iterator[tuple[Call, list[tuple[float, Event]]]]:
    """Calls of one kind with what was said of them; those of one law are channels of one batch."""
    # A string's own hash differs from run to run.
    first = SEEDS[part] + 100 * list(MAKERS).index(kind)
    for law, seeds in zip(LAWS, (range(first, first + each, 2), range(first + 1, first + each, 2)), strict=True):
        drawn = [_drawn(kind, law, seed) for seed in seeds]
        if drawn:
            yield from zip([call for call, _ in drawn], _said([line for _, line in drawn], law), strict=True)


def _drawn(kind: str, law: Law, seed: int) -> tuple[Call, NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    call = MAKERS[kind](rng)
    loud_dbm0, weaker_db = rng.uniform(-35, -3), -rng.uniform(0, 20)
    line = tap(
        call.sides(loud_dbm0),
        law,
        gains_db=(0.0, weaker_db) if rng.integers(0, 2) else (weaker_db, 0.0),
        noise_dbm0=max(-70.0, loud_dbm0 + min(weaker_db - rng.uniform(12, 30), -rng.uniform(20, 40))),
        echo_db=-rng.uniform(10, 30),
        echo_ms=float(rng.uniform(0.5, 20)),
        seed=seed,
    )
    return call, line


def _said(lines: Sequence[NDArray[np.uint8]], law: Law) -> list[list[tuple[float, Event]]]:
    n = -(-max(line.size for line in lines) // 160) * 160
    batch = np.full((len(lines), n), g711.IDLE[law], np.uint8)
    for row, line in zip(batch, lines, strict=True):
        row[: line.size] = line
    detectors = Detectors(len(lines), law)
    said: list[list[tuple[float, Event]]] = [[] for _ in lines]
    for at in range(0, n, 160):
        for event in detectors.feed(batch[:, at : at + 160]):
            if event.kind == "carrier":
                said[event.channel].append(((at + 160) / RATE, event))
    return said


def _false_alarms(part: Part, law: Law, scale: float) -> Row:
    """Carriers in what has none, an hour."""
    window = WINDOW_S * RATE
    longest_s = 300 * scale
    rng = np.random.default_rng(SEEDS[part])
    pieces = [*corpus.speech(part, longest_s).values(), *corpus.music(part, longest_s).values()]
    sound = np.concatenate([piece[: round(longest_s * RATE)] for piece in pieces])
    sound = np.concatenate([sound, np.zeros(-sound.size % window, np.int16)]).reshape(-1, window)
    noise = rng.normal(0, 1, (4, window)) * np.array([[8000], [2000], [500], [60]])
    batch = np.concatenate([sound, np.clip(np.rint(noise), -32768, 32767).astype(np.int16)])
    detectors = Detectors(len(batch), law)
    found = 0
    for at in range(0, window, RATE):
        events = detectors.feed(g711.encode(batch[:, at : at + RATE], law))
        found += len({e.id for e in events if e.kind == "carrier" and e.end_s is None})
    hours = len(batch) * WINDOW_S / 3600
    return Row(f"false carriers in speech, music and noise, {law}", "= 0", found / hours, None, len(batch), "an hour")


def _share(right: Sequence[bool]) -> float:
    return sum(right) / max(1, len(right))
