"""Changes of the configuration file that leave the rest of it as it was: comments, order, spelling.

The file is taken table by table, and only the one that changes is written anew. What stands between two tables, blank
lines and comments, belongs to the one that follows. What comes out is read again and compared with what was meant
before anybody may have it: a file that says more or less than the change is refused, whoever is to blame for it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from firmware.config import CONFIG_NAME, Config, ConfigError
from firmware.config_file import parse

Values = Mapping[str, int | float | str]
_HEADER: Final = re.compile(r"^(?=[ \t]*\[)", re.MULTILINE)


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
