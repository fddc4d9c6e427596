"""What the box does by the clock: it sees what nobody tells it."""

import asyncio
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from firmware import engine, health
from firmware.box import Box
from firmware.cards import BLOCK, Block, CardReport, Law
from firmware.clock import SystemClock
from firmware.config import CardConfig, Config, LineConfig, RecordingConfig
from firmware.config_file import load, save
from firmware.learning import Learning
from recorder.ledger import Ledger
from tests.box import wait_for


class HangingCard:
    """Delivers one block; from the second on its driver does not come back until it is let go."""

    name, kind, simulated, paced = "tap0", "test", False, True
    law: Law = "alaw"
    lines: tuple[int, ...] = (1,)

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.blocks = 0

    def start(self) -> None:
        """There is nothing to take."""

    def read(self) -> Block:
        if self.blocks:
            self.let_go.wait()
            time.sleep(BLOCK / 8000)
        self.blocks += 1
        law = np.full((1, BLOCK), 0xD5, np.uint8)
        return Block((self.blocks - 1) * BLOCK, law, np.zeros(1, np.uint8), np.full(1, 48.0, np.float32))

    def close(self) -> None:
        """There is nothing to give back."""


def test_a_card_that_hangs_without_a_word_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BLOCK_WITHIN_S", 0.2)
    card, clock, rng = HangingCard(), SystemClock(), random.Random(1)

    async def run() -> None:
        config = Config(cards=(CardConfig(name=card.name, lines=1),), lines=(LineConfig(number=1),))
        box = Box(tmp_path, config, clock, rng, Ledger.open(tmp_path, clock, rng), [card])
        box.start()

        def is_open() -> bool:
            box.look_after_cards()
            return box.alarms.is_open("card_stopped", "card tap0")

        try:
            await asyncio.to_thread(wait_for, "the alarm", is_open)
            assert box.status().health == "alarm"
            (sentence,) = box.hanging()
            assert "card tap0 has delivered nothing" in sentence, "and systemd may start the daemon again"
            card.let_go.set()
            await asyncio.to_thread(wait_for, "its end", lambda: not is_open())
        finally:
            card.let_go.set()
            await asyncio.to_thread(box.stop)

    asyncio.run(run())


class SlippingCard(HangingCard):
    """Two of its spans run apart."""

    def report(self) -> CardReport:
        return CardReport(counts={"slips": 2})


def test_spans_whose_clocks_run_apart_are_an_alarm(tmp_path: Path) -> None:
    card, clock, rng = SlippingCard(), SystemClock(), random.Random(1)

    async def run() -> None:
        config = Config(cards=(CardConfig(name=card.name, lines=1),), lines=(LineConfig(number=1),))
        box = Box(tmp_path, config, clock, rng, Ledger.open(tmp_path, clock, rng), [card])
        box.start()
        try:
            box.look_after_cards()
            assert box.alarms.is_open("clocks_apart", "card tap0")
        finally:
            card.let_go.set()
            await asyncio.to_thread(box.stop)

    asyncio.run(run())


def test_thresholds_that_a_hanging_card_could_not_take_are_not_taken_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was told that they are not in force must not find them in force."""
    monkeypatch.setattr(engine, "KEY_WITHIN_S", 0.1)
    card, clock, rng = HangingCard(), SystemClock(), random.Random(1)

    async def run() -> None:
        config = Config(cards=(CardConfig(name=card.name, lines=1),), lines=(LineConfig(number=1),))
        box = Box(tmp_path, config, clock, rng, Ledger.open(tmp_path, clock, rng), [card])
        box.start()
        try:
            wait_for("the first block", lambda: box.engine.health().cards[0].blocks or None)
            assert not box.engine.configure(1, RecordingConfig(trigger="vox"))
            card.let_go.set()
            monkeypatch.setattr(engine, "KEY_WITHIN_S", 30.0)
            wait_for("more blocks", lambda: box.engine.health().cards[0].blocks > 3)
            assert box.engine.snapshots()[0].armed == "voltage"
            assert box.engine.configure(1, RecordingConfig(trigger="vox"))
            assert box.engine.snapshots()[0].armed == "vox"
        finally:
            card.let_go.set()
            box.stop()

    asyncio.run(run())


def test_a_change_of_thresholds_goes_to_its_end_though_its_client_has_gone(tmp_path: Path) -> None:
    card, clock, rng = HangingCard(), SystemClock(), random.Random(1)
    card.let_go.set()
    path = tmp_path / "linekeep.toml"

    async def run() -> None:
        config = save(path, f'[[card]]\nkind = "simulated"\nname = "{card.name}"\nlines = 1\n')
        box = Box(tmp_path, config, clock, rng, Ledger.open(tmp_path, clock, rng), [card])
        box.start()
        try:
            learning = Learning(box, path, asyncio.Lock())
            asked = asyncio.ensure_future(learning.apply(1, {"off_hook_volts": 22.0}, "user:admin"))
            await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            answer = await learning.apply(1, {"cut_volts": 2.0}, "user:admin")
            assert answer["live"] and answer["changed"] == {"cut_volts": [3.0, 2.0]}
            assert load(path) == box.config
            recording = box.config.lines[0].recording
            assert (recording.off_hook_volts, recording.cut_volts) == (22.0, 2.0)
        finally:
            box.stop()

    asyncio.run(run())
