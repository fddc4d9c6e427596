"""The control socket: who is connected, what was asked, what streams run. What the commands do stands in `commands`.

Every request is a task of its own, so that a slow one holds up no other; an answer carries the id it was asked with.
A broken request is answered with an error; bytes that are no frame end the connection, and nothing else.

A client that does not read never holds up the daemon: what is written to it waits in its connection's buffer, and once
that holds `SLOW_BYTES` its streams are told that there is no room: `watch` then ends with the reason `slow`, `listen`
leaves audio out and counts it in `lost`. Requests are then not read either, until the client has read.
"""

import asyncio
import contextlib
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from firmware.wire import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    SOCKET_NAME,
    Fields,
    WireError,
    frame,
    read_frame,
    socket_address,
)

log = logging.getLogger(__name__)

SLOW_BYTES = 1 << 20
WAITING = 1024
"""Connections the kernel keeps waiting; where there are more it refuses them."""
AT_ONCE = 64
"""Requests and streams of one connection that run at the same time."""


class Refusal(Exception):
    """A request is not done: a code of docs/control.md, the object and the act, and what to do."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel says."""

    pid: int
    uid: int

    @property
    def name(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid{self.uid}"


Room = Callable[[], bool]
"""Can the client take more?"""
Answer = Callable[[str, Fields, Peer], Coroutine[Any, Any, Fields]]
"""Does what is asked and gives its `ok`; raises `Refusal`."""
Reports = Callable[[Fields, Peer, Room], AsyncGenerator[Fields | None, None]]
"""The events of a stream; None is a moment at which nothing is to be said, the first says that the stream is open.
Raises `Refusal`, when called or at its first step, where it cannot be opened."""


class ControlServer:
    """Listens on the data folder's control socket, mode 0660, until it is closed."""

    def __init__(self, data: Path, answer: Answer, streams: Mapping[str, Reports]) -> None:
        self._data = data
        self._answer = answer
        self._streams = streams
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """The caller owns the data folder's lock, so a socket that is already there is a dead one's."""
        (self._data / SOCKET_NAME).unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o117)
        try:
            with socket_address(self._data) as address:
                listening.bind(address)
        except OSError:
            listening.close()
            raise
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._connected, sock=listening, backlog=WAITING)

    async def close(self) -> None:
        """Ends every connection; the socket's file goes."""
        if self._server is not None:
            self._server.close()
            (self._data / SOCKET_NAME).unlink(missing_ok=True)
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = _Connection(reader, writer, self._answer, self._streams)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            log.debug("the connection of pid %d is ended", connection.peer.pid)
        finally:
            self._connections.discard(task)
            await connection.close()


class _Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Answer,
        streams: Mapping[str, Reports],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._streams = streams
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self.peer = _peer(writer.get_extra_info("socket"))

    async def serve(self) -> None:
        """Until the client closes, or sends what is no frame."""
        try:
            while (request := await read_frame(self._reader, LONGEST_REQUEST)) is not None:
                await self._begin(request)
                await self._writer.drain()
        except WireError as error:
            self._refuse(None, Refusal("bad_request", str(error), "Speak the protocol of docs/control.md."))
        except ConnectionError:
            log.debug("pid %d went away", self.peer.pid)

    async def close(self) -> None:
        self._writer.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _begin(self, request: Fields) -> None:
        ident, do = request.pop("id", None), request.pop("do", None)
        if not isinstance(ident, int) or isinstance(ident, bool):
            self._refuse(None, Refusal("bad_request", "A request needs `id`, a whole number."))
        elif ident in self._tasks:
            self._refuse(ident, Refusal("bad_request", f"Request {ident} is still running; use another id."))
        elif not isinstance(do, str):
            self._refuse(ident, Refusal("bad_request", "A request needs `do`, the name of a command."))
        elif do == "cancel":
            self._cancel(ident, request)
        else:
            await self._room.acquire()
            reports = self._streams.get(do)
            work = self._do(ident, do, request) if reports is None else self._report(ident, reports, request)
            task = asyncio.create_task(work, name=f"{do} for pid {self.peer.pid}")
            self._tasks[ident] = task
            task.add_done_callback(partial(self._ended, ident, do))

    def _ended(self, ident: int, do: str, task: asyncio.Task[None]) -> None:
        del self._tasks[ident]
        self._room.release()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Refusal):
            self._refuse(ident, error)
        elif not isinstance(error, ConnectionError):
            context = {"message": f"The request {do} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self._refuse(
                ident, Refusal("internal", f"{do} failed: {error!r}.", "The daemon's log has the details; report it.")
            )

    async def _do(self, ident: int, do: str, request: Fields) -> None:
        self._send({"id": ident, "ok": await self._answer(do, request, self.peer)})

    async def _report(self, ident: int, reports: Reports, request: Fields) -> None:
        opened = False
        async with contextlib.aclosing(reports(request, self.peer, self._has_room)) as events:
            async for event in events:
                if not opened:
                    self._send({"id": ident, "ok": {}})
                    opened = True
                if event is not None:
                    self._send({"id": ident, **event})

    def _has_room(self) -> bool:
        return self._writer.transport.get_write_buffer_size() < SLOW_BYTES

    def _cancel(self, ident: int, request: Fields) -> None:
        stream = request.get("stream")
        if isinstance(stream, int) and (task := self._tasks.get(stream)) is not None:
            task.cancel()
        self._send({"id": ident, "ok": {}})

    def _refuse(self, ident: int | None, refusal: Refusal) -> None:
        error = {"code": refusal.code, "message": refusal.message, "remedy": refusal.remedy}
        self._send({"id": ident, "error": error})

    def _send(self, message: Fields) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message, LONGEST_ANSWER))


def _peer(connection: socket.socket) -> Peer:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return Peer(pid, uid)
