"""The simulated card by what it delivers: volts, ringing, calls on request, the scenario, and the same again."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from dsp import g711
from firmware.cards import BLOCK, CardError, ChannelStatus, Law, LineEventKind
from firmware.cards.dahdi import DahdiCard, Port, Role
from firmware.cards.make import make_cards
from firmware.cards.simulated import SimulatedCard
from firmware.config import CardConfig, Config
from firmware.config_file import parse
from tests.sim.plant import CACHE, RATE, Heard, listen, make_card, paced_card, tone

RING = (LineEventKind.RING_ON, LineEventKind.RING_OFF)


def digest(heard: Heard) -> str:
    whole = hashlib.sha256(heard.law.tobytes() + heard.volts.tobytes())
    whole.update(repr(heard.events).encode())
    return whole.hexdigest()


def test_idle_lines_have_their_battery_and_a_quiet_noise() -> None:
    heard = listen(make_card(16), 5)
    assert np.all((heard.volts > 45) & (heard.volts < 51))
    assert len(np.unique(np.round(heard.volts.mean(axis=1), 2))) == 16
    assert np.ptp(heard.volts, axis=1).min() > 0.1
    rms = np.sqrt(np.mean(np.square(g711.decode(heard.law, "alaw").astype(float)), axis=1))
    levels = 20 * np.log10(rms / 16141)
    assert np.all((levels > -75) & (levels < -50))
    assert heard.events == []


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("party", [{"caller": "13800138000"}, {"callee": "62345678"}, {}])
def test_exact_audio_comes_as_it_was_and_stands_alone(law: Law, party: dict[str, Any]) -> None:
    audio = np.random.default_rng(7).integers(0, 256, 12345, dtype=np.uint8)
    card = make_card(law=law)
    listen(card, 0.1)
    plan = card.call(3, audio=audio, law_exact=True, **party)
    heard = listen(card, plan.end_sample / RATE + 1)
    assert plan.audio_first_sample is not None
    assert plan.answer_sample is not None
    assert plan.audio_samples == audio.size
    begin = plan.audio_first_sample - heard.first_sample
    assert np.array_equal(heard.law[2, begin : begin + audio.size], audio)
    idle = g711.IDLE[law]
    assert np.all(heard.law[2, plan.answer_sample - heard.first_sample : begin] == idle)
    assert np.all(heard.law[2, begin + audio.size : plan.end_sample - heard.first_sample] == idle)
    assert heard.off_hook(2) == [(plan.off_hook_sample, plan.on_hook_sample)]
    assert heard.off_hook(1) == []


def test_off_hook_is_six_to_twelve_volts_and_cut_is_nothing() -> None:
    card = make_card()
    plan = card.call(1, audio=tone(1000, 1.0), callee="163")
    heard = listen(card, plan.end_sample / RATE + 1)
    lifted = heard.volts[0][(heard.volts[0] < 20)]
    assert 6 <= lifted.min() <= lifted.max() <= 12
    card.cut(1, True)
    heard = listen(card, 1)
    assert np.all(heard.volts[0] == 0)
    assert np.all(heard.law[0] == g711.IDLE["alaw"])
    card.cut(1, False)
    assert np.all(listen(card, 1).volts[0] > 45)


def test_cutting_breaks_the_call_off_and_refuses_the_next() -> None:
    card = make_card()
    card.call(2, audio=tone(1000, 30.0), caller="5039")
    listen(card, 0.5)
    card.cut(2, True)
    heard = listen(card, 1)
    assert heard.of(1, *RING) == [(heard.first_sample, LineEventKind.RING_OFF, 0)]
    with pytest.raises(CardError, match="Line 2 is cut"):
        card.call(2, audio=tone(1000, 1.0))
    card.cut(2, False)
    card.call(2, audio=tone(1000, 1.0))


@pytest.mark.parametrize(
    ("zone", "bursts"),
    [
        ("cn", [(0, 1.0), (5.0, 6.0)]), ("us", [(0, 2.0), (6.0, 8.0)]), ("eu", [(0, 1.0), (5.0, 6.0)]),
        ("hk", [(0, 0.4), (0.6, 1.0), (4.0, 4.4), (4.6, 5.0)]), ("uk", [(0, 0.4), (0.6, 1.0), (3.0, 3.4), (3.6, 4.0)]),
    ],
)  # fmt: skip
def test_ringing_has_the_cadence_of_its_zone(zone: Any, bursts: list[tuple[float, float]]) -> None:
    card = make_card(zone=zone)
    plan = card.call(1, audio=tone(1000, 1.0), rings=2)
    heard = listen(card, plan.end_sample / RATE + 1)
    edges = [(s, k) for s, k, _ in heard.of(0, *RING)]
    assert edges == [(round(s * RATE), kind) for burst in bursts for s, kind in zip(burst, RING, strict=True)]
    assert plan.rings == tuple((round(on * RATE), round(off * RATE)) for on, off in bursts)
    assert plan.off_hook_sample is not None
    assert plan.off_hook_sample > plan.rings[-1][1]
    ringing_hz = np.abs(np.fft.rfft(heard.linear(0, *plan.rings[0]).astype(float), RATE)).argmax()
    assert abs(ringing_hz - (20 if zone == "us" else 25)) <= 2


def test_an_answer_in_the_middle_of_a_burst_ends_it() -> None:
    card = make_card()
    plan = card.call(1, audio=tone(1000, 1.0), answer_after_s=0.5)
    heard = listen(card, 5)
    assert [sample for sample, _, _ in heard.of(0, *RING)] == [0, 4000] == [0, plan.off_hook_sample]


def test_the_battery_is_reversed_while_the_called_party_is_there() -> None:
    card = make_card()
    plan = card.call(1, audio=tone(1000, 1.0), callee="62345678")
    heard = listen(card, plan.end_sample / RATE)
    reversals = heard.of(0, LineEventKind.POLARITY)
    assert [value for _, _, value in reversals] == [1, 0]
    assert reversals[0][0] == plan.answer_sample
    card = make_card(polarity=False)
    card.call(1, audio=tone(1000, 1.0), callee="62345678")
    assert listen(card, 8).of(0, LineEventKind.POLARITY) == []


def test_a_busy_line_refuses_and_a_free_one_takes_the_next_call() -> None:
    card = make_card()
    plan = card.call(1, audio=tone(1000, 1.0), answer_after_s=0)
    with pytest.raises(CardError, match=r"Line 1 is in use\. Remedy"):
        card.call(1, audio=tone(1000, 1.0))
    listen(card, plan.end_sample / RATE)
    with pytest.raises(CardError, match="Line 1 is in use"):
        card.call(1, audio=tone(1000, 1.0))
    card.read()
    assert card.call(1, audio=tone(1000, 1.0)).first_sample == plan.end_sample + BLOCK


def test_requests_from_many_threads_take_each_line_once() -> None:
    card = make_card(4)
    audio = tone(1000, 1.0)

    def request(number: int) -> str:
        try:
            card.call(1 + number % 4, audio=audio, answer_after_s=0)
        except CardError as error:
            return str(error)
        return "taken"

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(request, range(64)))
    heard = listen(card, 5)
    assert answers.count("taken") == 4
    assert sum("is in use" in answer for answer in answers) == 60
    assert [len(heard.off_hook(channel)) for channel in range(4)] == [1] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"line": 9}, "Line 9 is not on card sim0. Remedy: one of lines 1 to 4"),
        ({"caller": "1", "callee": "2"}, "not both"),
        ({"callee": ""}, "cannot be dialled"),
        ({"callee": "12 34"}, "cannot be dialled"),
        ({"caller": "张三"}, "no caller's number"),
        ({"answer_after_s": -1}, "cannot be answered after"),
        ({"rings": 0}, "cannot be answered at ring"),
        ({"audio": np.zeros(0, np.int16)}, "not one channel"),
        ({"audio": np.zeros((2, 8), np.int16)}, "not one channel"),
        ({"audio": np.zeros(8, np.int64)}, "cannot be played"),
    ],
)
def test_wrong_requests_are_refused(arguments: dict[str, Any], message: str) -> None:
    card = make_card()
    request: dict[str, Any] = {"line": 1, "audio": tone(1000, 0.1)} | arguments
    with pytest.raises(CardError, match=message):
        card.call(**request)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first, again, other = (digest(listen(make_card(8, scenario=True, seed=seed), 45)) for seed in (5, 5, 6))
    assert first == again != other


def test_real_time_gives_the_same_bytes_as_speed() -> None:
    time, paced = paced_card(8, scenario=True)
    try:
        assert digest(listen(paced, 45)) == digest(listen(make_card(8, scenario=True), 45))
    finally:
        paced.close()
    assert sum(time.sleeps) == pytest.approx(45)


def test_a_larger_card_has_the_same_lines_and_more() -> None:
    small, large = listen(make_card(3, scenario=True), 30), listen(make_card(6, scenario=True), 30)
    assert np.array_equal(small.law, large.law[:3])
    assert np.array_equal(small.volts, large.volts[:3])
    assert small.events == [event for event in large.events if event.channel < 3]


def test_the_office_shows_every_kind_of_call_within_minutes() -> None:
    heard = listen(make_card(8, scenario=True), 90)
    [first, *_] = heard.off_hook(0)
    assert first[1] < 12 * RATE
    assert heard.of(1, LineEventKind.RING_ON)[0][0] < 10 * RATE
    talking = (heard.volts < 20).sum(axis=0)
    assert talking[250:].min() >= 1, "there was a moment when nobody talked"
    assert talking.max() < 8, "there was no idle line"
    assert all(heard.off_hook(channel) for channel in (0, 1, 2, 3, 4, 6, 7))
    assert not [end for _, end in heard.off_hook(5) if end < 25 * RATE], "line 6 is not answered at first"


def test_the_scenario_stops_and_goes_on() -> None:
    card = make_card(8, scenario=True)
    listen(card, 5)
    card.set_scenario(False)
    listen(card, 200)
    quiet = listen(card, 60)
    assert np.all(quiet.volts > 45)
    assert quiet.events == []
    card.set_scenario(True)
    assert listen(card, 60).events


def test_a_scenario_can_be_started_on_a_quiet_card_and_waits_for_a_line_in_use() -> None:
    card = make_card(2)
    plan = card.call(1, audio=tone(1000, 20.0), answer_after_s=0)
    card.set_scenario(True)
    heard = listen(card, 40)
    [mine, scenarios, *_] = heard.off_hook(0)
    assert mine == (plan.off_hook_sample, plan.on_hook_sample)
    assert scenarios[0] == plan.end_sample + 2 * RATE


def operations(lines: int) -> int:
    """Python calls in a quiet block."""
    card = make_card(lines)
    card.read()
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        card.read()
    finally:
        sys.setprofile(None)
    return count


def test_a_block_of_4096_lines_takes_no_more_operations_than_one_of_8() -> None:
    assert operations(4096) == operations(8) < 60


def test_a_large_card_plays_the_scenario() -> None:
    heard = listen(make_card(512, scenario=True), 20)
    assert (heard.volts[:, -1] < 20).sum() > 50
    assert np.all(heard.status == ChannelStatus.OK)


def test_cards_are_made_with_numbers_that_run_through_the_box() -> None:
    config = Config(
        cards=(
            CardConfig(lines=3),
            CardConfig(name="sim1", lines=2, law="ulaw", zone="us", paced=False, scenario="none"),
        )
    )
    first, second = make_cards(config, CACHE.parent)
    assert isinstance(second, SimulatedCard)
    assert (first.lines, second.lines) == ((1, 2, 3), (4, 5))
    assert (second.name, second.law, second.paced, second.simulated, second.kind) == (
        "sim1", "ulaw", False, True, "simulated",
    )  # fmt: skip
    second.start()
    assert second.call(5, audio=tone(1000, 1.0)).line == 5
    first.close()


def test_a_dahdi_card_is_made_with_its_channels_and_roles() -> None:
    config = parse(
        "[[card]]\nlines = 2\n[[card]]\nkind = 'dahdi'\nchannels = [7, '1-3']\nlaw = 'ulaw'\n"
        "[[line]]\nnumber = 4\nrole = 'trunk'\n[[line]]\nnumber = 6\nrole = 'station'\n"
    )
    _, card = make_cards(config, CACHE.parent)
    assert isinstance(card, DahdiCard)
    assert (card.name, card.kind, card.law, card.simulated, card.paced) == ("dahdi0", "dahdi", "ulaw", False, True)
    assert card.lines == (3, 4, 5, 6)
    assert card.ports == (Port(7, Role.TAP), Port(1, Role.TRUNK), Port(2, Role.TAP), Port(3, Role.STATION))
    with pytest.raises(CardError, match=r"Line 3 \(DAHDI channel 7\) is a tap"):
        card.seize(3)


def test_cards_are_made_without_what_only_their_start_needs() -> None:
    """On a machine without the driver and without the modules that are compiled for it."""
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from pathlib import Path\n"
            "class Missing:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name.startswith('cffi_bindings._'): raise ModuleNotFoundError(name)\n"
            "sys.meta_path.insert(0, Missing())\n"
            "from firmware.cards import CardError\n"
            "from firmware.cards.make import make_cards\n"
            "from firmware.config_file import parse\n"
            "(card,) = make_cards(parse('[[card]]\\nkind = \"dahdi\"\\nchannels = [1]'), Path('.'))\n"
            "try: card.start()\n"
            "except CardError as error: print(error)\n",
        ],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert said.startswith("Card dahdi0: "), said
