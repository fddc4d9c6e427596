"""Where time enters. Everything that needs it is handed a `Clock`; no decision asks the system.

What is heard on a line is timed by samples. Wall time (UTC) is for people; timeouts are monotonic. How much a card
should have delivered is counted by the machine's oscillator (CLOCK_MONOTONIC_RAW): the other clocks run faster or
slower, by percents, while a time server puts them right, and a card does not. When a card runs as fast as it can, its
`SampleClock` makes every timer follow its samples, so that a day of traffic in a minute gives the same recordings as a
day in a day.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cffi_bindings.libc import clock_is_synchronised

NS = 1_000_000_000
RATE = 8000
SAMPLE_NS = NS // RATE


@dataclass(frozen=True, slots=True)
class Moment:
    utc_ns: int
    boottime_ns: int
    """CLOCK_BOOTTIME: goes on in suspend, never jumps."""
    boot_id: str
    synchronised: bool
    """The system's clock was disciplined by a time source."""


class Clock(Protocol):
    def moment(self) -> Moment: ...

    def monotonic_ns(self) -> int:
        """For timeouts."""

    def raw_ns(self) -> int:
        """For what is compared with a card's samples."""


def raw_ns() -> int:
    """As the machine's oscillator counts."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd makes it when it has set the clock."""


class SystemClock:
    """The box's own clocks. Whether UTC is synchronised is what the kernel says, whatever program disciplines it; a
    daemon that is hardened may not ask the kernel, and believes systemd-timesyncd."""

    def __init__(self) -> None:
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._asked_ns = -(1 << 62)
        self._synchronised = False

    def moment(self) -> Moment:
        return Moment(
            time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), self._boot_id, self._is_synchronised()
        )

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def raw_ns(self) -> int:
        return raw_ns()

    def _is_synchronised(self) -> bool:
        now = time.monotonic_ns()
        if now - self._asked_ns > 10 * NS:
            self._asked_ns = now
            try:
                self._synchronised = clock_is_synchronised()
            except OSError:  # Not allowed to ask (ProtectClock=, a container).
                self._synchronised = SYNCHRONISED.exists()
        return self._synchronised


class SampleClock:
    """A clock that stands still between blocks and follows the samples of one card."""

    def __init__(self, start_utc_ns: int, run: str) -> None:
        self._start_utc_ns = start_utc_ns
        self._boot_id = f"samples-{run}"
        self._ns = 0

    def at_sample(self, sample: int) -> None:
        self._ns = sample * SAMPLE_NS

    def moment(self) -> Moment:
        return Moment(self._start_utc_ns + self._ns, self._ns, self._boot_id, False)

    def monotonic_ns(self) -> int:
        return self._ns

    def raw_ns(self) -> int:
        return self._ns
