"""Speech activity: what is kept of speech and of quiet, how much of the front is lost.

Sentences of every language are set to a level, with quiet of 0.6 to 2.5 s between, then mixed with noise and hum and
companded. Truth comes from the clean sentence: a frame of 20 ms is speech where it is within 35 dB of the sentence's
active level (ITU-T P.56) and 6 dB above what the recording itself has for quiet. The quiet that counts is what lies
more than 200 ms between such frames and is fainter than the noise; other frames are neither.

Kept is what lies between the start and the end of the last word on each `speech` event. The front clip is from the
first frame of a sentence to the start of the event that holds it; the delay is to the moment when the event came out,
which is what a recorder without pre-roll would lose.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import g711, levels
from dsp.detectors import Detectors
from dsp.g711 import Law
from dsp.measure import measure
from tests.eval import calls, corpus
from tests.eval.report import Part, Row, Section
from tests.eval.tap import tap

RATE, FRAME = 8000, 160
WITHIN_DB = 35.0
OVER_OWN_NOISE_DB = 6.0
FAINTEST_DBM0 = -65.0
CLEAR_DB = 35.0
LAWS: tuple[Law, ...] = ("alaw", "ulaw")


@dataclass(frozen=True)
class Stretch:
    """One channel: sentences in quiet."""

    law_bytes: NDArray[np.uint8]
    speech: NDArray[np.bool_]
    """`[frames]` of 20 ms: truth."""
    quiet: NDArray[np.bool_]
    """`[frames]` outside sentences."""
    onsets: list[int]
    """First speech sample of each sentence."""
    snr_db: float


@dataclass
class Kept:
    speech: int = 0
    speech_kept: int = 0
    quiet: int = 0
    quiet_kept: int = 0

    def share(self, what: str) -> float:
        whole, kept = (self.speech, self.speech_kept) if what == "speech" else (self.quiet, self.quiet_kept)
        return kept / max(1, whole)

    def add(self, stretch: Stretch, kept: NDArray[np.bool_]) -> None:
        self.speech += int(stretch.speech.sum())
        self.speech_kept += int((stretch.speech & kept).sum())
        self.quiet += int(stretch.quiet.sum())
        self.quiet_kept += int((stretch.quiet & kept).sum())


def stretches(part: Part, count: int, law: Law, seed: int, seconds: int = 30) -> Iterator[Stretch]:
    """`count` channels of `seconds`; languages in turn."""
    rng = np.random.default_rng(seed)
    sources = list(corpus.speech(part, in_suite=count <= 4).values())
    for k in range(count):
        yield _stretch(sources[k % len(sources)], law, rng, seconds * RATE)


def _stretch(source: NDArray[np.int16], law: Law, rng: np.random.Generator, samples: int) -> Stretch:
    level_dbm0 = float(rng.uniform(-35, 0))
    noise_dbm0 = float(rng.uniform(-65, min(-40, level_dbm0 - 15)))
    hum_dbm0 = float(rng.uniform(-60, -30)) if rng.random() < 0.3 else None
    clean = np.zeros(samples, np.int16)
    speech, quiet = np.zeros(samples // FRAME, np.bool_), np.ones(samples // FRAME, np.bool_)
    onsets = []
    at = round(rng.uniform(1.5, 2.5) * RATE)
    while True:
        start = int(rng.integers(0, source.size - 8 * RATE))
        sentence, truth, own_dbm0 = _sentence(
            source[start : start + round(rng.uniform(1.5, 6) * RATE)], level_dbm0, law
        )
        if at + sentence.size > samples:
            break
        at -= at % FRAME
        if truth.any():
            first, last = truth.argmax(), truth.size - truth[::-1].argmax()
            sentence, truth = sentence[first * FRAME : last * FRAME], truth[first:last]
            audible = own_dbm0[first:last] > max(noise_dbm0, FAINTEST_DBM0)
            clean[at : at + sentence.size] = sentence
            frames = slice(at // FRAME, at // FRAME + truth.size)
            speech[frames], quiet[frames] = truth, ~_bridged(truth) & ~audible
            onsets.append(at)
            at += sentence.size
        at += round(rng.uniform(0.6, 2.5) * RATE)
    law_bytes = tap(
        [clean], law, noise_dbm0=noise_dbm0, hum_dbm0=hum_dbm0, hum_hz=float(rng.choice([50, 60])), seed=int(at)
    )
    return Stretch(law_bytes, speech, quiet, onsets, level_dbm0 - noise_dbm0)


def _sentence(
    x: NDArray[np.int16], level_dbm0: float, law: Law
) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.float64]]:
    """`x` at this active level, which of its frames are speech, and their levels."""
    active_dbm0 = float(measure(g711.encode(x[None], law), law).speech_dbm0[0])
    y = np.clip(np.rint(x * 10 ** ((level_dbm0 - active_dbm0) / 20)), -32768, 32767).astype(np.int16)
    frames = y[: y.size - y.size % FRAME].reshape(-1, FRAME)
    power = np.square(frames - frames.mean(1, keepdims=True)).mean(1) / levels.rms_of_0dbm0(law) ** 2
    heard_dbm0 = 10 * np.log10(power + 1e-9)
    own_noise_dbm0 = float(np.quantile(heard_dbm0[heard_dbm0 > -85], 0.05)) if (heard_dbm0 > -85).any() else -85.0
    return y, heard_dbm0 > max(level_dbm0 - WITHIN_DB, own_noise_dbm0 + OVER_OWN_NOISE_DB), heard_dbm0


def _bridged(truth: NDArray[np.bool_], longest: int = 10) -> NDArray[np.bool_]:
    """`truth` with its gaps of up to 200 ms filled."""
    filled = truth.copy()
    edges = np.flatnonzero(np.diff(truth.view(np.int8)))
    for end, begin in zip(edges[::2], edges[1::2], strict=False):
        if begin - end <= longest:
            filled[end + 1 : begin + 1] = True
    return filled


def heard(batch: NDArray[np.uint8], law: Law) -> list[list[tuple[int, int, int]]]:
    """For each channel the stretches of speech: start, end and when it was reported, in samples."""
    d = Detectors(len(batch), law)
    found: list[dict[int, tuple[int, int, int]]] = [{} for _ in batch]
    for at in range(0, batch.shape[1] + FRAME, FRAME):
        events = d.feed(batch[:, at : at + FRAME]) if at < batch.shape[1] else d.close()
        for event in events:
            if event.kind == "speech":
                _, _, first = found[event.channel].get(event.id, (0, 0, at + FRAME))
                end = batch.shape[1] if event.end_sample is None else event.end_sample
                found[event.channel][event.id] = (event.start_sample, end, first)
    return [list(those.values()) for those in found]


def frames_kept(spans: list[tuple[int, int, int]], frames: int) -> NDArray[np.bool_]:
    kept = np.zeros(frames, np.bool_)
    for start, end, _ in spans:
        kept[round(start / FRAME) : round(end / FRAME)] = True
    return kept


def gate(law_bytes: NDArray[np.uint8], law: Law) -> NDArray[np.bool_]:
    """A plain gate for comparison, as recorders have it: -40 dBm0 over 20 ms, 300 ms of hangover."""
    frames = levels.expansion(law)[law_bytes].reshape(-1, FRAME)
    loud = np.square(frames - frames.mean(1, keepdims=True)).mean(1) > 10 ** (-40 / 10)
    held: NDArray[np.bool_] = np.logical_or.reduce([np.pad(loud, (k, 0))[: loud.size] for k in range(16)])
    return held


def section(part: Part, scale: float = 1.0) -> Section:
    """The table of speech activity."""
    ours, theirs, clear = Kept(), Kept(), Kept()
    fronts, delays, missed, sentences = [], [], 0, 0
    for law in LAWS:
        some = list(stretches(part, max(2, round(76 * scale)), law, {"seen": 1000, "unseen": 9000}[part]))
        for stretch, spans in zip(some, heard(np.stack([s.law_bytes for s in some]), law), strict=True):
            kept = frames_kept(spans, stretch.speech.size)
            ours.add(stretch, kept)
            theirs.add(stretch, gate(stretch.law_bytes, law))
            if stretch.snr_db >= CLEAR_DB:
                clear.add(stretch, kept)
            for onset in stretch.onsets:
                sentences += 1
                near = [s for s in spans if s[1] > onset and s[0] < onset + RATE]
                missed += not near
                if near and stretch.snr_db >= CLEAR_DB:
                    fronts.append((min(near)[0] - onset) / 8)
                    delays.append((min(near)[2] - onset) / 8)
    machines, machine_s = _machines(part, scale)
    rows = [
        Row("speech kept", ">= 0.97", ours.share("speech"), theirs.share("speech"), ours.speech),
        Row(
            f"speech kept, {CLEAR_DB:.0f} dB or more above the noise",
            ">= 0.97",
            clear.share("speech"),
            None,
            clear.speech,
        ),
        Row("quiet kept", "<= 0.03", ours.share("quiet"), theirs.share("quiet"), ours.quiet),
        Row("sentences missed", "", float(missed), None, sentences, "sentences"),
        Row(f"front clip, 95 %, {CLEAR_DB:.0f} dB or more", "<= 60", _most(fronts), None, len(fronts), "ms"),
        Row(f"delay of the report, 95 %, {CLEAR_DB:.0f} dB or more", "", _most(delays), None, len(delays), "ms"),
        Row("tones, digits and machines taken for speech", "<= 0.03", machines, None, round(machine_s), "share"),
    ]
    note = (
        "Sentences at 0 to -35 dBm0, noise from -65 dBm0 to 15 dB below the sentence, hum in three of ten. Consonants "
        "under the noise count as speech. The gate beside ours is a level of -40 dBm0 with 300 ms of hangover. Cases "
        "are frames of 20 ms; of machines, seconds."
    )
    return Section("Speech activity", rows, [note])


def _most(values_ms: list[float]) -> float:
    return float(np.quantile(values_ms, 0.95)) if values_ms else 0.0


def _machines(part: Part, scale: float) -> tuple[float, float]:
    """Share of the time of calls without a voice that is called speech, and their seconds."""
    made = [call for call in calls.calls(part, scale / 4) if call.ends_as in ("fax", "modem", "other")]
    made = [call for call in made if "hello" not in call.what]
    taken, total = 0.0, 0.0
    for n, law in enumerate(LAWS):
        mine = made[n::2]
        if mine:
            longest = max(side.size for call in mine for side in call.sides) // FRAME * FRAME + FRAME
            batch = np.full((len(mine), longest), g711.IDLE[law], np.uint8)
            for row, call in zip(batch, mine, strict=True):
                x = tap(call.sides, law, noise_dbm0=-60, seed=n)
                row[: x.size] = x
                total += x.size / RATE
            taken += sum(end - start for spans in heard(batch, law) for start, end, _ in spans) / RATE
    return taken / total, total
