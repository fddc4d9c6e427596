"""The caller's number and name go all the way: from the line between two rings into recording and catalogue."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from firmware.cards import LineEventKind
from recorder.catalogue import Catalogue
from recorder.model import Direction, Query
from tests.eval.callerid_signals import Around, Keyed, dtmf, keyed, message, on_line
from tests.firmware.rig import ScriptedCard, noise, run

S = 8000
NUMBER, NAME = "02166668888", "上海港务局"
_FSK = message(0x80, [(1, b"09301245"), (2, NUMBER.encode()), (7, NAME.encode("gbk"))])


@pytest.mark.parametrize(
    ("wave", "at_s", "name", "standard"),
    [
        (keyed(_FSK), 3.2, NAME, "bell202"),
        (keyed(_FSK, Keyed("v23", alert=True)), 0.9, NAME, "v23"),
        (dtmf(f"D{NUMBER}C"), 0.4, None, "dtmf"),
    ],
    ids=["bell202", "v23", "dtmf"],
)
def test_number_and_name_stand_in_the_catalogue(
    tmp_path: Path, wave: np.ndarray, at_s: float, name: str | None, standard: str
) -> None:
    card = ScriptedCard(20)
    for ring_s in (2, 7):
        card.tell(ring_s * S, LineEventKind.RING_ON)
        card.tell((ring_s + 1) * S, LineEventKind.RING_OFF)
    sent, _ = on_line(wave, "alaw", Around(-20.0, 30.0, before_s=0.1, after_s=0.1), np.random.default_rng(1))
    card.lay(round(at_s * S), sent)
    card.lift(10 * S, 16 * S)
    card.lay(11 * S, noise(4 * S, 3))
    (file,) = run(tmp_path, card).files
    assert file.end is not None
    assert (file.end.direction, file.end.caller, file.end.name) == (Direction.IN, NUMBER, name)
    with closing(Catalogue.open_readonly(tmp_path)) as catalogue:
        (row,) = catalogue.search(Query(limit=10)).rows
    assert (row.number, row.name) == (NUMBER, name)
    marks = [mark for mark in file.marks if mark.kind == "cid"]
    assert {mark.value for mark in marks} == {NUMBER}


@pytest.mark.parametrize(
    "second",
    [message(0x82, [(1, b"09301245"), (0x0B, b"\xff")]), message(0x80, [(1, b"09301245"), (4, b"P")])],
    ids=["a message waits", "withheld"],
)
def test_a_message_without_a_number_does_not_take_away_the_one_that_is_known(tmp_path: Path, second: bytes) -> None:
    card = ScriptedCard(20)
    for ring_s in (2, 7, 12):
        card.tell(ring_s * S, LineEventKind.RING_ON)
        card.tell((ring_s + 1) * S, LineEventKind.RING_OFF)
    for data, at_s in ((_FSK, 3.2), (second, 8.2)):
        around = Around(-20.0, 30.0, before_s=0.1, after_s=0.1)
        card.lay(round(at_s * S), on_line(keyed(data), "alaw", around, np.random.default_rng(1))[0])
    card.lift(14 * S, 18 * S)
    (file,) = run(tmp_path, card).files
    assert file.end is not None and (file.end.caller, file.end.name) == (NUMBER, NAME)
    assert {mark.value for mark in file.marks if mark.kind == "cid"} == {NUMBER}
