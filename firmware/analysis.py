"""What is heard on the lines of a card: hook, sound level, and what the detectors find.

Every block goes through numpy once for all channels; only what changed comes out, as `Heard`. These watches share
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

A channel whose card gives no voltage keeps the class `UNKNOWN` until the card reports its hook. `BlindWatch` says
where that is so for long: such a line is switched by sound, because one that nobody can see must not go unrecorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from dsp.detectors import Detectors
from dsp.events import Event
from firmware.cards import BLOCK, Block, ChannelStatus, Law
from firmware.config import RecordingConfig, ToneZone

RATE = 8000
NEVER = 1 << 62
SETTLE_SAMPLES = 2 * BLOCK
SHORTEST_PULSE_SAMPLES = 2 * BLOCK
LONGEST_PULSE_SAMPLES = 5 * BLOCK
DIGIT_PAUSE_SAMPLES = 200 * RATE // 1000
"""A closed loop for this long ends a pulsed digit: twice the longest pulse period, half the shortest pause."""
SILENCE_DBM0 = -90.0
PATIENCE_SAMPLES = 2 * RATE
"""A card is given so long to tell hooks: cards on a serial bus ask their ports one by one."""
STALE_SAMPLES = 10 * RATE
"""A voltage that has not come for so long tells no hook any more."""


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
    BLIND = "blind"
    """Nothing shows the hook of this line: sound must do."""
    SEEN = "seen"
    """Its hook is known now."""
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
        self._measured = self._off_volts > 0
        self._cut_volts = np.array([r.cut_volts for r in recording], np.float32)
        self._release = [round(r.release_ms * RATE / 1000) for r in recording]
        self._poll = np.full(channels, Hook.UNKNOWN, np.int8)
        self._due = np.full(channels, NEVER, np.int64)
        self.hook = [Hook.UNKNOWN] * channels
        """The class that counts."""
        self.unknown = np.ones(channels, np.bool_)
        """`[channels]`, where it is `UNKNOWN`."""
        self._since = [0] * channels
        self._open: list[tuple[int, int] | None] = [None] * channels
        self._pulses = [0] * channels
        self._first_pulse = [0] * channels

    def configure(self, channel: int, recording: RecordingConfig) -> None:
        """Other thresholds; what the voltage is by them shows with the next block."""
        self._off_volts[channel] = recording.off_hook_volts
        self._measured[channel] = recording.off_hook_volts > 0
        self._cut_volts[channel] = recording.cut_volts

    def feed(self, volts: NDArray[np.float32] | None, first: int, end: int) -> list[Heard]:
        """`volts[channels]` at the end of the block of samples `first` to `end`; NaN where unknown."""
        heard: list[Heard] = []
        given = self.given(volts)
        if volts is not None:
            poll = (volts < self._off_volts).view(np.int8) + (volts < self._cut_volts).view(np.int8)
            # NaN, which looks like on-hook here, changes nothing.
            for channel in ((poll != self._poll) & given).nonzero()[0].tolist():
                self._turned(channel, Hook(int(poll[channel])), first, end, float(volts[channel]), heard)
                self._poll[channel] = poll[channel]
        for channel in (self._due <= end).nonzero()[0].tolist():
            self._matured(channel, float(volts[channel]) if volts is not None and given[channel] else None, heard)
        return heard

    def given(self, volts: NDArray[np.float32] | None) -> NDArray[np.bool_]:
        """`[channels]`, where there is a voltage that says something of the hook."""
        return np.zeros_like(self._measured) if volts is None else (volts == volts) & self._measured

    def report(self, channel: int, hook: Hook, sample: int) -> list[Heard]:
        """The card itself reports the hook of a channel without a voltage."""
        heard: list[Heard] = []
        if hook != self._poll[channel]:
            self._turned(channel, hook, sample, sample, None, heard)
            self._poll[channel] = hook
        return heard

    def forget(self, channel: int) -> None:
        """Nothing is known of the channel any more: whatever it shows next is new."""
        self._poll[channel] = self.hook[channel] = Hook.UNKNOWN
        self.unknown[channel] = True
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
        self.unknown[channel] = now is Hook.UNKNOWN
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


class BlindWatch:
    """Lines whose hook nothing shows: from the start or since a card's voltages stopped coming.

    A line that is switched by its hook is given `PATIENCE_SAMPLES`. Only blocks that were delivered count: a channel
    that is down has its own alarm."""

    def __init__(self, recording: Sequence[RecordingConfig], loop: LoopWatch) -> None:
        channels = len(recording)
        self._loop = loop
        by_hook = np.array([r.trigger == "voltage" for r in recording], np.bool_)
        self._patience = np.where(by_hook, PATIENCE_SAMPLES, 0)
        self._unknown = np.zeros(channels, np.int64)
        """Samples for which the hook has been unknown."""
        self._mute = np.zeros(channels, np.int64)
        """Samples since the last voltage."""
        self._by_volts = np.zeros(channels, np.bool_)
        self.blind = np.zeros(channels, np.bool_)

    def configure(self, channel: int, recording: RecordingConfig) -> None:
        self._patience[channel] = PATIENCE_SAMPLES if recording.trigger == "voltage" else 0

    def feed(self, volts: NDArray[np.float32] | None, status: NDArray[np.uint8], size: int, end: int) -> list[Heard]:
        """After the loops were fed with the same block of `size` samples."""
        samples = size * (status == ChannelStatus.OK)
        given = self._loop.given(volts)
        self._by_volts |= given
        self._mute = (self._mute + samples) * ~given
        for channel in (self._by_volts & (self._mute >= STALE_SAMPLES)).nonzero()[0].tolist():
            self._loop.forget(channel)
            self._by_volts[channel] = False
        self._unknown = (self._unknown + samples) * self._loop.unknown
        blind = self._unknown > self._patience
        changed = (blind ^ self.blind).nonzero()[0].tolist()
        self.blind = blind
        return [Heard(What.BLIND if blind[channel] else What.SEEN, channel, end) for channel in changed]


class VoxWatch:
    """Sound on channels that are switched by it, or by a hook that nothing shows; the others have a threshold that no
    level reaches."""

    def __init__(self, recording: Sequence[RecordingConfig]) -> None:
        listened = [r.vox_level_dbm0 if r.trigger in ("vox", "voltage") else np.inf for r in recording]
        self._threshold = np.array(listened, np.float32)
        self._by_sound = np.array([r.trigger == "vox" for r in recording], np.bool_)
        self._hangover = np.array([round(r.hangover_s * RATE) for r in recording], np.int64)
        self._loud_blocks = np.zeros(len(recording), np.int64)
        self._last_loud = np.zeros(len(recording), np.int64)
        self._on = np.zeros(len(recording), np.bool_)
        self._idle = not self._by_sound.any()
        self._end = 0

    def configure(self, channel: int, recording: RecordingConfig) -> None:
        listened = recording.trigger in ("vox", "voltage")
        self._threshold[channel] = recording.vox_level_dbm0 if listened else np.inf
        self._by_sound[channel] = recording.trigger == "vox"
        self._idle = not self._by_sound.any()

    def feed(self, level_dbm0: NDArray[np.float32], end: int, blind: NDArray[np.bool_]) -> list[Heard]:
        """`level_dbm0[channels]` of the block that ended before sample `end`; `blind[channels]`: their hook is not
        known."""
        self._end = end
        if self._idle and not blind.any():
            self._on[:] = False
            return []
        watched = self._by_sound | blind
        loud = level_dbm0 >= self._threshold
        self._loud_blocks = (self._loud_blocks + 1) * loud
        self._last_loud[loud] = end
        self._on &= watched  # Where the hook is seen now, it says when the call is over.
        rising = watched & ~self._on & (self._loud_blocks >= 2)
        falling = self._on & (end - self._last_loud >= self._hangover) & ~loud
        self._on ^= rising | falling
        return [
            Heard(What.SOUND, channel, end - 2 * BLOCK, level_dbm0=float(level_dbm0[channel]))
            for channel in np.flatnonzero(rising).tolist()
        ] + [
            Heard(What.SILENCE, channel, end, level_dbm0=float(level_dbm0[channel]))
            for channel in np.flatnonzero(falling).tolist()
        ]

    def await_silence(self, channel: int) -> None:
        """As if there had been sound until now."""
        self._on[channel], self._last_loud[channel] = True, self._end


class Analysis:
    """All that is heard on one card. The arrays it shows are replaced, never changed, so that others may look."""

    def __init__(self, law: Law, zone: ToneZone, recording: Sequence[RecordingConfig]) -> None:
        channels = len(recording)
        self.loop = LoopWatch(recording)
        self._blind = BlindWatch(recording, self.loop)
        self._vox = VoxWatch(recording)
        self._detectors = Detectors(channels, law, zone)
        self._first = 0
        self.level_dbm0 = np.full(channels, SILENCE_DBM0, np.float32)
        self.volts: NDArray[np.float32] | None = None

    def configure(self, channel: int, recording: RecordingConfig) -> None:
        """Other thresholds, or another trigger, from the next block on."""
        self.loop.configure(channel, recording)
        self._blind.configure(channel, recording)
        self._vox.configure(channel, recording)

    def begin(self, first_sample: int, fed_samples: int) -> None:
        """The next block starts at `first_sample`, after `fed_samples` in all: the card's first, or after a pause."""
        self._first = first_sample - fed_samples

    def feed(self, block: Block) -> list[Heard]:
        """What changed in a block: hooks, then sound, then detectors, each by channel or in the order found."""
        end = block.first_sample + block.law.shape[1]
        # A pair that is connected the other way round has the same battery.
        self.volts = None if block.volts is None else np.abs(block.volts)
        heard = self.loop.feed(self.volts, block.first_sample, end)
        heard += self._blind.feed(self.volts, block.status, block.law.shape[1], end)
        events = self._detectors.feed(block.law)
        self.level_dbm0 = self._detectors.level_dbm0.copy()
        heard += self._vox.feed(self.level_dbm0, end, self._blind.blind)
        heard += [Heard(What.EVENT, event.channel, self._first, event=event) for event in events]
        return heard

    def is_blind(self, channel: int) -> bool:
        """Nothing shows the hook of this line."""
        return bool(self._blind.blind[channel])

    def await_silence(self, channel: int) -> None:
        """A call goes on whose hook is not seen any more: its silence is to be told even if no sound comes before."""
        self._vox.await_silence(channel)

    def restart(self, channels: Sequence[int]) -> None:
        """A new call begins on these channels: its class is found afresh."""
        self._detectors.restart(np.array(channels, np.intp))

    def close(self) -> list[Heard]:
        """What the detectors still had open."""
        return [Heard(What.EVENT, event.channel, self._first, event=event) for event in self._detectors.close()]
