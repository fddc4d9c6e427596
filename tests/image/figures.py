"""Figures of the running box, told at the end of `make test-image`. None of them fails a test: they depend on the
machine that the box is emulated on."""

import json
from pathlib import Path
from typing import Any

from tests.image.machine import Machine

TOLD: list[str] = []


def figure(what: str, value: float, unit: str) -> None:
    TOLD.append(f"{what}: {value:.1f} {unit}")


def first_recording(box: Machine) -> float:
    """Seconds from the kernel's start, by the machine's clock, to the first sample that was recorded since."""
    boot = float(box.shell("echo $(date +%s.%N) $(cut -d' ' -f1 /proc/uptime) | awk '{printf \"%.3f\", $1 - $2}'"))
    found: dict[str, Any] = json.loads(box.shell("linekeep --json search --limit 500"))
    since: list[float] = [row["start_utc_ns"] / 1e9 - boot for row in found["recordings"]]
    return min(seconds for seconds in since if seconds > 0)


def multi_user(box: Machine) -> float:
    """Seconds from the kernel's start, by the machine's clock, to multi-user.target."""
    shown = box.shell("systemctl show --value --property=ActiveEnterTimestampMonotonic multi-user.target")
    return int(shown) / 1e6


def memory_mb(box: Machine) -> dict[str, float]:
    """Of the three services, without what they have mapped of files; and of all that runs, once without what is kept of
    files, once as the kernel counts what it could give to a new program at once."""
    services = ("linekeep", "linekeep-web", "linekeep-keeper")
    units = box.shell(
        f"for unit in {' '.join(services)}; do "
        "awk '/^anon |^kernel /{sum += $2} END {print sum}' /sys/fs/cgroup/system.slice/$unit.service/memory.stat; done"
    )
    found = {name: float(word) / 1e6 for name, word in zip(services, units.split(), strict=True)}
    said = dict(line.split(":") for line in box.shell("cat /proc/meminfo").splitlines())
    kib = {name: int(value.split()[0]) for name, value in said.items()}
    files = sum(kib[name] for name in ("MemFree", "Buffers", "Cached", "SReclaimable"))
    return found | {
        "all that runs, without cached files": (kib["MemTotal"] - files) * 1024 / 1e6,
        "all that is not available": (kib["MemTotal"] - kib["MemAvailable"]) * 1024 / 1e6,
    }


def sizes(image: Path) -> None:
    """Of the built files, and how long they took."""
    for file in (image, image.with_name(image.name + ".zst"), image.with_suffix(".raucb")):
        if file.exists():
            figure(f"size of {file.name}", file.stat().st_size / 1e6, "MB")
    took = image.with_suffix(".seconds")
    if took.exists():
        figure("make image", float(took.read_text()), "s")
