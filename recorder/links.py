"""Copies of one call: which recordings may be copies of another, and whether their sound says so.

A link is two rows that name each other, the copy and its principal (`acts`); the principal is the one on the PBX's
trunk line, which has the exchange's number. A principal may have several copies (a call that went from one extension
to another), a copy has one principal, and nothing is both. What happens to one of them, the trash included, does not
touch the others.
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from dsp.g711 import Law
from dsp.levels import FLOOR_DBM0
from recorder import likeness
from recorder import tables as tb
from recorder.errors import RecordingError, RefusedError
from recorder.layout import AUDIO_OFFSET
from recorder.likeness import FRAME, LAG_FRAMES, PIECE_FRAMES, Levels, Likeness
from recorder.model import RATE, Recording, State
from recorder.tables import ID_MAX, Tables

_NS = 1_000_000_000
_PAST = 4
"""So many recordings of a line that end before are looked past: keys follow a clock that is set back for a minute."""


def check(copy: Recording, principal: Recording) -> None:
    """Raises `RefusedError` where the two cannot be linked."""
    for row in (copy, principal):
        if row.state is State.LIVE:
            raise RefusedError(f"Recording {row.handle}: it is still being written. Link it when the call is over.")
        if row.copy_of is not None:
            raise RefusedError(f"Recording {row.handle}: it is a copy of {row.copy_of.handle}. Unlink it first.")
    if copy.copies:
        raise RefusedError(f"Recording {copy.handle}: it has copies itself. Name it as the principal, or unlink them.")
    if copy.handle == principal.handle:
        raise RefusedError(f"Recording {copy.handle}: it cannot be a copy of itself. Name the other one.")


def principal_of(row: Recording) -> str:
    """Raises `RefusedError` where it has none."""
    if row.copy_of is None:
        raise RefusedError(f"Recording {row.handle}: it is no copy of another. Reload the page.")
    return row.copy_of.handle


def overlap_s(one: Recording, other: Recording) -> float:
    """How long both were being recorded; negative: the time between them."""
    begin = max(one.start_utc_ns, other.start_utc_ns)
    return (min(_end_ns(one), _end_ns(other)) - begin) / _NS


def overlapping(txn: Any, tables: Tables, row: Recording, lines: Collection[int], most: int) -> list[Recording]:
    """At most `most` sealed recordings of these lines that share enough time with `row` to be compared, those first
    that end most nearly when it does."""
    found = [
        other
        for line in lines
        for other in _around(txn, tables, row, line)
        if other.state is State.SEALED and overlap_s(row, other) >= likeness.LEAST_S
    ]
    return sorted(found, key=lambda other: abs(_end_ns(other) - _end_ns(row)))[:most]


def _around(txn: Any, tables: Tables, row: Recording, line: int) -> Iterator[Recording]:
    """The recordings of a line that overlap with `row`, and few others."""
    cursor = txn.cursor(db=tables["line"])
    line_key, last = tb.line_key(line), tb.key(min(row.id + _ticks(row), ID_MAX))
    if not cursor.set_key(line_key) or not (cursor.set_range_dup(line_key, last) or _last(cursor, line_key)):
        return
    past = 0
    for key in cursor.iterprev_dup(keys=False, values=True):
        tested = tb.decode_tested(data := txn.get(key, db=tables["rows"]))
        if tested.start_utc_ns + tested.samples * 125_000 > row.start_utc_ns:
            yield tb.unpack(tb.unkey(key), tb.decode_row(data))
        elif (past := past + 1) >= _PAST:
            return


def _last(cursor: Any, line_key: bytes) -> bool:
    return bool(cursor.set_key(line_key) and cursor.last_dup())


def _ticks(row: Recording) -> int:
    """From the id of its start to the least id after its end."""
    return (row.samples // (RATE // 1000) + 1) << 16


def _end_ns(row: Recording) -> int:
    return row.start_utc_ns + row.samples * 125_000


def likeness_of(data: Path, copy: Recording, principal: Recording, pause: Callable[[], object]) -> Likeness:
    """Compares the sound of two sealed recordings under the data folder; `pause` is called between the pieces.

    Raises `RecordingError` where one cannot be read."""
    begin_ns = max(copy.start_utc_ns, principal.start_utc_ns)
    with _opened(data, copy) as one, _opened(data, principal) as other:

        def pieces() -> Iterator[tuple[Levels, Levels]]:
            for at_s in likeness.pieces_of(overlap_s(copy, principal)):
                pause()
                at_ns = begin_ns + round(at_s * _NS)
                yield _levels(one, copy, at_ns, 0), _levels(other, principal, at_ns, LAG_FRAMES)

        return likeness.compare(pieces())


@contextmanager
def _opened(data: Path, row: Recording) -> Iterator[int]:
    try:
        fd = os.open(data / row.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise RecordingError(
            f"{data / row.path}: it cannot be compared with another recording: {error}. Fetch it from the backup."
        ) from error


def _levels(fd: int, row: Recording, at_ns: int, around: int) -> Levels:
    """Of the piece that begins at this time, and `around` frames before and after it; what lies outside is silent."""
    first = round((at_ns - row.start_utc_ns) / 125_000) - around * FRAME
    end = first + (PIECE_FRAMES + 2 * around) * FRAME
    inside = max(first, 0)
    law_bytes = np.frombuffer(os.pread(fd, min(end, row.samples) - inside, AUDIO_OFFSET + inside), np.uint8)
    skipped = -(-(inside - first) // FRAME)
    found = likeness.levels(law_bytes[skipped * FRAME - (inside - first) :], cast(Law, row.law))
    whole = np.full(PIECE_FRAMES + 2 * around, FLOOR_DBM0, np.float32)
    whole[skipped : skipped + found.size] = found
    return whole
