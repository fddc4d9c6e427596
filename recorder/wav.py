"""A recording's file: `OpenRecording` writes it, `load` reads it.

The writer hands over companded bytes as they come (`append`, `gap`) and says once a second that a round is over
(`flush`): the audio itself is written by `append`, so that nothing is copied and a call each second makes one write
each second; `flush` adds one frame to the events file and moves the sizes in the header up to what is durable. The
barrier is either this file's own (`sync`) or the caller's `syncfs` over all files, told by `synced`.

After a write or a sync has failed nobody knows what the disk holds, so this file is not tried again: every later call
raises, `close` lets go of it, the caller begins a new recording, and recovery keeps what can be confirmed.

Weak: the digest of the audio is fed as it is written and proves what was handed over; that the disk returns the same
is for `recorder.verify` to say.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dsp.g711 import Law
from dsp.peaks import peaks as peaks_of
from recorder import disk, layout
from recorder.errors import RecordingError, WriteFailed
from recorder.layout import AUDIO_OFFSET, FrameBody, Metadata
from recorder.model import (
    Anchor,
    CallClass,
    Direction,
    Gap,
    Mark,
    Recording,
    RecordingEnd,
    RecordingStart,
    State,
    StopReason,
)

_CHUNK = 1 << 18
_MOST_PEAKS = 8000
_SHORTEST_PEAK = 80
"""10 ms: more detail than a screen shows."""


def path_of(start: RecordingStart) -> Path:
    """Where a recording lies for ever, relative to the data folder: local date, time with offset, line, handle."""
    return Path(path_of_row(start.utc_ns, start.utc_offset_s, start.line, start.handle))


def path_of_row(utc_ns: int, utc_offset_s: int, line: int, handle: str) -> str:
    """The same, for a row; quick, because every row of a search needs it."""
    t = datetime.fromtimestamp(utc_ns // 1_000_000_000 + utc_offset_s, UTC)
    sign, minutes = "-" if utc_offset_s < 0 else "+", abs(utc_offset_s) // 60
    folder = f"recordings/{t.year:04d}/{t.month:02d}/{t.day:02d}"
    local = f"{t.year:04d}{t.month:02d}{t.day:02d}T{t.hour:02d}{t.minute:02d}{t.second:02d}"
    return f"{folder}/{local}{sign}{minutes // 60:02d}{minutes % 60:02d}-L{line:04d}-{handle[:8]}.wav"


def events_path(path: Path) -> Path:
    return path.with_suffix(".events")


class OpenRecording:
    """A recording that is being written. Used by one thread at a time."""

    def __init__(self, root: Path, start: RecordingStart, path: Path, fd: int, events_fd: int) -> None:
        self.root, self.start, self.path, self.fd = root, start, path, fd
        self.handle = start.handle
        self.samples = 0
        """Handed over so far."""
        self.durable_samples = 0
        """Known to survive a power cut."""
        self.failed = False
        self._events_fd = events_fd
        self._events_at = self._chain = self._crc = self._flushed = 0
        self._named = False
        self._page = layout.header(start)
        self._idle = layout.IDLE[start.law]
        self._sha = hashlib.sha256()
        self._marks: dict[int, Mark] = {}
        self._gaps: list[Gap] = []
        self._anchors: list[Anchor] = [start.anchor]
        self._unsaid: list[Mark | Gap | Anchor] = []

    @classmethod
    def create(cls, root: Path, start: RecordingStart) -> "OpenRecording":
        """Makes the two files under the data folder `root`. Nothing is durable before the first `sync`.

        Raises `WriteFailed` if the disk refuses, which it also does for a handle that was used before."""
        start = layout.fitting(start)
        path = root / path_of(start)
        made: dict[Path, int] = {}
        try:
            disk.make_folders(root, path.parent)
            for new in (events_path(path), path):
                made[new] = disk.create(new)
            recording = cls(root, start, path, made[path], made[events_path(path)])
            recording._frame(FrameBody(start=start))
            disk.pwrite(recording.fd, recording._page, 0)
        except OSError as error:
            for new, fd in made.items():
                disk.close(fd)
                with suppress(OSError):
                    disk.unlink(new)
            raise WriteFailed(path, "creating the recording", error, 0, 0) from error
        return recording

    def append(self, law_bytes: bytes | bytearray | memoryview | NDArray[np.uint8]) -> None:
        """Writes companded bytes, as many as there are. Any contiguous buffer; it is not kept."""
        data = memoryview(law_bytes).cast("B")  # type: ignore[arg-type]  # an array is a buffer; typing knows it from 3.12 on
        self._write("writing audio", data)

    def gap(self, samples: int, reason: str) -> None:
        """Fills `samples` that will not come with the law's idle byte and says so."""
        if samples <= 0:
            return
        self._say(Gap(start_sample=self.samples, samples=samples, reason=reason))
        whole = memoryview(self._idle * min(samples, _CHUNK))
        for left in range(samples, 0, -_CHUNK):
            self._write("filling a gap", whole[:left])

    def mark(self, mark: Mark) -> None:
        """Something heard; a later mark with the same id replaces it."""
        self._say(mark)

    def anchor(self, anchor: Anchor) -> None:
        self._say(anchor)

    def flush(self) -> None:
        """Ends a round: its frame goes to the events file, the sizes in the header follow to what is durable."""
        self._round(None)

    def sync(self) -> int:
        """Makes everything up to the last `flush` survive a power cut; returns `durable_samples`."""
        self._check()
        try:
            disk.fdatasync(self.fd)
            disk.fdatasync(self._events_fd)
            if not self._named:
                disk.sync_folder(self.path.parent)
        except OSError as error:
            self._fail("syncing", error)
        return self.synced()

    def synced(self) -> int:
        """The caller has made the disk hold all that the last `flush` wrote (`syncfs`); returns `durable_samples`."""
        self._check()
        self._named = True
        self.durable_samples = self._flushed
        return self.durable_samples

    def seal(self, end: RecordingEnd) -> Recording:
        """Ends the recording: what is known follows the audio, all of it durable, and the events file goes.

        Returns the row with `id` 0; `Ledger.sealed` gives it its place."""
        if end.anchor is not None:
            self._say(end.anchor)
        self._round(end)
        try:
            metadata, pairs = metadata_of(
                self.fd, self.start, end, self.samples, self._sha.hexdigest(),
                tuple(self._marks.values()), tuple(self._gaps), tuple(self._anchors),
            )  # fmt: skip
            finish(self.path, self.fd, metadata, pairs)
        except OSError as error:
            self._fail("sealing", error)
        self.close()
        self.durable_samples = self.samples
        return row_of(load(self.path), path_of(self.start).as_posix())

    def close(self) -> None:
        """Lets go of the files as they are; what is not sealed is for recovery."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            disk.close(fd)
            disk.close(self._events_fd)

    def _write(self, act: str, data: memoryview) -> None:
        self._check()
        if self.samples + len(data) > layout.MOST_SAMPLES:
            raise RecordingError(f"{self.path}: a WAV holds at most {layout.MOST_SAMPLES} samples; begin a new one.")
        try:
            disk.pwrite(self.fd, data, AUDIO_OFFSET + self.samples)
        except OSError as error:
            self._fail(act, error, len(data))
        self.samples += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._sha.update(data)

    def _say(self, said: Mark | Gap | Anchor) -> None:
        self._check()
        self._unsaid.append(said)
        if isinstance(said, Mark):
            self._marks[said.id] = said
        elif isinstance(said, Gap):
            self._gaps.append(said)
        else:
            self._anchors.append(said)

    def _round(self, end: RecordingEnd | None) -> None:
        self._check()
        body = None
        if self._unsaid or end is not None:
            body = FrameBody(
                marks=tuple(s for s in self._unsaid if isinstance(s, Mark)),
                gaps=tuple(s for s in self._unsaid if isinstance(s, Gap)),
                anchors=tuple(s for s in self._unsaid if isinstance(s, Anchor)),
                end=end,
            )
        try:
            self._frame(body)
            durable = self.durable_samples & ~1
            layout.set_sizes(self._page, durable, AUDIO_OFFSET + durable)
            disk.pwrite(self.fd, self._page, 0)
        except OSError as error:
            self._fail("writing a round", error)
        self._unsaid.clear()
        self._flushed = self.samples

    def _frame(self, body: FrameBody | None) -> None:
        data, chain = layout.frame(self.samples, self._crc, body, self._chain)
        disk.pwrite(self._events_fd, data, self._events_at)
        self._events_at += len(data)
        self._chain, self._crc = chain, 0

    def _check(self) -> None:
        if self.failed or self.fd < 0:
            state = "a write or sync of it has failed" if self.failed else "it is closed"
            raise RecordingError(f"{self.path}: nothing can be added, {state}. Begin a new recording.")

    def _fail(self, act: str, error: OSError, unwritten: int = 0) -> None:
        self.failed = True
        lost = self.samples + unwritten - self.durable_samples
        raise WriteFailed(self.path, act, error, self.durable_samples, lost) from error


def metadata_of(
    fd: int, start: RecordingStart, end: RecordingEnd, samples: int, audio_sha256: str,
    marks: tuple[Mark, ...], gaps: tuple[Gap, ...], anchors: tuple[Anchor, ...],
) -> tuple[Metadata, NDArray[np.int8]]:  # fmt: skip
    """What a sealed file says after its audio, and the peaks, read back from the file."""
    samples_per_peak = max(_SHORTEST_PEAK, -(-samples // _MOST_PEAKS))
    step = _CHUNK // samples_per_peak * samples_per_peak or samples_per_peak
    parts = [np.empty((0, 2), np.int8)]
    for at in range(0, samples, step):
        chunk = np.frombuffer(os.pread(fd, min(step, samples - at), AUDIO_OFFSET + at), np.uint8)
        parts.append(peaks_of(chunk, cast(Law, start.law), samples_per_peak))
    pairs = np.concatenate(parts)
    metadata = Metadata(
        format=layout.FORMAT, start=start, end=end, samples=samples, audio_sha256=audio_sha256,
        peaks_sha256=hashlib.sha256(pairs.tobytes()).hexdigest(), samples_per_peak=samples_per_peak,
        marks=layout.merged(marks), gaps=gaps, anchors=anchors,
    )  # fmt: skip
    return metadata, pairs


def finish(path: Path, fd: int, metadata: Metadata, pairs: NDArray[np.int8]) -> None:
    """Puts the end on a recording whose audio is in place. A crash at any point leaves it open, or sealed."""
    page = layout.header(metadata.start)
    tail, _ = layout.trailer(metadata, pairs)
    layout.set_sizes(page, metadata.samples, AUDIO_OFFSET + metadata.samples + len(tail))
    disk.pwrite(fd, tail, AUDIO_OFFSET + metadata.samples)
    disk.pwrite(fd, page, 0)
    disk.fdatasync(fd)
    disk.unlink(events_path(path))
    disk.sync_folder(path.parent)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """What a file says of itself; `load` makes it."""

    path: Path
    start: RecordingStart
    end: RecordingEnd | None
    """None while it is open, and where it was torn before its end."""
    samples: int
    marks: tuple[Mark, ...]
    gaps: tuple[Gap, ...]
    anchors: tuple[Anchor, ...]
    peaks: NDArray[np.int8]
    """`[n, 2]`: least and greatest sample of each `samples_per_peak`, in 1/128 of full scale; empty while open."""
    samples_per_peak: int
    audio_sha256: str
    meta_sha256: str
    sealed: bool
    audio_offset: int = AUDIO_OFFSET


def load(path: Path) -> RecordingFile:
    """Reads what a recording's file says, sealed, open or torn; the audio itself is not read.

    Raises `RecordingError` naming the file, what is wrong with it and the remedy."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            start, samples = layout.read_header(os.pread(fd, AUDIO_OFFSET, 0))
            size, end = os.fstat(fd).st_size, AUDIO_OFFSET + samples
            finished = b"lkpk" in os.pread(fd, 5, end)
            tail = layout.read_trailer(os.pread(fd, size - end, end), samples) if finished else None
        finally:
            os.close(fd)
        if tail is None:
            return _load_open(path, start, min(samples, size - AUDIO_OFFSET), size)
    except (OSError, ValueError) as error:
        raise RecordingError(
            f"{path}: the recording cannot be read: {error}. The file is left as it is; fetch it from the backup."
        ) from error
    metadata, digest, pairs = tail
    return RecordingFile(
        path, metadata.start, metadata.end, samples, metadata.marks, metadata.gaps, metadata.anchors, pairs,
        metadata.samples_per_peak, metadata.audio_sha256, digest, sealed=True,
    )  # fmt: skip


def _load_open(path: Path, start: RecordingStart, samples: int, size: int) -> RecordingFile:
    """An open file: the frames say how far the audio has come."""
    frames: list[layout.Frame] = []
    if events_path(path).exists():
        frames = layout.read_frames(events_path(path).read_bytes())[0]
    if frames:
        samples = min(frames[-1].samples, size - AUDIO_OFFSET)
    said = [frame.body for frame in frames]
    return RecordingFile(
        path, start, next((body.end for body in said if body.end), None), samples,
        layout.merged([mark for body in said for mark in body.marks]),
        tuple(gap for body in said for gap in body.gaps),
        (start.anchor, *(anchor for body in said for anchor in body.anchors)),
        np.empty((0, 2), np.int8), 0, "", "", sealed=False,
    )  # fmt: skip


def begun(start: RecordingStart) -> RecordingFile:
    """What is known of a recording before anything was read from its file."""
    nothing = np.empty((0, 2), np.int8)
    return RecordingFile(path_of(start), start, None, 0, (), (), (start.anchor,), nothing, 0, "", "", sealed=False)


def row_of(file: RecordingFile, path: str, row_id: int = 0) -> Recording:
    """The catalogue's row of a file, before anything that the journal knows is added; `path` within the data folder."""
    start, end = file.start, file.end
    direction = end.direction if end else Direction.UNKNOWN
    number = (end.caller if direction is Direction.IN else end.dialled or end.caller) if end else None
    return Recording(
        id=row_id, handle=start.handle, path=path, state=State.SEALED if file.sealed else State.LIVE,
        line=start.line, line_name=start.line_name, card=start.card, simulated=start.simulated, law=start.law,
        start_utc_ns=start.utc_ns, utc_offset_s=start.utc_offset_s, samples=file.samples, direction=direction,
        number=number, name=end.name if end else None,
        call_class=end.call_class if end else CallClass.NONE, class_confidence=end.class_confidence if end else 0.0,
        trigger=start.trigger, stop_reason=end.stop_reason if end else None,
        gaps=len(file.gaps), gap_samples=sum(gap.samples for gap in file.gaps),
        dtmf="".join(mark.value for mark in file.marks if mark.kind == "dtmf"),
        answered=bool(end and end.answered_sample is not None),
        recovered=bool(end and end.stop_reason is StopReason.RECOVERED),
        audio_sha256=file.audio_sha256, meta_sha256=file.meta_sha256,
    )  # fmt: skip
