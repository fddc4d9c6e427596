"""Figures of the running box, told at the end of `make test-image`. None of them fails a test: they depend on the
machine that the box is emulated on."""

import json
import time
from pathlib import Path
from typing import Any

from tests.image.machine import Machine

TOLD: list[str] = []


def figure(what: str, value: float, unit: str) -> None:
    TOLD.append(f"{what}: {value:.1f} {unit}")


def since_power_on(box: Machine, utc_s: float) -> float:
    """Seconds from power-on, by our clock, until the box's clock showed this."""
    box_s = float(box.shell("date +%s.%N"))
    return time.monotonic() - box.began - (box_s - utc_s)


def first_recording(box: Machine) -> float:
    """UTC in seconds, by the box's clock, of the first sample that was recorded since it was started."""
    boot = float(box.shell("echo $(date +%s.%N) $(cut -d' ' -f1 /proc/uptime) | awk '{printf \"%.3f\", $1 - $2}'"))
    found: dict[str, Any] = json.loads(box.shell("linekeep --json search --limit 500"))
    started: list[float] = [row["start_utc_ns"] / 1e9 for row in found["recordings"]]
    return min(utc_s for utc_s in started if utc_s > boot)


def multi_user(box: Machine) -> float:
    """UTC in seconds, by the box's clock, of multi-user.target."""
    shown = box.shell(
        "echo $(date +%s.%N) $(cut -d' ' -f1 /proc/uptime) "
        "$(systemctl show --value --property=ActiveEnterTimestampMonotonic multi-user.target)"
    )
    now, uptime, reached_us = (float(word) for word in shown.split())
    return now - uptime + reached_us / 1e6


def memory_mb(box: Machine) -> dict[str, float]:
    """Of the daemon and the page, and of all that runs; what can be given back at once is left out."""
    units = box.shell(
        "for unit in linekeep linekeep-web; do "
        "awk '/^anon |^kernel /{sum += $2} END {print sum}' /sys/fs/cgroup/system.slice/$unit.service/memory.stat; done"
    )
    daemon, page = (float(word) / 1e6 for word in units.split())
    used = box.shell("awk '/MemTotal|MemAvailable/{print $2}' /proc/meminfo").split()
    return {"the daemon": daemon, "the page": page, "the whole box": (float(used[0]) - float(used[1])) * 1024 / 1e6}


def sizes(image: Path) -> None:
    """Of the built files, and how long they took."""
    for file in (image, image.with_name(image.name + ".zst"), image.with_suffix(".raucb")):
        if file.exists():
            figure(f"size of {file.name}", file.stat().st_size / 1e6, "MB")
    took = image.with_suffix(".seconds")
    if took.exists():
        figure("make image", float(took.read_text()), "s")
