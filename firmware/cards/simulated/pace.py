"""Real time for a simulated card, with the buffer that a DAHDI driver would have.

A block falls due when its last sample would have come off the line: by absolute deadlines of the machine's oscillator,
as a card has one of its own, so that no error adds up. A reader that is late finds up to 32 blocks waiting (640 ms) and
loses nothing. Beyond that the buffer is full and what comes is lost until there is room again: those blocks are handed
out as lost, in their place.
"""

from collections.abc import Callable

from firmware.cards import BLOCK

BUFFER_BLOCKS = 32
BLOCK_NS = BLOCK * 1_000_000_000 // 8000


class Pace:
    """`next_block` waits for a block and says how many samples were lost from it on: 0 for one that was kept."""

    def __init__(self, now_ns: Callable[[], int], sleep: Callable[[float], None]) -> None:
        self._now_ns, self._sleep = now_ns, sleep
        self._start_ns = now_ns()
        self._next = 0
        self._decided = 0
        """Blocks before this one are either in the buffer or lost."""
        self._lost: list[tuple[int, int]] = []
        """Ranges of blocks, in order, that found the buffer full."""

    def next_block(self) -> tuple[bool, int]:
        """Whether the block is lost, and, where a burst of lost ones begins, its length in samples (else 0)."""
        block, self._next = self._next, self._next + 1
        self._fill(block)
        if block >= self._decided:
            self._wait(block)
            self._decided = block + 1
        if not self._lost or block < self._lost[0][0]:
            return False, 0
        first, end = self._lost[0]
        if block == end - 1:
            self._lost.pop(0)
        return True, (end - first) * BLOCK if block == first else 0

    def _fill(self, block: int) -> None:
        """Decide about everything that has come off the line since the last read."""
        due = (self._now_ns() - self._start_ns) // BLOCK_NS
        lost = sum(end - max(first, block) for first, end in self._lost)
        room = BUFFER_BLOCKS - (self._decided - block - lost)
        kept_to = self._decided + room
        if due > kept_to:
            self._lost.append((kept_to, due))
        self._decided = max(self._decided, due)

    def _wait(self, block: int) -> None:
        due_ns = self._start_ns + (block + 1) * BLOCK_NS
        while (left_ns := due_ns - self._now_ns()) > 0:
            self._sleep(left_ns / 1e9)
