"""Caller ID: FSK between the rings, or DTMF before the first.

Bell 202 (1200 Hz mark, 2200 Hz space; Telcordia GR-30, China YDN 069-1997) and V.23 (1300/2100 Hz; ETSI EN 300 659)
at 1200 bit/s: channel seizure, 80 or 180 bits of mark, then asynchronous bytes: type, length, body, checksum. A steady
mark of 40 ms arms a channel; when the signal ends (or after 2 s) what was heard is demodulated once, bytes
resynchronised on each start bit. The checksum decides: without it there is no event. SDMF (type 0x04) and MDMF (0x80)
are read; names are ASCII or GBK.

DTMF caller ID: A, B, C or D, the number, and C, D, A or # at its end, with no pause of half a second inside.

Limits: a message longer than 2.3 s is not kept; call-waiting messages (80 bits of mark) need 40 ms of it undisturbed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE, Event
from dsp.fsk import soft
from dsp.history import History
from dsp.reports import Reports
from dsp.tones import HOP, STEP, Bank

STANDARDS: Final = (("bell202", 1200, 2200), ("v23", 1300, 2100))
"""Name, mark and space in hertz."""

_BIT: Final = RATE / 1200
_TRIES: Final = tuple((window, late) for late in (0.0, 0.6, -0.6) for window in (7, 8, 6))
"""Length of the demodulator's window and shift of the sampling instant, samples: a bit is no whole number of samples,
and which fits best depends on the phases. The checksum says which was right."""
_SHARE = 0.6
_LEVEL = 10 ** (-45 / 10)
_ARM_BITS: Final = 3
_ARM_MASK, _ARM_SIGN = np.uint8(0b111), 0b011
"""Two steps of mark after one without: 40 ms."""
_GONE_STEPS = 3
_READS: Final = 2
"""Channels demodulated in one step, so that a storm of tones does not hold up the tick; the others wait."""
_LONGEST_STEPS = 100
_BEFORE_STEPS = 8
_WAIT_STEPS = 10
_SDMF, _MDMF = 0x04, 0x80
_NUMBER = frozenset("0123456789*#+ABCD-")


@dataclass(frozen=True, slots=True)
class Message:
    number: str
    """Empty where it was withheld."""
    fields: dict[str, str]
    """`type` (sdmf, mdmf), and what was sent of `number`, `name`, `time` (MMDDhhmm) and `absent` (P private, O
    unknown)."""


class FskCallerId:
    """FSK caller ID on `channels` channels."""

    def __init__(self, channels: int, bank: Bank, history: History) -> None:
        self._bank, self._history = bank, history
        self._rows = np.array([bank.row(mark) for _, mark, _ in STANDARDS], np.intp)
        bank.expect(self._rows.tolist(), _SHARE)
        self._marks = np.zeros((2, channels), np.uint8)
        """Whether a mark was heard, a bit a step."""
        self._idle_steps = _ARM_BITS
        self._waiting = False
        self._armed = np.zeros(channels, np.int16)
        """Steps since a mark was sure; 0 where none was."""
        self._standard = np.zeros(channels, np.int8)
        self._level = np.zeros(channels, np.float32)
        self._gone = np.zeros(channels, np.int8)

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        if any(self._bank.any_alone[row] for row in self._rows):
            self._idle_steps = 0
        elif self._idle_steps < _ARM_BITS:
            self._idle_steps += 1
        if self._idle_steps < _ARM_BITS:
            self._arm()
        if self._waiting:
            self._await_ends(hop, out)

    def _arm(self) -> None:
        energy = self._bank.energy_20ms
        marks = self._bank.power_20ms[self._rows]
        self._marks <<= 1
        self._marks |= (marks > np.maximum(_SHARE * energy, 2 * _LEVEL)) & (marks == marks.max(0))
        standard, c = np.nonzero(self._marks & _ARM_MASK == _ARM_SIGN)
        fresh = self._armed[c] == 0
        if fresh.any():
            c = c[fresh]
            self._armed[c], self._standard[c] = 1, standard[fresh]
            self._level[c], self._gone[c] = energy[c], 0
            self._waiting = True

    def _await_ends(self, hop: int, out: Reports) -> None:
        energy = self._bank.energy_20ms
        armed = np.flatnonzero(self._armed)
        self._waiting = armed.size > 0
        self._armed[armed] += 1
        low = energy[armed] < 0.1 * self._level[armed]
        self._gone[armed] = np.where(low, self._gone[armed] + 1, 0)
        over = (self._gone[armed] >= _GONE_STEPS) | (self._armed[armed] > _LONGEST_STEPS)
        # What has waited too long has left the history.
        self._armed[armed[self._armed[armed] > _LONGEST_STEPS + _WAIT_STEPS]] = 0
        for channel in armed[over][:_READS].tolist():
            self._read(hop, channel, out)
            self._armed[channel] = 0

    def _read(self, hop: int, channel: int, out: Reports) -> None:
        steps = int(self._armed[channel]) + _BEFORE_STEPS
        x = self._history.last(np.array([channel], np.intp), steps * STEP)
        end = (hop + 2) * HOP
        first = int(self._standard[channel])
        for name, mark, space in (STANDARDS[first], STANDARDS[1 - first]):
            message = _try_all(x, mark, space)
            if message is not None:
                evidence = {"standard": name, **message.fields}
                out.begin(channel, "cid", end - x.shape[1], message.number, 0.99, evidence)
                out.end(channel, "cid", end)
                return


class DtmfCallerId:
    """Caller ID sent as digits, from the digits themselves."""

    def __init__(self) -> None:
        self._heard: dict[int, list[Event]] = {}

    def digit(self, event: Event, out: Reports) -> None:
        """A digit began."""
        heard = self._heard.get(event.channel)
        if heard is not None and event.start_s - heard[-1].start_s > 0.6:
            heard = None
        if heard is None:
            self._heard.pop(event.channel, None)
            if event.value in "ABCD":
                self._heard[event.channel] = [event]
            return
        heard.append(event)
        if event.value in "ABCD#":
            del self._heard[event.channel]
            number = "".join(e.value for e in heard[1:-1])
            if 3 <= len(number) <= 24:
                start = heard[0].start_sample
                out.begin(event.channel, "cid", start, number, 0.95, {"standard": "dtmf", "number": number})
                out.end(event.channel, "cid", event.start_sample + 400)


def _try_all(x: NDArray[np.float32], mark_hz: float, space_hz: float) -> Message | None:
    """The message in `x[1, samples]`. Only where the first try finds bytes at all are the others worth their time."""
    for window, late in _TRIES:
        signal = soft(x, mark_hz, space_hz, window)[0]
        message = read_message(signal, late)
        if message is not None:
            return message
        if (window, late) == _TRIES[0] and not any(len(_bytes(signal, s, late)) > 3 for s in _starts(signal)):
            return None
    return None


def read_message(signal: NDArray[np.float32], late_samples: float = 0.0) -> Message | None:
    """The first message with a right checksum in a demodulated signal (1 mark, -1 space; 8000 a second)."""
    for start in _starts(signal):
        message = _parse(_bytes(signal, start, late_samples))
        if message is not None:
            return message
    return None


def _starts(signal: NDArray[np.float32]) -> list[int]:
    """Where a start bit follows at least 20 bits of mark."""
    mark = signal > 0
    falls = np.flatnonzero(mark[:-1] & ~mark[1:])
    marked = np.concatenate([[0], np.cumsum(mark)])
    need = round(20 * _BIT)
    falls = falls[falls >= need]
    starts: list[int] = falls[marked[falls + 1] - marked[falls + 1 - need] >= 0.95 * need].tolist()
    return starts


def _bytes(signal: NDArray[np.float32], start: int, late_samples: float) -> bytes:
    """Asynchronous bytes from the start bit after sample `start`, as many as the second one (the length) announces."""
    found = bytearray()
    edge = start + 0.5
    while len(found) < 2 or len(found) < found[1] + 3:
        middles = edge + late_samples + (np.arange(10) + 0.5) * _BIT
        centres = middles.astype(np.intp)
        if centres[-1] + 1 >= signal.size:
            break
        part = middles - centres
        bits = signal[centres] * (1 - part) + signal[centres + 1] * part > 0
        if bits[0] or not bits[9]:
            break
        found.append(int(np.packbits(bits[1:9], bitorder="little")[0]))
        # The next start bit: the first fall after the middle of the stop bit, within 20 bits of idling.
        rest = signal[centres[9] : centres[9] + round(20 * _BIT)]
        falls = np.flatnonzero((rest[:-1] > 0) & (rest[1:] <= 0))
        if not falls.size:
            break
        a, b = rest[falls[0]], rest[falls[0] + 1]
        edge = float(centres[9] + falls[0] + a / (a - b))
    return bytes(found)


def _parse(data: bytes) -> Message | None:
    if len(data) < 4 or len(data) != data[1] + 3 or sum(data) % 256 or data[0] not in (_SDMF, _MDMF):
        return None
    body = data[2:-1]
    if data[0] == _SDMF:
        return _message("sdmf", {"time": _text(body[:8]), "number": _text(body[8:])})
    fields: dict[str, str] = {}
    while body:
        if len(body) < 2 or len(body) < 2 + body[1]:
            return None
        name = {1: "time", 2: "number", 4: "absent", 7: "name", 8: "name_absent"}.get(body[0])
        if name is not None:
            fields[name] = _text(body[2 : 2 + body[1]])
        body = body[2 + body[1] :]
    return _message("mdmf", fields)


def _message(kind: str, fields: dict[str, str]) -> Message | None:
    number = fields.get("number", "").strip()
    if number in ("P", "O"):
        fields = {**fields, "number": "", "absent": number}
        number = ""
    if not set(number) <= _NUMBER:
        return None
    return Message(number, {"type": kind, **fields})


def _text(raw: bytes) -> str:
    return raw.decode("gb18030", "replace").strip()
