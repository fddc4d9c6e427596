"""Caller ID: what is read over the whole range of senders and lines, what a message says, and what is none."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cffi_bindings import spandsp
from dsp import cid_message, g711
from dsp.callerid import dtmf_fields
from dsp.detectors import Detectors
from tests.dsp import signals
from tests.eval.callerid import hear, measured
from tests.eval.callerid_signals import Around, Case, Keyed, drawn, dtmf, keyed, message, on_line

NUMBER = "13800138000"
SAID = message(0x80, [(1, b"09301245"), (2, NUMBER.encode()), (7, "张三".encode("gbk"))])
PLAIN = Around(-20.0, 30.0)


def line(data: bytes, how: Keyed | None = None, around: Around = PLAIN, seed: int = 1) -> np.ndarray:
    return on_line(keyed(data, how or Keyed()), "alaw", around, np.random.default_rng(seed))[0]


def numbers(*lines: np.ndarray) -> list[list[str]]:
    return [[event.value for event, _ in events] for events in hear(lines, "alaw")]


@pytest.mark.parametrize("kind", ["sdmf", "mdmf", "v23", "dtmf"])
@pytest.mark.parametrize("snr_db", [15, 25])
def test_the_whole_range_of_senders_and_lines_is_read(kind: str, snr_db: int) -> None:
    cases = [
        drawn(np.random.default_rng([77, i, snr_db]), kind, snr_db=snr_db, level_dbm0=(-4, -20, -35)[i % 3])
        for i in range(12)
    ]
    tally = measured(cases)
    assert (tally.read, tally.wrong) == (12, 0)
    assert max(tally.late_s) < 0.25


@pytest.mark.parametrize("twist_db", [-6, 10])
@pytest.mark.parametrize("error", [-0.01, 0.01])
def test_corners_of_the_range_at_15_db(twist_db: float, error: float) -> None:
    hows = [
        Keyed(mark_error=error, space_error=-error, rate_error=error, twist_db=twist_db),
        Keyed(mark_error=-error, space_error=-error, rate_error=-error, twist_db=twist_db, seizure_bits=100),
        Keyed(rate_error=error, twist_db=twist_db, seizure_bits=0, mark_bits=55, alert=True),
        Keyed(rate_error=error, twist_db=twist_db, idle_bits=(1.0, 0.5, 10.0, 0.0, 3.3), markout_bits=10),
    ]
    for level_dbm0 in (-4.0, -36.0):
        around = Around(level_dbm0, 15, hum_dbm0=min(-30.0, level_dbm0 - 3), ring_dbm0=-6)
        lines = [line(SAID, how, around, seed) for how in hows for seed in (1, 2)]
        assert numbers(*lines) == [[NUMBER]] * len(lines)


def test_the_longest_message_is_read_however_slowly_it_is_sent() -> None:
    for how in (Keyed(), Keyed(idle_bits=(10.0,), rate_error=-0.01)):
        body = [(2, NUMBER.encode()), (0x50, b"x" * (255 - 2 - 11 - 2))]
        assert numbers(line(message(0x80, body), how)) == [[NUMBER]]


def test_a_storm_loses_nothing_and_holds_up_no_step() -> None:
    law_bytes = line(SAID)
    shifts = np.random.default_rng(3).integers(0, 400, 64).tolist()
    heard = hear([np.concatenate([np.full(shift, 0xD5, np.uint8), law_bytes]) for shift in shifts], "alaw")
    assert [[event.value for event, _ in events] for events in heard] == [[NUMBER]] * 64
    at = sorted(sample for ((_, sample),) in heard)
    last = law_bytes.size - 4000 + max(shifts)
    assert at[-1] - last < 2400
    # Not all in the same step.
    assert len(set(at)) > 5 and all(after - before < 800 for before, after in pairwise(at))


def test_messages_follow_each_other_on_a_line() -> None:
    other = message(4, [(0, b"12312359"), (0, b"5039")])
    assert numbers(np.concatenate([line(SAID), line(other), line(SAID)])) == [[NUMBER, "5039", NUMBER]]


def test_framing_does_not_matter() -> None:
    law_bytes = line(SAID, Keyed("v23", alert=True))[None]
    whole = Detectors(1, "alaw", "cn", ["cid"]).feed(law_bytes)
    pieces = Detectors(1, "alaw", "cn", ["cid"])
    found = [event for at in range(0, law_bytes.shape[1], 333) for event in pieces.feed(law_bytes[:, at : at + 333])]
    assert [event.value for event in whole] == [NUMBER] * 2 and found == whole


def test_no_damaged_message_is_a_message() -> None:
    """A hole of three bits anywhere in it; nothing is mended."""
    whole = line(SAID)
    first = 2800 + round(480 * 8000 / 1200)
    end = whole.size - 4000
    lines = []
    for at in range(first + 70, end - 70, 97):
        lines.append(whole.copy())
        lines[-1][at : at + 20] = 0xD5
    assert len(lines) > 15
    # Three bits of silence may fall on what they would have been.
    assert {tuple(found) for found in numbers(*lines)} <= {(), (NUMBER,)}
    assert sum(found == [] for found in numbers(*lines)) > 0.8 * len(lines)


def test_an_idle_mark_a_calling_tone_and_data_are_no_message() -> None:
    rng = np.random.default_rng(5)
    n = np.arange(16000)
    idle = signals.clip(3000 * np.sin(2 * np.pi * 1300 / 8000 * n) * (n < 12000))
    lines = [g711.encode(idle, "alaw")]
    for standard in ("bell202", "v23"):
        for first in (0x04, 0x80, 0x41):
            data = bytes([first]) + rng.integers(0, 256, 150, dtype=np.uint8).tobytes()
            lines.append(line(data, Keyed(standard)))
    assert numbers(*lines) == [[]] * len(lines)


def test_all_parameters_stand_in_the_evidence() -> None:
    data = message(0x80, [
        (0x01, b"09301245"), (0x02, b"02166668888"), (0x03, b"5039"), (0x06, b"L"), (0x07, "上海港".encode("gbk")),
        (0x0B, b"\xff"), (0x11, b"\x01"), (0x13, b"\x03"), (0x1A, b"110"), (0xE0, b"\x01\xfe"),
    ])  # fmt: skip
    read = cid_message.parse(data)
    assert read is not None and read.number == "02166668888"
    assert read.fields == {
        "type": "mdmf", "time": "09301245", "number": "02166668888", "called_number": "5039", "qualifier": "L",
        "name": "上海港", "visual_indicator": "255", "call_type": "voice", "messages": "3",
        "redirecting_number": "110", "parameter_e0": "01fe",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "absent"),
    [
        (message(0x80, [(1, b"09301245"), (4, b"P")]), "private"),
        (message(0x80, [(1, b"09301245"), (4, b"O"), (8, b"O")]), "unavailable"),
        (message(0x04, [(0, b"09301245"), (0, b"P")]), "private"),
        (message(0x04, [(0, b"09301245"), (0, b"O")]), "unavailable"),
    ],
)
def test_a_withheld_number_is_empty_and_says_why(data: bytes, absent: str) -> None:
    read = cid_message.parse(data)
    assert read is not None and read.number == "" and read.fields["absent"] == absent


def test_the_parity_that_some_exchanges_send_is_taken_off() -> None:
    def even(text: bytes) -> bytes:
        return bytes(byte | 0x80 * (byte.bit_count() % 2) for byte in text)

    read = cid_message.parse(message(0x80, [(1, even(b"09301245")), (2, even(b"13912345678"))]))
    assert read is not None and (read.number, read.fields["time"]) == ("13912345678", "09301245")
    wrong = bytearray(even(b"13912345678"))
    wrong[3] ^= 0x80
    assert cid_message.parse(message(0x80, [(1, even(b"09301245")), (2, bytes(wrong))])) is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("朱镕基".encode("gbk"), "朱镕基"), ("国家电网".encode("gbk")[:-1], "国家电"), (b"ZHANG WEI  ", "ZHANG WEI"),
        ("MÜLLER".encode("latin-1"), "MÜLLER"), ("José".encode("latin-1"), "José"), (b"", ""), (b"A\x00\x07B", "AB"),
    ],
)  # fmt: skip
def test_names(raw: bytes, said: str) -> None:
    assert cid_message.text(raw) == said


@pytest.mark.parametrize(
    "parameters",
    [
        [(1, b"13301245"), (2, b"5039")],
        [(1, b"09301275"), (2, b"5039")],
        [(2, b"50!9")],
        [(2, b"5\xc5")],
        [(0x99, b"x")],
    ],
)
def test_what_makes_no_sense_is_refused_in_spite_of_its_checksum(parameters: list[tuple[int, bytes]]) -> None:
    assert cid_message.parse(message(0x80, parameters)) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for body in (data, message(0x80, [(2, data)]), message(4, [(0, data)]), bytes([0x80, len(data)]) + data):
        read = cid_message.parse(body)
        assert read is None or all(isinstance(said, str) for said in read.fields.values())


@pytest.mark.parametrize("digits", ["A5039C", "B5039D", "C13800138000#", "D62345678A", "D02166668888C"])
def test_dtmf_caller_id(digits: str) -> None:
    law_bytes = on_line(dtmf(digits), "alaw", PLAIN, np.random.default_rng(1))[0]
    assert numbers(law_bytes) == [[digits[1:-1]]]


@pytest.mark.parametrize(
    ("digits", "fields"),
    [
        ("B00C", {"absent": "unavailable"}), ("B10C", {"absent": "private"}), ("D1#", {"absent": "private"}),
        ("A12C", None), ("A12*456C", None), ("1234C", None),
    ],
)  # fmt: skip
def test_what_dtmf_digits_say(digits: str, fields: dict[str, str] | None) -> None:
    assert dtmf_fields(digits) == fields


def test_dialling_is_no_caller_id() -> None:
    quiet = np.zeros(1600)
    dialled = [dtmf("13800138000#"), dtmf("*62#"), dtmf("A5039"), np.concatenate([dtmf("A50"), quiet, dtmf("39C")])]
    # A hand is not even, and a digit that was not heard leaves a hole.
    uneven = np.concatenate([dtmf(d, 70, off) for d, off in zip("A5039C", (60, 200, 90, 300, 80, 80), strict=True)])
    lines = [on_line(wave, "alaw", PLAIN, np.random.default_rng(1))[0] for wave in [*dialled, uneven]]
    assert numbers(*lines) == [[]] * len(lines)


def test_a_case_is_read_only_when_every_field_is_right() -> None:
    """The evaluation's own yardstick."""
    law_bytes, end = on_line(keyed(SAID), "alaw", PLAIN, np.random.default_rng(1))
    for fields, read in (({"name": "张三"}, 1), ({"name": "张四"}, 0)):
        tally = measured([Case("alaw", law_bytes, end, NUMBER, fields, "mdmf")])
        assert (tally.read, tally.wrong) == (read, 1 - read)


def test_a_message_at_the_end_of_the_file_is_told_on_every_line_when_it_closes() -> None:
    """However many wait to be read then."""
    one = np.concatenate([signals.silence(0.5), spandsp.caller_id_tx("13800138000"), signals.silence(0.06)])
    law_bytes = np.repeat(g711.encode(one, "alaw")[None], 120, axis=0)
    detectors = Detectors(120, "alaw", "cn", ["cid"])
    events = [*detectors.feed(law_bytes), *detectors.close()]
    told = [e.channel for e in events if e.kind == "cid" and e.end_s is not None and e.value == "13800138000"]
    assert sorted(told) == list(range(120))
