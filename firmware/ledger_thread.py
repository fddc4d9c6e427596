"""The ledger's thread: the only one that writes journal and catalogue.

Whatever changes them is a job, done in the order in which it was handed in. Jobs that wait while others are being
committed are committed together, at most a hundred at a time; the future of a job answers when what it did is durable,
and not before. So a box where one call ends a minute commits at once, and one where a thousand end together commits
ten times.

What a job itself refuses (no such recording, not in the trash) is that job's answer and nobody else's. If anything
else goes wrong, the batch is undone and its jobs are done one by one, so that one cannot take the others along. A
ledger that cannot write raises an alarm, answers with the error and tries again with the next job: it never dies
silently, and recording goes on without it.

While no job waits, recordings that were sealed are looked at for copies of the same call (`copies`), a comparison at
a time; what is found is one more job.
"""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from firmware.alarms import AlarmSink
from firmware.copies import Copies, Found
from firmware.turns import Turns
from recorder.errors import NotFoundError, RecordingError, RefusedError
from recorder.ledger import Ledger
from recorder.model import Recording, RecordingEnd, State
from recorder.wav import OpenRecording

log = logging.getLogger(__name__)

TOGETHER = 100
PATIENCE_S = 0.05
"""How long a job waits for ticks to end."""
REFUSALS = (NotFoundError, RefusedError, RecordingError)
"""Said by a job before it has changed anything."""

T = TypeVar("T")


@dataclass(slots=True)
class _Job(Generic[T]):
    act: Callable[[Ledger], T]
    future: "Future[T]"
    alone: bool = False
    change: str = ""
    result: T | None = None
    error: Exception | None = None


class LedgerThread:
    """`start` it, `submit` jobs from any thread, `close` it: what was handed in before is still done."""

    def __init__(self, ledger: Ledger, publish: Callable[[dict[str, Any]], None], copies: Copies | None = None) -> None:
        """`publish` tells who watches of recordings that were started and sealed. `copies` knows where to look for
        copies of one call; without it nobody looks."""
        self._ledger = ledger
        self._publish = publish
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger")
        self._alarm: AlarmSink | None = None
        self._copies = copies
        self._looking: deque[Iterator[Found | None]] = deque()
        """Recordings whose copies are being looked for."""
        self.turns = Turns()
        """Jobs wait for the ticks that are entered here."""

    def start(self, alarm: AlarmSink) -> None:
        self._alarm = alarm
        self._thread.start()

    def submit(self, act: Callable[[Ledger], T], /, *, alone: bool = False, change: str = "") -> "Future[T]":
        """Does `act` in the ledger's thread; the future answers when that is durable.

        `change`: what it does to the recordings that it returns, for those who watch. `alone`: not together with
        others, for what also changes files besides journal and catalogue (accounts, the audio of what is purged): if
        that fails after the commit, nobody else's work must be done twice."""
        job = _Job(act, Future(), alone, change)
        self._jobs.put(job)
        return job.future

    def seal(self, recording: OpenRecording, end: RecordingEnd, /) -> "Future[Recording]":
        """Ends a recording's file and enters it; with `end.discard` it goes to the trash in the same step."""
        sealed: list[Recording] = []

        def enter(ledger: Ledger) -> Recording:
            # The file is sealed once, also where the entry has to be tried again.
            if not sealed:
                sealed.append(recording.seal(end))
            return ledger.sealed(sealed[0], end.discard)

        return self.submit(enter, change="sealed")

    def close(self) -> None:
        """After the last job the ledger is closed and gives its lock back."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        self._ledger.close()

    def _run(self) -> None:
        if self._copies is not None:
            self._looking.append(self._copies.left(self._ledger, self._give_way))
        while (job := self._next()) is not None:
            jobs = [job]
            while not job.alone and len(jobs) < TOGETHER and not self._jobs.empty():
                following = self._jobs.get()
                if following is None or following.alone:
                    self._round(jobs)
                    jobs = []
                    if following is None:
                        return
                job = following
                jobs.append(job)
            self._round(jobs)

    def _next(self) -> _Job[Any] | None:
        while self._looking and self._jobs.empty():
            self._look_on(self._looking[0])
        return self._jobs.get()

    def _look_on(self, looking: Iterator[Found | None]) -> None:
        """One more comparison."""
        try:
            found = next(looking)
        except StopIteration:
            self._looking.popleft()
        except Exception as error:  # noqa: BLE001 - told as an alarm; the thread goes on
            self._looking.popleft()
            self._tell(error)
        else:
            if found is not None:
                self.submit(found.enter, change="linked")

    def _give_way(self) -> None:
        self.turns.give_way(PATIENCE_S)

    def _round(self, jobs: list[_Job[Any]]) -> None:
        failure: Exception | None = None
        try:
            with self._ledger.batch():
                for job in jobs:
                    self.turns.give_way(PATIENCE_S)
                    self._do(job)
        except Exception as error:  # noqa: BLE001 - handed to those whose work was undone, or tried one by one
            if len(jobs) > 1:
                for job in jobs:
                    self._round([_Job(job.act, job.future, change=job.change)])
                return
            failure = jobs[0].error = error
        for job in jobs:
            if job.error is None:
                job.future.set_result(job.result)
                self._spread(job)
            else:
                job.future.set_exception(job.error)
        self._tell(failure)

    def _spread(self, job: _Job[Any]) -> None:
        """Tells of the recordings that a job has changed; only one that has just begun is live."""
        for row in job.result if isinstance(job.result, list) else [job.result]:
            if isinstance(row, Recording) and (job.change or row.state is State.LIVE):
                self._publish({"event": "recording", "recording": row, "change": job.change or "started"})
                if job.change == "sealed" and self._copies is not None:
                    self._looking.append(self._copies.of(self._ledger, row, self._give_way))

    def _do(self, job: _Job[Any]) -> None:
        try:
            job.result = job.act(self._ledger)
        except REFUSALS as error:
            # Raised before anything was appended; the batch goes on.
            job.error = error

    def _tell(self, failure: Exception | None) -> None:
        assert self._alarm is not None
        if failure is None:
            self._alarm.clear("ledger_failed", "ledger")
        else:
            log.error("The ledger could not do its work", exc_info=failure)
            self._alarm.raise_("ledger_failed", "ledger", error=str(failure))
