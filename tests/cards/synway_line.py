"""Lines for tests of Synway cards: compiles `synway_line.c`, a library of our own that exports what the vendor's would
(by its public documentation), and plays with its lines."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from firmware.cards import Block, LineEvent, LineEventKind
from firmware.cards.synway import SynwayCard

SOURCE = Path(__file__).with_suffix(".c")
PATTERN_SAMPLES = 64_000
"""The pattern of a channel repeats after a little more than this."""
_PLAYED = """
    void line_play(int blocks);
    void line_pass(void);
    void line_run(void);
    int line_starts(void);
    int line_begun(int ch);
    int line_impatient(void);
    const char *line_file(void);
    void line_volts(int ch, int volts);
    void line_state(int ch, int state);
    void line_ring(int ch, int on);
    void line_caller(int ch, const char *number);
    void line_digit(int ch, int digit);
    void line_polarity(int ch, int reversed);
    void line_hook(int ch, int lifted);
    void line_silent(int ch, int silent);
    void line_ends(int ch);
    void line_skips(int samples);
"""


def compiled(folder: Path, *options: str) -> Path:
    """The library, with both ini files beside it, and the header that a wide DWORD needs to be known by."""
    library = folder / "libshpa3api.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread", *options, str(SOURCE), "-o"]
    subprocess.run([*command, str(library)], check=True, capture_output=True, text=True)
    for name in ("ShConfig.ini", "ShIndex.ini"):
        (folder / name).touch()
    return library


def lines_of(library: Path) -> Any:
    """What a test may do to the lines."""
    ffi = FFI()
    ffi.cdef(_PLAYED)
    return ffi.dlopen(str(library))


@contextmanager
def playing(card: SynwayCard, lines: Any) -> Iterator[SynwayCard]:
    """The card, started, and closed in the end."""
    try:
        start(card, lines)
        yield card
    finally:
        card.close()


def start(card: SynwayCard, lines: Any) -> None:
    """Time passes, as fast as it does, while the card is started."""
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(card.start)
        while not started.done():
            lines.line_pass()
        started.result()
    assert card._share is not None
    card._share.ring.begin()  # Without what still came after its last look.


def blocks(card: SynwayCard, lines: Any, count: int) -> list[Block]:
    """So many blocks, each played and read; their arrays are the caller's."""
    read = []
    for _ in range(count):
        lines.line_play(1)
        block = card.read()
        read.append(Block(block.first_sample, block.law.copy(), block.status.copy(), block.volts, block.events))
    return read


def audio(read: list[Block]) -> NDArray[np.uint8]:
    """`[channels, samples]`"""
    return np.concatenate([block.law for block in read], axis=1)


def events(read: list[Block], *kinds: LineEventKind) -> list[LineEvent]:
    return [event for block in read for event in block.events if not kinds or event.kind in kinds]


@cache
def pattern(channel: int) -> NDArray[np.uint8]:
    """What the library plays on a channel, twice round."""
    k = np.arange(2 * PATTERN_SAMPLES)
    return (k * 7 + channel * 31 + k // 251).astype(np.uint8)


def position(channel: int, heard: NDArray[np.uint8]) -> int:
    """Where in its pattern this piece stands; -1: nowhere, so it is not bit-exact."""
    return pattern(channel).tobytes().find(heard.tobytes())
