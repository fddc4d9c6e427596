"""What comes by itself: the calls of the scenario, and folders being replayed.

A script is made before it is due, by a worker where the card keeps real time, else at the moment it is due. It does not
depend on which, so the same seed plays the same calls. A scenario call that falls due while its line is otherwise
used or cut waits until the line is free again.
"""

import heapq
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware.cards import CardError
from firmware.cards.simulated.board import Board
from firmware.cards.simulated.files import load_law
from firmware.cards.simulated.plant import RATE, LinePlant, whole_blocks
from firmware.cards.simulated.scenario import Direction, Intent, intent
from firmware.cards.simulated.script import Script, from_audio, from_intent
from firmware.cards.simulated.studio import Studio

_log = logging.getLogger(__name__)
_AFTER_OTHERS = 2 * RATE
"""Idle before a call that had to wait."""
_REPLAY_PAUSE = 3 * RATE
"""Idle of a line between two replayed calls."""

Make = Callable[[], Script]


@dataclass(frozen=True, slots=True)
class _File:
    due: int
    path: Path
    direction: Direction
    number: str


class Traffic:
    """Not thread-safe; `worker` None renders at the moment of need."""

    def __init__(self, studio: Studio, plants: list[LinePlant], seed: int, worker: ThreadPoolExecutor | None) -> None:
        self._studio, self._plants, self._seed, self._worker = studio, plants, seed, worker
        self._counts: dict[int, int] = {}
        """Calls of the scenario already planned, a line."""
        self._planned: dict[int, Make] = {}
        """The next call of the scenario, a line."""
        self._due: list[tuple[int, int]] = []
        self._waiting: set[int] = set()
        """Channels whose planned call fell due at the wrong moment."""
        self._playing: set[int] = set()
        """Channels on which a call of the scenario is being played."""
        self._files: deque[_File] = deque()
        self._next_file: Future[Script] | None = None
        self.on = False

    def start(self, channels: int, sample: int) -> None:
        """Let the scenario run, or run on."""
        self.on = True
        # In order of their start, so that the worker makes the first one first.
        fresh = [channel for channel in range(channels) if channel not in self._planned]
        intents = {channel: self._intent(channel) for channel in fresh}
        for channel in sorted(fresh, key=lambda channel: intents[channel].gap_s):
            if channel not in self._playing:
                self._plan(channel, sample)
        for channel in sorted(self._waiting):
            heapq.heappush(self._due, (whole_blocks(sample + _AFTER_OTHERS), channel))
        self._waiting.clear()

    def stop(self) -> None:
        """No further calls; those that are being played go on to their end."""
        self.on = False

    def replay(self, paths: list[Path], sample: int, over_s: float | None) -> None:
        """Play these after one another as lines become free, or spread over that many seconds."""
        rng = np.random.default_rng([self._seed, len(paths), 0x50])
        spread = np.zeros(len(paths)) if over_s is None else np.sort(rng.uniform(0, over_s, len(paths)))
        for i, (path, after_s) in enumerate(zip(paths, spread, strict=True)):
            other = intent(self._seed, 1_000_000 + i, 1, self._studio.zone)
            self._files.append(_File(sample + int(after_s * RATE), path, other.direction, other.number))

    def run(self, board: Board, sample: int) -> None:
        """Begin what is due at `sample`."""
        while self._due and self._due[0][0] <= sample:
            at, channel = heapq.heappop(self._due)
            if self.on and not board.busy[channel] and not board.cut[channel]:
                self._playing.add(channel)
                board.begin(channel, self._planned.pop(channel)(), at)
            else:
                self._waiting.add(channel)
        if self._files:
            self._run_files(board, sample)

    def free(self, channel: int, sample: int, cut: bool) -> None:
        """This line has become free, or was mended."""
        if channel in self._playing:
            self._playing.discard(channel)
            self._plan(channel, sample)
        if channel in self._waiting and self.on and not cut:
            self._waiting.discard(channel)
            heapq.heappush(self._due, (whole_blocks(sample + _AFTER_OTHERS), channel))

    def _intent(self, channel: int) -> Intent:
        return intent(self._seed, channel + 1, self._counts.get(channel, 0), self._studio.zone)

    def _plan(self, channel: int, sample: int) -> None:
        planned = self._intent(channel)
        self._counts[channel] = self._counts.get(channel, 0) + 1
        plant = self._plants[channel % len(self._plants)]
        self._planned[channel] = self._early(lambda: from_intent(self._studio, plant, channel, planned))
        heapq.heappush(self._due, (whole_blocks(sample + int(planned.gap_s * RATE)), channel))

    def _early(self, make: Make) -> Make:
        return make if self._worker is None else self._worker.submit(make).result

    def _run_files(self, board: Board, sample: int) -> None:
        """One file is kept ready; it begins on the line that has been free longest."""
        while self._files:
            file = self._files[0]
            if self._worker is not None and self._next_file is None:
                self._next_file = self._worker.submit(self._make_file, file)
            ready = self._next_file is None or self._next_file.done()
            free = np.flatnonzero(~(board.busy | board.cut) & (board.free_since + _REPLAY_PAUSE <= sample))
            if file.due > sample or not ready or not free.size:
                return
            self._files.popleft()
            done, self._next_file = self._next_file, None
            try:
                script = done.result() if done is not None else self._make_file(file)
            except CardError as error:
                # The file was fine when the folder was looked through; the others go on.
                _log.error("Replay leaves out a file: %s", error)
                continue
            board.begin(int(free[np.argmin(board.free_since[free])]), script, sample)

    def _make_file(self, file: _File) -> Script:
        law_bytes = load_law(file.path, self._studio.law)
        return from_audio(self._studio, self._plants[0], 0, file.direction, file.number, law_bytes, law_exact=True)
