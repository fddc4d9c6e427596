"""The telephony cards: what there is (`scan`), and what its lines do now (`monitor`)."""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from firmware.cli.box import Box, require_line
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output, console, rich_table
from firmware.cli.times import clock_text

if TYPE_CHECKING:
    from cffi_bindings.dahdi import Channel, Span
    from firmware.cards.boards import Board
    from firmware.cards.scan import Found

# What there is --------------------------------------------------------------------------------------------------------

BOARD_COLUMNS = (Column("bus"), Column("id"), Column("maker"), Column("driver"), Column("what to do", text=True))
SPAN_COLUMNS = (
    Column("span", True), Column("name"), Column("type"), Column("alarms"), Column("channels", True),
    Column("missed interrupts", True), Column("device", text=True), Column("location", text=True, minor=True),
)  # fmt: skip
CHANNEL_COLUMNS = (
    Column("channel", True), Column("span", True), Column("name"), Column("port"), Column("law"), Column("hook"),
    Column("alarms"), Column("line", True),
)  # fmt: skip


def scan(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Exit code 1 where no channel was found."""
    from cffi_bindings.synway import UNPROVED
    from firmware.cards import scan as cards

    found = cards.look()
    names, lines = _configured(box)
    fresh = [channel for channel in found.channels if channel.number not in lines]
    configuration = cards.configuration(found.spans, fresh, names)
    synway = {"installed": found.synway, "proof": UNPROVED}
    if out.json:
        channels = [{**asdict(channel), "line": lines.get(channel.number)} for channel in found.channels]
        out.document({**asdict(found), "channels": channels, "synway": synway, "configuration": configuration})
    else:
        _tables(out, found, lines)
        if found.synway:
            out.pairs([("Synway library", f"installed ({UNPROVED})")])
        if configuration:
            out.say("")
            out.say(configuration.rstrip("\n"))
        if found.trouble:
            out.remark(found.trouble)
        elif not found.channels:
            out.remark("The driver is loaded and has no card. `linekeep doctor` says what is missing.")
    return Exit.OK if found.channels else Exit.NO


def _tables(out: Output, found: "Found", lines: Mapping[int, int]) -> None:
    from firmware.cards.scan import PORTS

    if found.version:
        out.pairs([("driver", f"DAHDI {found.version.driver}"), ("echo canceller", found.version.echo_canceller)])
    if found.boards:
        out.table(BOARD_COLUMNS, [_board_row(board) for board in found.boards])
    if found.spans:
        out.table(SPAN_COLUMNS, [_span_row(span) for span in found.spans])
        rows = [_channel_row(channel, PORTS[channel.signalling], lines) for channel in found.channels]
        out.table(CHANNEL_COLUMNS, rows)


def _board_row(board: "Board") -> tuple[Cell, ...]:
    remedy = None if board.driver else f"modprobe {' or '.join(board.modules) or 'its module'}"
    return board.address, board.id, board.maker, board.driver, remedy


def _span_row(span: "Span") -> tuple[Cell, ...]:
    channels = f"{span.configured_channels} of {span.channels}"
    alarms = ", ".join(span.alarms) or "none"
    device = " ".join(filter(None, (span.manufacturer, span.device)))
    return span.number, span.name, span.type, alarms, channels, span.interrupts_missed, device, span.location


def _channel_row(channel: "Channel", port: str, lines: Mapping[int, int]) -> tuple[Cell, ...]:
    alarms = ", ".join(channel.alarms) or "none"
    hook = "off" if channel.off_hook else "on"
    line = lines.get(channel.number)
    return channel.number, channel.span, channel.name, port, channel.law, hook, alarms, line


def _configured(box: Box) -> tuple[set[str], dict[int, int]]:
    """Of the box's configuration the names of its cards, and the line of each DAHDI channel."""
    from firmware import config, config_file

    try:
        cards = config_file.load(box.data / config.CONFIG_NAME).cards
    except config.ConfigError:
        # None yet, or one that is refused (`config check` says why): then nothing is taken.
        return set(), {}
    lines: dict[int, int] = {}
    first = 1
    for card in cards:
        if card.kind == "dahdi":
            lines.update(zip(card.channels, range(first, first + card.lines), strict=True))
        first += card.lines
    return {card.name for card in cards}, lines


# What the lines do ----------------------------------------------------------------------------------------------------

MONITOR_COLUMNS = (
    Column("line", True), Column("name", minor=True), Column("card"), Column("state"), Column("volts", True),
    Column("low", True), Column("high", True), Column("dBm0", True), Column("peak", True), Column("level"),
    Column("rec", True),
)  # fmt: skip
_BAR = 30
"""Characters of -60 to 0 dBm0."""
_SILENCE_DBM0 = -60.0


class Extremes:
    """Lowest and highest volts and highest level of each line since the monitor began."""

    def __init__(self) -> None:
        self._volts: dict[int, tuple[float, float]] = {}
        self._peak: dict[int, float] = {}

    def seen(self, line: Mapping[str, Any]) -> dict[str, float | None]:
        number, volts = line["line"], line["volts"]
        if volts is not None:
            low, high = self._volts.get(number, (volts, volts))
            self._volts[number] = min(low, volts), max(high, volts)
        self._peak[number] = peak = max(self._peak.get(number, -90.0), line["level_dbm0"])
        low_high = self._volts.get(number, (None, None))
        return {"volts_low": low_high[0], "volts_high": low_high[1], "peak_dbm0": peak}


def monitor(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """On a terminal a table that changes in place; else the rows, or one JSON document, for every look."""
    with box.client() as client:
        for number in arguments.lines:
            require_line(client, number)
        known = [card["name"] for card in client.call("status")["cards"]]
        if arguments.card is not None and arguments.card not in known:
            there = f"There are {', '.join(known)}." if known else "The box has none."
            raise Failure(Exit.NOT_FOUND, f"There is no card {arguments.card}.", there)
    looks = _looks(box, set(arguments.lines), arguments.card, arguments.every, arguments.seconds)
    if out.terminal and not out.json:
        return _monitor_table(looks)
    if not out.json:
        out.line(*(column.title for column in MONITOR_COLUMNS))
    for look in looks:
        if out.json:
            out.record(look)
        else:
            for line in look["lines"]:
                out.line(*_monitor_row(line))
            out.flush()
    return Exit.OK


def _looks(
    box: Box, lines: set[int], card: str | None, every_s: float, seconds: float | None
) -> Iterator[dict[str, Any]]:
    """What the daemon says, again and again: the time, the cards, the lines with their extremes so far."""
    extremes = Extremes()
    end = None if seconds is None else time.monotonic() + seconds
    with box.client() as client:
        while True:
            cards = [each for each in client.call("status")["cards"] if card in (None, each["name"])]
            names = {each["name"] for each in cards}
            shown = [
                {**line, **extremes.seen(line)}
                for line in client.call("lines")["lines"]
                if line["card"] in names and (not lines or line["line"] in lines)
            ]
            yield {"utc_ns": time.time_ns(), "cards": cards, "lines": shown}
            if end is not None and time.monotonic() + every_s > end:
                return
            time.sleep(every_s)


def _monitor_table(looks: Iterator[dict[str, Any]]) -> int:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    shown = Group()
    try:
        with Live(console=console(), auto_refresh=False, screen=True) as live:
            for look in looks:
                cards = [Text(_card_line(card)) for card in look["cards"]]
                rows = [_monitor_row(line) for line in look["lines"]]
                shown = Group(*cards, rich_table(MONITOR_COLUMNS, rows))
                live.update(shown)
                live.refresh()
    finally:
        # The screen goes as it came, also with Ctrl-C; what was measured stays.
        console().print(shown)
    return Exit.OK


def _card_line(card: Mapping[str, Any]) -> str:
    kind = card["kind"] if not card["simulated"] else "simulated"
    return (
        f"card {card['name']} ({kind}): {card['state']}, {card['lines']} lines, {card['law']}, "
        f"last block {card['last_block_age_s']:.2f} s ago, {card['late_ticks']} late, "
        f"{card['lost_samples']} samples lost"
    )


def _monitor_row(line: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        line["line"], line["name"], line["card"] + (" (simulated)" if line["simulated"] else ""), line["state"],
        _volts(line["volts"]), _volts(line["volts_low"]), _volts(line["volts_high"]), f"{line['level_dbm0']:.0f}",
        f"{line['peak_dbm0']:.0f}", bar(line["level_dbm0"], line["peak_dbm0"]),
        clock_text(line["recorded_s"]) if line["recording"] else "",
    )  # fmt: skip


def _volts(volts: float | None) -> str | None:
    return None if volts is None else f"{volts:.1f}"


def bar(level_dbm0: float, peak_dbm0: float) -> str:
    """The level from -60 to 0 dBm0, and a mark where the peak was."""

    def place(dbm0: float) -> int:
        return round(_BAR * min(max(1 - dbm0 / _SILENCE_DBM0, 0.0), 1.0))

    filled, mark = place(level_dbm0), place(peak_dbm0)
    drawn = "█" * filled + "·" * (_BAR - filled)
    return drawn if mark in (0, filled) else drawn[: mark - 1] + "|" + drawn[mark:]
