"""Garbage waits for its time, and is gone after it."""

import gc
import weakref
from pathlib import Path

import pytest

from firmware import garbage
from firmware.garbage import Garbage
from firmware.turns import Turns
from tests.firmware.rig import Rig
from tests.firmware.test_engine import call_card


class Knot:
    def __init__(self) -> None:
        self.self = self


def test_what_is_due_is_collected_and_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("firmware.garbage.time.monotonic", lambda: now_s)
    collector = Garbage(Turns())
    gc.disable()
    try:
        young = weakref.ref(Knot())
        collector.collect()
        assert young() is not None
        now_s += garbage.YOUNG_S
        collector.collect()
        assert young() is None
        knot = Knot()
        gc.collect(1)  # It has become old.
        old = weakref.ref(knot)
        del knot
        now_s += garbage.YOUNG_S
        collector.collect()
        assert old() is not None
        now_s += garbage.ALL_S
        collector.collect()
        assert old() is None
    finally:
        gc.enable()


def test_python_collects_by_itself_again_when_the_engine_has_stopped(tmp_path: Path) -> None:
    card, seen = call_card(4, 8000, 24_000), list[bool]()
    card.before = {100: lambda: seen.append(gc.isenabled())}
    Rig(tmp_path, card).run()
    assert seen == [False]
    assert gc.isenabled()
