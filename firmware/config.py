"""The box's configuration as frozen values: what the rest of the appliance reads.

The file they come from is the business of `config_file`. Time zones are here because the zone of the box is part of
its configuration: it names the folders of a day and the times people see.
"""

from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware.cards import Law

CONFIG_NAME = "linekeep.toml"
LONGEST_BOX = 4096
"""Lines a box may have."""

Language = Literal["zh-CN", "en"]
CardKind = Literal["simulated"]
Scenario = Literal["office", "none"]
Trigger = Literal["voltage", "vox", "key", "always"]
ToneZone = Literal["cn", "us", "eu", "uk", "hk"]


@dataclass(frozen=True, slots=True)
class BoxConfig:
    name: str = "Linekeep"
    zone: str = ""
    """IANA time zone; empty: the system's."""
    language: Language = "zh-CN"


@dataclass(frozen=True, slots=True)
class StorageConfig:
    minimum_free_mb: int = 512
    """Below this much free space recording stops, with an alarm; the alarm comes at four times as much."""
    trash_days: float = 30.0
    """What a person deletes stays this long."""
    data_grace_days: float = 7.0
    """Data calls stay this long in the trash; 0: their audio is destroyed at once."""


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """Defaults for every line; a `[[line]]` may override each."""

    trigger: Trigger = "voltage"
    off_hook_volts: float = 18.0
    """Loop voltage below which the line is off-hook (and above `cut_volts`)."""
    cut_volts: float = 3.0
    """Below this the line is cut."""
    release_ms: int = 400
    """On-hook for this long ends the call; a shorter break is a hook flash."""
    vox_level_dbm0: float = -38.0
    pre_roll_s: float = 2.0
    """Audio kept from before the trigger (VOX and key; the voltage trigger starts at the hook). At most 24."""
    hangover_s: float = 4.0
    """VOX: silence that ends the recording."""
    busy_tone_s: float = 6.0
    """A busy, congestion or howler tone that lasts so long ends a call where the loop is not seen; 0: none does."""
    longest_s: float = 3 * 3600.0
    """A longer recording is continued in a new file without a gap."""
    shortest_s: float = 0.0
    access_numbers: tuple[str, ...] = ("163", "169", "16300", "16900", "95963", "17201")
    """Dialled numbers that name a dial-up data call."""


@dataclass(frozen=True, slots=True)
class LineConfig:
    number: int
    name: str = ""
    enabled: bool = True
    recording: RecordingConfig = field(default_factory=RecordingConfig)


@dataclass(frozen=True, slots=True)
class CardConfig:
    kind: CardKind = "simulated"
    name: str = "sim0"
    lines: int = 8
    law: Law = "alaw"
    zone: ToneZone = "cn"
    seed: int = 1
    paced: bool = True
    scenario: Scenario = "office"
    polarity: bool = True
    """The exchange reverses the battery while a called party is there."""
    start_utc: str = ""
    """Unpaced cards: the UTC time (ISO 8601) of sample 0; empty: now."""


@dataclass(frozen=True, slots=True)
class Config:
    box: BoxConfig = field(default_factory=BoxConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cards: tuple[CardConfig, ...] = (CardConfig(),)
    lines: tuple[LineConfig, ...] = tuple(LineConfig(number=n) for n in range(1, 9))
    """One for every channel of every card, in order; line numbers run through the box from 1."""


class ConfigError(Exception):
    """The configuration is refused; the message names file, line, key and what it may be."""


def zone_named(name: str) -> tzinfo:
    """The zone; raises ValueError where this box does not know it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f'"{name}" is not a time zone this box knows') from error


def system_zone() -> str:
    """The IANA name of the system's zone; `UTC` where it has none."""
    target = Path("/etc/localtime").resolve()
    name = str(target).partition("/zoneinfo/")[2]
    for candidate in (name, _first_line(Path("/etc/timezone"))):
        try:
            if candidate and zone_named(candidate):
                return "UTC" if candidate == "Etc/UTC" else candidate
        except ValueError:
            continue
    return "UTC"


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].strip() if path.is_file() else ""


def box_zone(box: BoxConfig) -> tuple[str, tzinfo]:
    """The zone in which this box shows time and names the folders of a day."""
    name = box.zone or system_zone()
    return name, zone_named(name)
