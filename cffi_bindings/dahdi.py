"""DAHDI: what cards there are, and their channels as files.

The interface is that of the driver's headers (`dahdi/user.h`, `dahdi/wctdm_user.h`; package dahdi-dkms).
A channel is a file that gives companded bytes and line events. `Channels` reads a whole set of them in one call, in
which the interpreter lock is free (`src/dahdi_tick.h`).

A channel is opened for listening alone unless writing is asked for: then the kernel itself refuses every write. No
policy is here: who may lift which hook is decided above.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.errors import DahdiError, LibraryMissing

BLOCK: Final = 160
"""Bytes of a buffer: 20 ms."""
BUFFERS: Final = 32
"""Buffers a channel: 640 ms until something is lost, the most that the driver has."""
_EVENTS: Final = 4096
"""Events of all channels taken in one tick."""
_MOST_CHANNELS: Final = 1024
_NO_DRIVER: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV})


class Signalling(StrEnum):
    """How a channel signals; named by what is plugged in, not by what the driver must be to it."""

    NONE = "none"
    """Not configured."""
    LINE = "line"
    """An exchange's line (an FXO port)."""
    TELEPHONE = "telephone"
    """A telephone (an FXS port)."""
    CLEAR = "clear"
    """64 kbit/s without signalling of its own: a B channel of E1 or T1."""
    OTHER = "other"


class Result(IntEnum):
    """How the reading of a channel went."""

    LEFT_OUT = 0
    GOT = 1
    SHORT = 2
    LATE = 3
    GONE = 4


@dataclass(frozen=True, slots=True)
class Version:
    driver: str
    echo_canceller: str


@dataclass(frozen=True, slots=True)
class Span:
    number: int
    name: str
    description: str
    type: str
    """`FXO`, `FXS`, `E1`, `T1`, ... as the driver says."""
    manufacturer: str
    device: str
    location: str
    alarms: tuple[str, ...]
    interrupts_missed: int
    sync_source: int
    configured_channels: int
    channels: int


@dataclass(frozen=True, slots=True)
class Channel:
    number: int
    span: int
    position: int
    """In its span, from 1."""
    name: str
    signalling: Signalling
    law: str
    """`alaw` or `ulaw`."""
    off_hook: bool
    """What is at the other end, a telephone or an exchange, is not idle."""
    alarms: tuple[str, ...]


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


# What there is.


def version() -> Version:
    """Of the loaded driver. Raises DahdiError where there is none."""
    ffi, lib = _dahdi()
    info = ffi.new("struct dahdi_versioninfo *")
    with _Control() as fd:
        _ioctl(fd, lib.DAHDI_GETVERSION, info, "asking for the driver's version")
    return Version(_text(info.version), _text(info.echo_canceller))


def spans() -> list[Span]:
    """Every span, in the order of their numbers. Raises DahdiError where there is no driver."""
    ffi, lib = _dahdi()
    found: list[Span] = []
    info = ffi.new("struct dahdi_spaninfo *")
    total = 1
    number = 0
    with _Control() as fd:
        # Numbers may have holes, where a card was taken out.
        while len(found) < total and number < _MOST_CHANNELS:
            number += 1
            info.spanno = number
            if lib.ioctl(fd, lib.DAHDI_SPANSTAT, info) != 0:
                continue
            total = info.totalspans
            found.append(
                Span(
                    info.spanno, _text(info.name), _text(info.desc), _text(info.spantype), _text(info.manufacturer),
                    _text(info.devicetype), _text(info.location), alarms(info.alarms), info.irqmisses, info.syncsrc,
                    info.numchans, info.totalchans,
                )
            )  # fmt: skip
    return found


def channels() -> list[Channel]:
    """Every channel of every span. Raises DahdiError where there is no driver."""
    wanted = sum(span.channels for span in spans())
    found: list[Channel] = []
    number = 0
    with _Control() as fd:
        while len(found) < wanted and number < _MOST_CHANNELS:
            number += 1
            channel = _channel(fd, number)
            if channel is not None:
                found.append(channel)
    return found


def channel(number: int) -> Channel:
    """One of them. Raises DahdiError where there is none of that number."""
    with _Control() as fd:
        found = _channel(fd, number)
    if found is None:
        raise DahdiError(f"DAHDI channel {number} does not exist. Remedy: `linekeep card scan` lists those that do")
    return found


def _channel(fd: int, number: int) -> Channel | None:
    ffi, lib = _dahdi()
    info = ffi.new("struct dahdi_params *")
    info.channo = number
    if lib.ioctl(fd, lib.DAHDI_GET_PARAMS, info) != 0:
        return None
    law = "alaw" if info.curlaw == lib.DAHDI_LAW_ALAW else "ulaw"
    name, off_hook = _text(info.name), bool(info.rxisoffhook)
    return Channel(
        number, info.spanno, info.chanpos, name, _signalling(info.sigtype), law, off_hook, alarms(info.chan_alarms)
    )


def alarms(bits: int) -> tuple[str, ...]:
    """Names of the alarms, the worst first; none: all is well."""
    return tuple(name for name, bit in _alarm_bits() if bits & bit)


@cache
def _alarm_bits() -> tuple[tuple[str, int], ...]:
    _, lib = _dahdi()
    names = ("RED", "BLUE", "YELLOW", "LOS", "LFA", "LMFA", "LOOPBACK", "RECOVER", "NOTOPEN")
    return tuple((name.lower(), getattr(lib, f"DAHDI_ALARM_{name}")) for name in names)


@cache
def codes() -> Codes:
    """The driver's numbers, from its header."""
    _, lib = _dahdi()
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


def _signalling(type_: int) -> Signalling:
    _, lib = _dahdi()
    if type_ == lib.DAHDI_SIG_NONE:
        return Signalling.NONE
    # The driver names what it has to be towards the other end: FXS towards an exchange, FXO towards a telephone.
    if type_ & getattr(lib, "__DAHDI_SIG_FXS"):
        return Signalling.LINE
    if type_ & getattr(lib, "__DAHDI_SIG_FXO"):
        return Signalling.TELEPHONE
    return Signalling.CLEAR if type_ == lib.DAHDI_SIG_CLEAR else Signalling.OTHER


# Channels that are read together.


class Channels:
    """A set of channels, read and written in blocks of 160 bytes.

    After `read`: `law` uint8 `[channels, 160]`; `result` uint8 `[channels]` (values of `Result`); `detail` int32
    `[channels]` (bytes of a short read, error number of one that is gone); `got`, how many blocks came; `ready_ns`,
    CLOCK_MONOTONIC when the first was there; `waited`, whether it had to be waited for and so came just then;
    `drained`, whether no other was queued behind it; `late_blocks` that came after their place had been filled, and
    were dropped; `events_lost`; `calls` of the system. `owed` int32 `[channels]` is the reader's to raise: blocks of
    filler given for a channel that was late."""

    def __init__(self, numbers: Sequence[int]) -> None:
        ffi, lib = _dahdi()
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
                "fds": _pointer(ffi, "int32_t *", self.fds),
                "law": _pointer(ffi, "uint8_t *", self.law),
                "result": _pointer(ffi, "uint8_t *", self.result),
                "detail": _pointer(ffi, "int32_t *", self.detail),
                "owed": _pointer(ffi, "int32_t *", self.owed),
                "events": self._events,
                "polled": ffi.cast("struct pollfd *", self._polled),
                "polled_channel": _pointer(ffi, "int32_t *", self._polled_channel),
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
        fd = _opened(number, write)
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
            _ioctl(fd, lib.DAHDI_AUDIOMODE, ffi.new("int *", 1), what + "switching to audio")
        _ioctl(fd, lib.DAHDI_SET_BUFINFO, buffers, what + f"asking for {BUFFERS} buffers of {BLOCK} bytes")
        numbers = {"alaw": lib.DAHDI_LAW_ALAW, "ulaw": lib.DAHDI_LAW_MULAW}
        _ioctl(fd, lib.DAHDI_SETLAW, ffi.new("int *", numbers[law]), what + f"setting {law}")
        _ioctl(fd, lib.DAHDI_ECHOCANCEL, ffi.new("int *", 0), what + "switching the echo canceller off")
        _ioctl(fd, lib.DAHDI_BUFFER_EVENTS, ffi.new("int *", 1), what + "asking for overruns to be reported")
        self._flush(fd, number)

    def _flush(self, fd: int, number: int) -> None:
        what = f"DAHDI channel {number}: emptying its buffers"
        _ioctl(fd, self._lib.DAHDI_FLUSH, self._ffi.new("int *", self._lib.DAHDI_FLUSH_ALL), what)

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
            raise DahdiError(f"DAHDI: waiting for {len(self.numbers)} channels failed ({_errno(self._ffi.errno)})")
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
            _pointer(ffi, "uint8_t *", law),
            law.shape[1],
            _pointer(ffi, "uint8_t *", wanted),
            _pointer(ffi, "int32_t *", self._written),
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
            _pointer(ffi, "int32_t *", fds), len(self.numbers), _pointer(ffi, "float *", self._volts)
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
            remedy = "the port is busy with another act: try again" if ffi.errno == errno.EBUSY else _remedy(ffi.errno)
            raise DahdiError(
                f"DAHDI channel {self.numbers[place]}: {act.value} failed ({_errno(ffi.errno)}). Remedy: {remedy}"
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


# How it is asked.


class _Control:
    """The driver's control file, open while the block runs."""

    def __enter__(self) -> int:
        try:
            self._fd = os.open("/dev/dahdi/ctl", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _no_driver("/dev/dahdi/ctl", error) from error
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _opened(number: int, write: bool) -> int:
    """The channel's descriptor, by the file that stands for any of them: nothing depends on how udev names them."""
    ffi, lib = _dahdi()
    path = "/dev/dahdi/channel"
    try:
        fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _no_driver(path, error) from error
    if lib.ioctl(fd, lib.DAHDI_SPECIFY, ffi.new("int *", number)) == 0:
        return fd
    refused = ffi.errno
    os.close(fd)
    if refused == errno.EBUSY:
        raise DahdiError(
            f"DAHDI channel {number} is in use by another program. Remedy: stop it, or take the channel out of "
            "linekeep.toml"
        )
    raise DahdiError(
        f"DAHDI channel {number} is not there or not configured ({_errno(refused)}). Remedy: `linekeep card scan` "
        "lists the channels; dahdi_cfg configures them from /etc/dahdi/system.conf"
    )


def _no_driver(path: str, error: OSError) -> DahdiError:
    if error.errno == errno.EACCES:
        return DahdiError(f"DAHDI: {path} may not be opened. Remedy: run as a member of the group that owns it")
    return DahdiError(
        f"DAHDI: {path} cannot be opened ({error.strerror}). Remedy: load the card's driver (modprobe dahdi and the "
        "module of the card), then `linekeep doctor`"
    )


def _ioctl(fd: int, request: int, argument: Any, act: str) -> None:
    ffi, lib = _dahdi()
    if lib.ioctl(fd, request, argument) != 0:
        raise DahdiError(f"{act} failed ({_errno(ffi.errno)}). Remedy: {_remedy(ffi.errno)}")


def _remedy(number: int) -> str:
    if number in _NO_DRIVER:
        return "the card was removed or its driver unloaded; `linekeep doctor` says which"
    if number == errno.ENOTTY:
        return "the driver does not know this request: is it DAHDI 2.11 or later?"
    return "`linekeep doctor`, and the kernel's log (dmesg)"


def _errno(number: int) -> str:
    return f"{errno.errorcode.get(number, number)}, {os.strerror(number)}"


def _text(field: Any) -> str:
    ffi, _ = _dahdi()
    found: bytes = ffi.string(field)
    return found.decode("utf-8", "replace").strip()


def _pointer(ffi: Any, type_: str, array: NDArray[Any]) -> Any:
    return ffi.cast(type_, array.ctypes.data)


@cache
def _dahdi() -> tuple[Any, Any]:
    try:
        module = import_module("cffi_bindings._dahdi")
    except ImportError as error:
        raise LibraryMissing(
            f"DAHDI's binding cannot be loaded ({error}). Remedy: make setup, which builds it from the driver's headers"
        ) from error
    return module.ffi, module.lib
