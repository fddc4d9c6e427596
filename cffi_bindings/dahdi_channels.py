"""DAHDI: channels as files that are read and written together.

The interface is that of the driver's headers (`dahdi/user.h`, `dahdi/wctdm_user.h`; package dahdi-dkms). `Channels`
reads a whole set in one call, in which the interpreter lock is free (`src/dahdi_tick.h`).

A channel is opened for listening alone unless writing is asked for: then the kernel itself refuses every write. No
policy is here: who may lift which hook is decided above.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.dahdi_driver import binding, error_name, ioctl, opened, pointer, remedy_of
from cffi_bindings.errors import DahdiError

BLOCK: Final = 160
"""Bytes of a buffer: 20 ms."""
BUFFERS: Final = 32
"""Buffers a channel: 640 ms until something is lost, the most that the driver has."""
_EVENTS: Final = 4096
"""Events of all channels taken in one tick."""


class Result(IntEnum):
    """How the reading of a channel went."""

    LEFT_OUT = 0
    GOT = 1
    SHORT = 2
    LATE = 3
    GONE = 4


@dataclass(frozen=True, slots=True)
class Event:
    channel: int
    """Its place in the set, from 0."""
    code: int
    """As in `codes()`."""


@dataclass(frozen=True, slots=True)
class Codes:
    """The driver's numbers of the events that mean something here."""

    on_hook: int
    off_hook: int
    """A telephone was lifted; towards an exchange: a ring is over."""
    flash: int
    alarm: int
    no_alarm: int
    polarity: int
    ring_begin: int
    removed: int
    overrun: int
    underrun: int


@cache
def codes() -> Codes:
    """The driver's numbers, from its header."""
    _, lib = binding()
    return Codes(
        on_hook=lib.DAHDI_EVENT_ONHOOK,
        off_hook=lib.DAHDI_EVENT_RINGOFFHOOK,
        flash=lib.DAHDI_EVENT_WINKFLASH,
        alarm=lib.DAHDI_EVENT_ALARM,
        no_alarm=lib.DAHDI_EVENT_NOALARM,
        polarity=lib.DAHDI_EVENT_POLARITY,
        ring_begin=lib.DAHDI_EVENT_RINGBEGIN,
        removed=lib.DAHDI_EVENT_REMOVED,
        overrun=lib.DAHDI_EVENT_READ_OVERRUN,
        underrun=lib.DAHDI_EVENT_WRITE_UNDERRUN,
    )


class Channels:
    """A set of channels, read and written in blocks of 160 bytes.

    After `read`: `law` uint8 `[channels, 160]`; `result` uint8 `[channels]` (values of `Result`); `detail` int32
    `[channels]` (bytes of a short read, error number of one that is gone); `got`, how many blocks came; `ready_ns`,
    CLOCK_MONOTONIC_RAW when the first was there; `waited`, whether it had to be waited for and so came just then;
    `drained`, whether no other was queued behind it; `late_blocks` that came after their place had been filled, and
    were dropped; `events_lost`; `calls` of the system. `owed` int32 `[channels]` is the reader's to raise: blocks of
    filler given for a channel that was late."""

    def __init__(self, numbers: Sequence[int]) -> None:
        ffi, lib = binding()
        n = len(numbers)
        self.numbers = tuple(numbers)
        self.fds = np.full(n, -1, np.int32)
        self.law = np.zeros((n, BLOCK), np.uint8)
        self.result = np.zeros(n, np.uint8)
        self.detail, self.owed = (np.zeros(n, np.int32) for _ in range(2))
        self._written = np.zeros(n, np.int32)
        self._volts = np.full(n, np.nan, np.float32)
        self._ffi, self._lib = ffi, lib
        self._events = ffi.new("lk_dahdi_event_t[]", _EVENTS)
        self._polled = ffi.new("char[]", max(n, 1) * lib.LK_POLLFD_SIZE)
        self._polled_channel = np.zeros(max(n, 1), np.int32)
        self._tick = ffi.new(
            "lk_dahdi_tick_t *",
            {
                "channels": n,
                "block": BLOCK,
                "events_max": _EVENTS,
                "fds": pointer(ffi, "int32_t *", self.fds),
                "law": pointer(ffi, "uint8_t *", self.law),
                "result": pointer(ffi, "uint8_t *", self.result),
                "detail": pointer(ffi, "int32_t *", self.detail),
                "owed": pointer(ffi, "int32_t *", self.owed),
                "events": self._events,
                "polled": ffi.cast("struct pollfd *", self._polled),
                "polled_channel": pointer(ffi, "int32_t *", self._polled_channel),
            },
        )

    got: int
    ready_ns: int
    waited: bool
    drained: bool
    late_blocks: int
    events_lost: int
    calls: int

    def open(self, place: int, *, law: str, clear: bool, write: bool = False) -> None:
        """Take the channel and set it: 32 buffers of 160 bytes, its law, no echo canceller, overruns reported, and
        everything that was queued thrown away. Raises DahdiError naming the channel, the act and the remedy."""
        number = self.numbers[place]
        fd = opened(number, write)
        try:
            self._set(fd, number, law, clear)
        except DahdiError:
            os.close(fd)
            raise
        self.close(place)
        self.fds[place], self.owed[place] = fd, 0

    def _set(self, fd: int, number: int, law: str, clear: bool) -> None:
        ffi, lib = self._ffi, self._lib
        buffers = ffi.new("struct dahdi_bufferinfo *")
        buffers.txbufpolicy = lib.DAHDI_POLICY_IMMEDIATE
        buffers.numbufs, buffers.bufsize = BUFFERS, BLOCK
        what = f"DAHDI channel {number}: "
        if clear:
            ioctl(fd, lib.DAHDI_AUDIOMODE, ffi.new("int *", 1), what + "switching to audio")
        ioctl(fd, lib.DAHDI_SET_BUFINFO, buffers, what + f"asking for {BUFFERS} buffers of {BLOCK} bytes")
        numbers = {"alaw": lib.DAHDI_LAW_ALAW, "ulaw": lib.DAHDI_LAW_MULAW}
        ioctl(fd, lib.DAHDI_SETLAW, ffi.new("int *", numbers[law]), what + f"setting {law}")
        ioctl(fd, lib.DAHDI_ECHOCANCEL, ffi.new("int *", 0), what + "switching the echo canceller off")
        ioctl(fd, lib.DAHDI_BUFFER_EVENTS, ffi.new("int *", 1), what + "asking for overruns to be reported")
        self._flush(fd, number)

    def _flush(self, fd: int, number: int) -> None:
        what = f"DAHDI channel {number}: emptying its buffers"
        ioctl(fd, self._lib.DAHDI_FLUSH, self._ffi.new("int *", self._lib.DAHDI_FLUSH_ALL), what)

    def begin(self) -> None:
        """Empty the buffers of all open channels one after another, so that their blocks begin together."""
        for place in np.flatnonzero(self.fds >= 0).tolist():
            self._flush(int(self.fds[place]), self.numbers[place])

    def read(self, wait_ms: int, grace_ms: int) -> list[Event]:
        """The next block of every open channel: waits `wait_ms` for the first, from then on `grace_ms` for the
        others. The events are those that were pending. Raises DahdiError where even waiting failed."""
        tick, lib = self._tick, self._lib
        self.got = lib.lk_dahdi_read(tick, wait_ms, grace_ms)
        if self.got < 0:
            raise DahdiError(f"DAHDI: waiting for {len(self.numbers)} channels failed ({error_name(self._ffi.errno)})")
        self.ready_ns, self.waited, self.drained = tick.ready_ns, bool(tick.waited), bool(tick.drained)
        self.late_blocks, self.calls = tick.late_blocks, tick.calls
        return self._taken()

    def write(self, law: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[Event]]:
        """Out of `law` uint8 `[channels, blocks, 160]` the first `wanted[channel]` blocks of each: how many were taken
        (less where the driver's buffers are full), or minus the error number; and events that were pending."""
        law = np.ascontiguousarray(law, np.uint8)
        wanted = np.ascontiguousarray(wanted, np.uint8)
        n = len(self.numbers)
        if (
            law.ndim != 3
            or law.shape[::2] != (n, BLOCK)
            or wanted.shape != (n,)
            or wanted.max(initial=0) > law.shape[1]
        ):
            raise DahdiError(f"DAHDI: blocks {list(law.shape)} to be sent on {n} channels of {BLOCK} bytes a block")
        ffi = self._ffi
        self._lib.lk_dahdi_write(
            self._tick,
            pointer(ffi, "uint8_t *", law),
            law.shape[1],
            pointer(ffi, "uint8_t *", wanted),
            pointer(ffi, "int32_t *", self._written),
        )
        return self._written, self._taken()

    def _taken(self) -> list[Event]:
        tick, events = self._tick, self._events
        self.events_lost = tick.events_lost
        return [Event(events[i].channel, events[i].code) for i in range(tick.events_count)]

    def volts(self, fds: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
        """`[channels]`: line voltage with its sign, NaN where the driver does not measure it. Some cards are asked
        over a serial bus and take milliseconds a channel: not for the path of the audio."""
        fds = self.fds.copy() if fds is None else fds
        ffi = self._ffi
        self._lib.lk_dahdi_volts(
            pointer(ffi, "int32_t *", fds), len(self.numbers), pointer(ffi, "float *", self._volts)
        )
        return self._volts

    def hook(self, place: int, act: "Hook") -> None:
        """Lift, lay down, flash, ring. Raises DahdiError; what is only begun (the driver says EINPROGRESS) is done."""
        ffi, lib = self._ffi, self._lib
        number = {
            Hook.ON_HOOK: lib.DAHDI_ONHOOK,
            Hook.OFF_HOOK: lib.DAHDI_OFFHOOK,
            Hook.FLASH: lib.DAHDI_FLASH,
            Hook.RING: lib.DAHDI_RING,
        }[act]
        if (
            lib.ioctl(int(self.fds[place]), lib.DAHDI_HOOK, ffi.new("int *", number)) != 0
            and ffi.errno != errno.EINPROGRESS
        ):
            remedy = (
                "the port is busy with another act: try again" if ffi.errno == errno.EBUSY else remedy_of(ffi.errno)
            )
            raise DahdiError(
                f"DAHDI channel {self.numbers[place]}: {act.value} failed ({error_name(ffi.errno)}). Remedy: {remedy}"
            )

    def close(self, place: int) -> None:
        """Give one channel back."""
        fd, self.fds[place] = int(self.fds[place]), -1
        if fd >= 0:
            os.close(fd)

    def close_all(self) -> None:
        for place in range(len(self.numbers)):
            self.close(place)


class Hook(StrEnum):
    """What can be done with a hook."""

    ON_HOOK = "laying down"
    OFF_HOOK = "lifting"
    FLASH = "flashing the hook"
    RING = "ringing"
