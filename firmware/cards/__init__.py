"""The seam between the appliance and whatever delivers telephone lines.

A card is one clock domain: all its channels advance together, and its sample index is the time of everything heard
on it. Every 20 ms it delivers one block: the companded bytes of all channels as they came off the line, a status for
each channel, the loop voltages where the card can measure them, and what happened since the last block.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BLOCK = 160
"""Samples of a channel in a block: 20 ms at 8000 a second."""

Law = Literal["alaw", "ulaw"]


class ChannelStatus(IntEnum):
    """What a block holds for one channel."""

    OK = 0
    LATE = 1
    """Not ready: the bytes are filler; the samples will come, or be measured as lost, later."""
    LOST = 2
    """The bytes are filler and the samples will not come: a gap."""
    DOWN = 3
    """The channel is in alarm or unplugged."""


class LineEventKind(StrEnum):
    RING_ON = "ring_on"
    RING_OFF = "ring_off"
    POLARITY = "polarity"
    """The battery was reversed; `value` is 1 for reversed, 0 for normal."""
    OFF_HOOK = "off_hook"
    ON_HOOK = "on_hook"
    """Hook events come only from cards that report the hook itself (stations); a tap shows it by its voltage."""
    OVERRUN = "overrun"
    """The driver dropped samples; `value` is their number, 0 where it is not known."""
    CALLER_ID = "caller_id"
    """The card itself read the caller's number, which is in `text`."""
    ALARM = "alarm"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class LineEvent:
    sample: int
    """Sample index of the domain at which it happened."""
    channel: int
    kind: LineEventKind
    value: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    first_sample: int
    """Sample index, in the domain, of the first sample of every channel in this block."""
    law: NDArray[np.uint8]
    """`[channels, BLOCK]`, companded."""
    status: NDArray[np.uint8]
    """`[channels]`, values of `ChannelStatus`."""
    volts: NDArray[np.float32] | None
    """`[channels]`, loop voltage in volts at the end of the block, NaN where unknown; None if the card has none.
    About 48 on-hook, 6 to 12 off-hook, 0 with the line cut. The array is the card's and valid until the next read."""
    events: tuple[LineEvent, ...] = ()


class Card(Protocol):
    name: str
    """Unique in the box, such as `sim0`."""
    kind: str
    """`simulated`, `dahdi`, `synway`."""
    simulated: bool
    law: Law
    lines: tuple[int, ...]
    """The box's line number (from 1) of each channel."""
    paced: bool
    """True when `read` keeps real time; False when it delivers as fast as it is asked, so that every timer of this
    domain must follow its samples."""

    def start(self) -> None:
        """Take the hardware. Raises `CardError` naming the card, the act and the remedy."""

    def read(self) -> Block:
        """The next block; waits for it without the interpreter lock. Arrays are valid until the next call."""

    def close(self) -> None:
        """Give the hardware back; `read` is not called again."""


@dataclass(frozen=True, slots=True)
class SpanReport:
    """A span (a port, or a group of analogue ports) as its driver sees it."""

    number: int
    name: str
    type: str
    """As the driver says: `FXO`, `FXS`, `E1`, `T1`."""
    alarms: tuple[str, ...]
    """The worst first: `red`, `blue`, `yellow`, `los`, ...; none: all is well."""
    interrupts_missed: int
    lines: tuple[int, ...]
    """The box's lines on it."""


@dataclass(frozen=True, slots=True)
class CardReport:
    """What a card knows of its hardware, for the people who look after it."""

    driver: str = ""
    """Name and version; empty where it cannot be asked."""
    spans: tuple[SpanReport, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """What happened since the daemon took the card, by name."""


@runtime_checkable
class Reporting(Protocol):
    """A card that can say more of itself than its blocks do."""

    def report(self) -> CardReport:
        """From any thread, in a millisecond or so; what cannot be asked is left out."""


class CardError(Exception):
    """A card could not do what it was asked; the message names card, channel, act and remedy."""
