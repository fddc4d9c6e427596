"""Speaking to the daemon: `Client` blocks and is for commands, `AsyncClient` is the page's.

`AsyncClient` has one connection for concurrent calls and streams as asynchronous iterators. Neither reconnects by
itself; whoever holds one knows better what a broken connection means. A stream whose reader is slower than the daemon
is ended by the client with the reason `slow`, so that it cannot hold up the calls beside it.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

from firmware.wire.frames import Fields, FrameReader, WireError, frame, read_frame

SOCKET_NAME = "control.sock"
LONGEST_BACKLOG = 2000
"""Events that wait for the reader of a stream before the client ends it."""


class DaemonUnreachableError(WireError):
    """Nobody answers on the control socket, or the connection broke."""


class DaemonError(WireError):
    """The daemon answered that a request was not done."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.code = code
        self.message = message
        self.remedy = remedy


class Client:
    """One blocking connection. Use it as a context manager, from one thread."""

    def __init__(self, connection: socket.socket, place: Path) -> None:
        self._socket = connection
        self._place = place
        self._reader = FrameReader()
        self._ids = count(1)
        self._arrived: dict[int, deque[Fields]] = {}

    @classmethod
    def connect(cls, data: Path, timeout_s: float | None = 30.0) -> Self:
        """Speak to the daemon that owns this data folder. Raises `DaemonUnreachableError`."""
        return cls(_connected(data, timeout_s), data / SOCKET_NAME)

    def call(self, do: str, **fields: Any) -> Fields:
        """Ask and wait for the answer. Raises `DaemonError` where the daemon says no."""
        ident = self._send(do, fields)
        try:
            return _answer(self._next(ident))
        finally:
            del self._arrived[ident]

    def stream(self, do: str, **fields: Any) -> Generator[Fields, None, None]:
        """The events of `watch` or `listen`, the last of which is `end`; waiting for one is not bounded. Close the
        iterator and the daemon is told to stop. Raises `DaemonError` where the daemon refuses."""
        ident = self._send(do, fields)
        patience_s = self._socket.gettimeout()
        self._socket.settimeout(None)
        ended = False
        try:
            while not ended:
                message = self._next(ident)
                if "event" not in message:
                    _answer(message)
                    continue
                ended = message["event"] == "end"
                yield message
        except DaemonError:
            ended = True
            raise
        finally:
            del self._arrived[ident]
            self._socket.settimeout(patience_s)
            if not ended:
                self._arrived.pop(self._send("cancel", {"stream": ident}))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, do: str, fields: Fields) -> int:
        ident = next(self._ids)
        try:
            self._socket.sendall(frame({"id": ident, "do": do, **fields}))
        except OSError as error:
            raise self._broken(error) from error
        self._arrived[ident] = deque()
        return ident

    def _next(self, ident: int) -> Fields:
        while not self._arrived[ident]:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise self._broken(error) from error
            if not data:
                raise self._broken("it closed the connection")
            for message in self._reader.feed(data):
                self._sort(message)
        return self._arrived[ident].popleft()

    def _sort(self, message: Fields) -> None:
        ident = message.get("id")
        if isinstance(ident, int) and ident in self._arrived:
            self._arrived[ident].append(message)
        elif "error" in message and ident is None:
            _answer(message)

    def _broken(self, why: object) -> DaemonUnreachableError:
        return DaemonUnreachableError(f"The daemon on {self._place} stopped answering ({why}). Is it still running?")


class AsyncClient:
    """One connection for a whole process: calls run beside each other and beside streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Path) -> None:
        self._reader = reader
        self._writer = writer
        self._place = place
        self._ids = count(1)
        self._calls: dict[int, asyncio.Future[Fields]] = {}
        self._streams: dict[int, asyncio.Queue[Fields | WireError]] = {}
        self._broken: WireError | None = None
        self._task = asyncio.create_task(self._receive(), name="control client")

    @classmethod
    async def connect(cls, data: Path) -> Self:
        """Speak to the daemon that owns this data folder. Raises `DaemonUnreachableError`."""
        connection = await asyncio.to_thread(_connected, data, 5.0)
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return cls(reader, writer, data / SOCKET_NAME)

    @property
    def closed(self) -> bool:
        """True when the connection is gone: connect a new client."""
        return self._broken is not None

    async def call(self, do: str, **fields: Any) -> Fields:
        """Ask and wait for the answer. Raises `DaemonError` where the daemon says no."""
        ident = next(self._ids)
        future: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self._calls[ident] = future
        try:
            await self._send({"id": ident, "do": do, **fields})
            return _answer(await future)
        finally:
            self._calls.pop(ident, None)

    async def stream(self, do: str, **fields: Any) -> AsyncGenerator[Fields, None]:
        """The events of `watch` or `listen`. Close the iterator (`aclose`) and the daemon is told to stop."""
        ident = next(self._ids)
        queue: asyncio.Queue[Fields | WireError] = asyncio.Queue(LONGEST_BACKLOG)
        self._streams[ident] = queue
        try:
            await self._send({"id": ident, "do": do, **fields})
            while True:
                message = await queue.get()
                if isinstance(message, WireError):
                    raise message
                if "event" not in message:
                    _answer(message)
                    continue
                yield message
                if message["event"] == "end":
                    return
        finally:
            if self._streams.pop(ident, None) is not None and self._broken is None:
                await self._send({"id": next(self._ids), "do": "cancel", "stream": ident})

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._end(self._lost("it was closed on this side"))
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _send(self, message: Fields) -> None:
        if self._broken is not None:
            raise self._broken
        try:
            self._writer.write(frame(message))
            await self._writer.drain()
        except OSError as error:
            raise self._lost(error) from error

    async def _receive(self) -> None:
        why: object = "it closed the connection"
        try:
            while (message := await read_frame(self._reader)) is not None:
                self._sort(message)
        except WireError as error:
            why = error
        finally:
            self._end(self._lost(why))

    def _sort(self, message: Fields) -> None:
        ident = message.get("id")
        if not isinstance(ident, int):
            return
        if (future := self._calls.get(ident)) is not None and not future.done():
            future.set_result(message)
        elif (queue := self._streams.get(ident)) is not None:
            # One place is kept free for the end.
            if queue.qsize() < LONGEST_BACKLOG - 1:
                queue.put_nowait(message)
            elif not queue.full():
                queue.put_nowait({"id": ident, "event": "end", "reason": "slow"})

    def _end(self, error: WireError) -> None:
        if self._broken is not None:
            return
        self._broken = error
        self._writer.close()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(error)
        for queue in self._streams.values():
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(error)

    def _lost(self, why: object) -> DaemonUnreachableError:
        return DaemonUnreachableError(f"The daemon on {self._place} stopped answering ({why}). Is it still running?")


# The connection ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def socket_address(data: Path) -> Iterator[str]:
    """A name of the data folder's control socket that is short enough for `sockaddr_un` (107 bytes) wherever the folder
    is: through the open folder's entry in /proc."""
    folder = os.open(data, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    finally:
        os.close(folder)


def _connected(data: Path, timeout_s: float | None) -> socket.socket:
    place = data / SOCKET_NAME
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        with socket_address(data) as address:
            connection.connect(address)
    except OSError as error:
        connection.close()
        if error.errno in (errno.EACCES, errno.EPERM):
            raise DaemonUnreachableError(
                f"The daemon's socket {place} may not be opened by this user ({error.strerror}). "
                "Call it as the user who started the daemon."
            ) from error
        raise DaemonUnreachableError(
            f"The daemon does not answer on {place} ({error.strerror or error}): is it running? "
            "Start it with `make run`."
        ) from error
    return connection


def _answer(message: Fields) -> Fields:
    """The `ok` of an answer; raises what its `error` says."""
    if "ok" in message:
        answer: Fields = message["ok"]
        return answer
    error = message.get("error") or {}
    raise DaemonError(error.get("code", "internal"), error.get("message", "No reason given."), error.get("remedy", ""))
