"""An acceptance sheet of made-up lines, signed with a key of its own."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from firmware.acceptance import CHECKS
from firmware.cli.accept_sheet import LIMITS
from firmware.sheet import page, sealed
from firmware.sheet.document import (
    AlarmSheet,
    CardSheet,
    CheckSheet,
    FindingSheet,
    LineSheet,
    RecordingSheet,
    Sheet,
    judged,
)
from firmware.sheet.sealed import Sealed
from recorder import identity

NOON = 1_795_320_000_000_000_000
PASSED: dict[str, tuple[str, dict[str, Any]]] = {
    "connected": ("on_hook", {"volts": 48.2, "threshold_volts": 18.0}),
    "lifted": ("recorded", {"latency_ms": 112.5, "volts": 8.1, "threshold_volts": 18.0, "cut_volts": 3.0}),
    "digits": ("digits_agree", {"digits": "••••5678", "count": 8}),
    "sound": ("in_range", {"level_dbm0": -17.4, "noise_dbm0": -58.9}),
    "sealed": ("whole", {"duration_s": 12.34, "gaps": 0, "stop_reason": "on_hook"}),
    "caller": ("number_shown", {"number": "•••••••8000"}),
    "playback": ("said", {}),
}


def line(number: int, *worse: CheckSheet, name: str = "", simulated: bool = False) -> LineSheet:
    """A line that passed everything but what `worse` says."""
    checks = [
        CheckSheet(
            check=name, outcome="passed", reason=PASSED[name][0], required=check.required, values=PASSED[name][1]
        )
        for name, check in CHECKS.items()
    ]
    checks = [next((bad for bad in worse if bad.check == one.check), one) for one in checks]
    failed = any(one.outcome == "failed" for one in checks)
    missing = any(one.outcome == "not_done" and one.required for one in checks)
    recordings = [
        RecordingSheet(handle=f"{number:032x}", utc_ns=NOON, samples=98_720, audio_sha256=f"{number:064x}"),
        RecordingSheet(handle=f"{number + 512:032x}", utc_ns=NOON + 60 * 10**9, samples=98_720, audio_sha256="5d" * 32),
    ]
    return LineSheet(
        line=number, name=name, card="sim0" if simulated else "dahdi0", simulated=simulated, role="tap", kind="direct",
        armed="voltage", off_hook_volts=18.0, cut_volts=3.0, checks=checks, recordings=recordings,
        verdict="not_accepted" if failed else "incomplete" if missing else "accepted",
    )  # fmt: skip


def failed(check: str, reason: str, **values: Any) -> CheckSheet:
    return CheckSheet(check=check, outcome="failed", reason=reason, required=True, values=values)


def left_out(check: str, reason: str = "not_tried", **values: Any) -> CheckSheet:
    return CheckSheet(check=check, outcome="not_done", reason=reason, required=CHECKS[check].required, values=values)


def sheet(lines: list[LineSheet], **change: Any) -> Sheet:
    findings: list[FindingSheet] = change.pop(
        "findings", [FindingSheet(what="ticks", verdict="ok", figure="", remedy="")]
    )
    alarms: list[AlarmSheet] = change.pop("alarms", [])
    verdict, why = judged(lines, findings, alarms)
    simulated = any(one.simulated for one in lines)
    card = CardSheet(
        name="sim0" if simulated else "dahdi0", kind="simulated" if simulated else "dahdi", simulated=simulated,
        law="alaw", lines=len(lines), state="running", driver="" if simulated else "DAHDI 2.11.1",
    )  # fmt: skip
    made = Sheet(
        language="en", box="Harbour office", version="0.2.0", run="0011223344556677", simulated=simulated,
        from_utc_ns=NOON, until_utc_ns=NOON + 1800 * 10**9, zone="Asia/Shanghai", utc_offset_s=28_800,
        synchronised=True, installer="Li Ming", customer="Port authority", verdict=verdict, why=why, lines=lines,
        cards=[card], boards=["DAHDI 2.11.1", "0000:04:06.0 Digium d161:8005 (wctdm24xxp)"], limits=LIMITS,
        disk_free_bytes=812_400_000_000, disk_total_bytes=1_000_200_000_000, disk_days_left=412.0, gaps=0,
        gap_samples=0, findings=findings, alarms=alarms, configuration_changed=False,
    )  # fmt: skip
    return replace(made, **change)


def signed(data: Path, made: Sheet) -> Sealed:
    """As the daemon of this data folder would sign it."""
    box = identity.load_or_make(data)
    text = sealed.canonical(msgspec.to_builtins(made))
    said = {
        "sha256": sealed.digest(text), "verdict": made.verdict, "lines": len(made.lines), "actor": "console:li",
        "fingerprint": box.fingerprint, "utc_ns": made.until_utc_ns, "version": made.version,
    }  # fmt: skip
    statement = sealed.canonical(said)
    return Sealed(text, statement, box.sign(sealed.PURPOSE, statement.encode()).hex(), box.public.hex())


def drawn(data: Path, made: Sheet) -> str:
    return page.draw(signed(data, made))
