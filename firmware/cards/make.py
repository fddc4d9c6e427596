"""Makes the cards that the configuration names, and gives every channel its number in the box.

Importing this needs no driver and no vendor's library: a card that has none says so when it is started.
"""

from collections.abc import Sequence
from pathlib import Path

from firmware.cards import Card
from firmware.cards.dahdi import DahdiCard, Port, Role
from firmware.cards.simulated import SimulatedCard
from firmware.cards.synway import SynwayCard
from firmware.config import CardConfig, Config, LineConfig


def make_cards(config: Config, data: Path) -> list[Card]:
    """One card for each of `config.cards`, in order; line numbers run through all of them from 1. None is started."""
    cards: list[Card] = []
    first = 1
    for card in config.cards:
        numbers = tuple(range(first, first + card.lines))
        cards.append(_make(card, numbers, config.lines[first - 1 : first - 1 + card.lines], data))
        first += card.lines
    return cards


def _make(card: CardConfig, numbers: tuple[int, ...], lines: Sequence[LineConfig], data: Path) -> Card:
    if card.kind == "dahdi":
        ports = [Port(channel, Role(line.role)) for channel, line in zip(card.channels, lines, strict=True)]
        return DahdiCard(card.name, numbers, ports, law=card.law, volts_every_s=card.volts_every_s)
    if card.kind == "synway":
        return SynwayCard(
            card.name,
            numbers,
            card.channels,
            library=card.vendor_library,
            folder=Path(card.folder),
            law=card.law,
            volts_every_s=card.volts_every_s,
        )
    return SimulatedCard(
        card.name,
        numbers,
        data / "material",
        law=card.law,
        zone=card.zone,
        seed=card.seed,
        paced=card.paced,
        scenario=card.scenario == "office",
        polarity=card.polarity,
    )
