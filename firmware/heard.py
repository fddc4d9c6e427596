"""A sealed recording read back from its file, as the acceptance test wants it: is it whole, and how does it sound.

Level and noise are measured on the talk alone: digits, dial tone and ring-back are left out by their marks, and what
came before the answer where it is known. The *level* is the power of the frames that are not much weaker than the
strongest (20 dB under the 95th percentile), in the manner of ITU-T P.56's active speech level, whose margin of 15.9 dB
below the mean comes to about the same. The *noise* is the level of the quietest twentieth of all frames: what remains
in the pauses. Somebody who speaks without a pause has none, and his noise is measured too high.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp import levels
from dsp.g711 import Law
from firmware.acceptance import Heard
from recorder.errors import RecordingError
from recorder.model import Recording, State
from recorder.verify import Finding, verify_one
from recorder.wav import RecordingFile, load

FRAME: Final = 160
EDGE: Final = 400
"""Samples around a tone that are left out with it."""
NO_TALK: Final = ("dtmf", "progress")
LEAST_FRAMES: Final = 25
"""Half a second of talk, or there was none."""
UNDER_PEAKS_DB: Final = 20.0
SILENCE_DBM0: Final = -60.0
"""What is not louder than this is not somebody who speaks."""


def read(data: Path, row: Recording) -> Heard:
    """Verifies the file against the journal's digests and measures it; what cannot be read is a finding, no error."""
    finding = verify_one(data, row).finding
    file = None
    if finding not in (Finding.MISSING, Finding.UNREADABLE, Finding.PURGED):
        try:
            file = load(data / row.path)
            level, noise = talk(file, _audio(file))
        except (OSError, RecordingError):
            file, finding = None, Finding.UNREADABLE
    if file is None:
        level = noise = None
    end = file.end if file is not None else None
    detail = file.start.trigger_detail if file is not None else {}
    return Heard(
        handle=row.handle, finding=finding.value, samples=row.samples, first_utc_ns=row.start_utc_ns,
        pre_roll_samples=file.start.pre_roll_samples if file is not None else 0,
        gaps=row.gaps, gap_samples=row.gap_samples, direction=row.direction.value,
        dialled=(end.dialled if end is not None else None) or row.dtmf,
        caller=(end.caller if end is not None else None) or "",
        stop_reason=row.stop_reason.value if row.stop_reason is not None else "",
        discarded=row.state is not State.SEALED,
        volts=detail.get("volts"), threshold_volts=detail.get("threshold_volts"),
        level_dbm0=level, noise_dbm0=noise, audio_sha256=row.audio_sha256,
    )  # fmt: skip


def _audio(file: RecordingFile) -> NDArray[np.uint8]:
    return np.fromfile(file.path, np.uint8, file.samples, offset=file.audio_offset)


def talk(file: RecordingFile, audio: NDArray[np.uint8]) -> tuple[float | None, float | None]:
    """Level of the talk and noise of its pauses, dBm0; None where nobody spoke."""
    begin = 0
    if file.end is not None and file.end.answered_sample is not None:
        begin = file.end.answered_sample
    tones = [(mark.start_sample, mark.end_sample) for mark in file.marks if mark.kind in NO_TALK and mark.end_sample]
    return talk_levels(audio, _law(file.start.law), begin, tones)


def talk_levels(
    audio: NDArray[np.uint8], law: Law, begin: int, tones: list[tuple[int, int]]
) -> tuple[float | None, float | None]:
    """The same from companded bytes `[samples]`; `begin` is the answer, `tones` spans of samples that are no talk."""
    frames = audio.size // FRAME
    linear = levels.expansion(law)[audio[: frames * FRAME]].reshape(frames, FRAME)
    power = np.mean(np.square(linear, dtype=np.float64), axis=1)
    at = np.arange(frames) * FRAME
    kept = at >= begin
    for first, last in tones:
        kept &= (at + FRAME <= first - EDGE) | (at >= last + EDGE)
    power = power[kept]
    if power.size < LEAST_FRAMES:
        return None, None
    level = levels.dbm0(power)
    loud = power[level > float(np.percentile(level, 95)) - UNDER_PEAKS_DB]
    talk_dbm0 = float(levels.dbm0(np.asarray(loud.mean())))
    if talk_dbm0 < SILENCE_DBM0:
        return None, None
    return round(talk_dbm0, 1), round(float(np.percentile(level, 5)), 1)


def _law(name: str) -> Law:
    return "ulaw" if name == "ulaw" else "alaw"
