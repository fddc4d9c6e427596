"""The ring: what was published comes back, what was overwritten is reported and never handed out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.ring import Ring, ring_samples


def stamped(channels: int, first: int, samples: int) -> np.ndarray:
    """Bytes that tell channel and sample."""
    at = np.arange(first, first + samples)
    return ((at[None, :] * 7 + np.arange(channels)[:, None] * 31) % 251).astype(np.uint8)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(0, 10**10), st.data())
def test_reads_return_what_was_written_or_say_it_is_lost(sizes: list[int], first: int, data: st.DataObject) -> None:
    ring = Ring(3, 800)
    ring.begin(first)
    head = first
    for size in sizes:
        ring.write(stamped(3, head, size))
        head += size
        ring.publish()
        assert ring.head == head and ring.oldest == max(first, head - 800)
        at = data.draw(st.integers(max(first, head - 1600), head))
        count = data.draw(st.integers(0, head - at))
        lost, law = ring.read(1, at, count)
        assert lost == min(count, max(0, ring.oldest - at))
        assert law == stamped(3, at + lost, count - lost)[1].tobytes()


def test_a_sample_overwritten_after_the_copy_counts_as_lost() -> None:
    """The pump gives samples up before it overwrites them, so a reader that asks afterwards is told."""
    ring = Ring(1, 480)
    for at in range(0, 480, 160):
        ring.write(stamped(1, at, 160))
    ring.publish()
    ring.write(stamped(1, 480, 160))  # Not yet published, but samples 0 to 159 are gone.
    lost, law = ring.read(0, 0, 320)
    assert lost == 160 and law == stamped(1, 160, 160)[0].tobytes()


def test_its_length_holds_pre_roll_and_slack_in_whole_blocks() -> None:
    assert ring_samples(2.0, 10.0) == 96_000
    assert ring_samples(0.01, 1.0) % 160 == 0 and ring_samples(0.01, 1.0) >= 8_080
