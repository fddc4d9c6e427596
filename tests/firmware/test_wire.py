"""Frames: everything that fits comes back in any cut of the bytes; everything else is refused and nothing more."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.wire import (
    LONGEST_REQUEST,
    SOCKET_NAME,
    AsyncClient,
    Client,
    DaemonError,
    DaemonUnreachableError,
    FrameReader,
    LineSnapshot,
    WireError,
    frame,
    parse,
    read_frame,
    socket_address,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
maps = st.dictionaries(st.text(max_size=8), values, max_size=5)


@given(st.lists(maps, max_size=4), st.lists(st.integers(1, 40), max_size=20))
def test_frames_come_back_in_any_cut(messages: list[dict[str, Any]], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    reader = FrameReader()
    found: list[dict[str, Any]] = []
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    found += reader.feed(stream)
    assert found == messages


@settings(max_examples=300)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_a_map_or_an_error_of_ours(data: bytes) -> None:
    for take in (lambda: parse(data), lambda: list(FrameReader().feed(data))):
        try:
            found = take()
        except WireError:
            continue
        assert isinstance(found, dict | list)


def test_a_frame_that_is_too_long_is_neither_made_nor_awaited() -> None:
    with pytest.raises(WireError, match="ask for less"):
        frame({"data": bytes(LONGEST_REQUEST)})
    with pytest.raises(WireError, match="announces"):
        list(FrameReader(LONGEST_REQUEST).feed(b"\xff\xff\xff\xff"))


def test_a_deep_nest_is_refused() -> None:
    with pytest.raises(WireError):
        parse(b"\x81\xa1a" + b"\x91" * 100_000 + b"\x01")


def test_a_snapshot_is_called_as_the_protocol_says() -> None:
    line = LineSnapshot(
        line=1, name="", card="sim0", simulated=True, enabled=True, state="idle", since_utc_ns=1, call_class="fax"
    )
    sent = parse(frame(line)[4:])
    assert sent["class"] == "fax"
    assert msgspec.convert(sent, LineSnapshot) == line


class Answering:
    """A daemon of one connection: a thread that answers each request by `reply`."""

    def __init__(self, folder: Path, reply: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> None:
        self._reply = reply
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket_address(folder) as address:
            self._listening.bind(address)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            reader = FrameReader()
            while data := connection.recv(65536):
                for request in reader.feed(data):
                    for answer in self._reply(request):
                        connection.sendall(frame(answer))
                    if request["do"] == "die":
                        return

    def close(self) -> None:
        self._thread.join(10)
        self._listening.close()


def reply(request: dict[str, Any]) -> list[dict[str, Any]]:
    ident = request["id"]
    if request["do"] == "count":
        events = [{"id": ident, "event": "n", "n": n} for n in range(3)]
        return [{"id": ident, "ok": {}}, *events, {"id": ident, "event": "end", "reason": "over"}]
    if request["do"] == "fail":
        return [{"id": ident, "error": {"code": "not_found", "message": "No line 9.", "remedy": "Look."}}]
    if request["do"] in ("die", "hang"):
        return []
    return [{"id": ident, "ok": {"echo": request.get("text")}}]


def test_a_client_calls_and_streams_even_in_a_folder_with_a_very_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    daemon = Answering(folder, reply)
    with Client.connect(folder) as client:
        assert client.call("echo", text="守线") == {"echo": "守线"}
        assert [event.get("n") for event in client.stream("count")] == [0, 1, 2, None]
        with pytest.raises(DaemonError, match=r"No line 9\. Look\.") as refused:
            client.call("fail")
        assert refused.value.code == "not_found"
        with pytest.raises(DaemonError):
            list(client.stream("fail"))
        with pytest.raises(DaemonUnreachableError, match="stopped answering"):
            client.call("die")
    daemon.close()


def test_calls_of_an_async_client_run_beside_each_other(tmp_path: Path) -> None:
    async def talk() -> None:
        client = await AsyncClient.connect(tmp_path)
        hanging = asyncio.create_task(client.call("hang"))
        answers = await asyncio.gather(*(client.call("echo", text=n) for n in range(50)))
        assert [answer["echo"] for answer in answers] == list(range(50))
        assert [event.get("n") async for event in client.stream("count")] == [0, 1, 2, None]
        with pytest.raises(DaemonError, match="No line 9"):
            await client.call("fail")
        with pytest.raises(DaemonUnreachableError):
            await client.call("die")
        with pytest.raises(DaemonUnreachableError):
            await hanging
        assert client.closed
        with pytest.raises(DaemonUnreachableError):
            await client.call("echo")
        await client.close()

    daemon = Answering(tmp_path, reply)
    asyncio.run(talk())
    daemon.close()


def test_without_a_daemon_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError, match=r"is it running\? Start it with `make run`\."):
        Client.connect(tmp_path)
    with pytest.raises(DaemonUnreachableError, match=SOCKET_NAME):
        Client.connect(tmp_path / "nowhere")
    (tmp_path / SOCKET_NAME).touch()
    with pytest.raises(DaemonUnreachableError):
        asyncio.run(AsyncClient.connect(tmp_path))


def test_a_frame_cut_short_is_the_end() -> None:
    async def read() -> list[dict[str, Any] | None]:
        reader = asyncio.StreamReader()
        reader.feed_data(frame({"a": 1}) + frame({"b": 2})[:-1])
        reader.feed_eof()
        return [await read_frame(reader), await read_frame(reader)]

    assert asyncio.run(read()) == [{"a": 1}, None]
