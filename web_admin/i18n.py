"""Two languages: the words (locale tables) and how times, durations and numbers are written.

`locales/en.toml` and `locales/zh-CN.toml` hold the same keys; a test compares them with each other and with what the
templates ask for. A text may hold `{name}` fields. Where English needs a plural, the table has `key.one` and
`key.other`; Chinese has both, alike, so that the tables stay comparable.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

NS = 1_000_000_000
LANGUAGES = ("zh-CN", "en")
DEFAULT = "en"
_FOLDER = Path(__file__).parent / "locales"


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


TABLES: dict[str, dict[str, str]] = {
    language: _flat(tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))) for language in LANGUAGES
}


def negotiate(accept: str) -> str:
    """The language an Accept-Language header asks for (RFC 9110, 12.5.4); any Chinese is zh-CN."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            wishes.append((-quality, place, tag.casefold()))
    for _, _, tag in sorted(wishes):
        if tag == "zh" or tag.startswith("zh-"):
            return "zh-CN"
        if tag == "en" or tag.startswith("en-"):
            return "en"
    return DEFAULT


class Locale:
    """One language, and the zone in which the box shows times."""

    def __init__(self, language: str, zone: tzinfo | None = None, today: date | None = None) -> None:
        self.language = language if language in TABLES else DEFAULT
        self.zone = zone
        self.today = today
        self._table = TABLES[self.language]

    def t(self, key: str, /, **fields: object) -> str:
        """The text of this key. An unknown key is our own contradiction: KeyError."""
        text = self._table[key]
        return text.format_map(fields) if fields else text

    def has(self, key: str) -> bool:
        return key in self._table

    def word(self, prefix: str, value: str | None) -> str:
        """The word for a value of a closed set, such as a state; the value itself where the table has none."""
        return self._table.get(f"{prefix}.{value}", value or "")

    def count(self, key: str, n: int, /, **fields: object) -> str:
        return self.t(f"{key}.{'one' if n == 1 else 'other'}", n=self.number(n), **fields)

    def number(self, value: float, digits: int = 0) -> str:
        return f"{value:,.{digits}f}"

    # Times ----------------------------------------------------------------------------------------------------------

    def at(self, utc_ns: int, offset_s: int | None = None) -> datetime:
        """In the zone that was the box's then (`offset_s`, stored with a recording), else in the box's zone now."""
        zone = self.zone if offset_s is None else timezone(timedelta(seconds=offset_s))
        return datetime.fromtimestamp(utc_ns / NS, UTC).astimezone(zone)

    def date(self, day: date) -> str:
        if self.today is not None:
            ago = (self.today - day).days
            if ago in (0, 1):
                return self.t("time.today" if ago == 0 else "time.yesterday")
        if self.language == "zh-CN":
            if self.today is not None and day.year == self.today.year:
                return f"{day.month}月{day.day}日"
            return f"{day.year}年{day.month}月{day.day}日"
        month = self.t(f"month.{day.month}")
        if self.today is not None and day.year == self.today.year:
            return f"{day.day} {month}"
        return f"{day.day} {month} {day.year}"

    def time(self, utc_ns: int, offset_s: int | None = None) -> str:
        """`Today 09:14:05`, `21 Nov 09:14:05`."""
        at = self.at(utc_ns, offset_s)
        return f"{self.date(at.date())} {at:%H:%M:%S}"

    def told(self, utc_ns: int, offset_s: int | None = None) -> str:
        """The same within a sentence: `today 09:14:05`."""
        text = self.time(utc_ns, offset_s)
        return text[0].lower() + text[1:]

    def exact(self, utc_ns: int, offset_s: int | None = None) -> str:
        """The whole truth, for titles: `2026-11-22 09:14:05.120 +08:00`."""
        at = self.at(utc_ns, offset_s)
        offset = f"{at:%z}"
        return f"{at:%Y-%m-%d %H:%M:%S}.{utc_ns % NS // 1_000_000:03d} {offset[:3]}:{offset[3:5]}"

    def iso(self, utc_ns: int, offset_s: int | None = None) -> str:
        return self.at(utc_ns, offset_s).isoformat(timespec="milliseconds")

    # Durations and sizes ----------------------------------------------------------------------------------------------

    def clock(self, seconds: float) -> str:
        """`0:07`, `12:05`, `1:02:03`."""
        whole = int(seconds)
        minutes, second = divmod(whole, 60)
        hours, minute = divmod(minutes, 60)
        return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"

    def span(self, seconds: float) -> str:
        """A length of time in words, two units at most: `3 d 4 h`, `2 min 5 s`; `3天4小时`, `2分5秒`."""
        if 0 < seconds < 1:
            return self.t("span.ms", n=self.number(1000 * seconds))
        if seconds < 10:
            return self.t("span.s", n=self.number(seconds, 1))
        whole = int(seconds)
        parts: list[str] = []
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
            amount, whole = divmod(whole, size)
            if amount or parts:
                parts.append(self.t(f"span.{unit}", n=self.number(amount)) if amount else "")
            if len(parts) == 2:
                break
        return ("" if self.language == "zh-CN" else " ").join(part for part in parts if part)

    def size(self, amount: float) -> str:
        for unit in ("B", "KB", "MB", "GB"):
            if abs(amount) < 1000:
                return f"{self.number(amount, 0 if unit == 'B' or amount >= 100 else 1)} {unit}"
            amount /= 1000
        return f"{self.number(amount, 1)} TB"
