"""What changes something: trash and back, a line's key, accounts, alarms. The daemon does it and journals it."""

import argparse
import shutil
import sys
import textwrap
from typing import Any

from firmware.cli.box import Box, actor, recorder_failures
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output, clean
from firmware.cli.times import short_text

MOST_HANDLES = 500


def trash(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _each(box, out, "trash", arguments.handles, reason=arguments.reason)


def undelete(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    return _each(box, out, "undelete", arguments.handles)


def _each(box: Box, out: Output, do: str, named: list[str], **fields: Any) -> int:
    with box.catalogue() as catalogue:
        handles = [row.handle for row in box.resolve_all(catalogue, named)]
    done: list[str] = []
    failed: list[dict[str, Any]] = []
    with box.client() as client:
        for at in range(0, len(handles), MOST_HANDLES):
            answer = client.call(do, handles=handles[at : at + MOST_HANDLES], actor=actor(), **fields)
            done += answer["done"]
            failed += answer["failed"]
    if out.json:
        out.document({"done": done, "failed": failed})
    else:
        for handle in done:
            out.line(handle, "in the trash" if do == "trash" else "brought back")
        for failure in failed:
            out.remark(f"linekeep: {failure['handle']}: {failure['message']}")
    return Exit.NO if failed else Exit.OK


def link(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    with box.catalogue() as catalogue:
        copy, principal = (box.resolve(catalogue, one).handle for one in (arguments.copy, arguments.principal))
    box.call("link", handle=copy, principal=principal, actor=actor())
    return _linked(out, copy, principal, "is a copy of")


def unlink(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    with box.catalogue() as catalogue:
        copy = box.resolve(catalogue, arguments.copy).handle
    principal = box.call("unlink", handle=copy, actor=actor())["principal"]
    return _linked(out, copy, principal, "is no copy any more of")


def _linked(out: Output, copy: str, principal: str, words: str) -> int:
    if out.json:
        out.document({"handle": copy, "principal": principal})
    else:
        out.say(f"{copy} {words} {principal}")
    return Exit.OK


def key(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    on = arguments.state == "on"
    handle = box.call("key", line=arguments.line, on=on, actor=actor())["handle"]
    if out.json:
        out.document({"line": arguments.line, "on": on, "handle": handle})
    elif handle is None:
        out.remark(f"Line {arguments.line} was not being recorded by key." if not on else "It is recorded already.")
    else:
        out.line(handle, "recording" if on else "stopped")
    return Exit.OK if handle else Exit.NO


# People --------------------------------------------------------------------------------------------------------------


_PEOPLE = (Column("name"), Column("roles"), Column("language"), Column("enabled"))


def user_list(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    from recorder.access import Reader

    box.require_folder()
    with recorder_failures():
        reader = Reader(box.data)
        people, setup_open = reader.people(), reader.setup_open()
    if out.json:
        shown = [
            {"name": one.name, "roles": one.roles, "language": one.language, "enabled": one.enabled} for one in people
        ]
        out.document({"people": shown, "setup_open": setup_open})
        return Exit.OK
    rows = [(one.name, ", ".join(one.roles), one.language, "yes" if one.enabled else "no") for one in people]
    out.table(_PEOPLE, rows)
    if setup_open:
        out.remark("A setup code is valid: with it the next account can be made in the page.")
    return Exit.OK


def user_reset(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Failure(Exit.USAGE, "`user reset` disables every account and asks first.", "Call it with --yes.")
        sys.stderr.write("Every account of the page will be disabled. Go on? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            out.remark("Nothing was changed.")
            return Exit.NO
    code = box.call("user.reset", actor=actor())["code"]
    if out.json:
        out.document({"code": code})
    else:
        out.remark("Every account is disabled. Open the page and make a new one with this one-time setup code:")
        out.say(code)
    return Exit.OK


# Alarms --------------------------------------------------------------------------------------------------------------

_ALARMS = (
    Column("id"), Column("severity"), Column("state"), Column("since"), Column("times", True), Column("about"),
    Column("alarm", text=True), Column("advice", text=True),
)  # fmt: skip


def alarms(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    if arguments.act:
        return _acknowledge(box, out, arguments.alarm)
    known = box.call("alarm.list")["alarms"]
    if out.json:
        out.document({"alarms": known})
    else:
        rows = [_alarm_row(box, alarm) for alarm in known]
        if out.terminal:
            for row in rows:
                _say_alarm(out, row)
        else:
            out.table(_ALARMS, rows)
        out.remark(f"{sum(alarm['resolved_utc_ns'] is None for alarm in known)} open")
    return Exit.OK


def _say_alarm(out: Output, row: tuple[Cell, ...]) -> None:
    """On a screen an alarm is a paragraph: what it says and advises is too long for columns."""
    number, severity, state, since, times, about, *texts = map(clean, row)
    out.say(f"{number}  {severity}, {state}, {about}, since {since}{f', {times} times' if times != '1' else ''}")
    width = shutil.get_terminal_size().columns - 4
    for text in texts:
        out.say(textwrap.indent(textwrap.fill(text, max(width, 30)), "    "))


def _alarm_row(box: Box, alarm: dict[str, Any]) -> tuple[Cell, ...]:
    if alarm["resolved_utc_ns"] is not None:
        state = "resolved"
    else:
        state = "open" if alarm["acknowledged_utc_ns"] is None else f"acknowledged by {alarm['acknowledged_by']}"
    return (
        alarm["id"], alarm["severity"], state, short_text(alarm["raised_utc_ns"], box.zone), alarm["count"],
        alarm["object"], alarm["title"], alarm["advice"],
    )  # fmt: skip


def _acknowledge(box: Box, out: Output, alarm: str | None) -> int:
    if not alarm:
        raise Failure(Exit.USAGE, "`alarms ack` needs the id of an alarm.", "`linekeep alarms` shows the ids.")
    box.call("alarm.ack", alarm=alarm, actor=actor())
    if out.json:
        out.document({"acknowledged": alarm})
    else:
        out.say(f"Alarm {alarm} is acknowledged.")
    return Exit.OK
