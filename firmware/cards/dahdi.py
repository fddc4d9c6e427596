"""A card over DAHDI channels: any of any spans that share one clock.

Every channel has a role. A *tap* listens: it is opened for reading alone, so that the kernel itself refuses to write,
and nothing here moves its hook. A *trunk* is a line of an exchange that the box may seize; a *station* is a telephone
that it may ring.

`read` takes the next block of all channels in one call. A channel that has no block when the others have theirs gets
filler, a marked gap; what comes for that place later is dropped. A channel that was removed is asked for again every
two seconds. Where the driver had to drop samples because nobody read (an overrun: one event for a whole burst,
without a count) the blocks that it still holds are read first, and the gap behind them is measured against the clock
(`card_time`). The same clock tells of samples that vanish without a word, when interrupts are lost or no channel gives
anything for a while. A span whose clock is not that of the others slips (`dahdi_alarms`).

Line voltage is asked for beside the path of the audio, by a thread of its own: some cards take milliseconds a port.

Limits: hook events are dated to the block in which they were read. All channels of a card have one law.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Signalling
from cffi_bindings.dahdi_channels import BUFFERS, Channels, Event, Hook, Result, codes
from cffi_bindings.errors import BindingError, DahdiError
from dsp.g711 import IDLE
from firmware.cards import BLOCK, Block, CardError, CardReport, ChannelStatus, Law, LineEvent, LineEventKind
from firmware.cards.card_time import CardTime
from firmware.cards.dahdi_alarms import ChannelAlarms, Slips
from firmware.cards.dahdi_ports import Port, Role, check, hook_now, meaning
from firmware.cards.dahdi_report import Counts, reported
from firmware.cards.line_volts import LineVolts
from firmware.cards.outgoing import Outgoing
from firmware.clock import raw_ns

__all__ = ["Counts", "DahdiCard", "Port", "Role"]

_WAIT_MS: Final = 100
"""For the first channel of a tick, several times before the card counts as stopped."""
_WAITS: Final = 10
_GRACE_MS: Final = 14
"""For the others from then on. More than half a block: a span that arrives just so late is either in time or, a place
later, first, and does not go to and fro between the two."""
_AGAIN_BLOCKS: Final = 100
"""A removed channel is asked for again every 2 s."""
_LOST_SAMPLES: Final = 120
"""So many samples behind the clock for a whole second are lost, without an event: interrupts were."""
_WATCH_BLOCKS: Final = 50
_ASK_ALARMS_BLOCKS: Final = 50
_FRESH_BLOCKS: Final = 5
"""So many blocks with nothing queued behind them tell where the clock is, if none of them had to be waited for."""


class DahdiCard:
    """A `firmware.cards.Card`. `ports` in the order of `lines`; `volts_every_s`: how often the line voltage is asked
    for, 0 for never; `ahead_blocks`: of what is sent the driver holds so much, which a late tick does not interrupt."""

    kind = "dahdi"
    simulated = False
    paced = True

    def __init__(
        self,
        name: str,
        lines: tuple[int, ...],
        ports: Sequence[Port],
        *,
        law: Law = "alaw",
        volts_every_s: float = 0.1,
        ahead_blocks: int = 4,
    ) -> None:
        self.name, self.lines, self.law = name, lines, law
        self.ports = tuple(ports)
        self.counts = Counts()
        self._every_s = volts_every_s
        n = len(self.ports)
        self._channels: Channels | None = None
        self._sees = [Signalling.NONE] * n
        self._spans = np.zeros(n, np.int64)
        self._all_ok = np.full(n, ChannelStatus.OK, np.uint8)
        self._alarms = ChannelAlarms(self.ports)
        self._slips = Slips(n)
        self._lifted = np.zeros(n, np.bool_)
        """Trunks whose line the box holds."""
        self._reversed = np.zeros(n, np.bool_)
        """The driver says that the battery was reversed, not to what: it is taken as normal at the start."""
        self._again = np.zeros(n, np.int64)
        """Block in which a removed channel is asked for again."""
        self._blocks = self._sample = 0
        self._time = CardTime()
        self._held: deque[_Raw] = deque()
        self._until_gap: int | None = None
        """Blocks of before the overrun that the driver still holds."""
        self._silent = False
        """No channel gave anything when last they were waited for."""
        self._behind: list[int] = []
        self._pending: list[LineEvent] = []
        self._lock = threading.Lock()
        self._outgoing = Outgoing(n, law, ahead_blocks)
        self._own: list[LineEvent] = []
        self._meter: LineVolts | None = None

    # The seam.

    def start(self) -> None:
        """Take every channel; one that cannot be had now is down and asked for again. Raises CardError where none can
        be had, or the law or role of one does not fit."""
        try:
            self._channels = channels = Channels([port.channel for port in self.ports])
            refused = [error for place in range(len(self.ports)) if (error := self._refused(place)) is not None]
            if len(refused) == len(self.ports):
                raise refused[0]
            channels.begin()
        except BindingError as error:
            self.close()
            raise CardError(f"Card {self.name}: {error}") from error
        except CardError:
            self.close()
            raise
        self._time.forget()
        self._until_gap, self._silent = None, False
        self._behind.clear()
        self._again.fill(0)
        if self._every_s and any(sees is Signalling.LINE for sees in self._sees):
            lines = np.array([sees is Signalling.LINE for sees in self._sees])
            self._meter = LineVolts(channels, self._every_s, lines)

    def read(self) -> Block:
        """Raises CardError where no channel gives anything for a second, or all are gone."""
        raw = self._held.popleft() if self._held else self._raw()
        if self._until_gap is not None and not self._held:
            self._until_gap -= 1
            if self._until_gap < 0:
                raw = self._over_the_gap(raw)
        self._watch(raw)
        volts = None if self._meter is None else self._meter.volts
        block = Block(self._sample, raw.law, raw.status, volts, (*self._pending, *raw.events))
        self._pending = []
        self._sample += BLOCK
        return block

    def close(self) -> None:
        if self._meter is not None:
            self._meter.stop()
            self._meter = None
        if self._channels is not None:
            with self._lock:
                self._channels.close_all()
            self._channels = None
        self._held.clear()

    def report(self) -> CardReport:
        """Driver and spans as they are now; without them where the driver is away."""
        return reported(self.lines, self._spans.tolist(), self.counts)

    # What a line is asked to do. From any thread.

    def seize(self, line: int) -> None:
        """A trunk lifts its hook. Raises CardError, as all of these, where the role forbids it or the driver fails."""
        self._act(line, Hook.OFF_HOOK, Role.TRUNK, LineEventKind.OFF_HOOK)

    def release(self, line: int) -> None:
        """A trunk lays its hook down."""
        self._act(line, Hook.ON_HOOK, Role.TRUNK, LineEventKind.ON_HOOK)

    def flash(self, line: int) -> None:
        """A trunk breaks the loop for a moment, which a PBX takes for a wish."""
        self._act(line, Hook.FLASH, Role.TRUNK)

    def ring(self, line: int, on: bool) -> None:
        """A station's telephone rings, or falls silent."""
        self._act(line, Hook.RING if on else Hook.ON_HOOK, Role.STATION)

    def send(self, line: int, law_bytes: bytes) -> None:
        """Put audio behind what is still to be sent on a trunk or station, companded as the card is."""
        place = self._place(line)
        self._refuse(place, "sending", Role.TRUNK, Role.STATION)
        with self._lock:
            self._outgoing.put(place, law_bytes)

    def to_send(self, line: int) -> int:
        """Bytes that wait to be sent."""
        with self._lock:
            return self._outgoing.waits(self._place(line))

    # Reading.

    def _raw(self) -> "_Raw":
        """One block as the driver gives it."""
        channels = self._channels
        assert channels is not None, "a card is read after it was started"
        events: list[LineEvent] = []
        for _ in range(_WAITS):
            try:
                with self._lock:
                    found = self._outgoing.send(channels)
                    events += self._own
                    self._own = []
                found += channels.read(_WAIT_MS, _GRACE_MS)
            except DahdiError as error:
                raise CardError(f"Card {self.name}: {error}") from error
            self._blocks += 1
            events += self._events(found)
            self._look_after(channels, events)
            if self._silent and channels.got and self._until_gap is None:
                self._until_gap = 0
            self._silent = not channels.got
            self.counts.late_blocks += channels.late_blocks
            self.counts.events_lost += channels.events_lost
            self.counts.calls_of_tick = channels.calls
            if channels.got == len(self.ports) and not self._alarms.any_standing:
                at = channels.ready_ns, channels.waited, channels.drained
                return _Raw(channels.law.copy(), self._all_ok, tuple(events), *at)
            self._drop_removed(channels, events)
            if channels.got:
                return self._made(channels, events)
            if (channels.fds < 0).all():
                self._ask_again(channels, events)
                if (channels.fds < 0).all():
                    raise CardError(
                        f"Card {self.name}: all its {len(self.ports)} channels are gone. Remedy: put the card back, or "
                        "load its driver; `linekeep doctor` says which is missing"
                    )
            if (self._alarms.deaf | (channels.fds < 0)).all():
                return self._nothing(channels, events)
        raise CardError(
            f"Card {self.name}: no channel gave a sample for {_WAIT_MS * _WAITS / 1000:.0f} s. Remedy: `linekeep "
            "doctor`; interrupts of the card may be stuck, or its span has no clock"
        )

    def _nothing(self, channels: Channels, events: list[LineEvent]) -> "_Raw":
        """All channels are in alarm, and the driver gives no samples with it: the clock says how many are missing."""
        now_ns, end = raw_ns(), self._sample + BLOCK
        behind = self._time.missing(end, now_ns)
        if not behind:
            self._time.arrived(end, now_ns)  # Begun in alarm: from here on.
        raw = self._made(channels, events)
        self._held.extend([replace(raw, events=())] * (behind // BLOCK))
        return raw

    def _look_after(self, channels: Channels, events: list[LineEvent]) -> None:
        """What does not come of itself: an alarm that became another, a span that fell behind by a block."""
        if self._alarms.any_standing and self._blocks % _ASK_ALARMS_BLOCKS == 0:
            events += self._look(np.flatnonzero(self._alarms.standing).tolist())
        if self._slips.pending or channels.got < len(self.ports):
            self.counts.slips += self._slips.seen(channels.result, self._spans, channels.late_blocks)

    def _made(self, channels: Channels, events: list[LineEvent]) -> "_Raw":
        self._ask_again(channels, events)
        result = channels.result
        law = channels.law.copy()
        status = np.full(result.size, ChannelStatus.OK, np.uint8)
        missing = (result == Result.LATE) | (result == Result.SHORT)
        if missing.any():
            status[missing] = ChannelStatus.LATE
            channels.owed[result == Result.LATE] += 1
        down = (result == Result.LEFT_OUT) | (result == Result.GONE)
        if down.any() or self._alarms.any_standing:
            down |= self._alarms.deaf
            status[down] = ChannelStatus.DOWN
        filler = status != ChannelStatus.OK
        if filler.any():
            law[filler] = IDLE[self.law]
        return _Raw(law, status, tuple(events), channels.ready_ns, channels.waited, channels.drained)

    def _events(self, found: Sequence[Event]) -> list[LineEvent]:
        events: list[LineEvent] = []
        if not found:
            return events
        known, alarmed = codes(), []
        for event in found:
            place, code = event.channel, event.code
            if code == known.overrun:
                if self._until_gap is None:
                    self._until_gap = BUFFERS
                    self.counts.overruns += 1
            elif code in (known.alarm, known.no_alarm):
                alarmed.append(place)
            else:
                kind = meaning(self._sees[place], code, known)
                if kind is LineEventKind.POLARITY:
                    self._reversed[place] ^= True
                if kind is not None:
                    value = int(self._reversed[place]) if kind is LineEventKind.POLARITY else 0
                    events.append(LineEvent(self._sample, place, kind, value))
        return [*events, *self._look(alarmed)] if alarmed else events

    def _look(self, places: list[int]) -> list[LineEvent]:
        """What has become of the alarms of these."""
        events: list[LineEvent] = []
        for place in self._alarms.look(places):
            deaf = bool(self._alarms.deaf[place])
            events.append(LineEvent(self._sample, place, LineEventKind.ALARM if deaf else LineEventKind.CLEAR))
            if not deaf:
                events += self._hook_after_alarm(place)
        return events

    def _hook_after_alarm(self, place: int) -> list[LineEvent]:
        try:
            return self._hook(place, dahdi.channel(self.ports[place].channel))
        except DahdiError:
            return []  # It went meanwhile, and is opened again when it comes back.

    def _drop_removed(self, channels: Channels, events: list[LineEvent]) -> None:
        """A removed channel is closed: every further question would cost 5 ms."""
        for place in np.flatnonzero(channels.result == Result.GONE).tolist():
            channels.close(place)
            self._again[place] = self._blocks + _AGAIN_BLOCKS
            events.append(LineEvent(self._sample, place, LineEventKind.ALARM))

    def _ask_again(self, channels: Channels, events: list[LineEvent]) -> None:
        """One removed channel a block at most is asked for again: it costs some ten system calls."""
        due = np.flatnonzero((channels.fds < 0) & (self._again <= self._blocks))
        if due.size:
            place = int(due[0])
            self._again[place] = self._blocks + _AGAIN_BLOCKS
            try:
                self._open(place)
            except (BindingError, CardError):
                return  # Still away: the alarm stands, and in two seconds it is asked again.
            events.append(LineEvent(self._sample, place, LineEventKind.CLEAR))

    # Gaps.

    def _over_the_gap(self, first: "_Raw") -> "_Raw":
        """What the driver held from before the overrun is read. `first` came after the gap; when it was read others
        may have been queued behind it, and only the arrival of a fresh block tells how long the gap is."""
        self._until_gap = None
        self._held.append(first)
        behind: list[int] = []
        while len(self._held) < BUFFERS:
            newest = self._held[-1]
            if newest.drained:
                behind.append(self._time.missing(self._sample + len(self._held) * BLOCK, newest.ready_ns))
            if newest.waited or len(behind) >= _FRESH_BLOCKS:
                break
            self._held.append(self._raw())
        self._jump(min(behind, default=0))
        return self._held.popleft()

    def _watch(self, raw: "_Raw") -> None:
        """Samples that vanished without an event: for a whole second no block came as early as it should."""
        if not raw.drained or self._held:
            return
        end = self._sample + BLOCK
        behind = self._time.missing(end, raw.ready_ns)
        self._behind.append(behind)
        if behind < _LOST_SAMPLES:
            self._behind.clear()
            self._time.arrived(end, raw.ready_ns)
        elif len(self._behind) >= _WATCH_BLOCKS:
            lost = min(self._behind)
            self._behind.clear()
            self.counts.lost_interrupts += 1
            self._jump(lost)

    def _jump(self, lost: int) -> None:
        """The next block stands so many samples further on."""
        if lost:
            self._sample += lost
            self.counts.lost_samples += lost
            self._pending += [
                LineEvent(self._sample, place, LineEventKind.OVERRUN, lost) for place in range(len(self.ports))
            ]

    # Lines.

    def _refused(self, place: int) -> DahdiError | None:
        """Why a channel cannot be had; None: it was taken."""
        try:
            self._open(place)
        except DahdiError as error:
            return error
        return None

    def _open(self, place: int) -> None:
        """Take one channel and learn what it is. Raises DahdiError, or CardError for a law or role that does not
        fit."""
        port, channels = self.ports[place], self._channels
        assert channels is not None
        info = dahdi.channel(port.channel)
        check(f"Card {self.name}", self.law, port, info)
        clear = info.signalling is Signalling.CLEAR
        channels.open(place, law=self.law, clear=clear, write=port.role is not Role.TAP)
        self._sees[place], self._spans[place] = info.signalling, info.span
        if self._alarms.look([place]):
            kind = LineEventKind.ALARM if self._alarms.deaf[place] else LineEventKind.CLEAR
            self._pending.append(LineEvent(self._sample, place, kind))
        self._lifted[place] = False
        self._pending += self._hook(place, info)

    def _hook(self, place: int, info: dahdi.Channel) -> list[LineEvent]:
        """The hook as it is now, where it can be known: nobody tells of one that does not move."""
        kind = hook_now(self.ports[place], info, bool(self._lifted[place]))
        return [] if kind is None else [LineEvent(self._sample, place, kind)]

    def _place(self, line: int) -> int:
        if line not in self.lines:
            raise CardError(
                f"Line {line} is not on card {self.name}. Remedy: one of lines {self.lines[0]} to {self.lines[-1]}"
            )
        return self.lines.index(line)

    def _refuse(self, place: int, act: str, *roles: Role) -> None:
        role = self.ports[place].role
        if role not in roles:
            raise CardError(
                f"Line {self.lines[place]} (DAHDI channel {self.ports[place].channel}) is a {role.value}: {act} is for "
                f"{' and '.join(roles)} lines. Remedy: another line, or another role in linekeep.toml"
            )

    def _act(self, line: int, hook: Hook, role: Role, means: LineEventKind | None = None) -> None:
        """`means`: what the box does with its own hook reaches the line's machine as a telephone's would."""
        place = self._place(line)
        self._refuse(place, hook.value, role)
        with self._lock:
            channels = self._channels
            if channels is None or channels.fds[place] < 0:
                raise CardError(f"Line {line} is not there now. Remedy: `linekeep card scan` shows the card's state")
            try:
                channels.hook(place, hook)
            except DahdiError as error:
                raise CardError(f"Line {line}: {error}") from error
            if hook is Hook.ON_HOOK:
                self._outgoing.drop(place)
            if means is not None:
                self._lifted[place] = means is LineEventKind.OFF_HOOK
                self._own.append(LineEvent(self._sample, place, means))


@dataclass(frozen=True, slots=True)
class _Raw:
    """A block as the driver gave it."""

    law: NDArray[np.uint8]
    status: NDArray[np.uint8]
    events: tuple[LineEvent, ...]
    ready_ns: int
    waited: bool
    drained: bool
