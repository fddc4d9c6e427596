"""Changes of the configuration file that leave the rest of it as it was: comments, order, spelling.

The file is taken table by table, and only the one that changes is written anew. What stands between two tables, blank
lines and comments, belongs to the one that follows. What comes out is read again and compared with what was meant
before anybody may have it: a file that says more or less than the change is refused, whoever is to blame for it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from firmware.config import CONFIG_NAME, Config, ConfigError
from firmware.config_file import parse

Values = Mapping[str, bool | int | float | str]
_HEADER: Final = re.compile(r"^(?=[ \t]*\[)", re.MULTILINE)
_NO_CARDS: Final = re.compile(r"^card[ \t]*=[ \t]*\[[ \t]*\][ \t]*(#.*)?\n", re.MULTILINE)


def with_line(text: str, number: int, values: Mapping[str, float | str], source: str = CONFIG_NAME) -> str:
    """The configuration `text` with these keys of `[recording]` set in the `[[line]]` of this number, which is made
    where there is none. Raises `ConfigError` where the text is no configuration, has no such line, or may not have the
    values."""
    meant = _meant(parse(text, source), number, values, source)
    try:
        changed = _changed(text, number, values)
    except TOMLKitError as error:
        raise ConfigError(f"{source}: line {number} cannot be changed in it: {error}. Change it by hand.") from error
    if parse(changed, source) != meant:
        raise ConfigError(f"{source}: line {number} cannot be changed without changing more. Change it by hand.")
    return changed


def with_lines(text: str, described: Mapping[int, Values], source: str = CONFIG_NAME) -> str:
    """With `name`, `enabled`, `role` and `kind` of these lines as given, and every other line as it is. Raises
    `ConfigError` as `with_line` does."""
    before, changed = parse(text, source), text
    try:
        for number, values in described.items():
            changed = _changed(changed, number, values)
    except TOMLKitError as error:
        raise ConfigError(f"{source}: its lines cannot be changed in it: {error}. Change them by hand.") from error
    after = parse(changed, source)
    if replace(after, lines=()) != replace(before, lines=()) or len(after.lines) != len(before.lines):
        raise ConfigError(f"{source}: its lines cannot be changed without changing more. Change them by hand.")
    for old, new in zip(before.lines, after.lines, strict=True):
        values = described.get(old.number, {})
        # A line of another kind is recorded as that kind is.
        recording = new.recording if "kind" in values else old.recording
        if replace(old, **values, recording=recording) != new:  # type: ignore[arg-type]
            raise ConfigError(f"{source}: line {old.number} does not become what was asked for. Change it by hand.")
    return changed


def with_cards(text: str, stanzas: str, source: str = CONFIG_NAME) -> str:
    """With these `[[card]]` tables after those that are there, so that no line gets another number. Raises
    `ConfigError`."""
    before, new = parse(text, source), parse(stanzas, "the proposal")
    emptied = text if before.cards else _NO_CARDS.sub("", text, count=1)
    end = "" if emptied.endswith("\n") or not emptied else "\n"
    changed = f"{emptied}{end}\n{stanzas}"
    after = parse(changed, source)
    meant = replace(before, cards=(*before.cards, *new.cards), lines=())
    if replace(after, lines=()) != meant or after.lines[: len(before.lines)] != before.lines:
        raise ConfigError(f"{source}: the cards cannot be added without changing more. Add them by hand:\n{stanzas}")
    return changed


def without_last_card(text: str, source: str = CONFIG_NAME) -> str:
    """Without the card that comes last, and what is said of its lines. Raises `ConfigError`."""
    before = parse(text, source)
    kept = len(before.lines) - before.cards[-1].lines
    tables = _HEADER.split(text)
    cards = [index for index, table in enumerate(tables) if table.lstrip().startswith("[[card]]")]
    lines = [index for index, table in enumerate(tables) if table.lstrip().startswith("[[line]]")]
    gone = {index for index in lines if tomllib.loads(tables[index])["line"][0].get("number", 0) > kept}
    gone |= set(cards[-1:])
    for index in gone:
        # What stands between two tables belongs to the one that follows.
        tables[index] = _parted(tables[index])[1]
    none = "" if before.cards[:-1] else "card = []\n"
    changed = tables[0] + none + "".join(tables[1:])
    after = parse(changed, source)
    if after != replace(before, cards=before.cards[:-1], lines=before.lines[:kept]):
        raise ConfigError(f"{source}: its last card cannot be taken away without changing more. Do it by hand.")
    return changed


def _changed(text: str, number: int, values: Values) -> str:
    tables = _HEADER.split(text)
    for index, table in enumerate(tables):
        own, rest = _parted(table)
        document = tomlkit.parse(own)
        lines = document.get("line", ())
        entry = next((entry for entry in lines if entry["number"] == number), None)
        if entry is not None:
            entry.update(values)
        elif isinstance(lines, Array):
            lines.append({"number": number, **values})
        else:
            continue
        tables[index] = tomlkit.dumps(document) + rest
        return "".join(tables)
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{end}\n{tomlkit.dumps({'line': [{'number': number, **values}]})}"


def _parted(table: str) -> tuple[str, str]:
    """The table itself, and what stands before the next."""
    lines = table.splitlines(keepends=True)
    end = len(lines)
    while end and lines[end - 1].strip()[:1] in ("", "#"):
        end -= 1
    return "".join(lines[:end]), "".join(lines[end:])


def _meant(config: Config, number: int, values: Mapping[str, float | str], source: str) -> Config:
    if not 1 <= number <= len(config.lines):
        raise ConfigError(f"{source}: there is no line {number}; its cards have {len(config.lines)}.")
    line = config.lines[number - 1]
    line = replace(line, recording=replace(line.recording, **values))  # type: ignore[arg-type]
    return replace(config, lines=(*config.lines[: number - 1], line, *config.lines[number:]))
