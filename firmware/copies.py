"""Which recordings of the box are copies of one call: where to look, and what then to do.

A PBX's trunk line and what is behind it, an extension or a handset's cord, carry the same call. After a recording of
one side is sealed, those of the other side that were being made at the same time are compared with it
(`recorder.links`); so a pair is found when the later of the two is sealed. The one on the trunk is the principal: it
has the exchange's number. Lines of the same side are never compared, nor are direct ones; a handset beside its own
extension stays two recordings.

Looking is a generator that yields after every comparison, so that its thread can do other work between. It goes by
the catalogue alone: what it found is a job for the ledger. What people have unlinked stays so.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from firmware.config import LineKind
from recorder import links
from recorder.catalogue import find
from recorder.errors import RecordingError
from recorder.ledger import Ledger
from recorder.likeness import Likeness
from recorder.model import Query, Recording, State

log = logging.getLogger(__name__)

BEHIND = ("extension", "handset")
MOST_COMPARED = 64
"""Recordings of the other side that are compared with one, those first that end most nearly when it does."""
MOST_LEFT = 200
LEFT_S = 60.0
"""A start looks at what had been sealed so long before the box stopped: perhaps nobody had come to it."""
Pause = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Found:
    copy: Recording
    principal: Recording
    likeness: Likeness

    def enter(self, ledger: Ledger) -> list[Recording]:
        """The job of the ledger's thread."""
        detail = {"likeness": self.likeness.likeness, "lag_ms": round(1000 * self.likeness.lag_s)}
        return ledger.link(self.copy.handle, self.principal.handle, "system", detail)


class Copies:
    """For the lines of a box."""

    def __init__(self, kinds: Mapping[int, LineKind]) -> None:
        self._trunks = frozenset(line for line, kind in kinds.items() if kind == "trunk")
        self._behind = frozenset(line for line, kind in kinds.items() if kind in BEHIND)

    def of(self, ledger: Ledger, sealed: Recording, pause: Pause) -> Iterator[Found | None]:
        """Looks for copies of a recording that was sealed; `pause` is called between pieces of sound.

        What cannot be read stays unlinked, and the log says why."""
        on_trunk = sealed.line in self._trunks
        across = self._behind if on_trunk else self._trunks
        if not across or not (on_trunk or sealed.line in self._behind):
            return
        catalogue = ledger.catalogue
        with catalogue.reading() as txn:
            row = find(txn, catalogue.tables, sealed.handle)
            others = links.overlapping(txn, catalogue.tables, row, across, MOST_COMPARED)
        if row.state is not State.SEALED or row.copy_of is not None:
            return
        for other in others:
            copy, principal = (other, row) if on_trunk else (row, other)
            if copy.copy_of or copy.copies or principal.copy_of:
                continue
            try:
                likeness = links.likeness_of(ledger.data, copy, principal, pause)
            except RecordingError as error:
                log.warning("Not known whether two recordings are copies of one call: %s", error)
                continue
            if likeness.same and not _parted(ledger, copy, principal):
                yield Found(copy, principal, likeness)
                if not on_trunk:
                    return
            else:
                yield None

    def left(self, ledger: Ledger, pause: Pause) -> Iterator[Found | None]:
        """Looks once more at what was found or sealed at the end of the run before, the newest `MOST_LEFT` at most."""
        lines = tuple(sorted(self._trunks | self._behind))
        last_ns = ledger.catalogue.counts().last_finished_utc_ns
        if not self._trunks or not self._behind or last_ns is None:
            return
        named = {*ledger.findings.recovered, *ledger.findings.found}
        for row in ledger.catalogue.search(Query(lines=lines, limit=MOST_LEFT)).rows:
            ended_ns = row.start_utc_ns + row.samples * 125_000
            if row.handle in named or last_ns - ended_ns < LEFT_S * 1e9:
                yield from self.of(ledger, row, pause)


def _parted(ledger: Ledger, copy: Recording, principal: Recording) -> bool:
    """Has a person unlinked them?"""
    told = ledger.catalogue.operations(copy.handle, 500)
    return any(entry.act == "unlink" and entry.detail.get("principal") == principal.handle for entry in told)
