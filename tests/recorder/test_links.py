"""Copies of one call in the ledger: linked, counted once, found from both sides, parted again, and rebuilt the same."""

import random
from pathlib import Path
from typing import Any

import pytest

from recorder.catalogue import Catalogue
from recorder.errors import NotFoundError, RefusedError
from recorder.ledger import Ledger, rebuild
from recorder.model import Copy, Query, Recording, State
from tests.recorder import values
from tests.recorder.world import HandClock, ledger_of, record

TRUNK, EXTENSION = 1, 5


def call(ledger: Ledger, seed: int, line: int, at_s: float = 0.0, seconds: float = 1.0, **known: Any) -> Recording:
    utc_ns = values.NOON + round(at_s * values.NS)
    return record(ledger, seed, samples=round(seconds * 8000), line=line, utc_ns=utc_ns, **known)


def found(ledger: Ledger, **query: Any) -> list[int]:
    page = ledger.catalogue.search(Query(**query))
    assert page.found == len(page.rows)
    return [row.line for row in page.rows]


def test_both_rows_name_each_other_and_a_rebuild_says_the_same(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk, extension = call(ledger, 1, TRUNK), call(ledger, 2, EXTENSION)
        rows = ledger.link(extension.handle, trunk.handle, "system", {"likeness": 0.94, "lag_ms": 40})
        assert rows[0].copy_of == Copy(handle=trunk.handle, line=TRUNK)
        assert rows[1].copies == (Copy(handle=extension.handle, line=EXTENSION),)
        for handle in (trunk.handle, extension.handle):
            told = ledger.catalogue.operations(handle)[0]
            assert (told.act, told.actor, told.handle) == ("link", "system", extension.handle)
            assert told.detail == {"principal": trunk.handle, "likeness": 0.94, "lag_ms": 40}
        grown = ledger.catalogue.dump()
    rebuild(tmp_path, HandClock(), random.Random(2))
    with ledger_of(tmp_path) as ledger:
        again = ledger.catalogue.dump()
    for name in ("operations", "handle_operations"):
        del grown[name], again[name]  # A start is an operation itself.
    assert again == grown


def test_linked_recordings_count_once_and_hold_what_both_hold(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk, extension, other = (call(ledger, seed, line) for seed, line in ((1, TRUNK), (2, EXTENSION), (3, 7)))
        before = ledger.catalogue.days("2020-01-01", "2030-01-01")
        assert (before[0].recordings, ledger.catalogue.counts().total) == (3, 3)
        ledger.link(extension.handle, trunk.handle, "system")
        after = ledger.catalogue.days("2020-01-01", "2030-01-01")
        assert (after[0].recordings, ledger.catalogue.counts().total) == (2, 2)
        assert after[0].samples == before[0].samples == 3 * 8000
        ledger.trash([trunk.handle], "wrong", "user:li")
        assert ledger.catalogue.counts().total == 2
        ledger.unlink(extension.handle, "user:li")
        assert ledger.catalogue.counts().total == 3
        assert ledger.catalogue.days("2020-01-01", "2030-01-01") == before
        assert other.copy_of is None


def test_a_copy_is_left_out_where_its_principal_is_found_too(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk, extension = call(ledger, 1, TRUNK, caller="111"), call(ledger, 2, EXTENSION, at_s=5, dialled="222")
        call(ledger, 3, 7, at_s=9)
        assert found(ledger) == [7, EXTENSION, TRUNK]
        ledger.link(extension.handle, trunk.handle, "system")
        assert found(ledger) == [7, TRUNK]
        assert found(ledger, lines=(EXTENSION,)) == [EXTENSION]
        assert found(ledger, lines=(TRUNK,)) == [TRUNK]
        assert found(ledger, lines=(TRUNK, EXTENSION)) == [TRUNK]
        assert found(ledger, number="222") == [EXTENSION]
        assert found(ledger, since_utc_ns=values.NOON + values.NS) == [7, EXTENSION]
        ledger.note(extension.handle, "ask again", "user:li")
        assert found(ledger, text="again") == [EXTENSION]
        ledger.unlink(extension.handle, "user:li")
        assert found(ledger) == [7, EXTENSION, TRUNK]


def test_pages_leave_a_copy_out_wherever_its_principal_stands(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk = call(ledger, 1, TRUNK)
        for seed in range(2, 8):
            copy = call(ledger, seed, EXTENSION + seed, at_s=seed)
            if seed % 2:
                ledger.link(copy.handle, trunk.handle, "system")
        lines, before = [], None
        while True:
            page = ledger.catalogue.search(Query(limit=2, before_id=before))
            assert (page.found, page.capped) == (4, False)
            lines += [row.line for row in page.rows]
            if (before := page.next) is None:
                break
        assert lines == [EXTENSION + 6, EXTENSION + 4, EXTENSION + 2, TRUNK]


def test_what_happens_to_one_does_not_touch_the_other(tmp_path: Path) -> None:
    clock = HandClock()
    with ledger_of(tmp_path, clock) as ledger:
        trunk, extension = call(ledger, 1, TRUNK), call(ledger, 2, EXTENSION)
        ledger.link(extension.handle, trunk.handle, "system")
        ledger.trash([trunk.handle], "wrong", "user:li")
        assert ledger.catalogue.get(extension.handle).state is State.SEALED
        assert found(ledger) == [EXTENSION], "the copy stands for the call now"
        assert found(ledger, states=(State.TRASH,)) == [TRUNK]
        ledger.undelete([trunk.handle], "user:li")
        assert found(ledger) == [TRUNK]
        ledger.trash([extension.handle], "wrong", "user:li")
        assert found(ledger, states=(State.TRASH,)) == [EXTENSION]
        clock.on(40 * 86_400)
        assert [row.handle for row in ledger.purge_due()] == [extension.handle]
        purged, kept = ledger.catalogue.get(extension.handle), ledger.catalogue.get(trunk.handle)
        assert (purged.state, kept.state) == (State.PURGED, State.SEALED)
        assert purged.copy_of is not None and kept.copies[0].handle == extension.handle
        assert ledger.catalogue.counts().total == 1
        assert (tmp_path / trunk.path).exists() and not (tmp_path / extension.path).exists()
        grown = ledger.catalogue.dump()
    rebuild(tmp_path, HandClock(), random.Random(2))
    with ledger_of(tmp_path) as ledger:
        assert ledger.catalogue.dump()["rows"] == grown["rows"]
        assert ledger.catalogue.dump()["copies"] == grown["copies"]


def test_a_trunk_has_several_copies_and_nothing_is_both(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk = call(ledger, 1, TRUNK, seconds=2)
        first, second, other = (call(ledger, seed, line) for seed, line in ((2, 5), (3, 6), (4, 2)))
        for copy in (first, second):
            ledger.link(copy.handle, trunk.handle, "system")
        assert {copy.line for copy in ledger.catalogue.get(trunk.handle).copies} == {5, 6}
        assert ledger.catalogue.counts().total == 2
        ledger.unlink(first.handle, "user:li")
        assert [copy.line for copy in ledger.catalogue.get(trunk.handle).copies] == [6]
        for copy, principal in ((second, other), (other, second), (trunk, other), (other, other)):
            with pytest.raises(RefusedError, match=r"is a copy of|has copies|copy of itself"):
                ledger.link(copy.handle, principal.handle, "user:li")
        with pytest.raises(RefusedError, match="no copy of another"):
            ledger.unlink(trunk.handle, "user:li")
        with pytest.raises(NotFoundError):
            ledger.link(values.handle(99), trunk.handle, "user:li")


def test_a_file_that_is_gone_and_comes_back_is_still_a_copy(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        trunk, extension = call(ledger, 1, TRUNK), call(ledger, 2, EXTENSION)
        ledger.link(extension.handle, trunk.handle, "system")
    path, aside = tmp_path / extension.path, tmp_path / "aside"
    path.rename(aside)
    with ledger_of(tmp_path) as ledger:
        row = ledger.catalogue.get(extension.handle)
        assert (row.state, row.copy_of) == (State.MISSING, Copy(handle=trunk.handle, line=TRUNK))
    aside.rename(path)
    with ledger_of(tmp_path) as ledger:
        row = ledger.catalogue.get(extension.handle)
        assert (row.state, row.copy_of) == (State.SEALED, Copy(handle=trunk.handle, line=TRUNK))


def test_another_version_s_catalogue_is_made_anew(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        call(ledger, 1, TRUNK)
    catalogue = Catalogue.open_writable(tmp_path)
    with catalogue.env.begin(write=True) as txn:
        txn.put(b"format", b"2", db=catalogue.tables["meta"])
    catalogue.close()
    with ledger_of(tmp_path) as ledger:
        assert ledger.findings.rebuilt is not None and "another version" in ledger.findings.rebuilt
        assert found(ledger) == [TRUNK]
