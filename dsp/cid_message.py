"""What a caller-ID message says.

A message is type, length, body, checksum (the two's complement of the sum of all before it, modulo 256). SDMF (type
04) has the time, MMDDhhmm, and the number; MDMF (80) has parameters of type, length, body (Telcordia GR-30 and GR-31,
ETSI EN 300 659-3, YDN 069-1997). 06 and 82 are the same for messages waiting. Where a number is withheld, its place or
the parameter 'reason' has P (private) or O (out of area).

Text is ASCII; names are GB 2312 or GBK in China, ISO 8859-1 in Europe. Some exchanges send seven bits with a parity bit
as the eighth: where the number makes sense only so, the parity is taken off, if it is right in all characters.

The checksum lets one of 256 wrong messages pass. So the parameters must fill the message exactly, a time must be one,
and a number have nothing but digits, `*`, `#`, `+`, `-`, A to D.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SDMF, MDMF = 0x04, 0x80
_SDMF_WAITING, _MDMF_WAITING = 0x06, 0x82
TYPES: Final[Mapping[int, str]] = {
    SDMF: "sdmf", MDMF: "mdmf", _SDMF_WAITING: "sdmf_waiting", _MDMF_WAITING: "mdmf_waiting",
}  # fmt: skip
_SHORTEST: Final = {SDMF: 9, MDMF: 3, _SDMF_WAITING: 3, _MDMF_WAITING: 3}
_LAMP: Final = {b"BBB": "255", b"ooo": "0"}
"""GR-30: the message-waiting lamp on and off, as MDMF has it in its parameter 0B."""

# Parameters of GR-30 and EN 300 659-3, clause 5.4: those that are text, and those that are numbers.
_TEXTS: Final = {
    0x01: "time", 0x02: "number", 0x03: "called_number", 0x04: "reason", 0x05: "redirection", 0x06: "qualifier",
    0x07: "name", 0x08: "name_reason", 0x09: "alternate_route", 0x0E: "last_message_number",
    0x0F: "complementary_time", 0x10: "complementary_number", 0x12: "first_called_number",
    0x1A: "redirecting_number", 0x20: "charge", 0x21: "additional_charge", 0x23: "duration", 0x30: "network_provider",
    0x31: "carrier", 0x50: "display",
}  # fmt: skip
_NUMBERS: Final = {
    0x0B: "visual_indicator", 0x0D: "message_identification", 0x11: "call_type", 0x13: "messages",
    0x15: "forwarded_call_type", 0x16: "calling_user_type", 0x40: "terminal",
}  # fmt: skip
_CALL_TYPES: Final = {0x01: "voice", 0x02: "ring_back", 0x03: "name_delivery", 0x81: "message_waiting"}
_TELEPHONE: Final = frozenset({"number", "called_number", "complementary_number", "first_called_number",
                               "redirecting_number", "last_message_number"})  # fmt: skip
_NUMBER: Final = re.compile(r"[0-9*#+A-D ()-]{1,32}")
_TIME: Final = re.compile(r"(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-4])([0-5][0-9])([0-5][0-9])?")
_REASONS: Final = {"P": "private", "O": "unavailable", "C": "payphone", "S": "service_conflict"}


@dataclass(frozen=True, slots=True)
class Message:
    number: str
    """Empty where none was sent."""
    fields: dict[str, str]
    """`type` (sdmf, mdmf, ..._waiting) and all that was sent, by name; `absent` (private, unavailable, ...) where there
    is no number and it is said why. Parameters without a name stand as `parameter_XX`, in hexadecimal."""


def parse(data: bytes) -> Message | None:
    """The message in `data`, which ends with its checksum; None where it is none."""
    if len(data) < 4 or len(data) != data[1] + 3 or sum(data) % 256 or data[0] not in TYPES:
        return None
    kind, body = TYPES[data[0]], data[2:-1]
    if data[0] == _SDMF_WAITING:
        lamp = _LAMP.get(body)
        return None if lamp is None else Message("", {"type": kind, "visual_indicator": lamp})
    raw = _sdmf(body) if data[0] == SDMF else _mdmf(body)
    if raw is None:
        return None
    return _message(kind, raw) or _message(kind, _without_parity(raw))


def begins(data: bytes) -> bool:
    """Whether `data` may be the beginning of a message: its type exists and its length suits the type."""
    if not data:
        return True
    return data[0] in TYPES and (len(data) < 2 or data[1] >= _SHORTEST[data[0]])


def _sdmf(body: bytes) -> dict[int, bytes] | None:
    return {0x01: body[:8], 0x02: body[8:]} if len(body) > 8 else None


def _mdmf(body: bytes) -> dict[int, bytes] | None:
    raw: dict[int, bytes] = {}
    while body:
        if len(body) < 2 or len(body) < 2 + body[1]:
            return None
        raw.setdefault(body[0], body[2 : 2 + body[1]])
        body = body[2 + body[1] :]
    return raw


def _message(kind: str, raw: dict[int, bytes] | None) -> Message | None:
    if not raw:
        return None
    fields: dict[str, str] = {"type": kind}
    for type_, body in raw.items():
        if type_ in _TEXTS:
            fields[_TEXTS[type_]] = text(body)
        elif type_ in _NUMBERS:
            fields[_NUMBERS[type_]] = str(int.from_bytes(body, "big"))
        else:
            fields[f"parameter_{type_:02x}"] = body.hex()
    if "call_type" in fields:
        fields["call_type"] = _CALL_TYPES.get(int(fields["call_type"]), fields["call_type"])
    return _judged(fields)


def _judged(fields: dict[str, str]) -> Message | None:
    """The message, if its fields make sense: what is none of a caller's is told by that, for one in 256 passes the
    checksum."""
    number = fields.get("number", "")
    reason = fields.get("reason", "")[:1]
    if number in _REASONS:
        reason, number = number, ""
        del fields["number"]
    if reason and not number:
        fields["absent"] = _REASONS.get(reason, reason)
    if (time := fields.get("time")) and not _TIME.fullmatch(time):
        return None
    if any(fields.get(name) and not _NUMBER.fullmatch(fields[name]) for name in _TELEPHONE):
        return None
    if not fields.keys() & {"time", "number", "name", "absent", "call_type", "messages", "visual_indicator", "display"}:
        return None
    return Message(number, fields)


def _without_parity(raw: dict[int, bytes]) -> dict[int, bytes] | None:
    """The same with the eighth bit of characters taken off, if it is everywhere the even (or everywhere the odd) parity
    of the number and the time."""
    sent = raw.get(0x01, b"") + raw.get(0x02, b"")
    if len({byte.bit_count() % 2 for byte in sent}) != 1:
        return None
    parity = sent[0].bit_count() % 2
    return {
        type_: bytes(byte & 0x7F for byte in body)
        if type_ in _TEXTS and all(byte.bit_count() % 2 == parity for byte in body)
        else body
        for type_, body in raw.items()
    }


def text(raw: bytes) -> str:
    """ASCII, GB 2312 or GBK, else ISO 8859-1; control characters are left out. A name that was cut within a character
    loses that character."""
    raw = raw.strip(b" \0")
    for whole in (raw, raw[:-1]):
        try:
            decoded = whole.decode("gbk")
        except UnicodeDecodeError:
            continue
        if raw.isascii() or _chinese(decoded):
            return _printable(decoded)
    return _printable(raw.decode("latin-1"))


def _chinese(decoded: str) -> bool:
    """Whether this is a Chinese name, and not a European one read as GBK: at least half of the characters that are not
    ASCII are of GB 2312, both of whose bytes have their eighth bit."""
    seconds = [character.encode("gbk")[1] for character in decoded if not character.isascii()]
    return 2 * sum(byte > 0xA0 for byte in seconds) >= max(len(seconds), 1)


def _printable(decoded: str) -> str:
    return "".join(character for character in decoded if character.isprintable()).strip()
