"""The journal: what was answered is there, in order and unchanged, or the damage is named."""

import random
from pathlib import Path

import pytest

from recorder import journal
from recorder.errors import JournalError
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
    read = journal.read(folder, after, strict=True)
    return [(entry.seq, entry.detail["n"], side["text"] if side else None) for entry, side, _ in read]


def verdict(folder: Path) -> journal.Verdict:
    *_, (_, last) = journal.verify_chain(folder)
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
    assert len(journal.journal_files(folder)) > 3
    told = acts(folder)
    assert [seq for seq, _, _ in told] == list(range(1, len(told) + 1))
    assert [n for _, n, _ in told] == [n for n in range(40) for _ in range(1 + n % 3)]
    assert {text for _, n, text in told if n == 7} == {"私 7.0", "私 7.1"}
    assert acts(folder, after=50) == told[50:]
    assert verdict(folder) == journal.Verdict(len(told), 0, None)
    for path in journal.journal_files(folder):
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
            assert verdict(image / "journal").error is None
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
    path = rng.choice(journal.journal_files(folder)[:-1])
    if seed % 5 == 0:
        path = path.with_suffix(".side")
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(7)
    path.write_bytes(data)
    found = verdict(folder)
    assert found.error is not None and "entry" in found.error
    assert path.name in found.error or seed % 5 == 0


def test_damage_in_the_last_file_before_its_last_group_is_no_tear(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 6)
    book.close()
    path = journal.journal_files(folder)[0]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(whole.replace(b'"n":2', b'"n":3', 1))
    with pytest.raises(JournalError, match=r"000001\.journal: the chain is broken at entry 4"):
        opened(folder)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(JournalError, match="broken at entry 4"):
        opened(folder)
    path.write_bytes(whole[:-4])
    book = opened(folder)
    assert (book.seq, book.cut_bytes) == (len(lines) - 1, len(lines[-1]) - 4)
    book.close()


def test_an_erased_side_record_leaves_a_chain_that_verifies(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    book = opened(folder)
    groups(book, 0, 4)
    book.close()
    side = folder / "000001.side"
    lines = side.read_bytes().splitlines(keepends=True)
    number = lines[0].split(b" ")[0]
    side.write_bytes(number.ljust(len(lines[0]) - 1) + b"\n" + b"".join(lines[1:]))
    assert verdict(folder) == journal.Verdict(7, 1, None)
    side.write_bytes(lines[0].replace("私".encode(), "公".encode()) + b"".join(lines[1:]))
    assert "side record was changed" in str(verdict(folder).error)
