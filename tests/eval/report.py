"""What a section of the evaluation hands back: rows of a table."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal

Part = Literal["seen", "unseen"]
PARTS: tuple[Part, ...] = ("seen", "unseen")


@dataclass(frozen=True)
class Row:
    """One figure. `aim` reads `>= 0.999`, `<= 0.5 %`, `= 0` or `` (none); `unit` is `share`, `s`, `ms`, `an hour`..."""

    what: str
    aim: str
    ours: float
    spandsp: float | None
    cases: int
    unit: str = "share"

    def met(self) -> bool | None:
        """Whether `ours` reaches the aim; None where there is no aim. Raises ValueError for one that cannot be read."""
        if not self.aim:
            return None
        found = re.fullmatch(r"(>=|<=|=|≥|≤)\s*([0-9.,]+)\s*(%?).*", self.aim)
        if found is None:
            raise ValueError(f"Aim {self.aim!r} of {self.what!r}: it must begin with >=, <= or = and a number.")
        bound = float(found[2].replace(",", "")) / (100 if found[3] else 1)
        if found[1] in (">=", "≥"):
            return self.ours >= bound - 1e-12
        if found[1] in ("<=", "≤"):
            return self.ours <= bound + 1e-12
        return abs(self.ours - bound) < 1e-12


@dataclass(frozen=True)
class Section:
    """A room's table, and what must be known to read it."""

    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Where something went wrong, for those who mend it: printed, never written into the document. Part `seen` only."""


def shown(value: float, unit: str) -> str:
    """A figure for a person: shares to a tenth of a thousandth, counts as they are, others to three figures."""
    if math.isnan(value):
        return "none"
    if unit == "share":
        # What is not quite all or nothing never looks like it.
        near = "0.9999" if 0.99995 <= value < 1 else "0.0001" if 0 < value < 0.00005 else f"{value:.4f}"
        return near.rstrip("0").rstrip(".")
    number = f"{value:,.0f}" if value == round(value) else f"{value:.3g}"
    return number if unit == "number" else f"{number} {unit}".rstrip()
