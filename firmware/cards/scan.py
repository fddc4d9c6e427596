"""What cards there are, and the piece of configuration for them.

Asked are the bus (`boards`) and the driver, not the daemon; nothing is opened that another program may hold. The
configuration has a `[[card]]` for each clock: the spans of one card share one, two cards do not unless a cable ties
them together, which no driver tells. Channels of two laws are two cards, too.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cffi_bindings import dahdi, synway
from cffi_bindings.dahdi import Channel, Signalling, Span, Version
from cffi_bindings.errors import BindingError
from firmware.cards.boards import Board, boards

PORTS: Final = {
    Signalling.LINE: "FXO (exchange line)",
    Signalling.TELEPHONE: "FXS (telephone)",
    Signalling.CLEAR: "B channel",
    Signalling.OTHER: "other",
    Signalling.NONE: "not configured",
}
"""What a channel is, for people."""
RECORDED: Final = (Signalling.LINE, Signalling.TELEPHONE, Signalling.CLEAR)
"""Channels that can be recorded as they are."""
_FRAMING: Final = {"E1": ("ccs,hdb3", 16), "T1": ("esf,b8zs", 24), "J1": ("esf,b8zs", 24)}
"""Framing and coding of a digital span, and the position of the channel that carries its signalling."""


@dataclass(frozen=True, slots=True)
class Found:
    boards: list[Board]
    version: Version | None
    """Of the loaded driver."""
    trouble: str
    """Why the driver could not be asked, with the remedy; empty where it could."""
    spans: list[Span]
    channels: list[Channel]
    synway: bool
    """Synway's library is installed under a usual name. Which channels it has only starting it tells, which takes its
    cards."""


def look() -> Found:
    """All that can be found out; what cannot is said in `trouble`."""
    version, trouble = None, ""
    spans: list[Span] = []
    channels: list[Channel] = []
    try:
        version = dahdi.version()
        spans, channels = dahdi.spans(), dahdi.channels()
    except BindingError as error:
        trouble = str(error)
    return Found(boards(), version, trouble, spans, channels, synway.installed())


def configuration(spans: Sequence[Span], channels: Sequence[Channel], names: Collection[str] = ()) -> str:
    """TOML for linekeep.toml: every channel that can be recorded, as a tap. `names` of cards are taken already."""
    parts: list[str] = []
    taken = set(names)
    for described, numbers in _by_clock(spans).items():
        own = [channel for channel in channels if channel.span in numbers]
        for law in sorted({channel.law for channel in own if channel.signalling in RECORDED}):
            group = [channel for channel in own if channel.law == law and channel.signalling in RECORDED]
            name = next(name for n in range(len(taken) + 1) if (name := f"dahdi{n}") not in taken)
            taken.add(name)
            parts.append(_stanza(described, name, law, group))
    bare = [channel.number for channel in channels if channel.signalling is Signalling.NONE]
    if bare:
        parts.append(
            f"# Channels {_spoken(bare)} are not configured: give them signalling in /etc/dahdi/system.conf, then\n"
            "# call dahdi_cfg.\n"
        )
    return "\n".join(parts)


def signalling(spans: Sequence[Span], channels: Sequence[Channel]) -> str:
    """DAHDI's own configuration (`system.conf`) for all these channels, by what their ports can be; empty where all
    have one already, or where nothing of it could be told."""
    if not any(channel.signalling is Signalling.NONE and channel.fits is not Signalling.NONE for channel in channels):
        return ""
    parts = ["# Made from what the driver says of its ports."]
    digital = [span for span in spans if span.type in _FRAMING]
    for place, span in enumerate(digital, 1):
        framing, carrier = _FRAMING[span.type]
        own = [each for each in channels if each.span == span.number and each.position != carrier]
        # The first gives the clock, the others stand in for it. `clear` would bundle the channels into one.
        parts.append(f"span={span.number},{place},0,{framing}")
        parts += [f"bchan={_listed(channel.number for channel in own)}"] if own else []
    numbers = {span.number for span in digital}
    for word, fits in (("fxsks", Signalling.LINE), ("fxoks", Signalling.TELEPHONE)):
        own = [channel for channel in channels if channel.span not in numbers and channel.fits is fits]
        parts += [f"{word}={_listed(channel.number for channel in own)}"] if own else []
    return "\n".join([*parts, "loadzone=cn", "defaultzone=cn"]) + "\n"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs(numbers))


def _by_clock(spans: Sequence[Span]) -> dict[str, set[int]]:
    """Numbers of the spans of each card, by what the driver calls it."""
    cards: dict[str, set[int]] = {}
    for span in spans:
        cards.setdefault(card_of(span), set()).add(span.number)
    return cards


def card_of(span: Span) -> str:
    """What the driver calls the card that the span is on: maker, type and place."""
    return ", ".join(filter(None, (span.manufacturer, span.device or span.name, span.location)))


def _stanza(described: str, name: str, law: str, group: Sequence[Channel]) -> str:
    stations = [channel.number for channel in group if channel.signalling is Signalling.TELEPHONE]
    lines = [f"# {_comment(described)}"]
    if stations:
        lines += [
            f"# Channels {_spoken(stations)} are telephones' ports: for each a [[line]] with its number in the box and",
            '# role = "station" lets the box ring it.',
        ]
    lines += [
        "[[card]]",
        'kind = "dahdi"',
        f'name = "{name}"',
        f"channels = {written(channel.number for channel in group)}",
        f'law = "{law}"',
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """What a driver says, fit for one line of TOML."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken run of these, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def written(numbers: Iterable[int]) -> str:
    """As `channels` in the configuration has them: `[1, "3-30"]`."""
    return "[" + ", ".join(str(a) if a == b else f'"{a}-{b}"' for a, b in runs(numbers)) + "]"


def _spoken(numbers: Iterable[int]) -> str:
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs(numbers))
