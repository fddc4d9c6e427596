"""The journal: what was answered is there, in order and unchanged, or the damage is named."""

import random
from pathlib import Path

import pytest

from recorder import chain, journal
from recorder.journal import Journal
from tests.recorder import values
from tests.recorder.crashdisk import CrashDisk


def opened(folder: Path) -> Journal:
    return Journal.open(folder, random.Random(1))


def groups(book: Journal, first: int, count: int, disk: CrashDisk | None = None) -> None:
    for n in range(first, first + count):
        for part in range(1 + n % 3):
            side = {"text": f"私 {n}.{part}"} if n % 2 else None
            book.append("note", "user:li", n, values.handle(n), {"n": n, "part": part}, side)
        book.commit()
        if disk is not None:
            disk.told("durable", book.folder, book.seq)


def acts(folder: Path, after: int = 0) -> list[tuple[int, int, str | None]]:
    walk = chain.Walk(folder, after)
    told = [
        (entry.seq, entry.detail.get("n", 0), side["text"] if side else None) for entry, side, _ in walk.read(after)
    ]
    assert walk.unnamed() == [] and walk.side_errors == []
    return told


def verdict(folder: Path) -> chain.Verdict:
    *_, (_, last) = chain.verify_chain(folder)
    assert last is not None
    return last


def test_what_was_committed_is_read_back_over_files_and_openings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 3000)
    folder = tmp_path / "journal"
    for first in (0, 20):
        book = opened(folder)
        groups(book, first, 20)
        book.append("note", "user:li", 0, detail={"n": "never committed"})
        book.close()
    assert len(chain.journal_files(folder)) > 3
    told = acts(folder)
    assert [seq for seq, _, _ in told] == list(range(1, len(told) + 1))
    assert [n for _, n, _ in told] == [n for n in range(40) for _ in range(1 + n % 3)]
    assert {text for _, n, text in told if n == 7} == {"私 7.0", "私 7.1"}
    assert acts(folder, after=50) == told[50:]
    assert verdict(folder) == chain.Verdict(len(told), 0)
    for path in chain.journal_files(folder):
        assert "私" not in path.read_text()


def test_a_crash_at_every_call_keeps_what_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 2500)
    root = tmp_path / "run"
    root.mkdir()
    with CrashDisk(root).in_place() as disk:
        book = opened(root / "journal")
        groups(book, 0, 9, disk)
        book.close()
    cuts = 0
    for calls in range(1, len(disk.calls) + 1):
        for kind in range(3):
            image = tmp_path / f"{calls}-{kind}"
            image.mkdir()
            facts = disk.image(calls, image, random.Random(calls * 7 + kind) if kind else None)
            book = opened(image / "journal")
            cuts += book.cut_bytes > 0
            assert book.seq >= max((fact[2] for fact in facts), default=0)
            groups(book, 100, 2)
            book.close()
            assert opened(image / "journal").cut_bytes == 0
            told = acts(image / "journal")
            assert [n for _, n, _ in told][-5:] == [100, 100, 101, 101, 101][-5:]
            assert verdict(image / "journal").errors == ()
            assert all((text is None) == (n % 2 == 0) for _, n, text in told)
    assert cuts > 5


@pytest.mark.parametrize("seed", range(25))
def test_a_changed_byte_is_found_and_named(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 3000)
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 30)
    book.close()
    rng = random.Random(seed)
    path = rng.choice(chain.journal_files(folder)[:-1])
    if seed % 5 == 0:
        path = path.with_suffix(".side")
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
    path.write_bytes(data)
    found = verdict(folder)
    assert found.errors and all("entry" in error for error in found.errors)
    assert path.name in found.errors[0] or seed % 5 == 0
    assert seed % 5 == 0 or 0 < found.unproved < 60


def broken(folder: Path, known: tuple[int, bytes] = (0, chain.FIRST_HASH)) -> list[str]:
    """What opening finds; a new chain is begun, with two groups in it."""
    book = Journal.open(folder, random.Random(2), known)
    found = [str(one) for one in book.breaks]
    book.begin_chain(0)
    groups(book, 200, 2)
    assert book.begin_chain(0) is None
    book.close()
    return found


def read(folder: Path) -> list[int]:
    return [entry.detail["n"] for entry, _, _ in chain.Walk(folder).read() if entry.act != chain.NEW_CHAIN]


def test_damage_in_the_last_file_before_its_last_group_is_no_tear(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 6)
    book.close()
    path = chain.journal_files(folder)[0]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for damaged, left in ((whole.replace(b'"n":2', b'"n":3', 1), 11), (b"".join(lines[:3] + lines[4:]), 10)):
        path.write_bytes(damaged)
        path.with_stem("000002").unlink(missing_ok=True)
        (found,) = broken(folder)
        assert "000001.journal: the chain is broken at entry 4: from byte" in found
        assert path.read_bytes() == damaged
        assert broken(folder) == []
        assert len(read(folder)) == left + 2 * 4
        told = verdict(folder)
        assert (told.errors, told.unproved) == ((found,), left - 3)
        assert [entry.seq for entry, _, _ in chain.Walk(folder, 1_000_000).read(1_000_000)][:2] == [
            1_000_001,
            1_000_002,
        ]
    path.with_stem("000002").unlink()
    path.write_bytes(whole[:-4])
    book = opened(folder)
    assert (book.seq, book.cut_bytes, book.breaks) == (len(lines) - 1, len(lines[-1]) - 4, [])
    book.close()


@pytest.mark.parametrize("lost", ["000001", "000003", "last", "all"])
def test_a_file_that_is_missing_is_named_and_a_new_chain_goes_on(
    tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 3000)
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 30)
    known = book.seq, book.hash
    book.close()
    files = [path for path in chain.journal_files(folder) if path.stat().st_size]
    gone = {"last": files[-1:], "all": files}.get(lost, [folder / f"{lost}.journal"])
    kept = {path: path.read_bytes() for path in files if path not in gone}
    for path in gone:
        path.unlink()
    found = broken(folder, known)
    assert found and gone[0].name in found[0] and "entry" in found[0]
    assert {path: path.read_bytes() for path in kept} == kept
    assert not set(gone) & set(chain.journal_files(folder)), "the number of a lost file stays free"
    assert broken(folder) == []
    assert len(read(folder)) == sum(data.count(b"\n") for data in kept.values()) - lost.isdigit() + 2 * 4
    assert set(found) == set(verdict(folder).errors)


def test_a_file_that_cannot_be_read_does_not_stop_the_journal(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 6)
    book.close()
    (folder / "000001.journal").rename(folder / "away")
    (folder / "000001.journal").mkdir()
    (found,) = broken(folder)
    assert "000001.journal" in found and "cannot be read" in found
    assert broken(folder) == []
    assert read(folder) == [200, 200, 200, 201] * 2


def test_a_journal_that_was_written_anew_is_not_the_one_that_is_remembered(tmp_path: Path) -> None:
    for name, salt in (("a", 1), ("b", 2)):
        book = Journal.open(tmp_path / name, random.Random(salt))
        groups(book, 0, 6)
        known = book.seq, book.hash
        book.close()
    book = Journal.open(tmp_path / "a", random.Random(1), known)
    assert not book.remembers
    assert ["which" not in one.why and f"entry {known[0]} is not the one" in one.why for one in book.breaks] == [True]
    book.close()
    known_torn = Journal.open(tmp_path / "b", random.Random(1), known)
    known_torn.close()
    assert (known_torn.remembers, known_torn.breaks) == (True, [])
    path = tmp_path / "b" / "000001.journal"
    torn = path.read_bytes()[:-9]
    path.write_bytes(torn)
    book = Journal.open(tmp_path / "b", random.Random(1), known)
    assert book.breaks and book.cut_bytes == 0 and path.read_bytes() == torn, "what was durable is not torn"
    book.close()


def test_a_crash_while_a_new_chain_begins_is_made_good(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    book = opened(root / "journal")
    groups(book, 0, 6)
    book.close()
    path = root / "journal" / "000001.journal"
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":3', 1))
    with CrashDisk(root).in_place() as disk:
        (found,) = broken(root / "journal")
    for calls in range(len(disk.calls) + 1):
        for kind in range(3):
            image = tmp_path / f"{calls}-{kind}"
            image.mkdir()
            disk.image(calls, image, random.Random(calls * 7 + kind) if kind else None)
            assert broken(image / "journal") in ([], [found])
            assert broken(image / "journal") == []
            assert verdict(image / "journal").errors == (found,)


def test_an_erased_side_record_leaves_a_chain_that_verifies(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 4)
    book.close()
    side = folder / "000001.side"
    lines = side.read_bytes().splitlines(keepends=True)
    number = lines[0].split(b" ")[0]
    side.write_bytes(number.ljust(len(lines[0]) - 1) + b"\n" + b"".join(lines[1:]))
    assert verdict(folder) == chain.Verdict(7, 1)
    side.write_bytes(lines[0].replace("私".encode(), "公".encode()) + b"".join(lines[1:]))
    assert "side record was changed" in str(verdict(folder).errors)
