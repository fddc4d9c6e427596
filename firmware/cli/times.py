"""Times as people say them, and as the command shows them.

Recordings are stored in UTC. People speak in the box's zone: `14:30`, `yesterday`, `2026-11-22`, `90m` (ago). A day
alone means its beginning where a range starts and its end where a range stops, so that `--until 2026-11-22` holds
that day. An hour that occurs twice when summer time ends is taken as the wider choice. Every time that leaves the
command as text carries its offset.
"""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

NS = 1_000_000_000

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WORDS = "14:30, today, yesterday, monday, 2026-11-22, '2026-11-22 14:30', 2026-11-22T14:30:00+08:00, 90m or 3d (ago)"


def parse_duration(text: str) -> float:
    """`8h`, `1h30m`, `45s` or plain seconds, in seconds. Raises ValueError."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; say 45s, 90m, 8h or 1h30m")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def parse_when(text: str, now: datetime, *, end: bool) -> int:
    """The UTC nanosecond that `text` means to a person in the zone of `now`; `end` says which end of a range it is.

    Raises ValueError with the words it understands.
    """
    word = text.strip().lower()
    if word == "now":
        return to_ns(now)
    if re.fullmatch(r"([\d.]+[smhdw])+", word):
        return to_ns(now) - round(parse_duration(word) * NS)
    day = _day(word, now)
    if day is not None:
        return to_ns(_local(day + timedelta(days=1) if end else day, now.tzinfo, end))
    moment = _moment(text.strip(), now)
    if moment is None:
        raise ValueError(f"{text!r} is not a time; say {WORDS}")
    return to_ns(moment if moment.tzinfo else _local(moment, now.tzinfo, end))


def _day(word: str, now: datetime) -> datetime | None:
    midnight = datetime.combine(now.date(), time())
    if word in ("today", "yesterday"):
        return midnight - timedelta(days=word == "yesterday")
    if word in _WEEKDAYS:
        return midnight - timedelta(days=(now.weekday() - _WEEKDAYS.index(word)) % 7)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", word):
        return _iso(word)
    return None


def _moment(text: str, now: datetime) -> datetime | None:
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text):
        return _iso(f"{now.date().isoformat()}T{text.rjust(len(text) + (text[1] == ':'), '0')}")
    return _iso(text)


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _local(naive: datetime, zone: tzinfo | None, end: bool) -> datetime:
    return naive.replace(tzinfo=zone, fold=1 if end else 0)


def to_ns(moment: datetime) -> int:
    """UTC nanoseconds of an aware moment, without the rounding of a float."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * NS + since.microseconds * 1000


def _from_ns(utc_ns: int, zone: tzinfo) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_ns // 1000)).astimezone(zone)


def utc_text(utc_ns: int) -> str:
    """ISO 8601 in UTC to the millisecond."""
    return _from_ns(utc_ns, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_text(utc_ns: int, zone: tzinfo) -> str:
    """ISO 8601 in the zone, with its offset, to the millisecond."""
    return _from_ns(utc_ns, zone).isoformat(timespec="milliseconds")


def short_text(utc_ns: int, zone: tzinfo) -> str:
    """For a table, whose head names the zone."""
    return _from_ns(utc_ns, zone).strftime("%Y-%m-%d %H:%M:%S")


def clock_text(seconds: float) -> str:
    """A length: `0:07`, `12:31`, `1:02:03`."""
    whole = int(seconds + 0.5)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def place_text(sample: int) -> str:
    """A place in a recording, to the millisecond: `1:02.345`."""
    minutes, milliseconds = divmod(sample // 8, 60_000)
    return f"{minutes}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def offset_text(seconds: int) -> str:
    """`+08:00`."""
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
