"""The page's side of the control socket: one connection, and what the daemon last said of itself.

One `watch` stream serves every browser. Its state is kept here (lines, alarms, status); each browser's event stream
looks at it when `changed` is set and sends what its browser has not seen, so that a slow browser gets the latest state
and never a backlog. When the daemon goes away the page says so and goes on; the connection is tried again every second.

What concerns the box itself (`box.*`) goes to the daemon, too, which enters it in the journal and hands it on to the
keeper. While the daemon is down, the keeper itself takes the few of these acts that a box in need has to do; they are
entered in the spool before.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from firmware.wire import (
    AlarmReport,
    AsyncClient,
    BoxState,
    DaemonError,
    DaemonUnreachableError,
    LineSnapshot,
    Measurement,
    Status,
    Verdict,
    WireError,
    entered,
)

AGAIN_S = 1.0
STATUS_EVERY_S = 5.0
CALL_TIMEOUT_S = 30.0
PATIENCE_S = {"box.dahdi": 150.0}
"""Where an act takes longer: the driver of a large card may take two minutes."""
KEEPER_TAKES = frozenset({"box.state", "box.restart", "box.power_off", "box.reset", "box.resume"})
"""What the keeper does for the page itself while the daemon is down,"""
IN_SAFE_MODE = frozenset({"box.ssh"})
"""and only in safe mode."""
BOX_EVERY_S = 30.0
"""How old what is known of the box itself may be; while something goes on there it is asked for with the status."""
DOWN_EVERY_S = 8.0
"""The same while the daemon is down, when safe mode may come on."""
RESTART_PATIENCE_S = 90.0
RECENT = 200
log = logging.getLogger("linekeep.web")

Fields = dict[str, Any]


class DaemonSilentError(DaemonUnreachableError):
    """The daemon did not answer in time. It may be doing what it was asked, so nobody else is."""


@dataclass(frozen=True, slots=True)
class InstallFault:
    """An update that the box knows nothing of: it was not begun, or its connection was lost."""

    begun: bool
    said: str


Enter = Callable[[str, Fields, dict[str, str]], Awaitable[None]]
"""Takes an act, its detail and its actor for the journal, durably."""


class Hub:
    def __init__(self, data: Path, keeper: Path | None, found: Callable[[], Awaitable[None]], enter: Enter) -> None:
        """`keeper` is the folder of the keeper's socket, where there is one; `found` is called whenever the daemon is
        there (again), `enter` before the keeper itself is asked for something, and again where it did not do it."""
        self._data = data
        self._keeper = keeper
        self._found = found
        self._enter = enter
        self._client: AsyncClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.lines: dict[int, LineSnapshot] = {}
        self.alarms: dict[str, AlarmReport] = {}
        self.status: Status | None = None
        self.box: BoxState | None = None
        """What was last known of the box itself."""
        self.box_trouble = ""
        """Why that could not be asked for."""
        self._box_asked_s = -BOX_EVERY_S
        self.trial_of_setup = False
        """The network setting on trial was set in the wizard, which goes on where it is kept: who signs in at the new
        address cannot say it."""
        self.installing: asyncio.Task[None] | None = None
        """The update that this page has begun."""
        self.install_fault: InstallFault | None = None
        """What came of the last one, where `box.state` does not tell it."""
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
        for task in [*self._tasks, *([self.installing] if self.installing else [])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._client is not None:
            await self._client.close()

    async def call(self, do: str, **fields: Any) -> Fields:
        """Ask the daemon. Raises `DaemonError` (it said no), `DaemonUnreachableError` (it is down) or
        `DaemonSilentError`."""
        client = await self._connected()
        patience_s = PATIENCE_S.get(do, CALL_TIMEOUT_S)
        try:
            async with asyncio.timeout(patience_s):
                return await client.call(do, **fields)
        except TimeoutError as error:
            raise DaemonSilentError(
                f"The daemon did not answer `{do}` within {patience_s:.0f} s. Look at `linekeep status`."
            ) from error

    # The box itself ---------------------------------------------------------------------------------------------------

    async def box_call(self, do: str, **fields: Any) -> Fields:
        """As `call`; while the daemon is down, of the keeper itself what it takes."""
        try:
            return await self.call(do, **fields)
        except DaemonSilentError:
            raise
        except DaemonUnreachableError:
            if self._keeper is None or not self._keeper_takes(do):
                raise
        if do == "box.state":
            return await self._ask_keeper(do, fields)
        told, actor = entered(fields), fields["actor"]
        await self._enter(do, told, actor)
        try:
            return await self._ask_keeper(do, fields)
        except WireError as error:
            await self._enter(do, {**told, "failed": str(error)}, actor)
            raise

    async def _ask_keeper(self, do: str, fields: Fields) -> Fields:
        assert self._keeper is not None
        client = await AsyncClient.connect(self._keeper)
        try:
            return await client.call(do, **fields)
        finally:
            await client.close()

    def _keeper_takes(self, do: str) -> bool:
        return do in KEEPER_TAKES or (do in IN_SAFE_MODE and self.box is not None and self.box.safe_mode.on)

    async def look_at_box(self) -> BoxState:
        """Asked for now. Raises `WireError`."""
        try:
            self.box = msgspec.convert(await self.box_call("box.state"), BoxState)
        except WireError as error:
            self.box_trouble = str(error)
            raise
        self.box_trouble = ""
        self._box_asked_s = asyncio.get_running_loop().time()
        return self.box

    async def _keep_box_fresh(self) -> None:
        busy = self.box is not None and (self.box.network.trial is not None or self.box.update.running)
        every_s = BOX_EVERY_S if self.up else DOWN_EVERY_S
        if busy or asyncio.get_running_loop().time() - self._box_asked_s >= every_s:
            with contextlib.suppress(WireError):  # Kept in `box_trouble`, for the pages that need it.
                await self.look_at_box()

    async def install(self, path: Path, actor: dict[str, str], uploaded: bool) -> None:
        """Begins an update and holds its stream; what comes of it is told by `box.state`, or is `install_fault`. A
        bundle that was `uploaded` goes when it was taken; one on a memory stick is its owner's."""
        place = self._data
        if self._keeper is not None and not self.up:
            place = self._keeper
            await self._enter("box.update", {"path": str(path)}, actor)
        if self.installing is None or self.installing.done():
            self.install_fault = None
            self.installing = asyncio.create_task(self._install(place, path, actor, uploaded), name="update")

    async def _install(self, place: Path, path: Path, actor: dict[str, str], uploaded: bool) -> None:
        begun = False
        try:
            client = await AsyncClient.connect(place)
            try:
                async for _ in client.stream("box.update", path=str(path), actor=actor):
                    begun = True
                    await self._keep_box_fresh()
            finally:
                await client.close()
        except WireError as error:
            log.warning("The update was not installed: %s", error)
            # A refusal in the midst of it the keeper remembers itself.
            if not (begun and isinstance(error, DaemonError)):
                self.install_fault = InstallFault(begun, str(error))
            if place == self._keeper:
                await self._enter("box.update", {"path": str(path), "failed": str(error)}, actor)
        finally:
            if uploaded and begun:
                _removed(path)
            with contextlib.suppress(WireError):
                await self.look_at_box()

    async def restarted(self, actor: dict[str, str]) -> bool:
        """Has the daemon start again; False where it is not back in time."""
        before = (await self.call("hello"))["run"]
        await self.call("restart", actor=actor)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESTART_PATIENCE_S):
                while self.status is None or self.status.run == before:
                    await self.wait(1.0)
                return True
        return False

    # One line ---------------------------------------------------------------------------------------------------------

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
            if self._keeper is not None:
                await self._keep_box_fresh()
            await asyncio.sleep(AGAIN_S)

    async def _watch(self) -> None:
        client = await self._connected()
        await self.refresh()
        self.up = True
        self._box_asked_s = -BOX_EVERY_S
        await self._keep_box_fresh()
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
            await self._keep_box_fresh()
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


def _removed(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # The next upload takes its place, and the page's next start removes it.
        log.warning("%s was installed and could not be removed: %s", path, error.strerror)
