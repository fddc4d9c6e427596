"""The control socket by itself: requests beside each other, slow clients, and bytes that mean nothing."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.control import ControlServer, Peer, Refusal, Room
from firmware.wire import SOCKET_NAME, AsyncClient, DaemonError, Fields, frame, read_frame, socket_address


class Asked:
    """What the socket is asked, and whether each stream was closed."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.open_streams = 0
        self.unforeseen: list[dict[str, Any]] = []

    async def answer(self, do: str, request: Fields, peer: Peer) -> Fields:
        match do:
            case "who":
                return {"uid": peer.uid, "pid": peer.pid, "name": peer.name}
            case "wait":
                await self.go_on.wait()
                return {}
            case "go":
                self.go_on.set()
                return {}
            case "break":
                raise ZeroDivisionError
        raise Refusal("bad_request", f"There is no command {do}.", "Look.")

    async def flood(self, request: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        self.open_streams += 1
        try:
            yield None
            while room():
                yield {"event": "flood", "data": bytes(4096)}
                await asyncio.sleep(0)
            yield {"event": "end", "reason": "slow"}
        finally:
            self.open_streams -= 1

    def closed(self, request: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        raise Refusal("not_found", "Nothing to hear.", "Look.")

    async def refusing(self, request: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        if "line" not in request:
            raise Refusal("not_found", "No line to hear.", "Look.")
        yield None


def served(folder: Path, talk: Callable[[Asked], Awaitable[None]]) -> None:
    async def run() -> None:
        asked = Asked()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: asked.unforeseen.append(context))
        server = ControlServer(
            folder, asked.answer, {"flood": asked.flood, "closed": asked.closed, "refusing": asked.refusing}
        )
        await server.start()
        try:
            await asyncio.wait_for(talk(asked), 60)
        finally:
            await server.close()
        assert asked.open_streams == 0
        assert not (folder / SOCKET_NAME).exists()

    asyncio.run(run())


def connected(folder: Path) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.settimeout(10)
    with socket_address(folder) as address:
        raw.connect(address)
    raw.setblocking(False)
    return raw


async def exchange(folder: Path, data: bytes, wanted: int = 0) -> list[Fields]:
    """What is answered to these bytes: `wanted` answers, or all that come when no more bytes do."""
    reader, writer = await asyncio.open_unix_connection(sock=connected(folder))
    answers: list[Fields] = []
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        if not wanted:
            writer.write_eof()
    while not (wanted and len(answers) == wanted) and (answer := await read_frame(reader)) is not None:
        answers.append(answer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answers


def test_requests_run_beside_each_other_and_errors_stay_their_own(tmp_path: Path) -> None:
    async def talk(asked: Asked) -> None:
        assert stat.S_IMODE((tmp_path / SOCKET_NAME).stat().st_mode) == 0o660
        client = await AsyncClient.connect(tmp_path)
        waiting = asyncio.create_task(client.call("wait"))
        assert await client.call("who") == {"uid": os.getuid(), "pid": os.getpid(), "name": Peer(0, os.getuid()).name}
        with pytest.raises(DaemonError, match=r"There is no command dance\. Look\."):
            await client.call("dance")
        with pytest.raises(DaemonError) as broken:
            await client.call("break")
        assert broken.value.code == "internal"
        assert isinstance(asked.unforeseen[0]["exception"], ZeroDivisionError)
        with pytest.raises(DaemonError, match="Nothing to hear"):
            [event async for event in client.stream("closed")]
        with pytest.raises(DaemonError, match="No line to hear"):
            [event async for event in client.stream("refusing")]
        assert not waiting.done()
        await client.call("go")
        assert await waiting == {}
        await client.close()

    served(tmp_path, talk)


def test_two_hundred_connect_at_once(tmp_path: Path) -> None:
    async def talk(asked: Asked) -> None:
        # Not one is taken meanwhile: the loop stands still.
        clients = [connected(tmp_path) for _ in range(200)]
        for client in clients:
            reader, writer = await asyncio.open_unix_connection(sock=client)
            writer.write(frame({"id": 1, "do": "who"}))
            answer = await read_frame(reader)
            assert answer is not None
            assert answer["ok"]["pid"] == os.getpid()
            writer.close()
            await writer.wait_closed()

    served(tmp_path, talk)


def test_a_stream_is_cancelled_and_a_slow_reader_holds_up_nobody(tmp_path: Path) -> None:
    async def talk(asked: Asked) -> None:
        client = await AsyncClient.connect(tmp_path)
        async with contextlib.aclosing(client.stream("flood")) as events:
            assert (await anext(events))["event"] == "flood"
            assert asked.open_streams == 1
        await client.call("who")
        assert asked.open_streams == 0

        slow = connected(tmp_path)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(slow, frame({"id": 1, "do": "flood"}))
        await client.call("who")
        while asked.open_streams:
            await client.call("who")
        reader, writer = await asyncio.open_unix_connection(sock=slow)
        assert await read_frame(reader) == {"id": 1, "ok": {}}
        last: Fields | None = None
        while (event := await read_frame(reader)) and event["event"] != "end":
            last = event
        assert last is not None and event == {"id": 1, "event": "end", "reason": "slow"}
        writer.close()
        await writer.wait_closed()
        await client.close()

    served(tmp_path, talk)


def test_a_client_that_goes_away_takes_its_streams_along(tmp_path: Path) -> None:
    async def talk(asked: Asked) -> None:
        client = await AsyncClient.connect(tmp_path)
        events = client.stream("flood")
        await anext(events)
        await client.close()
        other = await AsyncClient.connect(tmp_path)
        while asked.open_streams:
            await other.call("who")
        await other.close()
        await events.aclose()

    served(tmp_path, talk)


REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "needs `id`"),
    ({"id": "1", "do": "who"}, "needs `id`"),
    ({"id": True, "do": "who"}, "needs `id`"),
    ({"id": 1}, "needs `do`"),
    ({"id": 1, "do": 7}, "needs `do`"),
    ({"id": 1, "do": "nothing"}, "no command"),
]


@pytest.mark.parametrize(("request_", "words"), REQUESTS)
def test_a_broken_request_is_answered_and_the_next_is_served(
    tmp_path: Path, request_: dict[str, Any], words: str
) -> None:
    async def talk(asked: Asked) -> None:
        answers = await exchange(
            tmp_path, frame(request_) + frame({"id": 2, "do": "wait"}) + frame({"id": 3, "do": "go"}), 3
        )
        (refused,) = [answer["error"] for answer in answers if "error" in answer]
        assert words in refused["message"]
        assert refused["code"] == "bad_request"
        assert {answer["id"] for answer in answers if "ok" in answer} == {2, 3}

    served(tmp_path, talk)


def test_an_id_in_use_is_refused(tmp_path: Path) -> None:
    async def talk(asked: Asked) -> None:
        again = frame({"id": 5, "do": "wait"}) * 2
        answers = await exchange(tmp_path, again + frame({"id": 6, "do": "go"}), 3)
        assert "still running" in answers[0]["error"]["message"]
        assert [answer["id"] for answer in answers] == [5, 6, 5]

    served(tmp_path, talk)


broken = st.binary(max_size=80) | st.builds(
    lambda message: frame(message),
    st.dictionaries(
        st.sampled_from(["id", "do", "stream", "x"]),
        st.integers(-3, 3)
        | st.sampled_from(["who", "cancel", "flood", "closed", "break"])
        | st.lists(st.integers(0, 9), max_size=3)
        | st.none(),
    ),
)


@settings(max_examples=25)
@given(st.lists(st.lists(broken, max_size=4).map(b"".join), min_size=4, max_size=8))
def test_arbitrary_bytes_harm_nobody(tmp_path_factory: pytest.TempPathFactory, connections: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("fuzz")

    async def talk(asked: Asked) -> None:
        client = await AsyncClient.connect(folder)
        for data in connections:
            for answer in await exchange(folder, data):
                assert {"ok", "error", "event"} & answer.keys()
        assert (await client.call("who"))["uid"] == os.getuid()
        await client.close()

    served(folder, talk)
