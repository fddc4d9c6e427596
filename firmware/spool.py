"""Accesses made while the daemon was down: the page or the command kept them, the daemon chains them when it starts.

A file of `DATA/web/spool/` is one access (`recorder.spool` writes them): its act, actor, recording, time and
a random id. It is entered in the journal under its actor with its own time and id in the detail, then removed. A crash
between the two leaves a file whose id the journal has; it is entered once.
"""

import logging
from pathlib import Path

import msgspec

from firmware.asked import Actor
from firmware.requests import EnterOperation
from recorder.errors import RefusedError
from recorder.ledger import Ledger
from recorder.spool import chained

log = logging.getLogger(__name__)

LOOKED_BACK = 5000
"""Operations of the journal among which an id is looked for: more than are made while a daemon takes its spool."""


class Access(EnterOperation, kw_only=True):
    id: str
    utc_ns: int


def take(ledger: Ledger, folder: Path) -> list[tuple[Path, str]]:
    """Enters every access in `folder`; the files that are none, left where they are, each with what is wrong."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        return []
    known = {operation.detail.get("spool") for operation in ledger.catalogue.operations(None, LOOKED_BACK)}
    foreign = []
    for path in paths:
        try:
            access = msgspec.json.decode(path.read_bytes(), type=Access)
        except (msgspec.DecodeError, OSError) as error:
            foreign.append((path, str(error)))
            continue
        if access.id not in known:
            detail = chained(access.detail, access.id, access.utc_ns)
            try:
                ledger.operation(access.act, _name(access.actor), access.handle, detail)
            except RefusedError as error:
                foreign.append((path, str(error)))
                continue
        path.unlink()
    log.info("%d accesses of the time without a daemon are in the journal", len(paths) - len(foreign))
    return foreign


def _name(actor: Actor) -> str:
    return f"{actor.kind}:{actor.name}"
