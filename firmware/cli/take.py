"""Taking audio out: to a sound device, to a file, or as copies with an index. Each is entered in the journal first."""

import argparse
import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.cli import sound
from firmware.cli.box import Box, recorder_failures
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Column, Output, Progress
from firmware.cli.times import clock_text, local_text, utc_text
from recorder.model import Recording, State

if TYPE_CHECKING:
    from recorder.wav import RecordingFile

RATE = 8000
CHUNK = 1 << 16
INDEX = "index.csv"


def readable(box: Box, row: Recording) -> "RecordingFile":
    """The file of a recording whose audio still exists."""
    from recorder import wav

    if row.state is State.PURGED:
        raise Failure(
            Exit.REFUSED, f"Recording {row.handle[:12]} was purged: its audio is destroyed.",
            "The row and the journal remain: `linekeep show` shows them.",
        )  # fmt: skip
    with recorder_failures():
        return wav.load(box.data / row.path)


# Playing -------------------------------------------------------------------------------------------------------------


def play(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    sound.check(arguments.to)
    with box.catalogue() as catalogue:
        row = box.resolve(catalogue, arguments.handle)
    file = readable(box, row)
    begin = min(round(arguments.begin * RATE), file.samples)
    rest = file.samples - begin
    samples = rest if arguments.seconds is None else min(rest, round(arguments.seconds * RATE))
    detail = {"from_s": begin / RATE, "seconds": samples / RATE, "to": "device" if arguments.to is None else "file"}
    box.operation("listen", row.handle, detail)
    sink = sound.open_sink(arguments.to, file.start.law)
    try:
        for part in _audio(file, begin, samples):
            sink.write(part)
    finally:
        sink.close()
    if out.json and arguments.to != "-":
        out.document({"handle": row.handle, "samples": samples, "seconds": samples / RATE, "to": arguments.to})
    elif arguments.to not in (None, "-"):
        out.remark(f"{arguments.to}: {clock_text(samples / RATE)} of {row.handle[:12]}")
    return Exit.OK


def _audio(file: "RecordingFile", begin: int, samples: int) -> Iterator[bytes]:
    with file.path.open("rb") as source:
        source.seek(file.audio_offset + begin)
        while samples > 0 and (part := source.read(min(CHUNK, samples))):
            samples -= len(part)
            yield part


# Exporting -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Copy:
    row: Recording
    name: str
    sha256: str
    """Of the copy, whatever its form."""


def export(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Copies, each checked against the recording's digest on its way, and the index last: a folder that has one is
    complete."""
    folder = Path(arguments.to)
    if (folder / INDEX).exists():
        raise Failure(Exit.REFUSED, f"{folder} holds an export already ({INDEX}).", "Name a new folder.")
    with box.catalogue() as catalogue:
        rows = box.resolve_all(catalogue, arguments.handles)
    files = [(row, _sealed(box, row)) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    form = "flac" if arguments.flac else "wav"
    for row in rows:
        box.operation("export", row.handle, {"form": form, "to": str(folder.absolute())})
    copies: list[Copy] = []
    with Progress("export") as progress:
        for row, file in files:
            copies.append(_flac(row, file, folder) if arguments.flac else _wav(row, file, folder))
            progress.at(len(copies), len(rows))
    _write_index(box, folder / INDEX, copies)
    if out.json:
        shown = [{"handle": copy.row.handle, "file": copy.name, "sha256": copy.sha256} for copy in copies]
        out.document({"folder": str(folder.absolute()), "index": INDEX, "files": shown})
    else:
        out.table(
            (Column("file"), Column("handle"), Column("SHA-256", minor=True)),
            [(copy.name, copy.row.handle, copy.sha256) for copy in copies],
        )
    return Exit.OK


def _sealed(box: Box, row: Recording) -> "RecordingFile":
    file = readable(box, row)
    if not file.sealed:
        raise Failure(
            Exit.REFUSED, f"Recording {row.handle[:12]} is still being recorded.",
            "Export it when the call has ended, or take what there is with `linekeep play --to FILE`.",
        )  # fmt: skip
    return file


def _wav(row: Recording, file: "RecordingFile", folder: Path) -> Copy:
    """The file as it is, byte by byte."""
    audio, whole = hashlib.sha256(), hashlib.sha256()
    target = folder / file.path.name
    with file.path.open("rb") as source, _new(target) as copy:
        head = source.read(file.audio_offset)
        whole.update(head)
        copy.write(head)
        left = file.samples
        while part := source.read(CHUNK):
            audio.update(part[:left])
            left -= min(left, len(part))
            whole.update(part)
            copy.write(part)
        copy.flush()
        os.fsync(copy.fileno())
    _compare(row, file, audio.hexdigest(), target)
    return Copy(row, target.name, whole.hexdigest())


def _flac(row: Recording, file: "RecordingFile", folder: Path) -> Copy:
    """16-bit FLAC of the expanded samples: nothing is lost by it."""
    import soundfile
    from numpy import frombuffer, uint8

    from dsp import g711

    audio = hashlib.sha256()
    target = folder / file.path.with_suffix(".flac").name
    with _new(target) as copy:
        with soundfile.SoundFile(copy, "w", RATE, 1, "PCM_16", format="FLAC") as flac:
            for part in _audio(file, 0, file.samples):
                audio.update(part)
                flac.write(g711.decode(frombuffer(part, uint8), "ulaw" if file.start.law == "ulaw" else "alaw"))
        copy.flush()
        os.fsync(copy.fileno())
    _compare(row, file, audio.hexdigest(), target)
    with target.open("rb") as written:
        return Copy(row, target.name, hashlib.file_digest(written, "sha256").hexdigest())


def _new(path: Path) -> Any:
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise Failure(Exit.REFUSED, f"{path} exists already.", "Name a new folder.") from error


def _compare(row: Recording, file: "RecordingFile", audio_sha256: str, target: Path) -> None:
    """What was read must be what was sealed; a copy that is not does not stay."""
    if audio_sha256 != file.audio_sha256 or row.audio_sha256 not in ("", audio_sha256):
        target.unlink()
        raise Failure(
            Exit.NO, f"{file.path}: the audio is not what was sealed; nothing was exported of it.",
            "`linekeep verify` names every such file. Fetch it from the backup.",
        )  # fmt: skip


# The index -----------------------------------------------------------------------------------------------------------

FIELDS = (
    "file", "handle", "start_utc", "start_local", "duration_s", "line", "line_name", "direction", "number", "name",
    "class", "digits", "answered", "trigger", "stop_reason", "gaps", "gap_s", "state", "simulated", "tags",
    "audio_sha256", "metadata_sha256", "file_sha256",
)  # fmt: skip


def _write_index(box: Box, path: Path, copies: list[Copy]) -> None:
    """CSV as spreadsheets read it: UTF-8 with a mark, both times, the local one with its offset."""
    with path.open("x", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows([_harmless(value) for value in _index_row(box, copy)] for copy in copies)
        file.flush()
        os.fsync(file.fileno())


def _index_row(box: Box, copy: Copy) -> tuple[object, ...]:
    row = copy.row
    return (
        copy.name, row.handle, utc_text(row.start_utc_ns), local_text(row.start_utc_ns, box.zone),
        f"{row.duration_s:.3f}", row.line, row.line_name, row.direction, row.number or "", row.name or "",
        row.call_class, row.dtmf, int(row.answered), row.trigger, row.stop_reason or "", row.gaps,
        f"{row.gap_samples / RATE:.3f}", row.state, int(row.simulated), " ".join(row.tags),
        row.audio_sha256, row.meta_sha256, copy.sha256,
    )  # fmt: skip


def _harmless(value: object) -> str:
    """A caller chooses his own name: no cell may begin a formula in the spreadsheet that opens the index."""
    text = str(value)
    return "'" + text if re.match(r"[=+\-@\t\r]", text) and not re.fullmatch(r"[+-]?[\d.]+", text) else text
