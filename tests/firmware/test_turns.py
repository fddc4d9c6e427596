"""A tick goes first; what can wait waits for its end, but never for long."""

import threading
import time

from firmware.turns import Turns


def test_without_a_tick_nobody_waits() -> None:
    assert Turns().give_way(30.0) == 0.0


def test_who_gives_way_goes_on_when_the_last_tick_is_over() -> None:
    turns, waits = Turns(), threading.Event()
    order: list[str] = []

    def other() -> None:
        waits.set()
        assert turns.give_way(30.0) < 30.0
        order.append("other")

    thread = threading.Thread(target=other)
    with turns:
        with turns:
            thread.start()
            assert waits.wait(30)
        order.append("first tick")
        thread.join(0.05)
        assert order == ["first tick"]
        order.append("second tick")
    thread.join(30)
    assert order == ["first tick", "second tick", "other"]


def test_a_tick_that_does_not_end_holds_nobody_up_for_ever() -> None:
    turns = Turns()
    with turns:
        began = time.monotonic()
        assert 0.02 <= turns.give_way(0.02) <= time.monotonic() - began
        assert turns.give_way(-1.0) == 0.0
