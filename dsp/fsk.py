"""Frequency-shift keying, on channels that a cheap sign has flagged.

`soft` is the plain non-coherent receiver: the energy of a sliding window of one bit at the mark frequency less that at
the space frequency, divided by their sum. `flags` finds HDLC flags (01111110) in it by correlation, at every phase at
once, which is how the V.21 preamble of T.30 (clause 5.3.1) is told from other 300 bit/s traffic.

`Keying` is the receiver for messages. Two correlators one bit long follow the mark and the space, behind a high-pass
filter that takes ringing and hum away; both in one matrix product. Their two amplitudes are a point in a plane, and
marks and spaces are two clouds in it, wherever twist and the leak of one tone into the other put them: `Slicer` finds
the centres of the clouds and measures along the line between them, so that a mark is 1 and a space -1 at any twist.

`AsyncReader` reads asynchronous bytes (start bit, eight bits, stop bit) from that. What a byte that began at a sample
would be, and how well it would fit (ten soft bits), is known for all samples after some thirty array operations;
going from byte to byte is then a search of a few numbers around the place where the next start bit is due.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

FLAG_BITS: Final = (0, 1, 1, 1, 1, 1, 1, 0)
V21_BAUD: Final = 300

Floats = NDArray[np.float32]


def soft(x: Floats, mark_hz: float, space_hz: float, window: int) -> Floats:
    """`[channels, n - window + 1]` in -1 (space) .. 1 (mark) for `x[channels, n]`."""
    n = np.arange(x.shape[1])
    powers = []
    for hz in (mark_hz, space_hz):
        turning = np.zeros((x.shape[0], x.shape[1] + 1), np.complex128)
        np.cumsum(x * np.exp(-2j * np.pi * hz / RATE * n), axis=1, out=turning[:, 1:])
        windowed = turning[:, window:] - turning[:, :-window]
        powers.append(windowed.real**2 + windowed.imag**2)
    mark, space = powers
    result: Floats = ((mark - space) / np.maximum(mark + space, 1e-12)).astype(np.float32)
    return result


FLAG_SAMPLES: Final = round(4 * 8 * RATE / V21_BAUD)
"""Four flags at 300 bit/s."""
V21_WINDOW: Final = 27


def flags(x: Floats, mark_hz: float, space_hz: float) -> Floats:
    """How much the end of `x[channels, >= FLAG_SAMPLES + V21_WINDOW]` looks like four V.21 flags: 1 is exactly so."""
    signs = np.sign(soft(x[:, -(FLAG_SAMPLES + V21_WINDOW) :], mark_hz, space_hz, V21_WINDOW))
    score: Floats = (signs[:, -FLAG_SAMPLES:] @ _flag_templates() / FLAG_SAMPLES).max(1)
    return score


@cache
def _flag_templates() -> Floats:
    """`[FLAG_SAMPLES, phases]`: +-1 for flags beginning at every fourth sample."""
    period = 8 * RATE / V21_BAUD
    phases = np.arange(0, period, 4)
    bit = ((np.arange(FLAG_SAMPLES)[:, None] + phases) * V21_BAUD / RATE).astype(int) % 8
    levels: Floats = 2 * np.array(FLAG_BITS, np.float32) - 1
    return np.take(levels, bit)


_BLOCK: Final = 40
_HIGH_PASS_HZ: Final = 500
_HIGH_PASS_REACH: Final = 24


class Keying:
    """Amplitudes of mark and space, for one pair of frequencies and one rate.

    `reach`: what `amplitudes` needs of samples before and after the first and last that it answers for."""

    def __init__(self, mark_hz: float, space_hz: float, baud: float) -> None:
        low_cut, half_bit = _low_cut(), RATE / baud / 2
        n = np.arange(-int(half_bit + 1), int(half_bit + 1) + 1)
        bit = np.clip(half_bit + 0.5 - np.abs(n), 0, 1)
        bit /= bit.sum()
        tones = [np.convolve(low_cut, bit * np.exp(-2j * np.pi * hz / RATE * n)) for hz in (mark_hz, space_hz)]
        taps = np.array([part for tone in tones for part in (tone.real, tone.imag)], np.float32)
        self.reach = taps.shape[1] // 2
        matrix = np.zeros((_BLOCK + 2 * self.reach, 4, _BLOCK), np.float32)
        for at in range(_BLOCK):
            matrix[at : at + taps.shape[1], :, at] = taps[:, ::-1].T
        self._matrix = matrix.reshape(len(matrix), -1)

    def amplitudes(self, x: Floats) -> Floats:
        """`[2, n - 2 * reach]`, mark and space, for `x[n]`: half the peak of a sine at that frequency."""
        wanted = x.size - 2 * self.reach
        blocks = -(-wanted // _BLOCK)
        padded = np.zeros(blocks * _BLOCK + 2 * self.reach, np.float32)
        padded[: x.size] = x
        rows = np.lib.stride_tricks.sliding_window_view(padded, _BLOCK + 2 * self.reach)[::_BLOCK]
        parts = (np.ascontiguousarray(rows) @ self._matrix).reshape(blocks, 2, 2, _BLOCK)
        np.square(parts, out=parts)
        powers = (parts[:, :, 0] + parts[:, :, 1]).transpose(1, 0, 2).reshape(2, -1)[:, :wanted]
        amplitudes: Floats = np.sqrt(powers)
        return amplitudes


@cache
def _low_cut() -> NDArray[np.float64]:
    """Takes ringing (25 Hz) and hum with its harmonics up to 250 Hz away by 40 dB and leaves 700 Hz and more."""
    n = np.arange(-_HIGH_PASS_REACH, _HIGH_PASS_REACH + 1)
    cut = 2 * _HIGH_PASS_HZ / RATE
    taps: NDArray[np.float64] = -cut * np.sinc(cut * n) * np.hamming(n.size)
    taps[_HIGH_PASS_REACH] += 1
    return taps


@dataclass(frozen=True, slots=True)
class Slicer:
    """The centres of the clouds of marks and of spaces, `[2]` each: amplitude at the mark's and at the space's tone."""

    mark: Floats
    space: Floats

    @classmethod
    def begin(cls, mark: Floats, after: Floats) -> "Slicer":
        """From amplitudes `[2, n]` known to be mark, and what followed, which has spaces in it."""
        centre = np.median(mark, axis=1).astype(np.float32)
        away = np.square(after - centre[:, None]).sum(0)
        far = away > 0.5 * np.partition(away, int(0.85 * away.size))[int(0.85 * away.size)]
        found = cls(centre, after[:, far].mean(1))
        return found.better(after, keep_mark=True).better(after, keep_mark=True)

    def better(self, amplitudes: Floats, *, keep_mark: bool = False) -> "Slicer":
        """The same with the centres where these amplitudes `[2, n]` have them."""
        bits = self.soft(amplitudes)
        marks, spaces = bits > 0.5, bits < -0.5
        return Slicer(
            self.mark if keep_mark or not marks.any() else amplitudes[:, marks].mean(1),
            amplitudes[:, spaces].mean(1) if spaces.any() else self.space,
        )

    def soft(self, amplitudes: Floats) -> Floats:
        """`[n]`: 1 is a mark, -1 a space."""
        along = self.mark - self.space
        half = max(float(along @ along) / 2, 1e-12)
        middle = float(along @ (self.mark + self.space)) / 2
        return np.asarray((along @ amplitudes - middle) / half, np.float32)

    @property
    def keyed(self) -> bool:
        """Whether these can be the two tones of a message: a space is there, some 14 dB from the mark at most."""
        return bool(0.2 * self.mark[0] < self.space[1] < 5 * self.mark[0] and self.mark[1] < self.mark[0])


BIT: Final = RATE / 1200
_BYTE: Final = 10 * BIT
_TAIL: Final = round(_BYTE) + 1
_NEAR: Final = 3
_IDLE: Final = round(30 * BIT)
_PULL, _DRIFT, _STIFF = 0.5, 0.15, 0.02


@dataclass(slots=True)
class Place:
    """How far the reading of a message has come."""

    edge: float
    """Sample at which the next start bit is due."""
    byte_samples: float = _BYTE
    """From one byte to the next, as this sender has it."""
    quality: float = 0.0
    """Sum of the scores of the bytes so far."""


class AsyncReader:
    """Bytes in soft bits `[n]` (1 mark, -1 space), at 1200 bit/s.

    For each sample at which a byte might begin: `value`; `start` and `stop`, the soft bits around it; `score`, how well
    ten bits fit, 1 is as it should be."""

    def __init__(self, bits: Floats) -> None:
        self.bits = bits
        # A bit is 20/3 samples: its centre lies on a sample, a third or two thirds after one.
        third = (bits[1:] - bits[:-1]) / np.float32(3)
        at_thirds = (bits[:-1], bits[:-1] + third, bits[1:] - third)
        sure = [np.minimum(np.abs(part), 1) for part in at_thirds]
        high = [(part > 0).view(np.uint8) for part in at_thirds]
        size = max(bits.size - _TAIL, 0)
        self.value = np.zeros(size, np.uint8)
        places = [divmod(10 + 20 * k, 3) for k in range(10)]
        self.start, *_, self.stop = (at_thirds[part][at : at + size] for at, part in places)
        score = np.clip(self.stop, -1, 1)
        score -= np.clip(self.start, -1, 1)
        for k, (at, part) in enumerate(places[1:9]):
            score += sure[part][at : at + size]
            self.value |= high[part][at : at + size] << np.uint8(k)
        score /= np.float32(10)
        self._scores: list[float] = score.tolist()

    def first_starts(self) -> list[int]:
        """Where a start bit follows at least 20 bits of mark."""
        mark = self.bits > 0
        falls = np.flatnonzero(mark[:-1] & ~mark[1:])
        need = round(20 * BIT)
        falls = falls[(falls >= need) & (falls < len(self._scores) - _NEAR)]
        marked = np.concatenate([[0], np.cumsum(mark)])
        falls = falls[marked[falls + 1] - marked[falls + 1 - need] >= 0.97 * need]
        return [self._best(fall, _NEAR) for fall in falls.tolist() if self.start[fall] < -0.3]

    def _best(self, edge: float, near: int) -> int:
        """The sample near `edge` where a byte fits best."""
        first = max(round(edge) - near, 0)
        fits = [
            score - _STIFF * (first + i - edge) ** 2
            for i, score in enumerate(self._scores[first : first + 2 * near + 1])
        ]
        return first + fits.index(max(fits))

    def read(self, place: Place, into: bytearray, wanted: int) -> bool:
        """Append bytes until there are `wanted` or the bits end; `place` is moved. False: what comes is no byte."""
        last = len(self._scores) - _NEAR
        while len(into) < wanted and place.edge < last:
            at = self._best(place.edge, _NEAR)
            if self.start[at] > -0.2:
                # The sender idles: the next fall.
                ahead = self.bits[max(round(place.edge), 0) : round(place.edge) + _IDLE] < 0
                if not ahead.any():
                    return ahead.size < _IDLE
                place.edge += int(ahead.argmax())
                if place.edge >= last:
                    return True
                at = self._best(place.edge, _NEAR)
                place.edge = at
            if self.start[at] > 0 or self.stop[at] < 0:
                return False
            into.append(int(self.value[at]))
            place.quality += self._scores[at]
            away = at - place.edge
            place.byte_samples = min(max(place.byte_samples + _DRIFT * away, 0.98 * _BYTE), 1.02 * _BYTE)
            place.edge += _PULL * away + place.byte_samples
        return True
