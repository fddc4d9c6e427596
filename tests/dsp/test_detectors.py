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
from dsp.zones import ZONES, Zone
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


def of_channel(events: list[Event], channel: int) -> list[tuple[object, ...]]:
    """A channel's events without the ids, which count over the batch, and without the time of the verdict: costly looks
    at many lines are put off by some steps."""
    return [
        (e.kind, e.start_s, e.end_s, e.value, e.confidence, {k: v for k, v in e.evidence.items() if k != "decided_s"})
        for e in events
        if e.channel == channel
    ]


def to_a_hop(told: list[tuple[object, ...]], elsewhere: list[tuple[object, ...]]) -> bool:
    """The same reports, with times that differ by one hop of 10 ms at most. On some processors the matrix product adds
    up the columns from the ninth on in another order than those before; what meets a threshold to the last bit then
    begins a hop earlier or later."""

    def near(a: object, b: object) -> bool:
        return a == b or (isinstance(a, float) and isinstance(b, float) and abs(a - b) < 0.0101)

    return len(told) == len(elsewhere) and all(
        (a[0], a[3:]) == (b[0], b[3:]) and near(a[1], b[1]) and near(a[2], b[2])
        for a, b in zip(told, elsewhere, strict=True)
    )


def decided_s(events: list[Event], channel: int) -> list[float]:
    """When each verdict on the class of the channel was sure."""
    return [float(str(e.evidence["decided_s"])) for e in events if e.channel == channel and e.kind == "class"]


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


@settings(max_examples=8)
@given(st.lists(st.integers(0, 40000), max_size=40))
def test_framing_does_not_matter(cuts: list[int]) -> None:
    """The same events in the same order, under the same ids."""
    assert run(traffic(), cuts) == whole()


def test_frames_of_every_usual_size() -> None:
    for size in (1600, 160, 80, 37):
        assert run(traffic(), list(range(size, 40000, size))) == whole()


@st.composite
def arbitrary_line(draw: st.DrawFn, samples: int) -> NDArray[np.uint8]:
    """Bytes that no line would carry, and some that it might: noise, anything repeated (which makes tones and cadences
    of any kind), a constant, or these in turn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = []
    for length in draw(st.lists(st.sampled_from([1, 159, 1600, 4000, samples]), min_size=1, max_size=6)):
        period = draw(st.sampled_from([1, 2, 4, 7, 8, 80, 160, 2400, samples]))
        parts.append(np.resize(rng.integers(0, 256, period, dtype=np.uint8), length))
    return np.resize(np.concatenate(parts), samples)


@st.composite
def batches(draw: st.DrawFn) -> tuple[NDArray[np.uint8], list[int]]:
    """Lines of the traffic, any number of times in any order, among arbitrary ones; and which each is, -1 if
    arbitrary."""
    which = draw(st.lists(st.integers(-1, CHANNELS - 1), min_size=1, max_size=14))
    return np.stack([draw(arbitrary_line(40000)) if c < 0 else traffic()[c] for c in which]), which


@settings(max_examples=12)
@given(batches())
def test_a_channel_says_the_same_in_any_company(batch: tuple[NDArray[np.uint8], list[int]]) -> None:
    """Permuting channels permutes events, a batch says what its channels say alone, and no input makes one channel
    change another: every report, to the last digit of its evidence, is what the line gives elsewhere, its times to a
    hop, and the verdict comes within 100 ms of when it comes there."""
    law_bytes, which = batch
    events = run(law_bytes)
    for at, channel in enumerate(which):
        if channel >= 0:
            assert to_a_hop(of_channel(events, at), of_channel(whole(), channel))
            assert decided_s(events, at) == pytest.approx(decided_s(whole(), channel), abs=0.1)


@pytest.mark.parametrize("channel", range(CHANNELS))
def test_a_batch_says_what_its_channels_say_alone(channel: int) -> None:
    assert of_channel(run(traffic()[channel : channel + 1]), 0) == of_channel(whole(), channel)


def test_a_large_batch_says_what_its_channels_say_alone() -> None:
    """As large as takes other ways through BLAS."""
    events = run(np.concatenate([traffic()[[0, 1, 2, 3, 6]], np.full((400, 40000), g711.IDLE["alaw"], np.uint8)]))
    for at, channel in enumerate((0, 1, 2, 3, 6)):
        assert of_channel(events, at) == of_channel(whole(), channel)


@settings(max_examples=16)
@given(arbitrary_line(12345), st.sampled_from(["alaw", "ulaw"]), st.sampled_from(sorted(ZONES)), st.integers(1, 12345))
def test_arbitrary_bytes_never_raise(line: NDArray[np.uint8], law: g711.Law, zone: Zone, cut: int) -> None:
    """And the digits on the line beside are heard as if they were alone."""
    beside = traffic()[:1, : line.size]
    block = np.concatenate([beside, line[None], beside])
    d = Detectors(3, law, zone)
    events = d.feed(block[:, :cut]) + d.feed(block[:, cut:]) + d.close()
    d = Detectors(1, law, zone)
    alone = d.feed(beside) + d.close()
    assert of_channel(events, 0) == of_channel(events, 2) == of_channel(alone, 0)
    assert np.isfinite(d.level_dbm0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_detector_says_what_it_says_among_all(kind: str) -> None:
    """Alone, `speech` is any sound that does not stand still: what would explain a digit or data is off."""
    d = Detectors(CHANNELS, "alaw", "cn", [kind])
    events = d.feed(traffic()) + d.close()
    assert {e.kind for e in events} <= {kind}
    for channel in range(CHANNELS):
        expected = of_channel([e for e in whole() if e.kind == kind], channel)
        if kind == "speech":
            assert bool(of_channel(events, channel)) == (channel == 3)
        else:
            assert of_channel(events, channel) == expected
    if kind not in ("calling_tone", "v21"):
        assert events, "the traffic has one of these"


def test_what_is_off_takes_no_rows_and_no_step() -> None:
    """Rows of the product and the detectors that are stepped, for each kind alone; `class` needs the machines' signs,
    `cid` the digits."""
    rows, parts = {}, {}
    for kind in (*KINDS, None):
        d = Detectors(2, "alaw", "cn", [] if kind is None else [kind])
        d.feed(traffic()[:2, :1600])
        rows[kind] = len(d._bank.grid_hz)
        parts[kind] = {n for n in ("_dtmf", "_connect", "_v21", "_progress", "_carriers", "_cid", "_speech", "_class")
                       if getattr(d, n) is not None}  # fmt: skip
    assert rows[None] == 0 and parts[None] == set() and parts["speech"] == {"_speech"} and rows["speech"] == 6
    assert parts["cng"] == {"_connect"} and rows["cng"] < rows["dtmf"] == 8 and parts["dtmf"] == {"_dtmf"}
    assert parts["progress"] == {"_progress"} and parts["v21"] == {"_v21"} and parts["cid"] == {"_dtmf", "_cid"}
    assert parts["class"] >= {"_connect", "_v21", "_carriers", "_class"} and not parts["class"] & {"_cid", "_speech"}


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
