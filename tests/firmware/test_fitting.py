"""Cards and lines come into the configuration by request; they act when the daemon starts again, by itself."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from cffi_bindings.dahdi import Channel, Signalling, Span
from firmware.cards.scan import signalling
from firmware.config_file import load
from firmware.wire import DaemonError
from recorder.catalogue import Catalogue
from tests.box import Box, wait_for

ME = {"kind": "user", "name": "somebody"}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("fitting") / "data", 'card = []\n\n[box]\nname = "Depot"\n') as box:
        yield box


def restarted(box: Box) -> None:
    run = box.call("hello")["run"]
    box.call("restart", actor=ME)
    wait_for("the daemon to come back", lambda: box._answers() and box.call("hello")["run"] != run)


def test_a_box_without_cards_is_fitted_out_described_and_emptied(box: Box) -> None:
    fitted = box.call("fitting")
    assert (fitted["cards"], fitted["lines"], fitted["pending"]) == ([], [], False)
    assert box.call("card.simulate", lines=3, actor=ME)["pending"] is True
    assert [line["number"] for line in box.call("fitting")["lines"]] == [1, 2, 3]
    assert box.call("lines")["lines"] == []
    pid = box.call("hello")["pid"]
    restarted(box)
    assert box.call("hello")["pid"] == pid
    wait_for("the lines", lambda: len(box.call("lines")["lines"]) == 3)
    described = [{"line": 2, "name": "调度", "kind": "extension"}, {"line": 3, "enabled": False, "role": "tap"}]
    assert box.call("line.describe", lines=described, actor=ME)["pending"] is True
    lines = load(box.data / "linekeep.toml").lines
    assert (lines[1].name, lines[1].kind, lines[2].enabled, lines[0].name) == ("调度", "extension", False, "")
    assert box.call("fitting")["lines"][1]["name"] == "调度"
    assert (box.data / "linekeep.toml.1").exists()
    box.call("card.drop", actor=ME)
    assert load(box.data / "linekeep.toml").cards == ()
    with closing(Catalogue.open_readonly(box.data)) as catalogue:
        acts = [(one.act, one.actor) for one in catalogue.operations(None, 20)]
    assert acts.count(("configure", "user:somebody")) == 3 and ("restart", "user:somebody") in acts


def test_what_cannot_be_is_refused_and_nothing_is_written(box: Box) -> None:
    before = (box.data / "linekeep.toml").read_bytes()
    for do, fields in (
        ("line.describe", {"lines": [{"line": 99, "name": "x"}]}),
        ("line.describe", {"lines": [{"line": 1, "role": "king"}]}),
        ("card.simulate", {"lines": 0}),
        ("card.take", {}),
        ("restart", {"unasked": 1}),
    ):
        with pytest.raises(DaemonError):
            box.call(do, actor=ME, **fields)
    with pytest.raises(DaemonError, match="actor"):
        box.call("restart")
    assert (box.data / "linekeep.toml").read_bytes() == before


def test_a_look_at_the_hardware_says_why_there_is_none(box: Box) -> None:
    found = box.call("card.scan")
    assert found["proposal"] == "" and found["spans"] == []
    assert found["trouble"] or found["driver"]


def test_a_broken_file_is_told_and_left_alone(box: Box) -> None:
    path = box.data / "linekeep.toml"
    good = path.read_bytes()
    path.write_text("card = 3\n")
    assert "card" in box.call("fitting")["trouble"]
    with pytest.raises(DaemonError, match="not changed"):
        box.call("card.simulate", lines=2, actor=ME)
    path.write_bytes(good)


def span(number: int, type_: str, channels: int) -> Span:
    return Span(number, f"X/{number}", "", type_, "Digium", "TE110P", "", (), 0, 0, 0, channels)


def channels(span: int, first: int, count: int, fits: Signalling, now: Signalling = Signalling.NONE) -> list[Channel]:
    return [Channel(first + n, span, n + 1, f"X/{span}/{n}", now, "alaw", False, (), fits) for n in range(count)]


def test_the_drivers_own_configuration_follows_its_ports() -> None:
    analogue = channels(1, 1, 3, Signalling.LINE) + channels(1, 4, 1, Signalling.TELEPHONE)
    trunk = channels(2, 5, 31, Signalling.LINE)
    text = signalling([span(1, "ANALOG", 4), span(2, "E1", 31)], analogue + trunk)
    assert text.splitlines()[1:] == [
        "span=2,1,0,ccs,hdb3", "bchan=5-19,21-35", "fxsks=1-3", "fxoks=4", "loadzone=cn", "defaultzone=cn",
    ]  # fmt: skip
    assert signalling([span(1, "FXO", 2)], channels(1, 1, 2, Signalling.LINE, Signalling.LINE)) == ""
    assert signalling([], []) == ""
