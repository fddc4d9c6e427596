"""`linekeep analyse`: what the detectors hear in sound files, for a person or a program."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsp import Event
from dsp.events import RATE
from firmware.cli.audiofile import Channel, channels_of
from firmware.cli.box import Box
from firmware.cli.errors import Exit, Failure
from firmware.cli.heard import Heard, end_sample, heard, summary
from firmware.cli.output import Cell, Column, Output
from firmware.cli.times import place_text

EVIDENCE_WIDTH = 60
"""Characters."""


def analyse(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Files that cannot be read are named, and the others analysed: exit code 1; that of the failure if none could."""
    channels, failures = _read(out, arguments)
    if not channels:
        return failures[0].exit_code
    if arguments.plot is not None:
        from firmware.cli import picture

        picture.check(Path(arguments.plot), len(channels))
    results = heard(channels, arguments.zone)
    if arguments.plot is not None:
        picture.draw(results, Path(arguments.plot))
    _say(out, results)
    if arguments.plot is not None:
        out.remark(f"drawn into {arguments.plot}")
    return Exit.NO if failures else Exit.OK


def _say(out: Output, results: Sequence[Heard]) -> None:
    if out.json:
        for result in results:
            for record in _records(result):
                out.record(record)
    elif out.terminal:
        for result in results:
            rows = [_row(event, result.channel) for event in result.events]
            out.table(COLUMNS[2:], rows, title=f"{result.channel.name}: {summary(result)}")
    else:
        out.table(COLUMNS, (row for result in results for row in _rows(result)))


def _read(out: Output, arguments: argparse.Namespace) -> tuple[list[Channel], list[Failure]]:
    channels: list[Channel] = []
    failures: list[Failure] = []
    for name in arguments.files:
        try:
            channels += channels_of(Path(name), arguments.law)
        except Failure as failure:
            out.failure(failure)
            failures.append(failure)
    return channels, failures


# How it is said ------------------------------------------------------------------------------------------------------

COLUMNS = (
    Column("file"), Column("channel", right=True), Column("start", right=True), Column("end", right=True),
    Column("kind"), Column("value"), Column("sure", right=True), Column("evidence", minor=True),
)  # fmt: skip


def _rows(result: Heard) -> Iterator[tuple[Cell, ...]]:
    """For a pipe: the file itself, then its events."""
    channel = result.channel
    head = (str(channel.path), channel.number or None)
    yield (*head, place_text(0), place_text(channel.law_bytes.size), "file", summary(result), None, None)
    for event in result.events:
        yield (*head, *_row(event, channel))


def _row(event: Event, channel: Channel) -> tuple[Cell, ...]:
    return (
        place_text(event.start_sample), place_text(end_sample(event, channel)), event.kind, event.value,
        f"{event.confidence:.0%}", evidence_text(event),
    )  # fmt: skip


def evidence_text(event: Event) -> str:
    """`hz 2100.1, share 0.97`: what is not the value itself, as much of it as a line holds."""
    told = ", ".join(f"{name} {_short(it)}" for name, it in event.evidence.items() if it != event.value)
    return told if len(told) <= EVIDENCE_WIDTH else told[: EVIDENCE_WIDTH - 1] + "…"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value + 0.0:.4g}"  # no minus before a zero
    if isinstance(value, list | tuple):
        return "/".join(_short(part) for part in value)
    return str(value)


def _records(result: Heard) -> Iterator[dict[str, Any]]:
    """For a program: one object for the channel, then one an event."""
    channel, told = result.channel, result.call_class
    head = {"file": str(channel.path), "channel": channel.number}
    yield {
        **head, "kind": "file", "length_s": channel.length_s, "law": channel.law, "cut_off": channel.cut_off,
        "level_dbm0": round(result.level_dbm0, 1),
        "noise_floor_dbm0": None if result.noise_floor_dbm0 is None else round(result.noise_floor_dbm0, 1),
        "class": told.value if told else None, "digits": result.digits, "callers": result.callers,
    }  # fmt: skip
    for event in result.events:
        yield {
            **head, "kind": event.kind, "value": event.value, "start_s": round(event.start_s, 4),
            "end_s": round(end_sample(event, channel) / RATE, 4), "confidence": event.confidence,
            "evidence": dict(event.evidence),
        }  # fmt: skip
