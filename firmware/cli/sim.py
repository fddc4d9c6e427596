"""Simulated lines: a call made of any sound file, a folder as traffic, the scenario, a cut line."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from firmware.cli.box import Box, recorder_failures, require_line
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Output
from firmware.cli.times import clock_text

RATE = 8000
SEALED_WITHIN_S = 30.0
"""After the planned end of a call: release, hangover of VOX, sealing."""


def call(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    wishes = {
        "caller": arguments.caller,
        "callee": arguments.callee,
        "answer_after_s": arguments.answer_after,
        "law_exact": not arguments.line_noise,
    }
    fields = {name: value for name, value in wishes.items() if value is not None}
    audio = str(_existing(arguments.audio))
    with box.client() as client:
        if not arguments.wait:
            plan, recording = client.call("sim.call", line=arguments.line, audio=audio, **fields)["plan"], None
        else:
            require_line(client, arguments.line)
            with closing(client.stream("watch", what=["lines", "recordings"], interval_ms=5000)) as reports:
                # The first report of lines comes at once: the watch is open, nothing that the call leads to is missed.
                next(reports)
                plan = client.call("sim.call", line=arguments.line, audio=audio, **fields)["plan"]
                with _at_most((plan["end_sample"] - plan["first_sample"]) / RATE + SEALED_WITHIN_S, arguments.line):
                    recording = _sealed(box, reports, plan)
    if out.json:
        out.document({"plan": plan, "recording": recording})
    elif recording:
        out.line(
            recording["handle"], clock_text(recording["samples"] / RATE), recording["call_class"], recording["state"]
        )
    else:
        out.pairs(_plan_rows(plan))
    return Exit.OK


@contextmanager
def _at_most(seconds: float, line: int) -> Iterator[None]:
    """Reports may stay away altogether, so it is the system's timer that ends the wait."""

    def over(*_: object) -> NoReturn:
        raise Failure(
            Exit.NO, f"Line {line}: the call is over and no recording of it was closed.",
            "Look with `linekeep lines` what the line is armed with, and with `linekeep search` what was recorded.",
        )  # fmt: skip

    before = signal.signal(signal.SIGALRM, over)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _plan_rows(plan: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    for name, value in plan.items():
        place = name.endswith("_sample") and isinstance(value, int)
        yield name.removesuffix("_sample") if place else name, f"{value / RATE:.3f} s" if place else str(value)


def _sealed(box: Box, reports: Iterator[dict[str, Any]], plan: dict[str, Any]) -> dict[str, Any]:
    """The recording of this line whose audio begins within the planned call, as soon as it is sealed."""
    from recorder import wav

    for report in reports:
        if report["event"] == "end":
            break
        if report["event"] != "recording" or report["change"] not in ("sealed", "trashed"):
            continue
        recording: dict[str, Any] = report["recording"]
        if recording["line"] == plan["line"]:
            with recorder_failures():
                first_sample = wav.load(box.data / recording["path"]).start.first_sample
            if plan["first_sample"] <= first_sample < plan["end_sample"]:
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
