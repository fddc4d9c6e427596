"""Progress tones: every tone of every zone's plan as it may be, sequences of two, and speech and music without any."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import g711
from dsp.cadence import Pattern
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
SPANDSP_MINUTES = 30
NOTES = [
    "A case is right if nothing but the tone is said of it, from the first word on. Drawn: distance from the nominal "
    "frequencies over the whole tolerance, cadence +-8 % as a whole and 2 % a part, 0 to -35 dBm0, twist +-4 dB, "
    "noise 12 to 40 dB below, hum in a third, echo of -10 to -25 dB within 50 ms in two fifths, begun in mid-cadence "
    "in half, ended by digits (dial) or speech.",
    f"Cases of a false alarm are minutes; libspandsp hears the first {SPANDSP_MINUTES} of them.",
]


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
    speech = corpus.voice(part, 60)
    for zone, plan in ZONES.items():
        for tone in plan.tones:
            for _ in range(each):
                yield drawn(zone, tone, rng, speech)


def right(case: Case, said: Iterable[tuple[float, Event]]) -> bool:
    """Nothing but what sounds was said, in the order in which it sounds."""
    values = [event.value for _, event in said if event.end_s is None]
    return tuple(dict.fromkeys(values)) == case.values


def spandsp_plan(zone: Zone) -> list[list[tuple[int, int, int, int]]]:
    """The plan as libspandsp takes it, each length with the plan's tolerance and 20 ms, continuous tones as
    long as ours must be."""
    plan = []
    for tone in ZONES[zone].tones:
        share = ZONES[zone].tolerance if tone.tolerance is None else tone.tolerance
        parts = []
        for i, s in enumerate(tone.cadence_s):
            hz = (tone.frequencies_hz[i],) if tone.in_turn else tone.frequencies_hz if i % 2 == 0 else (0,)
            parts.append(
                ((*hz, 0)[0], (*hz, 0)[1], round(1000 * s * (1 - share) - 20), round(1000 * s * (1 + share) + 20))
            )
        lasting_ms = round(1000 * Pattern(ZONES[zone], tone).lasting_s)
        plan.append(parts or [((*tone.frequencies_hz, 0)[0], (*tone.frequencies_hz, 0)[1], lasting_ms, 0)])
    return plan


def spandsp_heard(zone: Zone, law: Law, line: NDArray[np.uint8]) -> list[str]:
    """What libspandsp's supervisory tone receiver says of the same line."""
    found = spandsp.super_tone_rx(g711.decode(line, law), spandsp_plan(zone))
    return [ZONES[zone].tones[tone].value for _, tone, _ in found if tone is not None]


def section(part: Part, scale: float = 1.0) -> Section:
    all_cases = list(cases(part, max(1, round(16 * scale))))
    score: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    late: dict[str, list[float]] = defaultdict(list)
    for zone in ZONES:
        for law in LAWS:
            mine = [c for c in all_cases if c.zone == zone and c.law == law]
            for case, said in zip(mine, heard(zone, law, [c.heard for c in mine]) if mine else [], strict=True):
                good = right(case, said)
                theirs = tuple(dict.fromkeys(spandsp_heard(zone, law, case.heard))) == case.values
                score[zone, case.values[0]].append((good, theirs))
                if good:
                    late[case.values[0]].append(said[0][0] - case.onset_s)
    rows = [_row(f"{zone}: {value}", good) for (zone, value), good in score.items()]
    rows.append(_row("all of them", [one for good in score.values() for one in good]))
    rows += [
        Row(f"{value}: told after, p95", "", float(np.percentile(s, 95)), None, len(s), "s")
        for value, s in late.items()
    ]
    return Section("Progress tones", [*rows, *false_alarms(part, scale)], NOTES)


def _row(what: str, good: list[tuple[bool, bool]]) -> Row:
    ours, theirs = np.mean(np.array(good, np.float64), axis=0).tolist()
    return Row(what, ">= 0.97", ours, theirs, len(good))


def false_alarms(part: Part, scale: float) -> list[Row]:
    rows = []
    longest_s = corpus.longest_s(scale)
    lines = {
        what: g711.encode(_minutes(sounds), "alaw")
        for what, sounds in (("speech", corpus.speech(part, longest_s)), ("music", corpus.music(part, longest_s)))
    }
    for zone in ZONES:
        said = heard(zone, "alaw", list(np.concatenate(list(lines.values()))))
        for what, own in lines.items():
            count = sum(len({event.id for _, event in one}) for one in said[: len(own)])
            said = said[len(own) :]
            theirs = sum(len(spandsp_heard(zone, "alaw", line)) for line in own[:SPANDSP_MINUTES])
            figures = count / len(own) * 60, theirs / min(len(own), SPANDSP_MINUTES) * 60
            rows.append(Row(f"{zone}: false in {what}", "<= 1", *figures, len(own), "an hour"))
    return rows


def _minutes(sounds: Mapping[str, NDArray[np.int16]]) -> NDArray[np.int16]:
    """`[minutes, samples]`, one at least."""
    audio = np.concatenate(list(sounds.values()))
    return np.resize(audio, (max(1, audio.size // (WINDOW_S * RATE)), WINDOW_S * RATE))
