"""Updates on the flashed disk, as docs/updates.md promises: refused where they must be, interrupted by a power cut,
installed while a line records, proved after the start, and left again where the new version cannot start.

One box lives through it all, from a memory stick with six bundles, in five starts of the machine.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.box import wait_for
from tests.image.bundles import Slot, bundle, other_key, stick
from tests.image.figures import figure
from tests.image.machine import GIB, SIMULATED, Machine, disk_copy, handed, image, running

GOOD, BROKEN = "99.1.0", "99.2.0"
STICK = "/run/linekeep-stick"
INSTALL_S = 1200.0
"""On a loaded machine."""


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The memory stick."""
    folder = tmp_path_factory.mktemp("bundles")
    source = image().parent / "slot.img"
    good, broken = Slot(source, folder / "good.img"), Slot(source, folder / "broken.img")
    good.versioned(GOOD)
    broken.versioned(BROKEN)
    broken.write_module("firmware/daemon", 'raise SystemExit("made so by a test")\n')
    small = folder / "small.img"
    small.write_bytes(os.urandom(1 << 20))
    stale = {**good.build, "formats": {**good.build["formats"], "recording": {"oldest": 0, "newest": 0, "writes": 0}}}
    files = [
        bundle(good.image, good.build, folder / f"linekeep-{GOOD}-amd64.raucb"),
        bundle(broken.image, broken.build, folder / f"linekeep-{BROKEN}-amd64.raucb"),
        bundle(small, good.build, folder / "linekeep-foreign-amd64.raucb", signing=other_key(folder)),
        bundle(small, good.build, folder / "linekeep-another-box.raucb", compatible="another-box"),
        bundle(small, stale, folder / "linekeep-stale-amd64.raucb"),
    ]
    torn = folder / "linekeep-torn-amd64.raucb"
    torn.write_bytes(files[0].read_bytes()[: 1 << 20])
    return stick([*files, torn], folder / "stick.img")


def state(box: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.shell("linekeep update --json"))
    return found


def outcome(box: Machine, patience_s: float = 900.0) -> dict[str, Any]:
    """What came of the update, when the box has decided."""

    def decided() -> dict[str, Any] | None:
        said = box.shell("linekeep update --json")
        last: dict[str, Any] | None = json.loads(said)["update"]["last"] if said.startswith("{") else None
        return last if last and last["outcome"] != "installed" else None

    return wait_for("an outcome of the update", decided, patience_s)


def up(box: Machine) -> None:
    box.said(r"page +(https://\S+)")
    wait_for("the daemon", lambda: box.shell("linekeep status --json").startswith("{"), 300)


def gone(box: Machine) -> None:
    """It starts again; the machine in software ends there."""
    wait_for("the restart", lambda: box.process.poll() is not None, 900)


def recordings(box: Machine) -> list[dict[str, Any]]:
    """Of line 1, oldest first."""
    rows: list[dict[str, Any]] = json.loads(box.shell("linekeep search --line 1 --json"))["recordings"]
    return sorted(rows, key=lambda row: row["start_utc_ns"])


def refuses_and_is_interrupted(box: Machine) -> None:
    """The power goes while it installs the good one."""
    up(box)
    box.shell(f"cat >/data/linekeep/linekeep.toml <<'TOML'\n{SIMULATED.format(2)}TOML\nsystemctl restart linekeep")
    up(box)
    first = state(box)
    assert [first["slot"], first["development"], first["update"]["last"]] == ["A", True, None]
    wait_for("the stick", lambda: len(state(box)["update"]["offered"]) == 6, 120)
    for name, why in (
        ("foreign-amd64", "its signature is not of the key"),
        ("another-box", "is for another-box"),
        ("stale-amd64", "it is too old"),
        ("torn-amd64", "only a part of one"),
    ):
        said = box.shell(f"linekeep update {STICK}/linekeep-{name}.raucb; echo code $?")
        assert why in said and said.endswith("code 5"), said
    assert state(box)["slot"] == "A"
    for unit, most in (("rauc", 3.0), ("linekeep-proof", 3.0)):
        told = box.shell(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        assert float(told.rpartition(": ")[2].split()[0]) <= most, told
    # The power goes while the slot is being written.
    box.shell(f"linekeep update {STICK}/linekeep-{GOOD}-amd64.raucb >/tmp/told 2>&1 & :")
    wait_for("a third of it", lambda: state(box)["update"]["share"] > 0.3, INSTALL_S)
    assert state(box)["update"]["step"] == "installing"
    box.shell("sync -f /data")


def installs_while_it_records(box: Machine) -> None:
    """The update that was cut short is told, and done anew."""
    up(box)
    assert outcome(box)["outcome"] == "interrupted"
    assert state(box)["slot"] == "A"
    wait_for("the stick", lambda: len(state(box)["update"]["offered"]) == 6, 120)
    box.shell("date +%s >/tmp/began")
    said = box.shell(f"linekeep update {STICK}/linekeep-{GOOD}-amd64.raucb; echo code $?")
    assert said.endswith("code 0"), said
    took_s = int(box.shell("date +%s")) - int(box.shell("cat /tmp/began"))
    status = json.loads(box.shell("linekeep status --json"))
    assert status["gaps"]["count"] == 0, "recording went on"
    assert status["lines"]["recording"] == 2
    figure("an update's installation while two lines record", took_s, "s of the machine's time")
    print(f"longest sync of a recording {status['writer']['sync_ms']}")
    assert state(box)["update"]["waiting"] == GOOD
    box.shell("linekeep box restart --yes")
    gone(box)


def is_proved_and_takes_a_broken_one(box: Machine) -> None:
    """In the other slot, on trial; then one that cannot start."""
    up(box)
    assert outcome(box)["outcome"] == "proved"
    after = state(box)
    assert [after["slot"], after["version"], after["update"]["waiting"]] == ["B", GOOD, ""]
    assert [(slot["name"], slot["good"]) for slot in after["slots"]] == [("A", True), ("B", True)]
    assert "linekeep.trial" in box.shell("cat /proc/cmdline")
    assert box.shell("systemctl --failed --no-legend --plain") == ""
    old, new = recordings(box)[-2:]
    old_end_s = old["start_utc_ns"] / 1e9 + old["samples"] / 8000
    gap_s = new["start_utc_ns"] / 1e9 - old_end_s
    # The start before this one had a clock that does not know how slow the host is.
    last_word = json.loads(box.shell("journalctl --no-pager -b -1 -n 1 -o json --output-fields=MESSAGE"))
    goes_s = int(last_word["__REALTIME_TIMESTAMP"]) / 1e6 - old_end_s
    figure("the last recorded sample before the restart to the journal's end", goes_s, "s of the machine's time")
    print(f"nothing was recorded for {gap_s:.1f} s; {box.shell('systemd-analyze | head -n 1')}")
    # What an entry tells of somebody or something stands beside the chain.
    proved = "grep -h '\"proved\"' /data/linekeep/journal/*.side | cut -d' ' -f3-"
    told = wait_for("it in the journal", lambda: box.shell(proved) or None, 300)
    unrecorded = json.loads(told)["unrecorded"]
    assert unrecorded["from_utc_ns"] < unrecorded["to_utc_ns"] <= new["start_utc_ns"], told
    assert gap_s > 0
    wait_for("the stick", lambda: len(state(box)["update"]["offered"]) == 6, 120)
    said = box.shell(f"linekeep update {STICK}/linekeep-{BROKEN}-amd64.raucb; echo code $?")
    assert said.endswith("code 0"), said
    box.shell("linekeep box restart --yes")
    gone(box)


def has_gone_back(box: Machine) -> None:
    """And says why."""
    up(box)
    came_to = outcome(box)
    assert [came_to["outcome"], came_to["version"]] == ["fell_back", BROKEN]
    assert "The daemon does not answer" in came_to["message"], came_to
    assert state(box)["slot"] == "B" and state(box)["version"] == GOOD
    alarms = wait_for(
        "the alarm",
        lambda: [one for one in json.loads(box.shell("linekeep alarms --json"))["alarms"]
                 if one["code"] == "update_fell_back"], 300,
    )  # fmt: skip
    assert alarms[0]["values"]["version"] == BROKEN


@pytest.mark.timeout(7200)
def test_a_box_is_updated_and_goes_back(offered: Path, tmp_path: Path) -> None:
    disk = disk_copy(image(), tmp_path / "disk.img", 4 * GIB)

    with running(disk, tmp_path / "1", handed(disk), stick=offered) as box:
        refuses_and_is_interrupted(box)

    with running(disk, tmp_path / "2", handed(disk), stick=offered) as box:
        installs_while_it_records(box)

    with running(disk, tmp_path / "3", stick=offered) as box:
        is_proved_and_takes_a_broken_one(box)

    with running(disk, tmp_path / "4") as box:
        gone(box)

    with running(disk, tmp_path / "5") as box:
        has_gone_back(box)
