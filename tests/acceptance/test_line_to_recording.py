"""From a line to a recording: what was put on the line comes back, from the hook to the hang-up, through the daemon.

The card runs as fast as it can; every position is compared with the plan that the card gave, in its samples.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cffi_bindings import spandsp
from dsp import g711
from recorder.catalogue import Catalogue
from recorder.model import CallClass, Query, Recording, State, StopReason
from recorder.wav import load
from tests.box import Box, wait_for
from tests.material import Law, stretch, write_wav

TOLERANCE_SAMPLES = 320  # 40 ms


def configuration(law: str) -> str:
    return f"""
[[card]]
kind = "simulated"
lines = 4
law = "{law}"
scenario = "none"
paced = false
"""


def finished(box: Box, line: int, state: State = State.SEALED) -> Recording:
    def ask() -> Recording | None:
        with closing(Catalogue.open_readonly(box.data)) as catalogue:
            rows = catalogue.search(Query(lines=(line,), states=(state,))).rows
        return rows[0] if rows else None

    return wait_for(f"a {state} recording of line {line}", ask)


def place(box: Box, line: int, wave: Path, **more: Any) -> dict[str, Any]:
    plan: dict[str, Any] = box.call("sim.call", line=line, audio=str(wave), law_exact=True, **more)["plan"]
    return plan


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_wav_on_a_line_comes_back_sample_for_sample(tmp_path: Path, law: Law, direction: str) -> None:
    source = stretch(3, 12.3, law)
    wave = write_wav(tmp_path / "talk.wav", source, law)
    party = {"caller": "13800138000"} if direction == "in" else {"callee": "62345678"}
    with Box(tmp_path / "data", configuration(law)) as box:
        plan = place(box, 3, wave, **party)
        row = finished(box, 3)
        box.stop()
    file = load(box.data / row.path)
    assert abs(file.start.first_sample - plan["off_hook_sample"]) <= TOLERANCE_SAMPLES
    assert abs(file.start.first_sample + file.samples - plan["on_hook_sample"]) <= TOLERANCE_SAMPLES
    with (box.data / row.path).open("rb") as opened:
        opened.seek(file.audio_offset)
        audio = np.frombuffer(opened.read(file.samples), dtype=np.uint8)
    begin = plan["audio_first_sample"] - file.start.first_sample
    assert np.array_equal(audio[begin : begin + len(source)], source)
    assert not file.gaps
    assert row.direction == direction
    assert row.number == ("13800138000" if direction == "in" else "62345678")
    assert row.call_class is CallClass.VOICE
    assert row.stop_reason is StopReason.ON_HOOK


def test_a_modem_call_leaves_a_row_and_its_audio_in_the_trash(tmp_path: Path) -> None:
    mixed = spandsp.v22bis_call(15.0, seed=5).sum(axis=0, dtype=np.int32).clip(-32768, 32767).astype(np.int16)
    wave = write_wav(tmp_path / "modem.wav", g711.encode(mixed, "alaw"))
    with Box(tmp_path / "data", configuration("alaw")) as box:
        place(box, 1, wave, callee="85671234")
        row = finished(box, 1, State.TRASH)
        box.stop()
    assert row.call_class is CallClass.MODEM
    assert row.trash is not None
    assert row.trash.reason == StopReason.DATA_CALL
    days = (row.trash.until_utc_ns - row.trash.since_utc_ns) / 86400e9
    assert days == pytest.approx(7, abs=0.01)
    assert 0 < row.samples < 15 * 8000, "writing went on after the verdict"
    assert load(box.data / row.path).sealed


def test_a_dialled_access_number_is_not_recorded_on(tmp_path: Path) -> None:
    wave = write_wav(tmp_path / "talk.wav", stretch(4, 10.0))
    with Box(tmp_path / "data", configuration("alaw")) as box:
        place(box, 2, wave, callee="16300")
        row = finished(box, 2, State.TRASH)
        box.stop()
    assert row.trash is not None
    assert row.trash.reason == StopReason.ACCESS_NUMBER
    assert row.samples < 10 * 8000


def test_a_fax_call_is_kept_and_classed_fax(tmp_path: Path) -> None:
    call = spandsp.fax_call(seed=7)
    mixed = (call.caller.astype(np.int32) + call.answerer).clip(-32768, 32767).astype(np.int16)
    wave = write_wav(tmp_path / "fax.wav", g711.encode(mixed, "alaw"))
    with Box(tmp_path / "data", configuration("alaw")) as box:
        place(box, 4, wave, caller="02166668888")
        row = finished(box, 4)
        box.stop()
    assert row.call_class is CallClass.FAX
    file = load(box.data / row.path)
    assert {mark.kind for mark in file.marks} & {"cng", "v21", "answer_tone"}
    assert row.samples > len(mixed), "a fax call is kept whole"
