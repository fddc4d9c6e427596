"""G.711: A-law and µ-law to linear and back, by table.

ITU-T G.711 (11/1988), tables 1a/1b (A-law) and 2a/2b (µ-law). A-law words have their even bits inverted on the line
(`^ 0x55`), µ-law words all bits (`^ 0xFF`). Linear values are 16 bits: the 13-bit A-law values shifted by 3, the
14-bit µ-law values by 2, so that a full-scale code stands at +-32256 (A-law) or +-32124 (µ-law).

Both directions are one table lookup. Expansion takes two neighbouring samples at a time, which halves the number of
indexes numpy has to widen; a table of 65,536 pairs fits a second-level cache. Compression is a table of every 16-bit
value, bit for bit what libspandsp 0.0.6 answers (`linear_to_alaw`, `linear_to_ulaw`): a value on a decision level
goes outwards where it is positive; where it is negative it goes inwards in A-law and outwards in µ-law.

Weak point: the tables cost 0.4 MB each way and law, which is paid once a process.
"""

from functools import cache
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Law = Literal["alaw", "ulaw"]

IDLE: Final[dict[Law, int]] = {"alaw": 0xD5, "ulaw": 0xFF}
"""The byte of an idle channel: the smallest positive value."""

_PIECE: Final = 32768
"""Look-ups made at a time."""

_INDEX: Final = np.dtype(np.uint16)
_PAIR: Final = np.dtype(np.uint32)

_Table = TypeVar("_Table", bound=NDArray[Any])

_ULAW_BIAS = 0x84
_ULAW_CLIP = 32767 - _ULAW_BIAS


def decode(law_bytes: NDArray[np.uint8], law: Law) -> NDArray[np.int16]:
    """Linear values of companded bytes: any shape, the same shape back. Full scale is 32768; idle is 0 or 8."""
    codes = np.ascontiguousarray(law_bytes, np.uint8)
    linear = np.empty(codes.shape, np.int16)
    if codes.shape[-1] % 2:
        _look_up(decode_table(law), codes, linear)
    else:
        _look_up(_pair_table(law), codes.view(_INDEX), linear.view(_PAIR))
    return linear


def encode(linear: NDArray[np.int16], law: Law) -> NDArray[np.uint8]:
    """Companded bytes of linear values: any shape, the same shape back."""
    values = np.ascontiguousarray(linear, np.int16)
    codes = np.empty(values.shape, np.uint8)
    _look_up(encode_table(law), values.view(_INDEX), codes)
    return codes


def _look_up(table: _Table, indexes: NDArray[np.unsignedinteger[Any]], out: _Table) -> None:
    """`table[indexes]`, in pieces where there are many: what numpy widens of the indexes stays in the cache."""
    if indexes.size <= _PIECE:
        table.take(indexes, out=out, mode="clip")
        return
    flat, into = indexes.reshape(-1), out.reshape(-1)
    for at in range(0, flat.size, _PIECE):
        piece = slice(at, at + _PIECE)
        table.take(flat[piece], out=into[piece], mode="clip")


def alaw_decode(law_bytes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """`decode` for A-law."""
    return decode(law_bytes, "alaw")


def ulaw_decode(law_bytes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """`decode` for µ-law."""
    return decode(law_bytes, "ulaw")


def alaw_encode(linear: NDArray[np.int16]) -> NDArray[np.uint8]:
    """`encode` for A-law."""
    return encode(linear, "alaw")


def ulaw_encode(linear: NDArray[np.int16]) -> NDArray[np.uint8]:
    """`encode` for µ-law."""
    return encode(linear, "ulaw")


@cache
def decode_table(law: Law) -> NDArray[np.int16]:
    """`[256]`: the linear value of each byte. Read-only."""
    line = np.arange(256, dtype=np.int32)
    codes = line ^ (0x55 if law == "alaw" else 0xFF)
    segment, step = (codes >> 4) & 7, codes & 15
    if law == "alaw":
        # Segments 0 and 1 share a step; above, each segment doubles it. The half step is the middle of the interval.
        magnitude = np.where(segment == 0, (step << 4) + 8, ((step << 4) + 0x108) << np.maximum(segment - 1, 0))
        positive = (codes & 0x80) != 0
    else:
        magnitude = (((step << 3) + _ULAW_BIAS) << segment) - _ULAW_BIAS
        positive = (codes & 0x80) == 0
    return _frozen(np.where(positive, magnitude, -magnitude).astype(np.int16))


@cache
def encode_table(law: Law) -> NDArray[np.uint8]:
    """`[65536]`: the byte of each 16-bit value, indexed by the value taken as unsigned. Read-only."""
    value = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    if law == "alaw":
        magnitude = np.where(value >= 0, value, -value - 1)
        segment = np.maximum(_top_bit(magnitude) - 7, 0)
        code = (segment << 4) | ((magnitude >> np.maximum(segment + 3, 4)) & 15)
        code = np.where(value >= 0, code | 0x80, code) ^ 0x55
    else:
        magnitude = np.minimum(np.abs(value), _ULAW_CLIP) + _ULAW_BIAS
        segment = _top_bit(magnitude) - 7
        code = (segment << 4) | ((magnitude >> (segment + 3)) & 15)
        code = np.where(value >= 0, code, code | 0x80) ^ 0xFF
    return _frozen(code.astype(np.uint8))


@cache
def _pair_table(law: Law) -> NDArray[np.uint32]:
    """`[65536]`: two linear values for two bytes, in the byte order of this machine on both sides."""
    pairs = np.arange(65536, dtype=np.uint16).view(np.uint8)
    return _frozen(decode_table(law)[pairs].view(np.uint32))


def _top_bit(magnitude: NDArray[np.int32]) -> NDArray[np.int32]:
    """Index of the highest bit set; -1 for 0."""
    return np.frexp(magnitude.astype(np.float64))[1].astype(np.int32) - 1


def _frozen(table: _Table) -> _Table:
    table.flags.writeable = False
    return table
