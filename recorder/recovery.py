"""What the daemon finds when it starts: recordings that nobody sealed.

A recording is open as long as its events file is there. Recovery keeps the audio that a frame's checksum confirms,
fills with idle bytes (and marks as a gap) a round that is damaged while a later one is whole, cuts what no frame
confirms, and seals the rest with the stop reason `recovered`; if all of it is there and only the seal was missing,
it is sealed as it was meant. Everything is decided from the events file, which goes last, so that a recovery which is
itself interrupted is done again with the same result.

What was confirmed as durable is never lost: its frame and its audio were synced together. A file that is neither ours
nor whole is left as it is, where it is, and named.

Weak: how long the line went on after the last confirmed frame is not known, so the time lost at the end is not
a gap; `stop_detail` says what was cut.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder import disk, layout
from recorder.errors import RecordingError
from recorder.layout import AUDIO_OFFSET, Frame
from recorder.model import CallClass, Direction, Gap, Mark, RecordingEnd, RecordingStart, StopReason
from recorder.wav import RecordingFile, events_path, finish, load, metadata_of

_CHUNK = 1 << 18


def recover(path: Path) -> RecordingFile | None:
    """Seals the open recording at `path` (its `.wav`); None if the two files held nothing at all and were removed.

    Raises `RecordingError`, and changes nothing, if the file is damaged, foreign or cannot be read."""
    try:
        data = events_path(path).read_bytes() if events_path(path).exists() else None
        frames = layout.read_frames(data or b"")[0]
        if data is not None and _only_the_seal_is_new(path):
            disk.unlink(events_path(path))
            disk.sync_folder(path.parent)
            return load(path)
        start = _start(path, frames, has_events=data is not None)
        if start is None:
            _remove_nothing(path, data)
            return None
        _seal(path, start, frames)
    except OSError as error:
        raise RecordingError(
            f"{path}: recovery failed ({error}). Nothing is lost; it is tried at the next start."
        ) from error
    return load(path)


def _only_the_seal_is_new(path: Path) -> bool:
    """Everything was written; the crash came before the events file went."""
    with suppress(RecordingError):
        file = load(path)
        with path.open("rb") as raw:
            page = raw.read(AUDIO_OFFSET)
        whole = file.sealed and layout.sizes_are(page, file.samples, path.stat().st_size)
        return whole and _digest(path, file.samples) == file.audio_sha256
    return False


def _start(path: Path, frames: list[Frame], has_events: bool) -> RecordingStart | None:
    said = frames[0].body.start if frames else None
    try:
        page = path.read_bytes()[:AUDIO_OFFSET] if path.exists() else b""
        written, samples = layout.read_header(page)
    except ValueError as error:
        if said is None and page.strip(b"\0"):
            raise RecordingError(f"{path}: {error}. It is left as it is; look whether it belongs here.") from error
        return said
    if said is not None and said.handle != written.handle:
        raise RecordingError(
            f"{path}: its events file is of another recording ({said.handle}). Both are left as they are; "
            "fetch the two files from the backup."
        )
    if not has_events and samples:
        raise RecordingError(
            f"{path}: what follows the audio is damaged or missing. The file is left as it is, "
            "its audio plays; fetch it from the backup."
        )
    return written


def _remove_nothing(path: Path, events: bytes | None) -> None:
    """Two names without a byte behind them: made just before the crash."""
    if (events or b"").strip(b"\0"):
        # Torn before the first sync, or damaged: which of the two cannot be told, so nothing is thrown away.
        raise RecordingError(
            f"{events_path(path)}: neither it nor the audio's header can be read, so whose recording this was is "
            "unknown. Both are left as they are; remove them if the box lost power in this recording's first second."
        )
    for name in (path, events_path(path)):
        with suppress(FileNotFoundError):
            disk.unlink(name)
    disk.sync_folder(path.parent)


def _seal(path: Path, start: RecordingStart, frames: list[Frame]) -> None:
    fd = disk.reopen(path) if path.exists() else disk.create(path)
    try:
        # A page that could not be written is dropped here, so that what is read is what the disk holds.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        samples, torn = _confirmed(fd, frames)
        handed_over = frames[-1].samples if frames else 0
        for gap in torn:
            _fill(fd, gap, layout.IDLE[start.law])
        disk.truncate(fd, AUDIO_OFFSET + samples)
        said = [frame.body for frame in frames]
        marks = layout.merged([mark for body in said for mark in body.marks if mark.start_sample < max(samples, 1)])
        gaps = [
            _clipped(gap, samples) for body in said for gap in body.gaps
            if gap.start_sample < samples and not any(_within(gap, other) for other in torn)
        ]  # fmt: skip
        anchors = [anchor for body in said for anchor in body.anchors if anchor.sample <= samples]
        whole = not torn and samples == handed_over
        end = next((body.end for body in said if body.end), None)
        if end is None or not whole:
            end = _recovered_end(end, marks, {"cut_samples": handed_over - samples, "torn_gaps": len(torn)})
        digest = _digest(path, samples)
        metadata, pairs = metadata_of(
            fd, start, end, samples, digest, marks,
            tuple(sorted(gaps + torn, key=lambda gap: gap.start_sample)), (start.anchor, *anchors),
        )  # fmt: skip
        finish(path, fd, metadata, pairs)
    finally:
        disk.close(fd)


def _confirmed(fd: int, frames: list[Frame]) -> tuple[int, list[Gap]]:
    """Samples up to the last round that its checksum confirms, and the rounds before it that are torn."""
    reached = 0
    torn: list[Gap] = []
    pending: list[Gap] = []
    at = 0
    for frame in frames:
        if _crc(fd, at, frame.samples) == frame.crc:
            reached = frame.samples
            if frame.samples > at:
                torn += pending
                pending = []
        else:
            pending.append(Gap(start_sample=at, samples=frame.samples - at, reason="torn"))
        at = frame.samples
    return (pending[0].start_sample if pending else reached), torn


def _crc(fd: int, first: int, end: int) -> int | None:
    """CRC-32 of the audio between two samples; None if it is not all there."""
    crc = 0
    for at in range(first, end, _CHUNK):
        piece = os.pread(fd, min(_CHUNK, end - at), AUDIO_OFFSET + at)
        if len(piece) != min(_CHUNK, end - at):
            return None
        crc = zlib.crc32(piece, crc)
    return crc


def _fill(fd: int, gap: Gap, idle: bytes) -> None:
    for at in range(0, gap.samples, _CHUNK):
        disk.pwrite(fd, idle * min(_CHUNK, gap.samples - at), AUDIO_OFFSET + gap.start_sample + at)


def _clipped(gap: Gap, samples: int) -> Gap:
    return msgspec.structs.replace(gap, samples=min(gap.samples, samples - gap.start_sample))


def _within(gap: Gap, other: Gap) -> bool:
    return other.start_sample <= gap.start_sample < other.start_sample + other.samples


def _digest(path: Path, samples: int) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(AUDIO_OFFSET)
        while samples and (piece := file.read(min(_CHUNK, samples))):
            sha.update(piece)
            samples -= len(piece)
    return sha.hexdigest()


def _recovered_end(meant: RecordingEnd | None, marks: tuple[Mark, ...], detail: dict[str, int]) -> RecordingEnd:
    """The end as it was meant, or what the marks tell of number, direction and class."""
    if meant is not None:
        told = {"intended": meant.stop_reason.value}
        return msgspec.structs.replace(meant, stop_reason=StopReason.RECOVERED, stop_detail=detail | told)
    caller = next((mark.value for mark in reversed(marks) if mark.kind == "cid" and mark.value), None)
    dialled = "".join(mark.value for mark in marks if mark.kind == "dtmf") or None
    verdict = next((mark for mark in reversed(marks) if mark.kind == "class" and mark.value in list(CallClass)), None)
    direction = Direction.IN if caller else Direction.OUT if dialled else Direction.UNKNOWN
    return RecordingEnd(
        stop_reason=StopReason.RECOVERED, stop_detail=dict(detail), direction=direction, caller=caller,
        dialled=None if caller else dialled,
        call_class=CallClass(verdict.value) if verdict else CallClass.NONE,
        class_confidence=verdict.confidence if verdict else 0.0,
    )  # fmt: skip
