"""What is signed of an acceptance sheet, and whether a file is what was signed.

A sheet is a JSON text, in one way of writing (`canonical`). Its digest, the verdict, who asked and when make a second
text, the *statement*: the box's own words, which it signs with its key and enters in its journal. The page carries
both texts, the signature and the public key. They are ASCII without `<`, `>` and `&`, so that HTML holds them as
they are, byte by byte.

Whoever has such a file can tell four things apart: was the statement signed by the key that the file names; is the
sheet the one of which the statement speaks; does the page show what the sheet says (it is drawn again and compared);
and, with a fingerprint noted down elsewhere or the box itself at hand, is it this box's key.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from recorder import identity

Verdict = Literal["accepted", "not_accepted", "incomplete"]
PURPOSE: Final = "acceptance sheet 1"
FORMAT: Final = "linekeep acceptance 1"
_PARTS: Final = ("sheet", "statement", "signature", "public-key")


class SheetError(Exception):
    """The file is no acceptance sheet, or a damaged one; the message says what is missing."""


def canonical(value: Mapping[str, Any]) -> str:
    """The one way of writing it: keys sorted, no spaces, ASCII, nothing that means something in HTML."""
    text = msgspec.json.encode(value, order="sorted").decode()
    escaped = (char if char.isascii() and char not in "<>&" else _escaped(char) for char in text)
    return "".join(escaped)


def _escaped(char: str) -> str:
    """In UTF-16, as JSON wants it."""
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sheet with what the box said of it."""

    sheet: str
    statement: str
    signature: str
    """Hexadecimal, as `public_key`."""
    public_key: str

    @property
    def told(self) -> dict[str, Any]:
        """What the sheet says."""
        return _object(self.sheet, "sheet")

    @property
    def stated(self) -> dict[str, Any]:
        return _object(self.statement, "statement")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file is worth; each of these is a question of its own."""

    sealed: Sealed
    signed: bool
    """The statement was signed with the key that the file names, and names that key."""
    whole: bool
    """The sheet is the one of which the statement speaks."""
    shown: bool
    """The page shows what the sheet says, and nothing else."""

    @property
    def fingerprint(self) -> str:
        return identity.fingerprint(bytes.fromhex(self.sealed.public_key))

    @property
    def good(self) -> bool:
        return self.signed and self.whole and self.shown


def read(page: str) -> Sealed:
    """What a page carries. Raises `SheetError`."""
    found = {}
    for part in _PARTS:
        texts = re.findall(rf'<script type="application/json" id="{part}">([^<]*)</script>', page)
        if len(texts) != 1:
            raise SheetError(f"it has {len(texts)} parts `{part}` instead of one")
        found[part] = texts[0]
    signature, public_key = (_text(found[part], part) for part in ("signature", "public-key"))
    sealed = Sealed(found["sheet"], found["statement"], signature, public_key)
    if sealed.told.get("format") != FORMAT:
        raise SheetError(f"it is not of the format `{FORMAT}`")
    return sealed


def check(page: str, draw: Callable[[Sealed], str]) -> Checked:
    """`draw` makes the page that shows a sheet. Raises `SheetError` where there is nothing to be checked."""
    sealed = read(page)
    public, statement = bytes.fromhex(sealed.public_key), sealed.stated
    names_key = identity.same(str(statement.get("fingerprint")), identity.fingerprint(public))
    signed = identity.good(public, PURPOSE, sealed.statement.encode(), bytes.fromhex(sealed.signature))
    whole = statement.get("sha256") == digest(sealed.sheet)
    # A sheet that the box never saw is not worth drawing, and may hold anything.
    return Checked(sealed, signed and names_key, whole, signed and whole and draw(sealed) == page)


def _object(text: str, part: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise SheetError(f"its part `{part}` is no JSON object ({error})") from error


def _text(text: str, part: str) -> str:
    try:
        value = msgspec.json.decode(text, type=str)
        bytes.fromhex(value)
    except (msgspec.DecodeError, ValueError) as error:
        raise SheetError(f"its part `{part}` is no hexadecimal text ({error})") from error
    return value
