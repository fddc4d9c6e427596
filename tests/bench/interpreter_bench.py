"""How long the threshold wizard and the search for copies keep the interpreter from the pumps; at most 5 ms is allowed.

Python runs one thread at a time, and a pump that has to wait is late. Here another thread stands in for the pump: it
wants to run again a tenth of a millisecond after it ran last, and looks at what stood between. Of a machine that does
other work too, elapsed time alone would tell how busy the others are; so what is counted of each wait is the lesser of

- the processor time of the act's own thread in it (its thread clock): who keeps the interpreter without computing is
  held up himself, by somebody else;
- its length by CLOCK_MONOTONIC_RAW, less what the waiting thread itself computed, and less what it stood ready without
  a processor (the kernel's `schedstat` of that thread).

Both are upper bounds: what numpy computes after it has let go of the interpreter is in the first as well. What is
left of the machine's noise, a host that takes a processor away, comes at random, and what an act does comes each time:
of several runs the least counts. A thread that only runs Python code keeps the others waiting for `SWITCH_S`, as the
daemon sets it; only what one step of C does can be more.

`CONTROL` keeps the interpreter on purpose, for as long as it computes: it shows that the measure sees it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.config_change import with_line
from firmware.copies import Copies
from firmware.engine import SWITCH_S
from firmware.learn import Step, measured
from recorder.ledger import Ledger
from recorder.model import Recording
from recorder.wav import OpenRecording
from tests.material import stretch
from tests.recorder import values
from tests.recorder.copies import copies
from tests.recorder.world import ledger_of

RAW = time.CLOCK_MONOTONIC_RAW
ALLOWED_MS = 5.0
AGAIN_S = 0.0001
CONTROL = "control: a list is sorted"
TRUNK = 1
LINE = """
[[line]]
number = {0}
name = "Desk {0}"
"""


def held_ms(act: Callable[[], object]) -> tuple[float, float]:
    """(longest wait for the interpreter while a thread does `act`, that thread's processor time), in ms."""
    begin, over, looked = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begin.wait()
        act()
        over.set()
        looked.wait()  # A thread that has ended has no clock.

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert worker.ident is not None
        clock = time.pthread_getcpuclockid(worker.ident)
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as own:
            first = at = _look(clock, own.fileno())
            longest_ns = 0
            begin.set()
            while not over.is_set():
                time.sleep(AGAIN_S)
                now = _look(clock, own.fileno())
                computed, elapsed, ours, ready = (new - old for new, old in zip(now, at, strict=True))
                longest_ns = max(longest_ns, min(computed, elapsed - ours - ready))
                at = now
    finally:
        begin.set()
        looked.set()
        worker.join()
        sys.setswitchinterval(before_s)
    return longest_ns / 1e6, (at[0] - first[0]) / 1e6


def _look(clock: int, own: int) -> tuple[int, int, int, int]:
    """Processor time of the other thread, elapsed time, processor time of this one, and what it stood ready; ns."""
    ours, ready, _ = os.pread(own, 64, 0).split()
    return time.clock_gettime_ns(clock), time.clock_gettime_ns(RAW), int(ours), int(ready)


def interpreter_figures(folder: Path, tiny: bool = False) -> list[dict[str, Any]]:
    """A row an act: `held_ms`, the least of the runs' longest waits; `worst_ms`, the greatest; `cpu_ms` of the act."""
    times = 5 if tiny else 15
    return [_row(what, act, times) for what, act in _acts(folder, tiny)]


def _row(what: str, act: Callable[[], object], times: int) -> dict[str, Any]:
    act()  # Tables are made once.
    runs = [held_ms(act) for _ in range(times)]
    held, cpu = [run[0] for run in runs], [run[1] for run in runs]
    return {
        "what": what, "held_ms": round(min(held), 2), "worst_ms": round(max(held), 2), "cpu_ms": round(min(cpu), 1),
        "allowed_ms": ALLOWED_MS,
    }  # fmt: skip


def _acts(folder: Path, tiny: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    numbers = np.random.default_rng(1).random(200_000).tolist()
    yield CONTROL, partial(sorted, numbers)
    for seconds in (5,) if tiny else (5, 30):
        volts = [8.0] * (10 * seconds)
        yield f"learn: {seconds} s are measured", partial(
            measured, Step.TALK, stretch(1, seconds), "alaw", "cn", volts
        )  # fmt: skip
    lines = 8 if tiny else 480
    text = "\n".join(['[[card]]\nkind = "simulated"', f"lines = {lines}", *map(LINE.format, range(1, lines + 1))])
    yield (
        f"learn: one of {lines} lines is changed",
        partial(with_line, text, lines, {"off_hook_volts": 21.5}, "linekeep.toml"),
    )
    others, seconds = (2, 20) if tiny else (6, 300)
    with ledger_of(folder) as ledger:
        row = _calls(ledger, others, seconds)
        known = Copies({TRUNK: "trunk", **dict.fromkeys(range(2, 2 + others), "extension")})
        yield f"copies: {others} recordings of {seconds} s", lambda: list(known.of(ledger, row, _go_on))
        yield "copies: what the run before has left", lambda: list(known.left(ledger, _go_on))


def _calls(ledger: Ledger, others: int, seconds: int) -> Recording:
    """Extensions that talk at one time, and the trunk that carries the last one's call."""
    rng = np.random.default_rng(3)
    for line in range(2, 2 + others):
        extension, trunk = copies(rng, seconds)
        _sealed(ledger, line, extension)
    return _sealed(ledger, TRUNK, trunk)


def _sealed(ledger: Ledger, line: int, sound: NDArray[np.uint8]) -> Recording:
    recording = OpenRecording.create(ledger.data, values.start(line, line=line))
    recording.append(sound)
    recording.flush()
    recording.sync()
    return ledger.sealed(recording.seal(values.end()))


def _go_on() -> None:
    """No tick is waited for."""
