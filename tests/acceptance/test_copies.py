"""A call that stands on a PBX's trunk line and on the extension behind it is one call: through the daemon, from the
lines to search, counts and journal, and apart again.

The card keeps real time, so that calls on several lines are at one time.
"""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp import g711
from firmware.clock import SystemClock
from recorder.catalogue import Catalogue
from recorder.ledger import rebuild
from recorder.model import Copy, Query, Recording
from tests.box import Box, wait_for
from tests.firmware.cli.console import Console
from tests.recorder import copies

CONFIGURATION = """
[[card]]
kind = "simulated"
lines = 5
scenario = "none"
[[line]]
number = 1
kind = "trunk"
[[line]]
number = 2
kind = "trunk"
[[line]]
number = 3
kind = "extension"
[[line]]
number = 4
kind = "extension"
"""
SECONDS = 16.0
LATE_S = 0.24
CALLEES = {1: "13800138000", 2: "13900139000", 3: "913800138000", 4: "801380013804", 5: "13700137000"}


def on_disk(path: Path, companded: NDArray[np.uint8]) -> str:
    soundfile.write(path, g711.decode(companded, "alaw"), 8000, subtype="PCM_16")
    return str(path)


def two_calls(folder: Path) -> dict[int, str]:
    """What lies on the lines: trunk 1 and extension 3 hear one call, trunk 2 and extension 4 each another, and so does
    the direct line 5."""
    rng = np.random.default_rng(11)
    near, far = copies.talk(rng, SECONDS)
    trunk = copies.tap(rng, near, far, -24.0, -5.0, 22.0)
    extension = np.roll(copies.tap(rng, near, far, -14.0, 6.0, 30.0), round(LATE_S * 8000))
    others = {line: copies.tap(rng, *copies.talk(rng, SECONDS), -20.0, 2.0, 28.0) for line in (2, 4, 5)}
    return {line: on_disk(folder / f"{line}.wav", x) for line, x in {1: trunk, 3: extension, **others}.items()}


def found(data: Path, **query: Any) -> tuple[list[Recording], int]:
    with closing(Catalogue.open_readonly(data)) as catalogue:
        page = catalogue.search(Query(**query))
    return list(page.rows), page.found


def lines(data: Path, **query: Any) -> list[int]:
    rows, count = found(data, **query)
    assert count == len(rows)
    return sorted(row.line for row in rows)


def call_all(box: Box, sounds: dict[int, str]) -> tuple[Recording, Recording, float]:
    """The recordings of trunk 1 and extension 3, once they are linked, and by how much the latter hears all later."""
    began = {
        line: box.call("sim.call", line=line, audio=path, callee=CALLEES[line])["plan"]["audio_first_sample"]
        for line, path in sounds.items()
    }
    wait_for("five recordings", lambda: lines(box.data, copies=True) == [1, 2, 3, 4, 5])
    wait_for("the link", lambda: lines(box.data) == [1, 2, 4, 5])
    (trunk,), _ = found(box.data, lines=(1,))
    (extension,), _ = found(box.data, lines=(3,))
    return trunk, extension, LATE_S + (began[3] - began[1]) / 8000


def test_trunk_and_extension_of_one_call_are_linked_and_counted_once(tmp_path: Path) -> None:
    with Box(tmp_path / "data", CONFIGURATION) as box:
        trunk, extension, late_s = call_all(box, two_calls(tmp_path))
        assert trunk.copies == (Copy(handle=extension.handle, line=3),)
        assert extension.copy_of == Copy(handle=trunk.handle, line=1)
        assert (trunk.number, extension.number) == (CALLEES[1], CALLEES[3])
        assert lines(box.data, number=CALLEES[3]) == [3]
        assert lines(box.data, number="*13800138000") == [1]
        assert box.call("status")["recordings"]["total"] == 4
        box.stop()
    everything = found(box.data, copies=True)[0]
    with closing(Catalogue.open_readonly(box.data)) as catalogue:
        (told,) = [entry for entry in catalogue.operations(limit=500) if entry.act == "link"]
        kept = sum(day.samples for day in catalogue.days("1970-01-01", "9999-12-31"))
    assert (told.handle, told.actor, told.detail["principal"]) == (extension.handle, "system", trunk.handle)
    assert told.detail["likeness"] > 0.75
    assert abs(told.detail["lag_ms"] - 1000 * late_s) <= 40
    assert kept == sum(row.samples for row in everything)
    rebuild(box.data, SystemClock(), random.Random(1))
    assert found(box.data, copies=True)[0] == everything
    part_and_start_again(box.data, trunk, extension)


def part_and_start_again(data: Path, trunk: Recording, extension: Recording) -> None:
    """A start looks once more at what was sealed last; what a person has parted stays so."""
    actor = {"kind": "user", "name": "li"}
    with Box(data) as box:
        assert box.call("unlink", handle=extension.handle, actor=actor) == {"principal": trunk.handle}
        assert lines(data) == [1, 2, 3, 4, 5]
        assert box.call("status")["recordings"]["total"] == 5
        box.stop()
    with Box(data) as box:
        assert lines(data) == [1, 2, 3, 4, 5]
        console = Console(data)
        assert console.json("link", extension.handle, trunk.handle)["principal"] == trunk.handle
        assert lines(data) == [1, 2, 4, 5]
        assert f"line 1, {trunk.handle}, which counts" in console.run("show", extension.handle).out
        rows = console.json("search")["recordings"]
        assert {"handle": extension.handle, "line": 3} in [copy for row in rows for copy in row["copies"]]
        assert len(rows) == len(console.json("search", "--copies")["recordings"]) - 1
        assert console.json("unlink", extension.handle)["handle"] == extension.handle
        assert lines(data) == [1, 2, 3, 4, 5]
        box.stop()
