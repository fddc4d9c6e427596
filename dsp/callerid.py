"""Caller ID: FSK between the rings, before them or in a call, or DTMF before the first.

Bell 202 (1200 Hz mark, 2200 Hz space; Telcordia GR-30, China YDN 069-1997) and V.23 (1300/2100 Hz; ETSI EN 300 659-1,
BT SIN 227) at 1200 bit/s: channel seizure (not in call waiting), 45 to 170 ms of mark, then asynchronous bytes: type,
length, body, checksum, with mark between bytes wherever the exchange likes.

Three hops of steady mark flag a channel, by array operations over all of them every 120 ms. 0.34 s after the mark has
ended, when most messages are over, the audio since is read (`dsp.fsk`): a type that exists and a length make it a
message. Where it goes on it is read again when its last byte should have come, at the latest every half second, from
where the reading stood; the law bytes are those of `dsp.history`. The checksum and the sense of the fields decide
(`dsp.cid_message`): without them there is no event.
When many lines ring at once, readings are put off, oldest first, to later steps: a tick does not wait for them.

DTMF caller ID: A, B, C or D, the number, and C, D, A or # at its end, in the even pace of a machine.

Limits: two signals on the line at once (a voice over the message) are not separated. SMS and advice of charge are not
caller ID. DTMF has no checksum.
"""

import re
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp import cid_message
from dsp.events import RATE, Event
from dsp.fsk import AsyncReader, Keying, Place, Slicer
from dsp.history import STEPS, History
from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, STEP, Bank

STANDARDS: Final = (("bell202", 1200, 2200), ("v23", 1300, 2100))
"""Name, mark and space in hertz."""

_KEYINGS: Final = tuple(Keying(mark, space) for _, mark, space in STANDARDS)
_SHARE: Final = np.float32(0.55)
"""Of the energy that a mark has at least; the high tone of a digit (1209 Hz) has it where it is the stronger."""
_LEVEL: Final = np.float32(10 ** (-46 / 10))
_OFF_TURN: Final = 2 * np.pi * HOP_S * 40
"""How far a mark turns in a hop: it is 40 Hz from its frequency at most."""
_PACE, _TURN = 6, 2
"""Steps between two looks for marks."""
_WINDOW: Final = 2 * _PACE + 4
"""Hops looked at."""
_IDLE, _READING = -1, -2
_FULL, _OVER = np.float32(0.9), np.float32(0.8)
"""A mark is full with so much of the largest share that it has had, and over with less than that."""
_FIRST_HOPS: Final = 34
"""From the end of the mark to the first reading, which for most messages is the only one: they have 20 to 35 bytes of
8.3 ms."""
_PIECE: Final = round(0.5 * RATE)
_OLDEST: Final = (STEPS - 1) * STEP
_LEAST_ROOM, _MOST_ROOM, _CHANNEL_COSTS = 3000.0, 8000.0, 10.0
"""What is read in one step, all channels together: where there are many, the other detectors need the time. There is
always room for one reading."""
_READING_COSTS, _SAMPLE_COSTS = 600.0, 0.1
"""Roughly the microseconds of a machine of 2020."""
_QUALITY: Final = 0.6
_LATER_HOPS: Final = 2
_MARGIN: Final = 16
_ENOUGH: Final = 800
"""Samples of data in which the centres of marks and spaces show."""

_DTMF_STARTS, _DTMF_ENDS = frozenset("ABCD"), frozenset("ABCD#")
_DTMF_NUMBER: Final = re.compile("[ABCD][0-9]{3,24}[ABCD#]")
_DTMF_ABSENT: Final = {
    "B00C": "unavailable", "B10C": "private", "D1#": "private", "D2#": "international", "D3#": "unavailable",
}  # fmt: skip
_MOST_DIGITS: Final = 25
_LONGEST_PACE_S: Final = 0.5
"""From the beginning of a digit to the next."""
_DTMF_DIGIT: Final = 400
"""Samples that the last digit is taken to last."""


@dataclass(slots=True)
class _Reading:
    """A channel on which a message is, or may be, under way. Positions are samples since the first."""

    channel: int
    standard: int
    first: int
    """From here on it is listened to; at first, a step that is mark."""
    data: bytearray = field(default_factory=bytearray)
    place: Place | None = None
    slicer: Slicer | None = None
    start: int = 0
    """First sample of its first byte."""


class FskCallerId:
    """FSK caller ID on `channels` channels."""

    def __init__(self, channels: int, bank: Bank, history: History) -> None:
        self._bank, self._history = bank, history
        self._rows = np.array([bank.row(mark) for _, mark, _ in STANDARDS], np.intp)
        bank.expect(self._rows.tolist(), float(_SHARE))
        self._mark_rows: list[int] = self._rows.tolist()
        self._quiet_steps = 2 * _PACE
        """Since a mark may have been anywhere."""
        self._state = np.full(channels, _IDLE, np.int8)
        """The standard whose mark goes on, else `_IDLE` or `_READING`."""
        self._share = np.zeros(channels, np.float32)
        """The largest share of the energy that the mark has had in 20 ms."""
        self._sure = np.zeros(channels, np.int64)
        """Sample at which the last 20 ms began that were mark throughout."""
        self._any_marked = False
        self._due: list[tuple[int, int, _Reading]] = []
        """Hop, channel and what is to be read then: a heap."""

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        alone = self._bank.any_alone
        self._quiet_steps = 0 if any(alone[row] for row in self._mark_rows) else self._quiet_steps + 1
        if hop // 2 % _PACE == _TURN and (self._quiet_steps < 2 * _PACE or self._any_marked):
            self._watch(hop)
        if self._due and self._due[0][0] <= hop:
            self._read_due(hop, out)

    def close(self, hop: int, out: Reports) -> None:
        """No more samples will come after hop number `hop`: what waits is read as far as it goes."""
        now = hop * HOP
        while self._due:
            due, channel, reading = heappop(self._due)
            again = self._read(min((due + 2) * HOP, now), now, reading, out)
            if again is not None and (due + 2) * HOP < now:
                heappush(self._due, (due + again, channel, reading))

    def _watch(self, hop: int) -> None:
        """Where, in the last hops, a mark has become steady, and where a steady one has ended."""
        bank, slots = self._bank, self._bank.slots(_WINDOW)
        energy = bank.energies[slots, 0]
        power = bank.energies[slots[:, None], bank.power_row + self._rows]
        marks = power > np.maximum(_SHARE * energy, _LEVEL)[:, None]
        threes = marks[2:] & marks[1:-1] & marks[:-2]
        standard, c = np.logical_or.reduce(threes, axis=0).nonzero()
        if c.size:
            idle = self._state[c] == _IDLE
            standard, c = standard[idle], c[idle]
            if c.size:
                self._mark_steady((hop + 2 - _WINDOW) * HOP, threes[:, standard, c], standard, c)
        if self._any_marked:
            self._await_ends(hop + 2 - _WINDOW, power, energy)

    def _mark_steady(
        self, first: int, threes: NDArray[np.bool_], standard: NDArray[np.intp], c: NDArray[np.intp]
    ) -> None:
        """Where three hops that are a mark, `threes[_WINDOW - 2, n]` from sample `first` on, are at its frequency."""
        bank, slots, rows = self._bank, self._bank.slots(_WINDOW)[:, None], self._rows[standard]
        line = bank.sums[slots, rows, c] + 1j * bank.sums[slots, len(bank.grid_hz) + rows, c]
        near = np.abs(np.angle(line[1:] * line[:-1].conj())) < _OFF_TURN
        threes &= near[1:] & near[:-1]
        steady = np.logical_or.reduce(threes, axis=0)
        c = c[steady]
        self._state[c], self._share[c] = standard[steady], 0
        self._sure[c] = first + HOP * threes[:, steady].argmax(0)
        self._any_marked |= c.size > 0

    def _await_ends(self, first: int, power: NDArray[np.float32], energy: NDArray[np.float32]) -> None:
        """`power[_WINDOW, standards, channels]` and `energy[_WINDOW, channels]` from hop `first` on."""
        c = (self._state >= 0).nonzero()[0]
        self._any_marked = c.size > 0
        power, energy = power[:, self._state[c], c], energy[:, c]
        share = (power[1:] + power[:-1]) / np.maximum(energy[1:] + energy[:-1], _LEVEL)
        at = HOP * (first + np.arange(_WINDOW - 1)[:, None])
        later = at >= self._sure[c]
        share *= later
        most = np.maximum.accumulate(np.concatenate([self._share[c][None], share]))[1:]
        over = later & (share < _OVER * most)
        sure = (share > _FULL * most) & ~np.logical_or.accumulate(over, axis=0)
        self._share[c], self._sure[c] = most[-1], np.where(sure, at, self._sure[c]).max(0)
        for i in np.logical_or.reduce(over, axis=0).nonzero()[0].tolist():
            channel = int(c[i])
            reading = _Reading(channel, int(self._state[channel]), int(self._sure[channel]))
            self._state[channel] = _READING
            heappush(self._due, (first + int(over[:, i].argmax()) + _FIRST_HOPS, channel, reading))

    def _read_due(self, hop: int, out: Reports) -> None:
        room = max(_LEAST_ROOM, _MOST_ROOM - _CHANNEL_COSTS * self._state.size)
        while self._due and self._due[0][0] <= hop and room > 0:
            due, channel, reading = heappop(self._due)
            until = (due + 2) * HOP
            room -= _READING_COSTS + _SAMPLE_COSTS * (until - reading.first)
            again = self._read(until, (hop + 2) * HOP, reading, out)
            if again is None:
                self._state[channel] = _IDLE
            else:
                heappush(self._due, (due + again, channel, reading))

    def _read(self, until: int, now: int, r: _Reading, out: Reports) -> int | None:
        """Go on reading up to sample `until`, which may be past; hops from there until there is more to be read, None
        when it is over."""
        keying = _KEYINGS[r.standard]
        wanted = now - r.first + keying.reach
        if wanted > _OLDEST:
            return None
        x = self._history.last(np.array([r.channel], np.intp), wanted)[0, : wanted - (now - until)]
        if not _go_on(r, keying, keying.correlate(x)) or r.place is None:
            return None
        if missing := _missing(r):
            passed = int(r.place.edge) - _MARGIN
            r.first, r.place.edge = r.first + passed, r.place.edge - passed
            ahead = r.first + r.place.edge + missing * r.place.byte_samples + keying.reach + _MARGIN - until
            return max(_LATER_HOPS, -(-int(min(ahead, _PIECE)) // HOP))
        message = cid_message.parse(bytes(r.data))
        quality = r.place.quality / len(r.data)
        if message is not None and quality > _QUALITY:
            name = STANDARDS[r.standard][0]
            out.begin(r.channel, "cid", r.start, message.number, quality, {"standard": name, **message.fields})
            out.end(r.channel, "cid", r.first + r.place.edge)
        return None


def _missing(r: _Reading) -> int:
    """Bytes that have not been read."""
    return r.data[1] + 3 - len(r.data) if len(r.data) > 1 else 2


def _go_on(r: _Reading, keying: Keying, z: NDArray[np.complex64]) -> bool:
    """Read from correlations that begin at sample `r.first`; False where there is no message."""
    if r.slicer is None or r.place is None:
        amplitudes = np.abs(z[:, : STEP + _ENOUGH])
        r.slicer = Slicer.begin(amplitudes[:, :STEP], amplitudes[:, STEP : STEP + _ENOUGH])
        if not r.slicer.keyed or (place := _begin(r, reader := AsyncReader(keying, r.slicer, z))) is None:
            return False
        r.place = place
        if place.edge + _missing(r) * place.byte_samples > z.shape[1]:
            return True
    else:
        sure = int(_missing(r) * r.place.byte_samples)
        if sure > _ENOUGH:
            r.slicer = r.slicer.better(np.abs(z[:, :sure]))
        reader = AsyncReader(keying, r.slicer, z)
        if not _read_head(reader, r.place, r.data):
            return False
    return len(r.data) < 2 or reader.read(r.place, r.data, r.data[1] + 3)


def _begin(r: _Reading, reader: AsyncReader) -> Place | None:
    """Look for the first start bit; None where what follows it is no message."""
    for start in reader.first_starts():
        place, r.data = Place(float(start)), bytearray()
        if _read_head(reader, place, r.data):
            r.start = r.first + start
            return place
    return None


def _read_head(reader: AsyncReader, place: Place, data: bytearray) -> bool:
    """Type and length, as far as they have come; False where they are no message's."""
    return len(data) >= 2 or (reader.read(place, data, 2) and cid_message.begins(bytes(data)))


class DtmfCallerId:
    """Caller ID sent as digits, from the digits themselves."""

    def __init__(self) -> None:
        self._heard: dict[int, list[Event]] = {}

    def digit(self, event: Event, out: Reports) -> None:
        """A digit began."""
        heard = self._heard.pop(event.channel, [])
        if heard and event.start_s - heard[-1].start_s > _LONGEST_PACE_S:
            heard = []
        if heard and event.value in _DTMF_ENDS:
            self._report([*heard, event], out)
        elif (heard and len(heard) <= _MOST_DIGITS) or event.value in _DTMF_STARTS:
            self._heard[event.channel] = [*heard, event]

    def _report(self, heard: list[Event], out: Reports) -> None:
        said = "".join(event.value for event in heard)
        fields = dtmf_fields(said)
        paces = [after.start_s - before.start_s for before, after in pairwise(heard)]
        # A machine dials evenly. A digit that was not heard leaves a hole, and the number is wrong.
        if fields is None or max(paces) > 1.7 * min(paces) + 0.01:
            return
        first, last = heard[0], heard[-1]
        evidence = {"standard": "dtmf", "type": "dtmf", "digits": said, **fields}
        out.begin(first.channel, "cid", first.start_sample, fields.get("number", ""), 0.95, evidence)
        out.end(first.channel, "cid", last.start_sample + _DTMF_DIGIT)


def dtmf_fields(said: str) -> dict[str, str] | None:
    """What the digits from the starting letter to the end say; None where they are no caller ID.

    ETSI EN 300 659-1, annex on DTMF, and its national variants: A or D (China also B and C) and the number; B00 and
    B10, D1, D2 and D3 say why there is none."""
    if absent := _DTMF_ABSENT.get(said):
        return {"absent": absent}
    return {"number": said[1:-1]} if _DTMF_NUMBER.fullmatch(said) else None
