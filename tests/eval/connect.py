"""Tones of machines and V.21 messages: recall, kind, latency, and what must not be taken for one of them.

Trials are those of `connect_signals`; whole fax calls are libspandsp's, whole data calls those of `modem_signals`. A
tone counts as heard where the last word on an event that overlaps it has its value. libspandsp is given each tone's
own receiver (`modem_connect_tones_rx`) on the same audio, and V.21's preamble receiver for the messages.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone, Fsk
from dsp import Detectors, Event, g711, levels
from dsp.g711 import Law
from tests.eval import modem_signals
from tests.eval.connect_signals import DISTURBANCES, KINDS, RATE, Rng, Trial, asynchronous, message, trial
from tests.eval.report import Part, Row, Section
from tests.eval.tap import tap

LISTENED: Final = ("cng", "calling_tone", "answer_tone", "v21")
_BLOCK: Final = 160
_PER_CELL: Final = 14
"""Trials of one tone under one disturbance at scale 1."""
_LAWS: Final[tuple[Law, Law]] = ("alaw", "ulaw")

Heard = list[tuple[float, Event]]
"""Events of one channel, each with the second at which it came out."""


def section(part: Part, scale: float = 1.0) -> Section:
    """Recall and latency of every tone under every disturbance; V.21 messages; traps."""
    rng = np.random.default_rng({"seen": 1000, "unseen": 9000}[part])
    rows = [*_tones(rng, part, scale), *_messages(rng, scale), *_traps(rng, scale)]
    notes = [
        "Levels 0 to -35 dBm0, both laws; half of the tones from libspandsp's senders. A calling tone is reported when "
        "it ends, since the idle mark of V.23 is the same tone.",
        "No tone or flag reported in speech or music: see talk-off.",
    ]
    return Section("Connect tones and V.21", rows, notes)


def _tones(rng: Rng, part: Part, scale: float) -> list[Row]:
    each = max(1, round(_PER_CELL * scale))
    small = scale <= 0.05
    trials = [trial(rng, part, value, how, small) for how in DISTURBANCES for value in KINDS for _ in range(each)]
    heard = _listen([(t.law, t.law_bytes) for t in trials])
    final = [_last_word(t, h) for t, h in zip(trials, heard, strict=True)]
    theirs = [_spandsp_tone(t) for t in trials]
    rows = []
    for how in DISTURBANCES:
        mine = [i for i, t in enumerate(trials) if t.notes["disturbance"] == how]
        hit = float(np.mean([final[i] for i in mine]))
        rows.append(Row(f"tones, recall: {how}", "= 1", hit, float(np.mean([theirs[i][0] for i in mine])), len(mine)))
    for value in KINDS:
        mine = [i for i, t in enumerate(trials) if t.value == value]
        hit = float(np.mean([final[i] for i in mine]))
        rows.append(Row(f"tones, recall: {value}", "= 1", hit, float(np.mean([theirs[i][0] for i in mine])), len(mine)))
    wrong = sum(_claimed_wrongly(t, h) for t, h in zip(trials, heard, strict=True))
    rows.append(Row("tones, wrong claims on the way, or beside", "= 0", wrong, None, len(trials), "number"))
    alone = [i for i, t in enumerate(trials) if t.notes["disturbance"] not in _SECOND and t.value != "ct"]
    beside = [i for i, t in enumerate(trials) if t.notes["disturbance"] in _SECOND and t.value != "ct"]
    of_ct = [i for i, t in enumerate(trials) if t.value == "ct"]
    for what, aim, mine in (
        ("presence", "<= 0.3", alone),
        ("presence beside speech, dial tone, ring-back", "", beside),
        ("calling tone (told at its end)", "", of_ct),
    ):
        late = [_presence_s(trials[i], heard[i]) for i in mine]
        rows.append(_p95(f"tones, latency p95: {what}", aim, late, [theirs[i][1] for i in mine]))
    special = [i for i, t in enumerate(trials) if t.value in ("ans_pr", "ansam", "ansam_pr")]
    late = [_kind_s(trials[i], heard[i]) for i in special]
    rows.append(_p95("tones, latency p95: reversals, AM", "<= 1", late, [theirs[i][1] for i in special]))
    return rows


_SECOND: Final = ("dial tone or ring-back, to 0 dB", "somebody speaks, to -6 dB")


def _messages(rng: Rng, scale: float) -> list[Row]:
    """Two to four messages a channel, 75 ms and more apart, in whole from the preamble on; and whole fax calls."""
    cases: list[tuple[Law, NDArray[np.uint8]]] = []
    true: list[list[tuple[float, float]]] = []
    for k in range(max(2, round(40 * scale))):
        level_dbm0 = rng.uniform(-35, 0)
        parts, at, spans = [np.zeros(int(rng.integers(2400, 6000)))], 0, []
        for _ in range(int(rng.integers(2, 5))):
            wave = message(rng) * levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20)
            at = sum(p.size for p in parts)
            spans.append((at / RATE, (at + wave.size) / RATE))
            parts += [wave, np.zeros(int(rng.integers(600, 4000)))]
        law = _LAWS[k % 2]
        noise_dbm0 = level_dbm0 - rng.choice([15.0, 30.0])
        echo_db = float(rng.uniform(-25, -10)) if rng.integers(2) else None
        sound = np.concatenate([*parts, np.zeros(4000)])
        cases.append(
            (law, tap([sound], law, noise_dbm0=noise_dbm0, echo_db=echo_db, echo_ms=rng.uniform(1, 20), seed=k))
        )
        true.append(spans)
    for law, sound, spans in _fax_calls(scale):
        cases.append((law, sound))
        true.append(spans)
    found, ends, late, late_spandsp, extra = [], [], [], [], 0
    for (law, sound), spans, heard in zip(cases, true, _listen(cases), strict=True):
        theirs = [at / RATE for at, tone, _ in _spandsp(law, sound, ConnectTone.FAX_PREAMBLE) if tone is not None]
        last = {e.id: e for _, e in heard if e.kind == "v21"}
        extra += len(last) - len(spans)
        for begin, end in spans:
            mine = [e for e in last.values() if abs(e.start_s - begin) < 0.06]
            found.append(bool(mine))
            ends.append(bool(mine) and mine[0].end_s is not None and abs(mine[0].end_s - end) < 0.06)
            late.append(min((at - begin for at, e in heard if mine and e.id == mine[0].id), default=np.inf))
            late_spandsp.append(min((at - begin for at in theirs if begin < at < end), default=np.inf))
    spandsp_found = float(np.isfinite(late_spandsp).mean())
    return [
        Row("V.21 messages, recall", "= 1", float(np.mean(found)), spandsp_found, len(found)),
        Row("V.21 messages, begin and end within 60 ms", "= 1", float(np.mean(ends)), None, len(ends)),
        Row("V.21 messages, heard where none is", "= 0", extra, None, len(found), "number"),
        _p95("V.21 messages, latency p95", "<= 0.25", late, late_spandsp),
    ]


def _fax_calls(scale: float) -> Iterable[tuple[Law, NDArray[np.uint8], list[tuple[float, float]]]]:
    for k, modems in enumerate(("v17", "v29", "v27ter")[: max(1, round(3 * scale))]):
        for law in _LAWS[: 2 if scale >= 1 else 1]:
            caller, answerer, spans = _fax(modems)
            sound = tap(
                [caller, answerer], law, gains_db=(0, -10) if k % 2 else (-8, 0), noise_dbm0=-50, echo_db=-15, echo_ms=8
            )
            yield law, sound, spans


@cache
def _fax(modems: str) -> tuple[NDArray[np.int16], NDArray[np.int16], list[tuple[float, float]]]:
    """A whole call and where its V.21 messages are: sound with hardly anything outside 1500 to 2000 Hz."""
    call = spandsp.fax_call(modems=modems)  # type: ignore[arg-type]
    spans = []
    for side in (call.caller, call.answerer):
        sounding = np.flatnonzero(np.abs(side) > 0)
        for piece in np.split(sounding, np.flatnonzero(np.diff(sounding) > 400) + 1):
            wave = side[piece[0] : piece[-1] + 1].astype(float)
            power = np.abs(np.fft.rfft(wave)) ** 2
            hz = np.fft.rfftfreq(wave.size, 1 / RATE)
            keyed = power[(hz > 1500) & (hz < 2000)].sum() > 0.98 * power.sum()
            if keyed and wave.size > 0.5 * RATE:
                spans.append((piece[0] / RATE, piece[-1] / RATE))
    return call.caller, call.answerer, sorted(spans)


def _traps(rng: Rng, scale: float) -> list[Row]:
    """Data calls: nothing but their own answer tone may be heard; V.21 data and V.8: no flags."""
    rows = []
    makers = {name: make for name, make in modem_signals.MAKERS.items() if name not in ("v27ter", "v29", "v17")}
    cases, answered = [], []
    for k in range(max(1, round(4 * scale))):
        for make in makers.values():
            call = make(rng)
            gains_db = (0.0, float(rng.uniform(-12, 0)))[:: 1 if rng.integers(2) else -1]
            law = _LAWS[k % 2]
            sound = tap(call.sides(), law, gains_db=gains_db, noise_dbm0=-50, echo_db=-18, echo_ms=6, seed=k)
            cases.append((law, sound))
            answered.append(min(c.onset_s for c in call.carriers))
    bad = 0
    for heard, onset_s in zip(_listen(cases), answered, strict=True):
        bad += sum(e.kind != "answer_tone" or e.start_s > onset_s for _, e in heard if e.end_s is None)
    rows.append(
        Row("data calls: false CNG, calling tone, V.21, answer tone in data", "= 0", bad, None, len(cases), "number")
    )
    cases = []
    for k in range(max(2, round(24 * scale))):
        sides = [asynchronous(rng, Fsk.V21_CH2, 12), asynchronous(rng, Fsk.V21_CH1, 12)][: 1 + k % 2]
        scaled = [side * levels.rms_of_0dbm0("alaw") * 10 ** (rng.uniform(-30, -8) / 20) for side in sides]
        cases.append((_LAWS[k % 2], tap(scaled, _LAWS[k % 2], noise_dbm0=-55, seed=k)))
    bad = sum(e.end_s is None for heard in _listen(cases) for _, e in heard)
    theirs = sum(len(_spandsp(law, sound, ConnectTone.FAX_PREAMBLE)) > 0 for law, sound in cases)
    rows.append(Row("V.21 data, CM and JM: taken for fax", "= 0", bad, theirs, len(cases), "number"))
    return rows


def _listen(cases: Sequence[tuple[Law, NDArray[np.uint8]]]) -> list[Heard]:
    """What our detectors say of each case; all of a law at once, block by block."""
    heard: list[Heard] = [[] for _ in cases]
    for law in _LAWS:
        mine = [i for i, (own, _) in enumerate(cases) if own == law]
        if not mine:
            continue
        longest = max(cases[i][1].size for i in mine)
        batch = np.full((len(mine), longest), g711.IDLE[law], np.uint8)
        for row, i in zip(batch, mine, strict=True):
            row[: cases[i][1].size] = cases[i][1]
        d = Detectors(len(mine), law, "cn", LISTENED)
        for at in range(0, longest, _BLOCK):
            for event in d.feed(batch[:, at : at + _BLOCK]):
                heard[mine[event.channel]].append((min(at + _BLOCK, longest) / RATE, event))
        for event in d.close():
            heard[mine[event.channel]].append((longest / RATE, event))
    return heard


def _last_word(t: Trial, heard: Heard) -> bool:
    last = {e.id: e for _, e in heard}
    return any(e.kind == KINDS[t.value][0] and e.value == t.value and _of(t, e) for e in last.values())


def _of(t: Trial, e: Event) -> bool:
    return e.start_s < t.end_s and e.start_s > t.onset_s - 0.05


_ON_THE_WAY: Final = {"ans_pr": {"ans"}, "ansam": {"ans"}, "ansam_pr": {"ans", "ansam"}}
"""What may be said before the last word."""


def _claimed_wrongly(t: Trial, heard: Heard) -> int:
    """Events that say something else than what sounds, or sound where nothing does."""
    may = {t.value, *_ON_THE_WAY.get(t.value, set())}
    return len({e.id for _, e in heard if e.kind != KINDS[t.value][0] or e.value not in may or not _of(t, e)})


def _presence_s(t: Trial, heard: Heard) -> float:
    kind = KINDS[t.value][0]
    return min((at - t.onset_s for at, e in heard if e.kind == kind and _of(t, e)), default=np.inf)


def _kind_s(t: Trial, heard: Heard) -> float:
    return min((at - t.onset_s for at, e in heard if e.value == t.value and _of(t, e)), default=np.inf)


def _spandsp(law: Law, sound: NDArray[np.uint8], kind: ConnectTone) -> list[tuple[int, ConnectTone | None, int]]:
    return spandsp.connect_tone_rx(g711.decode(sound, law), kind)


def _spandsp_tone(t: Trial) -> tuple[bool, float]:
    """Whether libspandsp's last word is right, and after how long it said so first."""
    kind = KINDS[t.value][1]
    receiver = (
        kind if kind in (ConnectTone.CNG, ConnectTone.BELL_ANS, ConnectTone.CALLING_TONE) else ConnectTone.ANSAM_PR
    )
    tones = [(at, tone) for at, tone, _ in _spandsp(t.law, t.law_bytes, receiver) if tone is not None]
    right = [at / RATE - t.onset_s for at, tone in tones if tone is kind]
    return bool(tones) and tones[-1][1] is kind, min(right, default=np.inf)


def _p95(what: str, aim: str, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    """Of those heard; how many were not is told by the recall."""

    def p95(late: Sequence[float]) -> float:
        finite = [s for s in late if np.isfinite(s)]
        return round(float(np.percentile(finite, 95)), 3) if finite else float("nan")

    return Row(what, aim, p95(ours), p95(theirs), len(ours), "s")
