"""The benchmark runs, tiny, so that it cannot rot."""

from tests.bench.card_bench import card_figures


def test_the_cost_of_reading_a_card_can_be_measured() -> None:
    (row,) = card_figures(tiny=True)
    assert row["channels"] == 4 and row["system_calls"] == 6 and row["us_a_tick"] > 0
