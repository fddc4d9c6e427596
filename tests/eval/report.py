"""What a section of the evaluation hands back: rows of a table."""

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
        found = re.fullmatch(r"(>=|<=|=|≥|≤)\s*([0-9.]+)\s*(%?).*", self.aim)
        if found is None:
            raise ValueError(f"Aim {self.aim!r} of {self.what!r}: it must begin with >=, <= or = and a number.")
        bound = float(found[2]) / (100 if found[3] else 1)
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
