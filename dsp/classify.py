"""The class of a call, from what the other detectors report and from the way its sound moves.

Machines are named by their signs: fax by V.21's HDLC flags, CNG or a fax carrier; modem by a carrier, an answer tone
with reversals or modulation (V.8), Bell's answer tone, a calling tone. Plain 2100 Hz belongs to both and decides
nothing. A Super-G3 fax sends ANSam and V.8 too: CNG or flags make it fax, and what is fax stays fax. Only where flags
alone said so, and no message was as long as the shortest of T.30 (a preamble of 0.85 s and a frame), may it have been
V.8bis, which sends HDLC on V.21 as well: an answer tone after it, which in a fax call goes before the first flags, or a
data carrier, which no fax has, makes that a modem.

Speech and music are told by how levels move over 2.56 s, looked at every 640 ms: speech has deep pauses, falls far
below its peaks for a third of the time and changes between voiced and unvoiced; music on hold is dense and its colour
steady. Thirteen such figures are weighed by a logistic function (E. Scheirer and M. Slaney, "Construction and
evaluation of a robust multifeature speech/music discriminator", 1997, name most of them). Verdicts add up, within
bounds: voice after one that is sure, music after some four, and once six seconds were plainly talk the call stays voice
whatever is played on hold. Words too short and too far apart to be weighed are voice when they are a second and a half
together. Other: tones or digits only. None: four and a half seconds of nothing.

A class is reported as soon as its sign is sure and corrected under the same id when a stronger one is heard; the
evidence says when (`decided_s`). A fax call may begin with somebody saying hello, so machines overrule voice; voice
overrules a machine only where its signs were weak (CNG or an answer tone, no data) and plain talk goes on for some
six seconds.

Weak points: the weights were found on prompts, dialogue, music on hold and music of games. Solo instruments with pauses
are voice to it, and talk over music that does not pause is whichever is louder.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import Activity
from dsp.events import RATE, Event
from dsp.reports import Reports
from dsp.tones import STEP

FAX_CARRIERS: Final = frozenset({"v27ter", "v29", "v17"})
CARRIER_PACE: Final = 8
"""Steps from one look at carriers to the next."""
_DATA_CARRIERS: Final = frozenset({"v22", "v22bis", "v32", "v34", "v90"})
_FAX_MESSAGE_S: Final = 1.0

# How sure each sign is; a sign replaces a class that rests on a weaker one.
_CERTAIN, _STRONG, _WEAK, _HEARD, _LITTLE = 5, 4, 3, 2, 1
_CONFIDENCE: Final = {_CERTAIN: 0.99, _STRONG: 0.95, _WEAK: 0.8, _HEARD: 0.85, _LITTLE: 0.7}

_WINDOW: Final = 128
_PACE: Final = 32
"""Steps of 20 ms that are weighed together, and how often."""
_LEAST_STEPS = 64
_LEAST_LOUD, _LEAST_VOICED = 0.2, 0.2
_PART = np.float32(_PACE / _WINDOW)
"""Windows overlap; each counts for what is new in it."""
_SURE = np.float32(4.0)
_MOST_VOICE, _MOST_MUSIC = np.float32(-8.0), np.float32(5.0)
_VOICE, _MUSIC, _MUSIC_AFTER_VOICE = np.float32(-0.5), np.float32(3.0), np.float32(4.0)
_TALKED, _VOICE_AFTER_MACHINE = np.float32(-6.0), np.float32(-6.0)
_SCATTERED_STEPS = 75
_LONG_WINDOWS, _DOUBTFUL = 12, np.float32(2.0)
"""What has been weighed for so long and is still in doubt is voice, for talk matters more."""
_NOTHING_STEPS = 224

Levels = NDArray[np.float32]


class Classifier:
    """The class of the call on each of `channels` channels. `machine[channel]`: it is fax or modem."""

    def __init__(self, channels: int) -> None:
        self._rank = np.zeros(channels, np.int8)
        self.machine = np.zeros(channels, np.bool_)
        self.any_machine = False
        self._flags: dict[int, Event] = {}
        """By channel: the message, so far not as long as a fax's, on which the class of fax rests alone."""
        self._since = np.zeros(channels, np.int64)
        self._leaning = np.zeros(channels, np.float32)
        """Sum of verdicts: below zero voice, above music."""
        self._talked = np.zeros(channels, np.bool_)
        self._scattered, self._sounded, self._weighed = (np.zeros(channels, np.int32) for _ in range(3))
        self._steps = 0
        # Ring of the last steps.
        self._explained = np.zeros((_WINDOW, channels), np.bool_)

    def restart(self, channels: NDArray[np.intp], out: Reports) -> None:
        """A new call begins on these channels; the class so far is forgotten, without a report of its end."""
        for array in (
            self._rank, self.machine, self._leaning, self._talked, self._scattered, self._sounded, self._weighed
        ):  # fmt: skip
            array[channels] = 0
        self.any_machine = bool(self.machine.any())
        self._since[channels] = self._steps
        for channel in channels.tolist():
            out.forget(channel, "class")
            self._flags.pop(channel, None)

    def step(self, activity: Activity, plain: NDArray[np.bool_], out: Reports) -> None:
        """After each step of `activity`; `plain`: no tone, digit or carrier sounds."""
        at = self._steps % _WINDOW
        np.logical_not(plain, out=self._explained[at])
        self._steps += 1
        if self._flags:
            self._time_messages(out)
        if self._steps % _PACE == 0:
            self._judge(activity, out)

    def _time_messages(self, out: Reports) -> None:
        """A message as long as a fax's leaves no doubt."""
        now_s = self._steps * STEP / RATE
        for channel in [c for c, flags in self._flags.items() if now_s - flags.start_s > _FAX_MESSAGE_S]:
            flags, going_on = self._flags[channel], out.open(channel, "v21")
            if going_on is not None and going_on.id == flags.id:
                del self._flags[channel]

    def _judge(self, activity: Activity, out: Reports) -> None:
        order = np.arange(self._steps, self._steps + _WINDOW) % _WINDOW
        ages = self._steps - self._since
        sounds = activity.were_loud(_PACE) & ~self._explained[order[-_PACE:]]
        sounds &= np.arange(_PACE, 0, -1)[:, None] <= ages
        heard = sounds.sum(0, dtype=np.int32)
        self._sounded += heard
        c = ((heard > 0) & (self._rank <= _WEAK)).nonzero()[0]
        if c.size:
            self._weigh(c, order, activity, out)
        quiet = (ages // _PACE == _NOTHING_STEPS // _PACE) & (self._rank == 0) & (self._sounded < 15)
        for channel in quiet.nonzero()[0].tolist():
            if out.open(channel, "class") is None:
                self._set(channel, "none", 0, {}, out)

    def _weigh(self, c: NDArray[np.intp], order: NDArray[np.intp], activity: Activity, out: Reports) -> None:
        """Speech or music, on channels `c`."""
        loud = activity.were_loud(_WINDOW)[:, c]
        used = _used(loud, self._explained[order[:, None], c], self._steps - self._since[c])
        steps = used.sum(0)
        sounding = loud & used
        voiced = sounding & activity.were_voiced(_WINDOW)[:, c]
        loud_steps, voiced_steps = sounding.sum(0), voiced.sum(0)
        weighed = (steps >= _LEAST_STEPS) & (loud_steps >= _LEAST_LOUD * steps)
        weighed &= voiced_steps >= _LEAST_VOICED * loud_steps
        self._scattered[c] += np.where(weighed, 0, voiced[-_PACE - _NEAR_STEPS : -_NEAR_STEPS].sum(0, dtype=np.int32))
        self._weighed[c] += weighed
        some = weighed.nonzero()[0]
        if some.size:
            those = c[some]
            levels = activity.levels_dbm0(_WINDOW)[:, :, those]
            shape = described(levels, used[:, some], loud[:, some], activity.noise_floor_dbm0[those])
            verdict = np.clip(_WEIGHTS @ shape + _BIAS, -_SURE, _SURE)
            leaning = self._leaning[those] + _PART * verdict
            self._leaning[those] = np.clip(leaning, _MOST_VOICE, _MOST_MUSIC)
            self._talked[those] |= leaning <= _TALKED
        self._decide(c, out)

    def _decide(self, c: NDArray[np.intp], out: Reports) -> None:
        leaning, rank, talked = self._leaning[c], self._rank[c], self._talked[c]
        scattered = (self._scattered[c] >= _SCATTERED_STEPS) & (leaning < -_VOICE)
        doubtful = (self._weighed[c] >= _LONG_WINDOWS) & (leaning < _DOUBTFUL) & (rank < _LITTLE)
        voice = ((leaning <= _VOICE) | scattered) & (rank < _HEARD) | doubtful
        voice |= (leaning <= _VOICE_AFTER_MACHINE) & (rank == _WEAK)
        music = (leaning >= _MUSIC) & (rank < _LITTLE)
        music |= (leaning >= _MUSIC_AFTER_VOICE) & (rank == _HEARD) & ~talked
        for channel in c[voice].tolist():
            self._set(channel, "voice", _HEARD, {"leaning": round(float(self._leaning[channel]), 1)}, out)
        for channel in c[music].tolist():
            self._set(channel, "music", _LITTLE, {"leaning": round(float(self._leaning[channel]), 1)}, out)

    def sign(self, event: Event, out: Reports) -> None:
        """What another detector reported."""
        c, value = event.channel, event.value
        evidence: dict[str, object] = {"sign": event.kind, "value": value}
        match event.kind:
            case "v21":
                now = out.open(c, "class")
                if now is None or now.value != "fax" or c in self._flags:
                    self._flags[c] = event
                self._machine(c, "fax", _CERTAIN, evidence, out)
            case "carrier":
                now = out.open(c, "class")
                if c in self._flags and value in _DATA_CARRIERS and out.open(c, "v21") is None:
                    del self._flags[c]
                    self._set(c, "modem", _CERTAIN, evidence, out)
                    return
                fax = value in FAX_CARRIERS and (now is None or now.value != "modem")
                if fax:
                    self._flags.pop(c, None)
                self._machine(c, "fax" if fax else "modem", _STRONG, evidence, out)
            case "cng":
                self._flags.pop(c, None)
                self._machine(c, "fax", _WEAK, evidence, out)
            case "answer_tone" if c in self._flags and self._flags[c].start_s < event.start_s:
                del self._flags[c]
                self._set(c, "modem", _WEAK, evidence, out)
            case "answer_tone" if value != "ans":
                self._machine(c, "modem", _WEAK, evidence, out)
            case "calling_tone":
                self._machine(c, "modem", _WEAK, evidence, out)
            case "progress" | "dtmf" | "answer_tone" if self._rank[c] == 0 and value != "other":
                self._set(c, "other", 0, evidence, out)

    def _machine(self, c: int, value: str, rank: int, evidence: dict[str, object], out: Reports) -> None:
        now = out.open(c, "class")
        if now is not None and now.value == "fax" and value == "modem":
            return  # the carriers of a fax call
        if rank > self._rank[c] or (now is not None and now.value != value and rank == self._rank[c]):
            self._leaning[c], self._scattered[c], self._weighed[c], self._talked[c] = 0, 0, 0, False
            self._set(c, value, rank, evidence, out)

    def _set(self, c: int, value: str, rank: int, evidence: dict[str, object], out: Reports) -> None:
        self._rank[c] = rank
        self.machine[c] = value in ("fax", "modem")
        self.any_machine = bool(self.machine.any())
        now = out.open(c, "class")
        confidence = _CONFIDENCE.get(rank, 0.5)
        # Carriers are looked at one after another, but all as of the step in which their turn began.
        turn = (self._steps - 1) % CARRIER_PACE if evidence.get("sign") == "carrier" else 0
        evidence["decided_s"] = (self._steps - turn) * STEP / RATE
        if now is None:
            out.begin(c, "class", int(self._since[c]) * STEP, value, confidence, evidence)
        elif now.value != value or now.confidence < confidence:
            out.change(c, "class", value, confidence, evidence)


_EXPLAINED_STEPS: Final = 5
_NEAR_STEPS: Final = 3


def _used(loud: NDArray[np.bool_], explained: NDArray[np.bool_], ages: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`[window, n]`: the steps to weigh: of this call, after the last tone, from the first to the last loud one,
    without digits and what is near to them."""
    window = len(loud)
    toned, near = explained.copy(), explained.copy()
    for k in range(1, _EXPLAINED_STEPS):
        toned[k:] &= explained[:-k]
    for k in range(1, _NEAR_STEPS + 1):
        near[k:] |= explained[:-k]
        near[:-k] |= explained[k:]
    last = np.where(toned.any(0), window - 1 - toned[::-1].argmax(0), -1)
    first = np.maximum(last + 1, window - ages)
    at = np.arange(window)[:, None]
    sounding = loud & (at >= first) & ~near
    first, end = sounding.argmax(0), window - sounding[::-1].argmax(0)
    used: NDArray[np.bool_] = (at >= first) & (at < end) & sounding.any(0) & ~near
    return used


_WEIGHTS: Final = np.array(
    [0.03, -0.39, 1.82, -1.92, -2.5, -0.73, 0.38, 0.04, -0.32, -4.25, 0.56, -4.16, -3.55], np.float32
)
_BIAS = np.float32(8.3)
_RANGE_DB = np.float32(30.0)


def described(levels_dbm0: Levels, used: NDArray[np.bool_], loud: NDArray[np.bool_], floor_dbm0: Levels) -> Levels:
    """`[13, n]`: how the whole and the voiced level, `[window, 2, n]`, move over the steps that are `used`.

    Against the peak, cut at -30 dB: mean, deviation, shares below 8, 15 and 25 dB, mean change, root mean square of the
    rises. Of the voiced part against the whole, where the level is above -25 dB: mean, deviation, share below -8 dB,
    mean change. Then the share of quiet steps, and the peak above the noise floor in 30 dB."""
    mask = used.astype(np.float32)
    share = 1 / np.maximum(mask.sum(0), 1)
    mask *= share
    whole, voices = levels_dbm0[:, 0], levels_dbm0[:, 1]
    peak = np.where(used[1:], np.minimum(whole[1:], whole[:-1]), np.float32(-90)).max(0)
    below = np.clip(whole - peak, -_RANGE_DB, 0)
    mean = _mean(below, mask)
    change = (below[1:] - below[:-1]) * mask[1:]
    rises = np.maximum(change, 0)
    sounding = below > -25
    tilt = np.clip(voices - whole, -20, 0) * sounding
    part = np.maximum(_mean(sounding, mask), 1e-3)
    mean_tilt = _mean(tilt, mask) / part
    return np.stack([
        mean,
        np.sqrt(np.maximum(_mean(below * below, mask) - mean * mean, 0)),
        _mean(below < -8, mask),
        _mean(below < -15, mask),
        1 - _mean(below >= -25, mask),
        np.abs(change).sum(0),
        np.sqrt((rises * rises).sum(0) / share),
        mean_tilt,
        np.sqrt(np.maximum(_mean(tilt * tilt, mask) / part - mean_tilt * mean_tilt, 0)),
        _mean(tilt < -8, mask),
        (np.abs(tilt[1:] - tilt[:-1]) * mask[1:]).sum(0),
        1 - _mean(loud, mask),
        np.clip((peak - floor_dbm0) / _RANGE_DB, 0, 1.5),
    ])  # fmt: skip


def _mean(values: NDArray[np.float32] | NDArray[np.bool_], mask: Levels) -> Levels:
    mean: Levels = np.einsum("tn,tn->n", values, mask, dtype=np.float32)
    return mean
