"""Changes of the configuration file that leave the rest of it as it was: comments, order, spelling.

What comes out is read again and compared with what was meant before anybody may have it: a file that says more or less
than the change is refused, whoever is to blame for it.
"""

from collections.abc import Mapping
from dataclasses import replace

import tomlkit
from tomlkit.exceptions import TOMLKitError

from firmware.config import CONFIG_NAME, Config, ConfigError
from firmware.config_file import parse


def with_line(text: str, number: int, values: Mapping[str, float | str], source: str = CONFIG_NAME) -> str:
    """The configuration `text` with these keys of `[recording]` set in the `[[line]]` of this number, which is made
    where there is none. Raises `ConfigError` where the text is no configuration, has no such line, or may not have the
    values."""
    meant = _meant(parse(text, source), number, values, source)
    try:
        document = tomlkit.parse(text)
        lines = document.get("line")
        if lines is None:
            lines = tomlkit.aot()
            document.add(tomlkit.nl())
            document.append("line", lines)
        entry = next((entry for entry in lines if entry["number"] == number), None)
        if entry is None:
            lines.append(_table({"number": number, **values}))
        else:
            entry.update(values)
        changed = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise ConfigError(f"{source}: line {number} cannot be changed in it: {error}. Change it by hand.") from error
    if parse(changed, source) != meant:
        raise ConfigError(f"{source}: line {number} cannot be changed without changing more. Change it by hand.")
    return changed


def _table(values: Mapping[str, int | float | str]) -> tomlkit.items.Table:
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = value
    return table


def _meant(config: Config, number: int, values: Mapping[str, float | str], source: str) -> Config:
    if not 1 <= number <= len(config.lines):
        raise ConfigError(f"{source}: there is no line {number}; its cards have {len(config.lines)}.")
    line = config.lines[number - 1]
    line = replace(line, recording=replace(line.recording, **values))  # type: ignore[arg-type]
    return replace(config, lines=(*config.lines[: number - 1], line, *config.lines[number:]))
