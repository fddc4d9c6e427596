"""Calls: what happens on one line becomes decisions on its recordings, each with its reason.

Values in, decisions out; no clock and no file. Every position is a sample of the card's domain, `now` is the end of
the block being looked at, and a decision is made in the block in which its cause was seen. The rules:

* **Voltage**: from the block in which the loop closed to the end of the block in which it opened. While a release is
  not certain the writer is held at that sample, so that the file ends there and not `release_ms` later.
* **VOX**: from the first loud block less the pre-roll to the end of the hangover, or to a busy tone that has lasted
  `busy_tone_s` where no loop shows the release (it would be recorded for as long as the exchange sends it). **Key**:
  from the key less the pre-roll to the key. **Always**: while the line can be used.
* A line that is switched by **voltage** and shows neither volts nor hook is switched as by VOX; when its hook comes to
  be seen, the hook ends what sound began.
* A sample belongs to one recording at most: a pre-roll ends where the line's last recording ended. The longest length
  ends one recording and begins the next with the following sample.
* **Data calls** are not kept. At a verdict of *modem*, or once an access number has been dialled, the writer is held;
  what was written stays open and provisional. If the verdict is corrected while the call goes on, the same recording
  goes on after a gap marked `data`; else it ends where it was held and goes to the trash. No class corrects an access
  number: whoever listed it said that such calls are not to be kept. Where a person pressed the key, it is kept. A line
  that always records is only paused: other calls are in the same file.
* Every off-hook interval has a recording or a stated reason: what none covers is reported as `Unrecorded`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from firmware.config import RecordingConfig
from recorder.model import CallClass, Direction, StopReason, Trigger

RATE = 8000
NEVER = 1 << 62
DIALLED_PAUSE_SAMPLES = 4 * RATE
"""No digit for this long: the number is complete (as exchanges' interdigital timer, ITU-T E.180 supplement 2)."""
CALLER_ID_SAMPLES = 10 * RATE
"""Caller ID sent before the first ring belongs to a ring that comes within this time."""

Detail = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the call on the line, or of the last one."""

    direction: Direction = Direction.UNKNOWN
    caller: str | None = None
    name: str | None = None
    dialled: str = ""
    call_class: CallClass = CallClass.NONE
    class_confidence: float = 0.0
    class_evidence: Detail = field(default_factory=dict)
    ring_samples: int = 0
    answered_sample: int | None = None
    start_sample: int | None = None
    """Where it began to ring or was seized."""

    @property
    def number(self) -> str | None:
        """The other party."""
        return self.caller if self.direction is Direction.IN else self.dialled or self.caller


@dataclass(frozen=True, slots=True)
class Begin:
    sample: int
    """The recording's first sample, pre-roll included."""
    pre_roll_samples: int
    trigger: Trigger
    detail: Detail
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing from `sample` on is to be written until it is decided."""

    sample: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """The recording goes on with `sample`; what was held before it is a gap of reason `data`."""

    sample: int


@dataclass(frozen=True, slots=True)
class End:
    sample: int
    reason: StopReason
    detail: Detail
    facts: Facts
    discard: StopReason | None = None


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """An off-hook interval, or the end of one, that left no audio to keep."""

    from_sample: int
    to_sample: int
    reason: str


Decision = Begin | Hold | GoOn | End | Unrecorded


@dataclass(slots=True)
class _Recording:
    first_sample: int
    trigger: Trigger
    data_from: int | None = None
    """Held since this sample because it is a data call."""
    data_reason: StopReason = StopReason.DATA_CALL
    release_from: int | None = None
    """Held since this sample because the loop is open."""


class Calls:
    """One line's call and recording. `first_sample`: the first of the domain."""

    def __init__(self, config: RecordingConfig, first_sample: int = 0) -> None:
        self._config = config
        self._pre_roll = round(config.pre_roll_s * RATE)
        self._longest = round(config.longest_s * RATE)
        self._last_end = first_sample
        self._recording: _Recording | None = None
        self._seized: int | None = None
        self._ringing: int | None = None
        self._caller_id: tuple[int, str | None, str | None] | None = None
        self._last_digit: int | None = None
        self._dialled = False
        """The number is complete."""
        self._uncovered: tuple[int, str] | None = None
        self.facts = Facts()

    def configure(self, config: RecordingConfig) -> None:
        """Other thresholds or another trigger, for what comes. Lengths stay."""
        self._config = config

    @property
    def last_digit(self) -> int:
        """The end of the block in which the last digit of this call was heard; -1 if there was none."""
        return -1 if self._last_digit is None else self._last_digit

    @property
    def number_complete(self) -> bool:
        """No digit will be added to the number."""
        return self._dialled or self.facts.direction is not Direction.OUT

    @property
    def deadline(self) -> int:
        """The sample at which `due` has something to do; NEVER if nothing is waited for."""
        length = NEVER
        if (r := self._recording) is not None and r.data_from is None and r.release_from is None:
            length = r.first_sample + self._longest
        dialled = NEVER if self._last_digit is None or self._dialled else self._last_digit + DIALLED_PAUSE_SAMPLES
        return min(length, dialled)

    def due(self, now: int) -> list[Decision]:
        """Something that was waited for has come: the longest length, or the end of the dialling."""
        decisions: list[Decision] = []
        if self._last_digit is not None and not self._dialled and now >= self._last_digit + DIALLED_PAUSE_SAMPLES:
            decisions += self.dialling_over(now)
        r = self._recording
        if r is not None and r.data_from is None and r.release_from is None and now >= r.first_sample + self._longest:
            limit = r.first_sample + self._longest
            decisions += self._end(limit, StopReason.LENGTH, {"longest_s": self._config.longest_s})
            decisions += self._begin(limit, 0, r.trigger, {"continued": True}, continues=True)
        return decisions

    # What the line machine says.

    def rung(self, sample: int) -> list[Decision]:
        if self._ringing is None:
            self._ringing = sample
            self.facts = Facts(direction=Direction.IN, start_sample=sample)
            if self._caller_id is not None and sample - self._caller_id[0] < CALLER_ID_SAMPLES:
                self.facts = replace(self.facts, caller=self._caller_id[1], name=self._caller_id[2])
        return []

    def missed(self) -> list[Decision]:
        self._ringing = self._caller_id = None
        return []

    def seized(self, sample: int, volts: float | None) -> list[Decision]:
        """The loop closed: on a ringing line that answers the call, else it begins one."""
        self._seized = sample
        if self._ringing is not None:
            self.facts = replace(self.facts, ring_samples=sample - self._ringing, answered_sample=sample)
        else:
            self.facts = Facts(start_sample=sample)
        self._ringing = self._caller_id = self._last_digit = None
        self._dialled = self.facts.direction is Direction.IN
        if self._recording is not None:
            return []
        if self._config.trigger in ("voltage", "always"):
            detail: Detail = {"volts": _rounded(volts), "threshold_volts": self._config.off_hook_volts}
            return self._begin(sample, 0, Trigger(self._config.trigger), detail)
        self._uncovered = (sample, "silence" if self._config.trigger == "vox" else "key")
        return []

    def digit(self, value: str, now: int) -> list[Decision]:
        """A digit that may be part of the number."""
        if self._dialled or self._seized is None:
            return []
        self._last_digit = now
        self.facts = replace(self.facts, direction=Direction.OUT, dialled=self.facts.dialled + value)
        return []

    def dialling_over(self, now: int) -> list[Decision]:
        """The exchange answered, or no further digit came: the number stands."""
        if self._dialled or not self.facts.dialled:
            return []
        self._dialled = True
        if self.facts.dialled not in self._config.access_numbers:
            return []
        return self._data(now, StopReason.ACCESS_NUMBER)

    def answered(self, sample: int, now: int) -> list[Decision]:
        if self.facts.answered_sample is None:
            self.facts = replace(self.facts, answered_sample=sample)
        return self.dialling_over(now)

    def broke(self, sample: int) -> list[Decision]:
        """The loop opened: perhaps the release."""
        r = self._recording
        if r is None or r.trigger is not Trigger.VOLTAGE or r.data_from is not None:
            return []
        r.release_from = sample
        return [Hold(sample)]

    def made(self) -> list[Decision]:
        """It was not the release."""
        r = self._recording
        if r is None or r.release_from is None:
            return []
        sample, r.release_from = r.release_from, None
        return [GoOn(sample)]

    def released(self, sample: int, volts: float | None) -> list[Decision]:
        """The call is over since `sample`."""
        detail: Detail = {"volts": _rounded(volts), "threshold_volts": self._config.off_hook_volts}
        return self._over(sample, StopReason.ON_HOOK, {**detail, "release_ms": self._config.release_ms})

    def cleared(self, tone: str, now: int) -> list[Decision]:
        """The call is over by its busy tone: no loop shows it."""
        detail: Detail = {"tone": tone, "busy_tone_s": self._config.busy_tone_s}
        decisions = self._over(now, StopReason.BUSY_TONE, detail)
        if self._recording is not None and self._recording.trigger is Trigger.VOX:
            decisions += self._end(now, StopReason.BUSY_TONE, detail)
        return decisions

    def cut(self, sample: int, volts: float | None, now: int) -> list[Decision]:
        """No battery since `sample`: whatever is recorded ends."""
        detail: Detail = {"volts": _rounded(volts), "threshold_volts": self._config.cut_volts}
        return self._over(sample, StopReason.CUT, detail) + self._end(now, StopReason.CUT, detail)

    def lost(self, now: int, why: str) -> list[Decision]:
        """The channel delivers no more."""
        return self._over(now, StopReason.CARD, {"card": why}) + self._end(now, StopReason.CARD, {"card": why})

    def found(self, now: int) -> list[Decision]:
        """The line can be used (again)."""
        if self._config.trigger != "always" or self._recording is not None:
            return []
        return self._begin(now, 0, Trigger.ALWAYS, {})

    def stop(self, now: int) -> list[Decision]:
        """The box stops recording."""
        return self._over(now, StopReason.SHUTDOWN, {}) + self._end(now, StopReason.SHUTDOWN, {})

    # What else is heard or asked.

    def sound(self, sample: int, level_dbm0: float | None) -> list[Decision]:
        """Sound on a line that is switched by it, or that must be because nothing shows its hook."""
        if self._config.trigger not in ("vox", "voltage") or self._recording is not None:
            return []
        detail: Detail = {"level_dbm0": _rounded(level_dbm0), "threshold_dbm0": self._config.vox_level_dbm0}
        if self._config.trigger == "voltage":
            detail["hook"] = "unknown"
        return self._begin(sample, self._pre_roll, Trigger.VOX, detail)

    def hook_seen(self) -> None:
        """From here on the hook says when the call is over."""
        r = self._recording
        if self._config.trigger == "voltage" and r is not None and r.trigger is Trigger.VOX:
            r.trigger = Trigger.VOLTAGE

    def hook_lost(self) -> list[Decision]:
        """Nothing shows any more when the call is over: silence must say so."""
        r = self._recording
        if r is None or r.trigger is not Trigger.VOLTAGE:
            return []
        decisions, r.trigger = self.made(), Trigger.VOX
        return decisions

    def silence(self, now: int) -> list[Decision]:
        if self._recording is None or self._recording.trigger is not Trigger.VOX:
            return []
        detail: Detail = {"hangover_s": self._config.hangover_s, "threshold_dbm0": self._config.vox_level_dbm0}
        return self._end(now, StopReason.SILENCE, detail)

    def key(self, on: bool, actor: str, now: int) -> list[Decision]:
        """A person starts a recording, or ends the one that runs."""
        if on:
            return [] if self._recording else self._begin(now, self._pre_roll, Trigger.KEY, {"actor": actor})
        decisions = self._end(now, StopReason.KEY, {"actor": actor})
        if decisions and self._seized is not None and self._uncovered is None:
            self._uncovered = (now, "key")
        return decisions

    def caller_id(self, sample: int, number: str | None, name: str | None) -> list[Decision]:
        """Caller ID, begun at `sample`: before the first ring, between two, or a moment before the answer.
        One without a number (withheld) does not take away a number that is known."""
        incoming = self.facts.direction is Direction.IN and (self._seized is None or sample < self._seized)
        if self._ringing is not None or (self._seized is not None and incoming):
            if number is not None or self.facts.caller is None:
                self.facts = replace(self.facts, caller=number, name=name)
        elif self._seized is None:
            self._caller_id = (sample, number, name)
        return []

    def classed(self, call_class: CallClass, confidence: float, evidence: Detail, now: int) -> list[Decision]:
        self.facts = replace(
            self.facts, call_class=call_class, class_confidence=confidence, class_evidence=dict(evidence)
        )
        if call_class is CallClass.MODEM:
            return self._data(now, StopReason.DATA_CALL)
        r = self._recording
        if call_class not in (CallClass.VOICE, CallClass.FAX) or r is None or r.data_from is None:
            return []
        if r.data_reason is StopReason.ACCESS_NUMBER:
            return []
        first, r.data_from = r.data_from, None
        return [GoOn(max(first, now - self._pre_roll))]

    # Recordings.

    @property
    def in_call(self) -> bool:
        return self._seized is not None

    @property
    def recording_trigger(self) -> Trigger | None:
        """What started the recording that runs; None if none does, or it is held as a data call."""
        return None if self._recording is None or self._recording.data_from is not None else self._recording.trigger

    def _begin(
        self, sample: int, pre_roll: int, trigger: Trigger, detail: Detail, continues: bool = False
    ) -> list[Decision]:
        first = max(sample - pre_roll, self._last_end)
        if not continues and self._seized is None and self._ringing is None:
            self.facts = Facts()
        self._recording = _Recording(first, trigger)
        decisions: list[Decision] = []
        if self._uncovered is not None and self._uncovered[1] == "key" and first > self._uncovered[0]:
            decisions.append(Unrecorded(self._uncovered[0], first, "key"))
        self._uncovered = None
        return [*decisions, Begin(first, max(0, sample - first), trigger, detail, continues)]

    def _data(self, now: int, reason: StopReason) -> list[Decision]:
        r = self._recording
        if r is None or r.data_from is not None or r.trigger is Trigger.KEY:
            return []
        # A release that is pending stands: there is nothing to be written after it anyway.
        r.data_from, r.data_reason = r.release_from or now, reason
        return [] if r.release_from is not None else [Hold(now)]

    def _over(self, sample: int, reason: StopReason, detail: Detail) -> list[Decision]:
        """The call is over: what it recorded ends, what was not recorded of it is stated."""
        decisions: list[Decision] = []
        r = self._recording
        if r is not None and (r.trigger is Trigger.VOLTAGE or r.data_from is not None):
            if r.trigger is Trigger.ALWAYS and reason in (StopReason.ON_HOOK, StopReason.BUSY_TONE):
                r.data_from = None
                decisions.append(GoOn(sample))
            else:
                decisions += self._end(sample, reason, detail)
        if self._uncovered is not None and self._uncovered[0] < sample:
            decisions.append(Unrecorded(self._uncovered[0], sample, self._uncovered[1]))
        self._uncovered = self._seized = self._ringing = self._caller_id = self._last_digit = None
        return decisions

    def _end(self, sample: int, reason: StopReason, detail: Detail) -> list[Decision]:
        r = self._recording
        if r is None:
            return []
        self._recording = None
        if r.data_from is not None:
            self._last_end = max(sample, r.data_from)
            discard = None if r.trigger is Trigger.ALWAYS else r.data_reason
            decisions: list[Decision] = [End(r.data_from, r.data_reason, detail, self.facts, discard)]
            if sample > r.data_from:
                decisions.append(Unrecorded(r.data_from, sample, r.data_reason.value))
            return decisions
        end = sample if r.release_from is None else min(sample, r.release_from)
        self._last_end = end
        short = reason is not StopReason.LENGTH and end - r.first_sample < self._config.shortest_s * RATE
        ended = End(end, reason, detail, self.facts, reason if short else None)
        return [ended, Unrecorded(r.first_sample, end, "short")] if short else [ended]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
