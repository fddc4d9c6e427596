"""What `card scan` and `doctor` say of the real driver."""

import json
from pathlib import Path
from typing import Any

import pytest

from firmware import config_file
from firmware.cli.__main__ import main
from tests.dahdi.guest.rig import SPAN


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON document of a command; its exit code stands in `exit_code`."""
    code = main(["--json", *words])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**document, "exit_code": code}


def test_scan_sees_every_span_and_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--data", str(tmp_path), "card", "scan")
    assert (found["exit_code"], found["trouble"]) == (0, "")
    assert found["version"]["driver"]
    assert [(span["number"], span["channels"], span["alarms"]) for span in found["spans"]] == [
        (1, SPAN, []),
        (2, SPAN, []),
    ]
    seen = [(channel["number"], channel["signalling"], channel["line"]) for channel in found["channels"]]
    assert seen == [(n, "telephone" if n <= SPAN else "line", None) for n in range(1, 2 * SPAN + 1)]


def test_the_piece_of_configuration_is_read_and_then_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind it nothing is left to be configured, and each channel has its line."""
    text = asked(capsys, "--data", str(tmp_path), "card", "scan")["configuration"]
    (tmp_path / "linekeep.toml").write_text(text)
    cards = config_file.load(tmp_path / "linekeep.toml").cards
    assert {(card.kind, card.law) for card in cards} == {("dahdi", "ulaw")}
    assert sorted(number for card in cards for number in card.channels) == list(range(1, 2 * SPAN + 1))
    again = asked(capsys, "--data", str(tmp_path), "card", "scan")
    assert again["configuration"] == ""
    assert sorted(channel["line"] for channel in again["channels"]) == list(range(1, 2 * SPAN + 1))


def test_doctor_finds_driver_channels_and_buffers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the two cards one fits and one is of another law; how fit this machine is does not matter."""
    (tmp_path / "linekeep.toml").write_text(
        '[[card]]\nkind = "dahdi"\nname = "fits"\nchannels = ["33-36"]\nlaw = "ulaw"\n'
        '[[card]]\nkind = "dahdi"\nname = "other"\nchannels = ["37-40"]\nlaw = "alaw"\n'
    )
    document = asked(capsys, "--data", str(tmp_path), "doctor")
    found = {finding["what"]: finding for finding in document["findings"]}
    for what in (
        "processor",
        "configuration",
        "DAHDI driver",
        "permissions",
        "spans",
        "buffers",
        "configured card fits",
    ):
        assert found[what]["verdict"] == "ok", found[what]
    assert found["buffers"]["measured"] == {"buffers": 32} and "(channel 1)" in found["buffers"]["figure"]
    assert found["interrupts"]["measured"]["missed_now"] == 0
    assert "They are ulaw" in found["configured card other"]["remedy"]
    assert (document["verdict"], document["exit_code"]) == ("bad", 1)
