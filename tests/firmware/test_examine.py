"""The doctor's verdicts, each from the figures that bring it about."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cffi_bindings.dahdi import Channel, Signalling, Span, Version
from firmware import wire
from firmware.cards.boards import Board
from firmware.cards.scan import Found
from firmware.examine import Finding, cards, daemon, machine, worst
from tests.cards.synway_line import compiled

CPU = """\
processor	: 0
model name	: Some Processor
flags		: fpu {flags}

processor	: 1
model name	: Some Processor
flags		: fpu {flags}
"""
V2 = "pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
SPAN = Span(1, "TE2/0/1", "T2XXP", "E1", "Digium", "Wildcard TE205P", "Board ID", (), 3, 1, 31, 31)
CHANNEL = Channel(1, 1, 1, "TE2/0/1/1", Signalling.CLEAR, "alaw", False, ())
NOTHING = Found([], None, "DAHDI: nothing there. Remedy: load it", [], [], False)


def test_the_worst_of_all() -> None:
    assert worst(()) == "ok"
    assert worst(("ok", "bad", "warn")) == "bad" and worst(("warn", "ok")) == "warn"


# The machine ----------------------------------------------------------------------------------------------------------


def test_processor() -> None:
    good = machine.processor(CPU.format(flags=V2), "x86_64")
    assert (good.verdict, good.measured["cores"]) == ("ok", 2)
    for flag in V2.split():
        old = machine.processor(CPU.format(flags=V2.replace(flag, "")), "x86_64")
        assert old.verdict == "bad" and flag in old.figure and old.remedy
    assert machine.processor("", "aarch64").verdict == "warn"
    here = machine.processor(Path("/proc/cpuinfo").read_text(), os.uname().machine)
    assert here.measured["cores"] == os.cpu_count()


@pytest.mark.parametrize(("longest", "verdict"), [(1.0, "ok"), (25.0, "warn"), (640.0, "bad")])
def test_ticks(longest: float, verdict: str) -> None:
    found = machine.ticks([0.1, 0.2, longest])
    assert (found.verdict, bool(found.remedy)) == (verdict, verdict != "ok")
    assert found.measured == {"late_ms_p50": 0.2, "late_ms_max": longest}


@pytest.mark.parametrize(
    ("source", "year", "verdict"),
    [("tsc", 2026, "ok"), ("kvm-clock", 2030, "ok"), ("hpet", 2026, "warn"), ("jiffies", 2026, "warn"),
     ("", 2026, "warn"), ("tsc", 1970, "bad")],
)  # fmt: skip
def test_clock(source: str, year: int, verdict: str) -> None:
    found = machine.clock(source, datetime(year, 6, 1, tzinfo=UTC))
    assert (found.verdict, bool(found.remedy)) == (verdict, verdict != "ok")


def test_synchronisation() -> None:
    assert [machine.synchronisation(known).verdict for known in (True, False, None)] == ["ok", "warn", "warn"]


MOUNTS = """\
rootfs / rootfs rw 0 0
/dev/sda1 / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/sdb1 /srv/calls\\040here xfs rw 0 0
server:/x /net nfs4 rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/", "ext4"), ("/srv", "ext4"), ("/run/linekeep", "tmpfs"), ("/srv/calls here/data", "xfs"), ("/net", "nfs4")],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert machine.file_system_of(Path(folder), MOUNTS) == kind


def test_disk_speed() -> None:
    quick = machine.DiskSpeed("ext4", (1.0,) * 19 + (9.0,), 200e6)
    assert machine.disk_speed(quick, 32).verdict == "ok"
    slow = replace(quick, sync_ms=(20.0,) * 20)
    # Above 64 lines the writer has the whole file system synced once, so a round does not grow any more.
    assert [machine.disk_speed(slow, lines).verdict for lines in (8, 32, 64, 128)] == ["ok", "warn", "warn", "warn"]
    assert machine.disk_speed(replace(quick, sync_ms=(50.0,) * 20), 64).verdict == "bad"
    assert machine.disk_speed(replace(quick, plain_bytes_s=500_000), 30).verdict == "warn"
    assert machine.disk_speed(replace(quick, file_system="tmpfs"), 8).verdict == "warn"
    assert machine.disk_speed(replace(quick, file_system="nfs4"), 8).verdict == "bad"


def test_a_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    speed = machine.measure_disk(tmp_path, "/dev/sda1 / ext4 rw 0 0\n")
    assert len(speed.sync_ms) == 20 and min(speed.sync_ms) > 0 and speed.plain_bytes_s > 0
    assert speed.file_system == "ext4" and list(tmp_path.iterdir()) == []


def test_disk_room() -> None:
    found = [machine.room(10**12, free, 512, 100) for free in (500_000_000, 1_000_000_000, 400_000_000_000)]
    assert [finding.verdict for finding in found] == ["bad", "warn", "ok"]
    assert found[0].measured["hours"] == 0 and found[2].measured["hours"] == 138.7


# The cards ------------------------------------------------------------------------------------------------------------


def verdicts(findings: list[Finding]) -> dict[str, str]:
    assert all(finding.remedy for finding in findings if finding.verdict != "ok")
    return {finding.what: finding.verdict for finding in findings}


def test_drivers() -> None:
    assert verdicts(cards.drivers(NOTHING, wanted=False)) == {"DAHDI driver": "ok"}
    missing = cards.drivers(NOTHING, wanted=True)
    assert verdicts(missing) == {"DAHDI driver": "bad"} and missing[0].remedy == "load it"
    boards = [
        Board("0000:04:06.0", "d161:8005", "Digium", "wctdm24xxp", ("wctdm24xxp",)),
        Board("0000:04:07.0", "e159:0001", "Tiger Jet", None, ("wcfxo",)),
        Board("0000:04:08.0", "1b74:0100", "OpenVox", None, ()),
    ]
    version = Version("2.11.1", "OSLEC")
    loaded = cards.drivers(Found(boards, version, "", [SPAN], [CHANNEL], False), wanted=True)
    assert verdicts(loaded) == {
        "card 0000:04:06.0": "ok", "card 0000:04:07.0": "bad", "card 0000:04:08.0": "bad", "DAHDI driver": "ok",
    }  # fmt: skip
    assert loaded[1].remedy == "modprobe wcfxo"
    assert verdicts(cards.drivers(Found([], version, "", [], [], False), wanted=True)) == {"DAHDI driver": "bad"}


def test_permissions(tmp_path: Path) -> None:
    device = tmp_path / "ctl"
    device.touch(0o660)
    device.chmod(0o660)
    info = device.stat()
    owner = cards.Person("owner", info.st_uid, frozenset())
    member = cards.Person("member", 54321, frozenset({info.st_gid}))
    stranger = cards.Person("stranger", 54321, frozenset({54321}))
    root = cards.Person("root", 0, frozenset())
    found = [cards.permissions(person, [device]).verdict for person in (owner, member, root)]
    assert found == ["ok", "ok", "ok"]
    refused = cards.permissions(stranger, [device])
    assert refused.verdict == "bad" and "stranger may not read and write" in refused.figure and "660" in refused.figure
    device.chmod(0o640)
    assert cards.permissions(member, [device]).verdict == "bad"
    gone = cards.permissions(root, [tmp_path / "none"])
    assert gone.verdict == "bad" and "No such file" in gone.figure


def test_who_runs_a_process() -> None:
    here = cards.process_owner(Path("/proc/self/status").read_text(), "me")
    assert (here.uid, here.groups) == (os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def test_alarms() -> None:
    assert verdicts(cards.alarms([SPAN])) == {"spans": "ok"}
    red = replace(SPAN, number=2, alarms=("red", "los"))
    found = cards.alarms([SPAN, red])
    assert verdicts(found) == {"span 2": "bad"} and "red, los" in found[0].figure


INTERRUPTS = """\
           CPU0       CPU1
  0:         44          0   IO-APIC   2-edge      timer
 16:     123456          0   IO-APIC  16-fasteoi   wctdm24xxp, ehci_hcd:usb1
 17:          5          0   IO-APIC  17-fasteoi   ahci, i801_smbus
NMI:          0          0   Non-maskable interrupts
"""


def test_interrupts() -> None:
    clean, some = replace(SPAN, interrupts_missed=0), replace(SPAN, interrupts_missed=5)
    assert cards.interrupts([clean], [clean], "", ()).verdict == "ok"
    assert cards.interrupts([SPAN], [SPAN], "", ()).verdict == "warn"
    growing = cards.interrupts([SPAN], [some], "", ())
    assert growing.verdict == "bad" and growing.measured["missed_now"] == 2
    # Two spans of one card tell the card's count twice; another card has its own.
    spans = [SPAN, replace(SPAN, number=2), replace(SPAN, number=3, location="elsewhere")]
    assert cards.interrupts(spans, spans, "", ()).measured["missed"] == 6
    shared = cards.interrupts([clean], [clean], INTERRUPTS, {"wctdm24xxp"})
    assert shared.verdict == "warn" and "wctdm24xxp, ehci_hcd:usb1" in shared.figure
    assert cards.shared_interrupts(INTERRUPTS, {"wcfxo"}) == []


def test_buffers_without_a_driver() -> None:
    assert cards.buffers([]).verdict == "warn"
    found = cards.buffers([CHANNEL])
    assert found.verdict == "bad" and "/dev/dahdi" in found.figure and found.remedy


def test_what_is_configured_and_what_there_is() -> None:
    channels = [CHANNEL, replace(CHANNEL, number=2, signalling=Signalling.NONE), replace(CHANNEL, number=3, law="ulaw")]
    found = [cards.configured("e1", "alaw", numbers, channels) for numbers in ((1,), (1, 4), (1, 2), (1, 3))]
    assert [finding.verdict for finding in found] == ["ok", "bad", "bad", "bad"]
    assert "channels 4 do not exist" in found[1].figure
    assert "channels 2 are not configured" in found[2].figure
    assert "channels 3 are not alaw" in found[3].figure and "They are ulaw" in found[3].remedy


def test_a_synway_card(tmp_path: Path) -> None:
    missing = cards.synway("s", str(tmp_path / "libshpa3api.so"), tmp_path)
    assert missing.verdict == "bad" and "cannot be loaded" in missing.figure and "install" in missing.remedy
    library = str(compiled(tmp_path))
    found = cards.synway("s", library, tmp_path)
    assert found.verdict == "warn" and "not yet run on a real card" in found.figure
    (tmp_path / "ShIndex.ini").unlink()
    without = cards.synway("s", library, tmp_path)
    assert without.verdict == "bad" and f"no ShIndex.ini in {tmp_path}" in without.figure


# The daemon -----------------------------------------------------------------------------------------------------------


def status(**changed: Any) -> dict[str, Any]:
    card = wire.CardStatus(name="e1", kind="dahdi", simulated=False, law="alaw", lines=30, state="running")
    whole = wire.Status(
        version="1", run="0", pid=7, uptime_s=1.0, started_utc_ns=0, simulated=False, box="b", health="ok",
        clock=wire.ClockStatus(utc_ns=0, zone="UTC", utc_offset_s=0, synchronised=True), cards=[card], lines={},
        writer=wire.WriterStatus(), disk=wire.DiskStatus(
            path="/", total_bytes=1, free_bytes=1, minimum_free_bytes=0, recordings_bytes=0
        ),
        recordings=wire.RecordingCounts(), gaps=wire.GapCounts(), alarms=wire.AlarmCounts(),
    )  # fmt: skip
    told: dict[str, Any] = msgspec.to_builtins(whole)
    told["cards"][0].update(changed.pop("card", {}))
    return told | changed


@pytest.mark.parametrize(
    ("changed", "what", "verdict"),
    [
        ({}, "running card e1", "ok"),
        ({"card": {"state": "alarm"}}, "running card e1", "bad"),
        ({"card": {"down": [3, 4]}}, "running card e1", "bad"),
        ({"card": {"tick_ms": {"p50": 8.0, "p99": 12.0, "max": 15.0}}}, "running card e1", "warn"),
        ({"card": {"tick_ms": {"p50": 8.0, "p99": 21.0, "max": 25.0}}}, "running card e1", "bad"),
        ({"card": {"lost_samples": 160}}, "running card e1", "warn"),
        ({"card": {"counts": {"overruns": 0, "lost_interrupts": 1}}}, "running card e1", "warn"),
        ({"gaps": {"count": 1, "samples": 160}}, "gaps", "warn"),
        ({"alarms": {"open": 1, "unacknowledged": 0, "worst": "warning"}}, "alarms", "warn"),
        ({"alarms": {"open": 2, "unacknowledged": 0, "worst": "critical"}}, "alarms", "bad"),
    ],
)
def test_the_daemon(changed: dict[str, Any], what: str, verdict: str) -> None:
    found = verdicts(list(daemon.daemon(status(**changed))))
    assert found == {**dict.fromkeys(("daemon", "running card e1", "gaps", "writer", "alarms"), "ok"), what: verdict}


def test_a_writer_that_does_not_follow() -> None:
    writer = {"open": 3, "last_sync_age_s": 9.0, "sync_ms": {"p50": 900.0, "max": 2000.0}, "written_bytes": 1}
    found = [
        verdicts(list(daemon.daemon(status(writer={**writer, "behind_s": behind}))))["writer"] for behind in (1, 3, 6)
    ]
    assert found == ["ok", "warn", "bad"]
