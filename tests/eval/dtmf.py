"""DTMF (ITU-T Q.24): what must be taken, what must be refused, and how soon; talk-off is in `talkoff`.

The signals are ours (`tests.eval.dtmf_signals`) and libspandsp's; libspandsp's receiver hears the same law bytes.
A digit is taken when one event of its value begins within 30 ms of it; any other event is a wrong one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import g711
from dsp.detectors import Detectors
from dsp.dtmf import DIGITS
from dsp.g711 import Law
from dsp.zones import Zone
from tests.eval.dtmf_signals import Digit, How, Line, batch, lines
from tests.eval.report import Part, Row, Section

DETECTORS: Final = ("dtmf", "progress")
NEAR: Final = 240
"""Samples that a reported start may be off."""
LAWS: Final[tuple[Law, Law]] = ("alaw", "ulaw")

_DIAL: Final = How(level_dbm0=(-22, -3), twist_db=(-6, 3), on_ms=(40, 80), off_ms=(40, 80))

TAKEN: Final[Mapping[str, How]] = {
    "level 0 to -25 dBm0": How(level_dbm0=(-25, 0)),
    "level -25 to -35 dBm0": How(level_dbm0=(-35, -25)),
    "twist +4 to -8 dB": How(level_dbm0=(-25, -3), twist_db=(-8, 4)),
    "twist -8 dB, 1.5 % off": How(level_dbm0=(-20, -3), twist_db=(-8, -7.5), deviation_percent=(1.4, 1.5)),
    "twist +4 dB, 1.5 % off": How(level_dbm0=(-20, -4), twist_db=(3.5, 4), deviation_percent=(1.4, 1.5)),
    "either tone to 1.5 % off": How(deviation_percent=(0.8, 1.5)),
    "either tone to 1.8 % off (NTT)": How(level_dbm0=(-24, -3), deviation_percent=(1.6, 1.8), twist_db=(-5, 5)),
    "40 ms, pause 40 ms": How(on_ms=(40, 41), off_ms=(40, 42)),
    "40 ms, pause 30 ms": How(on_ms=(40, 41), off_ms=(30, 31)),
    "long digits, 0.2 to 1 s": How(on_ms=(200, 1000), off_ms=(60, 300)),
    "SNR 15 dB": How(snr_db=(15, 15), level_dbm0=(-25, -3)),
    "SNR 12 dB": How(snr_db=(12, 12), level_dbm0=(-25, -3)),
    "SNR 15 dB, twist +4 to -8 dB": How(snr_db=(15, 15), level_dbm0=(-22, -5), twist_db=(-8, 4)),
    "40 ms, 1.5 % off, SNR 15 dB, -25 dBm0": How(
        level_dbm0=(-25, -24), deviation_percent=(1.4, 1.5), on_ms=(40, 41), off_ms=(40, 42), snr_db=(15, 15)
    ),
    "the same, twist +4 to -8 dB, pause 30 ms": How(
        level_dbm0=(-25, -15), deviation_percent=(1, 1.5), on_ms=(40, 41), off_ms=(30, 32), snr_db=(15, 15),
        twist_db=(-8, 4),
    ),
    "dial tone under it, cn": replace(_DIAL, dial="cn"),
    "dial tone under it, us": replace(_DIAL, dial="us"),
    "dial tone under it, eu": replace(_DIAL, dial="eu"),
    "dial tone under it, uk": replace(_DIAL, dial="uk"),
    "dial tone under it, hk": replace(_DIAL, dial="hk"),
    "dial tone 5 % off under it, cn": replace(_DIAL, dial="cn", dial_off_percent=(-5, 5)),
    "dial tone at full level, digit -15 to -25 dBm0": How(
        dial="cn", dial_down_db=(0, 0), level_dbm0=(-25, -15), twist_db=(-4, 3), on_ms=(40, 60)
    ),
    "dial tone and SNR 15 dB, 1.5 % off": How(
        dial="us", dial_down_db=(0, 6), level_dbm0=(-18, -5), deviation_percent=(1, 1.5), snr_db=(15, 15)
    ),
    "hum -30 to -15 dBm0": How(hum_dbm0=(-30, -15), level_dbm0=(-25, -5)),
    "echo -15 to -25 dB after 5 to 60 ms": How(echo_db=(-25, -15), level_dbm0=(-25, -3)),
    "echo -15 dB, 40 ms, pause 40 ms": How(
        echo_db=(-15.5, -15), level_dbm0=(-25, -3), on_ms=(40, 42), off_ms=(40, 45), twist_db=(-6, 3)
    ),
}  # fmt: skip

_AT_EASE: Final = How(off_ms=(60, 120))
REFUSED: Final[Mapping[str, How]] = {
    "10 to 23 ms": replace(_AT_EASE, on_ms=(10, 23)),
    "23 ms": How(on_ms=(22, 23), twist_db=(-8, 4), off_ms=(40, 60)),
    "24 ms, SNR 15 dB (NTT)": replace(_AT_EASE, on_ms=(23.5, 24), snr_db=(15, 20), level_dbm0=(-24, -3)),
    "both tones 3.5 % off or more": replace(_AT_EASE, deviation_percent=(3.5, 6)),
    "one tone 3.5 % off or more": replace(_AT_EASE, deviation_percent=(3.5, 6), one_tone=True, twist_db=(-8, 4)),
    "one tone 3.0 % off (NTT)": replace(_AT_EASE, deviation_percent=(3.0, 3.4), one_tone=True),
    "two low tones": replace(_AT_EASE, wrong="two low"),
    "two high tones": replace(_AT_EASE, wrong="two high"),
    "a low tone alone": replace(_AT_EASE, wrong="low alone"),
    "a high tone alone": replace(_AT_EASE, wrong="high alone"),
    "two low tones and a high one": replace(_AT_EASE, wrong="two low and a high"),
    "a low tone and two high ones": replace(_AT_EASE, wrong="a low and two high"),
    "-56 dBm0": replace(_AT_EASE, level_dbm0=(-60, -56), twist_db=(-6, 0)),
    "twist 12 dB and more": replace(_AT_EASE, level_dbm0=(-25, -14), twist_db=(12, 14)),
    "twist -14 dB and more": replace(_AT_EASE, level_dbm0=(-25, -3), twist_db=(-16, -14)),
}

BROKEN: Final = How(on_ms=(70, 140), break_ms=(8, 10), level_dbm0=(-25, -3), twist_db=(-6, 3))


@dataclass
class Score:
    digits: int = 0
    taken: int = 0
    wrong: int = 0
    """Events that are no digit, or the same once more."""
    late_ms: list[float] = field(default_factory=list)
    start_off_ms: list[float] = field(default_factory=list)
    end_off_ms: list[float] = field(default_factory=list)

    def share(self) -> float:
        return self.taken / max(1, self.digits)


Heard = list[tuple[str, int, int, int]]
"""Value, start and end sample, samples fed when it came out."""


def listen(law_bytes: NDArray[np.uint8], law: Law, zone: Zone = "cn", kinds: Sequence[str] = DETECTORS) -> list[Heard]:
    """Of each channel of `law_bytes[channels, n]` the digits, in blocks of 160."""
    d = Detectors(law_bytes.shape[0], law, zone, kinds)
    told: dict[int, int] = {}
    found: dict[int, tuple[int, tuple[str, int, int, int]]] = {}
    for at in range(0, law_bytes.shape[1] + 1, 160):
        last = at == law_bytes.shape[1]
        for e in d.close() if last else d.feed(law_bytes[:, at : at + 160]):
            if e.kind == "dtmf":
                fed = told.setdefault(e.id, at + 160)
                found[e.id] = (e.channel, (e.value, e.start_sample, e.end_sample or 0, fed))
    heard: list[Heard] = [[] for _ in law_bytes]
    for channel, digit in found.values():
        heard[channel].append(digit)
    return heard


def score(those: Sequence[Line], zone: Zone = "cn") -> Score:
    """Ours on these lines."""
    total = Score()
    for law in LAWS:
        same = [each for each in those if each.law == law]
        if same:
            for each, heard in zip(same, listen(batch(same), law, zone), strict=True):
                _compare(each.digits, heard, total)
    return total


def _compare(digits: Sequence[Digit], heard: Heard, total: Score) -> None:
    total.digits += len(digits)
    left = list(heard)
    for digit in digits:
        for one in left:
            if one[0] == digit.value and abs(one[1] - digit.start) <= NEAR:
                left.remove(one)
                total.taken += 1
                total.late_ms.append((one[3] - digit.start) / 8)
                total.start_off_ms.append((one[1] - digit.start) / 8)
                total.end_off_ms.append((one[2] - digit.end) / 8)
                break
    total.wrong += len(left)


def spandsp_score(those: Sequence[Line], dial: bool = False) -> Score:
    """libspandsp's on the same bytes: what it reported by when it came; `dial` turns its filter for dial tones on."""
    total = Score()
    for each in those:
        receiver = spandsp.DtmfReceiver(filter_dial_tone=dial)
        x = g711.decode(each.law_bytes, each.law)
        heard: Heard = []
        for at in range(0, x.size, 80):
            heard += [(value, 0, 0, at + 80) for value in receiver.feed(x[at : at + 80])]
        total.digits += len(each.digits)
        for digit in each.digits:
            for one in heard:
                if one[0] == digit.value and digit.start < one[3] <= digit.end + NEAR:
                    heard.remove(one)
                    total.taken += 1
                    total.late_ms.append((one[3] - digit.start) / 8)
                    break
        total.wrong += len(heard)
    return total


def section(part: Part, scale: float = 1.0) -> Section:
    """The table of DTMF; `scale` 1 dials 640 digits a group."""
    seed = 1000 if part == "seen" else 9000
    number, count = max(2, round(40 * scale)), 16 if scale > 0.1 else 4
    rows, all_of, spans = [], Score(), Score()
    for i, (what, how) in enumerate(TAKEN.items()):
        those = lines(seed + i, how, number, count)
        ours, theirs = score(those, how.dial or "cn"), spandsp_score(those, how.dial is not None)
        rows.append(Row(what, ">= 0.99", ours.share(), theirs.share(), ours.digits))
        _add(all_of, ours)
        _add(spans, theirs)
    rows.append(_spandsp_sends(seed))
    rows.insert(0, Row("what must be taken, all", ">= 0.999", all_of.share(), spans.share(), all_of.digits))
    rows.insert(1, Row("of it, wrong or twice", "= 0", all_of.wrong, spans.wrong, all_of.digits, "digits"))
    rows += _refused(seed + 100, number, count)
    rows.append(_broken(seed + 200, number, count))
    rows += _times(all_of, spans)
    return Section("DTMF digits (Q.23, Q.24)", rows)


def _add(total: Score, more: Score) -> None:
    total.digits, total.taken, total.wrong = (
        total.digits + more.digits,
        total.taken + more.taken,
        total.wrong + more.wrong,
    )
    total.late_ms += more.late_ms
    total.start_off_ms += more.start_off_ms
    total.end_off_ms += more.end_off_ms


def _refused(seed: int, number: int, count: int) -> list[Row]:
    rows, digits, ours_in_all, theirs_in_all = [], 0, 0, 0
    for i, (what, how) in enumerate(REFUSED.items()):
        those = lines(seed + i, how, number, count)
        ours, theirs = score(those), spandsp_score(those)
        took, theirs_took = ours.taken + ours.wrong, theirs.taken + theirs.wrong
        rows.append(Row(f"refused: {what}", "<= 0.5 %", took / ours.digits, theirs_took / ours.digits, ours.digits))
        digits, ours_in_all, theirs_in_all = digits + ours.digits, ours_in_all + took, theirs_in_all + theirs_took
    return [
        Row("what must be refused, all: taken", "<= 0.5 %", ours_in_all / digits, theirs_in_all / digits, digits),
        *rows,
    ]


def _broken(seed: int, number: int, count: int) -> Row:
    those = lines(seed, BROKEN, number, count)
    ours, theirs = score(those), spandsp_score(those)
    return Row("split by a break of 10 ms", "= 0", ours.wrong, theirs.wrong, ours.digits, "digits")


def _spandsp_sends(seed: int) -> Row:
    """libspandsp's own sender, which shares no line with our generator."""
    rng = np.random.default_rng(seed)
    took, spans, cases = 0, 0, 0
    for law in LAWS:
        for level in (-3, -10, -25, -35):
            digits = "".join(rng.choice(list(DIGITS), 32))
            sent = spandsp.dtmf_tx(digits, level_dbm0=level, on_ms=45, off_ms=40)
            law_bytes = g711.encode(np.concatenate([sent, np.zeros(1600 - sent.size % 160, np.int16)]), law)
            took += _common("".join(value for value, *_ in listen(law_bytes[None], law)[0]), digits)
            spans += _common(spandsp.dtmf_rx(g711.decode(law_bytes, law)), digits)
            cases += len(digits)
    return Row("libspandsp's sender, 45 ms, -3 to -35 dBm0", ">= 0.99", took / cases, spans / cases, cases)


def _common(heard: str, sent: str) -> int:
    """Digits of `sent` heard in order."""
    rest = iter(heard)
    return sum(digit in rest for digit in sent)


def _times(ours: Score, theirs: Score) -> list[Row]:
    def at(values: Sequence[float], q: float) -> float:
        return float(np.percentile(np.abs(values), q)) if values else 0.0

    cases = len(ours.late_ms)
    row = partial(Row, cases=cases, unit="ms")
    return [
        row("latency from onset, p50", "<= 40", at(ours.late_ms, 50), at(theirs.late_ms, 50)),
        row("latency from onset, p95", "<= 55", at(ours.late_ms, 95), at(theirs.late_ms, 95)),
        row("start off by, p95", "<= 10", at(ours.start_off_ms, 95), None),
        row("end off by, p95", "<= 10", at(ours.end_off_ms, 95), None),
    ]
