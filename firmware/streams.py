"""What goes on and on over the control socket: reports to those who watch, a line's sound to those who listen.

`Reports` is the one place where everything that happens is told: any thread may `publish`, and whoever watches gets
what it asked for. Line snapshots are not told but looked at, at each watcher's own interval, and only what changed is
sent. Nobody who publishes ever waits: a watcher that does not keep up is ended.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Protocol

from firmware.cards import Law
from firmware.control import Room
from firmware.wire import Fields, LineSnapshot

KIND_OF = {"alarm": "alarms", "recording": "recordings", "durable": "durable", "mark": "marks"}
LONGEST_BACKLOG = 20_000
"""Reports that wait for a watcher: some seconds of a busy box."""
LISTEN_EVERY_S = 0.06

Slow = {"event": "end", "reason": "slow"}


class Listener(Protocol):
    def read(self) -> tuple[int, bytes, int]:
        """First sample, companded bytes since the last read, and samples lost before them; does not wait."""

    def close(self) -> None: ...


class Subscription:
    """What one watcher has not been told yet. Used in the event loop alone."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self.too_slow = False
        self._waiting: deque[Fields] = deque()
        self._arrived = asyncio.Event()

    def put(self, event: Fields) -> None:
        if len(self._waiting) < LONGEST_BACKLOG:
            self._waiting.append(event)
        else:
            self.too_slow = True
        self._arrived.set()

    def take(self) -> list[Fields]:
        events = list(self._waiting)
        self._waiting.clear()
        self._arrived.clear()
        return events

    async def wait(self, timeout_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout_s)


class Reports:
    """Tells those who watch, from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._subscriptions: set[Subscription] = set()
        self._wanted: frozenset[str] = frozenset()

    def publish(self, event: dict[str, Any]) -> None:
        """`event` has `event` and the fields of docs/control.md. Costs next to nothing while nobody asks for it."""
        if KIND_OF[event["event"]] in self._wanted and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, event)

    @contextlib.contextmanager
    def subscribe(self, kinds: frozenset[str]) -> Iterator[Subscription]:
        subscription = Subscription(kinds)
        self._subscriptions.add(subscription)
        self._count()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._count()

    def _count(self) -> None:
        self._wanted = frozenset().union(*(subscription.kinds for subscription in self._subscriptions))

    def _spread(self, event: Fields) -> None:
        for subscription in self._subscriptions:
            if KIND_OF[event["event"]] in subscription.kinds:
                subscription.put(event)


async def watch(
    reports: Reports,
    snapshots: Callable[[], list[LineSnapshot]],
    what: frozenset[str],
    interval_s: float,
    room: Room,
) -> AsyncGenerator[Fields | None, None]:
    """The events of `watch`: lines at once and then what changed in each interval, the rest as it happens."""
    loop = asyncio.get_running_loop()
    shown: dict[int, LineSnapshot] = {}
    due_s = loop.time()
    with reports.subscribe(what) as subscription:
        yield None
        while True:
            if subscription.too_slow or not room():
                yield Slow
                return
            for event in subscription.take():
                yield event
            if "lines" in what and loop.time() >= due_s:
                due_s = loop.time() + interval_s
                changed = [line for line in snapshots() if shown.get(line.line) != line]
                shown.update((line.line, line) for line in changed)
                if changed:
                    yield {"event": "lines", "lines": changed}
            await subscription.wait(max(0.0, due_s - loop.time()) if "lines" in what else None)


async def listen(line: int, law: Law, listener: Listener, room: Room) -> AsyncGenerator[Fields | None, None]:
    """The events of `listen`. What a slow client does not take is lost in the listener, which counts it."""
    try:
        yield None
        while True:
            if room():
                first_sample, data, lost = listener.read()
                if data:
                    yield {
                        "event": "audio",
                        "line": line,
                        "law": law,
                        "first_sample": first_sample,
                        "data": data,
                        "lost": lost,
                    }
            await asyncio.sleep(LISTEN_EVERY_S)
    finally:
        listener.close()
