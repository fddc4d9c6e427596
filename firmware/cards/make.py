"""Makes the cards that the configuration names, and gives every channel its number in the box."""

from pathlib import Path

from firmware.cards import Card
from firmware.cards.simulated import SimulatedCard
from firmware.config import Config


def make_cards(config: Config, data: Path) -> list[Card]:
    """One card for each of `config.cards`, in order; line numbers run through all of them from 1. None is started."""
    cards: list[Card] = []
    first = 1
    for card in config.cards:
        lines = tuple(range(first, first + card.lines))
        first += card.lines
        cards.append(
            SimulatedCard(
                card.name,
                lines,
                data / "material",
                law=card.law,
                zone=card.zone,
                seed=card.seed,
                paced=card.paced,
                scenario=card.scenario == "office",
                polarity=card.polarity,
            )
        )
    return cards
