"""Peaks: what a waveform on a page is drawn from.

For every run of `samples_per_peak` samples, the smallest and the largest value, in eight bits: -128..127 stands for
-32768..32767. The last run may be shorter. 100 pairs a second are 12 KB for a minute; drawing needs no more.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.g711 import Law, decode_table


def peaks(law_bytes: NDArray[np.uint8], law: Law, samples_per_peak: int) -> NDArray[np.int8]:
    """`[n, 2]` (smallest, largest) of `law_bytes[samples]`; n is the number of runs begun, 0 for no samples.

    Raises ValueError where `samples_per_peak` is less than 1.
    """
    if samples_per_peak < 1:
        raise ValueError(f"Peaks: {samples_per_peak} samples a peak; it takes at least 1.")
    if law_bytes.size == 0:
        return np.empty((0, 2), np.int8)
    # Companding keeps order, so eight bits of the linear value by table are as good as the minimum of the whole.
    values = np.take((decode_table(law) >> 8).astype(np.int8), law_bytes, mode="clip")
    runs = np.arange(0, values.size, samples_per_peak)
    return np.stack([np.minimum.reduceat(values, runs), np.maximum.reduceat(values, runs)], axis=1)
