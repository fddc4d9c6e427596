"""A waveform in a line of text: eight heights, one column for a stretch of the recording."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BARS = " ▁▂▃▄▅▆▇█"


def waveform(peaks: "NDArray[np.int8]", columns: int) -> str:
    """`peaks` is int8 `[n, 2]`, lowest and highest of each stretch, full scale 127; the answer is at most `columns`
    characters. Heights are of the square root of the amplitude, so that a quiet far end still shows."""
    import numpy as np

    height = np.abs(peaks.astype(np.int16)).max(axis=1)
    if not len(height):
        return ""
    columns = min(columns, len(height))
    edges = np.linspace(0, len(height), columns + 1).astype(np.intp)[:-1]
    tallest = np.maximum.reduceat(height, edges)
    steps = np.ceil(np.sqrt(np.minimum(tallest, 127) / 127) * (len(BARS) - 1)).astype(np.intp)
    return "".join(BARS[step] for step in steps)
