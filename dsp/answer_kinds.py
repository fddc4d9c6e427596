"""The kind of an answer tone: modulated (V.8 clause 3.3), with reversals (V.25), both or plain.

A 2100 Hz tone that has been reported as `ans` is told from its own amplitude and phase and corrected under the same
id. Modulation is a 15 Hz line that explains most of what the amplitude does over 200 ms without a reversal (an echo of
the tone makes the line stronger or weaker and adds a step after each reversal). A reversal turns a phase that stood
still for 50 ms by half a circle to where it stands still again, one or two times 450 ms after the beginning or after
another reversal; `ans_pr` waits until it is known that the tone is not modulated.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.reports import Reports
from dsp.tone_runs import Hops, turned
from dsp.tones import HOP_S


class AnswerKinds:
    """Modulation and reversals of the 2100 Hz tones that have been reported."""

    HOPS: Final = 32
    _AM_HOPS: Final = 20
    """Three turns of 15 Hz."""
    _WAVE: Final = np.exp(-2j * np.pi * 15 * HOP_S * np.arange(_AM_HOPS)).astype(np.complex64)
    _STRETCH, _GAP = 5, 2
    """Hops on either side of a reversal that must stand still, and hops between."""
    _PERIOD_HOPS = 45

    def __init__(self, channels: int) -> None:
        self._calm = np.full(channels, -1, np.int64)
        """Hop from which no edge disturbs the amplitude."""
        self._flip = np.full(channels, -1, np.int64)
        """Hop of the last turn by half a circle."""
        self._modulated, self._plain = (np.zeros(channels, np.int8) for _ in range(2))
        self._reversed = np.zeros(channels, np.bool_)

    def begin(self, channel: int) -> None:
        for array in (self._calm, self._flip):
            array[channel] = -1
        for votes in (self._modulated, self._plain, self._reversed):
            votes[channel] = 0

    def step(
        self, newest: int, c: NDArray[np.intp], start: Hops, line: NDArray[np.complex64], out: Reports
    ) -> NDArray[np.bool_]:
        """`line[32, n]`: the last hops of the tones on channels `c`, which began in `start`. `[n]`: all is known."""
        self._reverse(newest, c, start, line)
        calm = np.maximum(self._calm[c], start + 5)
        due = newest - calm >= self._AM_HOPS
        if due.any():
            depth, part = self._modulation(np.abs(line[-self._AM_HOPS :, due]))
            yes = (depth > 0.07) & (part > 0.5)
            sure = yes & (depth > 0.1) & (part > 0.8)
            self._modulated[c[due]] += np.where(sure, 2, yes)
            self._plain[c[due]] += depth < 0.05
        modulated = self._modulated[c] >= 2
        reversed_ = self._reversed[c] & (modulated | (self._plain[c] > 0))
        for i in (modulated | reversed_).nonzero()[0].tolist():
            value = ("ansam" if modulated[i] else "ans") + ("_pr" if reversed_[i] else "")
            event = out.open(int(c[i]), "answer_tone")
            if event is not None and event.value not in (value, "bell_ans"):
                out.change(int(c[i]), "answer_tone", value, 0.95, event.evidence)
        return modulated & reversed_

    def _reverse(self, newest: int, c: NDArray[np.intp], start: Hops, line: NDArray[np.complex64]) -> None:
        turns = line[1:] * line[:-1].conj()
        mean = turns.sum(0)
        # At a reversal one turn at least is far from the others.
        turns *= mean.conj()
        far = (turns.real < np.abs(turns.imag)).any(0)
        if not far.any():
            return
        c, start, line, turn = c[far], start[far], line[:, far], np.angle(mean[far])
        length = np.abs(line)
        unit = line / np.maximum(length, 1e-9) * turned(-turn * np.arange(self.HOPS)[:, None])
        n = self._STRETCH
        sums = unit.cumsum(0)
        stretches = sums[n - 1 :].copy()
        stretches[1:] -= sums[:-n]
        before, after = stretches[: -n - self._GAP], stretches[n + self._GAP :]
        still = np.minimum(np.abs(before), np.abs(after)) > 0.9 * n
        flipped = still & ((before * after.conj()).real < -0.75 * n * n)
        # The reversal is in the middle of those places that show it.
        at = (
            newest
            - self.HOPS
            + 1
            + n
            + (flipped * np.arange(len(flipped))[:, None]).sum(0) // np.maximum(flipped.sum(0), 1)
        )
        fresh = flipped.any(0) & (at > self._flip[c] + 8) & (at > start + 8)
        if not fresh.any():
            return
        c, at, start = c[fresh], at[fresh], start[fresh]
        since = np.stack([at - start, at - self._flip[c]])
        since[1, self._flip[c] < 0] = 0
        periods = np.rint(since / self._PERIOD_HOPS)
        on_time = (periods >= 1) & (np.abs(since - periods * self._PERIOD_HOPS) <= 4)
        self._reversed[c] |= on_time.any(0)
        self._flip[c] = at
        self._calm[c] = at + 5

    def _modulation(self, length: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth of the 15 Hz line of amplitudes `[20, n]`, and the part of their variance that it explains."""
        length = length * (self._AM_HOPS / np.maximum(length.sum(0), 1e-9))
        depth: NDArray[np.float32] = np.abs(self._WAVE @ length) * np.float32(2 / self._AM_HOPS)
        part: NDArray[np.float32] = depth**2 * (self._AM_HOPS / 2) / np.maximum(np.square(length - 1).sum(0), 1e-9)
        return depth, part
