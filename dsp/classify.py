"""The class of a call, from what the other detectors report.

Fax: HDLC flags of V.21, or CNG. Modem: a carrier, an answer tone with reversals or modulation (V.8), Bell's answer
tone, a calling tone. Voice: a second of voiced steps whose level swings, with pauses between. Music: voiced sound for
six seconds without the pauses of talk. Other: tones or digits only. None: five seconds of nothing.

A class is reported as soon as its sign is sure and corrected under the same id when a stronger one is heard. Both
sides of a line are mixed: a fax call may begin with somebody saying hello, so machines overrule voice; voice overrules
a machine only where its signs were weak (CNG or an answer tone, no data) and the talk goes on for three seconds.
Plain 2100 Hz belongs to fax and modem alike and decides nothing.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import Activity
from dsp.events import Event
from dsp.reports import Reports
from dsp.tones import HOP, STEP

FAX_CARRIERS: Final = frozenset({"v27ter", "v29", "v17"})

# How sure each sign is; a sign replaces a class that rests on a weaker one.
_CERTAIN, _STRONG, _WEAK, _HEARD, _LITTLE = 5, 4, 3, 2, 1
_CONFIDENCE: Final = {_CERTAIN: 0.99, _STRONG: 0.95, _WEAK: 0.8, _HEARD: 0.85, _LITTLE: 0.5}

_VOICE_STEPS = 40
_VOICE_AGAIN_STEPS = 150
_MUSIC_STEPS = 300
_NOTHING_STEPS = 250
_SWING, _SWING_DB = 0.12, 3.0
_LULL_DB = np.float32(15.0)
_VOICE_LULL, _MUSIC_LULL = 0.1, 0.12
_SECONDS_STEPS = 100
_BLOCK: Final = 4
"""Steps counted together."""
_FALL_DB: Final = np.float32(0.1) * np.arange(_BLOCK + 1, dtype=np.float32)[:, None]
"""How far a peak has faded after each step of a block."""


class Classifier:
    """The class of the call on each of `channels` channels, judged every four steps (80 ms)."""

    def __init__(self, channels: int) -> None:
        self._rank = np.zeros(channels, np.int8)
        self.machine = np.zeros(channels, np.bool_)
        self.any_machine = False
        self._voiced, self._music, self._age = (np.zeros(channels, np.int32) for _ in range(3))
        self._since = np.zeros(channels, np.int64)
        self._next_hop = 0
        self._plain = np.zeros((_BLOCK, channels), np.bool_)
        # Row 0 is the state before a block, the others what it sees.
        self._level, self._swing, self._lull, self._peak = (
            np.full((_BLOCK + 1, channels), first, np.float32) for first in (-60, 10, 0, -90)
        )

    def restart(self, channels: NDArray[np.intp], out: Reports) -> None:
        """A new call begins on these channels; the class so far is forgotten, without a report of its end."""
        for array in (self._rank, self._voiced, self._music, self._age):
            array[channels] = 0
        self.machine[channels] = False
        self.any_machine = bool(self.machine.any())
        self._lull[0, channels], self._peak[0, channels] = 0, -90
        self._plain[:, channels] = False
        self._since[channels] = self._next_hop
        for channel in channels.tolist():
            out.forget(channel, "class")

    def step(self, hop: int, activity: Activity, plain: NDArray[np.bool_], out: Reports) -> None:
        """Count what was heard in the step after hop number `hop`; `plain`: no tone, digit or carrier sounds."""
        self._next_hop = hop + 2
        part = activity.slot % _BLOCK
        self._plain[part] = plain
        if part == _BLOCK - 1:
            block = slice(activity.slot - part, activity.slot + 1)
            self._count(activity.heard_dbm0(_BLOCK), activity.loud_lately[block], activity.voiced_lately[block])
            self._judge(out)

    def _count(self, heard_dbm0: NDArray[np.float32], loud: NDArray[np.bool_], voiced: NDArray[np.bool_]) -> None:
        """Four steps, `[4, channels]`. How much the level moves: carriers stand still, voices do not. A lull is well
        under the recent peak: talk has one in every second, music on hold hardly any."""
        self._age += _BLOCK
        self._level[1:] = heard_dbm0
        means = _followed(self._level, _SWING)
        np.subtract(heard_dbm0, means[:-1], out=self._swing[1:])
        np.abs(self._swing[1:], out=self._swing[1:])
        swings = _followed(self._swing, _SWING)
        self._voiced += (voiced & self._plain & (swings[1:] > _SWING_DB)).sum(0, dtype=np.int32)
        heard = loud & self._plain
        self._peak[1:] = np.where(heard, heard_dbm0 + _FALL_DB[1:], np.float32(-90))
        peaks = np.maximum.accumulate(self._peak, axis=0) - _FALL_DB
        self._peak[0] = peaks[-1]
        np.less(heard_dbm0, peaks[1:] - _LULL_DB, out=self._lull[1:], casting="unsafe")
        lulls = _followed(self._lull, 1 / _SECONDS_STEPS)
        self._music += (heard & (lulls[1:] < _MUSIC_LULL)).sum(0, dtype=np.int32)

    def _judge(self, out: Reports) -> None:
        low = self._rank < _HEARD
        quick = (self._voiced >= _VOICE_STEPS) & (self._lull[0] > _VOICE_LULL) & low
        again = (self._voiced >= _VOICE_AGAIN_STEPS) & (self._rank == _WEAK)
        for c in (quick | again).nonzero()[0].tolist():
            self._set(c, "voice", _HEARD, {"voiced_s": round(int(self._voiced[c]) * 0.02, 2)}, out)
        for c in ((self._music >= _MUSIC_STEPS) & low).nonzero()[0].tolist():
            if self._rank[c] < _LITTLE:
                self._set(c, "music", _LITTLE, {"music_s": round(int(self._music[c]) * 0.02, 2)}, out)
        for c in ((self._age // _BLOCK == _NOTHING_STEPS // _BLOCK) & (self._rank == 0)).nonzero()[0].tolist():
            if self._voiced[c] < 5 and self._music[c] < 25 and out.open(c, "class") is None:
                self._set(c, "none", 0, {}, out)

    def sign(self, event: Event, out: Reports) -> None:
        """What another detector reported."""
        c, value = event.channel, event.value
        evidence: dict[str, object] = {"sign": event.kind, "value": value}
        match event.kind:
            case "v21":
                self._machine(c, "fax", _CERTAIN, evidence, out)
            case "carrier":
                fax = value in FAX_CARRIERS
                self._machine(c, "fax" if fax else "modem", _STRONG, evidence, out)
            case "cng":
                self._machine(c, "fax", _WEAK, evidence, out)
            case "answer_tone" if value != "ans":
                self._machine(c, "modem", _WEAK, evidence, out)
            case "calling_tone":
                self._machine(c, "modem", _WEAK, evidence, out)
            case "progress" | "dtmf" if self._rank[c] == 0 and value != "other":
                self._set(c, "other", 0, evidence, out)

    def _machine(self, c: int, value: str, rank: int, evidence: dict[str, object], out: Reports) -> None:
        now = out.open(c, "class")
        if now is not None and now.value == "fax" and value == "modem":
            return  # the carriers of a fax call
        if rank > self._rank[c] or (now is not None and now.value != value and rank == self._rank[c]):
            self._voiced[c] = 0
            self._set(c, value, rank, evidence, out)

    def _set(self, c: int, value: str, rank: int, evidence: dict[str, object], out: Reports) -> None:
        self._rank[c] = rank
        self.machine[c] = value in ("fax", "modem")
        self.any_machine = bool(self.machine.any())
        now = out.open(c, "class")
        confidence = _CONFIDENCE.get(rank, 0.5)
        if now is None:
            out.begin(c, "class", max(0, int(self._since[c])) * HOP, value, confidence, evidence)
        elif now.value != value or now.confidence < confidence:
            out.change(c, "class", value, confidence, evidence)


@cache
def _follower(rate: float) -> NDArray[np.float32]:
    """`[5, 5]`: from a state and four values to the state before each of them and after the last."""
    n = np.arange(_BLOCK + 1)
    ages = n[:, None] - n
    matrix = np.where(ages > 0, rate * (1 - rate) ** np.maximum(ages - 1.0, 0).T.T, 0.0)
    matrix = np.roll(matrix, 1, axis=1)
    matrix[:, 0] = (1 - rate) ** n
    return matrix.astype(np.float32)


def _followed(values: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """`[5, channels]`: the running mean whose state is row 0 of `values`, before each of the rows 1 to 4 and after the
    last, which becomes the new row 0."""
    states: NDArray[np.float32] = _follower(rate) @ values
    values[0] = states[-1]
    return states


assert STEP == 160  # the counts of steps above are 20 ms each
