"""What happens now: the box's state, the wall of lines, a line's sound."""

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from firmware.cli import sound
from firmware.cli.box import Box, actor, require_line
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output, console, rich_table
from firmware.cli.times import clock_text, offset_text
from firmware.wire import numbered

LINE_COLUMNS = (
    Column("line", True), Column("name", text=True), Column("state"), Column("for", True), Column("dir"),
    Column("number"), Column("class"), Column("dBm0", True), Column("volts", True, minor=True), Column("rec", True),
    Column("trigger", minor=True), Column("armed", minor=True), Column("kind", minor=True),
    Column("role", minor=True), Column("card"),
)  # fmt: skip


NO_TROUBLE = ("lost_samples", "calls_of_tick", "digits")
"""Figures of a card that are told elsewhere, or are none of trouble."""


def status(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    state = box.call("status")
    if out.json:
        out.document(state)
    else:
        out.pairs(_status_rows(state))
    return Exit.OK


def _status_rows(state: dict[str, Any]) -> Iterator[tuple[str, Cell]]:
    clock, lines, writer, alarms = state["clock"], state["lines"], state["writer"], state["alarms"]
    yield "box", state["box"] + (" (simulated)" if state["simulated"] else "")
    yield "health", state["health"]
    yield (
        "alarms",
        f"{alarms['open']} open, {alarms['unacknowledged']} not acknowledged"
        + (f", worst {alarms['worst']}" if alarms["worst"] else ""),
    )
    by_state = ", ".join(f"{n} {name}" for name, n in lines.items() if n and name not in ("total", "recording"))
    yield (
        "lines",
        f"{lines.get('total', 0)}, recording {lines.get('recording', 0)}" + (f": {by_state}" if by_state else ""),
    )
    recordings = state["recordings"]
    yield "recordings", f"{recordings['total']}, {recordings['today']} today, {recordings['trash']} in the trash"
    for card in state["cards"]:
        yield f"card {card['name']}", _card_text(card)
        for span in card["spans"]:
            yield f"span {span['number']}", _span_text(span)
    yield "gaps", f"{state['gaps']['count']}, {state['gaps']['samples'] / 8000:.2f} s since the start"
    yield (
        "writer",
        f"{writer['open']} open, synced {writer['last_sync_age_s']:.1f} s ago, sync {writer['sync_ms']['p50']:.1f} ms",
    )
    yield "disk", _disk_text(state["disk"])
    synchronised = "synchronised" if clock["synchronised"] else "not synchronised"
    yield "clock", f"{clock['zone']} {offset_text(clock['utc_offset_s'])}, {synchronised}"
    yield "key", state["key_fingerprint"] or "cannot be used: `linekeep alarms` says why"
    yield "daemon", f"version {state['version']}, pid {state['pid']}, up {clock_text(state['uptime_s'])}"


def _card_text(card: dict[str, Any]) -> str:
    volts = [round(volts) for volts in card["volts"]]
    counts = {
        name: n for name, n in card["counts"].items() if n and name not in ("lost_samples", "calls_of_tick", "digits")
    }
    parts = (
        card["driver"] or card["kind"], card["state"], f"{card['lines']} lines, {card['law']}",
        f"nothing from lines {numbered(card['down'])}" if card["down"] else "",
        f"{volts[0]} V" if volts and volts[0] == volts[1] else f"{volts[0]} to {volts[1]} V" if volts else "",
        f"{card['gaps']} gaps, {card['lost_samples'] / 8000:.2f} s lost",
        *(f"{name.replace('_', ' ')} {n}" for name, n in counts.items()),
        f"tick p99 {card['tick_ms']['p99']:.1f} ms, {card['late_ticks']} late",
        "declared from public documentation, not yet run on a real card" if card["kind"] == "synway" else "",
    )  # fmt: skip
    return ", ".join(filter(None, parts))


def _span_text(span: dict[str, Any]) -> str:
    alarms = f"alarm: {', '.join(span['alarms'])}" if span["alarms"] else "no alarm"
    missed = f", {span['interrupts_missed']} interrupts missed" if span["interrupts_missed"] else ""
    return f"{span['name']}, {span['type']}, lines {numbered(span['lines'])}, {alarms}{missed}"


def _disk_text(disk: dict[str, Any]) -> str:
    gigabytes = f"{disk['free_bytes'] / 1e9:.1f} of {disk['total_bytes'] / 1e9:.1f} GB free"
    days = disk["days_left"]
    return f"{gigabytes}, recordings {disk['recordings_bytes'] / 1e9:.3f} GB" + (
        f", {days:.0f} days left" if days else ""
    )


# The wall ------------------------------------------------------------------------------------------------------------


def lines(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    if arguments.watch:
        return _watch(box, out)
    snapshots = box.call("lines")["lines"]
    if out.json:
        out.document({"lines": snapshots})
    else:
        out.table(LINE_COLUMNS, [_line_row(snapshot) for snapshot in snapshots])
    return Exit.OK


def _line_row(line: dict[str, Any]) -> tuple[Cell, ...]:
    age_s = max(0.0, (time.time_ns() - line["since_utc_ns"]) / 1e9)
    volts = line["volts"]
    return (
        line["line"], line["name"], line["state"], clock_text(age_s),
        "" if line["direction"] == "unknown" else line["direction"],
        " ".join(filter(None, (line["number"], line["name_shown"]))), line["class"], f"{line['level_dbm0']:.0f}",
        None if volts is None else f"{volts:.0f}", clock_text(line["recorded_s"]) if line["recording"] else "",
        line["trigger"], line["armed"], None if line["kind"] == "direct" else line["kind"],
        None if line["role"] == "tap" else line["role"], line["card"] + (" (simulated)" if line["simulated"] else ""),
    )  # fmt: skip


def _watch(box: Box, out: Output) -> int:
    """On a terminal one table that changes in place; else a line for every change."""
    with box.client() as client, closing(client.stream("watch", what=["lines"], interval_ms=500)) as reports:
        if out.terminal and not out.json:
            return _watch_table(reports)
        if not out.json:
            out.line(*(column.title for column in LINE_COLUMNS))
        for report in reports:
            if report["event"] == "end":
                return _ended(report)
            for line in report.get("lines", ()):
                if out.json:
                    out.record(line)
                else:
                    out.line(*_line_row(line))
            out.flush()
    return Exit.OK


def _watch_table(reports: Iterator[dict[str, Any]]) -> int:
    from rich.live import Live

    wall: dict[int, dict[str, Any]] = {}
    with Live(console=console(), auto_refresh=False, screen=True) as live:
        for report in reports:
            if report["event"] == "end":
                return _ended(report)
            wall.update((line["line"], line) for line in report.get("lines", ()))
            rows = [_line_row(wall[number]) for number in sorted(wall)]
            live.update(rich_table(LINE_COLUMNS, rows))
            live.refresh()
    return Exit.OK


def _ended(report: dict[str, Any]) -> int:
    raise Failure(Exit.NO, f"The daemon ended the stream: {report.get('reason', 'no reason given')}.", "Call it again.")


# A line's sound ------------------------------------------------------------------------------------------------------


def listen(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Samples that were lost on the way are filled with silence, so that what is heard keeps its time."""
    sound.check(arguments.to)
    limit = None if arguments.seconds is None else round(arguments.seconds * sound.RATE)
    with box.client() as client:
        require_line(client, arguments.line)
        detail = {"line": arguments.line, "live": True}
        client.call("operation", act="listen", handle=None, detail=detail, actor=actor())
        with closing(client.stream("listen", line=arguments.line)) as reports:
            taken, lost = _take(reports, arguments.to, limit)
    if out.json and arguments.to != "-":
        seconds = taken / sound.RATE
        out.document({"line": arguments.line, "seconds": seconds, "lost_samples": lost, "to": arguments.to})
    else:
        out.remark(f"Line {arguments.line}: {clock_text(taken / sound.RATE)}, {lost} samples lost")
    return Exit.OK


def _take(reports: Iterator[dict[str, Any]], to: str | None, limit: int | None) -> tuple[int, int]:
    """Samples taken, and how many of these were lost and stand as silence. Ctrl-C leaves a whole file."""
    taken = lost = 0
    sink: sound.Sink | None = None
    try:
        for report in reports:
            if report["event"] == "end":
                _ended(report)
            if report["event"] != "audio":
                continue
            sink = sink or sound.open_sink(to, report["law"])
            missing = report.get("lost", 0) if taken else 0
            audio = sound.silence(report["law"], missing) + report["data"]
            audio = audio if limit is None else audio[: limit - taken]
            sink.write(audio)
            taken, lost = taken + len(audio), lost + min(missing, len(audio))
            if limit is not None and taken >= limit:
                break
    finally:
        if sink is not None:
            sink.close()
    return taken, lost
