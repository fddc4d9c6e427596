"""The configuration file: read, refused with reasons, written.

It is TOML. Unknown keys are refused with the line they stand on; a wrong value names the key, what it may be, and its
line. Changes are validated, written to a temporary file, synced and renamed, and the former version is kept.

The tables of keys (`config_keys`) are the only place that knows what a file may say. TOML's parser gives no places, so
the line of a mistake is found by asking it again for the beginning of the file.
"""

import bisect
import difflib
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

from firmware.config import (
    CARD_NAMES,
    CONFIG_NAME,
    LONGEST_BOX,
    BoxConfig,
    CardConfig,
    CardKind,
    Config,
    ConfigError,
    LineConfig,
    RecordingConfig,
    StorageConfig,
    recording_of,
)
from firmware.config_keys import BOX, CARDS, CHANNELS_ALSO, LINE, LISTS, RECORDING, STORAGE, TABLES, Key
from recorder.disk import replace_file

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
            if name not in TABLES and name not in LISTS:
                self._refuse((name,), f'there is no table "{name}"; there are {_names([*TABLES, *LISTS])}')
        recording = RecordingConfig(**self._table("recording"))
        self._check_recording(recording, ("recording",))
        cards = self._cards() if "card" in self._document else Config().cards
        return Config(
            box=BoxConfig(**self._table("box")),
            storage=StorageConfig(**self._table("storage")),
            cards=cards,
            lines=self._line_configs(recording, cards),
        )

    def _cards(self) -> tuple[CardConfig, ...]:
        cards: list[CardConfig] = []
        for place, entry in self._entries("card"):
            card = self._card(place, entry)
            if any(card.name == other.name for other in cards):
                self._refuse(place, f'there are two cards named "{card.name}"; give each its own name')
            for other in cards:
                twice = set(card.channels) & set(other.channels) if card.kind == other.kind else ()
                if twice:
                    why = f'channel {min(twice)} is already one of card "{other.name}"; a channel has one card'
                    self._refuse((*place, "channels"), why)
            cards.append(card)
            if sum(each.lines for each in cards) > LONGEST_BOX:
                self._refuse(place, f"with this card the box has more than {LONGEST_BOX} lines")
        return tuple(cards)

    def _card(self, place: _Path, entry: Mapping[str, object]) -> CardConfig:
        kind = cast(CardKind, self._values(place, {"kind": entry.get("kind", "simulated")}, CARDS["simulated"])["kind"])
        keys = CARDS[kind] | (CHANNELS_ALSO if "channels" in CARDS[kind] else {})
        for name in entry:
            others = [other for other in CARDS if name in CARDS[other] and name not in keys]
            if others:
                self._refuse((*place, name), f"{name} is for cards of kind {_names(others)}; this one is {kind}")
        values = {"name": CARD_NAMES[kind]} | self._values(place, entry, keys)
        if "channels" in keys:
            if "channels" not in values:
                self._refuse(place, f"a {kind} card needs its channels: {keys['channels'].allowed}")
            count = len(values["channels"])
            if values.setdefault("lines", count) != count:
                why = f"lines is {values['lines']}, but there are {count} channels; leave lines out"
                self._refuse((*place, "lines"), why)
        if kind == "synway" and "folder" not in values:
            self._refuse(place, "a synway card needs its folder: that of the vendor's ShConfig.ini and ShIndex.ini")
        return CardConfig(**values)

    def _line_configs(self, recording: RecordingConfig, cards: tuple[CardConfig, ...]) -> tuple[LineConfig, ...]:
        card_of = [card for card in cards for _ in range(card.lines)]
        total = len(card_of)
        given: dict[int, LineConfig] = {}
        for place, entry in self._entries("line"):
            values = self._values(place, entry, LINE | RECORDING)
            own = {key: values.pop(key) for key in tuple(values) if key in RECORDING}
            if "number" not in values:
                self._refuse(place, f"a [[line]] needs its number (1 to {total})")
            line = LineConfig(**values)
            line = replace(line, recording=replace(recording_of(line.kind, recording), **own))
            if line.number > total:
                self._refuse((*place, "number"), f"there is no line {line.number}; the cards have {total}")
            if line.number in given:
                self._refuse((*place, "number"), f"line {line.number} is described twice")
            card = card_of[line.number - 1]
            if line.role != "tap" and card.kind != "dahdi":
                why = f'line {line.number} is on {card.kind} card "{card.name}", whose lines are taps'
                self._refuse((*place, "role"), why)
            if line.kind == "handset" and line.recording.trigger == "voltage":
                self._refuse(
                    (*place, "trigger"), 'a handset has no loop voltage; its trigger is "vox", "key" or "always"'
                )
            self._check_recording(line.recording, place)
            given[line.number] = line
        return tuple(given.get(n) or LineConfig(number=n, recording=recording) for n in range(1, total + 1))

    def _check_recording(self, recording: RecordingConfig, place: _Path) -> None:
        if recording.off_hook_volts and recording.cut_volts >= recording.off_hook_volts:
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
        return self._values((name,), values, TABLES[name])

    def _entries(self, name: str) -> Iterator[tuple[_Path, dict[str, object]]]:
        entries = self._document.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._refuse((name,), f"each {name} must be a table begun with [[{name}]] (two brackets)")
        for index, entry in enumerate(entries):
            yield (name, index), entry

    def _values(self, place: _Path, values: Mapping[str, object], keys: Mapping[str, Key]) -> dict[str, Any]:
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
        *_section("[box]", config.box, BOX),
        *_section("[storage]", config.storage, STORAGE),
        "\n# How every line is recorded; a [[line]] below may differ in each of these keys.",
        *_section("[recording]", shared, RECORDING),
    ]
    if not config.cards:
        parts.insert(1, "\ncard = []")
    for card in config.cards:
        parts += _section("[[card]]", card, CARDS[card.kind])
    parts += ["\n# Lines that have a name or differ, for example:", '# [[line]]\n# number = 1\n# name = "Dispatch"']
    for line in config.lines:
        if line != LineConfig(number=line.number, recording=shared):
            usual = recording_of(line.kind, shared)
            own = {key: value for key in RECORDING if (value := getattr(line.recording, key)) != getattr(usual, key)}
            parts += ["\n[[line]]", *(f"{key} = {_toml(getattr(line, key))}" for key in LINE)]
            parts += [f"{key} = {_toml(value)}" for key, value in own.items()]
    return "\n".join(parts) + "\n"


def _section(head: str, values: object, keys: Mapping[str, Key]) -> Iterator[str]:
    yield f"\n{head}"
    for name, key in keys.items():
        yield f"# {key.says} May be {key.allowed}."
        yield f"{name} = {_toml(key.written(getattr(values, name)))}"


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
