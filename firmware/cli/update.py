"""`linekeep update`: a new version into the slot that does not run, and what is in the two.

The keeper of the box does it (docs/updates.md); recording goes on. It goes on, too, when this command is stopped. While
the daemon is down (safe mode) the keeper is asked directly: an update may be what helps.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware.cli.box import Box, actor
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output
from firmware.cli.system import KEEPER, asked, without_daemon

STEPS = {
    "copying": "the file is copied to where only the box can change it",
    "checking": "signature, kind of box, formats, room",
    "installing": "the other slot is written; recording goes on",
    "examining": "the new version reads this box's configuration",
    "activating": "it is made the next to start",
}
OUTCOMES = {
    "failed": "not installed",
    "installed": "installed, starts with the next start: `linekeep box restart`",
    "proved": "came up and stays",
    "fell_back": "did not prove itself, the box went back",
    "interrupted": "the box stopped while it was being written",
}
SLOTS = (Column("slot"), Column("version"), Column("state"), Column("installed"))


def update(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        return _show(out, asked(box, "box.state"))
    path = Path(arguments.file).absolute()
    if not path.is_file():
        raise Failure(Exit.NOT_FOUND, f"There is no file {path}.", "Name an update: linekeep-VERSION-amd64.raucb.")
    with _reached(box, path) as reached, reached.client() as client:
        for event in client.stream("box.update", path=str(path), actor=actor()):
            if event["event"] == "progress":
                _tell(out, event["share"], event["step"])
    if not out.json:
        out.remark("")
        out.say("The update is installed. It starts with the next start of the box: `linekeep box restart`.")
    return Exit.OK


@contextmanager
def _reached(box: Box, path: Path) -> Iterator[Box]:
    """Who is asked: the daemon, or while it is down the keeper itself."""
    try:
        box.call("hello")
    except Failure as failure:
        if failure.exit_code is not Exit.NO_DAEMON or not KEEPER.exists():
            raise
    else:
        yield box
        return
    with without_daemon(box, "box.update", {"path": str(path)}) as keeper:
        yield keeper


def _tell(out: Output, share: float, step: str) -> None:
    if out.json:
        out.record({"share": share, "step": step})
    elif sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{share:4.0%}  {STEPS.get(step, step)}")
        sys.stderr.flush()
    else:
        out.remark(f"{share:.0%} {step}")


def _show(out: Output, state: dict[str, Any]) -> int:
    if out.json:
        out.document({name: state[name] for name in ("version", "development", "slot", "slots", "update")})
        return Exit.OK
    out.pairs(_rows(state))
    waiting = bool(state["update"]["waiting"])
    rows = [(slot["name"], slot["version"], _slot(slot, waiting), slot["installed_utc"]) for slot in state["slots"]]
    if rows:
        out.table(SLOTS, rows)
    return Exit.OK


def _slot(slot: dict[str, Any], waiting: bool) -> str:
    if slot["booted"]:
        return "on trial, runs" if slot["on_trial"] else "good, runs" if slot["good"] else "runs"
    return "good" if slot["good"] else "starts next, on trial" if waiting else "is not started"


def _rows(state: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    told = state["update"]
    yield "version", state["version"] + (" (development build)" if state["development"] else "")
    if not state["managed"]:
        yield "updates", "this machine was not flashed with the image: it is updated as it was set up"
    if told["running"]:
        yield "now", f"{told['share']:.0%}, {STEPS.get(told['step'], told['step'])}"
    if told["waiting"]:
        yield "waiting", f"{told['waiting']}, for the next start of the box"
    for path in told["offered"]:
        yield "memory stick", f"linekeep update {path}"
    if last := told["last"]:
        yield "last", f"{last['version'] or 'a file'}: {OUTCOMES.get(last['outcome'], last['outcome'])} ({last['utc']})"
        yield "", last["message"]
