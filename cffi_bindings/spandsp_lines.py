"""libspandsp's receivers on many lines at once, as an application would run them: one of each kind a line, fed in
blocks. The loop over lines and receivers is in C, so that a block of all lines costs one call."""

from collections.abc import Sequence
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.errors import SpandspError
from cffi_bindings.spandsp import _check, _made, _spandsp


class Receivers(IntFlag):
    """What runs on every line beside the expansion from G.711."""

    POWER = 1
    """Power meter, sample by sample."""
    DTMF = 2
    CONNECT = 4
    """Four connect-tone receivers: CNG, 2100 Hz in all its kinds, Bell answer tone, calling tone."""
    PREAMBLE = 8
    """V.21 demodulator and HDLC flags."""
    CALLER_ID = 16
    """FSK caller ID, Bell 202 and V.23."""
    PROGRESS = 32
    """Supervisory tones of the plan given."""
    ALL = 63


class Lines:
    """`channels` lines. `plan`: for each progress tone its elements (Hz, Hz or 0, shortest ms, longest ms; 0, 0 for
    a silence; longest 0 has no end)."""

    def __init__(
        self,
        channels: int,
        law: str,
        receivers: Receivers = Receivers.ALL,
        plan: Sequence[Sequence[tuple[int, int, int, int]]] = (),
    ) -> None:
        ffi, lib = _spandsp()
        elements = [number for tone, parts in enumerate(plan) for part in parts for number in (tone, *part)]
        state = lib.lk_lines_new(channels, int(law == "alaw"), int(receivers), elements, len(elements) // 5)
        self._state: Any = ffi.gc(_made(ffi, state, f"receivers for {channels} lines"), lib.lk_lines_free)
        self._channels = channels

    def feed(self, law_bytes: NDArray[np.uint8]) -> int:
        """The next samples of every line, `[channels, n <= 1600]`, of which a row lies in one piece. Answers how many
        digits, tones and messages were reported so far."""
        ffi, lib = _spandsp()
        channels, samples = law_bytes.shape
        if channels != self._channels or law_bytes.strides[1] != 1 or law_bytes.dtype != np.uint8:
            raise SpandspError(
                f"libspandsp: a block {law_bytes.dtype}{list(law_bytes.shape)} for {self._channels} lines. Remedy: "
                "uint8, a row a line, each row in one piece"
            )
        start = ffi.cast("const uint8_t *", law_bytes.ctypes.data)
        return _check(lib.lk_lines_feed(self._state, start, law_bytes.strides[0], samples), "feeding many lines")
