"""The box's configuration: one TOML file, parsed once into frozen values.

Unknown keys are refused with the line they stand on; a wrong value names the key, what it may be, and its line.
Changes are validated, written to a temporary file, synced and renamed, and the former version is kept.
"""

from dataclasses import dataclass, field
from typing import Literal

from firmware.cards import Law

Trigger = Literal["voltage", "vox", "key", "always"]
ToneZone = Literal["cn", "us", "eu", "uk", "hk"]


@dataclass(frozen=True, slots=True)
class BoxConfig:
    name: str = "Linekeep"
    zone: str = ""
    """IANA time zone; empty: the system's."""
    language: Literal["zh-CN", "en"] = "zh-CN"


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
    kind: Literal["simulated"] = "simulated"
    name: str = "sim0"
    lines: int = 8
    law: Law = "alaw"
    zone: ToneZone = "cn"
    seed: int = 1
    paced: bool = True
    scenario: Literal["office", "none"] = "office"
    start_utc: str = ""
    """Unpaced cards: the UTC time (ISO 8601) of sample 0; empty: now."""


@dataclass(frozen=True, slots=True)
class Config:
    box: BoxConfig = field(default_factory=BoxConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    cards: tuple[CardConfig, ...] = (CardConfig(),)
    lines: tuple[LineConfig, ...] = tuple(LineConfig(number=n) for n in range(1, 9))
    """One for every channel of every card, in order; line numbers run through the box from 1."""
