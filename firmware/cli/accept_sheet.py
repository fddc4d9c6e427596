"""The sheet of an acceptance test: gathered, signed by the daemon, written; and one that somebody brings, checked."""

import argparse
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from firmware import acceptance, config, config_file
from firmware.acceptance import CHECKS, NOT_TRIED, LineTest
from firmware.cli.box import Box, actor
from firmware.cli.doctor import findings
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Column, Output
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
from firmware.sheet.sealed import Sealed, SheetError
from recorder import identity
from recorder.errors import IdentityError

LONGEST_BYTES = 64 << 20
LIMITS = {
    "quiet_dbm0": acceptance.LEVEL_DBM0[0], "loud_dbm0": acceptance.LEVEL_DBM0[1],
    "noise_dbm0": acceptance.NOISE_DBM0, "latency_ms": acceptance.LATEST_MS, "margin_volts": acceptance.MARGIN_VOLTS,
}  # fmt: skip


def place(named: str | None, now: datetime) -> Path:
    """Where the sheet goes: a new file, in a folder that can be written; asked before the test, which takes long."""
    path = Path(named or f"acceptance-{now:%Y%m%d-%H%M%S}.html").absolute()
    if path.exists():
        raise Failure(Exit.USAGE, f"{path} is there already.", "Name a new file with --out.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise Failure(
            Exit.USAGE, f"{path.parent} is no folder that can be written.", "Name a file elsewhere: --out /tmp/FILE."
        )
    return path


# Made -----------------------------------------------------------------------------------------------------------------


def make(box: Box, out: Output, arguments: argparse.Namespace, tests: list[LineTest], begun_ns: int, path: Path) -> int:
    """Exit code 1 where the box is not accepted, or not yet."""
    out.remark("Examining the machine ...")
    sheet = _sheet(box, arguments, tests, begun_ns)
    text = sealed.canonical(msgspec.to_builtins(sheet))
    fields = {"sha256": sealed.digest(text), "verdict": sheet.verdict, "lines": len(sheet.lines)}
    answer = box.call("accept", actor=actor(), **fields)
    signed = Sealed(text, answer["statement"], answer["signature"], answer["public_key"])
    _write(path, page.draw(signed).encode())
    if out.json:
        out.document({"file": str(path), "statement": signed.stated, "sheet": signed.told})
    else:
        checks = (Column(name) for name in CHECKS)
        out.table((Column("line", True), Column("result"), *checks), [_line_row(line) for line in sheet.lines])
        verdict = sheet.verdict.replace("_", " ").upper() + (" (simulated lines)" if sheet.simulated else "")
        why = "; ".join(f"{one.what.replace('_', ' ')} {one.which}".rstrip() for one in sheet.why)
        out.pairs([("verdict", verdict), ("because", why), ("sheet", str(path)), ("key", signed.stated["fingerprint"])])
    return Exit.OK if sheet.verdict == "accepted" else Exit.NO


def _write(path: Path, content: bytes) -> None:
    """A new file, all of it on the disk, or none."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
    except OSError as error:
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def _line_row(line: LineSheet) -> tuple[str | int, ...]:
    outcomes = (check.outcome.replace("_", " ") for check in line.checks)
    return line.line, line.verdict.replace("_", " "), *outcomes


def _sheet(box: Box, arguments: argparse.Namespace, tests: list[LineTest], begun_ns: int) -> Sheet:
    until_ns = time.time_ns()
    # Alarms are judged one by one.
    examined = [
        FindingSheet(what=one.what, verdict=one.verdict, figure=one.figure, remedy=one.remedy)
        for one in findings(box)
        if one.what != "alarms"
    ]
    with box.client() as client:
        status, alarms = client.call("status"), _alarms(client.call("alarm.list")["alarms"])
    lines = [_line(test) for test in tests]
    verdict, why = judged(lines, examined, alarms)
    clock, disk = status["clock"], status["disk"]
    return Sheet(
        language=arguments.language or _language(box), box=status["box"], version=status["version"], run=status["run"],
        simulated=any(line.simulated for line in lines), from_utc_ns=begun_ns, until_utc_ns=until_ns,
        zone=clock["zone"], utc_offset_s=clock["utc_offset_s"], synchronised=clock["synchronised"],
        installer=arguments.installer, customer=arguments.customer, verdict=verdict, why=why, lines=lines,
        cards=[_card(card) for card in status["cards"]], boards=list(_boards()), limits=LIMITS,
        disk_free_bytes=disk["free_bytes"], disk_total_bytes=disk["total_bytes"], disk_days_left=disk["days_left"],
        gaps=status["gaps"]["count"], gap_samples=status["gaps"]["samples"], findings=examined, alarms=alarms,
        configuration_changed=any(_changed(test) for test in tests),
    )  # fmt: skip


def _language(box: Box) -> str:
    try:
        return config_file.load(box.data / config.CONFIG_NAME).box.language
    except config.ConfigError:
        # `doctor` has told of it, and the sheet says so.
        return config.BoxConfig().language


def _card(card: dict[str, Any]) -> CardSheet:
    return msgspec.convert({name: card[name] for name in CardSheet.__struct_fields__}, CardSheet)


def _boards() -> Iterator[str]:
    """The driver, the cards on the bus and their spans, as `card scan` sees them."""
    from firmware.cards import scan

    found = scan.look()
    if found.version is not None:
        yield f"DAHDI {found.version.driver}"
    for board in found.boards:
        yield f"{board.address} {board.maker} {board.id} ({board.driver or '?'})"
    for span in found.spans:
        yield f"{span.name} {span.type} {' '.join(span.alarms)}".rstrip()


def _alarms(alarms: list[dict[str, Any]]) -> list[AlarmSheet]:
    return [
        AlarmSheet(
            code=one["code"], severity=one["severity"], object=one["object"], title=one["title"],
            raised_utc_ns=one["raised_utc_ns"], acknowledged=one["acknowledged_utc_ns"] is not None,
        )
        for one in alarms
        if one["resolved_utc_ns"] is None
    ]  # fmt: skip


def _line(test: LineTest) -> LineSheet:
    line = test.line
    results = [(name, check, test.results.get(name, NOT_TRIED)) for name, check in CHECKS.items()]
    checks = [
        CheckSheet(
            check=name, outcome=result.outcome, reason=result.reason, required=check.required, values=result.values,
            failed_before=result.failed_before,
        )
        for name, check, result in results
    ]  # fmt: skip
    recordings = [
        RecordingSheet(handle=one.handle, utc_ns=one.first_utc_ns, samples=one.samples, audio_sha256=one.audio_sha256)
        for one in test.recordings
    ]
    return LineSheet(
        line=line.number, name=line.name, card=line.card, simulated=line.simulated, role=line.role, kind=line.kind,
        armed=line.armed, off_hook_volts=line.off_hook_volts, cut_volts=line.cut_volts, verdict=test.verdict,
        checks=checks, recordings=recordings,
    )  # fmt: skip


def _changed(test: LineTest) -> bool:
    """Was the threshold in force another than the file's?"""
    return any(one.threshold_volts not in (None, test.line.off_hook_volts) for one in test.recordings)


# Checked --------------------------------------------------------------------------------------------------------------


def verify(box: Box, out: Output, name: str, fingerprint: str | None) -> int:
    """Says of a file what it is worth. Needs no daemon. Exit code 1 where it is no good sheet of this box."""
    try:
        text = _text(Path(name))
        checked = sealed.check(text, page.draw)
    except SheetError as error:
        remedy = "Ask for the file as it was written; a printed or saved page is not the same."
        raise Failure(Exit.NO, f"{name} is no acceptance sheet: {error}.", remedy) from error
    whose, known = _whose(box, checked.fingerprint, fingerprint)
    told, stated = checked.sealed.told, checked.sealed.stated
    findings = {
        "signature": "good" if checked.signed else "bad: the box's statement was changed, or made by somebody else",
        "sheet": "is what was signed" if checked.whole else "is not what was signed",
        "page": "shows what was signed" if checked.shown else "shows something else than what was signed",
        "key": whose,
    }
    good = checked.good and known is not False
    if not checked.shown and checked.signed and checked.whole:
        findings["page"] += f" (or was drawn by another version; it names {stated['version']})"
    if out.json:
        out.document({"file": name, "good": good, **findings, "fingerprint": checked.fingerprint, "told": told})
        return Exit.OK if good else Exit.NO
    out.pairs([*findings.items(), ("fingerprint", checked.fingerprint)])
    if checked.signed and checked.whole:
        when = datetime.fromtimestamp(stated["utc_ns"] / 1e9, box.zone).isoformat(timespec="seconds")
        verdict = stated["verdict"].replace("_", " ").upper()
        out.pairs([("verdict", verdict), ("lines", stated["lines"]), ("made", when), ("asked by", stated["actor"])])
    out.remark("The sheet is good." if good else "The sheet is not to be trusted.")
    return Exit.OK if good else Exit.NO


def _text(path: Path) -> str:
    if path.stat().st_size > LONGEST_BYTES:
        raise SheetError("it is too long")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SheetError("it is no text") from error


def _whose(box: Box, found: str, noted: str | None) -> tuple[str, bool | None]:
    """Whose key it is, and whether that is the one it should be; None where nobody can tell here."""
    if noted is not None:
        same = identity.same(found, noted)
        return ("the one that was noted down" if same else "NOT the one that was noted down"), same
    try:
        same = identity.same(found, identity.fingerprint(identity.public_of(box.data)))
    except IdentityError:
        return "not compared: compare the fingerprint with the box's, or use --fingerprint", None
    return ("this box's" if same else "NOT this box's; with --fingerprint it is compared with that instead"), same
