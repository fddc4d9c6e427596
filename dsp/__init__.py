"""Arrays in, arrays out: G.711, tones, digits, classes, levels. No input or output, no clock, no line names.

`dsp.Detectors` is the interface to everything that is listened for; `dsp.Event` is what it reports.
"""

from dsp.detectors import Detectors
from dsp.events import Event

__all__ = ["Detectors", "Event"]
