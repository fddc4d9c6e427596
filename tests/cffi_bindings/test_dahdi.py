"""DAHDI's binding without a driver: what it says where there is none, and its loop over descriptors like channels.

Packet sockets stand for channels here: they give whole blocks, have none yet, or are gone. What only the driver does
(events, ELAST, overruns) is shown in `tests/dahdi`."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from cffi_bindings import dahdi
from cffi_bindings.dahdi_channels import BLOCK, Channels, Result, codes
from cffi_bindings.errors import DahdiError


class Pairs:
    """Channels whose other ends are in the test's hands."""

    def __init__(self, n: int) -> None:
        self.pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(n)]
        self.channels = Channels(range(1, n + 1))
        for place, (ours, _) in enumerate(self.pairs):
            ours.setblocking(False)
            self.channels.fds[place] = ours.fileno()

    def give(self, place: int, *values: int) -> None:
        for value in values:
            self.pairs[place][1].send(bytes([value]) * BLOCK)

    def close(self) -> None:
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def three() -> Iterator[Pairs]:
    pairs = Pairs(3)
    yield pairs
    pairs.close()


def test_without_a_driver_every_question_says_so_and_what_to_do() -> None:
    for ask in (dahdi.version, dahdi.spans, dahdi.channels, lambda: dahdi.channel(1)):
        with pytest.raises(DahdiError, match=r"/dev/dahdi/ctl cannot be opened .*Remedy: load the card's driver"):
            ask()
    with pytest.raises(DahdiError, match=r"/dev/dahdi/channel cannot be opened .*Remedy: load"):
        Channels([1]).open(0, law="alaw", clear=False)


def test_the_driver_s_numbers_are_those_of_its_header() -> None:
    known = codes()
    assert (known.on_hook, known.off_hook, known.ring_begin, known.overrun) == (1, 2, 18, 29)
    assert dahdi.alarms(0) == ()
    assert dahdi.alarms(1 << 3 | 1 << 8) == ("red", "los")


def test_a_block_of_every_channel_in_one_call(three: Pairs) -> None:
    for place in range(3):
        three.give(place, place + 1)
    assert three.channels.read(1000, 100) == []
    assert three.channels.result.tolist() == [Result.GOT] * 3
    assert [set(row) for row in three.channels.law.tolist()] == [{1}, {2}, {3}]
    assert not three.channels.waited and three.channels.drained


def test_a_channel_that_has_nothing_is_late_and_the_others_wait_no_longer_than_the_grace(three: Pairs) -> None:
    three.give(0, 1)
    three.give(2, 3, 4)
    three.channels.read(60_000, 1)
    assert three.channels.result.tolist() == [Result.GOT, Result.LATE, Result.GOT]
    assert three.channels.drained, "channel 0 has no second block"
    three.channels.read(1, 1)
    assert three.channels.result.tolist() == [Result.LATE, Result.LATE, Result.GOT]


def test_what_comes_for_a_place_that_was_filled_is_dropped(three: Pairs) -> None:
    three.channels.owed[1] = 2
    for place in (0, 2):
        three.give(place, 9)
    three.give(1, 1, 2, 9)
    three.channels.read(1000, 100)
    assert [row[0] for row in three.channels.law.tolist()] == [9, 9, 9]
    assert three.channels.late_blocks == 2 and three.channels.owed[1] == 0


def test_what_was_lost_in_the_driver_is_owed_no_longer(three: Pairs) -> None:
    three.channels.owed[1] = 2
    for place in range(3):
        three.give(place, 9)
    three.channels.read(1000, 100)
    assert three.channels.late_blocks == 0 and three.channels.owed[1] == 0 and three.channels.law[1, 0] == 9


def test_a_channel_that_is_gone_and_a_short_read(three: Pairs) -> None:
    three.pairs[0][1].close()
    three.pairs[1][1].send(b"\x07" * 40)
    three.give(2, 3)
    three.channels.read(1000, 100)
    assert three.channels.result.tolist() == [Result.GONE, Result.SHORT, Result.GOT]
    assert three.channels.detail[1] == 40
    three.channels.fds[0] = -1
    three.give(1, 5)
    three.give(2, 6)
    three.channels.read(1000, 100)
    assert three.channels.result.tolist() == [Result.LEFT_OUT, Result.GOT, Result.GOT]


def test_blocks_go_out_where_they_are_wanted(three: Pairs) -> None:
    law = np.arange(3 * 2 * BLOCK).reshape(3, 2, BLOCK).astype(np.uint8)
    written, events = three.channels.write(law, np.array([1, 0, 2], np.uint8))
    assert written.tolist() == [1, 0, 2] and events == []
    assert three.pairs[0][1].recv(1000) == law[0, 0].tobytes()
    assert [three.pairs[2][1].recv(1000) for _ in range(2)] == [law[2, 0].tobytes(), law[2, 1].tobytes()]
    with pytest.raises(DahdiError, match=r"blocks \[2, 2, 160\] to be sent on 3 channels"):
        three.channels.write(law[:2], np.ones(2, np.uint8))


def test_volts_are_unknown_where_nothing_measures_them(three: Pairs) -> None:
    assert np.isnan(three.channels.volts()).all()
