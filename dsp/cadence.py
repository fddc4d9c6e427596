"""Cadences: what bursts and pauses of known lengths say, by the plan of a zone.

No arrays here: one `Cadence` follows one channel that has had a burst lately, and is asked only where a burst has
ended or a pause or burst has become long enough. Times are steps of 20 ms.

A tone is told when enough of its cadence was heard and no other tone of the plan follows what was heard as far back:

* a continuous tone once it has outlasted every burst of its frequencies;
* a cadence after burst, pause and burst, or pause, burst and 0.8 s of the next pause; one with more parts after all of
  them, a last long pause only begun;
* a slow one (bursts of 0.8 s or more) as soon as the second burst has sounded for 0.2 s; after one burst alone only
  when that has the nominal length within a tenth, and a quiet pause has outlasted 2 s: a call may be answered in it;
* frequencies in turn once the last has sounded for its least length;
* call waiting, which sounds during talk, once its bursts came twice exactly alike: with a quiet pause only when that
  lasts for its whole length, too, or after a third time. A ring-back that is cut off by the answer is none.

Pauses in which something else sounded ask for one part more, and a digit in a pause ends every cadence. A pause of
60 ms inside a burst is none: a click, or a frame that was lost. The event ends where its last burst did, said when
the next is overdue, when what comes next does not fit, when 200 ms of another sound fill the pause, or 200 ms after a
continuous tone.
"""

from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from dsp.reports import Reports
from dsp.tones import STEP
from dsp.zones import Tone, TonePlan

STEP_S: Final = STEP / 8000
OTHER: Final = -1
"""A pause in which there was another sound; 0 is a quiet one."""
DIGIT: Final = -2

_SLACK_S: Final = 0.042
"""Bursts are measured to a step at either end."""
_SLOW_S: Final = 0.8
_OVER: Final = 10
_BRIDGE, _BRIDGE_CLICK = 3, 5
_REMEMBERED: Final = 11
_LEAST_CONTINUOUS_S: Final = 0.8
_LEAST_SINGLE_S: Final = 1.0
_LEAST_DIAL: Final = 12
_ALIKE_S, _ALIKE_HZ = 0.045, 6.5
_LONG_PERIOD_S: Final = 8.0
"""No ring-back has a period so long."""
_ALONE_S, _ALONE = 2.0, 0.1
"""Pause after which one burst of a slow cadence is enough, and how near to its nominal length it must be."""
_AGAIN_S: Final = 0.2
"""How long the second burst of a slow cadence sounds before it is told; it may end before."""
_TELLING_S: Final = 0.3
"""A burst of this length that stands still is rare in speech."""


class Stretch(NamedTuple):
    """A burst (`set_` is 1 + its number in the plan) or a pause (`set_` 0 or less) from step `begin` to `end`."""

    set_: int
    begin: int
    end: int
    hz: float = 0.0

    @property
    def length_s(self) -> float:
        return (self.end - self.begin) * STEP_S


class Pattern:
    """A tone of the plan as it is looked for."""

    def __init__(self, plan: TonePlan, tone: Tone) -> None:
        self.tone, self.value = tone, tone.value
        self.sets = [plan.sets.index(s) + 1 for s in tone.sets]
        self.tolerance_hz = (plan.tolerance_hz if tone.tolerance_hz is None else tone.tolerance_hz) + 4
        share = plan.tolerance if tone.tolerance is None else tone.tolerance
        self.parts = [((1 - share) * s - _SLACK_S, (1 + share) * s + _SLACK_S) for s in tone.cadence_s]
        self.continuous = not tone.cadence_s
        self.in_turn = tone.in_turn
        self.steady = self.continuous or self.in_turn
        same = [t for t in plan.tones if not t.in_turn and t.frequencies_hz == tone.frequencies_hz]
        bursts = [(1 + plan.tolerance) * s for t in same for s in t.cadence_s[::2]]
        least = _LEAST_SINGLE_S if len(tone.frequencies_hz) == 1 else _LEAST_CONTINUOUS_S
        self.lasting_s = max([least, *(s + 0.1 for s in bursts)])
        self.slow = len(tone.cadence_s) == 2 and tone.cadence_s[0] >= _SLOW_S
        self.need = max(3, len(tone.cadence_s))
        rivals = [
            off
            for t in same
            if t.value != tone.value and self.slow
            for on, off in zip(t.cadence_s[::2], t.cadence_s[1::2], strict=True)
            if self.parts[0][0] <= on <= self.parts[0][1]
        ]
        self.alone_s = max([_ALONE_S, *(1.15 * off + 0.1 for off in rivals)])
        self.in_talk = tone.value == "call_waiting"
        self.silence_s = self.parts[-1][0] if self.in_talk else _SLOW_S
        self.longest_off_s = max((high for _, high in self.parts[1::2]), default=0.0)
        self.family = [self]
        """The forms in which this value stands in the plan, for the same frequencies."""

    @property
    def moment_s(self) -> float | None:
        """Length of a burst that goes on at which this tone may be sure."""
        if self.continuous:
            return self.lasting_s
        return self.parts[-1][0] + 0.02 if self.in_turn else None

    def tail(self, stretches: list[Stretch]) -> tuple[int, int]:
        """How many of the last stretches follow this cadence, and as which part the last one does."""
        best, last = 0, 0
        for phase in range(len(self.parts)):
            n = 0
            while n < len(stretches) and self._is(phase - n, stretches[-1 - n]):
                n += 1
            if n > best:
                best, last = n, phase
        return best, last

    def follows(self, stretches: list[Stretch], pause: Stretch | None) -> int:
        """How many stretches, a pause that goes on among them, make this tone sure; 0: it is not."""
        n, last = self.tail(stretches)
        if self.in_talk:
            return self._twice(stretches, n, last, pause)
        need = self.need
        if any(s.set_ == OTHER for s in stretches[-n:]):
            need += 1
        if pause is not None and pause.set_ == 0 and n == 1 and last == 0 and self._nominal(stretches[-1]):
            return 2 if self.alone_s <= pause.length_s <= self.parts[1][1] else 0
        if pause is not None and pause.set_ == 0 and n >= need - 1 and last % 2 == 0:
            off = self.parts[(last + 1) % len(self.parts)]
            if self.tone.cadence_s[(last + 1) % len(self.parts)] >= _SLOW_S:
                return n + 1 if self.silence_s <= pause.length_s <= off[1] else 0
        return n if n >= need else 0

    def _twice(self, stretches: list[Stretch], n: int, last: int, pause: Stretch | None) -> int:
        """As `follows`, where the tone sounds during talk."""
        own = stretches[-n:] if n % 2 else stretches[len(stretches) - n + 1 :]
        period = len(self.parts)
        if n == 0 or len(own) < 2 * period - 1 or not all(map(_alike, own[::2], own[period::2])):
            return 0
        if len(own) > 2 * period:
            return n
        if any(s.set_ == OTHER for s in own):
            return n if self.tone.cadence_s[0] >= _TELLING_S else 0
        if sum(self.tone.cadence_s) >= _LONG_PERIOD_S:
            return n
        after = (last + 1) % period
        if pause is None or pause.set_ != 0 or self.tone.cadence_s[after] < _SLOW_S:
            return 0
        return n + 1 if self.parts[after][0] <= pause.length_s <= self.parts[after][1] else 0

    def goes_on(self, stretches: list[Stretch]) -> bool:
        """Whether the last burst, and the pause before it, may be parts of this tone that was told."""
        *_, pause, burst = stretches
        fits = burst.set_ == self.sets[0] and burst.length_s <= max(high for _, high in self.parts[::2])
        return fits and any(low <= pause.length_s <= high for low, high in self.parts[1::2])

    def _nominal(self, burst: Stretch) -> bool:
        """A burst of a slow cadence that may stand for it alone."""
        return self.slow and abs(burst.length_s - self.tone.cadence_s[0]) <= _ALONE * self.tone.cadence_s[0]

    def again(self, first: Stretch, pause: Stretch, burst: Stretch) -> bool:
        """A slow cadence: after a burst and a quiet pause another burst like the first has begun."""
        if not self.slow or pause.set_ != 0 or not (self._is(0, first) and self._is(1, pause)):
            return False
        return self._on(burst, 0) and abs(burst.hz - first.hz) <= _ALIKE_HZ

    def lasts(self, burst: Stretch) -> bool:
        """A burst that goes on is this continuous tone."""
        return self.continuous and burst.length_s >= self.lasting_s and self._on(burst, 0)

    def turned(self, bursts: list[Stretch]) -> bool:
        """The last bursts are the frequencies of this tone, one after another."""
        n = len(self.sets)
        if not self.in_turn or len(bursts) < n:
            return False
        last = bursts[-n:]
        close = all(b.begin - a.end <= _BRIDGE for a, b in pairwise(last))
        return close and all(
            self._on(b, i) and low <= b.length_s <= high
            for i, (b, (low, high)) in enumerate(zip(last, self.parts, strict=True))
        )

    def _on(self, burst: Stretch, number: int) -> bool:
        return burst.set_ == self.sets[number] and abs(burst.hz) <= self.tolerance_hz

    def _is(self, part: int, stretch: Stretch) -> bool:
        low, high = self.parts[part % len(self.parts)]
        if not low <= stretch.length_s <= high:
            return False
        return self._on(stretch, 0) if part % 2 == 0 else stretch.set_ in (0, OTHER)


def _alike(one: Stretch, other: Stretch) -> bool:
    return abs(one.length_s - other.length_s) <= _ALIKE_S and abs(one.hz - other.hz) <= _ALIKE_HZ


class Patterns:
    """All tones of a plan."""

    def __init__(self, plan: TonePlan) -> None:
        self.all = [Pattern(plan, tone) for tone in plan.tones]
        self.cyclic = [p for p in self.all if not p.steady]
        self.steady = [p for p in self.all if p.steady]
        self.dials = {p.sets[0]: p for p in self.all if p.value == "dial"}
        self.moments: dict[int, set[int]] = {}
        for p in self.steady:
            assert p.moment_s is not None
            self.moments.setdefault(p.sets[-1], set()).add(round(p.moment_s / STEP_S) + 1)
        for p in self.cyclic:
            if p.slow:
                self.moments.setdefault(p.sets[0], set()).add(round(_AGAIN_S / STEP_S) + 1)
        for p in self.cyclic:
            p.family = [q for q in self.cyclic if (q.value, q.sets) == (p.value, p.sets)]
        self.silences: dict[int, set[int]] = {}
        self.longest_off: dict[int, int] = {}
        for p in self.cyclic:
            off = round(p.longest_off_s / STEP_S) + 3
            self.longest_off[p.sets[0]] = max(off, self.longest_off.get(p.sets[0], 0))
            if p.longest_off_s >= _SLOW_S:
                moments = {p.silence_s, p.alone_s} if p.slow else {p.silence_s}
                self.silences.setdefault(p.sets[0], set()).update(round(s / STEP_S) + 1 for s in moments)


class Cadence:
    """The bursts and pauses of one channel. What the methods return are steps at which `look` must be called."""

    def __init__(self, channel: int, patterns: Patterns) -> None:
        self._channel, self._patterns = channel, patterns
        self._stretches: list[Stretch] = []
        self._pause = 0
        """What the pause after the last burst is."""
        self._told: Pattern | None = None
        self.sounding = False
        """What was told is a burst that goes on."""

    @property
    def last(self) -> Stretch | None:
        """The last burst that ended."""
        return self._stretches[-1] if self._stretches else None

    @property
    def telling(self) -> bool:
        """A tone was told and is not over."""
        return self._told is not None

    def over(self, step: int) -> bool:
        """Nothing of it can go on."""
        last = self.last
        if self._told is not None:
            return False
        return last is None or step - last.end > self._patterns.longest_off.get(last.set_, 0) + _OVER

    def burst(self, burst: Stretch, out: Reports) -> list[int]:
        """A burst has ended."""
        burst = self._joined(burst)
        stretches = self._stretches
        if stretches and stretches[-1].begin == burst.begin:
            stretches.pop()
        elif stretches:
            stretches.append(Stretch(self._pause, stretches[-1].end, burst.begin))
        stretches.append(burst)
        del stretches[:-_REMEMBERED]
        self._pause, self.sounding = 0, False
        told = self._told
        if told is not None and not told.steady and len(stretches) > 1:
            goes_on = stretches[-2].set_ != DIGIT and any(p.goes_on(stretches) for p in told.family)
            if not goes_on:
                self._end(out, -3)
        self._match(None, out)
        if self._told is None and len(stretches) >= 3:
            self._rings_again(stretches[-3:], out)
        if self._told is None:
            self._look_at(burst, out)
            self.sounding = False
        return self._looks(burst, burst.end)

    def disturbed(self, step: int) -> list[int]:
        """Another sound began in the pause."""
        self._pause = min(self._pause, OTHER)
        return [step + _OVER] if self._told is not None else []

    def look(self, sounds: Stretch | None, now: int, step: int, out: Reports) -> list[int]:
        """`sounds`: the burst that goes on, if it is steady; `now`: what is heard (a set, 0 or OTHER)."""
        if sounds is not None:
            self._look_at(self._joined(sounds), out)
            return []
        last, told = self.last, self._told
        if last is None or now > 0:
            return []  # What follows is seen when the burst ends.
        over = told is not None and step >= self._due(last)
        if told is not None and (over or (now == OTHER and not told.steady and not told.in_talk)):
            self._end(out, -1)
            # In silence the last burst was of that tone, and is of no other.
            self._stretches = [last._replace(hz=inf) if over else last]
        if self._told is None:
            self._match(Stretch(self._pause, last.end, step), out)
        return self._looks(last, step)

    def digit(self, sounds: Stretch | None, step: int, out: Reports) -> None:
        """A digit was reported: a dial tone that sounded until it began was one; what follows is no cadence of it."""
        last = self._joined(sounds) if sounds is not None else self.last
        again, self._pause = self._pause == DIGIT, DIGIT
        if again or last is None or last.set_ not in self._patterns.dials or step - last.end > _OVER:
            return
        if self._told is None:
            before = [s for s in self._stretches if s.set_ > 0 and s.begin < last.begin]
            alone = not before or last.begin - before[-1].end > 50
            dial = self._patterns.dials[last.set_]
            if alone and last.end - last.begin >= _LEAST_DIAL and abs(last.hz) <= dial.tolerance_hz:
                self._tell(dial, [last], out)
                self.sounding = sounds is not None
        if self._told is not None and sounds is None:
            self._end(out, -1)

    def _joined(self, burst: Stretch) -> Stretch:
        """With the burst before it, where only a click or a lost frame lies between."""
        last = self.last
        if last is None or last.set_ != burst.set_ or self._pause == DIGIT:
            return burst
        gap = burst.begin - last.end
        if gap > (_BRIDGE if self._pause == 0 else _BRIDGE_CLICK):
            return burst
        whole = last.end - last.begin + burst.end - burst.begin
        hz = (last.hz * (last.end - last.begin) + burst.hz * (burst.end - burst.begin)) / max(whole, 1)
        return Stretch(burst.set_, last.begin, burst.end, hz)

    def _look_at(self, burst: Stretch, out: Reports) -> None:
        """A burst goes on."""
        told = self._told
        if told is not None and told.continuous and self.last is not None and burst.begin == self.last.begin:
            return
        bursts = [*(s for s in self._stretches if s.set_ > 0 and s.begin != burst.begin), burst]
        for p in self._patterns.steady:
            if p.sets[-1] == burst.set_ and (p.lasts(burst) or p.turned(bursts)):
                if told is not None and told is not p:
                    self._end(out, -1)
                if self._told is None:
                    self._tell(p, bursts[-len(p.sets) :], out)
                self.sounding = True
                break
        if self._told is None and self.last is not None and burst.begin > self.last.begin:
            self._rings_again([self.last, Stretch(self._pause, self.last.end, burst.begin), burst], out)

    def _rings_again(self, heard: list[Stretch], out: Reports) -> None:
        """Tell a slow cadence of which a burst, a pause and the beginning of a burst were heard."""
        for p in self._patterns.cyclic:
            if p.again(*heard):
                self._tell(p, heard, out)
                break

    def _match(self, pause: Stretch | None, out: Reports) -> None:
        """Tell what the stretches, and the pause that goes on after them, have made sure."""
        stretches = self._stretches
        best: tuple[int, Pattern] | None = None
        for p in self._patterns.cyclic:
            if p.sets[0] == stretches[-1].set_:
                n = p.follows(stretches, pause)
                if n and (best is None or n > best[0]):
                    best = n, p
        if best is None or (self._told is not None and self._told.value == best[1].value):
            return
        n, pattern = best
        heard = [*stretches, pause] if pause is not None and n > pattern.tail(stretches)[0] else stretches
        if pause is None or heard is stretches:
            for p in self._patterns.cyclic:
                if p.value != pattern.value and p.tail(stretches)[0] >= n:
                    return
        begin = -n + (pause is not None and heard is not stretches)
        self._tell(pattern, stretches[begin:] if begin else stretches, out)

    def _tell(self, pattern: Pattern, heard: list[Stretch], out: Reports) -> None:
        if self._told is not None:
            self._end(out, -1)
        first = next(s for s in heard if s.set_ > 0)
        evidence = {
            "cadence_s": [round(s.length_s, 2) for s in heard[-8:]],
            "off_hz": round(sum(s.hz for s in heard if s.set_ > 0) / sum(s.set_ > 0 for s in heard), 1),
        }
        out.begin(self._channel, "progress", first.begin * STEP, pattern.value, 0.9, evidence)
        self._told = pattern

    def _end(self, out: Reports, burst: int) -> None:
        """The event ends with a burst, counted from the last (-1) in steps of a burst and a pause."""
        assert self._told is not None
        out.end(self._channel, "progress", self._stretches[burst].end * STEP)
        self._told = None

    def _due(self, last: Stretch) -> int:
        """When what was told is over, unless another burst has begun."""
        assert self._told is not None
        off_s = max(p.longest_off_s for p in self._told.family)
        return last.end + (round(off_s / STEP_S) + 4 if off_s else _OVER)

    def _looks(self, last: Stretch, step: int) -> list[int]:
        """When the pause after the last burst will have become long enough for something."""
        looks = [last.end + silence for silence in self._patterns.silences.get(last.set_, ())]
        looks.append(last.end + self._patterns.longest_off.get(last.set_, 0) + _OVER + 1)
        if self._told is not None:
            looks.append(self._due(last))
        return [look for look in looks if look > step]
