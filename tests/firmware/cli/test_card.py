"""`linekeep card` and `linekeep doctor`: on a machine without cards or driver, and beside the real daemon.

What they say of the real driver is tested on it, in tests/dahdi/guest/test_tools.py.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cffi_bindings.dahdi import Channel, Signalling, Span
from firmware import config_file
from firmware.cards import scan
from firmware.cards.boards import boards
from firmware.cli.card import Extremes, bar
from firmware.cli.errors import Exit
from tests.box import Box
from tests.firmware.cli.console import COMMAND, ROOT, Console, called, surroundings

CONFIGURATION = """
[[card]]
name = "first"
lines = 2
scenario = "none"

[[card]]
name = "second"
lines = 1
scenario = "none"
"""
EXAMINED = ["processor", "clock", "time synchronisation", "configuration", "DAHDI driver", "ticks"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("card") / "data", CONFIGURATION) as box:
        yield box
        box.stop()


@pytest.fixture
def console(box: Box) -> Console:
    return Console(box.data)


# card scan ------------------------------------------------------------------------------------------------------------


def span(number: int, *, location: str = "PCI Bus 04 Slot 06", channels: int = 4) -> Span:
    return Span(
        number, f"WCTDM/{number}", "Wildcard TDM410P", "FXO", "Digium", "Wildcard TDM410P", location, (), 0, 0,
        channels, channels,
    )  # fmt: skip


def channel(number: int, signalling: Signalling, *, span: int = 1, law: str = "alaw") -> Channel:
    return Channel(number, span, number, f"WCTDM/0/{number}", signalling, law, False, ())


def test_without_a_driver_scan_says_what_is_missing(tmp_path: Path) -> None:
    said = Console(tmp_path).run("card", "scan", code=Exit.NO)
    assert "/dev/dahdi/ctl cannot be opened" in said.err and "modprobe dahdi" in said.err
    document = Console(tmp_path).json("card", "scan", code=Exit.NO)
    assert document["version"] is None and "/dev/dahdi/ctl" in document["trouble"]
    assert (document["spans"], document["channels"], document["configuration"]) == ([], [], "")
    assert document["synway"]["proof"] == "declared from public documentation, not yet run on a real card"
    assert document["synway"]["installed"] is False


def test_the_piece_of_configuration_is_one_that_the_daemon_reads() -> None:
    """Two cards are two clocks, two laws are two cards, and what cannot be recorded is left out and named."""
    spans = [span(1), span(2), span(3, location="PCI Bus 05 Slot 01", channels=3)]
    channels = [
        channel(1, Signalling.LINE), channel(2, Signalling.LINE), channel(3, Signalling.TELEPHONE),
        channel(4, Signalling.NONE), channel(5, Signalling.LINE, span=2),
        channel(6, Signalling.CLEAR, span=3, law="ulaw"), channel(7, Signalling.OTHER, span=3, law="ulaw"),
        channel(8, Signalling.CLEAR, span=3), channel(9, Signalling.CLEAR, span=3, law="ulaw"),
    ]  # fmt: skip
    text = scan.configuration(spans, channels, {"dahdi0"})
    cards = config_file.parse(text).cards
    assert [(card.kind, card.name, card.channels, card.law, card.lines) for card in cards] == [
        ("dahdi", "dahdi1", (1, 2, 3, 5), "alaw", 4),
        ("dahdi", "dahdi2", (8,), "alaw", 1),
        ("dahdi", "dahdi3", (6, 9), "ulaw", 2),
    ]
    assert "Channels 3 are telephones' ports" in text and "Channels 4 are not configured" in text
    assert {line.role for line in config_file.parse(text).lines} == {"tap"}


def test_what_a_driver_calls_its_card_cannot_leave_the_comment() -> None:
    text = scan.configuration([span(1, location='x"\n[[card]]\nlines = 9')], [channel(1, Signalling.LINE)])
    assert [card.channels for card in config_file.parse(text).cards] == [(1,)]


def test_a_piece_without_channels_is_empty() -> None:
    assert scan.configuration([], []) == scan.configuration([span(1)], []) == ""


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "[]"), ([7], "[7]"), ([4, 1, 3, 2, 9, 11, 12], '["1-4", 9, "11-12"]')]
)
def test_channels_as_they_are_written(numbers: list[int], text: str) -> None:
    assert scan.written(numbers) == text


def test_boards_on_the_bus(tmp_path: Path) -> None:
    """One with its driver, one whose module is installed, one that nothing knows; a network card is none."""
    devices = {
        "0000:04:06.0": ("0xd161", "0x8005", True), "0000:04:07.0": ("0xe159", "0x0001", False),
        "0000:05:00.0": ("0x1b74", "0x0100", False), "0000:06:00.0": ("0x8086", "0x100e", True),
    }  # fmt: skip
    for address, (vendor, device, driven) in devices.items():
        folder = tmp_path / "sys/bus/pci/devices" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "device").write_text(device + "\n")
        name = f"pci:v0000{vendor[2:].upper()}d0000{device[2:].upper()}sv00008085sd00000003bc02sc00i00\n"
        (folder / "modalias").write_text(name)
        if driven:
            (tmp_path / "wctdm24xxp").mkdir(exist_ok=True)
            (folder / "driver").symlink_to(tmp_path / "wctdm24xxp")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "modules.alias").write_text(
        "# Aliases extracted from modules themselves.\n"
        "alias pci:v0000E159d00000001sv00008085sd*bc*sc*i* wcfxo\n"
        "alias pci:v0000E159d00000001sv0000A9FDsd*bc*sc*i* wctdm\n"
    )
    found = [(b.address, b.id, b.driver, b.modules) for b in boards(tmp_path / "sys", modules)]
    assert found == [
        ("0000:04:06.0", "d161:8005", "wctdm24xxp", ()),
        ("0000:04:07.0", "e159:0001", None, ("wcfxo",)),
        ("0000:05:00.0", "1b74:0100", None, ()),
    ]
    assert boards(tmp_path / "none") == []


# card monitor ---------------------------------------------------------------------------------------------------------


def test_monitor_looks_again_and_again(console: Console) -> None:
    said = console.run("--json", "card", "monitor", "--every", "0.1", "--for", "1s")
    looks = [json.loads(line) for line in said.out.splitlines()]
    assert len(looks) >= 2
    for look in looks:
        assert [card["name"] for card in look["cards"]] == ["first", "second"]
        assert [line["line"] for line in look["lines"]] == [1, 2, 3]
        for line in look["lines"]:
            assert line["volts_low"] <= line["volts"] <= line["volts_high"]
            assert line["level_dbm0"] <= line["peak_dbm0"]
    assert looks[0]["utc_ns"] < looks[-1]["utc_ns"]


def test_monitor_shows_what_is_asked_for(console: Console) -> None:
    rows = console.rows("card", "monitor", "--card", "first", "--line", "2", "--line", "3", "--for", "0.05s")
    assert rows[0][:3] == ["line", "name", "card"]
    assert {(row[0], row[2]) for row in rows[1:]} == {("2", "first (simulated)")}
    assert "line 9" in console.error("card", "monitor", "--line", "9", code=Exit.NOT_FOUND)["message"]
    assert "card third" in console.error("card", "monitor", "--card", "third", code=Exit.NOT_FOUND)["message"]


def test_monitor_on_a_terminal_leaves_its_last_table(box: Box) -> None:
    """Before it stands the screen that changed in place, which is taken away."""
    ours, theirs = os.openpty()
    words = [*COMMAND, "--data", str(box.data), "card", "monitor", "--every", "0.1", "--for", "0.25s"]
    surroundings_there = surroundings() | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30", "NO_COLOR": "1"}
    with subprocess.Popen(
        words, cwd="/", env=surroundings_there, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = read_to_the_end(ours)
        assert process.wait(60) == 0, shown
    _, _, left = shown.rpartition("\x1b[?1049l")
    assert left.count("card first (simulated): running, 2 lines, alaw") == 1
    for line in ("1", "2", "3"):
        assert [row.split()[0] for row in left.splitlines() if row.strip()].count(line) == 1, left


def read_to_the_end(terminal: int) -> str:
    shown = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", 0) as output:  # EIO: nobody writes any more.
        while part := output.read(65536):
            shown += part
    return shown.decode()


def test_extremes_are_kept_for_each_line() -> None:
    extremes = Extremes()
    for number, volts, level in ((1, 48.0, -60.0), (1, 9.0, -12.0), (2, None, -70.0), (1, 20.0, -33.0)):
        last = extremes.seen({"line": number, "volts": volts, "level_dbm0": level})
        if number == 2:
            assert last == {"volts_low": None, "volts_high": None, "peak_dbm0": -70.0}
    assert last == {"volts_low": 9.0, "volts_high": 48.0, "peak_dbm0": -12.0}


def test_the_bar_of_a_level() -> None:
    assert bar(-90, -90) == "·" * 30
    assert bar(3.0, 3.0) == "█" * 30
    assert bar(-30, -10) == "█" * 15 + "·" * 9 + "|" + "·" * 5


# doctor ---------------------------------------------------------------------------------------------------------------


def examined(data: Path) -> dict[str, dict[str, Any]]:
    """Findings by what was examined. A machine that is busy with other tests may be told that it is not fit."""
    said = called("--data", str(data), "doctor", "--json")
    document = json.loads(said.out)
    verdicts = [finding["verdict"] for finding in document["findings"]]
    assert document["verdict"] == next(each for each in ("bad", "warn", "ok") if each in verdicts)
    assert said.code == (Exit.NO if document["verdict"] == "bad" else Exit.OK)
    assert all(finding["remedy"] for finding in document["findings"] if finding["verdict"] != "ok")
    return {finding["what"]: finding for finding in document["findings"]}


def test_doctor_without_anything(tmp_path: Path) -> None:
    """No data folder, no daemon, no driver: each is said, and nothing is bad."""
    found = examined(tmp_path / "none")
    assert [*found] == [*EXAMINED, "disk", "daemon"]
    assert (
        found["DAHDI driver"]["verdict"] == "ok" and "no card of the configuration" in found["DAHDI driver"]["figure"]
    )
    for what in ("configuration", "disk", "daemon"):
        assert found[what]["verdict"] == "warn" and found[what]["remedy"]
    assert not (tmp_path / "none").exists()


def test_doctor_beside_the_daemon(box: Box) -> None:
    found = examined(box.data)
    running = ["daemon", "running card first", "running card second", "gaps", "writer", "alarms"]
    assert [*found] == [*EXAMINED, "disk room", "disk speed", *running]
    assert f"pid {box.daemon.process.pid}" in found["daemon"]["figure"]
    assert found["disk speed"]["measured"]["sync_ms_max"] >= found["disk speed"]["measured"]["sync_ms_p50"] > 0
    assert found["ticks"]["measured"]["late_ms_max"] >= 0
    assert sorted(path.name for path in box.data.iterdir() if "tmp" in path.name) == []


def test_doctor_where_a_configured_card_has_no_driver(tmp_path: Path) -> None:
    (tmp_path / "linekeep.toml").write_text('[[card]]\nkind = "dahdi"\nchannels = ["1-4"]\n')
    found = examined(tmp_path)
    assert found["DAHDI driver"]["verdict"] == found["permissions"]["verdict"] == "bad"
    assert found["DAHDI driver"]["remedy"].startswith("load the card's driver (modprobe dahdi")


def test_doctor_names_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "linekeep.toml").write_text("[box]\nnonsense = 1\n")
    found = examined(tmp_path)
    assert found["configuration"]["verdict"] == "bad" and "nonsense" in found["configuration"]["figure"]


def test_doctor_for_people(box: Box) -> None:
    said = called("--data", str(box.data), "doctor")
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["verdict", "examined", "found", "what to do"]
    bad = "bad" in {row[0] for row in rows[1:]}
    assert said.err.startswith("Not fit to record" if bad else "Fit to record") and said.code == bad


def test_the_processor_is_examined_before_numpy_is_needed() -> None:
    program = (
        "import sys, os; from firmware.cli import doctor; "
        "print(doctor.machine.processor(open('/proc/cpuinfo').read(), os.uname().machine).what, 'numpy' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["processor", "False"]
