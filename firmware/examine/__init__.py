"""Is this machine fit to record, and if not, what is to be done: the doctor's examinations.

Each takes what was measured and answers a `Finding`: a verdict, the figure, the remedy. The measuring stands beside
it. Nothing here changes anything, apart from a file in the data folder that measures the disk and has no name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["ok", "warn", "bad"]
_ORDER: tuple[Verdict, ...] = ("ok", "warn", "bad")


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    """What was examined, in a word or two."""
    verdict: Verdict
    """`warn`: it records, but something should be put right; `bad`: recordings are or will be lost."""
    figure: str
    """What was found, for people."""
    remedy: str = ""
    """What to do; empty where all is well."""
    measured: Mapping[str, float | int | str] = field(default_factory=dict)
    """The same for programs; units last in each name."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=_ORDER.index, default="ok")


def graded(value: float, warn: float, bad: float) -> Verdict:
    """`value` where less is better."""
    return "bad" if value >= bad else "warn" if value >= warn else "ok"
