"""Garbage is collected between ticks, not in the middle of one.

Python looks for garbage whenever enough has been allocated, in whichever thread that happens, and holds the interpreter
meanwhile: with 2,000 open recordings 40 to 140 ms for everything there is. Nearly all of ours is freed without it, by
counting. So while the engine runs, the writer collects after its round: what is new once a second, everything once
every ten minutes.
"""

import gc
import time

from firmware.turns import Turns

YOUNG_S = 1.0
ALL_S = 600.0
PATIENCE_S = 0.1


class Garbage:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._young_s = self._all_s = time.monotonic()

    def collect(self) -> None:
        """Collects what is due."""
        now_s = time.monotonic()
        if now_s - self._young_s < YOUNG_S:
            return
        self._turns.give_way(PATIENCE_S)
        everything = now_s - self._all_s >= ALL_S
        gc.collect(2 if everything else 1)
        self._young_s = now_s
        if everything:
            self._all_s = now_s
