"""Reading with the daemon down: search, show, play, export, verify, rebuild, on real files."""

import csv
import hashlib
import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dsp import g711
from firmware.cli.errors import Exit
from firmware.clock import SystemClock
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger
from tests.firmware.cli.conftest import DATA, FAX, FIRST, SECOND, ULAW, Shelf
from tests.firmware.cli.console import COMMAND, surroundings


def spooled(shelf: Shelf) -> list[tuple[str, str | None]]:
    """Accesses that wait for the daemon, oldest first."""
    found = [json.loads(path.read_bytes()) for path in sorted((shelf.data / "web" / "spool").glob("*.json"))]
    return [(one["act"], one["handle"]) for one in found]


# Search --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [ULAW, FAX, SECOND, FIRST]),
        ("--line 1 --line 3", [SECOND, FIRST]),
        ("--number *5039", [ULAW, SECOND]),
        ("--number 138*", [FIRST]),
        ("--number *0013*", [FIRST]),
        ("--number 163 --trash", [DATA]),
        ("--trash", [DATA]),
        ("--direction in", [FIRST]),
        ("--class fax --class music", [FAX]),
        ("--min 2.15 --max 2.25", [FAX]),
        ("--text 调度 --text urgent", [FIRST]),
        ("--since 2026-09-21 --until 2026-09-22", [ULAW, FAX, SECOND, FIRST]),
        ("--until 2026-09-20", []),
        ("--since 2026-09-21T22:13:20+08:00 --until 2026-09-21T22:14:20+08:00", [FIRST]),
        ("--limit 2", [ULAW, FAX]),
        ("--today", []),
    ],
)
def test_search(shelf: Shelf, words: str, expected: list[str]) -> None:
    found = shelf.console.json("search", *words.split())
    assert [row["handle"] for row in found["recordings"]] == expected
    assert [row[-1] for row in shelf.console.rows("search", *words.split())[1:]] == expected
    assert spooled(shelf) == [("search", None)] * 2


def test_search_says_how_much_there_is(shelf: Shelf) -> None:
    found = shelf.console.json("search", "--limit", "2")
    assert (found["found"], found["capped"], found["more"]) == (4, False, True)
    assert "2 of 4 found; --limit shows more" in shelf.console.run("search", "--limit", "2").err


def test_a_row_as_a_program_sees_it(shelf: Shelf) -> None:
    (row,) = shelf.console.json("search", "--number", "13800138000")["recordings"]
    assert row["start_utc"] == "2026-09-21T14:13:20.000Z"
    assert row["start_local"] == "2026-09-21T22:13:20.000+08:00"
    assert (row["line"], row["direction"], row["call_class"], row["duration_s"]) == (3, "in", "voice", 16_001 / 8000)
    assert row["simulated"] is True and row["tags"] == ["urgent"] and row["dtmf"] == "5#" and "id" not in row


@pytest.mark.parametrize("words", ["--since soon", "--until 2026-02-30"])
def test_search_with_no_time(shelf: Shelf, words: str) -> None:
    assert "is not a time" in shelf.console.error("search", *words.split(), code=Exit.USAGE)["message"]


def test_search_survives_a_bad_configuration(shelf: Shelf) -> None:
    (shelf.data / "linekeep.toml").write_text("nonsense")
    assert FIRST in shelf.console.run("search").out


def test_a_broken_catalogue_is_said(shelf: Shelf) -> None:
    (shelf.data / "catalogue" / "data.mdb").write_bytes(b"nothing" * 10_000)
    error = shelf.console.error("search", code=Exit.DATA)
    assert "linekeep rebuild" in error["message"]


# Show ----------------------------------------------------------------------------------------------------------------


def test_show(shelf: Shelf) -> None:
    document = shelf.console.json("show", FIRST[:8])
    assert document["recording"]["handle"] == FIRST
    assert document["start"]["trigger_detail"] == {"volts": 8.5, "threshold_volts": 18.0}
    assert document["end"]["stop_reason"] == "on_hook"
    assert [(mark["value"], mark["start_s"], mark["end_s"]) for mark in document["marks"]] == [
        ("5", 0.1, 0.15), ("#", 0.2, 0.25),
    ]  # fmt: skip
    assert [note["text"] for note in document["notes"]] == ["asked about the 调度 order"]
    assert len(document["waveform"]) == 72 and document["trouble"] is None
    assert {entry["act"] for entry in document["operations"]} >= {"note", "tags"}


def test_show_for_people(shelf: Shelf) -> None:
    shown = shelf.console.run("show", FIRST[:8]).out
    for expected in (
        f"handle\t{FIRST}", "line\t3 调度 3, card sim0 (simulated)", "start\t2026-09-21T22:13:20.000+08:00",
        "started by\tvoltage (volts 8.5, threshold_volts 18)", "stopped by\ton_hook (volts 48)",
        "0:00.100\t0:00.150\tdtmf\t5", "asked about the 调度 order", "user:li",
    ):  # fmt: skip
        assert expected in shown
    assert re.search(r"^[▁▂▃▄▅▆▇█ ]{72}$", shown, re.MULTILINE)


def test_show_of_a_torn_file_shows_what_the_catalogue_knows(shelf: Shelf) -> None:
    with shelf.file(FAX).open("r+b") as file:
        file.truncate(100)
    for words in (["--json"], []):
        done = shelf.console.run(*words, "show", FAX, code=Exit.DATA)
        assert FAX in done.out and str(shelf.file(FAX)) in done.err


@pytest.mark.parametrize(
    ("handle", "code", "said"),
    [
        ("ab12c", Exit.USAGE, "6 to 32 digits"),
        ("ab12cz", Exit.USAGE, "6 to 32 digits"),
        ("0" * 33, Exit.USAGE, "6 to 32 digits"),
        ("ab12cd", Exit.USAGE, "More than one handle"),
        ("ab12ce", Exit.NOT_FOUND, "No recording"),
        ("9" * 32, Exit.NOT_FOUND, "No recording"),
    ],
)
@pytest.mark.parametrize(
    "command", ["show {}", "play {} --to -", "export {} --to x", "verify {}", "trash {} --reason x"]
)
def test_handles_that_name_nothing(shelf: Shelf, command: str, handle: str, code: Exit, said: str) -> None:
    done = shelf.console.run(*command.format(handle).split(), code=code)
    assert said in done.err and done.out == ""
    assert not (shelf.data / "web").exists()


# Play and export -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("handle", "law"), [(FIRST, "alaw"), (ULAW, "ulaw")])
def test_play_into_a_file(shelf: Shelf, tmp_path: Path, handle: str, law: g711.Law) -> None:
    target = tmp_path / "x.wav"
    answer = shelf.console.json("play", handle, "--to", str(target), "--from", "0.5", "--for", "1")
    assert (answer["samples"], answer["seconds"]) == (8000, 1.0)
    samples, rate = soundfile.read(target, dtype="int16")
    part = np.frombuffer(shelf.audio[handle][4000:12000], np.uint8)
    assert rate == 8000 and np.array_equal(samples, g711.decode(part, law))
    assert spooled(shelf) == [("listen", handle)]
    assert shelf.console.error("play", handle, "--to", str(target), code=Exit.REFUSED)["code"] == "refused"
    assert spooled(shelf) == [("listen", handle)]


def test_play_of_an_unwatched_length_ends_with_the_audio(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.console.json("play", FIRST, "--to", str(tmp_path / "a"), "--from", "2", "--for", "5")["samples"] == 1
    assert shelf.console.json("play", FIRST, "--to", str(tmp_path / "b"), "--from", "9")["samples"] == 0


def test_play_raw_is_the_lines_bytes(shelf: Shelf) -> None:
    words = [*COMMAND, "--data", str(shelf.data), "play", FIRST, "--to", "-"]
    done = subprocess.run(words, cwd="/", env=surroundings(), capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (shelf.audio[FIRST], b"")


def test_export_copies_bytes_and_writes_an_index(shelf: Shelf, tmp_path: Path) -> None:
    folder = tmp_path / "taken" / "today"
    answer = shelf.console.json("export", FIRST, SECOND, FIRST[:8], "--to", str(folder))
    assert [one["handle"] for one in answer["files"]] == [FIRST, SECOND]
    for one in answer["files"]:
        copy = (folder / one["file"]).read_bytes()
        assert copy == shelf.file(one["handle"]).read_bytes()
        assert hashlib.sha256(copy).hexdigest() == one["sha256"]
    assert (folder / "index.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (folder / "index.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["handle"] for row in rows] == [FIRST, SECOND]
    assert rows[0]["start_utc"] == "2026-09-21T14:13:20.000Z"
    assert rows[0]["start_local"] == "2026-09-21T22:13:20.000+08:00"
    assert (rows[0]["number"], rows[0]["name"]) == ("13800138000", '\'=HYPERLINK("x")')
    assert rows[0]["file_sha256"] == answer["files"][0]["sha256"]
    assert spooled(shelf) == [("export", FIRST), ("export", SECOND)]


def test_export_as_flac_loses_nothing(shelf: Shelf, tmp_path: Path) -> None:
    table = shelf.console.rows("export", ULAW, FIRST, "--flac", "--to", str(tmp_path / "x"))
    for name, handle, digest in table[1:]:
        samples, rate = soundfile.read(tmp_path / "x" / name, dtype="int16")
        law: g711.Law = "ulaw" if handle == ULAW else "alaw"
        assert rate == 8000 and soundfile.info(tmp_path / "x" / name).format == "FLAC"
        assert np.array_equal(samples, g711.decode(np.frombuffer(shelf.audio[handle], np.uint8), law))
        assert hashlib.sha256((tmp_path / "x" / name).read_bytes()).hexdigest() == digest


def test_an_export_is_made_once(shelf: Shelf, tmp_path: Path) -> None:
    shelf.console.run("export", FIRST, "--to", str(tmp_path / "x"))
    assert shelf.console.error("export", SECOND, "--to", str(tmp_path / "x"), code=Exit.REFUSED)["code"] == "refused"
    assert len(list((tmp_path / "x").iterdir())) == 2


@pytest.mark.parametrize("form", [[], ["--flac"]])
def test_a_changed_recording_is_not_exported(shelf: Shelf, tmp_path: Path, form: list[str]) -> None:
    flip(shelf.file(FAX), 5000)
    error = shelf.console.run("export", FAX, *form, "--to", str(tmp_path / "x"), code=Exit.NO).err
    assert str(shelf.file(FAX)) in error and "linekeep verify" in error
    assert list((tmp_path / "x").iterdir()) == []


def test_where_the_access_cannot_be_kept_nothing_leaves(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.data / "web").write_text("in the way")
    for words in ("search", f"play {FIRST} --to {tmp_path}/x", f"export {FIRST} --to {tmp_path}/y"):
        assert "nothing is heard or exported" in shelf.console.error(*words.split(), code=Exit.DATA)["message"]
    assert not (tmp_path / "x").exists() and not list(tmp_path.glob("y/*"))


# Verify and rebuild --------------------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_verify_finds_all_good(shelf: Shelf) -> None:
    for words in (["verify"], ["verify", "--all"]):
        verdict = shelf.console.json(*words)
        assert (verdict["checked"], verdict["findings"], verdict["bad"]) == (5, {"whole": 5}, [])
        assert verdict["read_bytes"] == sum(map(len, shelf.audio.values()))
    assert "1 recordings: 1 whole" in shelf.console.run("verify", FIRST).err


def test_verify_names_what_is_not_what_it_was(shelf: Shelf) -> None:
    flip(shelf.file(FIRST), 4096 + 100)
    flip(shelf.file(SECOND), shelf.file(SECOND).stat().st_size - 10)
    shelf.file(FAX).unlink()
    shelf.file(ULAW).write_bytes(b"RIFF")
    verdict = shelf.console.json("verify", code=Exit.NO)
    found = {one["handle"]: one["finding"] for one in verdict["bad"]}
    assert found == {FIRST: "changed_audio", SECOND: "changed_metadata", FAX: "missing", ULAW: "unreadable"}
    assert verdict["findings"]["whole"] == 1
    table = shelf.console.rows("verify", code=Exit.NO)
    assert {row[0]: row[1] for row in table[1:]} == found
    assert shelf.console.json("verify", DATA)["findings"] == {"whole": 1}


def entry_of(shelf: Shelf, number: int) -> tuple[Path, bytes, int]:
    """The journal's first file, what stands in it, and where its entry `number` begins."""
    path = shelf.data / "journal" / "000001.journal"
    content = path.read_bytes()
    return path, content, sum(map(len, content.splitlines(keepends=True)[: number - 1]))


def test_verify_reads_the_journal_too(shelf: Shelf) -> None:
    _, content, _ = entry_of(shelf, 1)
    found = shelf.console.json("verify")["journal"]
    assert found == {"entries": content.count(b"\n"), "erased": 0, "unproved": 0, "errors": []}
    assert f"{found['entries']} entries of the journal: the chain is whole" in shelf.console.run("verify").err
    assert shelf.console.json("verify", FIRST)["journal"] is None


def test_verify_says_where_the_journal_is_broken(shelf: Shelf) -> None:
    path, content, third = entry_of(shelf, 3)
    flip(path, third + 80)
    verdict = shelf.console.json("verify", code=Exit.NO)
    assert verdict["bad"] == [] and verdict["findings"] == {"whole": 5}
    (error,) = verdict["journal"]["errors"]
    assert "journal/000001.journal: the chain is broken at entry 3" in error and f"byte {third} " in error
    assert "backup" in error and verdict["journal"]["unproved"] == content.count(b"\n") - 3
    (row,) = shelf.console.rows("verify", code=Exit.NO)[1:]
    assert row == ["", "broken_journal", "journal", error]


def test_verify_misses_the_end_of_a_journal_that_the_catalogue_knows(shelf: Shelf) -> None:
    path, content, last = entry_of(shelf, 5)
    path.write_bytes(content[:last])
    (error,) = shelf.console.json("verify", code=Exit.NO)["journal"]["errors"]
    assert "broken at entry 5: the end is lost" in error and f"up to {content.count(10)}." in error
    path.unlink()
    (error,) = shelf.console.json("verify", code=Exit.NO)["journal"]["errors"]
    assert "journal/000001.journal: the chain is broken at entry 1" in error


def test_verify_misses_a_side_record(shelf: Shelf) -> None:
    side = shelf.data / "journal" / "000001.side"
    lines = side.read_bytes().splitlines(keepends=True)
    side.write_bytes(b"".join(lines[1:]))
    (error,) = shelf.console.json("verify", code=Exit.NO)["journal"]["errors"]
    assert "side record was changed or lost" in error and "backup" in error


def dump(shelf: Shelf) -> tuple[dict[str, Any], list[Any]]:
    """All that the catalogue says, the operations apart: every opening of the ledger adds one."""
    catalogue = Catalogue.open_readonly(shelf.data)
    try:
        content = catalogue.dump()
        return content, content.pop("operations")
    finally:
        catalogue.close()


def test_rebuild_gives_the_same_catalogue(shelf: Shelf) -> None:
    before, operations = dump(shelf)
    answer = shelf.console.json("rebuild")
    assert (answer["recordings"], answer["trash"], answer["damaged"]) == (5, 1, [])
    content, more = dump(shelf)
    assert content == before and more[: len(operations)] == operations
    (shelf.data / "catalogue" / "data.mdb").write_bytes(b"nothing" * 10_000)
    assert shelf.console.run("rebuild").out == "5 recordings, 1 of them in the trash, 0 purged\n"
    content, more = dump(shelf)
    assert content == before and more[: len(operations)] == operations


def test_rebuild_tells_of_files_that_are_none(shelf: Shelf) -> None:
    with shelf.file(FAX).open("r+b") as file:
        file.truncate(100)
    answer = shelf.console.json("rebuild", code=Exit.NO)
    assert [one["path"] for one in answer["damaged"]] == [str(shelf.file(FAX))]
    assert str(shelf.file(FAX)) in shelf.console.run("rebuild", code=Exit.NO).err


def test_rebuild_keeps_away_from_a_running_daemon(shelf: Shelf) -> None:
    ledger = Ledger.open(shelf.data, SystemClock(), random.Random(1))
    try:
        assert str(os.getpid()) in shelf.console.error("rebuild", code=Exit.REFUSED)["message"]
    finally:
        ledger.close()


# People --------------------------------------------------------------------------------------------------------------


def test_accounts(shelf: Shelf) -> None:
    ledger = Ledger.open(shelf.data, SystemClock(), random.Random(1))
    ledger.close()
    document = shelf.console.json("user", "list")
    assert document["people"] == []
    assert shelf.console.rows("user", "list") == [["name", "roles", "language", "enabled"]]
