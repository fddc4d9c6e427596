"""What is still to be sent on the lines of a DAHDI card.

The driver holds some blocks of each line ahead, so that a late tick does not interrupt the sound; one of them is gone
whenever a block was read, as both directions run on one clock. The last block of a sound is filled up with the idle
byte.
"""

import numpy as np

from cffi_bindings.dahdi_channels import BLOCK, Channels, Event
from dsp.g711 import IDLE
from firmware.cards import Law


class Outgoing:
    """`ahead_blocks`: what the driver holds of each of the `lines`. Callers keep threads apart."""

    def __init__(self, lines: int, law: Law, ahead_blocks: int) -> None:
        self._idle, self._most = IDLE[law], ahead_blocks
        self._waiting: dict[int, bytearray] = {}
        self._ahead = np.zeros(lines, np.int64)

    def put(self, place: int, law_bytes: bytes) -> None:
        """Behind what waits there already."""
        if law_bytes:
            self._waiting.setdefault(place, bytearray()).extend(law_bytes)

    def drop(self, place: int) -> None:
        self._waiting.pop(place, None)

    def waits(self, place: int) -> int:
        """Bytes that the driver does not have yet."""
        return len(self._waiting.get(place, b""))

    def send(self, channels: Channels) -> list[Event]:
        """Once a block: as much as the driver is to hold. The events are those that were pending."""
        self._ahead = np.maximum(self._ahead - 1, 0)
        if not self._waiting:
            return []
        law = np.full((self._ahead.size, self._most, BLOCK), self._idle, np.uint8)
        wanted = np.zeros(self._ahead.size, np.uint8)
        for place, waiting in self._waiting.items():
            room = self._most - int(self._ahead[place])
            now = np.frombuffer(bytes(waiting[: room * BLOCK]), np.uint8)
            law[place].reshape(-1)[: now.size] = now
            wanted[place] = -(-now.size // BLOCK)
        written, events = channels.write(law, wanted)
        for place in list(self._waiting):
            taken = int(written[place])
            if taken > 0:
                self._ahead[place] += taken
                del self._waiting[place][: taken * BLOCK]
                if not self._waiting[place]:
                    del self._waiting[place]
        return events
