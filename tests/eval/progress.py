"""Progress tones: every tone of every zone's plan as it may be, sequences of two, and speech and music without any."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from dsp.detectors import Detectors
from dsp.events import Event
from dsp.g711 import Law
from dsp.zones import ZONES, Zone
from tests.eval import corpus
from tests.eval.progress_signals import LAWS, Case, drawn
from tests.eval.report import Part, Row, Section
from tests.eval.tap import RATE

SEEDS: dict[Part, int] = {"seen": 1000, "unseen": 9000}
WINDOW_S = 60


def heard(zone: Zone, law: Law, lines: Sequence[NDArray[np.uint8]]) -> list[list[tuple[float, Event]]]:
    """What is said of each line: seconds fed when it was said, and the event. Lines are channels of one batch."""
    n = -(-max(line.size for line in lines) // 160) * 160
    batch = np.full((len(lines), n), g711.IDLE[law], np.uint8)
    for row, line in zip(batch, lines, strict=True):
        row[: line.size] = line
    detectors = Detectors(len(lines), law, zone, ["progress", "dtmf"])
    said: list[list[tuple[float, Event]]] = [[] for _ in lines]
    for at in range(0, n, 160):
        for event in detectors.feed(batch[:, at : at + 160]):
            if event.kind == "progress":
                said[event.channel].append(((at + 160) / RATE, event))
    for event in detectors.close():
        if event.kind == "progress":
            said[event.channel].append((n / RATE, event))
    return said


def cases(part: Part, each: int) -> Iterable[Case]:
    rng = np.random.default_rng(SEEDS[part])
    speech = next(iter(corpus.speech(part, 60).values()))
    for zone, plan in ZONES.items():
        for tone in plan.tones:
            for _ in range(each):
                yield drawn(zone, tone, rng, speech)


def right(case: Case, said: Iterable[tuple[float, Event]]) -> bool:
    """Nothing but what sounds was said, in the order in which it sounds."""
    values = [event.value for _, event in said if event.end_s is None]
    return tuple(dict.fromkeys(values)) == case.values


def section(part: Part, scale: float = 1.0) -> Section:
    all_cases = list(cases(part, max(1, round(20 * scale))))
    score: dict[tuple[str, str], list[bool]] = defaultdict(list)
    late: dict[str, list[float]] = defaultdict(list)
    for zone in ZONES:
        for law in LAWS:
            mine = [c for c in all_cases if c.zone == zone and c.law == law]
            for case, said in zip(mine, heard(zone, law, [c.heard for c in mine]) if mine else [], strict=True):
                good = right(case, said)
                score[zone, case.values[0]].append(good)
                if good:
                    late[case.values[0]].append(said[0][0] - case.onset_s)
    rows = [
        Row(f"{zone}: {value}", ">= 0.97", float(np.mean(good)), None, len(good))
        for (zone, value), good in score.items()
    ]
    rows += [
        Row(f"{value}: told after, p95", "", float(np.percentile(s, 95)), None, len(s), "s")
        for value, s in late.items()
    ]
    return Section("Progress tones", [*rows, *false_alarms(part, scale)])


def false_alarms(part: Part, scale: float) -> list[Row]:
    rows = []
    for what, sounds in (("speech", corpus.speech(part)), ("music", corpus.music(part))):
        audio = np.concatenate(list(sounds.values()))
        audio = audio[: round(audio.size * min(scale, 1.0)) // (WINDOW_S * RATE) * WINDOW_S * RATE]
        hours = audio.size / RATE / 3600
        for zone in ZONES:
            lines = g711.encode(audio, "alaw").reshape(-1, WINDOW_S * RATE)
            said = heard(zone, "alaw", list(lines)) if hours else []
            count = len({event.id for one in said for _, event in one})
            rows.append(Row(f"{zone}: false in {what}", "<= 1", count / max(hours, 1e-9), None, len(lines), "an hour"))
    return rows
