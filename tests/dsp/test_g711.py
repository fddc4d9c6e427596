"""G.711 against libspandsp (every value) and sox (every value it can say), and what the law itself promises."""

import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cffi_bindings import spandsp
from dsp import g711, levels
from dsp.g711 import Law
from dsp.peaks import peaks

LAWS: tuple[Law, ...] = ("alaw", "ulaw")
BYTES = np.arange(256, dtype=np.uint8)
VALUES = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)


@pytest.mark.parametrize("law", LAWS)
def test_every_value_is_libspandsp_s(law: Law) -> None:
    """libspandsp 0.0.6 (Debian libspandsp2), called here."""
    np.testing.assert_array_equal(g711.decode(BYTES, law), spandsp.g711_decode(BYTES, law))
    np.testing.assert_array_equal(g711.encode(VALUES, law), spandsp.g711_encode(VALUES, law))


@pytest.mark.parametrize("law", LAWS)
def test_expansion_is_sox_s(law: Law) -> None:
    """SoX 14.4.2: `sox -t al|ul -r 8000 -c 1 - -t s16 -`."""
    made = subprocess.run(
        ["sox", "-t", law[0] + "l", "-r", "8000", "-c", "1", "-", "-t", "s16", "-"],
        input=BYTES.tobytes(), capture_output=True, check=True,
    ).stdout  # fmt: skip
    np.testing.assert_array_equal(g711.decode(BYTES, law), np.frombuffer(made, "<i2"))


@pytest.mark.parametrize("law", LAWS)
def test_golden_points(law: Law) -> None:
    """G.711 tables 1a and 2a, first and last value of the positive half."""
    decode = g711.alaw_decode if law == "alaw" else g711.ulaw_decode
    encode = g711.alaw_encode if law == "alaw" else g711.ulaw_encode
    first, last = (8, 32256) if law == "alaw" else (0, 32124)
    assert decode(np.array([g711.IDLE[law]], np.uint8)).tolist() == [first]
    assert decode(encode(np.array([32767, -32768], np.int16))).tolist() == [last, -last]


@pytest.mark.parametrize("law", LAWS)
def test_round_trip(law: Law) -> None:
    back = g711.encode(g711.decode(BYTES, law), law)
    # µ-law has a second zero, 0x7F, which compression never makes.
    assert set(BYTES[back != BYTES].tolist()) == (set() if law == "alaw" else {0x7F})


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=3, max_side=9)), st.sampled_from(LAWS), st.booleans())
def test_any_shape_and_stride(codes: np.ndarray, law: Law, transposed: bool) -> None:
    codes = codes.T if transposed else codes[..., ::-1]
    np.testing.assert_array_equal(g711.decode(codes, law), g711.decode_table(law)[codes])


@pytest.mark.parametrize("law", LAWS)
def test_the_digital_milliwatt_is_0_dbm0(law: Law) -> None:
    """G.711 tables 5 and 6: eight words of a 1 kHz sine of 0 dBm0."""
    words = {
        "alaw": [0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4],
        "ulaw": [0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E],
    }[law]
    assert levels.level_dbm0(g711.decode(np.array(words, np.uint8), law), law) == pytest.approx(0, abs=0.04)


def test_peaks() -> None:
    law_bytes = g711.encode(np.array([0, 1000, -3000, 20000, 5000, -32768, 7], np.int16), "ulaw")
    assert peaks(law_bytes, "ulaw", 3).tolist() == [[-12, 3], [-126, 77], [0, 0]]
    assert peaks(law_bytes[:0], "ulaw", 3).shape == (0, 2)
    with pytest.raises(ValueError, match="at least 1"):
        peaks(law_bytes, "ulaw", 0)


@pytest.mark.parametrize("law", LAWS)
def test_many_samples_at_once(law: Law) -> None:
    """More than are looked up in one piece, an even and an odd number of them."""
    for shape in ((3, 40000), (3, 33333)):
        codes = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        np.testing.assert_array_equal(g711.decode(codes, law), g711.decode_table(law)[codes])
        linear = np.random.default_rng(2).integers(-32768, 32768, shape).astype(np.int16)
        np.testing.assert_array_equal(g711.encode(linear, law), g711.encode_table(law)[linear.view(np.uint16)])
