"""The search form: from what a person typed to a `Query`, and what is wrong with it.

Times are typed in the box's zone. A length is typed as seconds or as minutes and seconds (`90`, `1:30`). A number is
what telephone people write: `5039`, `5039*`, `*5039`, `*5039*`; spaces, dashes and brackets in it do not matter.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import TypeVar

from recorder.model import CallClass, Direction, Query, State

Choice = TypeVar("Choice", bound=StrEnum)
NS = 1_000_000_000
PAGE_ROWS = 50
MOST_LINE = 65535
RANGES = ("any", "today", "yesterday", "7d", "30d", "custom")
FIELDS = ("range", "since", "until", "line", "number", "direction", "class", "min", "max", "text")
SHOWN = (State.SEALED, State.LIVE)
_NUMBER = re.compile(r"=?\*?[0-9A-D#+]{1,32}\*?")
_LENGTH = re.compile(r"(?:(\d{1,2}):)?(?:(\d{1,3}):)?(\d{1,5})")


def natural(text: str, most: int) -> int | None:
    """A number without sign, as it stands in an address; None for anything else and for more than `most`."""
    plain = text.isascii() and text.isdecimal() and len(text) <= 20
    return int(text) if plain and int(text) <= most else None


def midnight_ns(day: date, zone: tzinfo | None) -> int:
    """UTC of the beginning of a day in this zone (None: the system's)."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone) if zone else datetime(day.year, day.month, day.day)  # noqa: DTZ001
    return int(local.timestamp()) * NS


def typed_time_ns(text: str, zone: tzinfo | None) -> int:
    """`2026-11-22T09:14` in this zone. Raises `ValueError`."""
    local = datetime.fromisoformat(text)
    if local.tzinfo is not None or not 1971 <= local.year <= 2200:
        raise ValueError(text)
    return int((local.replace(tzinfo=zone) if zone else local).timestamp()) * NS


def typed_length_s(text: str) -> float:
    """`90`, `1:30`, `1:02:03`. Raises `ValueError`."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    parts = [int(part) for part in text.strip().split(":")]
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + part
    return float(seconds)


def parse(form: Mapping[str, str], zone: tzinfo | None, today: date) -> tuple[Query, dict[str, str]]:
    """The query, and for each field that cannot be read the key of what to say about it. What is wrong does not
    restrict."""
    faults: dict[str, str] = {}
    since, until = _range(form, zone, today, faults)
    wanted = _one_of(CallClass, form.get("class", ""))
    query = Query(
        since_utc_ns=since,
        until_utc_ns=until,
        lines=_lines(form.get("line", ""), faults),
        number=_number(form.get("number", ""), faults),
        direction=_one_of(Direction, form.get("direction", "")),
        classes=() if wanted is None else (wanted,),
        min_s=_length(form, "min", faults),
        max_s=_length(form, "max", faults),
        text=form.get("text", "").strip()[:200],
        states=SHOWN,
        limit=PAGE_ROWS,
    )
    if query.min_s is not None and query.max_s is not None and query.min_s > query.max_s:
        faults["max"] = "search.length_order"
    if since is not None and until is not None and since >= until:
        faults["until"] = "search.time_order"
    return query, faults


def _range(
    form: Mapping[str, str], zone: tzinfo | None, today: date, faults: dict[str, str]
) -> tuple[int | None, int | None]:
    days = {"today": (0, 1), "yesterday": (-1, 0), "7d": (-6, 1), "30d": (-29, 1)}.get(form.get("range", ""))
    if days is not None:
        return midnight_ns(today + timedelta(days[0]), zone), midnight_ns(today + timedelta(days[1]), zone)
    if form.get("range") != "custom":
        return None, None
    bounds: list[int | None] = []
    for name in ("since", "until"):
        text = form.get(name, "").strip()
        try:
            bounds.append(typed_time_ns(text, zone) if text else None)
        except ValueError:
            faults[name] = "search.time_fault"
            bounds.append(None)
    return bounds[0], bounds[1]


def _lines(text: str, faults: dict[str, str]) -> tuple[int, ...]:
    typed = [natural(part, MOST_LINE) for part in re.split(r"[,\s]+", text) if part]
    if None in typed:
        faults["line"] = "search.line_fault"
        return ()
    return tuple(sorted({line for line in typed if line is not None}))


def _number(text: str, faults: dict[str, str]) -> str:
    plain = re.sub(r"[\s()./-]", "", text).upper()
    if plain and not _NUMBER.fullmatch(plain):
        faults["number"] = "search.number_fault"
        return ""
    return plain


def _length(form: Mapping[str, str], name: str, faults: dict[str, str]) -> float | None:
    text = form.get(name, "").strip()
    try:
        return typed_length_s(text) if text else None
    except ValueError:
        faults[name] = "search.length_fault"
        return None


def _one_of(kind: type[Choice], text: str) -> Choice | None:
    return next((value for value in kind if value == text), None)
