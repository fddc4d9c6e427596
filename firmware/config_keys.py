"""What the configuration file may say: for every key what it may be, how it is read, and the sentence beside it.

These tables are the only place that knows: reading, refusing and the comments of a fresh file (`config_file`) follow
them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from firmware.cards import Law
from firmware.config import (
    LONGEST_BOX,
    CardKind,
    Language,
    LineKind,
    Role,
    Scenario,
    ToneZone,
    Trigger,
    zone_named,
)


@dataclass(frozen=True, slots=True)
class Key:
    allowed: str
    read: Callable[[object], Any]
    """The value to keep; raises ValueError for one that is not allowed."""
    says: str
    written: Callable[[Any], object] = lambda value: value
    """The value as the file says it."""


def _whole(low: int, high: int, unit: str, says: str) -> Key:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError

    return Key(f"a whole number from {low} to {high}{unit and ' ' + unit}", read, says)


def _number(low: float, high: float, unit: str, says: str) -> Key:
    def read(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise ValueError

    return Key(f"a number from {low:g} to {high:g}{unit and ' ' + unit}", read, says)


def _choice(choices: Iterable[str], says: str) -> Key:
    kept = tuple(choices)

    def read(value: object) -> str:
        if isinstance(value, str) and value in kept:
            return value
        raise ValueError

    return Key("one of " + ", ".join(f'"{choice}"' for choice in kept), read, says)


def _flag(says: str) -> Key:
    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError

    return Key("true or false", read, says)


def _text(shortest: int, longest: int, says: str) -> Key:
    def read(value: object) -> str:
        if isinstance(value, str) and shortest <= len(value) <= longest and value.isprintable():
            return value
        raise ValueError

    return Key(f"printable text of {shortest} to {longest} characters", read, says)


def _read_card_name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9_-]{1,32}", value):
        return value
    raise ValueError


def _read_path(value: object) -> str:
    if isinstance(value, str) and value.startswith("/") and value.isprintable():
        return value
    raise ValueError


def _read_zone(value: object) -> str:
    if isinstance(value, str) and (not value or zone_named(value)):
        return value
    raise ValueError


def _read_instant(value: object) -> str:
    if isinstance(value, str) and (not value or datetime.fromisoformat(value)):
        return value
    raise ValueError


def _read_access_numbers(value: object) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) <= 200 and all(_is_dialled(number) for number in value):
        return tuple(value)
    raise ValueError


def _channels(low: int, high: int, says: str) -> Key:
    """Numbers and ranges of them, in the order of the lines, none twice."""

    def numbers(item: object) -> range:
        if isinstance(item, int) and not isinstance(item, bool):
            return range(item, item + 1)
        ends = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", item) if isinstance(item, str) else None
        if ends is None:
            raise ValueError
        return range(int(ends[1]), int(ends[2]) + 1)

    def read(value: object) -> tuple[int, ...]:
        if not isinstance(value, list):
            raise ValueError
        ranges = [numbers(item) for item in value]
        if not ranges or not all(each and low <= each[0] and each[-1] <= high for each in ranges):
            raise ValueError
        channels = tuple(number for each in ranges for number in each)
        if len(set(channels)) < len(channels):
            raise ValueError
        return channels

    return Key(f'a list of numbers from {low} to {high} and ranges such as "5-30", none twice', read, says, as_ranges)


def as_ranges(channels: Iterable[int]) -> tuple[int | str, ...]:
    """Three and more that follow each other become one range."""
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][-1] + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    parts: list[int | str] = []
    for run in runs:
        parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else run
    return tuple(parts)


def _is_dialled(number: object) -> bool:
    return isinstance(number, str) and re.fullmatch(r"[0-9*#]{2,20}", number) is not None


BOX = {
    "name": _text(1, 64, "What the page calls this box."),
    "zone": Key(
        'an IANA time zone such as "Asia/Shanghai", or "" for the system\'s', _read_zone, "The box's time zone."
    ),
    "language": _choice(get_args(Language), "Language where the browser does not ask for another."),
}
STORAGE = {
    "minimum_free_mb": _whole(
        1,
        1_000_000_000,
        "megabytes",
        "With less free space recording stops, with an alarm; a warning comes at four times.",
    ),
    "trash_days": _number(0, 36_500, "days", "What a person deletes can be taken back for this long."),
    "data_grace_days": _number(
        0, 3_650, "days", "Data calls stay this long in the trash; 0 destroys their audio at once."
    ),
}
RECORDING = {
    "trigger": _choice(get_args(Trigger), "What starts a recording."),
    "off_hook_volts": _number(
        0, 60, "volts", "The line is off-hook below this (and above cut_volts); 0: the voltage says nothing."
    ),
    "cut_volts": _number(0, 60, "volts", "The line is cut below this."),
    "release_ms": _whole(100, 10_000, "milliseconds", "On-hook for this long ends the call; shorter is a hook flash."),
    "vox_level_dbm0": _number(-60, 0, "dBm0", "Sound above this starts a recording by vox."),
    "pre_roll_s": _number(0, 24, "seconds", "Kept from before the start (vox and key)."),
    "hangover_s": _number(0.5, 120, "seconds", "Silence that ends a recording by vox."),
    "busy_tone_s": _number(0, 600, "seconds", "Busy tone that ends a call without a loop; 0: never."),
    "longest_s": _number(1, 86_400, "seconds", "A longer recording goes on in a new file, without a gap."),
    "shortest_s": _number(0, 3_600, "seconds", "Shorter recordings go to the trash."),
    "access_numbers": Key(
        "a list of at most 200 numbers of 2 to 20 digits, * and #",
        _read_access_numbers,
        "Dialled numbers that name a dial-up data call.",
    ),
}
_CARD: dict[str, Key] = {
    "kind": _choice(get_args(CardKind), "simulated: a line plant in software; dahdi, synway: channels of real cards."),
    "name": Key("1 to 32 small letters, digits, - and _", _read_card_name, "Unique in the box."),
}
_LAW = _choice(get_args(Law), "Companding of its lines.")
_ZONE = _choice(get_args(ToneZone), "Whose tones its exchange plays.")
_LINES = _whole(1, LONGEST_BOX, "lines", "Line numbers run through all cards from 1.")
_VOLTS = _number(0, 60, "seconds", "The loop voltage is asked for so often; 0: never.")
CARDS: dict[CardKind, dict[str, Key]] = {
    "simulated": _CARD
    | {
        "lines": _LINES,
        "law": _LAW,
        "zone": _ZONE,
        "seed": _whole(0, (1 << 63) - 1, "", "The same seed plays the same calls."),
        "paced": _flag("false: as fast as it can, for tests; timers then follow its samples."),
        "scenario": _choice(
            get_args(Scenario), "office: callers of all kinds; none: only what `linekeep sim` asks for."
        ),
        "polarity": _flag("false: the exchange does not reverse the battery on answer."),
        "start_utc": Key(
            'a UTC time such as "2026-01-31T08:00:00", or "" for now',
            _read_instant,
            "Time of sample 0 of a card that is not paced.",
        ),
    },
    "dahdi": _CARD
    | {
        "channels": _channels(1, 1024, "The driver's channels, as `linekeep card scan` shows them: a line each."),
        "law": _LAW,
        "zone": _ZONE,
        "volts_every_s": _VOLTS,
    },
    "synway": _CARD
    | {
        "channels": _channels(0, 1023, "Recording channels by the library's numbers, from 0: a line each."),
        "law": _LAW,
        "zone": _ZONE,
        "volts_every_s": _VOLTS,
        "vendor_library": _text(0, 4096, 'Name or path of the vendor\'s library; "": its usual names.'),
        "folder": Key("an absolute path", _read_path, "Where the vendor's ShConfig.ini and ShIndex.ini are."),
    },
}
"""The keys of each kind of card."""
CHANNELS_ALSO = {"lines": _LINES}
"""What a card with `channels` may say besides, if it is their number."""
LINE = {
    "number": _whole(1, LONGEST_BOX, "", "Its number in the box."),
    "name": _text(0, 64, "What the page calls it."),
    "enabled": _flag("false: nothing is recorded on it."),
    "role": _choice(get_args(Role), "tap: it listens; trunk: it is the subscriber; station: it is the exchange."),
    "kind": _choice(get_args(LineKind), "What the line is; some keys of [recording] follow from it."),
}
TABLES = {"box": BOX, "storage": STORAGE, "recording": RECORDING}
LISTS: tuple[str, ...] = ("card", "line")
