"""The plans of the office, and the scripts that they become."""

import itertools
from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest

from dsp.zones import Zone
from firmware.cards.simulated import scenario
from firmware.cards.simulated.material import Material, can_speak
from firmware.cards.simulated.plant import draw_plant
from firmware.cards.simulated.pool import Pool
from firmware.cards.simulated.script import from_intent
from firmware.cards.simulated.studio import Studio
from tests.sim.plant import CACHE, RATE, listen, make_card

ZONES: tuple[Zone, ...] = get_args(Zone)


@pytest.mark.parametrize("zone", ZONES)
def test_the_office_has_calls_of_every_kind_in_their_shares(zone: Zone) -> None:
    calls = [scenario.intent(1, line, k, zone) for line in range(1, 81) for k in range(1, 41)]
    kinds = Counter((call.kind, call.direction) for call in calls)
    shares = {kind: count / len(calls) for kind, count in kinds.items()}
    assert shares[("talk", "out")] == pytest.approx(0.34, abs=0.04)
    assert shares[("talk", "in")] == pytest.approx(0.36, abs=0.04)
    for kind in (("fax", "out"), ("fax", "in"), ("modem", "out")):
        assert shares[kind] == pytest.approx(0.03, abs=0.015)
    assert set(kinds) == {(kind, direction) for _, kind, direction in scenario._TABLE}
    assert all(call.number.isdigit() and 3 <= len(call.number) <= 11 for call in calls)
    assert all(call.gap_s >= 4 for call in calls)
    assert 0 < sum(call.talk_s == scenario.HOUR_S for call in calls) < 40
    assert {call.caller_id for call in calls} == ({"fsk", "dtmf", "none"} if zone == "cn" else {"fsk", "none"})


def test_a_plan_depends_on_seed_line_and_count_alone() -> None:
    first = scenario.intent(1, 7, 3, "cn")
    assert first == scenario.intent(1, 7, 3, "cn")
    assert len({scenario.intent(seed, line, k, "cn") for seed in (1, 2) for line in (7, 9) for k in (3, 4)}) == 8


def test_half_of_the_dial_up_calls_are_to_access_numbers() -> None:
    calls = [scenario.intent(1, line, k, "cn") for line in range(1, 401) for k in range(1, 11)]
    numbers = [call.number in scenario.ACCESS_NUMBERS for call in calls if call.kind == "modem"]
    assert 0.3 < sum(numbers) / len(numbers) < 0.7
    assert not any(call.number in scenario.ACCESS_NUMBERS for call in calls if call.kind != "modem")


def test_loop_pulses_break_the_loop_as_often_as_the_digits_say() -> None:
    seed, line = next(
        (seed, line)
        for seed in range(200)
        for line in range(9, 13)
        if (call := scenario.intent(seed, line, 0, "cn")).pulse and call.direction == "out" and call.gap_s < 10
    )
    number = scenario.intent(seed, line, 0, "cn").number
    heard = listen(make_card(12, scenario=True, seed=seed), 40)
    lifted = heard.off_hook(line - 1)
    trains, pause = [0], RATE // 2
    for (_, broken), (made, end) in itertools.pairwise(lifted):
        if made - broken == 480:
            trains[-1] += 1
            # What stays made longer than a pulse is the pause between two digits.
            trains += [0] if end - made > pause else []
    assert trains[: len(number)] == [int(digit) or 10 for digit in number]


def test_hour_long_talk_repeats_its_material() -> None:
    studio = Studio(Pool(1 << 25), "alaw", "cn", 1, Material(CACHE), share_talk=False, polarity=True)
    plan = replace(scenario.intent(1, 1, 1, "cn"), kind="talk", direction="in", talk_s=scenario.HOUR_S)
    script = from_intent(studio, draw_plant(1, 0, 50), 0, plan)
    assert script.plan.audio_samples == 3600 * RATE
    assert max(piece.samples for piece in script.pieces) == 180 * RATE
    assert [step.at for step in script.steps] == sorted({step.at for step in script.steps})
    assert script.steps[-1].at == script.plan.end_sample
    for piece in script.pieces:
        studio.free(piece)


def test_without_a_voice_nobody_can_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_speak()
    monkeypatch.setenv("PATH", "")
    assert not can_speak()
