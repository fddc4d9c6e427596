"""`card learn`: the threshold wizard in the terminal.

The person does each step and presses Enter; the daemon measures, refuses what contradicts the step, proposes, writes.
Instructions and bars go to standard error, what came out to standard output. From a pipe each line that is read stands
for Enter, so that a program that works the telephone can drive it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from firmware.cli.box import Box, actor, require_line
from firmware.cli.card import bar
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output, console

if TYPE_CHECKING:
    from rich.progress import Progress

    from firmware.wire import Client

INSTRUCTIONS = {
    "on_hook": "Lay the telephone down: every telephone of this line on-hook.",
    "off_hook": "Lift the telephone, and leave it lifted.",
    "silence": "Call somebody, have it answered, and keep silent on both sides.",
    "talk": "In the same call talk, both of you, as loud as usual and all the time.",
}
WORDS = {"on_hook": "on-hook", "off_hook": "off-hook", "silence": "silence", "talk": "talk"}
MEASURED = (
    Column("step"), Column("volts", True), Column("quiet", True), Column("level", True), Column("loud", True),
    Column("noise", True), Column("hum", True), Column("talk", True), Column("clipped", True),
)  # fmt: skip
PROPOSED = (Column("key"), Column("now", True), Column("proposed", True), Column("why", text=True))
VERDICTS = (Column("verdict"), Column("found", text=True), Column("what to do", text=True))


def learn(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Exit code 1 where nothing was written."""
    line = arguments.line
    with box.client() as client:
        require_line(client, line)
        begun = client.call("learn.begin", line=line)
        _tell(f"Line {line}: {len(begun['steps'])} steps of {arguments.seconds:g} s each. Ctrl-C changes nothing.")
        if begun["volts"] is None:
            _tell("No voltage is measured on this line; sound must tell a call.")
        measurements = _steps(client, line, begun["steps"], arguments.seconds)
        proposal = client.call("learn.propose", line=line, measurements=measurements)["proposal"]
        if not out.json:
            _show(out, measurements, proposal)
        values = {each["key"]: each["value"] for each in proposal["proposed"]}
        applied = None
        if values and (arguments.yes or _agreed(line, begun["now"], values)):
            applied = client.call("learn.apply", line=line, actor=actor(), **values)
    if out.json:
        out.document({"line": line, "measurements": measurements, "proposal": proposal, "applied": applied})
    out.remark(_outcome(line, applied))
    return Exit.NO if applied is None else Exit.OK


def _steps(client: "Client", line: int, steps: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Every step, repeated until it is what it should be."""
    measurements: list[dict[str, Any]] = []
    for number, step in enumerate(steps, 1):
        refused: dict[str, Any] | None = None
        while len(measurements) < number:
            if refused is not None:
                _tell(f"  Not taken: {refused['text']} {refused['remedy']}")
            _await_enter(f"\n{number} of {len(steps)}  {INSTRUCTIONS[step]}")
            fields = {"line": line, "step": step, "seconds": seconds, "before": measurements}
            with closing(client.stream("learn.measure", **fields)) as reports:
                measurement, refused = _measured(reports, WORDS[step], seconds)
            if refused is None:
                measurements.append(measurement)
                _tell(f"  {_summary(measurement)}")
    return measurements


def _await_enter(words: str) -> None:
    _tell(words)
    if sys.stdin.isatty():
        sys.stderr.write("  Press Enter when it is so. ")
        sys.stderr.flush()
    if not sys.stdin.readline():
        raise Failure(
            Exit.NO, "The steps were not done to their end; nothing was changed.",
            "`card learn` waits for Enter, or a line of standard input, before each measuring.",
        )  # fmt: skip


def _measured(
    reports: Iterator[dict[str, Any]], word: str, seconds: float
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The measurement, and why it is not taken. On a terminal with a live bar of level and volts."""
    with _bar() as progress:
        task = progress.add_task(word, total=seconds, level="", volts="")
        for report in reports:
            if report["event"] == "measured":
                return report["measurement"], report["refused"]
            if report["event"] == "progress":
                level, volts = report["level_dbm0"], report["volts"]
                shown = f"{bar(level, level)} {level:4.0f} dBm0"
                progress.update(
                    task, completed=report["seconds"], level=shown, volts="" if volts is None else f"{volts:4.1f} V"
                )
    raise Failure(Exit.NO, "The daemon ended the measuring.", "Call it again.")


def _bar() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn

    columns = ("  {task.description}", "{task.fields[volts]}", "{task.fields[level]}")
    texts = [TextColumn(column) for column in columns]
    on = console(stderr=True)
    return Progress(
        texts[0], BarColumn(bar_width=16), *texts[1:], console=on, transient=True, disable=not on.is_terminal
    )


def _summary(measured: dict[str, Any]) -> str:
    volts = measured["volts"]
    parts = ("" if volts is None else f"{volts['mean']:.1f} V", f"{measured['level_dbm0']:.0f} dBm0")
    return "Taken: " + ", ".join(filter(None, parts))


# What came out --------------------------------------------------------------------------------------------------------


def _show(out: Output, measurements: Sequence[dict[str, Any]], proposal: dict[str, Any]) -> None:
    out.table(MEASURED, [_measured_row(each) for each in measurements])
    rows = [
        (each["key"], _value(each["now"]), _value(each["value"]), each["why"]["text"]) for each in proposal["proposed"]
    ]
    out.table(PROPOSED, rows)
    out.table(VERDICTS, [(each["severity"], each["text"], each["remedy"]) for each in proposal["verdicts"]])


def _measured_row(m: dict[str, Any]) -> tuple[Cell, ...]:
    volts = m["volts"]
    spread = None if volts is None else f"{volts['low']:.1f} to {volts['high']:.1f}"
    levels = (m["quiet_dbm0"], m["level_dbm0"], m["loud_dbm0"], m["noise_dbm0"], m["hum_dbm0"])
    talk = m["speech_dbm0"] if m["step"] == "talk" else None
    clipped = f"{100 * m['clipped']:.1f} %" if m["clipped"] else None
    return WORDS[m["step"]], spread, *(_level(each) for each in levels), _level(talk), clipped


def _level(dbm0: float | None) -> str | None:
    return None if dbm0 is None else f"{dbm0:.0f}"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _agreed(line: int, now: dict[str, Any], values: dict[str, Any]) -> bool:
    """Asks on a terminal; elsewhere nothing is written without --yes."""
    if not sys.stdin.isatty():
        return False
    changed = [f"{key} {_value(now[key])} to {_value(value)}" for key, value in values.items() if now[key] != value]
    if not changed:
        _tell(f"Line {line} has these values already.")
    sys.stderr.write(f"Write to [[line]] {line} of linekeep.toml: {', '.join(changed) or 'the same values'}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _outcome(line: int, applied: dict[str, Any] | None) -> str:
    if applied is None:
        return (
            "Nothing was written. `--yes` writes without asking." if not sys.stdin.isatty() else "Nothing was written."
        )
    if applied["live"]:
        return f"Line {line}: written to {applied['file']}, and in force now."
    return (
        f"Line {line}: written to {applied['file']}. Not yet in force: a call or recording goes on, or its card "
        "stands still. It takes effect when the daemon is started again, or when this is learned again after the call."
    )


def _tell(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
