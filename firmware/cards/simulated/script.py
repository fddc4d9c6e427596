"""A call as a card plays it: which piece of sound begins when, what the loop does, what the card reports.

Everything begins on the boundary of a block; positions count samples from the start of the call. An outgoing call
goes off-hook, hears dial tone, dials, hears ring-back and is answered; an incoming one rings, with the caller's number
between the first two rings or before the first, and is answered. It ends with the hook down and, if the other party
was first, a busy tone before that.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firmware.cards import BLOCK, LineEventKind
from firmware.cards.simulated.plant import RATE, LinePlant, whole_blocks
from firmware.cards.simulated.pool import Piece
from firmware.cards.simulated.scenario import CallerId, Direction, Intent
from firmware.cards.simulated.signals import EXCHANGES
from firmware.cards.simulated.studio import CLEAN, Studio

Hook = Literal["on", "off"]
_PULSE_BREAK, _PULSE_MAKE, _PULSE_PAUSE = 3 * BLOCK, 2 * BLOCK, RATE * 4 // 5
_TAIL = 2 * RATE // 5
"""On-hook and idle before the line counts as free."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Where everything of a call stands, in samples of the card; None where it does not happen."""

    line: int
    direction: Direction
    kind: str
    number: str
    first_sample: int
    """Of the call: off-hook (out), or the first ring or caller ID (in)."""
    off_hook_sample: int | None
    answer_sample: int | None
    audio_first_sample: int | None
    audio_samples: int
    on_hook_sample: int | None
    end_sample: int
    """From here on the line is free."""
    rings: tuple[tuple[int, int], ...]
    """Bursts of ringing: first sample and the one after the last."""
    digits: tuple[tuple[str, int, int], ...]
    """Dialled digits: digit, first sample, the one after the last."""
    caller_id_sample: int | None
    polarity: bool
    """The battery is reversed while the other party is there."""

    def shifted(self, samples: int) -> "CallPlan":
        def moved(sample: int | None) -> int | None:
            return None if sample is None else sample + samples

        return replace(
            self,
            first_sample=self.first_sample + samples,
            off_hook_sample=moved(self.off_hook_sample),
            answer_sample=moved(self.answer_sample),
            audio_first_sample=moved(self.audio_first_sample),
            on_hook_sample=moved(self.on_hook_sample),
            end_sample=self.end_sample + samples,
            rings=tuple((on + samples, off + samples) for on, off in self.rings),
            digits=tuple((digit, first + samples, last + samples) for digit, first, last in self.digits),
            caller_id_sample=moved(self.caller_id_sample),
        )


@dataclass(slots=True)
class Step:
    at: int
    piece: Piece | None = None
    hook: Hook | None = None
    events: tuple[tuple[LineEventKind, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    plan: CallPlan
    """With the call starting at sample 0."""
    steps: tuple[Step, ...]
    """In order of `at`; the last one stands at `plan.end_sample`."""
    pieces: tuple[Piece, ...]
    """What the call alone uses, to be freed after it."""


class Writer:
    """Writes a script from its beginning to its end. `at` is where it has come to."""

    def __init__(self, studio: Studio, plant: LinePlant, line: int, direction: Direction, number: str) -> None:
        self._studio, self._plant = studio, plant
        self._steps: list[Step] = [Step(0)]
        self._own: list[Piece] = []
        self._rings: list[tuple[int, int]] = []
        self._digits: list[tuple[str, int, int]] = []
        self.at = 0
        self._plan = CallPlan(
            line, direction, "talk", number, 0, None, None, None, 0, None, 0, (), (), None, studio.polarity
        )

    def play(self, piece: Piece, samples: int | None = None) -> None:
        """This piece from here on, for `samples` (a multiple of BLOCK) or once."""
        self._step().piece = piece
        if not piece.key:
            self._own.append(piece)
        self._move(piece.samples if samples is None else samples)

    def quiet(self, seconds: float) -> None:
        self.play(self._studio.quiet(self._plant), _blocks(seconds))

    def tone(self, value: str, seconds: float) -> None:
        self.play(self._studio.tone(self._plant, value), _blocks(seconds))

    def lift(self) -> None:
        self._step().hook = "off"
        self._plan = replace(self._plan, off_hook_sample=self.at)

    def dial(self, pulse: bool, on_blocks: int) -> None:
        """The number, by tones or by breaking the loop as many times as each digit says."""
        for digit in self._plan.number:
            first = self.at
            if not pulse:
                self.play(self._studio.digit(self._plant, digit, on_blocks * BLOCK))
                self._digits.append((digit, first, first + on_blocks * BLOCK))
                continue
            for _ in range(int(digit) or 10):
                self._step().hook = "on"
                self.play(self._studio.click(self._plant), _PULSE_BREAK)
                self._step().hook = "off"
                self.play(self._studio.click(self._plant), _PULSE_MAKE)
            self._digits.append((digit, first, self.at))
            self.play(self._studio.quiet(self._plant), _PULSE_PAUSE)

    def ring(self, rings: int, caller_id: CallerId, answered: bool) -> None:
        """Ring that often, with the caller's number where the exchange puts it; the last ring may be answered."""
        exchange = EXCHANGES[self._studio.zone]
        before = caller_id == "dtmf" or exchange.caller_id == "before ring"
        if caller_id != "none" and before:
            self._caller_id(caller_id)
            self.quiet(0.5)
        cadence = exchange.ring_cadence_s
        for ring in range(rings):
            for i in range(0, len(cadence), 2):
                self._burst(cadence[i])
                long_pause = i + 2 == len(cadence)
                if long_pause and ring == 0 and caller_id != "none" and not before:
                    self._caller_id_pause(caller_id, cadence[i + 1])
                elif long_pause and answered and ring == rings - 1:
                    self.quiet(0.3)
                else:
                    self.quiet(cadence[i + 1])

    def ring_for(self, seconds: float) -> None:
        """Ring until the phone is lifted after `seconds`, wherever the cadence then is."""
        cadence, i, left = EXCHANGES[self._studio.zone].ring_cadence_s, 0, seconds
        while left > 0:
            step_s = min(left, cadence[i % len(cadence)])
            if i % 2 == 0:
                self._burst(step_s)
            else:
                self.quiet(step_s)
            left, i = left - step_s, i + 1

    def answer(self) -> None:
        self._plan = replace(self._plan, answer_sample=self.at)
        if self._plan.direction == "in":
            self.lift()
        elif self._studio.polarity:
            self._event(LineEventKind.POLARITY, 1)

    def body(self, piece: Piece, samples: int, kind: str = "talk") -> None:
        """What is said: `samples` of `piece`, then quiet to the end of the block and a little longer."""
        self._plan = replace(self._plan, audio_first_sample=self.at, audio_samples=samples, kind=kind)
        self.play(piece, whole_blocks(samples))

    def release(self, far_first: bool, busy_s: float = 2.5) -> None:
        """The other party is gone, or was never there; then the hook goes down."""
        if self._plan.direction == "out" and self._studio.polarity and self._plan.answer_sample is not None:
            self._event(LineEventKind.POLARITY, 0)
        if far_first:
            self.tone("busy", busy_s)
        self._step().hook = "on"
        self._plan = replace(self._plan, on_hook_sample=self.at)

    def finish(self, kind: str | None = None) -> Script:
        self.play(self._studio.quiet(self._plant), whole_blocks(_TAIL))
        self._step()
        plan = replace(
            self._plan,
            kind=kind or self._plan.kind,
            end_sample=self.at,
            rings=tuple(self._rings),
            digits=tuple(self._digits),
        )
        return Script(plan, tuple(self._steps), tuple(self._own))

    def _burst(self, seconds: float) -> None:
        self._event(LineEventKind.RING_ON, 1)
        first = self.at
        self.play(self._studio.ringing(self._plant), _blocks(seconds))
        self._event(LineEventKind.RING_OFF, 0)
        self._rings.append((first, self.at))

    def _caller_id(self, caller_id: CallerId) -> None:
        self._plan = replace(self._plan, caller_id_sample=self.at)
        self.play(self._studio.caller_id(self._plant, self._plan.number, dtmf=caller_id == "dtmf"))

    def _caller_id_pause(self, caller_id: CallerId, seconds: float) -> None:
        end = self.at + _blocks(seconds)
        self.quiet(0.5)
        self._caller_id(caller_id)
        self.quiet(max(0.2, (end - self.at) / RATE))

    def _event(self, kind: LineEventKind, value: int) -> None:
        self._step().events += ((kind, value),)

    def _step(self) -> Step:
        if self._steps[-1].at != self.at:
            self._steps.append(Step(self.at))
        return self._steps[-1]

    def _move(self, samples: int) -> None:
        assert samples % BLOCK == 0
        self.at += samples


def from_intent(studio: Studio, plant: LinePlant, line: int, intent: Intent) -> Script:
    """The script of a call of the scenario."""
    writer = Writer(studio, plant, line, intent.direction, intent.number)
    if intent.direction == "out":
        writer.lift()
        writer.tone("dial", 0.8 + intent.variant % 90 / 60)
        writer.dial(intent.pulse, 4 + intent.variant % 3)
        writer.quiet(0.6)
        if intent.kind == "busy":
            writer.tone("busy", 3.0 + intent.variant % 40 / 10)
            writer.release(far_first=False)
            return writer.finish("busy")
        writer.tone("ringback", intent.answer_s)
    else:
        writer.ring(intent.rings, intent.caller_id, answered=intent.kind != "no_answer")
    if intent.kind == "no_answer":
        if intent.direction == "out":
            writer.release(far_first=False)
        return writer.finish("no_answer")
    writer.answer()
    if intent.kind == "talk":
        samples = _blocks(intent.talk_s)
        writer.body(studio.talk(plant, intent.language, intent.variant, samples), samples)
    else:
        piece = studio.machines(plant, intent.kind, intent.direction, intent.variant)
        writer.body(piece, piece.samples, intent.kind)
    writer.release(intent.far_releases and intent.kind == "talk")
    return writer.finish()


def from_audio(
    studio: Studio,
    plant: LinePlant,
    line: int,
    direction: Direction,
    number: str,
    law_bytes: NDArray[np.uint8],
    *,
    law_exact: bool,
    answer_after_s: float | None = None,
    rings: int | None = None,
) -> Script:
    """A call that says what it is given. `answer_after_s` counts from the first ring (in) or the last digit (out)."""
    plant = CLEAN if law_exact else plant
    writer = Writer(studio, plant, line, direction, number)
    if direction == "out":
        writer.lift()
        if law_exact:
            writer.quiet(0.5)
        else:
            writer.tone("dial", 1.0)
        writer.dial(pulse=False, on_blocks=4)
        wait_s = 2.0 if answer_after_s is None else answer_after_s
        if law_exact:
            writer.quiet(wait_s)
        else:
            writer.tone("ringback", wait_s)
    elif answer_after_s is not None:
        writer.ring_for(answer_after_s)
    else:
        writer.ring(rings or 2, "fsk" if number else "none", answered=True)
    writer.answer()
    writer.quiet(0.2)
    writer.body(studio.given(plant, law_bytes), law_bytes.size)
    writer.quiet(0.2)
    writer.release(far_first=False)
    return writer.finish()


def _blocks(seconds: float) -> int:
    return max(BLOCK, round(seconds * RATE / BLOCK) * BLOCK)
