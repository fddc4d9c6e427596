"""A line plant in software: `SimulatedCard` is a card, and takes calls on request (`docs/simulation.md`)."""

from firmware.cards.simulated.card import SimulatedCard
from firmware.cards.simulated.script import CallPlan

__all__ = ["CallPlan", "SimulatedCard"]
