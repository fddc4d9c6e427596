"""The page's side of the control socket: one connection, and what the daemon last said of itself.

One `watch` stream serves every browser. Its state is kept here (lines, alarms, status); each browser's event stream
looks at it when `changed` is set and sends what its browser has not seen, so that a slow browser gets the latest state
and never a backlog. When the daemon goes away the page says so and goes on; the connection is tried again every second.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from firmware.wire import (
    AlarmReport,
    AsyncClient,
    DaemonUnreachableError,
    LineSnapshot,
    Measurement,
    Status,
    Verdict,
    WireError,
)

AGAIN_S = 1.0
STATUS_EVERY_S = 5.0
CALL_TIMEOUT_S = 30.0
RECENT = 200
log = logging.getLogger("linekeep.web")

Fields = dict[str, Any]


class Hub:
    def __init__(self, data: Path, found: Callable[[], Awaitable[None]]) -> None:
        """`found` is called whenever the daemon is there (again)."""
        self._data = data
        self._found = found
        self._client: AsyncClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.lines: dict[int, LineSnapshot] = {}
        self.alarms: dict[str, AlarmReport] = {}
        self.status: Status | None = None
        self.up = False
        self.closing = False
        self.finished = 0
        """Recordings sealed since the page started; browsers compare it with what they saw."""
        self.recent: deque[tuple[int, Fields]] = deque(maxlen=RECENT)
        """The last changes of recordings, numbered."""

    def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._run(), name="control connection"))

    async def stop(self) -> None:
        self.closing = True
        self._wake()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._client is not None:
            await self._client.close()

    async def call(self, do: str, **fields: Any) -> Fields:
        """Ask the daemon. Raises `DaemonError` (it said no) or `DaemonUnreachableError` (it is down)."""
        client = await self._connected()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await client.call(do, **fields)
        except TimeoutError as error:
            raise DaemonUnreachableError(
                f"The daemon did not answer `{do}` within {CALL_TIMEOUT_S:.0f} s. Look at `linekeep status`."
            ) from error

    async def listen(self, line: int) -> AsyncIterator[Fields]:
        """The `audio` events of a line, on a connection of its own: audio must not wait behind anything."""
        client = await AsyncClient.connect(self._data)
        try:
            async for event in client.stream("listen", line=line):
                yield event
        finally:
            await client.close()

    async def measure(
        self, line: int, step: str, seconds: float, before: list[Measurement]
    ) -> tuple[Measurement, Verdict | None]:
        """One step of the threshold wizard, on a connection of its own; and why it is not taken, if it is not."""
        client = await AsyncClient.connect(self._data)
        try:
            fields = {"line": line, "step": step, "seconds": seconds, "before": before}
            async with contextlib.aclosing(client.stream("learn.measure", **fields)) as events:
                async for event in events:
                    if event["event"] == "measured":
                        found = msgspec.convert(event["measurement"], Measurement)
                        return found, msgspec.convert(event["refused"], Verdict | None)
        finally:
            await client.close()
        raise DaemonUnreachableError("The daemon ended the measuring. Look at `linekeep status`.")

    async def wait(self, timeout_s: float) -> None:
        """Until something changed, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    # The connection ---------------------------------------------------------------------------------------------------

    async def _connected(self) -> AsyncClient:
        if self._client is None or self._client.closed:
            self._client = await AsyncClient.connect(self._data)
        return self._client

    async def _run(self) -> None:
        while True:
            try:
                await self._watch()
            except WireError as error:
                if self.up:
                    log.warning("The daemon is gone: %s", error)
            self._down()
            await asyncio.sleep(AGAIN_S)

    async def _watch(self) -> None:
        client = await self._connected()
        await self.refresh()
        self.up = True
        self._wake()
        await self._found()
        refresh = asyncio.create_task(self._keep_fresh(), name="status")
        try:
            async for event in client.stream("watch", what=["lines", "alarms", "recordings"], interval_ms=250):
                self._take(event)
        finally:
            refresh.cancel()
            with contextlib.suppress(asyncio.CancelledError, WireError):
                await refresh

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            await self.refresh()
            self._wake()

    async def refresh(self) -> None:
        self.status = msgspec.convert(await self.call("status"), Status)
        listed = await self.call("alarm.list")
        self.alarms = {alarm.id: alarm for alarm in msgspec.convert(listed["alarms"], list[AlarmReport])}

    def _take(self, event: Fields) -> None:
        match event["event"]:
            case "lines":
                for line in msgspec.convert(event["lines"], list[LineSnapshot]):
                    self.lines[line.line] = line
            case "alarm":
                alarm = msgspec.convert(event["alarm"], AlarmReport)
                self.alarms[alarm.id] = alarm
            case "recording":
                self.finished += event["change"] == "sealed"
                number = self.recent[-1][0] + 1 if self.recent else 1
                self.recent.append((number, event))
        self._wake()

    def _down(self) -> None:
        self.up = False
        self.lines = {}
        self.alarms = {}
        self.status = None
        self._wake()

    def _wake(self) -> None:
        # Whoever waits now is woken; whoever comes later waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()
