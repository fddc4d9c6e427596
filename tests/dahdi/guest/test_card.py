"""The card over the real driver: rings, hooks, audio both ways, buffers, overruns, a card that is pulled."""

import errno
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Signalling
from cffi_bindings.errors import DahdiError
from firmware.cards import CardError, ChannelStatus, LineEventKind
from firmware.cards.dahdi import DahdiCard, Port, Role
from tests.dahdi.guest.rig import CHANNELS_CONF, SPAN, lines, noise, place_of, reading, stations


def test_scan_names_spans_channels_and_driver() -> None:
    assert dahdi.version().driver.startswith("2.11")
    spans = dahdi.spans()
    assert [(s.number, s.channels, s.configured_channels, s.alarms) for s in spans] == [
        (1, SPAN, SPAN, ()), (2, SPAN, SPAN, ()),
    ]  # fmt: skip
    channels = dahdi.channels()
    assert [c.number for c in channels] == list(range(1, 2 * SPAN + 1))
    assert {c.signalling for c in channels[:SPAN]} == {Signalling.TELEPHONE}
    assert {c.signalling for c in channels[SPAN:]} == {Signalling.LINE}
    assert {c.law for c in channels} == {"ulaw"}
    with pytest.raises(DahdiError, match=r"DAHDI channel 999 does not exist. Remedy: .*card scan"):
        dahdi.channel(999)


def test_a_telephone_rings_is_lifted_and_laid_down() -> None:
    with reading(stations(1, 2), lines(1, 2)) as (phones, exchange):
        exchange.wait_blocks(5)
        phones.card.ring(2, True)
        begun = exchange.wait_event(2, LineEventKind.RING_ON)
        exchange.wait_event(2, LineEventKind.RING_OFF, begun.sample)
        exchange.card.seize(2)
        lifted = phones.wait_event(2, LineEventKind.OFF_HOOK)
        assert exchange.wait_event(2, LineEventKind.OFF_HOOK, begun.sample)
        phones.card.ring(2, False)
        exchange.card.release(2)
        assert phones.wait_event(2, LineEventKind.ON_HOOK, lifted.sample).sample > lifted.sample
        assert not [e for e in phones.events() + exchange.events() if e.channel == 0 and e.sample], (
            "the other line heard of it"
        )


def test_audio_goes_both_ways_bit_for_bit() -> None:
    out, back = noise(4, 1), noise(4, 2)
    with reading(stations(3), lines(3)) as (phones, exchange):
        exchange.card.seize(3)
        phones.wait_event(3, LineEventKind.OFF_HOOK)
        exchange.card.send(3, out.tobytes())
        phones.card.send(3, back.tobytes())
        for reader in (phones, exchange):
            reader.wait_blocks(4 * 50 + 30)
        place_of(out, phones.heard(3))
        place_of(back, exchange.heard(3))
        assert phones.missing() == exchange.missing() == 0


def test_a_tap_can_neither_write_nor_move_a_hook() -> None:
    tap = lines(4, role=Role.TAP)
    with reading(stations(4), tap) as (phones, listener):
        phones.card.ring(4, True)
        listener.wait_event(4, LineEventKind.RING_ON)
        for act in (tap.seize, tap.release, tap.flash, lambda line: tap.send(line, b"\x00" * 160)):
            with pytest.raises(CardError, match="is a tap"):
                act(4)
        channels = tap._channels
        assert channels is not None
        # Below everything of ours the kernel refuses it: the descriptor was opened for reading alone.
        flags = re.search(r"flags:\s*(\d+)", Path(f"/proc/self/fdinfo/{channels.fds[0]}").read_text())
        assert flags is not None and int(flags[1], 8) & os.O_ACCMODE == os.O_RDONLY
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.write(int(channels.fds[0]), b"\x00" * 160)
        phones.card.ring(4, False)
        sent = noise(1, 4)
        phones.card.send(4, sent.tobytes())
        listener.wait_blocks(80)
        place_of(sent, listener.heard(4))
        (told,) = [e for e in phones.events() if e.kind in (LineEventKind.OFF_HOOK, LineEventKind.ON_HOOK)]
        assert (told.kind, told.sample) == (LineEventKind.ON_HOOK, 0), "as it was found, and nothing since"


def test_buffers_hold_half_a_second_without_loss() -> None:
    sent = noise(3, 5)
    with reading(stations(5), lines(5)) as (phones, exchange):
        exchange.wait_blocks(20)
        phones.card.send(5, sent.tobytes())
        exchange.wait_blocks(20)
        exchange.stall(True)
        phones.wait_blocks(20)
        exchange.stall(False)
        exchange.wait_blocks(160)
        place_of(sent, exchange.heard(5))
        assert exchange.missing() == 0 and exchange.card.counts.overruns == 0


def test_an_overrun_is_a_gap_of_its_true_length_in_its_true_place() -> None:
    sent = noise(9, 6)
    with reading(stations(6), lines(6)) as (phones, exchange):
        exchange.wait_blocks(100)
        phones.card.send(6, sent.tobytes())
        exchange.wait_blocks(100)
        exchange.stall(True)
        phones.wait_blocks(100)
        exchange.stall(False)
        exchange.wait_blocks(200)
        assert exchange.card.counts.overruns == 1
        jumps = [
            (i, after.first_sample - before.first_sample - 160)
            for i, (before, after) in enumerate(zip(exchange.blocks, exchange.blocks[1:], strict=False), 1)
            if after.first_sample != before.first_sample + 160
        ]
        assert len(jumps) == 1, jumps
        at, told = jumps[0]
        overruns = [e for e in exchange.blocks[at].events if e.kind is LineEventKind.OVERRUN]
        assert [e.value for e in overruns] == [told]
        # Where the bytes around the jump stand in what was sent says what is missing, to the sample.
        whole = sent.tobytes()
        before = whole.index(exchange.blocks[at - 1].law[0][-16:].tobytes()) + 16
        after = whole.index(exchange.blocks[at].law[0][:16].tobytes())
        print(f"gap told: {told} samples; true: {after - before}")
        assert abs(told - (after - before)) <= 160
        assert after - before > 8000


def test_a_card_is_pulled_and_put_back_while_the_other_line_goes_on() -> None:
    card = DahdiCard("mixed", (1, 2), [Port(7, Role.STATION), Port(SPAN + 9, Role.TRUNK)], law="ulaw")
    device = Path("/sys/bus/dahdi_devices/devices/dynamic:loc:0")
    with reading(card) as (reader,):
        reader.wait_blocks(20)
        (device / "unassign_span").write_text("1")
        try:
            pulled = reader.wait_event(1, LineEventKind.ALARM)
            reader.wait_blocks(25)
        finally:
            (device / "assign_span").write_text("1:1:1")
            subprocess.run(["dahdi_cfg", "-c", CHANNELS_CONF], check=True)
        back = reader.wait_event(1, LineEventKind.CLEAR, pulled.sample)
        reader.wait_blocks(100)
        status = {block.first_sample: block.status.tolist() for block in reader.blocks}
        away = {at: both for at, both in status.items() if pulled.sample < at < back.sample}
        assert len(away) >= 25 and {one for one, _ in away.values()} == {ChannelStatus.DOWN}
        # The other span is wired to the one that is gone, and is itself in alarm when that has been away for a second.
        assert {other for at, (_, other) in status.items() if at < pulled.sample + 4000} == {ChannelStatus.OK}
        assert {tuple(both) for both in list(status.values())[-20:]} == {(ChannelStatus.OK, ChannelStatus.OK)}


def test_a_channel_that_is_not_there_is_down_and_the_others_are_read() -> None:
    card = DahdiCard("partly", (1, 2), [Port(200), Port(SPAN + 10)], law="ulaw")
    with reading(card) as (reader,):
        reader.wait_blocks(20)
        assert {tuple(block.status.tolist()) for block in reader.blocks} == {(ChannelStatus.DOWN, ChannelStatus.OK)}
        report = card.report()
        assert report.driver.startswith("DAHDI 2.11")
        assert [(span.number, span.alarms, span.lines) for span in report.spans] == [(2, (), (2,))]


def test_what_does_not_fit_is_refused_with_the_remedy() -> None:
    wrong = (
        (DahdiCard("a", (1,), [Port(1)], law="alaw"), 'is ulaw, the card is configured as alaw. Remedy: law = "ulaw"'),
        (DahdiCard("a", (1,), [Port(1, Role.TRUNK)], law="ulaw"), "signals as telephone, which is no trunk. Remedy"),
        (DahdiCard("a", (1,), [Port(200)], law="ulaw"), "DAHDI channel 200 does not exist. Remedy"),
    )
    for card, message in wrong:
        with pytest.raises(CardError, match=message):
            card.start()
    with reading(stations(8)):
        with pytest.raises(CardError, match=r"DAHDI channel 8 is in use by another program. Remedy"):
            stations(8).start()
    np.testing.assert_array_equal(stations(8).lines, (8,))
