"""Talk-off: what is reported while people speak and music plays, all detectors on.

The whole corpus of a part is heard twice: in A-law at -15 dBm0 (Q.24's level for its speech) through the band of a
line, 300 to 3400 Hz, with the tone plan of China; and in µ-law, 6 % faster or slower, unfiltered, at -8 to -28 dBm0,
with the plans of the other zones in turn. Channels are calls of 120 s. Nothing is to be reported but speech and a
class that is not a machine's.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone
from dsp import Detectors, Event, g711, levels
from dsp.detectors import Zone
from dsp.g711 import Law
from tests.eval import corpus
from tests.eval.report import Part, Row, Section

RATE = corpus.RATE
CALL_S = 120
SPEED = (1.06, 0.94)
ZONES: tuple[Zone, ...] = ("us", "eu", "uk", "hk")
MACHINES = {
    "cng": (ConnectTone.CNG,),
    "calling_tone": (ConnectTone.CALLING_TONE,),
    "answer_tone": (ConnectTone.ANSAM_PR, ConnectTone.BELL_ANS),
    "v21": (ConnectTone.FAX_PREAMBLE,),
}
"""Our kinds, and libspandsp's receivers for the same."""


@dataclass(frozen=True)
class Call:
    """A stretch of the corpus as one channel hears it."""

    name: str
    source_sample: int
    """Where it begins in `corpus.speech(part)[name]` or `corpus.music(part)[name]`."""
    speed: float
    sound: NDArray[np.int16]


@dataclass(frozen=True)
class Rendering:
    law: Law
    zone: Zone
    calls: list[Call]


def section(part: Part, scale: float = 1.0) -> Section:
    """False reports in speech and in music, beside libspandsp's digit and connect-tone receivers."""
    longest_s = corpus.longest_s(scale)
    rows: list[Row] = []
    places: list[str] = []
    hours = 0.0
    for what, audio in (("speech", corpus.speech(part, longest_s)), ("music", corpus.music(part, longest_s))):
        ours: Counter[str] = Counter()
        theirs: Counter[str] = Counter()
        samples = calls = 0
        seed = {"seen": 1000, "unseen": 9000}[part]
        for rendering in renderings(audio, seed):
            law = np.stack([g711.encode(call.sound, rendering.law) for call in rendering.calls])
            samples += law.size
            calls += len(law)
            for event in false_reports(law, rendering.law, rendering.zone):
                ours[event.kind] += 1
                if part == "seen" and longest_s is None:
                    places.append(_place(part, rendering, event))
            theirs += spandsp_reports(law, rendering.law)
        rows += _rows(what, ours, theirs, samples / RATE / 3600, calls)
        hours += samples / RATE / 3600
    return Section("Talk-off: speech and music, all detectors on", rows, _notes(part, hours), sorted(places))


def _notes(part: Part, hours: float) -> list[str]:
    names = "; ".join([*corpus.SPEECH[part], *corpus.MUSIC[part]])
    return [
        f"{hours:.1f} h in calls of {CALL_S} s: the corpus twice (A-law, -15 dBm0, 300 to 3400 Hz, plan of China; "
        "µ-law, speed ± 6 %, -8 to -28 dBm0, the other plans).",
        f"Heard: {names}.",
    ]


def _rows(what: str, ours: Mapping[str, int], theirs: Mapping[str, int], hours: float, calls: int) -> list[Row]:
    unit = f"in {hours:.1f} h"

    def row(name: str, *kinds: str, peer: bool = False) -> Row:
        beside = float(sum(theirs[kind] for kind in kinds)) if peer else None
        return Row(f"{what}: {name}", "= 0", float(sum(ours[kind] for kind in kinds)), beside, calls, unit)

    progress = ours["progress"] / hours
    return [
        row("digits", "dtmf", peer=True),
        row("CNG, calling, answer tones", "cng", "calling_tone", "answer_tone", peer=True),
        row("V.21 preambles", "v21", peer=True),
        row("carriers", "carrier"),
        row("caller ID", "cid"),
        row("calls classed fax or modem at any time", "class"),
        Row(f"{what}: progress tones", "<= 1", progress, None, calls, "an hour"),
    ]


def renderings(audio: Mapping[str, NDArray[np.int16]], seed: int) -> Iterator[Rendering]:
    """The corpus as the line brings it: once as the recommendation has it, once varied."""
    rng = np.random.default_rng(seed)
    yield Rendering("alaw", "cn", [_in_band(call) for call in _cut(audio, rng, speeds=(1.0,), levels_dbm0=(-15, -15))])
    calls = list(_cut(audio, rng, speeds=SPEED, levels_dbm0=(-28, -8)))
    for i, zone in enumerate(ZONES):
        if calls[i :: len(ZONES)]:
            yield Rendering("ulaw", zone, calls[i :: len(ZONES)])


def _cut(
    audio: Mapping[str, NDArray[np.int16]],
    rng: np.random.Generator,
    *,
    speeds: tuple[float, ...],
    levels_dbm0: tuple[float, float],
) -> Iterator[Call]:
    """Calls of CALL_S seconds, or as long as the longest voice where all are shorter; the last of a voice is padded."""
    length = min(CALL_S * RATE, max(sound.size for sound in audio.values()))
    for name, sound in audio.items():
        at = 0
        while at < sound.size:
            speed = float(rng.choice(speeds))
            taken = sound[at : at + round(length * speed)]
            heard = taken.astype(np.float32)
            if speed != 1:
                heard = soxr.resample(heard, RATE * speed, RATE, quality="HQ")
            out = np.zeros(length, np.float32)
            out[: heard.size] = heard[:length]
            yield Call(name, at, speed, _at_active_level(out, rng.uniform(*levels_dbm0)))
            at += taken.size


def _at_active_level(x: NDArray[np.floating[Any]], level_dbm0: float) -> NDArray[np.int16]:
    """Scaled so that the frames of 20 ms within 20 dB of the loud ones have this level (ITU-T P.56 in short)."""
    frames = np.mean(np.square(x[: x.size // 160 * 160].reshape(-1, 160), dtype=np.float64), 1)
    active = frames[frames > np.quantile(frames, 0.95) / 100]
    if active.size == 0:
        return x.astype(np.int16)
    gain = levels.rms_of_0dbm0("alaw") * 10 ** (level_dbm0 / 20) / np.sqrt(active.mean())
    scaled: NDArray[np.int16] = np.clip(np.rint(x * gain), -32768, 32767).astype(np.int16)
    return scaled


def _in_band(call: Call) -> Call:
    spectrum = np.fft.rfft(call.sound)
    hz = np.fft.rfftfreq(call.sound.size, 1 / RATE)
    spectrum *= np.clip((hz - 200) / 100, 0, 1) * np.clip((3600 - hz) / 200, 0, 1)
    sound = np.clip(np.rint(np.fft.irfft(spectrum, call.sound.size)), -32768, 32767).astype(np.int16)
    return Call(call.name, call.source_sample, call.speed, sound)


def false_reports(law_bytes: NDArray[np.uint8], law: Law, zone: Zone) -> list[Event]:
    """What no voice and no music is: the first report of each event, and once a channel a class of fax or modem, also
    where it was taken back."""
    d = Detectors(law_bytes.shape[0], law, zone)
    told: dict[tuple[object, ...], Event] = {}
    for event in d.feed(law_bytes) + d.close():
        if event.kind == "class":
            if event.value in ("fax", "modem"):
                told.setdefault(("class", event.channel), event)
        elif event.kind != "speech":
            told.setdefault((event.kind, event.id), event)
    return list(told.values())


def spandsp_reports(law_bytes: NDArray[np.uint8], law: Law) -> Counter[str]:
    """What libspandsp's receivers say to the same samples; kept by the digest of the audio, for they take long."""
    digest = hashlib.sha256(law.encode() + law_bytes.tobytes()).hexdigest()[:32]
    kept = corpus.KEPT / f"talkoff-spandsp-{digest}.json"
    if kept.exists():
        return Counter(json.loads(kept.read_text(encoding="utf-8")))
    heard: Counter[str] = Counter()
    for linear in g711.decode(law_bytes, law):
        heard["dtmf"] += len(spandsp.dtmf_rx(linear))
        for kind, tones in MACHINES.items():
            for tone in tones:
                heard[kind] += sum(said is not None for _, said, _ in spandsp.connect_tone_rx(linear, tone))
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(heard), encoding="utf-8")
    return heard


def _place(part: Part, rendering: Rendering, event: Event) -> str:
    call = rendering.calls[event.channel]
    sample = min(call.source_sample + round(event.start_s * RATE * call.speed), _length(part, call.name) - 1)
    file, second = corpus.located(part, call.name, sample)
    line = f"{rendering.law}, {rendering.zone}, speed {call.speed:g}"
    return f"{event.kind} {event.value}: {call.name}, {file} at {second:.2f} s ({line}; {event.start_s:.2f} s of call)"


def _length(part: Part, name: str) -> int:
    return ({**corpus.speech(part), **corpus.music(part)})[name].size
