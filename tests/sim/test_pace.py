"""Real time, driven by a clock that stands until somebody sleeps."""

import numpy as np
import pytest

from firmware.cards import BLOCK, ChannelStatus, LineEventKind
from tests.sim.plant import listen, paced_card, tone

BLOCK_NS = 20_000_000


def test_a_block_is_there_when_its_last_sample_has_come() -> None:
    time, card = paced_card()
    start_ns = time.now_ns
    for block in range(1, 11):
        card.read()
        assert time.now_ns == start_ns + block * BLOCK_NS
        time.now_ns += 7_000_000  # what the reader takes does not add up
    card.close()


@pytest.mark.parametrize("late_blocks", [1, 31, 32])
def test_a_late_reader_catches_up_without_loss(late_blocks: int) -> None:
    time, card = paced_card()
    listen(card, 1)
    time.now_ns += late_blocks * BLOCK_NS
    late_ns = time.now_ns
    heard = listen(card, late_blocks * BLOCK / 8000)
    assert time.now_ns == late_ns, "it waited for blocks that were there"
    assert np.all(heard.status == ChannelStatus.OK)
    assert heard.events == []
    card.read()
    assert time.now_ns == late_ns + BLOCK_NS
    card.close()


def test_beyond_the_buffer_samples_are_lost_in_their_place_and_reported() -> None:
    time, card = paced_card()
    listen(card, 1)
    plan = card.call(2, audio=tone(1000, 2.0), caller=None, answer_after_s=0.9)
    time.now_ns += 100 * BLOCK_NS
    late_ns = time.now_ns
    heard = listen(card, 2)
    assert time.now_ns == late_ns
    lost = heard.status[0] == ChannelStatus.LOST
    assert list(np.flatnonzero(lost)) == list(range(32, 100))
    assert np.array_equal(heard.status[0], heard.status[1])
    assert np.all(heard.law[:, 32 * BLOCK :] == 0xD5)
    assert heard.of(0, LineEventKind.OVERRUN) == heard.of(1, LineEventKind.OVERRUN)
    assert heard.of(0, LineEventKind.OVERRUN) == [(heard.first_sample + 32 * BLOCK, LineEventKind.OVERRUN, 68 * BLOCK)]
    # What the loop did meanwhile is known all the same.
    assert heard.of(1, LineEventKind.RING_OFF)[0][0] == plan.off_hook_sample
    assert heard.off_hook(1)[0][0] == plan.off_hook_sample
    assert np.all(listen(card, 1).status == ChannelStatus.OK)
    card.close()


def test_the_buffer_goes_on_filling_while_it_is_being_emptied() -> None:
    time, card = paced_card()
    time.now_ns += 40 * BLOCK_NS  # 32 kept, 8 lost
    statuses = []
    for _ in range(60):
        statuses.append(int(card.read().status[0]))
        time.now_ns += BLOCK_NS // 2
    # Emptied twice as fast as it fills, the buffer has room from the first read on.
    assert statuses == [0] * 32 + [2] * 8 + [0] * 20
    card.close()


def test_a_reader_that_stays_too_slow_loses_again_and_again_but_never_the_count() -> None:
    time, card = paced_card()
    lost = 0
    reported = 0
    for block in range(400):
        time.now_ns += 2 * BLOCK_NS
        read = card.read()
        assert read.first_sample == block * BLOCK
        lost += BLOCK * int(read.status[0] == ChannelStatus.LOST)
        reported += sum(e.value for e in read.events if e.kind is LineEventKind.OVERRUN and e.channel == 0)
    assert 0 < lost <= reported
    card.close()
