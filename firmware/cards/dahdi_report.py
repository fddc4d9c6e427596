"""What a DAHDI card says of itself: its driver, its spans, and what it counted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cffi_bindings import dahdi
from cffi_bindings.errors import BindingError
from firmware.cards import CardReport, SpanReport


@dataclass(slots=True)
class Counts:
    """What happened on the card since it was started, for status and doctor."""

    overruns: int = 0
    lost_interrupts: int = 0
    lost_samples: int = 0
    late_blocks: int = 0
    """Came after their place had been filled, and were dropped."""
    slips: int = 0
    """Blocks of filler by which a span fell behind the others of its card."""
    events_lost: int = 0
    calls_of_tick: int = 0


def reported(lines: Sequence[int], spans: Sequence[int], counts: Counts) -> CardReport:
    """`spans`: of each line, the number of its span. Without driver and spans where the driver is away."""
    counted = asdict(counts)
    try:
        driver, found = dahdi.version().driver, dahdi.spans()
    except BindingError:
        return CardReport(counts=counted)
    ours: dict[int, list[int]] = {}
    for line, span in zip(lines, spans, strict=True):
        ours.setdefault(span, []).append(line)
    reports = (
        SpanReport(span.number, span.name, span.type, span.alarms, span.interrupts_missed, tuple(ours[span.number]))
        for span in found
        if span.number in ours
    )
    return CardReport(f"DAHDI {driver}", tuple(reports), counted)
