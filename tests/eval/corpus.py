"""Speech and music of people, from Debian's packages (`DEBIAN_EVAL` of the Makefile), in two halves.

A language, a speaker or a track is in one half only: `seen`, on which thresholds may be chosen, or `unseen`. Both have
women and men; the fundamental of the voices was measured to see to that. Audio is decoded when it is asked for and
kept in memory, never on the disk.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.eval.report import Part

Audio = NDArray[np.int16]
RATE = 8000

KLETTRES, KTUBERLING = Path("/usr/share/klettres"), Path("/usr/share/ktuberling/sounds")
ASTERISK, MOH = Path("/usr/share/asterisk/sounds"), Path("/usr/share/asterisk/moh")

SPEECH: Mapping[Part, Mapping[str, Path]] = {
    "seen": {
        "English, US, woman": ASTERISK / "en_US_f_Allison",
        "Spanish, Mexico, woman": ASTERISK / "es_MX_f_Allison",
        "French, Canada, woman": ASTERISK / "fr_CA_f_June",
        "Italian, man": ASTERISK / "it_IT_m_Carlo",
        "Arabic": KLETTRES / "ar",
        "Czech": KLETTRES / "cs",
        "Danish, man": KLETTRES / "da",
        "English, UK": KLETTRES / "en_GB",
        "Hungarian, man": KLETTRES / "hu",
        "Portuguese, Brazil": KLETTRES / "pt_BR",
        "Low German": KLETTRES / "nds",
        "Dutch": KLETTRES / "nl",
        "Catalan": KTUBERLING / "ca",
        "Greek, man": KTUBERLING / "el",
        "Galician": KTUBERLING / "gl",
        "Lithuanian": KTUBERLING / "lt",
        "Slovene": KTUBERLING / "sl",
        "Finnish": KTUBERLING / "fi",
    },
    "unseen": {
        "Russian, woman": ASTERISK / "ru_RU_f_IvrvoiceRU",
        "Italian, woman": ASTERISK / "it_IT_f_Menardi",
        "Spanish, Colombia, woman": ASTERISK / "es",
        "French, woman": ASTERISK / "fr",
        "Malayalam, man": KLETTRES / "ml",
        "German": KLETTRES / "de",
        "Hebrew": KLETTRES / "he",
        "Norwegian Bokmål": KLETTRES / "nb",
        "Tswana": KLETTRES / "tn",
        "Ukrainian": KLETTRES / "uk",
        "French, man": KLETTRES / "fr",
        "Walloon, man": KTUBERLING / "wa",
        "Norwegian Nynorsk": KTUBERLING / "nn",
        "Irish, man": KTUBERLING / "ga",
        "Romanian": KTUBERLING / "ro",
        "Serbian": KTUBERLING / "sr",
        "Swedish": KTUBERLING / "sv",
    },
}

MUSIC: Mapping[Part, Mapping[str, Path]] = {
    "seen": {
        "Macroform, Cold Day": MOH / "macroform-cold_day.wav",
        "Macroform, Robot Dity": MOH / "macroform-robot_dity.wav",
        "Manolo Camp, Morning Coffee": MOH / "manolo_camp-morning_coffee.wav",
    },
    "unseen": {
        "Macroform, The Simplicity": MOH / "macroform-the_simplicity.wav",
        "Reno Project, System": MOH / "reno_project-system.wav",
    },
}


def speech(part: Part) -> dict[str, Audio]:
    """Language and speaker -> everything they say, files in a row with 0.4 s between; int16 at 8000 a second."""
    return {name: _joined(folder) for name, folder in SPEECH[part].items()}


def music(part: Part) -> dict[str, Audio]:
    """Track -> int16 at 8000 a second."""
    return {name: _joined(path) for name, path in MUSIC[part].items()}


@cache
def _joined(place: Path) -> Audio:
    files = sorted(files_of(place))
    if not files:
        raise FileNotFoundError(f"{place}: no sound files. Remedy: `make eval` installs the packages it needs.")
    pause = np.zeros(round(0.4 * RATE), np.int16)
    return np.concatenate([part for file in files for part in (read(file), pause)])


def files_of(place: Path) -> Iterator[Path]:
    """`place` itself, or the sound files under it."""
    if place.is_file():
        yield place
    else:
        yield from (f for f in place.rglob("*") if f.suffix in {".wav", ".ogg", ".opus", ".gsm", ".mp3"})


def read(file: Path) -> Audio:
    """A sound file in mono at 8000 samples a second, as loud as it is."""
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono: NDArray[Any] = samples.mean(1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    linear: Audio = np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)
    return linear
