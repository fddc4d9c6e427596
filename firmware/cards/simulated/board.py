"""The state of every line of a simulated card, and what moves it: the steps of the scripts being played.

What a block needs stands in arrays, one entry a channel: where in the pool its sound lies, since which sample it
plays, the volts of its loop. A heap holds the next step of every call; a block costs one gather and as many turns of
the heap as lines change in it.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firmware.cards import BLOCK, LineEvent, LineEventKind
from firmware.cards.simulated.plant import LinePlant
from firmware.cards.simulated.pool import Piece, Pool
from firmware.cards.simulated.script import CallPlan, Script, Step
from firmware.cards.simulated.studio import Studio

_RIPPLE_BLOCKS = 64


@dataclass(slots=True)
class _Play:
    script: Script
    first_sample: int
    token: int
    """Steps on the heap that carry another one belong to a call that was cut off."""
    ringing: bool = False
    reversed: bool = False


class Board:
    """`finished` is called with the channel and the sample when a line becomes free. Not thread-safe."""

    def __init__(
        self, channels: int, pool: Pool, studio: Studio, plants: list[LinePlant], seed: int,
        finished: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self._pool, self._studio, self._plants, self._finished = pool, studio, plants, finished
        # A row for each channel: a larger card has the same lines and more.
        drawn = np.random.default_rng([seed, 0x40]).random((channels, 3))
        ripple = np.random.default_rng([seed, 0x41]).normal(1.0, 0.004, (channels, _RIPPLE_BLOCKS))
        self._on_volts = (46.0 + 4.0 * drawn[:, 0]).astype(np.float32)
        self._off_volts = (6.5 + 5.0 * drawn[:, 1]).astype(np.float32)
        self._phase = (50 * drawn[:, 2]).astype(np.int64) * BLOCK
        self._ripple = np.ascontiguousarray(ripple.clip(0.98, 1.02).T, np.float32)
        self._volts = self._on_volts.copy()
        self._address = np.zeros(channels, np.int64)
        self._length = np.full(channels, BLOCK, np.int64)
        self._since = np.zeros(channels, np.int64)
        self._plays: dict[int, _Play] = {}
        self._heap: list[tuple[int, int, int, int]] = []
        self._tokens = 0
        self._events: list[LineEvent] = []
        self.cut = np.zeros(channels, np.bool_)
        self.busy = np.zeros(channels, np.bool_)
        self.free_since = np.zeros(channels, np.int64)
        for channel in range(channels):
            self._rest(channel)

    def begin(self, channel: int, script: Script, sample: int) -> CallPlan:
        """Play `script` on this free line from `sample` (of a block not yet read) on."""
        assert not self.busy[channel] and not self.cut[channel]
        self._tokens += 1
        self._plays[channel] = _Play(script, sample, self._tokens)
        self.busy[channel] = True
        heapq.heappush(self._heap, (sample, channel, self._tokens, 0))
        return replace(script.plan.shifted(sample), line=channel)

    def set_cut(self, channel: int, on: bool, sample: int) -> None:
        """Cut the loop, which drops its call, or mend it."""
        if on == self.cut[channel]:
            return
        self.cut[channel] = on
        play = self._plays.get(channel)
        if on and play is not None:
            if play.ringing:
                self._report(channel, sample, LineEventKind.RING_OFF, 0)
            if play.reversed:
                self._report(channel, sample, LineEventKind.POLARITY, 0)
            self._end(channel, play, sample)
        else:
            self._rest(channel)

    def block(self, sample: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], tuple[LineEvent, ...]]:
        """`law[channels, BLOCK]`, `volts[channels]` and the events of the block that begins at `sample`."""
        while self._heap and self._heap[0][0] <= sample:
            _, channel, token, index = heapq.heappop(self._heap)
            play = self._plays.get(channel)
            if play is not None and play.token == token:
                self._step(channel, play, index)
        at = self._address + (sample - self._since) % self._length
        law: NDArray[np.uint8] = self._pool.frames[at].view(np.uint8).reshape(-1, BLOCK)
        volts = self._volts * self._ripple[sample // BLOCK % _RIPPLE_BLOCKS]
        events, self._events = tuple(self._events), []
        return law, volts, events

    def _step(self, channel: int, play: _Play, index: int) -> None:
        step = play.script.steps[index]
        self._do(channel, play, step, play.first_sample + step.at)
        if index + 1 < len(play.script.steps):
            following = play.first_sample + play.script.steps[index + 1].at
            heapq.heappush(self._heap, (following, channel, play.token, index + 1))
        else:
            self._end(channel, play, play.first_sample + step.at)

    def _do(self, channel: int, play: _Play, step: Step, sample: int) -> None:
        if step.piece is not None:
            self._sound(channel, step.piece, sample)
        if step.hook is not None:
            self._volts[channel] = (self._off_volts if step.hook == "off" else self._on_volts)[channel]
        for kind, value in step.events:
            play.ringing = (kind is LineEventKind.RING_ON) if kind is not LineEventKind.POLARITY else play.ringing
            play.reversed = bool(value) if kind is LineEventKind.POLARITY else play.reversed
            self._report(channel, sample, kind, value)

    def _end(self, channel: int, play: _Play, sample: int) -> None:
        del self._plays[channel]
        for piece in play.script.pieces:
            self._studio.free(piece)
        self.busy[channel] = False
        self.free_since[channel] = sample
        self._rest(channel)
        self._finished(channel, sample)

    def _rest(self, channel: int) -> None:
        """Nobody uses the line."""
        if self.cut[channel]:
            self._volts[channel] = 0.0
            self._sound(channel, self._studio.dead(), 0)
        else:
            self._volts[channel] = self._on_volts[channel]
            quiet = self._studio.quiet(self._plants[channel % len(self._plants)])
            self._sound(channel, quiet, -int(self._phase[channel]))

    def _sound(self, channel: int, piece: Piece, since: int) -> None:
        self._address[channel], self._length[channel], self._since[channel] = piece.address, piece.samples, since

    def _report(self, channel: int, sample: int, kind: LineEventKind, value: int) -> None:
        self._events.append(LineEvent(sample, channel, kind, value))
