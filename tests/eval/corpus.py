"""Speech and music of people, from Debian's packages (`DEBIAN_EVAL` of the Makefile), in two halves.

A speaker or a track is in one half only: `seen`, on which thresholds may be chosen, or `unseen`; most languages too.
Both have women and men; the fundamental of the voices was measured to see to that. About 4.5 h of speech and 50 min of
music each. What was decoded is kept under `build/`. One voice of the seen half sings; voices of
games shout and have effects under them, which is harder than a telephone call.
"""

import hashlib
import os
from collections.abc import Mapping
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
PAUSE = round(0.4 * RATE)
"""Samples of silence after each file."""
KEPT = Path(__file__).parents[2] / "build" / "eval"
SOUND = frozenset({".wav", ".ogg", ".opus", ".gsm", ".mp3"})

KLETTRES, KTUBERLING = Path("/usr/share/klettres"), Path("/usr/share/ktuberling/sounds")
ASTERISK, MOH = Path("/usr/share/asterisk/sounds"), Path("/usr/share/asterisk/moh")
FILLETS, GCIN = Path("/usr/share/games/fillets-ng/sound/*"), Path("/usr/share/gcin-voice/ogg/*")
GCIN_VOICES = (GCIN / "3.ogg", GCIN / "5.ogg")
SINGULARITY, ASC = Path("/usr/share/games/singularity/music"), Path("/usr/share/games/asc/music")
HEDGEWARS = Path("/usr/share/games/hedgewars/Data")
VOICES, TUNES = HEDGEWARS / "Sounds" / "voices", HEDGEWARS / "Music"

SPEECH: Mapping[Part, Mapping[str, Path]] = {
    "seen": {
        "English, US, woman": ASTERISK / "en_US_f_Allison",
        "Spanish, Mexico, woman": ASTERISK / "es_MX_f_Allison",
        "French, Canada, woman": ASTERISK / "fr_CA_f_June",
        "Italian, man": ASTERISK / "it_IT_m_Carlo",
        "Dutch, dialogue": FILLETS / "nl",
        "Mandarin, syllables, speaker 3": GCIN_VOICES[0],
        "Arabic": KLETTRES / "ar",
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
        "Russian, game": VOICES / "Default_ru",
        "English, mobster": VOICES / "Mobster",
        "English, pirate": VOICES / "Pirate",
        "English with Russian accent, game": VOICES / "Russian",
        "English, singer": VOICES / "Singer",
        "English, game": VOICES / "Default",
        "Polish, with Russian accent": VOICES / "Russian_pl",
    },
    "unseen": {
        "Russian, woman": ASTERISK / "ru_RU_f_IvrvoiceRU",
        "Italian, woman": ASTERISK / "it_IT_f_Menardi",
        "Spanish, Colombia, woman": ASTERISK / "es",
        "French, woman": ASTERISK / "fr",
        "Malayalam, man": KLETTRES / "ml",
        "Czech, dialogue": FILLETS / "cs",
        "Mandarin, syllables, speaker 5": GCIN_VOICES[1],
        "Czech": KLETTRES / "cs",
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
        "Ukrainian, game": VOICES / "Default_uk",
        "Polish, game": VOICES / "Default_pl",
        "Spanish, game": VOICES / "Default_es",
        "English, hillbilly": VOICES / "HillBilly",
        "English, surfer": VOICES / "Surfer",
        "English, UK, game": VOICES / "British",
        "English, robot": VOICES / "Robot",
        "English, classic game": VOICES / "Classic",
    },
}

MUSIC: Mapping[Part, Mapping[str, Path]] = {
    "seen": {
        "Macroform, Cold Day": MOH / "macroform-cold_day.wav",
        "Macroform, Robot Dity": MOH / "macroform-robot_dity.wav",
        "Manolo Camp, Morning Coffee": MOH / "manolo_camp-morning_coffee.wav",
        "Frontiers": ASC / "frontiers.mp3",
        "A New Journey": SINGULARITY / "A New Journey.ogg",
        "Aberrations": SINGULARITY / "Aberrations.ogg",
        "By-Product": SINGULARITY / "By-Product.ogg",
        "Deprecation": SINGULARITY / "Deprecation.ogg",
        "Inevitable": SINGULARITY / "Inevitable.ogg",
        "Nebula": SINGULARITY / "Nebula.ogg",
        "Through Space": SINGULARITY / "Through Space.ogg",
        "Chimes They Fade": SINGULARITY / "lose" / "Chimes They Fade.ogg",
        "Hedgewars, Art": TUNES / "Art.ogg",
        "Hedgewars, Brick": TUNES / "Brick.ogg",
        "Hedgewars, City": TUNES / "City.ogg",
        "Hedgewars, Desert": TUNES / "Desert.ogg",
        "Hedgewars, Freeway": TUNES / "Freeway.ogg",
        "Hedgewars, Golf": TUNES / "Golf.ogg",
        "Hedgewars, Jungle": TUNES / "Jungle.ogg",
        "Hedgewars, Olympics": TUNES / "Olympics.ogg",
        "Hedgewars, Sheep": TUNES / "Sheep.ogg",
        "Hedgewars, hell": TUNES / "hell.ogg",
        "Hedgewars, olympics_sd": TUNES / "olympics_sd.ogg",
        "Hedgewars, pirate": TUNES / "pirate.ogg",
        "Hedgewars, snow": TUNES / "snow.ogg",
    },
    "unseen": {
        "Macroform, The Simplicity": MOH / "macroform-the_simplicity.wav",
        "Reno Project, System": MOH / "reno_project-system.wav",
        "Machine Wars": ASC / "machine_wars.mp3",
        "Time to Strike": ASC / "time_to_strike.mp3",
        "Advanced Simulacra": SINGULARITY / "Advanced Simulacra.ogg",
        "Awakening": SINGULARITY / "Awakening.ogg",
        "Coherence": SINGULARITY / "Coherence.ogg",
        "Enemy Unknown": SINGULARITY / "Enemy Unknown.ogg",
        "Media Threat": SINGULARITY / "Media Threat.ogg",
        "Orbital Elevator": SINGULARITY / "Orbital Elevator.ogg",
        "March Thee to Dis": SINGULARITY / "lose" / "March Thee to Dis.ogg",
        "Apex Aleph": SINGULARITY / "win" / "Apex Aleph.ogg",
        "Hedgewars, Beach": TUNES / "Beach.ogg",
        "Hedgewars, Castle": TUNES / "Castle.ogg",
        "Hedgewars, Compost": TUNES / "Compost.ogg",
        "Hedgewars, EarthRise": TUNES / "EarthRise.ogg",
        "Hedgewars, Fruit": TUNES / "Fruit.ogg",
        "Hedgewars, Halloween": TUNES / "Halloween.ogg",
        "Hedgewars, Nature": TUNES / "Nature.ogg",
        "Hedgewars, Rock": TUNES / "Rock.ogg",
        "Hedgewars, bath": TUNES / "bath.ogg",
        "Hedgewars, main_theme": TUNES / "main_theme.ogg",
        "Hedgewars, oriental": TUNES / "oriental.ogg",
        "Hedgewars, sdmusic": TUNES / "sdmusic.ogg",
        "Hedgewars, underwater": TUNES / "underwater.ogg",
    },
}


IN_SUITE_S = 20.0
"""A run as short as this is one of the test suite, whose packages (`DEBIAN_RUN`, `DEBIAN_TEST`) bring few voices."""
IN_SUITE = (ASTERISK / "en_US_f_Allison", ASTERISK / "es_MX_f_Allison", ASTERISK / "fr_CA_f_June", *GCIN_VOICES, MOH)


def longest_s(scale: float) -> float | None:
    """How much of each voice and track a section of this scale hears: all of it (None) at 1."""
    return None if scale >= 1 else max(240 * scale, 5.0)


def speech(part: Part, longest_s: float | None = None, *, in_suite: bool = False) -> dict[str, Audio]:
    """Language and speaker -> all they say, files in a row with 0.4 s between; int16 at 8000 a second.

    `longest_s` stops decoding a speaker after so much; at IN_SUITE_S or less, or `in_suite`, only IN_SUITE is heard.
    """
    return _sounds(SPEECH[part], longest_s, in_suite)


def voice(part: Part, longest_s: float) -> Audio:
    """The beginning of the first of `speech(part)`, for who needs any voice and not to wait for all."""
    return _joined(next(iter(SPEECH[part].values())), longest_s)


def music(part: Part, longest_s: float | None = None, *, in_suite: bool = False) -> dict[str, Audio]:
    """Track -> int16 at 8000 a second; `longest_s` as in `speech`."""
    return _sounds(MUSIC[part], longest_s, in_suite)


def _sounds(places: Mapping[str, Path], longest_s: float | None, in_suite: bool) -> dict[str, Audio]:
    if in_suite or (longest_s is not None and longest_s <= IN_SUITE_S):
        places = {name: place for name, place in places.items() if place in IN_SUITE or place.parent in IN_SUITE}
    return {name: _joined(place, longest_s) for name, place in places.items()}


def located(part: Part, name: str, sample: int) -> tuple[Path, float]:
    """The file, and the second in it, that stands at `sample` of `speech(part)[name]` or `music(part)[name]`."""
    place = {**SPEECH[part], **MUSIC[part]}[name]
    for file in files_of(place):
        length = read(file).size + PAUSE
        if sample < length:
            return file, sample / RATE
        sample -= length
    raise ValueError(f"{name}: sample {sample} is after its end.")


@cache
def _joined(place: Path, longest_s: float | None) -> Audio:
    files = files_of(place)
    if longest_s is not None:
        return _in_a_row(files, longest_s)
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    kept = KEPT / f"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Several sections decode at once: each writes its own file, and the last rename wins.
        own = kept.with_suffix(f".{os.getpid()}.npy")
        np.save(own, _in_a_row(files, None))
        own.rename(kept)
    audio: Audio = np.load(kept)
    return audio


def _in_a_row(files: list[Path], longest_s: float | None) -> Audio:
    parts: list[Audio] = []
    left_s = longest_s
    for file in files:
        parts += read(file, left_s), np.zeros(PAUSE, np.int16)
        if left_s is not None:
            left_s -= (parts[-2].size + PAUSE) / RATE
            if left_s <= 0:
                break
    return np.concatenate(parts)


def files_of(place: Path) -> list[Path]:
    """`place` itself, or the sound files under it, in order; `*` in it is any folder. Raises FileNotFoundError."""
    parts = place.parts
    places = [place]
    if "*" in parts:
        star = parts.index("*")
        places = sorted(Path(*parts[:star]).glob(str(Path(*parts[star:]))))
    files = [f for p in places for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.suffix in SOUND]
    if not files:
        raise FileNotFoundError(f"{place}: no sound files. Remedy: `make eval` installs the packages it needs.")
    return files


def read(file: Path, longest_s: float | None = None) -> Audio:
    """A sound file in mono at 8000 samples a second, as loud as it is."""
    rate = soundfile.info(file).samplerate
    frames = -1 if longest_s is None else round(longest_s * rate)
    samples, _ = soundfile.read(file, frames, dtype="float32", always_2d=True)
    mono: NDArray[Any] = samples.mean(1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    linear: Audio = np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16)
    return linear
