"""The acceptance sheet as a page: one HTML file for A4, without anything from elsewhere.

The page is drawn from what was signed and from nothing else, always alike: drawn again from the same texts by the same
version it is the same, byte by byte, and so it can be checked. Whatever came from a line, a file or a person is text to
the template, which escapes it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from firmware.sheet.document import CheckSheet, LineSheet, Sheet, Statement
from firmware.sheet.sealed import Sealed, SheetError
from firmware.wire import numbered

LANGUAGES: Final = ("zh-CN", "en")
MARKS: Final = {"passed": "✓", "failed": "✗", "not_done": "–"}
_FOLDER = Path(__file__).parent


class Words:
    """The tables of one language."""

    def __init__(self, language: str) -> None:
        self._tables = tables(language)

    def __call__(self, table: str, word: str, **fields: Any) -> str:
        """What a table says; a word that it does not know stands for itself."""
        known = self._tables.get(table, {}).get(word)
        return word if known is None else known.format(**fields)

    def named(self, table: str, text: str) -> str:
        """`running card sim0`: its beginning is a word of the table, the rest a name."""
        known = self._tables.get(table, {})
        for word in sorted(known, key=len, reverse=True):
            if text == word or text.startswith(word + " "):
                return known[word] + text[len(word) :]
        return text


@cache
def tables(language: str) -> Mapping[str, Mapping[str, str]]:
    """Raises `SheetError` for a language that has none."""
    if language not in LANGUAGES:
        raise SheetError(f"there is no sheet in the language {language!r}, only in {' and '.join(LANGUAGES)}")
    return tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))


class Cell(NamedTuple):
    """A check of a line in the table."""

    outcome: str
    mark: str
    figures: tuple[str, ...]


class Remark(NamedTuple):
    """Why checks did not pass, or did not pass at once."""

    outcome: str
    checks: tuple[str, ...]
    text: str


class Row(NamedTuple):
    line: LineSheet
    cells: tuple[Cell, ...]
    remarks: tuple[Remark, ...]


def draw(sealed: Sealed) -> str:
    """The page. Raises `SheetError` where the texts are not those of a sheet."""
    try:
        sheet = msgspec.convert(sealed.told, Sheet)
        statement = msgspec.convert(sealed.stated, Statement)
    except msgspec.ValidationError as error:
        raise SheetError(f"it does not say what a sheet says ({error})") from error
    try:
        return _drawn(sealed, sheet, statement)
    except (ValueError, OverflowError, OSError, TemplateError) as error:
        # Whoever has a key of his own may sign any number, also one that is no time and none that can be written.
        raise SheetError(f"what it says cannot be shown ({error})") from error


def _drawn(sealed: Sealed, sheet: Sheet, statement: Statement) -> str:
    words = Words(sheet.language)
    zone = timezone(timedelta(seconds=sheet.utc_offset_s))
    checks = [one.check for one in sheet.lines[0].checks] if sheet.lines else []
    texts = {
        "sheet": sealed.sheet, "statement": sealed.statement,
        "signature": f'"{sealed.signature}"', "public-key": f'"{sealed.public_key}"',
    }  # fmt: skip
    page: str = _environment().get_template("sheet.html").render(
        s=sheet, statement=statement, w=words, rows=[_row(line, words) for line in sheet.lines],
        checks=checks, texts=texts, when=lambda ns: _when(ns, zone),
        thresholds=list(_thresholds(sheet, words)), why=list(_why(sheet, words)),
        simulated=numbered(line.line for line in sheet.lines if line.simulated),
        groups=[statement.fingerprint.split(" ")[at : at + 8] for at in (0, 8)],
    )  # fmt: skip
    return page


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _when(utc_ns: int, zone: timezone) -> str:
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).astimezone(zone).isoformat(" ", "seconds")


def _why(sheet: Sheet, words: Words) -> Iterator[str]:
    for one in sheet.why:
        which = one.which
        if one.what == "finding_bad":
            which = words.named("finding", which)
        elif one.what == "alarm_open":
            which = next((_alarm(words, each.code, each.title) for each in sheet.alarms if each.code == which), which)
        yield words("why", one.what, which=which)


def _alarm(words: Words, code: str, title: str) -> str:
    known = words("alarm", code)
    return title if known == code else known


def _thresholds(sheet: Sheet, words: Words) -> Iterator[str]:
    """Lines with the same settings are told together."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for line in sheet.lines:
        armed = words("word", f"threshold_{line.armed}", off=f"{line.off_hook_volts:g}", cut=f"{line.cut_volts:g}")
        if line.armed == "voltage" and line.off_hook_volts <= 0:
            armed = words("word", "threshold_novolts")
        alike.setdefault((words("role", line.role), words("kind", line.kind), armed), []).append(line.line)
    for said, lines in alike.items():
        word = "threshold_lines" if len(lines) > 1 else "threshold_line"
        lines_named = words("word", word, lines=numbered(lines))
        yield f"{lines_named}{words('word', 'colon')}{words('word', 'comma').join(said)}"


def _row(line: LineSheet, words: Words) -> Row:
    cells = tuple(Cell(one.outcome, MARKS.get(one.outcome, "?"), _figures(one)) for one in line.checks)
    told: dict[tuple[str, str], list[str]] = {}
    for one in line.checks:
        if text := _remark(one, words):
            told.setdefault((one.outcome, text), []).append(words("check", one.check))
    return Row(line, cells, tuple(Remark(outcome, tuple(checks), text) for (outcome, text), checks in told.items()))


def _remark(check: CheckSheet, words: Words) -> str:
    """Empty for what passed at once, and for what need not have been done."""
    before = ""
    if check.failed_before:
        word = "failed_once" if check.failed_before == 1 else "failed_before"
        before = words("word", word, n=check.failed_before)
    if check.outcome == "passed" or (check.outcome == "not_done" and not check.required and not check.values):
        return before
    try:
        reason = words("reason", check.reason, **check.values)
    except (KeyError, ValueError, IndexError) as error:
        raise SheetError(f"its check `{check.reason}` lacks a figure ({error})") from error
    return f"{reason}{words('word', 'comma')}{before}" if before else reason


def _figures(check: CheckSheet) -> tuple[str, ...]:
    """What was measured, as it stands in the table."""
    values = check.values

    def figure(key: str, unit: str, digits: int) -> list[str]:
        value = values.get(key)
        return [f"{value:.{digits}f} {unit}".replace("-", "−")] if isinstance(value, int | float) else []

    match check.check:
        case "connected":
            return tuple(figure("volts", "V", 1))
        case "lifted":
            return (*figure("volts", "V", 1), *figure("latency_ms", "ms", 0))
        case "sound":
            return (*figure("level_dbm0", "dBm0", 1), *figure("noise_dbm0", "dBm0", 1))
        case "sealed":
            return tuple(figure("duration_s", "s", 1))
        case "digits" | "caller":
            return tuple(str(values[key]) for key in ("digits", "number") if key in values)
    return ()
