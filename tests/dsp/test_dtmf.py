"""DTMF to Q.24: what must be taken, what must be refused, and speech, which says no digits.

The groups are those of the evaluation, on fewer lines.
"""

import numpy as np
import pytest

from cffi_bindings import spandsp
from dsp.dtmf import DIGITS
from dsp.g711 import Law
from tests.dsp import signals
from tests.eval import dtmf
from tests.eval.dtmf_signals import batch, lines


@pytest.mark.parametrize("law", ["alaw", "ulaw"])
def test_spandsp_s_digits(law: Law) -> None:
    x = np.concatenate([spandsp.dtmf_tx(DIGITS, level_dbm0=level) for level in (-3, -10, -25, -35)])
    assert "".join(signals.values(signals.heard(x, law), "dtmf")) == DIGITS * 4


@pytest.mark.parametrize("group", dtmf.TAKEN)
def test_what_must_be_taken(group: str) -> None:
    how = dtmf.TAKEN[group]
    heard = dtmf.score(lines(31, how, 6, 8), how.dial or "cn")
    assert (heard.taken, heard.wrong) == (48, 0)
    assert np.percentile(heard.late_ms, 50) <= 42 and max(heard.late_ms) <= 70
    assert np.abs(heard.start_off_ms).max() <= 5 and np.abs(heard.end_off_ms).max() <= 10


@pytest.mark.parametrize("group", dtmf.REFUSED)
def test_what_must_be_refused(group: str) -> None:
    heard = dtmf.score(lines(32, dtmf.REFUSED[group], 6, 8))
    assert (heard.taken, heard.wrong) == (0, 0)


def test_a_break_of_10_ms_does_not_split() -> None:
    heard = dtmf.score(lines(33, dtmf.BROKEN, 10, 8))
    assert (heard.taken, heard.wrong) == (80, 0)


def test_what_is_heard_below_a_dial_tone_needs_no_progress_detector() -> None:
    how = dtmf.TAKEN["dial tone under it, us"]
    dialled = lines(34, how, 2, 8)[:1]
    (heard,) = dtmf.listen(batch(dialled), "alaw", "us", ["dtmf"])
    assert [value for value, *_ in heard] == [digit.value for digit in dialled[0].digits]


def test_position() -> None:
    x = np.concatenate([signals.silence(0.5123), spandsp.dtmf_tx("5", on_ms=80), signals.silence(0.3)])
    (digit,) = signals.final(signals.heard(x), "dtmf")
    assert digit.start_s == pytest.approx(0.5123, abs=0.003)
    assert digit.end_s == pytest.approx(0.5923, abs=0.003)


def test_a_digit_that_goes_on_is_reported_once_and_ends_on_close() -> None:
    events = signals.heard(spandsp.dtmf_tx("7", on_ms=600, off_ms=0)[:4800], detectors=["dtmf"])
    assert [(e.value, e.end_s is None) for e in events] == [("7", True), ("7", False)]
    assert events[0].id == events[1].id and events[1].end_s == pytest.approx(0.6, abs=0.003)


def test_speech_and_music_dial_nothing() -> None:
    """Twelve minutes of English and French speech and six of music."""
    for folder, seed in (
        (signals.SOUNDS / "en_US_f_Allison", 71),
        (signals.SOUNDS / "fr_CA_f_June", 72),
        (signals.MUSIC, 73),
    ):
        x = signals.recorded(folder, 12, 30, seed)
        assert signals.values(signals.heard(x, detectors=["dtmf"]), "dtmf") == []


def test_the_evaluation_s_section() -> None:
    section = dtmf.section("seen", 0.02)
    assert [row.what for row in section.rows if row.met() is not True] == []
