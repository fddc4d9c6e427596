"""Frames: a 32-bit big-endian length, then that many bytes of MessagePack holding one map.

`frame` makes one; `FrameReader` takes bytes as they come, `read_frame` reads from a stream. A length beyond the limit
and a body that is no map are a `WireError`: the stream is out of step then and the connection is to be closed.
"""

import asyncio
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

LONGEST_REQUEST = 1 << 20
LONGEST_ANSWER = 8 << 20
"""The snapshots of 4,096 lines go into one answer."""

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(type=dict[str, Any])

Fields = dict[str, Any]


class WireError(Exception):
    """The conversation with the daemon failed; the message says what, where and what to do."""


def frame(message: Mapping[str, Any] | msgspec.Struct, longest: int = LONGEST_REQUEST) -> bytes:
    """A whole frame; raises `WireError` where its body would be longer than `longest` bytes."""
    body = _encoder.encode(message)
    if len(body) > longest:
        raise WireError(f"A frame of {len(body)} bytes is longer than {longest}; ask for less at once.")
    return _LENGTH.pack(len(body)) + body


def parse(body: bytes | bytearray | memoryview) -> Fields:
    """The map in a frame's body; raises `WireError` for anything else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise WireError(f"A frame is not one MessagePack map: {error}.") from error


def body_length(head: bytes | bytearray, longest: int) -> int:
    """Length of the body that these four bytes announce; raises `WireError` where it is beyond the limit."""
    (length,) = _LENGTH.unpack(head)
    if length > longest:
        raise WireError(f"A frame announces {length} bytes; the longest is {longest}.")
    return int(length)


class FrameReader:
    """Takes bytes as they come and gives the maps they hold. After a `WireError` the stream is out of step."""

    def __init__(self, longest: int = LONGEST_ANSWER) -> None:
        self._longest = longest
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Fields]:
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            end = _LENGTH.size + body_length(self._pending[: _LENGTH.size], self._longest)
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_LENGTH.size : end])
            del self._pending[:end]
            yield parse(body)


async def read_frame(reader: asyncio.StreamReader, longest: int = LONGEST_ANSWER) -> Fields | None:
    """The next map; None where the other side has closed. Raises `WireError`."""
    try:
        body = await reader.readexactly(body_length(await reader.readexactly(_LENGTH.size), longest))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return parse(body)
