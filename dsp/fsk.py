"""Messages in frequency-shift keying at 1200 bit/s, on channels that a cheap sign has flagged.

`Keying` is the receiver for messages. Two correlators one bit long follow the mark and the space, behind a high-pass
filter that takes ringing and hum away, both in one matrix product. Their two amplitudes are a point in a plane, and
marks and spaces are two clouds in it, wherever twist and the leak of one tone into the other put them: `Slicer` finds
the centres of the clouds and measures along the line between them, so that a mark is 1 and a space -1 at any twist.

`AsyncReader` reads asynchronous bytes (start bit, eight bits, stop bit). How well a byte that began at a sample would
fit (ten soft bits) is known for all samples after some twenty array operations; going from byte to byte is then a
search of a few numbers around the place where the next start bit is due. What the bits of the bytes found are is
decided last, three at a time, by the phase as well.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.events import RATE

Floats = NDArray[np.float32]


BIT: Final = RATE / 1200
_BLOCK: Final = 40
_HIGH_PASS_HZ: Final = 500
_HIGH_PASS_REACH: Final = 24
_THREES: Final = np.indices((2, 2, 2)).reshape(3, 8).T
"""Mark or space (0 or 1) in the middle, before it and after it."""


class Keying:
    """Correlators for one pair of tones at 1200 bit/s.

    `reach`: what `correlate` needs of samples before and after the first and last that it answers for."""

    def __init__(self, mark_hz: float, space_hz: float) -> None:
        hz = np.array([mark_hz, space_hz])
        half = round(BIT / 2) + 1
        n = np.arange(-half, half + 1)
        bit = np.clip(BIT / 2 + 0.5 - np.abs(n), 0, 1)
        bit /= bit.sum()
        taps = np.array([np.convolve(_low_cut(), bit * np.exp(-2j * np.pi * f / RATE * n)) for f in hz])
        self.reach = taps.shape[1] // 2
        matrix = np.zeros((2, _BLOCK + 2 * self.reach, _BLOCK), np.complex64)
        for at in range(_BLOCK):
            matrix[:, at : at + taps.shape[1], at] = taps
        self._matrix = matrix.view(np.float32)
        self._turn = (2j * np.pi / RATE * hz).astype(np.complex64)[:, None]
        half_bit = np.exp(1j * np.pi * hz / 1200)
        self._change = complex(half_bit.prod())
        # `[8, 3, 2]`: for all marks and spaces in the middle, before and after it, the turns of those three.
        self._threes = np.zeros((8, 3, 2), np.complex128)
        for three, (middle, before, after) in zip(self._threes, _THREES, strict=True):
            three[0, before] = half_bit[before] * half_bit[middle]
            three[1, middle] = 1
            three[2, after] = np.conj(half_bit[after] * half_bit[middle])

    def correlate(self, x: Floats) -> NDArray[np.complex64]:
        """`[2, n - 2 * reach]`, mark and space, for `x[n]`: half the peak of a sine at that frequency, in the phase
        that it has at the sample."""
        wanted = x.size - 2 * self.reach
        blocks = -(-wanted // _BLOCK)
        padded = np.zeros(blocks * _BLOCK + 2 * self.reach, np.float32)
        padded[: x.size] = x
        rows = np.lib.stride_tricks.sliding_window_view(padded, _BLOCK + 2 * self.reach)[::_BLOCK]
        found: NDArray[np.complex64] = (np.ascontiguousarray(rows) @ self._matrix).view(np.complex64)
        return found.reshape(2, -1)[:, :wanted]

    def between(self, z: NDArray[np.complex64], places: NDArray[np.float64]) -> NDArray[np.complex64]:
        """`[2, ...]`: correlations `z[2, n]` at `places[...]`, which lie between samples."""
        at = places.astype(np.intp).ravel()
        part = (places.ravel() - at).astype(np.float32)
        found = z[:, at] * (1 - part)
        found += z[:, at + 1] * (np.exp(-self._turn) * part)
        found *= np.exp(self._turn * part)
        return found.reshape(2, *places.shape)

    def bits(self, z: NDArray[np.complex64], slicer: "Slicer") -> NDArray[np.bool_]:
        """`[bytes, bits]`: marks, from correlations `z[2, bytes, bits + 2]` at the centres of bits in a row.

        The phase of a sender goes on through his changes of tone. So each bit is judged with its neighbours: the eight
        possible three, added in the phases they must have, against each other. That is worth 3 dB and more where the
        tones lie close (V.23) and where an echo falls into the next bit. What the line turns one tone against the other
        is measured first, at the changes."""
        mark = slicer.soft(np.abs(z).reshape(2, -1)).reshape(z.shape[1:]) > 0
        fall, rise = mark[:, :-1] > mark[:, 1:], mark[:, :-1] < mark[:, 1:]
        changes = np.vdot(z[0, :, :-1][fall], z[1, :, 1:][fall]) * self._change.conjugate()
        changes += np.vdot(z[0, :, 1:][rise], z[1, :, :-1][rise]) * self._change
        amplitudes = np.array([slicer.mark[0], slicer.space[1]])
        turns = amplitudes * np.array([1, changes.conj() / max(abs(changes), 1e-30)])
        threes = np.stack((z[:, :, :-2], z[:, :, 1:-1], z[:, :, 2:])).reshape(6, -1)
        fit = np.abs((self._threes * turns).reshape(8, 6).astype(np.complex64) @ threes)
        fit -= (np.square(amplitudes)[_THREES].sum(1, keepdims=True) / 2).astype(np.float32)
        mark_fits, space_fits = np.maximum.reduce(fit.reshape(2, 4, -1), axis=1)
        return np.asarray(mark_fits > space_fits).reshape(len(mark), -1)


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
        centre = mark.mean(1)
        away = np.square(after - centre[:, None]).sum(0)
        # A type is mostly spaces; a tenth of the samples may be clicks.
        seventh = away.size * 6 // 7
        spaces = _centre(after, away > 0.5 * np.partition(away, seventh)[seventh])
        found = cls(centre, centre if spaces is None else spaces)
        for _ in range(2):
            found = cls(centre, found.better(after).space)
        return found

    def better(self, amplitudes: Floats) -> "Slicer":
        """The same with the centres where these amplitudes `[2, n]` have them."""
        bits = self.soft(amplitudes)
        mark, space = _centre(amplitudes, bits > 0.5), _centre(amplitudes, bits < -0.5)
        return Slicer(self.mark if mark is None else mark, self.space if space is None else space)

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


def _centre(amplitudes: Floats, of: NDArray[np.bool_]) -> Floats | None:
    """`[2]`: the mean of those; None of none."""
    weights = of.astype(np.float32)
    count = weights.sum()
    return np.asarray(amplitudes @ weights / count, np.float32) if count else None


_BYTE: Final = 10 * BIT
_TAIL: Final = 72
"""Samples needed from the beginning of a byte: to the bit after its stop bit."""
_SAMPLES, _THIRDS = np.divmod(10 + 20 * np.arange(10), 3)
"""From the beginning of a byte to the centres of its ten bits: whole samples, and thirds of one."""
_START: Final = int(_THIRDS[0]), int(_SAMPLES[0])
_NEAR: Final = 2
_IDLE: Final = round(30 * BIT)
_SPACE: Final = -0.6
"""What is less of a space than this may be idling before a start bit."""
_FALL: Final = -0.2
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

    def passed(self, at: int, score: float) -> float:
        """A byte began at sample `at`, or rather, by those before it, at the one given back."""
        away = at - self.edge
        edge = self.edge + _PULL * away
        self.byte_samples = min(max(self.byte_samples + _DRIFT * away, 0.98 * _BYTE), 1.02 * _BYTE)
        self.edge = edge + self.byte_samples
        self.quality += score
        return edge


class AsyncReader:
    """Bytes in correlations `[2, n]`."""

    def __init__(self, keying: Keying, slicer: Slicer, correlations: NDArray[np.complex64]) -> None:
        self._keying, self._slicer, self._correlations = keying, slicer, correlations
        bits = slicer.soft(np.abs(correlations))
        # A bit is 20/3 samples: its centre lies on a sample, a third or two thirds after one.
        self._bits = np.empty((3, bits.size - 1), np.float32)
        self._bits[0] = bits[:-1]
        third = (bits[1:] - bits[:-1]) / np.float32(3)
        np.add(bits[:-1], third, out=self._bits[1])
        np.subtract(bits[1:], third, out=self._bits[2])
        clear = np.clip(self._bits, -1, 1)
        size = max(bits.size - _TAIL, 0)
        score, *data, stop = (clear[part, at : at + size] for part, at in zip(_THIRDS, _SAMPLES, strict=True))
        score = stop - score
        np.abs(clear, out=clear)
        for bit in data:
            score += bit
        score /= np.float32(10)
        self._score = score
        """How well ten bits fit if a start bit begins at a sample: 1 is as it should be."""

    def first_starts(self) -> list[int]:
        """Where a start bit follows at least 20 bits of mark."""
        mark = self._bits[0] > 0
        falls = np.flatnonzero(mark[:-1] & ~mark[1:])
        need = round(20 * BIT)
        falls = falls[(falls >= need) & (falls < self._score.size - _NEAR)]
        marked = np.concatenate([[0], np.cumsum(mark)])
        falls = falls[marked[falls + 1] - marked[falls + 1 - need] >= 0.97 * need]
        starts = (self._best(fall) for fall in falls.tolist())
        return [start for start in starts if self._start(start) < -0.3]

    def read(self, place: Place, into: bytearray, wanted: int) -> bool:
        """Append bytes until there are `wanted` or the bits end; `place` is moved. False: what comes is no byte."""
        last = self._score.size - _NEAR
        found: list[float] = []
        while len(into) + len(found) < wanted and place.edge < last:
            at = self._best(place.edge)
            if self._start(at) > _SPACE:
                fall = self._fall(place.edge)
                if fall is None:
                    return False
                if fall >= last:
                    break
                later = self._best(fall)
                if self._start(at) > 0 or self._score[later] > self._score[at]:
                    place.edge = at = later
            found.append(place.passed(at, self._score.item(at)))
        return not found or self._decide(np.array(found), into)

    def _decide(self, edges: NDArray[np.float64], into: bytearray) -> bool:
        """Append the bytes whose start bits begin there; False where one has not its start and stop bit."""
        centres = edges[:, None] + (np.arange(-1, 11) + 0.5) * BIT
        bits = self._keying.bits(self._keying.between(self._correlations, centres), self._slicer)
        into += np.packbits(bits[:, 1:9], axis=1, bitorder="little").tobytes()
        return not bits[:, 0].any() and bool(bits[:, 9].all())

    def _fall(self, edge: float) -> int | None:
        """Where the start bit begins that ends the idling at `edge`; the end where it is not yet to be seen; None where
        he idles too long."""
        first = max(round(edge) - _NEAR, 0)
        ahead = self._bits[_START[0], first + _START[1] :][:_IDLE] < _FALL
        if ahead.any():
            return first + int(ahead.argmax()) + 1
        return None if ahead.size == _IDLE else self._score.size

    def _best(self, edge: float) -> int:
        """The sample near `edge` where a byte fits best."""
        first = max(round(edge) - _NEAR, 0)
        scores = self._score[first : first + 2 * _NEAR + 1].tolist()
        fits = [score - _STIFF * (first + i - edge) ** 2 for i, score in enumerate(scores)]
        return first + fits.index(max(fits))

    def _start(self, at: int) -> float:
        return self._bits.item(_START[0], at + _START[1])
