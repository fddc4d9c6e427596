"""Accesses made while the daemon was down: the page or the command kept them, the daemon chains them when it starts.
So are acts of the keeper, which is asked directly then.

A file of `DATA/web/spool/` is one access (`recorder.spool` writes them): its act, actor, recording, time and
a random id. It is entered in the journal under its actor with its own time and id in the detail, then removed. A crash
between the two leaves a file whose id the journal has; it is entered once. A file that cannot be taken, or not be
removed, is told and keeps no daemon from starting.
"""

import logging
import re
from pathlib import Path
from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from firmware import requests
from firmware.asked import Actor
from firmware.keeper.acts import ACTS
from recorder.errors import RefusedError
from recorder.ledger import Ledger
from recorder.spool import chained

log = logging.getLogger(__name__)

LOOKED_BACK = 5000
"""Operations of the journal among which an id is looked for: more than are made while a daemon takes its spool."""
_ACTS = "|".join(re.escape(act) for act in (*get_args(requests.Access), *ACTS))


class Access(requests.Operation, kw_only=True):
    act: Annotated[str, Meta(pattern=f"^({_ACTS})$")]
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
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            foreign.append((path, f"It is in the journal and cannot be removed: {error.strerror}"))
    log.info("%d accesses of the time without a daemon are in the journal", len(paths) - len(foreign))
    return foreign


def _name(actor: Actor) -> str:
    return f"{actor.kind}:{actor.name}"
