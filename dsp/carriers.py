"""Data carriers, by name.

A carrier stands still: over 240 ms the level of its 20 ms steps hardly moves, and most of its energy is not where
voices have theirs. That flags a channel. Flagged channels are looked at a few times (`dsp.carrier_signs`), soon at
first and ever more rarely once the name is settled: symbol clock, shape of the spectrum and constellation. Two looks
that agree make an event, and two later ones that agree on another name correct it under the same id.

What a call has shown before decides what one look cannot: V.17 and V.32 have one spectrum and one clock (fax, or the
class of a fax, makes it `v17`); V.90 has no clock at all downstream and is `v90` only after V.34's probing or in a call
that was V.34 so far. V.34's line probing, V.32's AC and V.22's unscrambled ones name the modem before its data. V.21 is
no carrier of its own within V.8's CM and JM or among the frames of a fax. Steady noise has the shape of V.34 and of
V.90, but no clock, and neither probing nor CM and JM go before it.

Weak points: V.90 in the middle of a call looks like noise and is not told; noise for 0.8 s within the start of V.34
(a manufacturer's own signal, 10.1.3.5) makes it `v90`; V.34 at 2400 Bd on 1800 Hz without its start is `v32`; V.34 of a
fax (T.30 annex F) is `v34`, a modem.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import Activity
from dsp.carrier_signs import CLOCKS, LINES, SAMPLES, SHAPES, Signs, constellation, look, probing
from dsp.classify import CARRIER_PACE, FAX_CARRIERS
from dsp.events import Event
from dsp.history import History
from dsp.reports import Reports
from dsp.tones import HOP, STEP

NAMES: Final = ("v21", "bell103", "v23", "v22", "v22bis", "v27ter", "v29", "v17", "v32", "v34", "v90")
_NUMBER: Final = {name: i for i, name in enumerate(NAMES)}
_V21, _V22, _V22BIS, _V23, _V29, _V17, _V32, _V34, _V90 = (
    _NUMBER[name] for name in ("v21", "v22", "v22bis", "v23", "v29", "v17", "v32", "v34", "v90")
)
_NONE: Final = -1

_STILL_STEPS: Final = 12
_STILL_DB, _STOOD_DB = np.float32(6.0), np.float32(3.0)
"""Most that a carrier's level moves in 12 steps; so little moves nothing but a machine's, wherever its energy is."""
_LEAST_DBM0 = np.float32(-57.0)
_GONE_STEPS: Final = 20
_LOOKS: Final = 8
"""Channels looked at together, and in one step at least; the rest of those that are due in the steps before the next
pace."""
_LOW_DB, _RINGING_DB = np.float32(1.4), np.float32(18.0)
"""Where no more than so much is lost without what is below 750 Hz left out, a progress tone stands; where hum and
what is below it is so much stronger than the rest, the line rings."""
_DUE: Final = np.zeros((6, 64), np.bool_)
_DUE[0, [1, 2, 3, 4, 6, 8, 12, 19, 27, 32, 48]] = True
_DUE[1::2, [[1], [2], [19], [32]]] = True
_DUE[4, [5, 8, 12, 19, 32]] = True
"""`[row, age]`: when to look, in paces since the channel is still: row 0 before its carrier is named, 1, 3, 5 after; 2
where something else explains it; 4 where it is all low. From 32 on the row repeats."""
_CLOCK, _NO_CLOCK = 0.58, 0.5
"""Coherence that shows a symbol clock, and that shows none."""
_BLANKS: Final = 4
"""So many looks without a clock, one after the other, in a call that was V.34: PCM codes downstream."""
_LIKE, _SO_LIKE, _MARGIN = 0.95, 0.85, 0.01
_PROBING = 0.75
_BROADLY = 0.9
_S1 = 0.8
_V8_HOPS: Final = 600
"""So long after ANSam what sounds like V.21 is V.8's."""
_CLOSE_HOPS: Final = {_V22: 130, _V34: 1200}
_CLOCKED_HOPS: Final = 400
"""V.34's two trainings last so long together."""
_CALLER_ID_HOPS: Final = 90
"""A caller ID on V.23 is over by then."""
_BEFORE: Final = frozenset({"answer_tone", "calling_tone", "v21", "progress"})
"""What may stand before a carrier, as still as it."""
_FORGET_HOPS: Final = 6000
"""After a minute without a carrier a call's past is forgotten."""


_ALL_SHAPES: Final = (*SHAPES, *LINES)
_OF_CLOCK: Final = [_NUMBER.get(name, _V17) for name, *_ in CLOCKS]
_OF_SHAPE: Final = [{"2400": _V17, "usb1": _V22}.get(name, _NUMBER.get(name, _NONE)) for name in _ALL_SHAPES]
_KEYED: Final = [name in ("v21", "bell103", "v23", *LINES) for name in _ALL_SHAPES]
_BROAD: Final = [name in ("v34", "2400", "v29") for name in _ALL_SHAPES]


class Carriers:
    """Carriers on `channels` channels. `still[channel]`: something stands there that no voice is."""

    def __init__(self, channels: int, history: History) -> None:
        self._history = history
        # Makes the tables, which take as long as two ticks.
        probing(look(np.zeros((1, SAMPLES), np.float32)).power)
        self.still = np.zeros(channels, np.bool_)
        self.any_still = False
        # Numbers in NAMES: what was told, the last look's verdict, and what the call has shown itself to be.
        self._told, self._last, self._past = (np.full(channels, _NONE, np.int16) for _ in range(3))
        self._since = np.zeros(channels, np.int64)
        self._gone = np.zeros(channels, np.int32)
        self._v8, self._agreed, self._heard = (np.full(channels, -_FORGET_HOPS, np.int64) for _ in range(3))
        """Hop of the last ANSam, of the last V.21 after it or in a fax, of the last carrier."""
        self._close_until = np.zeros(channels, np.int64)
        """Until then V.22 may yet say that it is V.22bis, and V.34 show that it is V.90: looks are frequent."""
        self._ticks, self._blanks = (np.zeros(channels, np.int32) for _ in range(2))
        self._closest_until = 0
        """The last of them."""
        self._explained = np.zeros(channels, np.bool_)
        """A tone or the frames of a fax stand there: nothing is looked for that was not told before."""
        self._waiting = np.empty(0, np.intp)
        self._any_told = False

    def restart(self, channels: NDArray[np.intp]) -> None:
        """A new call begins on these channels."""
        self._past[channels] = _NONE
        self._ticks[channels] = self._blanks[channels] = 0
        self._v8[channels] = -_FORGET_HOPS

    def sign(self, event: Event, hop: int, out: Reports) -> None:
        """What another detector reported in the step after hop number `hop`."""
        c = event.channel
        if event.kind == "v21" and event.end_s is None and NAMES[self._told[c]] in FAX_CARRIERS and self._told[c] >= 0:
            # A page is over where the frame after it begins, though both stand as still; the next is another carrier.
            out.end(c, "carrier", event.start_sample)
            self._told[c] = self._last[c] = _NONE
        if event.kind == "answer_tone" and event.value.startswith("ansam"):
            self._v8[c], self._ticks[c], self._blanks[c] = hop, 0, 0
        if event.kind in _BEFORE:
            self._explained[c] = event.end_s is None
            if event.end_s is not None and self._told[c] == _NONE:
                # What stood until now was as steady as the data that may follow: look anew.
                self._since[c] = hop

    def step(self, hop: int, activity: Activity, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        delay = (activity.slot - 1) % CARRIER_PACE
        if delay == 0:
            self._flag(hop + 2, activity, out)
        if self._waiting.size:
            # A quarter in each step, but all of them as of the same one: no channel waits for another.
            share = max(_LOOKS, -(-self._waiting.size // (CARRIER_PACE - delay)))
            due, self._waiting = self._waiting[:share], self._waiting[share:]
            for at in range(0, due.size, _LOOKS):
                self._look(hop + 2 - 2 * delay, due[at : at + _LOOKS], delay * STEP, out)

    def _flag(self, now: int, activity: Activity, out: Reports) -> None:
        levels = activity.levels_dbm0(_STILL_STEPS)
        heard = levels[:, 0]
        lowest = np.minimum.reduce(heard, axis=0)
        moves = np.maximum.reduce(heard, axis=0)
        moves -= lowest
        still = moves < _STILL_DB
        still &= lowest > _LEAST_DBM0
        if still.any():
            voiced = np.add.reduce(activity.voiced_lately.view(np.uint8), axis=0, dtype=np.uint8)
            still &= (voiced < 4) | (moves < _STOOD_DB)
            still &= levels[-1, 2] - heard[-1] < _RINGING_DB
        self.any_still = bool(still.any())
        was, self.still = self.still, still
        if self._any_told:
            self._gone = np.where(still, 0, self._gone + CARRIER_PACE)
            self._end(now, out)
        if not self.any_still:
            return
        fresh = (still & ~was).nonzero()[0]
        if fresh.size:
            self._since[fresh], self._last[fresh] = now - 2 * _STILL_STEPS, _NONE
        c = still.nonzero()[0]
        age = (now - self._since[c]) // (2 * CARRIER_PACE)
        low = levels[-1, 0, c] - levels[-1, 1, c] < _LOW_DB
        row = (self._told[c] >= 0) + np.where(self._explained[c], 2, 4 * low)
        due = _DUE[row, np.where(age < 64, age, age & 31 | 32)]
        if now < self._closest_until:
            due |= now < self._close_until[c]
        self._waiting = c[due]

    def _end(self, now: int, out: Reports) -> None:
        for c in ((self._gone >= _GONE_STEPS) & (self._told >= 0)).nonzero()[0].tolist():
            out.end(c, "carrier", (now * HOP) - (_GONE_STEPS + CARRIER_PACE) * STEP)
            self._told[c] = _NONE
        self._any_told = bool((self._told >= 0).any())

    def _look(self, now: int, channels: NDArray[np.intp], delay_samples: int, out: Reports) -> None:
        signs = look(self._history.last(channels, SAMPLES + delay_samples)[:, :SAMPLES])
        name, untried = _named(signs), self._past[channels] < _V34
        probed = probing(signs.power) > _PROBING if untried.any() else untried
        for at, c in enumerate(channels.tolist()):
            if probed[at]:
                number, sure = _V34, True
            else:
                number, sure = self._in_call(now, c, name[at], at, signs, out)
            early = number == _V23 and now - self._since[c] < _CALLER_ID_HOPS
            if number >= 0 and (sure or number == self._last[c]) and not early:
                self._tell(now, c, number, signs, at, out)
            self._last[c] = number

    def _in_call(self, now: int, c: int, number: int, at: int, signs: Signs, out: Reports) -> tuple[int, bool]:
        """What the verdict of one look means in this call, and whether it needs no second one."""
        past = int(self._past[c]) if now - self._heard[c] < _FORGET_HOPS else _NONE
        call = out.open(c, "class")
        fax, v8 = call is not None and call.value == "fax", now - self._v8[c] < _V8_HOPS
        if number == _V22 or (number == _NONE and self._told[c] == _V22):
            return self._of_600_baud(number, at, past, signs)
        if number == _V17 and not fax:
            number = _V34 if past == _V34 or (past == _NONE and self._agreed[c] > self._v8[c]) else _V32
        elif number == _V21 and (fax or v8 or out.open(c, "v21") is not None):
            self._agreed[c], number = now, _NONE
        elif number in (_V34, _NONE) and (past in (_V34, _V90) or (v8 and self._may_begin(c, number))):
            broad = _BROAD[signs.shape[at]] and signs.likeness[at] > _BROADLY
            return self._after_probing(now, c, past, float(signs.coherence[at])) if broad else (_NONE, False)
        return number, False

    def _may_begin(self, c: int, number: int) -> bool:
        """Whether V.34 may have begun after ANSam: its clock says so, or CM and JM were heard. Noise has neither."""
        return number == _V34 or bool(self._agreed[c] > self._v8[c])

    def _after_probing(self, now: int, c: int, past: int, coherence: float) -> tuple[int, bool]:
        """V.34, or V.90: both begin alike and train one after the other, but V.90's downstream has no symbol clock."""
        if coherence > _CLOCK:
            self._ticks[c] += 1
            self._blanks[c] = 0
            if past != _V90 and self._ticks[c] == 2:
                self._close_until[c] = now + _CLOCKED_HOPS
        elif coherence < _NO_CLOCK:
            self._blanks[c] += 1
            if past == _V34 and now < self._close_until[c] and self._blanks[c] >= _BLANKS:
                self._close_until[c] = 0
                return _V90, True
        return max(past, _V34), False

    def _of_600_baud(self, number: int, at: int, past: int, signs: Signs) -> tuple[int, bool]:
        """V.22 or V.22bis, which says so with S1 or by sixteen points."""
        if past == _V22BIS:
            return past, True
        _, baud, mine_hz = CLOCKS[signs.clock[at]]
        clear = baud == 600 and signs.coherence[at] > 0.8
        kurtosis, s1 = constellation(signs.spectra[at], (mine_hz,) if clear else (1200, 2400))
        if s1.max() > _S1:
            return _V22BIS, True
        if clear and 1.18 < kurtosis[0] < 1.6:
            return _V22BIS, False
        return number, False

    def _tell(self, now: int, c: int, number: int, signs: Signs, at: int, out: Reports) -> None:
        self._heard[c] = now
        if self._past[c] == _NONE and number in (_V22, _V34):
            self._close_until[c] = now + _CLOSE_HOPS[number]
            self._closest_until = max(self._closest_until, now + _CLOSE_HOPS[number])
        self._past[c] = number
        told = int(self._told[c])
        if told == number:
            return
        evidence = {"likeness": round(float(signs.likeness[at]), 3), "clock": round(float(signs.coherence[at]), 2)}
        if told >= 0:
            out.change(c, "carrier", NAMES[number], 0.9, evidence)
        else:
            out.begin(c, "carrier", max(0, int(self._since[c])) * HOP, NAMES[number], 0.9, evidence)
        self._told[c], self._any_told = number, True


def _named(signs: Signs) -> list[int]:
    """`[n]`: number in NAMES by one look, -1 for none. 2400 Bd on 1800 Hz is `v17`, 600 Bd `v22`."""
    names = []
    for clock, coherence, centre_hz, shape, likeness, margin in zip(
        *(sign.tolist() for sign in signs[2:]), strict=True
    ):
        clocked = _OF_CLOCK[clock]
        if clocked == _V17 and centre_hz < 1755:
            clocked = _V29 if centre_hz >= 1645 else _V34
        name = _NONE
        if _KEYED[shape]:
            if likeness > _LIKE and margin > _MARGIN:
                name = _OF_SHAPE[shape]
        elif coherence > _CLOCK and likeness > (_LIKE if clocked == _V22 else _SO_LIKE):
            name = clocked
        names.append(name)
    return names


def recognise(x: NDArray[np.float32]) -> tuple[list[int], NDArray[np.float32]]:
    """For `x[channels, n]`: the number in `NAMES` by its last 350 ms alone, -1 for none, and the likeness."""
    signs = look(x[:, -SAMPLES:])
    return _named(signs), signs.likeness
