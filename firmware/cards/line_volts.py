"""The line voltage of a DAHDI card, asked for beside the path of the audio.

`WCTDM_GET_STATS` (wctdm, wctdm24xxp, wcaxx, opvxa1200) gives whole volts, with the sign of the battery; a card on a
serial bus takes milliseconds for each port. So a thread asks, and the reader of the audio takes what is known.
"""

import threading

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.dahdi_channels import Channels


class LineVolts:
    """Asks every `every_s` seconds for those that are `lines` of an exchange (bool `[channels]`): a telephone's port
    tells the battery that it feeds, which says nothing of the hook. `volts` float32 `[channels]`, without the sign,
    NaN where it is not known; None where no channel tells one: then it is not asked for again."""

    volts: NDArray[np.float32] | None = None

    def __init__(self, channels: Channels, every_s: float, lines: NDArray[np.bool_]) -> None:
        self._channels, self._every_s, self._lines = channels, every_s, lines
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line-volts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Before the channels are closed: a descriptor may not be asked that is another's by then."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            volts = np.where(self._lines, np.abs(self._channels.volts()), np.float32(np.nan))
            if self.volts is None and not np.isfinite(volts).any():
                return
            self.volts = volts
            self._stop.wait(self._every_s)
