"""What is heard on the lines of a card: hook, sound level, and what the detectors find.

Every block goes through numpy once for all channels; only what changed comes out, as `Heard`. Three watches share
the work:

* `LoopWatch` classes the loop voltage of every channel against its line's thresholds: on-hook, off-hook, cut. A new
  class counts when it has stood for two blocks (a release: for the line's `release_ms`), and is dated back to the
  block in which it began. Breaks of an off-hook loop that are shorter than a release are told apart by their length:
  up to 100 ms they are pulses and are counted as a dialled digit (ITU-T Q.552 knows 10 pulses a second, break 60 ms,
  make 40 ms), longer ones are a hook flash. The voltage is read once a block, so lengths are known to 20 ms only:
  breaks below 40 ms can be missed.
* `VoxWatch` compares the level with each line's threshold: sound begins with two loud blocks, and ends when none was
  loud for the hangover.
* `dsp.detectors` finds digits, tones, caller ID, speech and the class of a call.

A channel whose card gives no voltage keeps the class `UNKNOWN` until the card reports its hook.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from dsp.detectors import Detectors
from dsp.events import Event
from firmware.cards import BLOCK, Block, Law
from firmware.config import RecordingConfig, ToneZone

RATE = 8000
NEVER = 1 << 62
SETTLE_SAMPLES = 2 * BLOCK
SHORTEST_PULSE_SAMPLES = 2 * BLOCK
LONGEST_PULSE_SAMPLES = 5 * BLOCK
DIGIT_PAUSE_SAMPLES = 200 * RATE // 1000
"""A closed loop for this long ends a pulsed digit: twice the longest pulse period, half the shortest pause."""
SILENCE_DBM0 = -90.0


class Hook(IntEnum):
    ON = 0
    OFF = 1
    CUT = 2
    UNKNOWN = 3


class What(StrEnum):
    OFF_HOOK = "off_hook"
    BREAK = "break"
    """The loop of a call opened: a pulse, a flash or the release. `sample` is the end of the block it was seen in."""
    MADE = "made"
    """It closed again."""
    RELEASED = "released"
    """It stayed open; `sample` is that of the break."""
    CUT = "cut"
    """No battery; in a call `sample` is that of the break."""
    BATTERY = "battery"
    PULSE = "pulse"
    """A digit dialled by pulses: `value`, from `sample` to `end`."""
    FLASH = "flash"
    SOUND = "sound"
    SILENCE = "silence"
    EVENT = "event"
    """A report of a detector, in `event`; its positions are in samples from `sample`."""


@dataclass(frozen=True, slots=True)
class Heard:
    what: What
    channel: int
    sample: int
    end: int = 0
    value: str = ""
    volts: float | None = None
    level_dbm0: float | None = None
    event: Event | None = None


class LoopWatch:
    """The hooks of all channels. `off_hook_volts`, `cut_volts`, `release_samples`: one for each channel."""

    def __init__(self, recording: Sequence[RecordingConfig]) -> None:
        channels = len(recording)
        self._off_volts = np.array([r.off_hook_volts for r in recording], np.float32)
        self._cut_volts = np.array([r.cut_volts for r in recording], np.float32)
        self._release = [round(r.release_ms * RATE / 1000) for r in recording]
        self._poll = np.full(channels, Hook.UNKNOWN, np.int8)
        self._due = np.full(channels, NEVER, np.int64)
        self.hook = [Hook.UNKNOWN] * channels
        """The class that counts."""
        self._since = [0] * channels
        self._open: list[tuple[int, int] | None] = [None] * channels
        self._pulses = [0] * channels
        self._first_pulse = [0] * channels

    def feed(self, volts: NDArray[np.float32] | None, first: int, end: int) -> list[Heard]:
        """`volts[channels]` at the end of the block of samples `first` to `end`; NaN where unknown."""
        heard: list[Heard] = []
        if volts is not None:
            poll = (volts < self._off_volts).view(np.int8) + (volts < self._cut_volts).view(np.int8)
            for channel in (poll != self._poll).nonzero()[0].tolist():
                if volts[channel] == volts[channel]:  # NaN, which looks like on-hook here, changes nothing.
                    self._turned(channel, Hook(int(poll[channel])), first, end, float(volts[channel]), heard)
                    self._poll[channel] = poll[channel]
        for channel in (self._due <= end).nonzero()[0].tolist():
            self._matured(channel, None if volts is None else float(volts[channel]), heard)
        return heard

    def report(self, channel: int, hook: Hook, sample: int) -> list[Heard]:
        """The card itself reports the hook of a channel without a voltage."""
        heard: list[Heard] = []
        if hook != self._poll[channel]:
            self._turned(channel, hook, sample, sample, None, heard)
            self._poll[channel] = hook
        return heard

    def forget(self, channel: int) -> None:
        """The channel went down: whatever it shows when it comes back is new."""
        self._poll[channel] = self.hook[channel] = Hook.UNKNOWN
        self._due[channel] = NEVER
        self._open[channel] = None
        self._pulses[channel] = 0

    def _turned(self, channel: int, new: Hook, first: int, end: int, volts: float | None, heard: list[Heard]) -> None:
        self._since[channel] = first
        if self.hook[channel] is not Hook.OFF:
            settle = self._release[channel] if new is Hook.CUT else SETTLE_SAMPLES
            self._due[channel] = NEVER if new is self.hook[channel] else first + settle
        elif new is Hook.OFF:
            self._closed(channel, first, heard)
        elif self._open[channel] is None:
            self._open[channel] = (first, end)
            self._due[channel] = first + self._release[channel]
            heard.append(Heard(What.BREAK, channel, end, volts=volts))

    def _closed(self, channel: int, first: int, heard: list[Heard]) -> None:
        opened = self._open[channel]
        assert opened is not None
        self._open[channel] = None
        heard.append(Heard(What.MADE, channel, first))
        length = first - opened[0]
        if length > LONGEST_PULSE_SAMPLES:
            self._pulses[channel] = 0
            heard.append(Heard(What.FLASH, channel, opened[0], first))
        elif length >= SHORTEST_PULSE_SAMPLES:
            if not self._pulses[channel]:
                self._first_pulse[channel] = opened[0]
            self._pulses[channel] += 1
        self._due[channel] = first + DIGIT_PAUSE_SAMPLES if self._pulses[channel] else NEVER

    def _matured(self, channel: int, volts: float | None, heard: list[Heard]) -> None:
        self._due[channel] = NEVER
        opened, was, now = self._open[channel], self.hook[channel], Hook(int(self._poll[channel]))
        if was is Hook.OFF and opened is None:
            digit = str(self._pulses[channel] % 10)
            self._pulses[channel] = 0
            heard.append(Heard(What.PULSE, channel, self._first_pulse[channel], self._since[channel], digit))
            return
        self.hook[channel] = now
        if was is Hook.OFF and opened is not None:
            self._open[channel] = None
            self._pulses[channel] = 0
            what = What.CUT if now is Hook.CUT else What.RELEASED
            heard.append(Heard(what, channel, opened[1], volts=volts))
        elif now is Hook.OFF:
            heard.append(Heard(What.OFF_HOOK, channel, self._since[channel], volts=volts))
        elif now is Hook.CUT:
            heard.append(Heard(What.CUT, channel, self._since[channel], volts=volts))
        elif was is Hook.CUT:
            heard.append(Heard(What.BATTERY, channel, self._since[channel], volts=volts))


class VoxWatch:
    """Sound on channels that are switched by it; the others have a threshold that no level reaches."""

    def __init__(self, recording: Sequence[RecordingConfig]) -> None:
        self._threshold = np.array([r.vox_level_dbm0 if r.trigger == "vox" else np.inf for r in recording], np.float32)
        self._hangover = np.array([round(r.hangover_s * RATE) for r in recording], np.int64)
        self._loud_blocks = np.zeros(len(recording), np.int64)
        self._last_loud = np.zeros(len(recording), np.int64)
        self._on = np.zeros(len(recording), np.bool_)
        self._idle = not np.isfinite(self._threshold).any()

    def feed(self, level_dbm0: NDArray[np.float32], end: int) -> list[Heard]:
        """`level_dbm0[channels]` of the block that ended before sample `end`."""
        if self._idle:
            return []
        loud = level_dbm0 >= self._threshold
        self._loud_blocks = (self._loud_blocks + 1) * loud
        self._last_loud[loud] = end
        rising = ~self._on & (self._loud_blocks >= 2)
        falling = self._on & (end - self._last_loud >= self._hangover) & ~loud
        self._on ^= rising | falling
        return [
            Heard(What.SOUND, channel, end - 2 * BLOCK, level_dbm0=float(level_dbm0[channel]))
            for channel in np.flatnonzero(rising).tolist()
        ] + [
            Heard(What.SILENCE, channel, end, level_dbm0=float(level_dbm0[channel]))
            for channel in np.flatnonzero(falling).tolist()
        ]


class Analysis:
    """All that is heard on one card. The arrays it shows are replaced, never changed, so that others may look."""

    def __init__(self, law: Law, zone: ToneZone, recording: Sequence[RecordingConfig]) -> None:
        channels = len(recording)
        self.loop = LoopWatch(recording)
        self._vox = VoxWatch(recording)
        self._detectors = Detectors(channels, law, zone)
        self._first = 0
        self.level_dbm0 = np.full(channels, SILENCE_DBM0, np.float32)
        self.volts: NDArray[np.float32] | None = None

    def begin(self, first_sample: int, fed_samples: int) -> None:
        """The next block starts at `first_sample`, after `fed_samples` in all: the card's first, or after a pause."""
        self._first = first_sample - fed_samples

    def feed(self, block: Block) -> list[Heard]:
        """What changed in a block: hooks, then sound, then detectors, each by channel or in the order found."""
        end = block.first_sample + block.law.shape[1]
        self.volts = None if block.volts is None else block.volts.copy()
        heard = self.loop.feed(self.volts, block.first_sample, end)
        events = self._detectors.feed(block.law)
        self.level_dbm0 = self._detectors.level_dbm0.copy()
        heard += self._vox.feed(self.level_dbm0, end)
        heard += [Heard(What.EVENT, event.channel, self._first, event=event) for event in events]
        return heard

    def restart(self, channels: Sequence[int]) -> None:
        """A new call begins on these channels: its class is found afresh."""
        self._detectors.restart(np.array(channels, np.intp))

    def close(self) -> list[Heard]:
        """What the detectors still had open."""
        return [Heard(What.EVENT, event.channel, self._first, event=event) for event in self._detectors.close()]
