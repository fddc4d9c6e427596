"""Who goes first: the 20 ms path, before whatever can wait for the end of a tick.

Python runs one thread at a time. A tick lets go of the interpreter lock a hundred times, in every step of numpy, and
each time a busy thread may take it and keep it for a while: two threads that are half busy make both late. So those
that have much to do in small pieces ask between two pieces whether a tick is running, and wait for its end.
"""

import threading
import time


class Turns:
    """Pumps enter with each tick; others `give_way`."""

    def __init__(self) -> None:
        self._ticks = 0
        self._lock = threading.Lock()
        self._none = threading.Event()
        self._none.set()

    def __enter__(self) -> None:
        with self._lock:
            self._ticks += 1
            self._none.clear()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ticks -= 1
            if not self._ticks:
                self._none.set()

    def give_way(self, at_most_s: float) -> float:
        """Waits while a tick runs; returns for how long."""
        if not self._ticks or at_most_s <= 0:
            return 0.0
        began_s = time.monotonic()
        self._none.wait(at_most_s)
        return time.monotonic() - began_s
