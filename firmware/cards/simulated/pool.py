"""The pool of sound that a simulated card plays from.

All audio lies companded in one large mapping, so that one gather fetches a block for every channel: row `address` of
`frames` is the 160 bytes that begin there. A piece that is played round and round carries its own first frame again
behind its end, so that no frame has to be put together. Memory is asked of the kernel without reserving it: what was
never written costs nothing. The pool frees what only one call used and keeps what many share.

Weak point: first-fit, and pages once touched stay with the process.
"""

import bisect
import mmap
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.cards import BLOCK, CardError

_MAP_NORESERVE = 0x4000  # mman.h of Linux; Python's mmap names it only from 3.13 on


@dataclass(frozen=True, slots=True)
class Piece:
    address: int
    """Of its first byte in the pool."""
    samples: int
    """A multiple of BLOCK, after which it begins anew."""
    key: str = ""
    """Shared under this name; empty: of one call alone."""


class Pool:
    """Thread-safe; `frames` may be read while pieces are added."""

    def __init__(self, size_bytes: int) -> None:
        self._memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self.frames = np.ndarray((size_bytes - BLOCK + 1,), dtype=f"V{BLOCK}", buffer=self._memory, strides=(1,))
        """`[addresses]`: 160 bytes from each address on, overlapping; `frames[a].view(uint8).reshape(-1, 160)`."""
        self._holes = [(0, size_bytes)]
        self._shared: dict[str, Piece] = {}
        self._lock = threading.Lock()

    def add(self, law_bytes: NDArray[np.uint8]) -> Piece:
        """Keep these bytes (a multiple of BLOCK of them) for one call, until `free`. Raises CardError when full."""
        return self._store(law_bytes, "")

    def share(self, key: str, render: Callable[[], NDArray[np.uint8]]) -> Piece:
        """The piece of this name, rendered when it is asked for the first time; it stays."""
        with self._lock:
            kept = self._shared.get(key)
        # Rendered without the lock: two threads may both do it, with the same outcome, and one is kept.
        return kept or self._store(render(), key)

    def free(self, piece: Piece) -> None:
        if piece.key:
            return
        with self._lock:
            start, size = piece.address, piece.samples + BLOCK
            at = bisect.bisect(self._holes, (start, size))
            if at < len(self._holes) and self._holes[at][0] == start + size:
                size += self._holes.pop(at)[1]
            if at and sum(self._holes[at - 1]) == start:
                at -= 1
                before = self._holes.pop(at)
                start, size = before[0], before[1] + size
            self._holes.insert(at, (start, size))

    def _store(self, law_bytes: NDArray[np.uint8], key: str) -> Piece:
        samples = law_bytes.size
        assert samples and samples % BLOCK == 0, f"a piece of {samples} samples is not whole blocks"
        with self._lock:
            if key in self._shared:
                return self._shared[key]
            piece = Piece(self._allocate(samples + BLOCK), samples, key)
            if key:
                self._shared[key] = piece
            end = piece.address + samples
            self._bytes[piece.address : end] = law_bytes
            self._bytes[end : end + BLOCK] = law_bytes[:BLOCK]
        return piece

    def _allocate(self, size: int) -> int:
        for at, (start, room) in enumerate(self._holes):
            if room > size:
                self._holes[at] = (start + size, room - size)
                return start
        raise CardError(
            f"The simulated card has no room for {size / 8000:.0f} s of audio more. Remedy: shorter sound files, or "
            "fewer at a time"
        )
