"""Formats of what is kept on a box, and which version may follow which: `python -m firmware.formats` prints this one's.

An update must not strand what is kept. A version reads formats from `oldest` to `newest`, and writes one of them.
Another one may be installed over it when it reads everything that may lie on the box, and when this one reads whatever
that one would write: a box goes back by itself when the new version does not prove itself, and by then it may have
recorded for minutes. So a format changes in two releases: one that reads it, and a later one that writes it. The
catalogue is an index that any version makes anew from recordings and journal; it keeps no version away.

The image's build lays these figures into the root and into the update bundle.
"""

import sys
from collections.abc import Mapping

import msgspec

from recorder import catalogue, layout

REBUILT = frozenset({"catalogue"})


class Format(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    oldest: int
    newest: int
    writes: int


def _one(number: int) -> Format:
    return Format(oldest=number, newest=number, writes=number)


FORMATS: Mapping[str, Format] = {
    "recording": _one(layout.FORMAT),
    "journal": _one(1),
    "configuration": _one(1),
    "settings": _one(1),
    "catalogue": _one(int(catalogue.FORMAT)),
}
"""`settings`: what the keeper keeps under /data/system."""


def hindrance(offered: Mapping[str, Format], here: Mapping[str, Format] = FORMATS) -> str:
    """Why a version with these formats may not follow this one, with what to do; empty where it may."""
    for name in sorted((here.keys() | offered.keys()) - REBUILT):
        mine, its = here.get(name), offered.get(name)
        if mine is None:
            # Something new is kept beside the rest: this version leaves it alone.
            continue
        if its is None or its.newest < mine.writes:
            return (
                f"it is too old for what is on this box: it reads {name} up to format {its.newest if its else 'none'}, "
                f"the box writes {mine.writes}. Take a newer one."
            )
        if its.oldest > mine.oldest:
            return (
                f"it no longer reads {name} of format {mine.oldest}, which may be on this box. Install a version "
                "between the two first."
            )
        if its.writes > mine.newest:
            return (
                f"it writes {name} of format {its.writes}, and this version reads only up to {mine.newest}: the box "
                "could not go back. Install a version between the two first."
            )
    return ""


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(dict(FORMATS)).decode() + "\n")
