"""Simulated lines: a call made of any sound file, a folder as traffic, the scenario, a cut line."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware.cli.box import Box
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Output
from firmware.cli.times import clock_text

if TYPE_CHECKING:
    from firmware.wire import Client

RATE = 8000


def call(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    wishes = {
        "caller": arguments.caller,
        "callee": arguments.callee,
        "answer_after_s": arguments.answer_after,
        "law_exact": arguments.exact or None,
    }
    fields = {name: value for name, value in wishes.items() if value is not None}
    audio = str(_existing(arguments.audio))
    with box.client() as client:
        reports = _watching(client, arguments.line) if arguments.wait else iter(())
        plan = client.call("sim.call", line=arguments.line, audio=audio, **fields)["plan"]
        recording = _sealed(reports, arguments.line, arguments.caller or arguments.callee) if arguments.wait else None
    if out.json:
        out.document({"plan": plan, "recording": recording})
    elif recording:
        out.line(
            recording["handle"], clock_text(recording["samples"] / RATE), recording["call_class"], recording["state"]
        )
    else:
        out.pairs(_plan_rows(plan))
    return Exit.OK


def _watching(client: "Client", line: int) -> Iterator[dict[str, Any]]:
    """Reports of recordings. The first report of lines comes at once: with it the watch is known to be open, so that
    nothing that the call leads to can be missed."""
    if line not in (known["line"] for known in client.call("lines")["lines"]):
        raise Failure(Exit.NOT_FOUND, f"There is no line {line}.", "`linekeep lines` shows them.")
    reports = client.stream("watch", what=["lines", "recordings"], interval_ms=5000)
    next(reports)
    return reports


def _plan_rows(plan: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    for name, value in plan.items():
        place = name.endswith("_sample") and isinstance(value, int)
        yield name.removesuffix("_sample") if place else name, f"{value / RATE:.3f} s" if place else str(value)


def _sealed(reports: Iterator[dict[str, Any]], line: int, number: str) -> dict[str, Any]:
    for report in reports:
        if report["event"] == "end":
            break
        if report["event"] == "recording" and report["change"] in ("sealed", "trashed"):
            recording: dict[str, Any] = report["recording"]
            if recording["line"] == line and recording["number"] == number:
                return recording
    raise Failure(Exit.NO, "The daemon ended the stream before the call was recorded.", "Look with `linekeep search`.")


def replay(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    folder = _existing(arguments.folder)
    if not folder.is_dir():
        raise Failure(Exit.USAGE, f"{folder} is not a folder.", "Name a folder of sound files.")
    planned = box.call("sim.replay", folder=str(folder), over_s=arguments.over)["calls"]
    if out.json:
        out.document({"calls": planned})
    else:
        out.say(f"{planned} calls planned")
    return Exit.OK if planned else Exit.NO


def scenario(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    on = arguments.state == "on"
    box.call("sim.scenario", on=on)
    return _done(out, {"scenario": on}, f"The scenario is {arguments.state}.")


def cut(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    box.call("sim.cut", line=arguments.line, on=not arguments.mend)
    state = "mended" if arguments.mend else "cut"
    return _done(out, {"line": arguments.line, "cut": not arguments.mend}, f"Line {arguments.line} is {state}.")


def _done(out: Output, document: dict[str, Any], words: str) -> int:
    if out.json:
        out.document(document)
    else:
        out.say(words)
    return Exit.OK


def _existing(name: str) -> Path:
    """The daemon reads it, from a folder of its own: the whole path."""
    path = Path(name).absolute()
    if not path.exists():
        raise Failure(Exit.NOT_FOUND, f"{path} does not exist.", "Name a file that the daemon can read too.")
    return path
