"""libspandsp's receivers on many lines: each kind hears its own signal, on its own line, in any framing."""

import numpy as np
import pytest

from cffi_bindings import spandsp
from cffi_bindings.errors import SpandspError
from cffi_bindings.spandsp import ConnectTone, Fsk
from cffi_bindings.spandsp_lines import Lines, Receivers
from dsp import g711

PLAN = (((450, 0, 298, 402), (0, 0, 298, 402)),)
FLAGS = np.tile(np.array([0, 1, 1, 1, 1, 1, 1, 0], np.uint8), 60)
SIGNALS = {
    Receivers.DTMF: spandsp.dtmf_tx("159#"),
    Receivers.CONNECT: spandsp.connect_tone_tx(ConnectTone.CNG, 16000),
    Receivers.PREAMBLE: spandsp.fsk_tx(FLAGS, Fsk.V21_CH2),
    Receivers.CALLER_ID: spandsp.caller_id_tx("13800138000"),
    Receivers.PROGRESS: spandsp.tone_tx([(450, -10)], (350, 350), 24000),
}


def heard(receivers: Receivers, law_bytes: np.ndarray, block: int = 160) -> int:
    lines = Lines(law_bytes.shape[0], "alaw", receivers, PLAN)
    counts = [lines.feed(law_bytes[:, at : at + block]) for at in range(0, law_bytes.shape[1], block)]
    return counts[-1]


@pytest.mark.parametrize("kind", SIGNALS)
def test_each_receiver_hears_its_signal(kind: Receivers) -> None:
    linear = np.zeros((3, 25000), np.int16)
    linear[1, : SIGNALS[kind].size] = SIGNALS[kind]
    law_bytes = g711.encode(linear, "alaw")
    assert heard(kind, law_bytes) > 0 and heard(kind, law_bytes[::2]) == 0
    assert heard(kind, law_bytes) == heard(kind, law_bytes, 400)


def test_digits_are_counted_over_lines() -> None:
    digits = g711.encode(np.tile(SIGNALS[Receivers.DTMF], (5, 1)), "alaw")
    assert heard(Receivers.DTMF, digits) == 4 * 5 and heard(Receivers.POWER, digits) == 0


def test_a_block_for_other_lines_is_refused() -> None:
    with pytest.raises(SpandspError, match="for 2 lines"):
        Lines(2, "alaw").feed(np.zeros((3, 160), np.uint8))
    with pytest.raises(SpandspError, match="feeding"):
        Lines(1, "alaw").feed(np.zeros((1, 3200), np.uint8))
