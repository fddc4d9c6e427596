"""A card's samples against the clock, on arrivals drawn as a busy machine makes them."""

import numpy as np
import pytest

from firmware.cards.card_time import SAMPLE_NS, CardTime

BLOCK_NS = 160 * SAMPLE_NS


def arrivals(blocks: int, *, drift: float, seed: int) -> list[int]:
    """When each block is there: a card slow by `drift`, most reads prompt, one in ten up to 15 ms late."""
    rng = np.random.default_rng(seed)
    late = np.where(rng.random(blocks) < 0.1, rng.uniform(0, 15e6, blocks), rng.uniform(0, 2e5, blocks))
    return [round((i + 1) * BLOCK_NS * (1 + drift) + d) for i, d in enumerate(late.tolist())]


@pytest.mark.parametrize("drift", [-1e-4, 0.0, 3e-5, 1e-4])
def test_nothing_is_missing_however_late_single_blocks_are(drift: float) -> None:
    card = CardTime()
    behind = []
    for i, ns in enumerate(arrivals(50 * 180, drift=drift, seed=1)):
        end = (i + 1) * 160
        behind.append(card.missing(end, ns))
        card.arrived(end, ns)
    # Of every second at least one block came as it should.
    assert max(min(behind[i : i + 50]) for i in range(0, len(behind), 50)) <= 8
    assert max(behind) <= 15 * 8 + 8


@pytest.mark.parametrize("drift", [-1e-4, 0.0, 1e-4])
@pytest.mark.parametrize("lost", [80, 1600, 8000 * 20])
def test_a_gap_is_measured_to_a_millisecond(drift: float, lost: int) -> None:
    card = CardTime()
    times = arrivals(50 * 120 + lost // 160 + 100, drift=drift, seed=2)
    before = 50 * 120
    for i, ns in enumerate(times[:before]):
        card.arrived((i + 1) * 160, ns)
    resumed = round((before * 160 + lost + 160) * SAMPLE_NS * (1 + drift))
    assert card.missing((before + 1) * 160, resumed) == pytest.approx(lost, abs=8)


def test_the_card_s_rate_is_known_after_a_minute() -> None:
    card = CardTime()
    assert card.missing(160, 10**9) == 0 and card.drift == 0
    for i, ns in enumerate(arrivals(50 * 70, drift=4e-5, seed=3)):
        card.arrived((i + 1) * 160, ns)
    assert card.drift == pytest.approx(4e-5, abs=5e-6)
    card.forget()
    assert card.drift == 0
