"""The ledger's thread: jobs in order, committed together, each with its own answer, and alive whatever happens."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from firmware.clock import SystemClock
from firmware.ledger_thread import LedgerThread
from recorder.errors import CatalogueError, NotFoundError
from recorder.ledger import Ledger


class Sink:
    """Alarms as they are raised and cleared."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Any]] = {}

    def raise_(self, code: str, object: str, **values: Any) -> None:
        self.open[code] = values

    def clear(self, code: str, object: str) -> None:
        self.open.pop(code, None)


class Running:
    def __init__(self, data: Path) -> None:
        self.ledger = Ledger.open(data, SystemClock(), random.Random(1))
        self.sink = Sink()
        self.told: list[dict[str, Any]] = []
        self.thread = LedgerThread(self.ledger, self.told.append)
        self.thread.start(self.sink)

    def held(self) -> "tuple[threading.Event, Future[None]]":
        """Keeps the thread busy until the event is set, so that what follows is committed together."""
        go_on = threading.Event()

        def wait(ledger: Ledger) -> None:
            assert go_on.wait(30)

        return go_on, self.thread.submit(wait)

    def entries(self) -> list[str]:
        return [operation.act for operation in reversed(self.ledger.catalogue.operations())][1:]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.thread.close()


def enter(act: str) -> Any:
    return lambda ledger: ledger.operation(act, "console:test")


def test_jobs_are_done_in_order_and_together(running: Running) -> None:
    go_on, first = running.held()
    jobs = [running.thread.submit(enter(f"act{n}")) for n in range(50)]
    assert not any(job.done() for job in jobs)
    go_on.set()
    numbers = [job.result(30) for job in jobs]
    assert first.done()
    assert numbers == list(range(numbers[0], numbers[0] + 50))
    assert running.entries() == [f"act{n}" for n in range(50)]


def test_what_one_job_refuses_is_its_own_answer(running: Running) -> None:
    go_on, _ = running.held()
    before = running.thread.submit(enter("before"))
    refused = running.thread.submit(lambda ledger: ledger.trash(["0" * 32], "", "console:test"))
    after = running.thread.submit(enter("after"))
    go_on.set()
    assert after.result(30) == before.result(30) + 1
    with pytest.raises(NotFoundError):
        refused.result(30)
    assert running.entries() == ["before", "after"]
    assert running.sink.open == {}


def test_a_broken_job_is_undone_alone_and_raises_an_alarm_until_the_next_works(running: Running) -> None:
    def half(ledger: Ledger) -> None:
        ledger.operation("half", "console:test")
        raise CatalogueError("The disk is full.")

    go_on, _ = running.held()
    before = running.thread.submit(enter("before"))
    broken = running.thread.submit(half)
    go_on.set()
    before.result(30)
    with pytest.raises(CatalogueError):
        broken.result(30)
    running.thread.submit(enter("after")).result(30)
    assert running.entries() == ["before", "after"]
    assert running.thread.submit(lambda ledger: dict(running.sink.open)).result(30) == {}


def test_a_ledger_that_cannot_write_is_an_alarm_and_not_the_end(running: Running) -> None:
    def fail(ledger: Ledger) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        running.thread.submit(fail, alone=True).result(30)
    during = running.thread.submit(lambda ledger: dict(running.sink.open)).result(30)
    assert "No space left" in during["ledger_failed"]["error"]
    running.thread.submit(enter("again")).result(30)
    assert running.thread.submit(lambda ledger: dict(running.sink.open)).result(30) == {}


def test_a_job_that_fails_alone_has_nothing_done_twice(running: Running) -> None:
    done: list[str] = []

    def fail(ledger: Ledger) -> None:
        done.append("alone")
        raise OSError(5, "Input/output error")

    go_on, _ = running.held()
    first = running.thread.submit(lambda ledger: done.append("first"))
    alone = running.thread.submit(fail, alone=True)
    last = running.thread.submit(lambda ledger: done.append("last"))
    go_on.set()
    first.result(30)
    last.result(30)
    assert isinstance(alone.exception(30), OSError)
    assert done == ["first", "alone", "last"]


def test_what_was_handed_in_is_done_before_it_closes(tmp_path: Path) -> None:
    running = Running(tmp_path)
    go_on, _ = running.held()
    jobs = [running.thread.submit(enter("late"), alone=n % 2 == 0) for n in range(9)]
    closing = threading.Thread(target=running.thread.close)
    closing.start()
    go_on.set()
    closing.join(30)
    assert all(job.result(0) for job in jobs)
    Ledger.open(tmp_path, SystemClock(), random.Random(2)).close()
