"""The class of a call, from what the other detectors report.

Fax: HDLC flags of V.21, or CNG. Modem: a carrier, an answer tone with reversals or modulation (V.8), Bell's answer
tone, a calling tone. Voice: a second of voiced steps whose level swings, with pauses between. Music: voiced sound for
six seconds without the pauses of talk. Other: tones or digits only. None: five seconds of nothing.

A class is reported as soon as its sign is sure and corrected under the same id when a stronger one is heard. Both
sides of a line are mixed: a fax call may begin with somebody saying hello, so machines overrule voice; voice overrules
a machine only where its signs were weak (CNG or an answer tone, no data) and the talk goes on for three seconds.
Plain 2100 Hz belongs to fax and modem alike and decides nothing.
"""

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
_SWING_DB = 3.0
_LULL_DB = 15.0
_SECONDS_STEPS = 100


class Classifier:
    """The class of the call on each of `channels` channels."""

    def __init__(self, channels: int) -> None:
        self._rank = np.zeros(channels, np.int8)
        self._voiced, self._music, self._age = (np.zeros(channels, np.int32) for _ in range(3))
        self._lull = np.zeros(channels, np.float32)
        self._peak = np.full(channels, -90, np.float32)
        self._since = np.zeros(channels, np.int64)

    def restart(self, channels: NDArray[np.intp], out: Reports) -> None:
        """A new call begins on these channels; the class so far is forgotten, without a report of its end."""
        for array in (self._rank, self._voiced, self._music, self._age):
            array[channels] = 0
        self._lull[channels], self._peak[channels] = 0, -90
        self._since[channels] = -1
        for channel in channels.tolist():
            out.forget(channel, "class")

    def step(self, hop: int, activity: Activity, explained: NDArray[np.bool_], out: Reports) -> None:
        """Count what was heard in the step after hop number `hop`."""
        self._since = np.where(self._since < 0, hop, self._since)
        self._age += 1
        speechlike = activity.voiced & ~explained & (activity.swing_db > _SWING_DB)
        self._voiced += speechlike
        heard = activity.loud & ~explained
        # A lull: well under the recent peak. Talk has one in every second, music on hold hardly any.
        self._peak = np.maximum(self._peak - np.float32(0.1), np.where(heard, activity.heard_dbm0, -90))
        lull = activity.heard_dbm0 < self._peak - np.float32(_LULL_DB)
        self._lull += np.float32(1 / _SECONDS_STEPS) * (lull - self._lull)
        self._music += heard & (self._lull < 0.12)
        quick = (self._voiced >= _VOICE_STEPS) & (self._lull > 0.1) & (self._rank < _HEARD)
        again = (self._voiced >= _VOICE_AGAIN_STEPS) & (self._rank == _WEAK)
        for c in np.flatnonzero(quick | again).tolist():
            self._set(c, "voice", _HEARD, {"voiced_s": round(int(self._voiced[c]) * 0.02, 2)}, out)
        for c in np.flatnonzero((self._music >= _MUSIC_STEPS) & (self._rank < _HEARD)).tolist():
            self._set(c, "music", _LITTLE, {"music_s": round(int(self._music[c]) * 0.02, 2)}, out)
        nothing = (self._age == _NOTHING_STEPS) & (self._rank == 0) & (self._voiced < 5) & (self._music < 25)
        for c in np.flatnonzero(nothing).tolist():
            if out.open(c, "class") is None:
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
        now = out.open(c, "class")
        confidence = _CONFIDENCE.get(rank, 0.5)
        if now is None:
            out.begin(c, "class", max(0, int(self._since[c])) * HOP, value, confidence, evidence)
        elif now.value != value or now.confidence < confidence:
            out.change(c, "class", value, confidence, evidence)


assert STEP == 160  # the counts of steps above are 20 ms each
