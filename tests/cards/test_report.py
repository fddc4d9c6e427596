"""What a card says of its hardware, and how it comes to the control socket."""

from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import pytest

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Span, Version
from firmware.cards import CardReport, Reporting, SpanReport
from firmware.cards.dahdi import DahdiCard, Port
from firmware.cards.synway import SynwayCard
from firmware.wire import CardStatus
from tests.firmware.rig import Rig, ScriptedCard


class Telling(ScriptedCard):
    """A scripted card that knows of a driver."""

    def report(self) -> CardReport:
        span = SpanReport(3, "WCT1/0", "E1", ("red", "los"), 7, (1, 2))
        return CardReport("DAHDI 2.11.1", (span,), {"overruns": 2})


def test_driver_spans_figures_and_volts_are_in_the_status(tmp_path: Path) -> None:
    card = Telling(2, lines=(1, 2))
    card.volts[:, 1] = 7.96
    status = Rig(tmp_path, card).run().engine.health().cards[0]
    sent = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(status)), CardStatus)
    assert sent == status
    assert (sent.driver, sent.counts, sent.volts, sent.down) == ("DAHDI 2.11.1", {"overruns": 2}, [8.0, 48.0], [])
    (span,) = sent.spans
    assert (span.number, span.name, span.type, span.alarms, span.interrupts_missed, span.lines) == (
        3, "WCT1/0", "E1", ["red", "los"], 7, [1, 2],
    )  # fmt: skip


def test_a_dahdi_card_without_its_driver_still_tells_its_figures() -> None:
    card = DahdiCard("dahdi0", (1,), [Port(1)])
    card.counts.overruns = 3
    report = card.report()
    assert isinstance(card, Reporting)
    assert (report.driver, report.spans, report.counts["overruns"]) == ("", (), 3)


def test_a_dahdi_card_names_the_spans_its_lines_are_on_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    span = Span(1, "WCTDM/0", "Board 1", "FXO", "Digium", "TDM400P", "PCI", (), 0, 0, 4, 4)
    spans = [
        span,
        replace(span, number=2, name="WCT1/0", alarms=("red",), interrupts_missed=5),
        replace(span, number=3),
    ]
    monkeypatch.setattr(dahdi, "version", lambda: Version("2.11.1", "OSLEC"))
    monkeypatch.setattr(dahdi, "spans", lambda: spans)
    card = DahdiCard("dahdi0", (5, 6, 7), [Port(4), Port(5), Port(6)])
    card._spans[:] = [1, 2, 2]
    report = card.report()
    assert report.driver == "DAHDI 2.11.1"
    assert report.spans == (
        SpanReport(1, "WCTDM/0", "FXO", (), 0, (5,)),
        SpanReport(2, "WCT1/0", "FXO", ("red",), 5, (6, 7)),
    )


def test_a_synway_card_tells_its_figures() -> None:
    card = SynwayCard("shd0", (1, 2), (0, 1), folder=Path("nowhere"))
    card.counts.begun_anew = 2
    assert isinstance(card, Reporting)
    assert card.report() == CardReport(counts=asdict(card.counts))
