"""The bytes of a recording's two files, as FORMAT.md describes them. Values in, bytes out; nothing here opens a file.

`NAME.wav` is a G.711 WAV (format tag 6 or 7) whose audio begins at byte 4096, so that what is rewritten while the
recording grows (three sizes) lies within one page in front of it. What is known at the start stands in the chunk
`lkst` of that page; what is known at the end follows the audio in the chunks `lkpk` (peaks) and `lkmd` (the rest).
`NAME.events` exists while the recording is open: one frame for each round of writing, which says how long the audio
then was, what its checksum is, and what was heard.
"""

import hashlib
import struct
import zlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from recorder.model import Anchor, Gap, Mark, RecordingEnd, RecordingStart

AUDIO_OFFSET = 4096
FORMAT = 1
TAG = {"alaw": 6, "ulaw": 7}
IDLE = {"alaw": b"\xd5", "ulaw": b"\xff"}
"""What a quiet line sends in each law (zero level, ITU-T G.711 with the even bits of A-law inverted)."""
MOST_SAMPLES = (1 << 32) - (1 << 25)
"""Sizes in a WAV have 32 bits; 32 MiB stay free for what follows the audio."""

_FMT = struct.Struct("<4sI4s4sIHHIIHHH4sII4sII")
"""RIFF, size, WAVE; fmt chunk of 18 bytes; fact; head of lkst with the CRC of its JSON."""
_SIZES = (4, 46, 4092)
_START_ROOM = AUDIO_OFFSET - 8 - _FMT.size
_CHUNK = struct.Struct("<4sI")
_FRAME = struct.Struct("<4sIQI")
FRAME_MAGIC = b"LKF1"
_LONGEST_FRAME = 1 << 24


class _Start(msgspec.Struct, frozen=True):
    format: int
    start: RecordingStart


class FrameBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a round has to say besides the length of the audio."""

    start: RecordingStart | None = None
    marks: tuple[Mark, ...] = ()
    gaps: tuple[Gap, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    end: RecordingEnd | None = None


class Frame(msgspec.Struct, frozen=True):
    samples: int
    """Length of the audio after this round."""
    crc: int
    """CRC-32 of the audio that this round added."""
    body: FrameBody


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a sealed recording; its SHA-256 is the recording's `meta_sha256`."""

    format: int
    start: RecordingStart
    end: RecordingEnd
    samples: int
    audio_sha256: str
    peaks_sha256: str
    samples_per_peak: int
    marks: tuple[Mark, ...]
    gaps: tuple[Gap, ...]
    anchors: tuple[Anchor, ...]


def _plain(value: object) -> object:
    """Evidence may hold NumPy's numbers and arrays, or a value of its own: nothing said must stop a recording."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode_start = msgspec.json.Decoder(_Start).decode
_decode_body = msgspec.json.Decoder(FrameBody).decode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_NO_BODY = FrameBody()


def header(start: RecordingStart) -> bytearray:
    """The 4096 bytes before the audio, with all sizes for no audio.

    Raises `ValueError` if `start` does not fit; see `fitting`."""
    text = _encode(_Start(FORMAT, start))
    if len(text) > _START_ROOM:
        raise ValueError(f"what is known at the start takes {len(text)} bytes, and there is room for {_START_ROOM}")
    head = _FMT.pack(
        b"RIFF", 0, b"WAVE", b"fmt ", 18, TAG[start.law], 1, 8000, 8000, 1, 8, 0,
        b"fact", 4, 0, b"lkst", AUDIO_OFFSET - 8 - _FMT.size + 4, zlib.crc32(text),
    )  # fmt: skip
    page = bytearray(head + text.ljust(_START_ROOM) + _CHUNK.pack(b"data", 0))
    set_sizes(page, 0, AUDIO_OFFSET)
    return page


def fitting(start: RecordingStart) -> RecordingStart:
    """`start`, without the detail of its trigger and the end of its line's name where it would not fit."""
    if len(_encode(_Start(FORMAT, start))) > _START_ROOM:
        start = msgspec.structs.replace(
            start, trigger_detail={"left_out": "too long"}, line_name=start.line_name[:200], card=start.card[:100]
        )
    return start


def set_sizes(page: bytearray, samples: int, file_size: int) -> None:
    """Writes the RIFF, fact and data sizes into a header page."""
    for at, value in zip(_SIZES, (file_size - 8, samples, samples), strict=True):
        struct.pack_into("<I", page, at, value)


def sizes_are(page: bytes, samples: int, file_size: int) -> bool:
    return tuple(struct.unpack_from("<I", page, at)[0] for at in _SIZES) == (file_size - 8, samples, samples)


def read_header(page: bytes) -> tuple[RecordingStart, int]:
    """The start and the samples that the sizes admit. Raises `ValueError` saying what is wrong."""
    if len(page) < AUDIO_OFFSET:
        raise ValueError(f"the file has {len(page)} bytes; the page before the audio has {AUDIO_OFFSET}")
    head = _FMT.unpack_from(page)
    if (head[0], head[2], head[3], head[12], head[15]) != (b"RIFF", b"WAVE", b"fmt ", b"fact", b"lkst"):
        raise ValueError("this is not a WAV that Linekeep wrote")
    data, samples = _CHUNK.unpack_from(page, AUDIO_OFFSET - 8)
    text = bytes(page[_FMT.size : AUDIO_OFFSET - 8]).rstrip(b" ")
    if data != b"data" or zlib.crc32(text) != head[17]:
        raise ValueError("the page before the audio is damaged (its checksum does not match)")
    try:
        known = _decode_start(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"the start of the recording cannot be read ({error})") from error
    if known.format != FORMAT or known.start.law not in TAG:
        raise ValueError(f"format {known.format}, law {known.start.law}: written by another version of Linekeep")
    return known.start, samples


def frame(samples: int, audio_crc: int, body: FrameBody | None, chain: int) -> tuple[bytes, int]:
    """One round of the events file, and the checksum that the next one goes on from."""
    text = b"" if body is None else _encode(body)
    head = _FRAME.pack(FRAME_MAGIC, len(text), samples, audio_crc) + text
    chain = zlib.crc32(head, chain)
    return head + chain.to_bytes(4, "little"), chain


def read_frames(data: bytes) -> tuple[list[Frame], int, int]:
    """All frames up to the first that is torn, the bytes they take, and the checksum to go on from."""
    frames: list[Frame] = []
    at = chain = 0
    while at + _FRAME.size + 4 <= len(data):
        magic, length, samples, crc = _FRAME.unpack_from(data, at)
        end = at + _FRAME.size + length
        if magic != FRAME_MAGIC or length > _LONGEST_FRAME or end + 4 > len(data):
            break
        reached = zlib.crc32(data[at:end], chain)
        if reached != int.from_bytes(data[end : end + 4], "little"):
            break
        try:
            body = _decode_body(data[end - length : end]) if length else _NO_BODY
        except msgspec.DecodeError:
            break
        frames.append(Frame(samples, crc, body))
        at, chain = end + 4, reached
    return frames, at, chain


def trailer(metadata: Metadata, peaks: NDArray[np.int8]) -> tuple[bytes, str]:
    """What follows the audio, its padding byte included, and the SHA-256 of the metadata."""
    text = _encode(metadata)
    digest = hashlib.sha256(text)
    body = digest.digest() + text
    pairs = peaks.tobytes()
    return (
        b"\0" * (metadata.samples % 2)
        + _CHUNK.pack(b"lkpk", len(pairs)) + pairs
        + _CHUNK.pack(b"lkmd", len(body) + len(body) % 2) + body + b" " * (len(body) % 2)
    ), digest.hexdigest()  # fmt: skip


def read_trailer(data: bytes, samples: int) -> tuple[Metadata, str, NDArray[np.int8]] | None:
    """Metadata, its digest and the peaks out of what follows `samples` bytes of audio; None if it is not all there."""
    at = samples % 2
    if len(data) < at + 8 or data[at : at + 4] != b"lkpk":
        return None
    size = _CHUNK.unpack_from(data, at)[1]
    pairs = data[at + 8 : at + 8 + size]
    at += 8 + size
    if len(data) < at + 8 + 32 or data[at : at + 4] != b"lkmd":
        return None
    size = _CHUNK.unpack_from(data, at)[1]
    digest, text = data[at + 8 : at + 40], data[at + 40 : at + 8 + size].rstrip(b" ")
    if at + 8 + size != len(data) or hashlib.sha256(text).digest() != digest:
        return None
    try:
        metadata = _decode_metadata(text)
    except msgspec.DecodeError:
        return None
    if metadata.samples != samples or hashlib.sha256(pairs).hexdigest() != metadata.peaks_sha256:
        return None
    return metadata, digest.hex(), np.frombuffer(pairs, np.int8).reshape(-1, 2)


def merged(marks: list[Mark] | tuple[Mark, ...]) -> tuple[Mark, ...]:
    """The last word on each mark, in the order of their places."""
    latest = {mark.id: mark for mark in marks}
    return tuple(sorted(latest.values(), key=lambda mark: (mark.start_sample, mark.id)))
