"""Audio for tests: stretches of the music and speech of Debian's Asterisk sound packages, each different."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp import g711

SOUNDS = Path("/usr/share/asterisk")
RATE = 8000
Law = Literal["alaw", "ulaw"]


@cache
def talk() -> NDArray[np.int16]:
    """Two minutes and more of recorded speech, one prompt after another, without long silences."""
    parts = []
    for path in sorted(SOUNDS.glob("sounds/en_US_f_Allison/*.wav")):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == RATE
        if len(samples) > RATE:
            parts.append(samples)
    speech: NDArray[np.int16] = np.concatenate(parts)
    return speech


def stretch(number: int, seconds: float, law: Law = "alaw") -> NDArray[np.uint8]:
    """Companded speech that differs for every `number`."""
    samples = round(seconds * RATE)
    source = talk()
    at = (number * 7919 * 13) % (len(source) - samples)
    # Once more through the law, because of its two zeros: what a decoder gives for either is encoded as one of them.
    return g711.encode(g711.decode(g711.encode(source[at : at + samples], law), law), law)


def write_wav(path: Path, companded: NDArray[np.uint8], law: Law = "alaw") -> Path:
    """A PCM WAV whose samples are exactly those of the companded bytes, so that one more pass gives the bytes back."""
    soundfile.write(path, g711.decode(companded, law), RATE, subtype="PCM_16")
    return path
