"""Is it still what it was? Configuration, digests of files, the journal's chain, and the catalogue made anew."""

import argparse
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from firmware.cli.box import Box, recorder_failures
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Cell, Column, Output, Progress
from firmware.clock import SystemClock
from recorder.model import Query, Recording, State

if TYPE_CHECKING:
    from recorder import chain
    from recorder.catalogue import Catalogue
    from recorder.verify import Verdict

PAGE_ROWS = 500


def verify(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Every file is read once, and where no recording is named the journal too. What is not what it was is named, and
    the exit code is 1."""
    from recorder.verify import verify_one

    findings: Counter[str] = Counter()
    bad: list[Verdict] = []
    read_bytes = 0
    with box.catalogue() as catalogue, Progress("verify") as progress:
        rows: Iterator[Recording] = iter(box.resolve_all(catalogue, arguments.handles))
        total = len(arguments.handles)
        if not arguments.handles:
            counts = catalogue.counts()
            rows, total = _every(catalogue), counts.total + counts.live
        for row in rows:
            verdict = verify_one(box.data, row)
            findings[verdict.finding] += 1
            read_bytes += verdict.read_bytes
            if not verdict.good:
                bad.append(verdict)
            progress.at(findings.total(), total)
        journal = None if arguments.handles else _journal(box.data, catalogue)
    if out.json:
        shown, chain = msgspec.to_builtins(bad), msgspec.to_builtins(journal)
        out.document({
            "checked": findings.total(), "findings": findings, "read_bytes": read_bytes, "bad": shown, "journal": chain,
        })  # fmt: skip
    else:
        _say(out, findings, bad, journal)
    return Exit.NO if bad or (journal is not None and journal.errors) else Exit.OK


def _journal(data: Path, catalogue: "Catalogue") -> "chain.Verdict":
    """Every entry is read again, up to the one that the catalogue remembers at least."""
    from recorder import chain
    from recorder.folder import remembered

    verdict = None
    with Progress("verify, entries of the journal") as progress:
        for entries, told in chain.verify_chain(data / "journal", remembered(catalogue)):
            progress.at(entries, None)
            verdict = told
    assert verdict is not None
    return verdict


def _say(out: Output, findings: Counter[str], bad: "list[Verdict]", journal: "chain.Verdict | None") -> None:
    rows: list[tuple[Cell, ...]] = [(one.handle, str(one.finding), one.path, one.text) for one in bad]
    rows += [(None, "broken_journal", "journal", error) for error in (journal.errors if journal else ())]
    if rows:
        columns = (Column("handle"), Column("finding"), Column("file", minor=True), Column("what to do", text=True))
        out.table(columns, rows)
    told = ", ".join(f"{count} {finding.replace('_', ' ')}" for finding, count in sorted(findings.items()))
    out.remark(f"{findings.total()} recordings: {told or 'none'}")
    if journal is not None:
        broken = f"{len(journal.errors)} errors, {journal.unproved} not proved"
        erased = f", {journal.erased} erased" if journal.erased else ""
        state = broken if journal.errors else "the chain is whole"
        out.remark(f"{journal.entries} entries of the journal: {state}{erased}")


def _every(catalogue: "Catalogue") -> Iterator[Recording]:
    query = Query(states=tuple(State), limit=PAGE_ROWS)
    while True:
        page = catalogue.search(query)
        yield from page.rows
        if page.next is None:
            return
        query = msgspec.structs.replace(query, before_id=page.next)


def config_check(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    from firmware import config, config_file

    path = Path(arguments.file) if arguments.file else box.data / config.CONFIG_NAME
    if not path.exists():
        remedy = "The daemon writes one at its first start; `linekeep config check FILE` reads another."
        raise Failure(Exit.NOT_FOUND, f"There is no configuration at {path}.", remedy)
    try:
        found = config_file.load(path)
    except config.ConfigError as error:
        if out.json:
            out.document({"file": str(path), "ok": False, "error": str(error)})
        else:
            out.remark(f"linekeep: {error}")
        return Exit.NO
    enabled = sum(line.enabled for line in found.lines)
    if out.json:
        out.document(
            {"file": str(path), "ok": True, "cards": len(found.cards), "lines": len(found.lines), "enabled": enabled}
        )
    else:
        out.say(f"{path}: good; {len(found.cards)} cards, {len(found.lines)} lines, {enabled} enabled")
    return Exit.OK


def rebuild(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """The old catalogue goes, recordings and journal make the new one; the lock keeps the daemon away meanwhile.

    Files that are none are named, left where they are, and the exit code is 1."""
    from recorder import ledger

    box.require_folder()
    _as_owner(box.data)
    with recorder_failures(), Progress("rebuild") as progress:
        findings = ledger.rebuild(box.data, SystemClock(), random.SystemRandom(), lambda done: progress.at(done, None))
    with box.catalogue() as catalogue:
        counts = catalogue.counts()
    damaged = [{"path": str(path), "text": text} for path, text in findings.damaged]
    report = {
        "recordings": counts.total, "trash": counts.trash, "purged": counts.purged, "missing": findings.missing,
        "recovered": findings.recovered, "found": findings.found, "damaged": damaged,
        "journal_cut_bytes": findings.journal_cut_bytes,
    }  # fmt: skip
    if out.json:
        out.document(report)
    else:
        _say_rebuilt(out, report)
    return Exit.NO if damaged else Exit.OK


def _as_owner(data: Path) -> None:
    """The daemon could not write files of root's."""
    owner = data.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
        os.umask(0o027)


def _say_rebuilt(out: Output, report: dict[str, Any]) -> None:
    out.say("{recordings} recordings, {trash} of them in the trash, {purged} purged".format_map(report))
    for what, many in (("recovered", "recovered"), ("found", "found"), ("without a file", "missing")):
        if report[many]:
            out.say(f"{len(report[many])} {what}")
    for one in report["damaged"]:
        out.remark(f"linekeep: {one['text']}")
