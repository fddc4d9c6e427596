"""The configuration file: read, refused with reasons, written.

It is TOML. Unknown keys are refused with the line they stand on; a wrong value names the key, what it may be, and its
line. Changes are validated, written to a temporary file, synced and renamed, and the former version is kept.

The tables of keys are the only place that knows what a file may say; reading, refusing and the comments of a fresh file
all follow them. TOML's parser gives no places, so the line of a mistake is found by asking it again for the beginning
of the file.
"""

import bisect
import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, get_args

from firmware.cards import Law
from firmware.config import (
    CONFIG_NAME,
    LONGEST_BOX,
    BoxConfig,
    CardConfig,
    CardKind,
    Config,
    ConfigError,
    Language,
    LineConfig,
    RecordingConfig,
    Scenario,
    StorageConfig,
    ToneZone,
    Trigger,
    zone_named,
)
from recorder.disk import replace_file

# The keys: what each may be, and the sentence that stands beside it in the file --------------------------------------


@dataclass(frozen=True, slots=True)
class _Key:
    allowed: str
    read: Callable[[object], Any]
    """The value to keep; raises ValueError for one that is not allowed."""
    says: str


def _whole(low: int, high: int, unit: str, says: str) -> _Key:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError

    return _Key(f"a whole number from {low} to {high}{unit and ' ' + unit}", read, says)


def _number(low: float, high: float, unit: str, says: str) -> _Key:
    def read(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise ValueError

    return _Key(f"a number from {low:g} to {high:g}{unit and ' ' + unit}", read, says)


def _choice(choices: Iterable[str], says: str) -> _Key:
    kept = tuple(choices)

    def read(value: object) -> str:
        if isinstance(value, str) and value in kept:
            return value
        raise ValueError

    return _Key("one of " + ", ".join(f'"{choice}"' for choice in kept), read, says)


def _flag(says: str) -> _Key:
    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError

    return _Key("true or false", read, says)


def _text(shortest: int, longest: int, says: str) -> _Key:
    def read(value: object) -> str:
        if isinstance(value, str) and shortest <= len(value) <= longest and value.isprintable():
            return value
        raise ValueError

    return _Key(f"printable text of {shortest} to {longest} characters", read, says)


def _read_card_name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9_-]{1,32}", value):
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


def _is_dialled(number: object) -> bool:
    return isinstance(number, str) and re.fullmatch(r"[0-9*#]{2,20}", number) is not None


_BOX = {
    "name": _text(1, 64, "What the page calls this box."),
    "zone": _Key(
        'an IANA time zone such as "Asia/Shanghai", or "" for the system\'s', _read_zone, "The box's time zone."
    ),
    "language": _choice(get_args(Language), "Language where the browser does not ask for another."),
}
_STORAGE = {
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
_RECORDING = {
    "trigger": _choice(get_args(Trigger), "What starts a recording."),
    "off_hook_volts": _number(1, 60, "volts", "The line is off-hook below this (and above cut_volts)."),
    "cut_volts": _number(0, 60, "volts", "The line is cut below this."),
    "release_ms": _whole(100, 10_000, "milliseconds", "On-hook for this long ends the call; shorter is a hook flash."),
    "vox_level_dbm0": _number(-60, 0, "dBm0", "Sound above this starts a recording by vox."),
    "pre_roll_s": _number(0, 24, "seconds", "Kept from before the start (vox and key)."),
    "hangover_s": _number(0.5, 120, "seconds", "Silence that ends a recording by vox."),
    "busy_tone_s": _number(0, 600, "seconds", "Busy tone that ends a call without a loop; 0: never."),
    "longest_s": _number(1, 86_400, "seconds", "A longer recording goes on in a new file, without a gap."),
    "shortest_s": _number(0, 3_600, "seconds", "Shorter recordings go to the trash."),
    "access_numbers": _Key(
        "a list of at most 200 numbers of 2 to 20 digits, * and #",
        _read_access_numbers,
        "Dialled numbers that name a dial-up data call.",
    ),
}
_CARD = {
    "kind": _choice(get_args(CardKind), "simulated: a line plant in software."),
    "name": _Key("1 to 32 small letters, digits, - and _", _read_card_name, "Unique in the box."),
    "lines": _whole(1, LONGEST_BOX, "lines", "Line numbers run through all cards from 1."),
    "law": _choice(get_args(Law), "Companding of its lines."),
    "zone": _choice(get_args(ToneZone), "Whose tones its exchange plays."),
    "seed": _whole(0, (1 << 63) - 1, "", "The same seed plays the same calls."),
    "paced": _flag("false: as fast as it can, for tests; timers then follow its samples."),
    "scenario": _choice(get_args(Scenario), "office: callers of all kinds; none: only what `linekeep sim` asks for."),
    "polarity": _flag("false: the exchange does not reverse the battery on answer."),
    "start_utc": _Key(
        'a UTC time such as "2026-01-31T08:00:00", or "" for now',
        _read_instant,
        "Time of sample 0 of a card that is not paced.",
    ),
}
_LINE = {
    "number": _whole(1, LONGEST_BOX, "", "Its number in the box."),
    "name": _text(0, 64, "What the page calls it."),
    "enabled": _flag("false: nothing is recorded on it."),
}
_TABLES = {"box": _BOX, "storage": _STORAGE, "recording": _RECORDING}
_LISTS = {"card": _CARD, "line": _LINE | _RECORDING}

_Path = tuple[str | int, ...]


# Reading -------------------------------------------------------------------------------------------------------------


def load(path: Path) -> Config:
    """The configuration in this file. Raises `ConfigError`."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}. Linekeep needs it as UTF-8 text it may read.") from error


def parse(text: str, source: str = CONFIG_NAME) -> Config:
    """The configuration in this text; `source` is what messages call it. Raises `ConfigError`."""
    return _Reader(text, source).config()


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._source = source
        try:
            self._document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"{source}: not TOML: {error}.") from error

    def config(self) -> Config:
        for name in self._document:
            if name not in _TABLES and name not in _LISTS:
                self._refuse((name,), f'there is no table "{name}"; there are {_names([*_TABLES, *_LISTS])}')
        recording = RecordingConfig(**self._table("recording"))
        self._check_recording(recording, ("recording",))
        cards = self._cards() if "card" in self._document else Config().cards
        return Config(
            box=BoxConfig(**self._table("box")),
            storage=StorageConfig(**self._table("storage")),
            cards=cards,
            lines=self._line_configs(recording, sum(card.lines for card in cards)),
        )

    def _cards(self) -> tuple[CardConfig, ...]:
        cards: list[CardConfig] = []
        for place, values in self._entries("card"):
            card = CardConfig(**values)
            if any(card.name == other.name for other in cards):
                self._refuse(place, f'there are two cards named "{card.name}"; give each its own name')
            cards.append(card)
            if sum(each.lines for each in cards) > LONGEST_BOX:
                self._refuse(place, f"with this card the box has more than {LONGEST_BOX} lines")
        return tuple(cards)

    def _line_configs(self, recording: RecordingConfig, total: int) -> tuple[LineConfig, ...]:
        given: dict[int, LineConfig] = {}
        for place, values in self._entries("line"):
            own = {key: values.pop(key) for key in tuple(values) if key in _RECORDING}
            if "number" not in values:
                self._refuse(place, f"a [[line]] needs its number (1 to {total})")
            line = LineConfig(**values, recording=replace(recording, **own))
            if line.number > total:
                self._refuse((*place, "number"), f"there is no line {line.number}; the cards have {total}")
            if line.number in given:
                self._refuse((*place, "number"), f"line {line.number} is described twice")
            self._check_recording(line.recording, place)
            given[line.number] = line
        return tuple(given.get(n) or LineConfig(number=n, recording=recording) for n in range(1, total + 1))

    def _check_recording(self, recording: RecordingConfig, place: _Path) -> None:
        if recording.cut_volts >= recording.off_hook_volts:
            self._refuse(
                place,
                f"cut_volts ({recording.cut_volts:g}) must be below off_hook_volts ({recording.off_hook_volts:g})",
            )
        if recording.shortest_s >= recording.longest_s:
            self._refuse(
                place, f"shortest_s ({recording.shortest_s:g}) must be below longest_s ({recording.longest_s:g})"
            )

    def _table(self, name: str) -> dict[str, Any]:
        values = self._document.get(name, {})
        if not isinstance(values, dict):
            self._refuse((name,), f"this must be a table, begun with [{name}]")
        return self._values((name,), values, _TABLES[name])

    def _entries(self, name: str) -> Iterator[tuple[_Path, dict[str, Any]]]:
        entries = self._document.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._refuse((name,), f"each {name} must be a table begun with [[{name}]] (two brackets)")
        for index, entry in enumerate(entries):
            yield (name, index), self._values((name, index), entry, _LISTS[name])

    def _values(self, place: _Path, values: Mapping[str, object], keys: Mapping[str, _Key]) -> dict[str, Any]:
        read = {}
        for name, value in values.items():
            if name not in keys:
                near = difflib.get_close_matches(name, keys, 1)
                hint = f"perhaps {near[0]} is meant" if near else f"there are {_names(keys)}"
                self._refuse((*place, name), f'unknown key "{name}" in {_shown(place)}; {hint}')
            try:
                read[name] = keys[name].read(value)
            except ValueError:
                self._refuse((*place, name), f"{name} in {_shown(place)} is {value!r}; it must be {keys[name].allowed}")
        return read

    def _refuse(self, place: _Path, why: str) -> NoReturn:
        raise ConfigError(f"{self._source}, line {self._line_of(place)}: {why}.")

    def _line_of(self, place: _Path) -> int:
        """The line on which `place` begins: the first one up to which, values completed, the parser finds it."""
        return 1 + bisect.bisect_left(range(len(self._lines)), True, key=lambda index: self._is_there(place, index))

    def _is_there(self, place: _Path, index: int) -> bool:
        for end in range(index + 1, len(self._lines) + 1):
            try:
                found: Any = tomllib.loads("\n".join(self._lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value that goes over several lines
            return _holds(found, place)
        return True


def _holds(document: Any, place: _Path) -> bool:
    for step in place:
        try:
            document = document[step]
        except (KeyError, IndexError):
            return False
    return True


def _shown(place: _Path) -> str:
    return f"[[{place[0]}]] number {int(place[1]) + 1}" if len(place) > 1 else f"[{place[0]}]"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


# Writing -------------------------------------------------------------------------------------------------------------


def default_text(zone: str) -> str:
    """The commented file of a first start."""
    return as_text(Config(box=BoxConfig(zone=zone)))


def as_text(config: Config) -> str:
    """A commented file that `parse` reads as `config`."""
    # What most lines share stands once; a line that differs says so.
    recording = Counter(line.recording for line in config.lines).most_common(1)
    shared = recording[0][0] if recording else RecordingConfig()
    parts = [
        "# Linekeep's configuration. A key that is left out has the value shown in docs/configuration.md.",
        *_section("[box]", config.box, _BOX),
        *_section("[storage]", config.storage, _STORAGE),
        "\n# How every line is recorded; a [[line]] below may differ in each of these keys.",
        *_section("[recording]", shared, _RECORDING),
    ]
    if not config.cards:
        parts.insert(1, "\ncard = []")
    for card in config.cards:
        parts += _section("[[card]]", card, _CARD)
    parts += ["\n# Lines that have a name or differ, for example:", '# [[line]]\n# number = 1\n# name = "Dispatch"']
    for line in config.lines:
        if line != LineConfig(number=line.number, recording=shared):
            own = {key: value for key in _RECORDING if (value := getattr(line.recording, key)) != getattr(shared, key)}
            parts += ["\n[[line]]", *(f"{key} = {_toml(getattr(line, key))}" for key in _LINE)]
            parts += [f"{key} = {_toml(value)}" for key, value in own.items()]
    return "\n".join(parts) + "\n"


def _section(head: str, values: object, keys: Mapping[str, _Key]) -> Iterator[str]:
    yield f"\n{head}"
    for name, key in keys.items():
        yield f"# {key.says} May be {key.allowed}."
        yield f"{name} = {_toml(getattr(values, name))}"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # Printable text, numbers and truth values are written the same in JSON and TOML.
    return json.dumps(value, ensure_ascii=False)


def save(path: Path, text: str) -> Config:
    """Put `text` in the place of the configuration, durably; the former version stays as `NAME.1`. Raises `ConfigError`
    before anything is touched where the text is not a configuration."""
    config = parse(text, path.name)
    replace_file(path, text.encode(), keep=path.with_name(path.name + ".1"))
    return config
