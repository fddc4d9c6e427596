"""A card over the recording channels of Synway boards that share one clock.

Declared from public documentation, not yet run on a real card: see `cffi_bindings.synway`, which says what is trusted.

Recording channels are taps: nothing here writes audio or moves a hook. They record without end from the start on; the
library's threads put what they hear into a ring (`synway.Ring`), and `read` takes a block of all channels out of it. A
channel that has none when the others have theirs gets filler, a marked gap. One that lags for a second is put beside
the others again; one that says nothing for two seconds raises an alarm, is begun anew and is taken back when it speaks.
What found no room in the ring, or was missed because a channel began anew, is a hole of known length; what the library
itself loses is measured against the clock (`card_time`).

Line voltage, ringing, the caller's number and states come through `synway_driver`. Hook events are made of states only
for a channel without a voltage. Digits are counted, no more: the box hears them in the same audio, to the sample.

Limits: events are dated to the block in which they were read; how the channels of a board stand to each other is known
by when the library brings their pieces, to the block; for a channel that began anew, to the piece.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.errors import BindingError
from cffi_bindings.synway import UNPROVED, EventCode, State
from dsp.g711 import IDLE
from firmware.cards import BLOCK, Block, CardError, CardReport, ChannelStatus, Law, LineEvent, LineEventKind
from firmware.cards.card_time import CardTime
from firmware.cards.synway_driver import PIECE_MS, Driver, Heard, Share, join, leave

_WAIT_MS: Final = 1000
"""For the first channel; then the card counts as stopped."""
_GRACE_PIECES: Final = 2
"""The others have so many pieces of audio longer: each channel's come at moments of its own."""
_LONGEST_GRACE_MS: Final = 500
_TOGETHER_BLOCKS: Final = 15
_LAGS_BLOCKS: Final = 50
_SILENT_BLOCKS: Final = 100
_LOST_SAMPLES: Final = 120
"""So many samples behind the clock with every one of so many pieces are lost."""
_WATCH_PIECES: Final = 25
_OFF_HOOK: Final = (State.PICKED_UP, State.TALKING)


@dataclass(slots=True)
class Counts:
    """What happened on the card since it was started, for status and doctor."""

    overruns: int = 0
    lost_samples: int = 0
    late_samples: int = 0
    begun_anew: int = 0
    digits: int = 0


class SynwayCard:
    """A `firmware.cards.Card`. `channels`: the library's numbers, from 0, in the order of `lines`; `library`: name or
    path, empty for the usual; `folder` holds ShConfig.ini and ShIndex.ini; `volts_every_s`: 0 for never."""

    kind = "synway"
    simulated = False
    paced = True
    note = UNPROVED

    def __init__(
        self,
        name: str,
        lines: tuple[int, ...],
        channels: tuple[int, ...],
        *,
        library: str = "",
        folder: Path,
        law: Law = "alaw",
        volts_every_s: float = 0.1,
    ) -> None:
        self.name, self.lines, self.law = name, lines, law
        self.channels = channels
        self.counts = Counts()
        self._library, self._folder, self._every_s = library, folder, volts_every_s
        n = len(channels)
        self._driver: Driver | None = None
        self._share: Share | None = None
        self._late = np.zeros(n, np.int64)
        """Blocks that each channel has lacked in a row."""
        self._silent = np.zeros(n, np.bool_)
        self._alarmed = np.zeros(n, np.bool_)
        self._holes = np.zeros(n, np.bool_)
        self._ringing = np.zeros(n, np.bool_)
        self._levels = np.zeros(n, np.bool_)
        """Channels whose ringing is told by its level; that of the others by their state."""
        self._sample = self._jumped = 0
        self._time, self._came_ns = CardTime(), 0
        self._behind: list[int] = []
        self._pending: list[LineEvent] = []

    # The seam.

    def start(self) -> None:
        """Begin to record every channel. Raises CardError where the library or a channel is not there."""
        try:
            self._share = share = self._share or Share(self.channels, self.law, self._every_s)
            self._driver = driver = join(share, self._library, self._folder)
            states = [driver.vendor.state(channel) for channel in self.channels]
        except BindingError as error:
            self.close()
            raise CardError(f"Card {self.name}: {error}") from error
        share.heard.clear()
        self._begin_together(share)
        for array in (self._late, self._silent, self._alarmed, self._holes, self._ringing):
            array.fill(0)
        self._time.forget()
        self._behind.clear()
        for place, state in enumerate(states):
            self._state(place, state, self._pending)

    def read(self) -> Block:
        """Raises CardError where no channel gives anything for a second."""
        share = self._share
        assert share is not None, "a card is read after it was started"
        ring = share.ring
        grace_ms = min(_GRACE_PIECES * max(ring.longest // 8, PIECE_MS), _LONGEST_GRACE_MS)
        if not ring.read(_WAIT_MS, grace_ms, IDLE[self.law]):
            raise CardError(
                f"Card {self.name}: none of its {len(self.channels)} channels gave a sample for {_WAIT_MS} ms. "
                "Remedy: `linekeep doctor`; the board's driver may have stopped (lsmod, dmesg)"
            )
        events, self._pending = self._pending, []
        while share.heard:
            self._take(share.heard.popleft(), events)
        status = ring.status.copy()
        if status.any() or self._late.any() or self._holes.any():
            self._missing(share, status, events)
        status[self._alarmed | self._silent] = ChannelStatus.DOWN
        block = Block(self._sample, ring.law, status, share.volts if self._every_s else None, tuple(events))
        jump = self._watch(*ring.newest)
        self._sample += BLOCK + jump
        if jump:
            self._pending = [LineEvent(self._sample, at, LineEventKind.OVERRUN, jump) for at in range(len(self.lines))]
        self._jumped += jump
        self.counts.lost_samples, self.counts.late_samples = self._jumped + ring.lost, ring.late
        return block

    def close(self) -> None:
        if self._driver is not None and self._share is not None:
            leave(self._driver, self._share)
            self._driver = None

    def report(self) -> CardReport:
        """Its figures; the library tells no version of itself that public documentation names."""
        return CardReport(counts=asdict(self.counts))

    # Reading.

    def _begin_together(self, share: Share) -> None:
        """From the moment on at which all channels have given something for a while, or from a second on."""
        together = 0
        for _ in range(_LAGS_BLOCKS):
            got = share.ring.read(_WAIT_MS, PIECE_MS, IDLE[self.law])
            together += got == len(self.channels)
            if not got or together == _TOGETHER_BLOCKS:
                break
        share.ring.begin()

    def _missing(self, share: Share, status: NDArray[np.uint8], events: list[LineEvent]) -> None:
        """Channels without a block, and such that have one again."""
        ring = share.ring
        late, holes = status == ChannelStatus.LATE, status == ChannelStatus.LOST
        for place in np.flatnonzero(holes & ~self._holes).tolist():
            self.counts.overruns += 1
            events.append(LineEvent(self._sample, place, LineEventKind.OVERRUN))
        self._holes = holes
        self._late = (self._late + 1) * late
        for place in np.flatnonzero(self._late == _LAGS_BLOCKS).tolist():
            ring.open(place)
        for place in np.flatnonzero(late & (self._late % _SILENT_BLOCKS == 0)).tolist():
            share.again.append(place)
            self.counts.begun_anew += 1
            if not self._silent[place]:
                self._turned(place, True, self._silent, events)
                ring.expect(place, False)
        for place in np.flatnonzero(self._silent & ~late).tolist():
            self._turned(place, False, self._silent, events)
            ring.expect(place, True)

    def _turned(self, place: int, down: bool, why: NDArray[np.bool_], events: list[LineEvent]) -> None:
        why[place] = down
        events.append(LineEvent(self._sample, place, LineEventKind.ALARM if down else LineEventKind.CLEAR))

    def _take(self, heard: Heard, events: list[LineEvent]) -> None:
        place, code = heard.place, heard.code
        if code == EventCode.STATE:
            self._state(place, heard.value, events)
        elif code == EventCode.RING_LEVEL:
            self._levels[place] = True
            self._rings(place, heard.value != 0, events)
        elif code == EventCode.POLARITY:
            events.append(LineEvent(self._sample, place, LineEventKind.POLARITY, heard.value))
        elif code == EventCode.CALLER_ID:
            events.append(LineEvent(self._sample, place, LineEventKind.CALLER_ID, text=heard.text))
        elif code == EventCode.DTMF:
            self.counts.digits += 1
        elif code == EventCode.HOOK and self._without_volts(place):
            events.append(_hook(self._sample, place, heard.value != 0))

    def _state(self, place: int, state: int, events: list[LineEvent]) -> None:
        without_volts = self._without_volts(place)
        down = state == State.UNAVAILABLE or (without_volts and state == State.OFF_LINE)
        if down != self._alarmed[place]:
            self._turned(place, down, self._alarmed, events)
        if not self._levels[place]:
            self._rings(place, state == State.RINGING, events)
        if without_volts and (state in _OFF_HOOK or state == State.STANDBY):
            events.append(_hook(self._sample, place, state in _OFF_HOOK))

    def _rings(self, place: int, on: bool, events: list[LineEvent]) -> None:
        if on != self._ringing[place]:
            self._ringing[place] = on
            kind = LineEventKind.RING_ON if on else LineEventKind.RING_OFF
            events.append(LineEvent(self._sample, place, kind))

    def _without_volts(self, place: int) -> bool:
        return self._share is None or bool(np.isnan(self._share.volts[place]))

    def _watch(self, ahead: int, came_ns: int) -> int:
        """Samples that vanished without a word: the newest were late by so many each time that some came, for long.
        It does not matter when the block is read, only when the library brought them."""
        if came_ns == self._came_ns:
            return 0
        self._came_ns = came_ns
        end = self._sample + BLOCK + ahead
        behind = self._time.missing(end, came_ns)
        if behind < _LOST_SAMPLES:
            self._behind.clear()
            self._time.arrived(end, came_ns)
            return 0
        self._behind.append(behind)
        if len(self._behind) < _WATCH_PIECES:
            return 0
        lost = min(self._behind)
        self._behind.clear()
        return lost


def _hook(sample: int, place: int, lifted: bool) -> LineEvent:
    return LineEvent(sample, place, LineEventKind.OFF_HOOK if lifted else LineEventKind.ON_HOOK)
