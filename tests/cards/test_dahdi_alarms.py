"""Which alarms leave a channel to be heard, and when a span is known to have a clock of its own."""

from dataclasses import replace

import numpy as np
import pytest

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Channel, Signalling, Span
from cffi_bindings.dahdi_channels import Result
from cffi_bindings.errors import DahdiError
from firmware.cards.dahdi_alarms import ChannelAlarms, Slips, is_deaf
from firmware.cards.dahdi_ports import Port

SPAN = Span(1, "WCT1/0", "Board 1", "E1", "Digium", "TE121", "PCI", (), 0, 0, 31, 31)
CHANNEL = Channel(1, 1, 1, "WCT1/0/1", Signalling.CLEAR, "alaw", False, ())


@pytest.mark.parametrize(
    ("alarms", "deaf"),
    [((), False), (("yellow",), False), (("yellow", "lmfa"), False), (("loopback",), False), (("red",), True),
     (("blue",), True), (("red", "yellow"), True), (("notopen",), True), (("yellow", "recover"), True)],
)  # fmt: skip
def test_an_alarm_makes_deaf_where_nothing_of_the_line_is_heard(alarms: tuple[str, ...], deaf: bool) -> None:
    assert is_deaf(alarms) is deaf


def test_a_span_s_alarm_stands_above_what_its_channels_still_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that goes from yellow to red tells nobody, and its channels keep the yellow."""
    spans, own = [SPAN], replace(CHANNEL, alarms=("yellow",))
    monkeypatch.setattr(dahdi, "spans", lambda: spans)
    monkeypatch.setattr(dahdi, "channel", lambda number: replace(own, number=number))
    alarms = ChannelAlarms([Port(1), Port(2)])
    spans[0] = replace(SPAN, alarms=("yellow",))
    assert alarms.look([0, 1]) == [] and alarms.standing.tolist() == [True, True]
    spans[0] = replace(SPAN, alarms=("red",))
    assert alarms.look([0, 1]) == [0, 1] and alarms.deaf.tolist() == [True, True]
    spans[0], own = SPAN, CHANNEL
    assert (alarms.look([0]), alarms.any_standing) == ([0], True)
    assert (alarms.look([1]), alarms.any_standing) == ([1], False)
    own = replace(CHANNEL, alarms=("red",))
    assert alarms.look([1]) == [1], "an analogue port's own, of which its span says nothing"


def test_a_channel_that_went_keeps_the_alarm_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(number: int = 0) -> Channel:
        raise DahdiError(f"DAHDI channel {number} does not exist")

    alarms = ChannelAlarms([Port(1)])
    alarms.set(0, ("red",))
    monkeypatch.setattr(dahdi, "spans", lambda: [SPAN])
    monkeypatch.setattr(dahdi, "channel", away)
    assert alarms.look([0]) == [] and alarms.deaf[0]
    monkeypatch.setattr(dahdi, "spans", away)
    assert alarms.look([0]) == [] and alarms.deaf[0]


SPANS = np.array([1, 1, 2, 2])
ALL, SECOND_LATE = [Result.GOT] * 4, [Result.GOT, Result.GOT, Result.LATE, Result.LATE]


@pytest.mark.parametrize(
    ("results", "dropped", "slips"),
    [
        ([ALL, SECOND_LATE, ALL, ALL], 0, 1),
        ([ALL, SECOND_LATE, ALL, SECOND_LATE, ALL], 0, 2),
        # What comes for the filled place is dropped: a span that was held up, not a slow one.
        ([SECOND_LATE, ALL], 2, 0),
        # A span that was away.
        ([SECOND_LATE, SECOND_LATE, ALL], 0, 0),
        # One channel of a span only: it was opened anew, at another place in the block.
        ([[Result.GOT, Result.GOT, Result.GOT, Result.LATE], ALL], 0, 0),
        # A channel that is not there does not count.
        ([[*ALL[:2], Result.LEFT_OUT, Result.LATE], [*ALL[:2], Result.LEFT_OUT, Result.GOT]], 0, 1),
    ],
)  # fmt: skip
def test_a_span_slips_that_is_late_once_with_all_its_channels(
    results: list[list[Result]], dropped: int, slips: int
) -> None:
    seen = Slips(4)
    assert sum(seen.seen(np.array(result, np.uint8), SPANS, dropped) for result in results) == slips
    assert not seen.pending
