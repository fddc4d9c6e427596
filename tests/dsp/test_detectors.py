"""What holds for the detectors whatever they hear: framing, batches, permutations, arbitrary bytes, what is off."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp import ConnectTone
from dsp import g711
from dsp.detectors import Detectors
from dsp.events import KINDS, Event
from dsp.zones import ZONES
from tests.dsp import signals

CHANNELS = 7


@cache
def traffic() -> NDArray[np.uint8]:
    """`[7, samples]`: digits, a dial tone, a fax's tones, speech, a modem, caller ID, silence."""
    dial = signals.progress(ZONES["cn"].tone("dial"), 5)
    sides = [
        np.concatenate([signals.silence(0.1), spandsp.dtmf_tx("13800138000")]),
        dial,
        np.concatenate([spandsp.connect_tone_tx(k, 16000) for k in (ConnectTone.CNG, ConnectTone.ANSAM_PR)]),
        signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 5, 3)[0],
        signals.mixed(*spandsp.v22bis_call(9)[:, 32000:]),
        np.concatenate([signals.silence(0.3), spandsp.caller_id_tx("13800138000")]),
        signals.silence(5),
    ]  # fmt: skip
    linear = np.zeros((CHANNELS, 40000), np.int16)
    for row, side in zip(linear, sides, strict=True):
        row[: min(side.size, row.size)] = side[: row.size]
    return g711.encode(linear, "alaw")


def run(law_bytes: NDArray[np.uint8], cuts: list[int] | None = None) -> list[Event]:
    d = Detectors(law_bytes.shape[0], "alaw", "cn")
    edges = [0, *sorted(cuts or []), law_bytes.shape[1]]
    events = [event for a, b in pairwise(edges) for event in d.feed(law_bytes[:, a:b])]
    return events + d.close()


@cache
def whole() -> list[Event]:
    return run(traffic())


def of_channel(events: list[Event], channel: int, as_channel: int = 0) -> list[tuple[object, ...]]:
    """A channel's events without the ids, which count over the batch."""
    return [
        (as_channel, e.kind, e.start_s, e.end_s, e.value, e.confidence, sorted(e.evidence))
        for e in events
        if e.channel == channel
    ]


def test_the_traffic_says_what_it_should() -> None:
    events = whole()
    mine = [[e for e in events if e.channel == c] for c in range(CHANNELS)]
    assert "".join(signals.values(mine[0], "dtmf")) == "13800138000"
    assert signals.values(mine[1], "progress") == ["dial"]
    assert signals.values(mine[2], "cng") == ["cng"] and signals.values(mine[2], "answer_tone") == ["ansam_pr"]
    assert signals.values(mine[3], "class") == ["voice"]
    assert signals.values(mine[4], "carrier") == ["v22bis"] and signals.values(mine[4], "class") == ["modem"]
    assert signals.values(mine[5], "cid") == ["13800138000"]
    assert not [e for e in mine[6] if e.kind != "class"] and signals.values(mine[6], "class") == ["none"]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 40000), max_size=40))
def test_framing_does_not_matter(cuts: list[int]) -> None:
    assert run(traffic(), cuts) == whole()


def test_frames_of_every_usual_size() -> None:
    for size in (1600, 160, 80, 37):
        assert run(traffic(), list(range(size, 40000, size))) == whole()


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(CHANNELS)))
def test_permuting_channels_permutes_events(order: list[int]) -> None:
    events = run(traffic()[order])
    for at, channel in enumerate(order):
        assert of_channel(events, at) == of_channel(whole(), channel)


@pytest.mark.parametrize("channel", range(CHANNELS))
def test_a_batch_says_what_its_channels_say_alone(channel: int) -> None:
    assert of_channel(run(traffic()[channel : channel + 1]), 0) == of_channel(whole(), channel)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["alaw", "ulaw"]), st.sampled_from(sorted(ZONES)), st.integers(1, 3))
def test_arbitrary_bytes_never_raise_and_touch_no_other_channel(
    seed: int, law: g711.Law, zone: str, coarse: int
) -> None:
    rng = np.random.default_rng(seed)
    noise = np.repeat(rng.integers(0, 256, (1, 16000 // coarse), dtype=np.uint8), coarse, axis=1)[:, :15999]
    block = np.concatenate([traffic()[:1, :15999], noise])
    d = Detectors(2, law, zone)  # type: ignore[arg-type]
    beside = d.feed(block) + d.close()
    d = Detectors(2, law, zone)  # type: ignore[arg-type]
    quiet = d.feed(np.concatenate([block[:1], np.full_like(noise, g711.IDLE[law])])) + d.close()
    assert of_channel(beside, 0) == of_channel(quiet, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_was_asked_for_is_reported(kind: str) -> None:
    d = Detectors(CHANNELS, "alaw", "cn", [kind])
    events = d.feed(traffic()) + d.close()
    assert {e.kind for e in events} <= {kind}
    if kind not in ("calling_tone", "v21", "class"):
        assert events, "the traffic has one of these"


def test_events_are_well_formed() -> None:
    begun: dict[int, Event] = {}
    for event in whole():
        assert event.kind in KINDS and 0 <= event.start_s <= 5 and 0 < event.confidence <= 1
        first = begun.setdefault(event.id, event)
        assert (first.kind, first.channel, first.start_s) == (event.kind, event.channel, event.start_s)
        assert event.end_s is None or event.start_s <= event.end_s <= 5
    ended = {e.id for e in whole() if e.end_s is not None}
    assert ended == set(begun), "close ends whatever is open"


def test_restart_begins_a_new_class() -> None:
    d = Detectors(2, "alaw", "cn", ["class", "cng"])
    fax = g711.encode(np.tile(spandsp.connect_tone_tx(ConnectTone.CNG, 8000), (2, 1)), "alaw")
    first = signals.final(d.feed(fax), "class")
    assert [(e.channel, e.value) for e in first] == [(0, "fax"), (1, "fax")]
    d.restart(np.array([1]))
    speech = g711.encode(signals.recorded(signals.SOUNDS / "en_US_f_Allison", 1, 5, 3), "alaw").repeat(2, 0)
    later = signals.final(d.feed(speech) + d.close(), "class")
    of_1 = [e for e in later if e.channel == 1]
    assert [e.value for e in of_1] == ["voice"] and of_1[0].id != first[1].id and of_1[0].start_s == pytest.approx(1)
    assert {e.id for e in later if e.channel == 0} == {first[0].id}


def test_level_and_activity() -> None:
    d = Detectors(2, "ulaw", "us")
    tone = np.stack([signals.progress(ZONES["us"].tone("dial"), 1), signals.silence(1)])
    d.feed(g711.encode(tone, "ulaw"))
    assert d.level_dbm0.shape == (2,) and d.level_dbm0[0] == pytest.approx(-10, abs=0.5) and d.level_dbm0[1] == -90
    assert d.active.tolist() == [True, False]


def test_mistakes_are_named() -> None:
    for bad, words in (
        ((0, "alaw", "cn", None), "at least one"),
        ((1, "pcm", "cn", None), "alaw or ulaw"),
        ((1, "alaw", "mars", None), "one of cn"),
        ((1, "alaw", "cn", ["tea"]), "tea"),
    ):
        with pytest.raises(ValueError, match=words):
            Detectors(*bad)
    with pytest.raises(ValueError, match="is wanted"):
        Detectors(2, "alaw", "cn").feed(np.zeros((3, 160), np.uint8))
