"""The simulated card: a subscriber plant in software that delivers what a real card would.

Every call is rendered before it is heard: by a worker beside the reader where the card keeps real time, by the reader
itself where it does not, with the same outcome. What is left for `read` is one gather for all channels, and a heap of
the few places where a line changes to another piece of sound, lifts its hook or rings. Requests from other threads
take effect at the next block.

Weak points: hook, ringing and sound change on block boundaries only; lines never call each other.
"""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp import g711
from dsp.zones import Zone
from firmware.cards import BLOCK, Block, CardError, ChannelStatus, Law, LineEvent, LineEventKind
from firmware.cards.simulated.board import Board
from firmware.cards.simulated.files import compand_audio, load_law, sound_files
from firmware.cards.simulated.material import Material
from firmware.cards.simulated.pace import Pace
from firmware.cards.simulated.plant import draw_plant
from firmware.cards.simulated.pool import Pool
from firmware.cards.simulated.scenario import Direction
from firmware.cards.simulated.script import CallPlan, from_audio
from firmware.cards.simulated.signals import EXCHANGES
from firmware.cards.simulated.studio import Studio
from firmware.cards.simulated.traffic import Traffic
from firmware.clock import raw_ns

_PLANTS = 16
"""Lines above this share the plants of those below."""
_OWN_TALK_LINES = 64
"""Cards with more lines share their conversations."""
_POOL_BYTES = 1 << 30
_LONGEST_WAIT_S = 600
_MOST_RINGS = 50


class SimulatedCard:
    """A `firmware.cards.Card`. `lines` are the box's numbers of its channels; `cache` keeps what was spoken."""

    kind = "simulated"
    simulated = True

    def __init__(
        self,
        name: str,
        lines: tuple[int, ...],
        cache: Path,
        *,
        law: Law = "alaw",
        zone: Zone = "cn",
        seed: int = 1,
        paced: bool = True,
        scenario: bool = True,
        polarity: bool = True,
        now_ns: Callable[[], int] = raw_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.lines, self.law, self.paced = name, lines, law, paced
        self._scenario, self._now_ns, self._sleep = scenario, now_ns, sleep
        self._material = Material(cache)
        plants = [draw_plant(seed, i, EXCHANGES[zone].mains_hz) for i in range(min(len(lines), _PLANTS))]
        pool = Pool(_POOL_BYTES)
        self._studio = Studio(
            pool, law, zone, seed, self._material, share_talk=len(lines) > _OWN_TALK_LINES, polarity=polarity
        )
        self._plants = plants
        self._worker = ThreadPoolExecutor(1, f"{name}-render") if paced else None
        self._traffic = Traffic(self._studio, plants, seed, self._worker)
        self._board = Board(len(lines), pool, self._studio, plants, seed, self._line_free)
        self._lock = threading.Lock()
        self._sample = 0
        """Of the next block."""
        self._pace: Pace | None = None
        self._status = np.full(len(lines), ChannelStatus.OK, np.uint8)
        self._lost = np.full(len(lines), ChannelStatus.LOST, np.uint8)

    def start(self) -> None:
        """Raises CardError where the scenario's material is not installed."""
        with self._lock:
            if self._scenario:
                self._material.check()
                self._traffic.start(len(self.lines), self._sample)
            self._pace = Pace(self._now_ns, self._sleep) if self.paced else None

    def read(self) -> Block:
        lost, burst = self._pace.next_block() if self._pace else (False, 0)
        with self._lock:
            sample = self._sample
            self._traffic.run(self._board, sample)
            law, volts, events = self._board.block(sample)
            self._sample += BLOCK
        if burst:
            # A driver reports each channel once for a whole burst; a burst is rare enough for this loop.
            overruns = (LineEvent(sample, channel, LineEventKind.OVERRUN, burst) for channel in range(len(self.lines)))
            events = (*overruns, *events)
        if lost:
            law[:] = g711.IDLE[self.law]
        return Block(sample, law, self._lost if lost else self._status, volts, events)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)

    def call(
        self,
        line: int,
        *,
        audio: Path | NDArray[Any],
        caller: str | None = None,
        callee: str | None = None,
        law_exact: bool = False,
        answer_after_s: float | None = None,
        rings: int | None = None,
    ) -> CallPlan:
        """Put `audio` on a line as a call, from the next block on: outgoing to `callee`, or incoming from `caller`
        (None: number withheld). It is a file, or samples at 8000 a second: int16, floats up to 1.0, or companded uint8.

        Answered `answer_after_s` after the first ring (which may be before the caller's number could come) or the
        last digit; else during ring `rings` (2), or 2 s after the digits. With `law_exact` nothing is added to the
        audio and everything else but digits and caller ID is the idle byte; without, the line adds noise and hum.
        Raises CardError if the line is busy or cut, or an argument is wrong."""
        channel = self._channel(line)
        number, direction = self._party(caller, callee)
        _check_answer(line, answer_after_s, rings)
        self._refuse(channel)
        script = from_audio(
            self._studio, self._plants[channel % len(self._plants)], line, direction, number, self._law_bytes(audio),
            law_exact=law_exact, answer_after_s=answer_after_s, rings=rings,
        )  # fmt: skip
        with self._lock:
            try:
                self._refuse(channel)
            except CardError:
                # Another request was quicker while this one was being rendered.
                for piece in script.pieces:
                    self._studio.free(piece)
                raise
            return replace(self._board.begin(channel, script, self._sample), line=line)

    def replay(self, folder: Path, over_s: float | None = None, *, first: int = 0, every: int = 1) -> int:
        """Play the sound files of `folder` in order of their names, untouched: as lines become free, or spread over
        `over_s` seconds as traffic would be. Of a folder that several cards share, each takes every so manieth file
        from its own first on. Answers how many calls that makes; raises CardError for a bad file."""
        if over_s is not None and not 0 < over_s <= 7 * 86400:
            raise CardError(f"A folder cannot be replayed over {over_s} s. Remedy: more than 0 s, at most a week")
        paths = sound_files(folder)[first::every]
        with self._lock:
            self._traffic.replay(paths, self._sample, over_s)
        return len(paths)

    def set_scenario(self, on: bool) -> None:
        """Start or stop the calls that come by themselves. Raises CardError where their material is missing."""
        if on:
            self._material.check()
        with self._lock:
            if on and not self._traffic.on:
                self._traffic.start(len(self.lines), self._sample)
            elif not on:
                self._traffic.stop()

    def cut(self, line: int, on: bool) -> None:
        """Cut a line (its call, if any, breaks off and its volts fall to 0), or mend it."""
        channel = self._channel(line)
        with self._lock:
            self._board.set_cut(channel, on, self._sample)
            if not on:
                self._traffic.free(channel, self._sample, cut=False)

    def _line_free(self, channel: int, sample: int) -> None:
        self._traffic.free(channel, sample, bool(self._board.cut[channel]))

    def _channel(self, line: int) -> int:
        if line not in self.lines:
            raise CardError(
                f"Line {line} is not on card {self.name}. Remedy: one of lines {self.lines[0]} to {self.lines[-1]}"
            )
        return self.lines.index(line)

    def _refuse(self, channel: int) -> None:
        line = self.lines[channel]
        if self._board.cut[channel]:
            raise CardError(f"Line {line} is cut and cannot take a call. Remedy: linekeep sim cut {line} --mend")
        if self._board.busy[channel]:
            raise CardError(f"Line {line} is in use. Remedy: wait until it is idle, or take another line")

    def _law_bytes(self, audio: Path | NDArray[Any]) -> NDArray[np.uint8]:
        if isinstance(audio, Path):
            return load_law(audio, self.law)
        return audio if audio.dtype == np.uint8 and audio.ndim == 1 and audio.size else compand_audio(audio, self.law)

    def _party(self, caller: str | None, callee: str | None) -> tuple[str, Direction]:
        if caller is not None and callee is not None:
            raise CardError(f"A call is from {caller} or to {callee}, not both. Remedy: give caller or callee")
        if callee is not None:
            if not re.fullmatch(r"[0-9*#A-D]{1,32}", callee):
                raise CardError(f"{callee!r} cannot be dialled. Remedy: 1 to 32 of the digits 0-9 * # A-D")
            return callee, "out"
        if caller and not re.fullmatch(r"\+?[0-9*#]{1,20}", caller):
            raise CardError(f"{caller!r} is no caller's number. Remedy: at most 20 digits, or none for a withheld one")
        return caller or "", "in"


def _check_answer(line: int, answer_after_s: float | None, rings: int | None) -> None:
    if answer_after_s is not None and not 0 <= answer_after_s <= _LONGEST_WAIT_S:
        raise CardError(f"Line {line} cannot be answered after {answer_after_s} s. Remedy: 0 to {_LONGEST_WAIT_S} s")
    if rings is not None and not 1 <= rings <= _MOST_RINGS:
        raise CardError(f"Line {line} cannot be answered at ring {rings}. Remedy: 1 to {_MOST_RINGS}")
