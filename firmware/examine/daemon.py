"""The running daemon, by what it says of itself (`status` on the control socket)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from firmware.examine import Finding, graded

_LOSSES: Final = ("overruns", "lost_interrupts", "late_blocks", "slips", "events_lost")
"""Of what a card counts, that by which something was lost."""


def daemon(status: Mapping[str, Any]) -> Iterator[Finding]:
    """`status` as in docs/control.md."""
    yield Finding("daemon", "ok", f"version {status['version']}, pid {status['pid']}, health {status['health']}")
    for card in status["cards"]:
        yield _card(card)
    yield _gaps(status["gaps"])
    yield _writer(status["writer"])
    yield _alarms(status["alarms"])


def absent(why: str) -> Finding:
    return Finding("daemon", "warn", f"not running: {why}", "Start it (`make run`, or `systemctl start linekeep`).")


def _card(card: Mapping[str, Any]) -> Finding:
    tick_ms = card["tick_ms"]["p99"]
    what = f"running card {card['name']}"
    figure = (
        f"{card['state']}, {card['lines']} lines, tick {tick_ms:.1f} ms (99%), {card['late_ticks']} late, "
        f"{card['lost_samples']} samples lost"
    )
    lost = [f"{name.replace('_', ' ')} {card['counts'][name]}" for name in _LOSSES if card["counts"].get(name)]
    figure = ", ".join((figure, *lost))
    told: dict[str, float | int | str] = {
        "tick_ms_p99": tick_ms, "late_ticks": card["late_ticks"], "lost_samples": card["lost_samples"],
        "last_block_age_s": card["last_block_age_s"], **card["counts"],
    }  # fmt: skip
    if card["state"] != "running":
        remedy = "`linekeep alarms` says why; `linekeep card scan` shows what the driver has."
        return Finding(what, "bad", figure, remedy, told)
    if card["down"]:
        lines = ", ".join(map(str, card["down"]))
        return Finding(what, "bad", f"{figure}; nothing comes on lines {lines}", "Check their cables.", told)
    verdict = graded(tick_ms, 10, 20)
    if verdict != "ok":
        return Finding(what, verdict, figure, "A tick has 20 ms: fewer lines, or a faster processor.", told)
    if card["lost_samples"] or lost:
        remedy = "Gaps are marked in the recordings; ticks, interrupts and disk above say what may have caused them."
        return Finding(what, "warn", figure, remedy, told)
    return Finding(what, "ok", figure, measured=told)


def _gaps(gaps: Mapping[str, Any]) -> Finding:
    figure = f"{gaps['count']} since the start, {gaps['samples'] / 8000:.2f} s of all lines"
    told = {"count": gaps["count"], "samples": gaps["samples"]}
    if gaps["count"]:
        return Finding("gaps", "warn", figure, "`linekeep search` shows the recordings that have any.", told)
    return Finding("gaps", "ok", figure, measured=told)


def _writer(writer: Mapping[str, Any]) -> Finding:
    figure = (
        f"{writer['open']} recordings open, synced {writer['last_sync_age_s']:.1f} s ago, a round takes "
        f"{writer['sync_ms']['p50']:.1f} ms, at worst {writer['sync_ms']['max']:.1f} ms"
    )
    told: dict[str, float | int | str] = {
        "last_sync_age_s": writer["last_sync_age_s"], "sync_ms_p50": writer["sync_ms"]["p50"],
        "sync_ms_max": writer["sync_ms"]["max"], "behind_s": writer["behind_s"],
    }  # fmt: skip
    verdict = graded(writer["behind_s"], 2, 5) if writer["open"] else "ok"
    remedy = "" if verdict == "ok" else "The disk does not follow: see disk speed above, and what else writes to it."
    return Finding("writer", verdict, figure, remedy, told)


def _alarms(alarms: Mapping[str, Any]) -> Finding:
    figure = f"{alarms['open']} open" + (f", worst {alarms['worst']}" if alarms["open"] else "")
    told = {"open": alarms["open"]}
    if not alarms["open"]:
        return Finding("alarms", "ok", figure, measured=told)
    verdict = graded(("warning", "minor", "major", "critical").index(alarms["worst"]), 0, 2)
    return Finding("alarms", verdict, figure, "`linekeep alarms` lists them with what to do.", told)
