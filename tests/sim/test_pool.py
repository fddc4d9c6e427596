"""The pool gives what was put in, wherever it lies, and takes it back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.cards import BLOCK, CardError
from firmware.cards.simulated.pool import Piece, Pool


def frame(pool: Pool, piece: Piece, at: int) -> bytes:
    return bytes(pool.frames[piece.address + at])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 6), st.booleans(), st.integers(0, 30)), max_size=40))
def test_pieces_keep_their_bytes_while_others_come_and_go(acts: list[tuple[int, bool, int]]) -> None:
    pool = Pool(1 << 20)
    kept: list[tuple[Piece, bytes]] = []
    for number, (blocks, drop, which) in enumerate(acts):
        if drop and kept:
            pool.free(kept.pop(which % len(kept))[0])
        else:
            content = np.full(blocks * BLOCK, number, np.uint8)
            content[::7] = which
            kept.append((pool.add(content), content.tobytes()))
        for piece, content_bytes in kept:
            looped = content_bytes * 2
            assert all(frame(pool, piece, at) == looped[at : at + BLOCK] for at in range(0, piece.samples, 80))
    for piece, _ in kept:
        pool.free(piece)
    whole = pool.add(np.zeros((1 << 20) // BLOCK * BLOCK - 2 * BLOCK, np.uint8))
    assert whole.address == 0, "freed pieces did not become one hole again"


def test_shared_pieces_are_rendered_once_and_stay() -> None:
    pool, rendered = Pool(1 << 20), []

    def render() -> np.ndarray:
        rendered.append(1)
        return np.ones(BLOCK, np.uint8)

    first, second = pool.share("tone", render), pool.share("tone", render)
    pool.free(first)
    assert first == second == pool.share("tone", render)
    assert rendered == [1]


def test_a_full_pool_says_so() -> None:
    pool = Pool(10 * BLOCK)
    with pytest.raises(CardError, match=r"has no room.*Remedy"):
        pool.add(np.zeros(20 * BLOCK, np.uint8))
