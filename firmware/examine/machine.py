"""The machine itself: processor, ticks, clock, the data folder's disk.

NumPy's packages need a processor of level x86-64-v2 and end the process on one without, so nothing here or above may
load it: `processor` has to be asked first.

The disk is measured as the writer uses it: once a second a write and an `fdatasync` for each open recording, of up to
64 of them (above that one `syncfs`). What counts is how long a round of these takes; the speed of plain writing
seldom does, since a line is 8,000 bytes a second.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from firmware.examine import Finding, Verdict, graded, worst

V2: Final = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
"""Flags of x86-64-v2, as /proc/cpuinfo names them (`pni` is SSE3); System V ABI, AMD64 supplement, table 3.1."""
LINE_BYTES_S: Final = 8000
TICK_S: Final = 0.02
_TICKS: Final = 50
_SYNCS: Final = 20
_PLAIN_BYTES: Final = 16 << 20
_FILES_SYNCED: Final = 64
_EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCKS_IN_MEMORY: Final = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "xen")
_CLOCKS_ON_A_BUS: Final = ("hpet", "acpi_pm")
_IN_MEMORY: Final = ("tmpfs", "ramfs", "rootfs")
_OVER_THE_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")


# Processor and time ---------------------------------------------------------------------------------------------------


def processor(cpuinfo: str, machine: str) -> Finding:
    """`cpuinfo` is the text of /proc/cpuinfo, `machine` what uname says."""
    fields = [
        (name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())
    ]
    model = next((value for name, value in fields if name == "model name"), machine)
    cores = sum(name == "processor" for name, _ in fields)
    told: dict[str, float | int | str] = {"model": model, "cores": cores}
    if machine != "x86_64":
        remedy = "It may work, but nothing was proved on it: use a machine with an x86-64 processor."
        return Finding("processor", "warn", f"{model}, {machine}", remedy, told)
    flags = next((set(value.split()) for name, value in fields if name == "flags"), set())
    missing = " ".join(sorted(V2 - flags))
    if missing:
        remedy = (
            "Use a processor of 2009 or later; of a virtual machine choose another type (`host`, `Nehalem` or newer)."
        )
        return Finding("processor", "bad", f"{model}: not x86-64-v2, without {missing}", remedy, told)
    return Finding("processor", "ok", f"{model}, {cores} cores, x86-64-v2", measured=told)


def measure_ticks() -> list[float]:
    """How late, in milliseconds, this process was woken on each of a second's ticks."""
    begin = time.monotonic()
    late = []
    for tick in range(1, _TICKS + 1):
        time.sleep(max(0.0, begin + tick * TICK_S - time.monotonic()))
        late.append((time.monotonic() - begin - tick * TICK_S) * 1000)
    return late


def ticks(late_ms: Sequence[float]) -> Finding:
    p50, longest = sorted(late_ms)[len(late_ms) // 2], max(late_ms)
    verdict = graded(longest, 20, 400)
    remedy = "" if verdict == "ok" else "Something else takes the processor: stop it, or give the machine more cores."
    figure = f"woken {p50:.1f} ms late, at worst {longest:.1f} ms, in {len(late_ms)} ticks of 20 ms"
    return Finding("ticks", verdict, figure, remedy, {"late_ms_p50": round(p50, 3), "late_ms_max": round(longest, 3)})


def clock(source: str, utc: datetime) -> Finding:
    """`source` as /sys/devices/system/clocksource names the current one; empty where it does not tell."""
    told: dict[str, float | int | str] = {"source": source, "utc": utc.isoformat(timespec="seconds")}
    figure = f"{utc:%Y-%m-%d %H:%M:%S} UTC, counted by {source or 'an unknown source'}"
    if utc < _EARLIEST:
        remedy = "The clock stands in the past: set it (`timedatectl set-time`), and change the board's battery."
        return Finding("clock", "bad", figure, remedy, told)
    if source in _CLOCKS_IN_MEMORY:
        return Finding("clock", "ok", figure, measured=told)
    if source in _CLOCKS_ON_A_BUS:
        remedy = "Slow to read: see in the kernel's log (dmesg) why it gave up the TSC."
        return Finding("clock", "warn", figure, remedy, told)
    remedy = "No good clock was found: see dmesg for `clocksource`, and the firmware setup of the board for its timers."
    return Finding("clock", "warn", figure, remedy, told)


def synchronisation(synchronised: bool | None) -> Finding:
    """None: the kernel may not be asked."""
    what = "time synchronisation"
    if synchronised:
        return Finding(what, "ok", "the kernel's clock follows a time source", measured={"synchronised": 1})
    if synchronised is None:
        return Finding(what, "warn", "not known: the kernel may not be asked", "Call it outside of the container.")
    remedy = (
        "`timedatectl set-ntp true`, or chrony with a server in reach; until then recordings say `not synchronised`."
    )
    return Finding(what, "warn", "the clock runs free", remedy, {"synchronised": 0})


# Disk -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    file_system: str
    sync_ms: tuple[float, ...]
    """Of single writes of a second of a line."""
    plain_bytes_s: float


def measure_disk(folder: Path, mounts: str) -> DiskSpeed:
    """Some 16 MB into a file without a name in `folder`. `mounts` is the text of /proc/self/mounts. Raises OSError."""
    second = os.urandom(LINE_BYTES_S)
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            begin = time.monotonic()
            file.write(second)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - begin) * 1000)
        megabyte = os.urandom(1 << 20)
        begin = time.monotonic()
        for _ in range(_PLAIN_BYTES >> 20):
            file.write(megabyte)
        file.flush()
        os.fdatasync(file.fileno())
        plain = _PLAIN_BYTES / max(time.monotonic() - begin, 1e-6)
    return DiskSpeed(file_system_of(folder.resolve(), mounts), tuple(took), plain)


def file_system_of(folder: Path, mounts: str) -> str:
    """Type of the file system that `folder` lies on."""
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        words = line.split()
        # Blanks in a place are written as octal numbers (fstab(5)).
        place = Path(words[1].replace("\\040", " "))
        if len(place.parts) >= best and folder.is_relative_to(place):
            best, kind = len(place.parts), words[2]
    return kind


def disk_speed(speed: DiskSpeed, lines: int) -> Finding:
    """For a box of so many lines, all recording."""
    ordered = sorted(speed.sync_ms)
    p50, longest = ordered[len(ordered) // 2], ordered[-1]
    round_ms = p50 * min(max(lines, 1), _FILES_SYNCED)
    need = LINE_BYTES_S * max(lines, 1)
    verdict = worst((graded(round_ms, 500, 2000), graded(need / speed.plain_bytes_s, 0.1, 0.5)))
    figure = (
        f"{speed.file_system}, a sync takes {p50:.1f} ms, at worst {longest:.1f} ms; a round of {lines} lines "
        f"{round_ms:.0f} ms of each second; {speed.plain_bytes_s / 1e6:.0f} MB/s"
    )
    remedy = "" if verdict == "ok" else "Too slow for so many lines: use an SSD, and keep other programs off this disk."
    if speed.file_system in _IN_MEMORY:
        verdict = worst((verdict, "warn"))
        remedy = "Recordings lie in memory and are gone after a restart: name a folder on a disk with --data."
    elif speed.file_system in _OVER_THE_NETWORK:
        verdict = "bad"
        remedy = (
            "The catalogue may not lie on a network file system: name a folder on a disk of this machine with --data."
        )
    told: dict[str, float | int | str] = {
        "file_system": speed.file_system, "sync_ms_p50": round(p50, 3), "sync_ms_max": round(longest, 3),
        "round_ms": round(round_ms, 3), "plain_bytes_s": round(speed.plain_bytes_s),
    }  # fmt: skip
    return Finding("disk speed", verdict, figure, remedy, told)


def measure_room(folder: Path) -> tuple[int, int]:
    """Total and free bytes. Raises OSError."""
    usage = shutil.disk_usage(folder)
    return usage.total, usage.free


def room(total_bytes: int, free_bytes: int, minimum_free_mb: int, lines: int) -> Finding:
    """Below `minimum_free_mb` recording stops; the alarm comes at four times as much."""
    minimum = minimum_free_mb * 1_000_000
    hours = max(0, free_bytes - minimum) / (LINE_BYTES_S * max(lines, 1)) / 3600
    verdict: Verdict = "bad" if free_bytes < minimum else "warn" if free_bytes < 4 * minimum else "ok"
    figure = (
        f"{free_bytes / 1e9:.1f} of {total_bytes / 1e9:.1f} GB free: {hours:,.0f} hours of {lines} lines all talking, "
        f"down to the {minimum_free_mb} MB at which recording stops"
    )
    remedy = {
        "ok": "",
        "warn": "Free some room, or shorten trash_days under [storage].",
        "bad": "Nothing is recorded: free some room now (recordings in the trash, other files), or change the disk.",
    }[verdict]
    told: dict[str, float | int | str] = {
        "total_bytes": total_bytes,
        "free_bytes": free_bytes,
        "hours": round(hours, 1),
    }
    return Finding("disk room", verdict, figure, remedy, told)
