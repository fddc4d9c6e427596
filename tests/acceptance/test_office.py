"""A morning in the simulated office, as fast as the box can: what was recorded is what the scenario's plan says.

Every answered call of every line is there, in order, with its direction, its number as dialled or as caller ID gave it,
and its class; data calls are in the trash.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from firmware.cards.simulated.scenario import ACCESS_NUMBERS, Intent, intent
from recorder.catalogue import Catalogue
from recorder.model import CallClass, Query, Recording, State, StopReason
from tests.box import Box, wait_for

LINES = 8
SEED = 1
RECORDINGS = 110
CLASSES = {"talk": CallClass.VOICE, "fax": CallClass.FAX, "modem": CallClass.MODEM}


def rows(data: Path) -> list[Recording]:
    found: list[Recording] = []
    with closing(Catalogue.open_readonly(data)) as catalogue:
        before = None
        while True:
            page = catalogue.search(Query(states=tuple(State), limit=500, before_id=before))
            found += page.rows
            if page.next is None:
                return found
            before = page.next


def planned(line: int) -> Iterator[Intent]:
    """The calls of a line that take it off the hook."""
    calls = (intent(SEED, line, k, "cn") for k in count())
    return (call for call in calls if (call.kind, call.direction) != ("no_answer", "in"))


def check(row: Recording, call: Intent) -> list[str]:
    wrong = []
    known = call.direction == "out" or call.caller_id != "none"
    if row.direction != call.direction:
        wrong.append(f"direction {row.direction}")
    if row.number != (call.number if known else None):
        wrong.append(f"number {row.number}")
    access = call.direction == "out" and call.number in ACCESS_NUMBERS
    if call.kind in CLASSES and not access and row.call_class != CLASSES[call.kind]:
        wrong.append(f"class {row.call_class}")
    if call.kind not in CLASSES and row.call_class in CLASSES.values():
        wrong.append(f"class {row.call_class}")
    if (row.state is State.TRASH) != (call.kind == "modem"):
        wrong.append(f"state {row.state}")
    if access and (row.trash is None or row.trash.reason != StopReason.ACCESS_NUMBER):
        wrong.append(f"trash {row.trash}")
    return [f"line {row.line}, {row.handle[:8]}: {call}: {one}" for one in wrong]


@pytest.mark.slow
def test_every_call_of_the_plan_is_recorded_as_what_it_was(tmp_path: Path) -> None:
    configuration = f'[[card]]\nlines = {LINES}\nseed = {SEED}\nzone = "cn"\npaced = false\n'
    with Box(tmp_path / "data", configuration) as box:
        wait_for("a morning of calls", lambda: box.call("status")["recordings"]["total"] >= RECORDINGS, patience_s=240)
        box.stop()
    by_line = defaultdict(list)
    for row in sorted(rows(box.data), key=lambda row: row.start_utc_ns):
        # What was cut off by the end of the run is not judged.
        if row.stop_reason is not StopReason.SHUTDOWN:
            by_line[row.line].append(row)
    assert len(by_line) == LINES
    wrong = [
        fault
        for line, recorded in by_line.items()
        for row, call in zip(recorded, planned(line), strict=False)
        for fault in check(row, call)
    ]
    assert not wrong, f"{len(wrong)} of {sum(map(len, by_line.values()))}:\n" + "\n".join(wrong)
