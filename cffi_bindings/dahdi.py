"""DAHDI: what cards there are.

The interface is that of the driver's headers (`dahdi/user.h`; package dahdi-dkms). A channel is a file that gives
companded bytes and line events; a set of them is read by `dahdi_channels`.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from cffi_bindings.dahdi_driver import Control, binding, ioctl, text_of
from cffi_bindings.errors import DahdiError

_MOST_CHANNELS: Final = 1024


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
    fits: Signalling = Signalling.NONE
    """What an analogue port can be made; an exchange's line, or a telephone."""


def version() -> Version:
    """Of the loaded driver. Raises DahdiError where there is none."""
    ffi, lib = binding()
    info = ffi.new("struct dahdi_versioninfo *")
    with Control() as fd:
        ioctl(fd, lib.DAHDI_GETVERSION, info, "asking for the driver's version")
    return Version(text_of(info.version), text_of(info.echo_canceller))


def spans() -> list[Span]:
    """Every span, in the order of their numbers. Raises DahdiError where there is no driver."""
    ffi, lib = binding()
    found: list[Span] = []
    info = ffi.new("struct dahdi_spaninfo *")
    total = 1
    number = 0
    with Control() as fd:
        # Numbers may have holes, where a card was taken out.
        while len(found) < total and number < _MOST_CHANNELS:
            number += 1
            info.spanno = number
            if lib.ioctl(fd, lib.DAHDI_SPANSTAT, info) != 0:
                continue
            total = info.totalspans
            found.append(
                Span(
                    info.spanno, text_of(info.name), text_of(info.desc), text_of(info.spantype),
                    text_of(info.manufacturer), text_of(info.devicetype), text_of(info.location), alarms(info.alarms),
                    info.irqmisses, info.syncsrc, info.numchans, info.totalchans,
                )
            )  # fmt: skip
    return found


def channels() -> list[Channel]:
    """Every channel of every span. Raises DahdiError where there is no driver."""
    wanted = sum(span.channels for span in spans())
    found: list[Channel] = []
    number = 0
    with Control() as fd:
        while len(found) < wanted and number < _MOST_CHANNELS:
            number += 1
            channel = _channel(fd, number)
            if channel is not None:
                found.append(channel)
    return found


def channel(number: int) -> Channel:
    """One of them. Raises DahdiError where there is none of that number."""
    with Control() as fd:
        found = _channel(fd, number)
    if found is None:
        raise DahdiError(f"DAHDI channel {number} does not exist. Remedy: `linekeep card scan` lists those that do")
    return found


def _channel(fd: int, number: int) -> Channel | None:
    ffi, lib = binding()
    info = ffi.new("struct dahdi_params *")
    info.channo = number
    if lib.ioctl(fd, lib.DAHDI_GET_PARAMS, info) != 0:
        return None
    law = "alaw" if info.curlaw == lib.DAHDI_LAW_ALAW else "ulaw"
    name, off_hook = text_of(info.name), bool(info.rxisoffhook)
    return Channel(
        number, info.spanno, info.chanpos, name, _signalling(info.sigtype), law, off_hook, alarms(info.chan_alarms),
        _signalling(info.sigcap),
    )  # fmt: skip


def alarms(bits: int) -> tuple[str, ...]:
    """Names of the alarms, the worst first; none: all is well."""
    return tuple(name for name, bit in _alarm_bits() if bits & bit)


@cache
def _alarm_bits() -> tuple[tuple[str, int], ...]:
    _, lib = binding()
    names = ("RED", "BLUE", "YELLOW", "LOS", "LFA", "LMFA", "LOOPBACK", "RECOVER", "NOTOPEN")
    return tuple((name.lower(), getattr(lib, f"DAHDI_ALARM_{name}")) for name in names)


def _signalling(type_: int) -> Signalling:
    _, lib = binding()
    if type_ == lib.DAHDI_SIG_NONE:
        return Signalling.NONE
    # The driver names what it has to be towards the other end: FXS towards an exchange, FXO towards a telephone.
    if type_ & getattr(lib, "__DAHDI_SIG_FXS"):
        return Signalling.LINE
    if type_ & getattr(lib, "__DAHDI_SIG_FXO"):
        return Signalling.TELEPHONE
    return Signalling.CLEAR if type_ == lib.DAHDI_SIG_CLEAR else Signalling.OTHER
