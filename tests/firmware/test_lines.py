"""The line machine: the table is complete or names the fault, and the page is drawn from it."""

from itertools import product
from pathlib import Path

import pytest

from firmware.lines import OFF_HOOK, TABLE, Input, Output, State, page, step

PAGE = Path(__file__).resolve().parents[2] / "docs" / "line_machine.md"


@pytest.mark.parametrize(("state", "what"), list(product(State, Input)))
def test_every_input_in_every_state_has_a_row_or_is_a_named_fault(state: State, what: Input) -> None:
    moved = step(state, what, "off")
    if (state, what) in TABLE:
        row = TABLE[state, what]
        assert moved.fault is None and moved.output is row.output and moved.state is (row.state or state)
    else:
        assert moved.fault == f"{what}_in_{state}" and moved.output is Output.FAULT and moved.state is State.SEIZED


@pytest.mark.parametrize(("hook", "state"), [("on", State.IDLE), ("off", State.SEIZED), ("cut", State.CUT)])
def test_a_fault_puts_the_line_where_its_hook_is(hook: str, state: State) -> None:
    assert step(State.IDLE, Input.ON_HOOK, hook).state is state


def test_contradictions_are_faults() -> None:
    faults = [(State.IDLE, Input.ON_HOOK), (State.UNUSABLE, Input.OFF_HOOK), (State.IDLE, Input.BATTERY),
              (State.CUT, Input.RING), (State.DISABLED, Input.RING)]  # fmt: skip
    assert [step(state, what).fault is not None for state, what in faults] == [True] * len(faults)


def test_from_every_state_of_a_call_the_hook_the_battery_and_the_card_lead_out() -> None:
    for state in OFF_HOOK:
        assert step(state, Input.ON_HOOK) == step(State.TALKING, Input.ON_HOOK)
        assert step(state, Input.CUT).state is State.CUT
        assert step(state, Input.CARD_DOWN).state is State.UNUSABLE


def test_every_state_can_be_reached_and_left() -> None:
    reached, edge = {State.IDLE}, [State.IDLE]
    while edge:
        state = edge.pop()
        for what in Input:
            row = TABLE.get((state, what))
            if row is not None and row.state is not None and row.state not in reached:
                reached.add(row.state)
                edge.append(row.state)
    assert reached == set(State)
    assert {state for (state, _), row in TABLE.items() if row.state not in (None, state)} == set(State)


def test_the_walk_of_a_call_that_was_dialled_and_answered() -> None:
    state, outputs = State.IDLE, []
    walk = (Input.OFF_HOOK, Input.DIAL, Input.DIGIT, Input.DIGIT, Input.RINGBACK, Input.SPEECH, Input.MUSIC,
            Input.VOICE, Input.BUSY, Input.ON_HOOK)  # fmt: skip
    for what in walk:
        moved = step(state, what)
        state = moved.state
        outputs.append(moved.output)
    assert state is State.IDLE
    assert [o for o in outputs if o] == [Output.SEIZED, Output.DIALLED, Output.DIALLED, Output.HEARD_BACK,
                                         Output.ANSWERED, Output.RELEASED]  # fmt: skip


def test_the_page_equals_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m firmware.lines > docs/line_machine.md"
