"""The box's configuration as frozen values: what the rest of the appliance reads.

The file they come from is the business of `config_file`. Time zones are here because the zone of the box is part of
its configuration: it names the folders of a day and the times people see.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware.cards import Law

CONFIG_NAME = "linekeep.toml"
CARD_NAMES: Final = {"simulated": "sim0", "dahdi": "dahdi0", "synway": "synway0"}
"""What a card is called whose stanza does not say."""
LONGEST_BOX = 4096
"""Lines a box may have."""

Language = Literal["zh-CN", "en"]
CardKind = Literal["simulated", "dahdi", "synway"]
Scenario = Literal["office", "none"]
Trigger = Literal["voltage", "vox", "key", "always"]
ToneZone = Literal["cn", "us", "eu", "uk", "hk"]
Role = Literal["tap", "trunk", "station"]
"""What the box is to a line: it listens beside others (and never writes nor touches the hook), it is the subscriber of
an exchange's line, or it is the exchange of a telephone."""
LineKind = Literal["direct", "trunk", "extension", "handset"]
"""What the line is: one of the exchange's that ends at a telephone, one that ends at a PBX, one from a PBX to a
telephone, or the cord of a handset, which has sound but neither battery nor ringing."""


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
    """Loop voltage below which the line is off-hook (and above `cut_volts`); 0: the voltage says nothing."""
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


KIND_DEFAULTS: Final[Mapping[LineKind, Mapping[str, Any]]] = {
    "direct": {},
    "trunk": {},
    # Many PBXs feed their extensions with 24 V, which is 18 V on a long line; a telephone leaves 5 to 10 of them. A
    # break of up to a second is the button that asks the PBX for a second call, not the end of this one.
    "extension": {"off_hook_volts": 14.0, "release_ms": 1000},
    # What stands on a handset's cord is no loop's voltage: only sound tells a call.
    "handset": {"trigger": "vox", "off_hook_volts": 0.0, "cut_volts": 0.0},
}
"""What a line's kind changes of `[recording]`; the line's own keys stand above it."""


def recording_of(kind: LineKind, shared: RecordingConfig) -> RecordingConfig:
    """How a line of this kind is recorded that says nothing else, in a box whose `[recording]` is `shared`."""
    return replace(shared, **KIND_DEFAULTS[kind])


@dataclass(frozen=True, slots=True)
class LineConfig:
    number: int
    name: str = ""
    enabled: bool = True
    role: Role = "tap"
    kind: LineKind = "direct"
    recording: RecordingConfig = field(default_factory=RecordingConfig)


@dataclass(frozen=True, slots=True)
class CardConfig:
    kind: CardKind = "simulated"
    name: str = "sim0"
    lines: int = 8
    """As many as `channels`, where the card has those."""
    law: Law = "alaw"
    zone: ToneZone = "cn"
    seed: int = 1
    paced: bool = True
    scenario: Scenario = "office"
    polarity: bool = True
    """The exchange reverses the battery while a called party is there."""
    start_utc: str = ""
    """Unpaced cards: the UTC time (ISO 8601) of sample 0; empty: now."""
    channels: tuple[int, ...] = ()
    """Real cards: the driver's number of each line."""
    volts_every_s: float = 0.1
    """Real cards: how often the loop voltage is asked for; 0: never."""
    vendor_library: str = ""
    """Synway: name or path of the vendor's library; empty: its usual names."""
    folder: str = ""
    """Synway: where the vendor's ShConfig.ini and ShIndex.ini are."""


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
