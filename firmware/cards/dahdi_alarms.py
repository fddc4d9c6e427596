"""Which channels an alarm makes deaf, and which spans have a clock of their own.

DAHDI tells of an alarm once, when all was well before, and once when all is well again (dahdi-base.c,
`dahdi_alarm_notify`); that a yellow alarm became a red one it does not tell. So whoever has an alarm is asked again
every second. A yellow alarm (the far end does not hear us) leaves the line to be heard, and so does a lost multiframe.

A card is one clock. A span that is slower than the others falls behind them; when it is so late that its place is
filled, it is back in time with the next block, and nothing of it is lost: it slipped by one block. A crystal does that
every few minutes for ever, what else happens to a card does it once.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import dahdi
from cffi_bindings.dahdi_channels import Result
from cffi_bindings.errors import DahdiError
from firmware.cards.dahdi_ports import Port

_HEARD: Final = frozenset({"yellow", "loopback", "lmfa"})
"""Alarms that leave a channel to be heard."""


def is_deaf(alarms: Iterable[str]) -> bool:
    """Whether a channel with these alarms gives nothing."""
    return not _HEARD.issuperset(alarms)


class ChannelAlarms:
    """`deaf`, `standing` bool `[channels]`: in an alarm that leaves nothing to be heard; in any."""

    def __init__(self, ports: Sequence[Port]) -> None:
        self._ports = tuple(ports)
        self.deaf, self.standing = (np.zeros(len(ports), np.bool_) for _ in range(2))
        self.any_standing = False

    def look(self, places: Iterable[int]) -> list[int]:
        """Asks the driver about these; answers the places whose `deaf` has changed."""
        try:
            spans = {span.number: span.alarms for span in dahdi.spans()}
        except DahdiError:
            return []  # The driver is away: every channel is gone, which reading tells.
        return [place for place in places if self._changed(place, spans)]

    def _changed(self, place: int, spans: dict[int, tuple[str, ...]]) -> bool:
        try:
            channel = dahdi.channel(self._ports[place].channel)
        except DahdiError:
            return False  # It is gone, which reading tells.
        # A channel keeps the alarm with which its span's began; its own it has where the span has none.
        return self.set(place, spans.get(channel.span) or channel.alarms)

    def set(self, place: int, alarms: Iterable[str]) -> bool:
        """These stand now. Answers whether `deaf` has changed."""
        was, now = bool(self.deaf[place]), is_deaf(alarms)
        self.deaf[place], self.standing[place] = now, any(True for _ in alarms)
        self.any_standing = bool(self.standing.any())
        return was != now


class Slips:
    """How often a span, with all its channels, was late once and then came a place later."""

    def __init__(self, channels: int) -> None:
        self._late = np.zeros(channels, np.int64)
        """Blocks in a row for which a channel got filler."""
        self.pending = False

    def seen(self, result: NDArray[np.uint8], spans: NDArray[np.int64], dropped: int) -> int:
        """`result` and `spans` `[channels]`; `dropped`: blocks that came for a filled place. Answers how many spans
        slipped."""
        late, open_ = result == Result.LATE, result != Result.LEFT_OUT
        back = (self._late == 1) & (result == Result.GOT)
        self._late = np.where(late, self._late + 1, 0)
        self.pending = bool(late.any())
        if dropped or not back.any():
            return 0
        return sum(bool(back[(spans == span) & open_].all()) for span in set(spans[back].tolist()))
