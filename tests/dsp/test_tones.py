"""The tone bank: what it says of known tones, and its rings."""

import numpy as np
import pytest

from dsp.tones import HOP, RING, Above, Bank

HZ = (450.0, 697.0, 1209.0, 2100.0)


def bank_after(x: np.ndarray, **groups: tuple[float, ...]) -> Bank:
    bank = Bank(x.shape[0], HZ, groups)
    for at in range(0, x.shape[1], 160):
        bank.input[:] = x[:, at : at + 160]
        bank.step()
    return bank


def tone(hz: float, samples: int, mean_square: float = 1.0) -> np.ndarray:
    wave = np.sqrt(2 * mean_square) * np.sin(2 * np.pi * hz / 8000 * np.arange(samples))
    return np.asarray(wave, np.float32)


def test_power_energy_and_groups() -> None:
    x = np.stack([tone(450, 1600), tone(2100, 1600, 0.01), tone(50, 1600) + np.float32(0.3), np.zeros(1600, "f4")])
    bank = bank_after(x, two=(450.0, 2100.0))
    assert bank.power_20ms[bank.row(450), 0] == pytest.approx(2, rel=0.03)
    assert bank.power_20ms[bank.row(2100), 1] == pytest.approx(0.02, rel=0.03)
    assert bank.energy_20ms[:2] == pytest.approx([2, 0.02], rel=0.1) and bank.together["two"][0] > 1.9
    # Hum and offset are no energy; the level as it came leaves out the offset only.
    assert bank.energy_20ms[2] < 0.002 and bank.raw_20ms[2] > 0.1 and bank.energy_20ms[3] < 1e-9


def test_the_distance_from_the_banks_frequency_is_the_turn_of_the_phase() -> None:
    bank = bank_after(np.stack([tone(2107.0, 1600), tone(2093.5, 1600)]))
    off = bank.offset_hz(np.full(2, bank.row(2100)), np.arange(2))
    assert off == pytest.approx(np.array([[7, -6.5], [7, -6.5]]), abs=0.1)


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 30])
def test_the_rings_hold_the_last_hops_in_order(steps: int) -> None:
    x = np.random.default_rng(steps).normal(0, 0.1, (3, 160 * steps)).astype(np.float32)
    bank = bank_after(x, all=HZ)
    known = min(RING, 2 * steps)
    n = np.arange(x.shape[1]).reshape(-1, HOP)[-known:]
    for row, hz in enumerate(bank.grid_hz):
        turning = np.exp(-2j * np.pi * hz / 8000 * n) * np.sqrt(2) / HOP
        want = np.einsum("cht,ht->hc", x.reshape(3, -1, HOP)[:, -known:], turning)
        sums = bank.sums[bank.slots(known)]
        np.testing.assert_allclose(sums[:, row] + 1j * sums[:, len(bank.grid_hz) + row], want, atol=1e-5)
        np.testing.assert_allclose(bank.re[1:, row] + 1j * bank.im[1:, row], want[-2:], atol=1e-5)
    whole = (x.reshape(3, -1, HOP)[:, -known:] ** 2).mean(2).T
    totals = bank.energies[bank.slots(known)]
    assert (totals[:, 0] <= whole + 1e-6).all() and (totals[:, bank.group_row["all"]] <= whole).all()
    np.testing.assert_array_equal(bank.energy, bank.energies[bank.slots(RING)[-3:], 0])
    np.testing.assert_array_equal(bank.power, bank.energies[bank.slots(RING)[-3:], bank.power_row :])
    rows, channel = np.array([[0, 2], [1, 0]]), 2
    for ring, places in ((bank.sums, bank.places_of_sums), (bank.energies, bank.places_of_energies)):
        want = ring[bank.slots(known), rows[..., None], channel]
        np.testing.assert_array_equal(bank.flat.take(places(rows, known)[bank.turn] + channel), want)


def test_a_channel_does_not_depend_on_how_many_others_there_are_nor_on_other_tones() -> None:
    """Bit for bit: a decision must not hang on the company a channel is in."""
    x = np.random.default_rng(5).normal(0, 0.1, (530, 320)).astype(np.float32)
    many, few = bank_after(x, all=HZ), Bank(2, HZ[:1])
    for n in (1, 7, 8, 17, 24, 33, 96, 200, 451):
        some = bank_after(x[:n], all=HZ)
        np.testing.assert_array_equal(some.sums, many.sums[..., :n])
        np.testing.assert_array_equal(some.energies, many.energies[..., :n])
        assert some.input.shape == (n, 160) and some.power_20ms.shape == (len(HZ), n)
    for at in (0, 160):
        few.input[:] = x[:2, at : at + 160]
        few.step()
    np.testing.assert_array_equal(few.power_20ms[0], many.power_20ms[0, :2])
    np.testing.assert_array_equal(few.energy_20ms, many.energy_20ms[:2])


def test_a_group_heard_above_others_is_deaf_to_dial_tones_and_hum() -> None:
    below_hz = (50.0, 150.0, 350.0, 425.0, 450.0, 475.0)
    x = np.stack([tone(hz, 1600) for hz in (*below_hz, 697, 770, 1209)])
    bank = Bank(x.shape[0], HZ, {"pair": (697.0, 1209.0)}, Above("pair", 0.5))
    for at in range(0, 1600, 160):
        bank.input[:] = x[:, at : at + 160]
        bank.step()
    of_697 = bank.power[1:, bank.row(697)]
    assert (of_697[:, : len(below_hz)] < 0.002).all() and of_697[:, 6] == pytest.approx(0.9, abs=0.15)
    rest = bank.energy[1:] - bank.energies[bank.slots(2), bank.group_row["below"]]
    assert (rest[:, : len(below_hz)] < 0.003).all() and (rest[:, 6:] > 0.75).all()
    # What the pair holds beyond half of that energy.
    pair = of_697 + bank.power[1:, bank.row(1209)]
    np.testing.assert_allclose(bank.hops_together["pair"][1:], pair - 0.5 * rest, atol=1e-5)
