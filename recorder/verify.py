"""Are the recordings still what they were? Reads each file, and says so in plain words.

The audio is compared with the digest in the file's metadata, and both digests with those that the journal knew when
the recording was sealed. Nothing is changed.
"""

import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from recorder.errors import RecordingError
from recorder.model import Recording, State
from recorder.wav import load

_CHUNK = 1 << 20


class Finding(StrEnum):
    WHOLE = "whole"
    CHANGED_AUDIO = "changed_audio"
    CHANGED_METADATA = "changed_metadata"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    PURGED = "purged"
    """Destroyed on purpose; the journal says when."""
    OPEN = "open"
    """Still being written."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    handle: str
    path: str
    finding: Finding
    text: str
    """One sentence for a person."""
    read_bytes: int = 0

    @property
    def good(self) -> bool:
        return self.finding in (Finding.WHOLE, Finding.PURGED, Finding.OPEN)


def verify(data: Path, rows: Iterable[Recording]) -> Iterator[Verdict]:
    """A verdict for each row as soon as it is known; the caller shows progress."""
    for row in rows:
        yield verify_one(data, row)


def verify_one(data: Path, row: Recording) -> Verdict:
    def verdict(finding: Finding, text: str, read: int = 0) -> Verdict:
        return Verdict(handle=row.handle, path=row.path, finding=finding, text=text, read_bytes=read)

    path = data / row.path
    if row.state is State.PURGED:
        return verdict(Finding.PURGED, "Its audio was destroyed after its time in the trash; the journal says when.")
    if row.state is State.LIVE:
        return verdict(Finding.OPEN, "It is still being written.")
    if not path.exists():
        return verdict(Finding.MISSING, "Its file is gone. Fetch it from the backup.")
    try:
        file = load(path)
        if not file.sealed:
            return verdict(Finding.CHANGED_METADATA, "What follows its audio is damaged. Fetch it from the backup.")
        digest, read = _digest(path, file.audio_offset, file.samples)
    except (OSError, RecordingError) as error:
        return verdict(Finding.UNREADABLE, str(error))
    if digest != file.audio_sha256 or file.audio_sha256 != row.audio_sha256:
        return verdict(Finding.CHANGED_AUDIO, "Its audio is not what was recorded. Fetch it from the backup.", read)
    if file.meta_sha256 != row.meta_sha256:
        return verdict(Finding.CHANGED_METADATA, "Its metadata is not what was sealed. Fetch it from the backup.", read)
    return verdict(Finding.WHOLE, "Audio and metadata are what was sealed.", read)


def _digest(path: Path, offset: int, samples: int) -> tuple[str, int]:
    sha, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        file.seek(offset)
        while read < samples and (piece := file.read(min(_CHUNK, samples - read))):
            sha.update(piece)
            read += len(piece)
    return sha.hexdigest(), read
