"""Two cards on crossed spans, and their sound: channel n of the first span is wired to channel n of the second."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.cards import Block, CardError, ChannelStatus, LineEvent, LineEventKind
from firmware.cards.dahdi import DahdiCard, Port, Role

SPAN = 32
"""Channels of a span."""
CHANNELS_CONF = Path("/run/tests/channels.conf")
"""For dahdi_cfg: what the channels are, without the spans."""


def stations(*channels: int, role: Role = Role.STATION) -> DahdiCard:
    """A card on telephones' ports, lines numbered as the channels are."""
    return DahdiCard("telephones", channels, [Port(c, role) for c in channels], law="ulaw", ahead_blocks=24)


def lines(*channels: int, role: Role = Role.TRUNK) -> DahdiCard:
    """A card on the other ends, lines numbered as the channels that they are wired to."""
    return DahdiCard("exchange", channels, [Port(c + SPAN, role) for c in channels], law="ulaw", ahead_blocks=24)


class Reader:
    """Reads a card in a thread of its own, as a pump does, and keeps everything, or only the newest block."""

    def __init__(self, card: DahdiCard, keep: bool = True) -> None:
        self.card, self._keep = card, keep
        self.blocks: list[Block] = []
        self._read = 0
        self.failure: BaseException | None = None
        self._more = threading.Condition()
        self._go = threading.Event()
        self._go.set()
        self._stop = False
        self._stalled = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self.card.start()
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop:
                if not self._go.is_set():
                    self._stalled.set()
                    self._go.wait()
                block = self.card.read()
                with self._more:
                    if not self._keep:
                        self.blocks.clear()
                    self.blocks.append(block)
                    self._read += 1
                    self._more.notify_all()
        except (CardError, AssertionError, OSError, ValueError) as failure:
            self.failure = failure
            with self._more:
                self._more.notify_all()

    def stall(self, on: bool) -> None:
        """Nobody reads any more, or again."""
        if on:
            self._stalled.clear()
            self._go.clear()
            assert self._stalled.wait(10)
        else:
            self._go.set()

    def stop(self) -> None:
        self._stop = True
        self._go.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.card.close()

    def wait_for(self, enough: Callable[[list[Block]], bool], timeout_s: float = 60) -> None:
        """Until `enough(blocks)`, which is asked with every block that comes."""
        with self._more:
            done = self._more.wait_for(lambda: self.failure is not None or enough(self.blocks), timeout_s)
        if self.failure is not None:
            raise self.failure
        assert done, f"not within {timeout_s} s; events so far: {self.events()}"

    def wait_blocks(self, more: int) -> None:
        want = self._read + more
        self.wait_for(lambda _: self._read >= want)

    def wait_until(self, sample: int) -> None:
        self.wait_for(lambda blocks: bool(blocks) and blocks[-1].first_sample >= sample)

    def events(self) -> list[LineEvent]:
        return [event for block in list(self.blocks) for event in block.events]

    def wait_event(self, line: int, kind: LineEventKind, after: int = 0) -> LineEvent:
        """The first of its kind at or after sample `after`."""
        place = self.card.lines.index(line)

        def found() -> LineEvent | None:
            return next((e for e in self.events() if e.channel == place and e.kind is kind and e.sample >= after), None)

        self.wait_for(lambda _: found() is not None)
        event = found()
        assert event is not None
        return event

    @property
    def now(self) -> int:
        return self.blocks[-1].first_sample + 160 if self.blocks else 0

    def heard(self, line: int) -> NDArray[np.uint8]:
        """All blocks of a line, one behind the other."""
        place = self.card.lines.index(line)
        return np.concatenate([block.law[place] for block in list(self.blocks)])

    def missing(self) -> int:
        """Blocks of a channel that were not OK."""
        return sum(int((block.status != ChannelStatus.OK).sum()) for block in list(self.blocks))


@contextmanager
def reading(*cards: DahdiCard, keep: bool = True) -> Iterator[list[Reader]]:
    readers = [Reader(card, keep) for card in cards]
    try:
        for reader in readers:
            reader.start()
        yield readers
    finally:
        for reader in readers:
            reader.stop()


def noise(seconds: float, seed: int) -> NDArray[np.uint8]:
    """Bytes of which no eight in a row come twice: where they are heard says which were sent."""
    return np.random.default_rng(seed).integers(0, 256, round(8000 * seconds), dtype=np.uint8)


def place_of(sent: NDArray[np.uint8], heard: NDArray[np.uint8]) -> int:
    """Where in `heard` all of `sent` stands, in one piece; an AssertionError says which pieces were heard where."""
    whole, text = heard.tobytes(), sent.tobytes()
    found = whole.find(text)
    if found < 0:
        raise AssertionError(f"{sent.size} bytes were sent; heard (place, from, to): {_pieces(whole, text)}")
    return found


def _pieces(whole: bytes, text: bytes) -> list[tuple[int, int, int]]:
    pieces, at = [], 0
    while at + 16 <= len(text):
        found = whole.find(text[at : at + 16])
        if found < 0:
            at += 8
            continue
        end = at + 16
        while end < len(text) and whole[found + end - at : found + end - at + 1] == text[end : end + 1]:
            end += 1
        pieces.append((found, at, end))
        at = end
    return pieces
