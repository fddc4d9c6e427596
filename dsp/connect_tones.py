"""The tones by which machines introduce themselves: CNG, calling tone, answer tones.

ITU-T T.30 (CNG 1100 +-38 Hz), V.25 (answer tone 2100 +-15 Hz, phase reversals every 450 ms; calling tone 1300 Hz),
V.8 (ANSam: 2100 Hz with 20 % of 15 Hz amplitude modulation), Bell 103 (2225 Hz). A tone is taken where its part of
the energy is large and its frequency, from the turn of phase between hops, stays put: speech and music pass through
these frequencies but do not stand still on them.

The kind of a 2100 Hz tone is told from its own amplitude and phase, hop by hop: a reversal is a turn by half a circle
between two stretches that are each steady, the modulation is the 15 Hz line of the amplitude. An answer tone is first
reported as `ans`, `ansam` where 200 ms show it, and corrected under the same id.

Limits: two tones at once on a mixed line are both heard while neither is 4 dB under everything else.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tones import HOP, HOP_S, STEP, Bank


@dataclass(frozen=True, slots=True)
class Steady:
    kind: str
    value: str
    hz: float
    tolerance_hz: float
    rows_hz: tuple[float, ...]
    sure_steps: int
    """Reported after this many steps of 20 ms."""


TONES: Final = (
    Steady("cng", "cng", 1100, 44, (1065, 1100, 1135), 9),
    Steady("calling_tone", "ct", 1300, 20, (1300,), 13),
    Steady("answer_tone", "ans", 2100, 22, (2100,), 11),
    Steady("answer_tone", "bell_ans", 2225, 20, (2225,), 10),
)
_ANS: Final = 2

_SHARE = 0.4
_LEVEL = 10 ** (-46 / 10)
_WANDER_HZ = 7.0
"""Largest root mean square of the distance of the frequency from its mean."""
_MISSES = 3
_KIND_STEPS = 75
_RING = 64


class ConnectTones:
    """Steady tones of machines on `channels` channels. `run[tone, channel]`: steps heard so far."""

    def __init__(self, channels: int, bank: Bank, kinds: frozenset[str]) -> None:
        self._bank = bank
        self._channels = channels
        self.tones = tuple(tone for tone in TONES if tone.kind in kinds)
        width = max((len(tone.rows_hz) for tone in self.tones), default=1)
        rows = [[bank.row(f) for f in tone.rows_hz] for tone in self.tones]
        self._rows = np.array([(r * width)[:width] for r in rows], np.intp)
        self._shift = np.array([[bank.grid_hz[r] for r in rs] for rs in self._rows], np.float32)
        self._shift -= np.array([[tone.hz] for tone in self.tones], np.float32)
        shape = (len(self.tones), channels)
        self.run = np.zeros(shape, np.int32)
        self._miss = np.zeros(shape, np.int8)
        self._mean, self._square = (np.zeros(shape, np.float32) for _ in range(2))
        self._sure = np.array([tone.sure_steps for tone in self.tones], np.int32)
        self._tolerance = np.array([tone.tolerance_hz for tone in self.tones], np.float32)
        self._ans = next((i for i, tone in enumerate(self.tones) if tone is TONES[_ANS]), None)
        self._line = np.zeros((_RING, channels), np.complex64)
        self._at = 0
        self._start = np.zeros(shape, np.int64)

    @staticmethod
    def frequencies_hz(kinds: frozenset[str]) -> list[float]:
        """What the bank must hold for these kinds."""
        return [f for tone in TONES if tone.kind in kinds for f in tone.rows_hz]

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        if self._ans is not None:
            row = self._rows[self._ans, 0]
            self._line.real[self._at : self._at + 2] = self._bank.re[1:, row]
            self._line.imag[self._at : self._at + 2] = self._bank.im[1:, row]
            self._at = (self._at + 2) % _RING
        power = self._bank.power_20ms
        energy = self._bank.energy_20ms
        of_rows = power[self._rows]
        strongest = of_rows.max(1)
        heard = strongest > np.maximum(_SHARE * energy, 2 * _LEVEL)
        tone, c = np.nonzero(heard | (self.run > 0))
        if tone.size:
            self._follow(hop, tone, c, heard[tone, c], of_rows[tone, :, c].argmax(1), out)

    def _follow(
        self,
        hop: int,
        tone: NDArray[np.intp],
        c: NDArray[np.intp],
        heard: NDArray[np.bool_],
        best: NDArray[np.intp],
        out: Reports,
    ) -> None:
        rows = self._rows[tone, best]
        offset = (self._bank.offset_hz(rows, c, 1) + self._bank.offset_hz(rows, c, 2)) / 2
        # On its first step the tone may begin inside it: only the turn between its own two hops counts.
        offset = np.where(self.run[tone, c] == 0, self._bank.offset_hz(rows, c, 2), offset)
        offset += self._shift[tone, best]
        heard = heard & (np.abs(offset) <= self._tolerance[tone])
        self._miss[tone, c] = np.where(heard, 0, self._miss[tone, c] + 1)
        lost = (self._miss[tone, c] >= _MISSES) & (self.run[tone, c] > 0)
        self._lose(hop, tone[lost], c[lost], out)
        tone, c, offset = tone[heard], c[heard], offset[heard]
        run = self.run[tone, c]
        self._start[tone, c] = np.where(run == 0, hop, self._start[tone, c])
        self.run[tone, c] = run + 1
        delta = offset - self._mean[tone, c]
        self._mean[tone, c] += delta / (run + 1)
        self._square[tone, c] += delta * (offset - self._mean[tone, c])
        self._judge(hop, tone, c, out)

    def _lose(self, hop: int, tone: NDArray[np.intp], c: NDArray[np.intp], out: Reports) -> None:
        for t, channel in zip(tone.tolist(), c.tolist(), strict=True):
            event = out.open(channel, self.tones[t].kind)
            if event is not None and (event.value == "bell_ans") == (self.tones[t].value == "bell_ans"):
                out.end(channel, self.tones[t].kind, (hop + 2) * HOP - _MISSES * STEP)
        self.run[tone, c] = 0
        self._mean[tone, c] = 0
        self._square[tone, c] = 0

    def _judge(self, hop: int, tone: NDArray[np.intp], c: NDArray[np.intp], out: Reports) -> None:
        run = self.run[tone, c]
        wander = np.sqrt(self._square[tone, c] / run)
        # A reversal inside a step throws its frequency far off: the tolerance test has kept it out of the mean.
        new = (run >= self._sure[tone]) & (run <= self._sure[tone] + 10) & (wander <= _WANDER_HZ)
        for t, channel, hz in zip(tone[new].tolist(), c[new].tolist(), self._mean[tone[new], c[new]], strict=True):
            if out.open(channel, self.tones[t].kind) is None:
                evidence = {"hz": round(self.tones[t].hz + float(hz), 1)}
                start = int(self._start[t, channel]) * HOP
                out.begin(channel, self.tones[t].kind, start, self.tones[t].value, 0.95, evidence)
        # Its kind is known after a second and a half at the latest.
        answering = c[(tone == self._ans) & (run >= self._sure[tone]) & (run < _KIND_STEPS)]
        if answering.size:
            self._kind(answering, out)

    def _kind(self, c: NDArray[np.intp], out: Reports) -> None:
        """Reversals and modulation of the 2100 Hz tones on channels `c`, from the last 200 to 400 ms."""
        recent = self._line[(self._at - 1 - np.arange(40)) % _RING][:, c][::-1]
        assert self._ans is not None
        # Undo the distance from 2100 Hz, so that an unbroken tone stands still.
        hz = self._mean[self._ans, c] - self._shift[self._ans, 0]
        still = recent * np.exp(-2j * np.pi * HOP_S * np.arange(40)[:, None] * hz)
        ok = np.abs(still)
        unit = still / np.maximum(ok, 1e-9)
        # Two hops before against two hops after a possible reversal that may fall anywhere in the hop between.
        before, after = unit[30:34].mean(0), unit[36:].mean(0)
        turned = ((before * after.conj()).real < -0.6) & (ok[30:34].min(0) > 0.4 * ok.max(0))
        turned &= ok[36:].min(0) > 0.4 * ok.max(0)
        run = np.minimum(self.run[self._ans, c] * 2, 40)
        whole = np.where(run >= 40, 40, 20)
        inside = np.arange(40)[:, None] >= 40 - whole
        wave = np.exp(-2j * np.pi * 15 * HOP_S * np.arange(40))[:, None]
        depth = 2 * np.abs((ok * wave * inside).sum(0)) / np.maximum((ok * inside).sum(0), 1e-9)
        for channel, flip, am in zip(c.tolist(), turned.tolist(), depth.tolist(), strict=True):
            self._correct(channel, flip, am, out)

    def _correct(self, channel: int, flip: bool, am: float, out: Reports) -> None:
        event = out.open(channel, "answer_tone")
        if event is None or event.value == "bell_ans":
            return
        modulated = event.value.startswith("ansam") or am > 0.12
        reversed_ = event.value.endswith("_pr") or flip
        value = ("ansam" if modulated else "ans") + ("_pr" if reversed_ else "")
        if value != event.value:
            evidence = {**event.evidence, "am_percent": round(100 * am)}
            out.change(channel, "answer_tone", value, 0.95, evidence)
