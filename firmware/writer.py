"""The writer: takes what is recorded out of the rings and puts it on the disk, once a second, for all cards.

One thread. A round takes each open recording as far as it may go, ends it for the disk with one barrier (`fdatasync`
of each file, above 64 files one `syncfs`), and reports what is durable. It never waits for the catalogue: entering
and sealing are left to the ledger's thread. What the ring had given up before it was written is a gap marked
`writer`.

When the disk refuses, that file is not tried again: it is left for recovery as far as it is known to be safe, and the
recording goes on in a new file, out of the ring, as soon as one can be made; what the ring could not hold until then
is stated as unrecorded with the reason `disk`. Below the floor of free space recording stops the same way, except
that the files are sealed. A recording that ends while there is no file for it is tried three times.

Weak: a recording that went on in a new file after a write error may hold up to a second of audio that recovery also
finds in the old one. Losing it would be worse.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from cffi_bindings.libc import syncfs
from firmware.alarms import AlarmSink
from firmware.garbage import Garbage
from firmware.orders import Close, Feed, Gone, GoOn, Hold, Known, Missing, Open, Order, add_missing
from firmware.ring import RATE
from firmware.take import Take, going_on, next_gap, say
from firmware.turns import Turns
from recorder.errors import RecordingError
from recorder.ledger import Ledger
from recorder.model import Recording, RecordingEnd, StopReason
from recorder.wav import OpenRecording

ROUND_SAMPLES = RATE
BEHIND_SAMPLES = 3 * RATE
PATIENCE_S = 2.0
"""How long a round may wait for ticks to end, in all."""
SYNC_EACH_FILES = 64
ROUNDS_BETWEEN_TRIES = 2
ATTEMPTS = 3
MB = 1_000_000

T = TypeVar("T")


class LedgerQueue(Protocol):
    """What the path needs of the ledger's thread. Nothing here waits."""

    turns: Turns
    """A paced card's pump enters with each tick; the writer and the ledger give way to it."""

    def submit(self, act: Callable[[Ledger], T], /, *, change: str = "") -> "Future[T]": ...

    def seal(self, recording: OpenRecording, end: RecordingEnd, /) -> "Future[Recording]": ...


@dataclass(slots=True)
class WriterFigures:
    """Read by others at any time."""

    written_bytes: int = 0
    gaps: int = 0
    gap_samples: int = 0
    last_round_ns: int = 0
    """Monotonic time at which the last round was durable."""
    sync_ms: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    behind_samples: int = 0
    open_files: int = 0
    without_file: int = 0
    """Recordings that the disk keeps from being written."""


class Writer:
    """`new_handle` names a second file. Below `minimum_free_mb` of free space recording stops."""

    def __init__(
        self,
        data: Path,
        feeds: Mapping[str, Feed],
        ledger: LedgerQueue,
        publish: Callable[[dict[str, Any]], None],
        alarm: AlarmSink,
        new_handle: Callable[[], str],
        minimum_free_mb: int = 512,
    ) -> None:
        self._data = data
        self._feeds = list(feeds.values())
        self._ledger = ledger
        self._publish = publish
        self._alarm = alarm
        self._new_handle = new_handle
        self._minimum_free_bytes = minimum_free_mb * MB
        self._takes: dict[str, Take] = {}
        self._wake = threading.Condition()
        self._finish = False
        self._full = False
        self._behind = False
        self._sealing: set[Future[Recording]] = set()
        self.turns = ledger.turns
        self._garbage = Garbage(self.turns)
        self._left: dict[str, Path] = {}
        """Files that the ledger could not enter, by handle."""
        self._rounds = 0
        self._thread = threading.Thread(target=self._run, name="writer")
        self.figures = WriterFigures(last_round_ns=time.monotonic_ns())
        self.failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def published(self, feed: Feed) -> None:
        """Samples were published; wakes the writer when a round is due, and says so when it does not keep up."""
        behind = feed.ring.head - feed.drained
        if behind < ROUND_SAMPLES:
            return
        with self._wake:
            self._wake.notify_all()
        if feed.paced and behind > BEHIND_SAMPLES and not self._behind:
            self._behind = True
            self._alarm.raise_("writer_behind", "writer", behind_s=round(behind / RATE, 1))

    def wait_until_drained(self, feed: Feed, sample: int) -> None:
        """Back-pressure for cards that run as fast as they can. Raises if the writer has died."""
        if feed.drained < sample:
            with self._wake:
                while feed.drained < sample and self.failure is None:
                    self._wake.notify_all()
                    self._wake.wait(1.0)
        self.check()

    def check(self) -> None:
        """Raises if the writer has died: the process must end, and be started again."""
        if self.failure is not None:
            raise RuntimeError("The writer has stopped; nothing more is recorded.") from self.failure

    def finish(self) -> None:
        """Writes what the pumps, which have stopped, left behind, and waits until it is sealed and entered."""
        with self._wake:
            self._finish = True
            self._wake.notify_all()
        self._thread.join()
        self.check()
        self._await_entered()
        left, self._left = self._left, {}
        for handle, path in left.items():  # A last try; what fails again is recovered at the next start.
            self._recover(handle, path)
        self._await_entered()

    def _await_entered(self) -> None:
        for future in list(self._sealing):
            future.exception()

    def handle_now(self, handle: str) -> str | None:
        """The file that a recording is being written to now; None while the disk refuses."""
        take = self._takes.get(handle)
        if take is None:
            return handle
        return take.start.handle if take.file is not None else None

    # The thread.

    def _run(self) -> None:
        try:
            while not self._done():
                self._round()
        except BaseException as failure:
            self.failure = failure
            with self._wake:
                self._wake.notify_all()
            raise

    def _done(self) -> bool:
        """Waits for the next round; True when there will be none."""
        with self._wake:
            if not self._finish and all(feed.ring.head - feed.drained < ROUND_SAMPLES for feed in self._feeds):
                self._wake.wait(1.0)
            return self._finish and not self._takes and not any(feed.orders for feed in self._feeds)

    def _round(self) -> None:
        """Everything published until now goes to the disk."""
        heads = [(feed, feed.ring.head) for feed in self._feeds]
        for feed, _ in heads:
            for _ in range(len(feed.orders)):
                self._obey(feed, feed.orders.popleft())
        self._watch_space()
        reached = {id(feed): head for feed, head in heads}
        patience_s = PATIENCE_S
        for take in self._takes.values():
            patience_s -= self.turns.give_way(patience_s)
            self._guarded(take, self._advance, reached[id(take.feed)])
        self._barrier()
        for handle, take in list(self._takes.items()):
            if self._finished(take, reached[id(take.feed)]):
                del self._takes[handle]
        with self._wake:
            for feed, head in heads:
                feed.drained = head
            self._wake.notify_all()
        self._enter_left()
        self._measure()
        self._garbage.collect()

    def _obey(self, feed: Feed, order: Order) -> None:
        if isinstance(order, Open):
            first = order.start.first_sample
            self._takes[order.handle] = Take(feed, order.start, first, first, deque(order.missing))
            return
        take = self._takes[order.handle]
        if isinstance(order, Hold):
            take.hold = order.sample
        elif isinstance(order, GoOn):
            if take.hold is not None and order.sample > take.hold:
                take.missing = deque(gap for gap in take.missing if gap.end_sample <= take.hold)
                take.missing.append(Missing(take.hold, order.sample, "data"))
            take.hold = None
        elif isinstance(order, Gone):
            add_missing(take.missing, order.missing)
        elif isinstance(order, Known):
            take.known = order
        elif isinstance(order, Close):
            take.close = order
        else:
            take.unsaid.append(order.what)

    # Audio.

    def _advance(self, take: Take, head: int) -> None:
        """Writes what is there, up to a hold or the end."""
        if take.file is None and not self._full:
            self._create(take)
        file, take.fresh = take.file, False
        if file is None:
            return
        until = min(head, head if take.hold is None else take.hold, head if take.close is None else take.close.sample)
        while take.next < until:
            gap = next_gap(take)
            if gap is None or gap.first_sample > take.next:
                self._copy(take, file, until if gap is None else min(until, gap.first_sample))
            elif gap.end_sample < until or (take.close is not None and until == take.close.sample):
                self._fill(take, file, min(gap.end_sample, until) - take.next, gap.reason)
            else:
                break  # It may still grow, and is written when it is over, so that it is one gap.
        for what in take.unsaid:
            say(file, what, take.start.first_sample - take.first_sample)
            take.fresh = True
        take.unsaid.clear()
        if take.fresh:
            file.flush()
        if take.known is not take.known_to_ledger and take.known is not None:
            self._tell(take, take.known)

    def _copy(self, take: Take, file: OpenRecording, until: int) -> None:
        lost, law = take.feed.ring.read(take.start.channel, take.next, until - take.next)
        if lost:
            self._fill(take, file, lost, "writer")
            self._alarm.raise_("frames_lost", f"line {take.start.line}", samples=lost, reason="writer")
        if law:
            file.append(law)
        take.next += len(law)
        take.fresh = True
        self.figures.written_bytes += len(law)

    def _fill(self, take: Take, file: OpenRecording, samples: int, reason: str) -> None:
        file.gap(samples, reason)
        take.next += samples
        take.fresh = True
        self.figures.written_bytes += samples
        if reason == "writer":
            self.figures.gaps += 1
            self.figures.gap_samples += samples

    def _barrier(self) -> None:
        """Makes the round durable and says so."""
        takes = [take for take in self._takes.values() if take.fresh and take.file is not None]
        started_ns = time.monotonic_ns()
        if len(takes) > SYNC_EACH_FILES:
            self._sync_all(takes)
        else:
            for take in takes:
                self._guarded(take, _sync)
        self.figures.last_round_ns = time.monotonic_ns()
        if takes:
            self.figures.sync_ms.append((self.figures.last_round_ns - started_ns) / 1e6)
        for take in takes:
            if take.file is not None:
                take.attempts = 0
                self._publish(
                    {
                        "event": "durable", "handle": take.start.handle, "line": take.start.line,
                        "samples": take.file.durable_samples, "first_sample": take.start.first_sample,
                    }
                )  # fmt: skip

    def _sync_all(self, takes: list[Take]) -> None:
        try:
            folder = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(folder)
            finally:
                os.close(folder)
        except OSError as error:
            for take in takes:
                self._refused(take, f"{self._data}: syncing failed ({error}). Look in the system log.")
            return
        for take in takes:
            if take.file is not None:
                take.file.synced()

    def _tell(self, take: Take, known: Known) -> None:
        handle, take.known_to_ledger = take.start.handle, known
        self._ledger.submit(
            lambda ledger: ledger.known(
                handle, known.direction, known.number, known.name, known.call_class, known.class_confidence
            ),
            change="known",
        )

    # Ends, and what the disk refuses.

    def _finished(self, take: Take, head: int) -> bool:
        """Seals what has reached its end, or gives up what cannot be written."""
        close = take.close
        if close is None or head < close.sample:
            return False
        if take.file is None:
            if not self._full and take.attempts < ATTEMPTS and not (take.next >= close.sample and take.attempts):
                return False
            self._state_lost(take, close.sample)
            return True
        if take.next < close.sample:
            return False
        moved = take.start.first_sample - take.first_sample
        answered = close.end.answered_sample
        end = close.end if answered is None else replace(close.end, answered_sample=max(0, answered - moved))
        self._seal(take.file, end)
        return True

    def _seal(self, file: OpenRecording, end: RecordingEnd) -> None:
        self._entering(file.handle, file.path, self._ledger.seal(file, end))

    def _recover(self, handle: str, path: Path) -> None:
        self._entering(handle, path, self._ledger.submit(lambda ledger: ledger.recover(path), change="sealed"))

    def _entering(self, handle: str, path: Path, future: "Future[Recording]") -> None:
        self._sealing.add(future)
        future.add_done_callback(partial(self._entered, handle, path))

    def _entered(self, handle: str, path: Path, future: "Future[Recording]") -> None:
        self._sealing.discard(future)
        error = future.exception()
        if error is None:
            return
        self._alarm.raise_("write_failed", "disk", error=str(error))
        if path.exists():
            self._left[handle] = path
        else:
            self._ledger.submit(lambda ledger: ledger.abandoned(handle))

    def _enter_left(self) -> None:
        """Now and then tries one of the files that could not be sealed for want of room."""
        self._rounds += 1
        if self._left and not self._full and self._rounds % ROUNDS_BETWEEN_TRIES == 0:
            handle = next(iter(self._left))
            self._recover(handle, self._left.pop(handle))

    def _create(self, take: Take) -> None:
        """The recording's file; a second one goes on with what the ring still holds."""
        if take.wait_rounds:
            take.wait_rounds -= 1
            return
        start = take.start
        if take.attempts:
            first = max(take.next, take.feed.ring.oldest + ROUND_SAMPLES)
            start = going_on(take, first, self._new_handle() if take.made else start.handle)
        file = OpenRecording.create(self._data, start)
        self._state_lost(take, start.first_sample)
        take.start, take.file, take.next, take.made = start, file, start.first_sample, True
        take.known_to_ledger = None
        self._ledger.submit(lambda ledger: ledger.started(start), change="started")

    def _state_lost(self, take: Take, to_sample: int) -> None:
        line, from_utc, to_utc = take.start.line, take.utc_ns(take.next), take.utc_ns(to_sample)
        if to_sample > take.next:
            self.figures.gaps += 1
            self.figures.gap_samples += to_sample - take.next
            self._ledger.submit(lambda ledger: ledger.unrecorded(line, from_utc, to_utc, "disk"))

    def _guarded(self, take: Take, act: Callable[..., None], *arguments: int) -> None:
        try:
            act(take, *arguments)
        except RecordingError as error:
            self._refused(take, str(error))

    def _refused(self, take: Take, error: str) -> None:
        """The disk refused something: the file stays as it is, and the next round begins another."""
        self._alarm.raise_("write_failed", "disk", error=error)
        take.attempts += 1
        take.wait_rounds = (1 << min(take.attempts, 6) - 1) - 1
        if take.file is not None:
            take.file.close()
            self._recover(take.file.handle, take.file.path)
            take.next = take.start.first_sample + take.file.durable_samples
            take.file = None

    def _watch_space(self) -> None:
        """Below the floor every file is sealed and no new one made until there is a tenth more than that."""
        try:
            stat = os.statvfs(self._data)
            free = stat.f_bavail * stat.f_frsize
        except OSError:  # The disk is not there any more; each file will say so.
            return
        if self._full and free > 1.1 * self._minimum_free_bytes:
            self._full = False
            self._alarm.clear("disk_full", "disk")
        elif not self._full and free < self._minimum_free_bytes:
            self._full = True
            values = {"free_mb": free // MB, "minimum_free_mb": self._minimum_free_bytes // MB}
            self._alarm.raise_("disk_full", "disk", **values)
            for handle, take in self._takes.items():
                if take.file is not None:
                    self._seal(take.file, take.feed.describe(handle, StopReason.DISK, values))
                    take.file, take.attempts = None, 1

    def _measure(self) -> None:
        self.figures.behind_samples = max((f.ring.head - f.drained for f in self._feeds if f.paced), default=0)
        self.figures.open_files = sum(take.file is not None for take in self._takes.values())
        self.figures.without_file = len(self._takes) - self.figures.open_files
        if self._behind and self.figures.behind_samples < ROUND_SAMPLES:
            self._behind = False
            self._alarm.clear("writer_behind", "writer")


def _sync(take: Take) -> None:
    if take.file is not None:
        take.file.sync()
