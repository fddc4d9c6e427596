"""Caller ID: messages over the whole range of senders and lines, many lines at once, and what is none.

Messages are libspandsp's, and of a generator of our own (`tests.eval.callerid_signals`) for what libspandsp's sender
cannot vary: twist -6 to +10 dB (V.23: +-6), tones 1 % off (V.23: 1.5 %), rate 1 % off, seizure of 96 bits and none,
mark of 55 bits, idle bits between bytes, hum, ringing before and after, echo. A message counts as read when the number
and every other field are right, once; anything else that is reported is a wrong one. libspandsp's receiver of the right
standard hears the same law bytes; of it only the number is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import CallerIdStandard, SpandspError
from dsp import g711
from dsp.detectors import Detectors
from dsp.events import Event
from dsp.g711 import IDLE, Law
from tests.eval import corpus, modem_signals
from tests.eval.callerid_signals import Around, Case, drawn, on_line, time_of
from tests.eval.report import Part, Row, Section
from tests.eval.tap import tap

KINDS: Final = {"sdmf": "Bell 202 SDMF", "mdmf": "Bell 202 MDMF", "v23": "V.23 MDMF", "dtmf": "DTMF"}
LAWS: Final[tuple[Law, Law]] = ("alaw", "ulaw")
_STANDARDS: Final = {
    "sdmf": CallerIdStandard.CLASS, "mdmf": CallerIdStandard.CLASS, "v23": CallerIdStandard.CLIP,
    "dtmf": CallerIdStandard.DTMF,
}  # fmt: skip
_BATCH: Final = 48
_SEEDS: Final[dict[Part, int]] = {"seen": 1000, "unseen": 9000}


@dataclass(slots=True)
class Tally:
    cases: int = 0
    read: int = 0
    wrong: int = 0
    spandsp: int = 0
    late_s: tuple[float, ...] = ()

    def row(self, what: str, aim: str) -> Row:
        return Row(what, aim, self.read / self.cases, self.spandsp / self.cases, self.cases)


def section(part: Part, scale: float = 1.0) -> Section:
    """Recall by kind, level and SNR; wrong messages; latency; a storm; junk in other sounds."""
    count = max(2, round(120 * scale))
    rows: list[Row] = []
    late: list[float] = []
    wrong = messages = 0
    groups = [
        *((f"{KINDS[kind]}, libspandsp's, -5 to -35 dBm0, SNR {snr} dB", _aim(snr), _sent(part, kind, snr, count))
          for snr in (15, 12) for kind in KINDS),
        *((f"{KINDS[kind]}, whole range, SNR {'15 to 30' if snr == 15 else snr} dB", _aim(snr),
           _ranged(part, kind, snr, count)) for snr in (15, 12) for kind in KINDS),
        ("Bell 202 MDMF of 255 bytes", ">= 1", _longest(part, max(2, count // 12))),
    ]  # fmt: skip
    for what, aim, cases in groups:
        tally = measured(cases)
        rows.append(tally.row(what, aim))
        late += tally.late_s
        wrong += tally.wrong
        messages += tally.cases
    rows.append(Row("wrong messages in all of these", "= 0", wrong, None, messages, ""))
    rows.append(
        Row("result after a message's end, 95 of 100", "<= 300 ms", 1e3 * _percentile(late), None, len(late), "ms")
    )
    rows += _storm(part, max(4, round(96 * scale)))
    rows += _junk(part, scale)
    return Section("Caller ID", rows, ["DTMF caller ID has no checksum; its digits are those of the DTMF detector."])


def _aim(snr_db: float) -> str:
    return ">= 1" if snr_db >= 15 else ">= 0.9"


def measured(cases: Sequence[Case]) -> Tally:
    """Hear the cases, many at a time, as channels of one batch for each law."""
    tally = Tally(len(cases))
    for law in LAWS:
        of_law = [case for case in cases if case.law == law]
        for at in range(0, len(of_law), _BATCH):
            batch = of_law[at : at + _BATCH]
            heard = hear([case.law_bytes for case in batch], law)
            for case, events in zip(batch, heard, strict=True):
                good = [(event, sample) for event, sample in events if agrees(case, event)]
                tally.read += len(good) == 1 == len(events)
                tally.wrong += len(events) - min(len(good), 1)
                tally.late_s += tuple((sample - case.end_sample) / 8000 for _, sample in good)
                tally.spandsp += _spandsp_reads(case)
    return tally


def hear(lines: Sequence[NDArray[np.uint8]], law: Law) -> list[list[tuple[Event, int]]]:
    """The messages on each line, and how many samples had been fed when each came."""
    block = np.full((len(lines), max(line.size for line in lines) // 160 * 160 + 320), IDLE[law], np.uint8)
    for channel, line in enumerate(lines):
        block[channel, : line.size] = line
    detectors = Detectors(len(lines), law, "cn", ["cid"])
    found: list[list[tuple[Event, int]]] = [[] for _ in lines]
    for at in range(0, block.shape[1], 160):
        for event in detectors.feed(block[:, at : at + 160]):
            if event.end_s is None:
                found[event.channel].append((event, at + 160))
    return found


def agrees(case: Case, event: Event) -> bool:
    return event.value == case.number and all(event.evidence.get(name) == said for name, said in case.fields.items())


def _spandsp_reads(case: Case) -> bool:
    linear = g711.decode(case.law_bytes, case.law)
    try:
        messages = spandsp.caller_id_rx(linear, _STANDARDS[case.kind])
    except SpandspError:
        return False  # It has taken junk for a message that it cannot take apart.
    number = case.number.encode()
    if case.kind == "sdmf":
        number = case.fields["time"].encode() + number
    return len(messages) == 1 and number in messages[0].fields.values()


def _sent(part: Part, kind: str, snr_db: float, count: int) -> list[Case]:
    """libspandsp's messages at four levels."""
    cases = []
    for i in range(count):
        rng = np.random.default_rng([_SEEDS[part], 1, i, int(snr_db), len(kind)])
        number = "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(3, 13))))
        time, name = time_of(rng), str(rng.choice(["张三", "上海港务局", "JOE", ""])) if kind in ("mdmf", "v23") else ""
        fields = {"number": number}
        if kind != "dtmf":
            fields |= {"time": time, "standard": "v23" if kind == "v23" else "bell202"}
        if name:
            fields["name"] = name
        sent = spandsp.caller_id_tx(
            number, standard=_STANDARDS[kind], multiple=kind != "sdmf", name=name, time=time, alert=kind == "v23"
        ).astype(np.float64)
        last = int(np.flatnonzero(sent)[-1]) + 1
        sent = sent[:last] / np.sqrt(np.mean(sent[sent != 0] ** 2))
        law = LAWS[i % 2]
        around = Around(float(rng.choice([-5, -15, -25, -35])), snr_db, before_s=float(rng.uniform(0.2, 0.4)))
        law_bytes, end = on_line(sent, law, around, rng)
        cases.append(Case(law, law_bytes, end, number, fields, kind))
    return cases


def _ranged(part: Part, kind: str, snr_db: float, count: int) -> list[Case]:
    cases = []
    for i in range(count):
        rng = np.random.default_rng([_SEEDS[part], 2, i, int(snr_db), len(kind)])
        snr = snr_db if snr_db < 15 else float(rng.uniform(15, 30))
        cases.append(drawn(rng, kind, snr_db=snr, level_dbm0=float(rng.uniform(-35 if kind == "dtmf" else -36, -4))))
    return cases


def _longest(part: Part, count: int) -> list[Case]:
    rngs = [np.random.default_rng([_SEEDS[part], 3, i]) for i in range(count)]
    return [drawn(rng, "mdmf", snr_db=15, level_dbm0=-25, body_bytes=255) for rng in rngs]


def _storm(part: Part, lines: int) -> list[Row]:
    """All lines of a card are sent their message in the same 50 ms."""
    rng = np.random.default_rng([_SEEDS[part], 4])
    cases: list[Case] = []
    while len(cases) < lines:
        case = drawn(rng, "mdmf", snr_db=20, level_dbm0=-20, plain=True)
        cases += [case] if case.law == "alaw" else []
    heard = hear([case.law_bytes for case in cases], "alaw")
    late = [
        s - case.end_sample for case, events in zip(cases, heard, strict=True) for e, s in events if agrees(case, e)
    ]
    what = f"{lines} lines at the same moment"
    return [
        Row(what, ">= 1", len(late) / lines, None, lines),
        Row(f"{what}, the last result after its end", "<= 300 ms", max(late) / 8, None, lines, "ms"),
    ]


def _junk(part: Part, scale: float) -> list[Row]:
    """Messages reported where there is none."""
    longest_s = None if scale >= 0.5 else 200 * scale
    sounds = {
        "speech": list(corpus.speech(part, longest_s).values()),
        "music": list(corpus.music(part, longest_s).values()),
        "data and fax calls": _calls(part, scale),
    }
    rows = []
    for name, parts in sounds.items():
        audio = np.concatenate(parts)
        seconds = 40 if scale >= 0.5 else 10
        channels = audio[: audio.size // (seconds * 8000) * seconds * 8000].reshape(-1, seconds * 8000)
        junk = sum(len(events) for law in LAWS for events in hear(list(g711.encode(channels, law)), law))
        hours = 2 * channels.size / 8000 / 3600
        rows.append(Row(f"messages in {name}, {hours:.2g} h", "= 0", junk, None, channels.shape[0] * 2, ""))
    return rows


def _calls(part: Part, scale: float) -> list[NDArray[np.int16]]:
    """Every kind of data call, both sides mixed, and V.23 data of random characters between idle marks."""
    parts = []
    for i, make in enumerate(modem_signals.MAKERS.values()):
        for k in range(max(1, round(6 * scale))):
            call = make(np.random.default_rng([_SEEDS[part], 5, i, k]))
            parts.append(g711.decode(tap(call.sides(), "alaw", gains_db=(0, -6), noise_dbm0=-50, seed=k), "alaw"))
    rng = np.random.default_rng([_SEEDS[part], 6])
    for k in range(max(1, round(60 * scale))):
        bits = np.concatenate(
            [np.r_[np.ones(int(rng.integers(60, 400))), _characters(rng, int(rng.integers(5, 200)))] for _ in range(4)]
        )
        spec = spandsp.Fsk.V23_CH1 if k % 2 else spandsp.Fsk.BELL202
        parts.append(spandsp.fsk_tx(bits.astype(np.uint8), spec))
    return parts


def _characters(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Start bit, eight random bits, stop bit; often the first character is a message's type."""
    data = rng.integers(0, 256, count, dtype=np.uint8)
    data[0] = rng.choice(np.array([0x04, 0x80, int(data[0])], np.uint8))
    bits = np.ones((count, 10))
    bits[:, 0] = 0
    bits[:, 1:9] = np.unpackbits(data[:, None], axis=1, bitorder="little")
    return bits.ravel()


def _percentile(late_s: Sequence[float]) -> float:
    return float(np.percentile(late_s, 95)) if late_s else float("nan")
