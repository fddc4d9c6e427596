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
    """Reported after this many steps of 20 ms that follow a first."""


TONES: Final = (
    Steady("cng", "cng", 1100, 44, (1065, 1100, 1135), 8),
    Steady("calling_tone", "ct", 1300, 20, (1300,), 12),
    Steady("answer_tone", "ans", 2100, 22, (2100,), 10),
    Steady("answer_tone", "bell_ans", 2225, 20, (2225,), 9),
)
_ANS: Final = 2

_SHARE = 0.4
_LEVEL = np.float32(2 * 10 ** (-46 / 10))
_WANDER_HZ = 7.0
"""Largest root mean square of the distance of the frequency from its mean."""
_MISSES = 3
_KIND_STEPS = 75
_RING = 64
_AM, _AM_STEPS = 0.12, 5
"""Depth that shows modulation, and how often it is looked for."""
_WAVE: Final = np.exp(-2j * np.pi * 15 * HOP_S * np.arange(40)).astype(np.complex64)


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
        self._signs = sorted(set(self._rows.ravel().tolist()))
        bank.expect(self._signs, _SHARE)
        self._sign = np.zeros(channels, np.bool_)
        self.running = False
        """Some tone has been heard on some channel, and may go on."""

    @staticmethod
    def frequencies_hz(kinds: frozenset[str]) -> list[float]:
        """What the bank must hold for these kinds."""
        return [f for tone in TONES if tone.kind in kinds for f in tone.rows_hz]

    def step(self, hop: int, out: Reports) -> None:
        """The two hops after hop number `hop`."""
        if not self.running and not any(self._bank.any_alone[row] for row in self._signs):
            self._sign.fill(False)
            return
        if self._ans is not None:
            row = self._rows[self._ans, 0]
            self._line.real[self._at : self._at + 2] = self._bank.re[1:, row]
            self._line.imag[self._at : self._at + 2] = self._bank.im[1:, row]
            self._at = (self._at + 2) % _RING
        # A tone begins where something stands alone for two steps running: most of what speech has is gone by then.
        sign = np.logical_or.reduce(self._bank.alone[self._signs], axis=0)
        flagged = sign & self._sign
        self._sign = sign
        if self.running:
            flagged |= self.run.any(0)
        c = flagged.nonzero()[0]
        if not c.size:
            self.running = False
            return
        of_rows = self._bank.power_20ms[self._rows[:, :, None], c]
        heard = of_rows.max(1) > np.maximum(_SHARE * self._bank.energy_20ms[c], _LEVEL)
        tone, at = np.nonzero(heard | (self.run[:, c] > 0))
        if tone.size:
            self._follow(hop, tone, c[at], heard[tone, at], of_rows[tone, :, at].argmax(1), out)
        self.running = bool(self.run[:, c].any())

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
        offset = self._bank.offset_hz(rows, c).sum(0) / 2
        offset += self._shift[tone, best]
        heard = heard & (np.abs(offset) <= self._tolerance[tone])
        self._miss[tone, c] = np.where(heard, 0, self._miss[tone, c] + 1)
        lost = (self._miss[tone, c] >= _MISSES) & (self.run[tone, c] > 0)
        self._lose(hop, tone[lost], c[lost], out)
        tone, c, offset = tone[heard], c[heard], offset[heard]
        run = self.run[tone, c]
        self._start[tone, c] = np.where(run == 0, hop - 2, self._start[tone, c])
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
        answering = (tone == self._ans) & (run >= self._sure[tone]) & (run < _KIND_STEPS)
        if answering.any():
            self._kind(c[answering], run[answering], out)

    def _kind(self, c: NDArray[np.intp], run: NDArray[np.int32], out: Reports) -> None:
        """Reversals and modulation of the 2100 Hz tones on channels `c`, heard for `run` steps."""
        assert self._ans is not None
        recent = self._line[(self._at - 10 + np.arange(10)) % _RING][:, c]
        # Undo the distance from 2100 Hz, so that an unbroken tone stands still.
        turn = np.exp(np.complex64(-2j * np.pi * HOP_S) * (self._mean[self._ans, c] - self._shift[self._ans, 0]))
        length = np.abs(recent)
        # Two hops before against two hops after a possible reversal that may fall anywhere in the hop between.
        unit = recent / np.maximum(length, 1e-9) * turn ** np.arange(10)[:, None]
        before, after = unit[:4].sum(0), unit[6:].sum(0)
        turned = (before * after.conj()).real < -0.6 * 4 * 4
        turned &= np.minimum(length[:4].min(0), length[6:].min(0)) > 0.4 * length.max(0)
        modulated = np.zeros(c.size, np.float32)
        due = (run % _AM_STEPS == 0).nonzero()[0]
        if due.size:
            modulated[due] = self._modulation(c[due], run[due])
        for at in (turned | (modulated > _AM)).nonzero()[0].tolist():
            self._correct(int(c[at]), bool(turned[at]), float(modulated[at]), out)

    def _modulation(self, c: NDArray[np.intp], run: NDArray[np.int32]) -> NDArray[np.float32]:
        """Depth of the 15 Hz modulation over the last 400 ms, or 200 where there is no more."""
        length = np.abs(self._line[(self._at - 40 + np.arange(40)) % _RING][:, c])
        length[:20] *= run >= 20
        depth: NDArray[np.float32] = 2 * np.abs(_WAVE @ length) / np.maximum(length.sum(0), 1e-9)
        return depth

    def _correct(self, channel: int, flip: bool, am: float, out: Reports) -> None:
        event = out.open(channel, "answer_tone")
        if event is None or event.value == "bell_ans":
            return
        modulated = event.value.startswith("ansam") or am > _AM
        reversed_ = event.value.endswith("_pr") or flip
        value = ("ansam" if modulated else "ans") + ("_pr" if reversed_ else "")
        if value != event.value:
            evidence = {**event.evidence, "am_percent": round(100 * am)}
            out.change(channel, "answer_tone", value, 0.95, evidence)
