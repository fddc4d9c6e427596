"""Copies of one call are told from two calls with a margin, and what is no speech links nothing."""

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import g711
from dsp.levels import FLOOR_DBM0
from dsp.zones import ZONES, Tone
from recorder.likeness import FEWEST, LAG_FRAMES, PIECE_FRAMES, SAME, compare, levels, pieces_of
from tests.dsp import signals
from tests.recorder import copies

MARGIN = 0.15


@pytest.mark.parametrize("seconds", [8.0, 20.0])
def test_copies_and_other_calls_lie_far_apart(seconds: float) -> None:
    same, different = copies.measured(40, seconds, seed=7)
    heard = [one for one in same if one.pieces >= FEWEST]
    assert len(heard) >= 36
    assert min(one.likeness for one in heard) > SAME + MARGIN
    assert max(one.likeness for one in different) < SAME - MARGIN
    assert all(one.same for one in heard)
    assert not any(one.same for one in different)


def test_the_lag_is_by_how_much_the_copy_comes_later() -> None:
    rng = np.random.default_rng(3)
    near, far = copies.talk(rng, 34.0)
    extension = copies.tap(rng, near, far, -20.0, 6.0, 30.0)[16000:-16000]
    trunk = copies.tap(rng, near, far, -27.0, -6.0, 20.0)[16000:-16000]
    for late in (0, 3, 90, -45):
        shifted = np.roll(extension, late * 160)
        found = copies.likeness(shifted, trunk)
        assert found.same
        assert found.lag_s == pytest.approx(late / 50, abs=0.021)


def test_a_copy_that_holds_another_conversation_for_less_than_half_is_still_one() -> None:
    rng = np.random.default_rng(5)
    near, far = copies.talk(rng, 60.0)
    trunk = copies.tap(rng, near, far, -20.0, -4.0, 30.0)
    whole = copies.tap(rng, near, far, -24.0, 4.0, 30.0)
    aside = copies.tap(rng, *copies.talk(rng, 60.0), -24.0, 4.0, 30.0)
    for seconds, same in ((20, True), (45, False)):
        mixed = np.concatenate([aside[: seconds * 8000], whole[seconds * 8000 :]])
        assert copies.likeness(mixed, trunk).same is same


def noise(level_dbm0: float, seed: int) -> NDArray[np.int16]:
    return signals.with_noise(signals.silence(40.0), level_dbm0, seed)


def companded(linear: NDArray[np.int16], seed: int) -> NDArray[np.uint8]:
    return g711.encode(signals.with_noise(linear, -55.0, seed), "alaw")


TONES = [*ZONES["cn"].tones, *ZONES["us"].tones]


@pytest.mark.parametrize("tone", TONES, ids=[f"{tone.value} {tone.frequencies_hz}" for tone in TONES])
def test_tones_that_beat_together_link_nothing(tone: Tone) -> None:
    x = signals.progress(tone, 40.0)
    found = copies.likeness(companded(x, 1), companded(x, 2))
    assert (found.same, found.pieces) == (False, 0)


def test_silence_and_noise_link_nothing() -> None:
    pairs = [
        (g711.encode(noise(-50.0, 1), "alaw"), g711.encode(noise(-50.0, 2), "alaw")),
        (np.full(320_000, 0xD5, np.uint8), np.full(320_000, 0xD5, np.uint8)),
    ]
    for x, y in pairs:
        assert not copies.likeness(x, y).same


def test_speech_and_silence_link_nothing() -> None:
    rng = np.random.default_rng(9)
    speech = copies.tap(rng, *copies.talk(rng, 40.0), -20.0, 0.0, 30.0)
    for other in (
        companded(signals.silence(40.0), 1),
        companded(signals.progress(ZONES["cn"].tone("ringback"), 40.0), 2),
    ):
        assert not copies.likeness(speech, other).same
        assert not copies.likeness(other, speech).same


def test_two_faxes_at_one_time_are_not_copies() -> None:
    calls = [spandsp.fax_call(seed=seed) for seed in (1, 2)]
    x, y = (companded(signals.mixed(call.caller, call.answerer), seed) for seed, call in enumerate(calls))
    assert not copies.likeness(x, y).same


def test_music_links_only_where_it_is_the_same() -> None:
    paths = sorted(signals.MUSIC.glob("*.wav"))
    one, two = (soundfile.read(path, frames=90 * 8000, dtype="int16")[0] for path in paths[:2])
    at_once = [companded(signals.at_level(x, -20.0), seed) for seed, x in enumerate((one, two, one))]
    assert not copies.likeness(at_once[0], at_once[1]).same
    assert not copies.likeness(at_once[0][: 40 * 8000], at_once[2][40 * 8000 :]).same
    assert copies.likeness(at_once[0], at_once[2]).same


def test_pieces_lie_within_what_both_cover() -> None:
    assert pieces_of(3.9) == []
    assert pieces_of(8.0) == [0.0, 2.0, 4.0]
    assert pieces_of(12.0) == [0.0, 6.0, 2.0, 8.0, 4.0]
    assert max(pieces_of(10_000.0)) == pytest.approx(296.0)
    assert len(pieces_of(10_000.0)) == 12


def test_a_wrong_shape_is_refused() -> None:
    rich = levels(copies.tap(np.random.default_rng(1), *copies.talk(np.random.default_rng(1), 4.0), -20, 0, 30), "alaw")
    with pytest.raises(ValueError, match="frames cannot be compared"):
        compare([(rich, np.full(PIECE_FRAMES + LAG_FRAMES, FLOOR_DBM0, np.float32))])
