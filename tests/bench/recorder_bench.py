"""What recordings, journal and catalogue cost. Functions that return figures; nothing is printed here."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from recorder import tables as tb
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger, rebuild
from recorder.model import CallClass, Direction, Query, Recording, State, StopReason, Trigger
from recorder.wav import OpenRecording, path_of_row
from tests.recorder import values
from tests.recorder.world import HandClock


def append_flush_us(folder: Path, recordings: int = 200, rounds: int = 20) -> float:
    """Microseconds of one second of one recording: 8000 bytes appended, one round, no sync. Median of the rounds."""
    opened = [OpenRecording.create(folder, values.start(seed)) for seed in range(recordings)]
    audio = memoryview(values.audio(1, 8000))
    took = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for recording in opened:
            recording.append(audio)
            recording.flush()
        took.append((time.perf_counter() - begin) / recordings * 1e6)
    for recording in opened:
        recording.close()
    return float(np.median(took))


def seal_ms(folder: Path, seconds: int = 180, times: int = 20) -> float:
    """Milliseconds to seal a recording of that length, durable. Median."""
    took = []
    for seed in range(times):
        recording = OpenRecording.create(folder, values.start(10_000 + seed))
        recording.append(bytes(8000 * seconds))
        recording.flush()
        recording.sync()
        begin = time.perf_counter()
        recording.seal(values.end())
        took.append((time.perf_counter() - begin) * 1e3)
    return float(np.median(took))


def commits(folder: Path, single: int = 200, grouped: int = 2000) -> dict[str, float]:
    """Durable acts through journal and catalogue: one by one (ms), and a hundred at a time (records a second)."""
    ledger = Ledger.open(folder, HandClock(), random.Random(1))
    took = []
    for seed in range(single):
        begin = time.perf_counter()
        ledger.sealed(a_row(seed, values.NOON + seed * values.NS))
        took.append((time.perf_counter() - begin) * 1e3)
    begin = time.perf_counter()
    for first in range(0, grouped, 100):
        with ledger.batch():
            for seed in range(single + first, single + first + 100):
                ledger.sealed(a_row(seed, values.NOON + seed * values.NS))
    rate = grouped / (time.perf_counter() - begin)
    ledger.close()
    return {
        "single_p50_ms": float(np.percentile(took, 50)), "single_p99_ms": float(np.percentile(took, 99)),
        "grouped_per_s": rate,
    }  # fmt: skip


def starts(folder: Path, recordings: int = 1000) -> dict[str, float]:
    """Recordings a second that a rebuild enters from their files and the journal, files in the page cache; and
    milliseconds of a start that has every folder to look through, and of one that has none."""
    ledger = Ledger.open(folder, HandClock(), random.Random(1))
    for first in range(0, recordings, 100):
        with ledger.batch():
            for seed in range(first, first + 100):
                recording = OpenRecording.create(folder, values.start(seed, utc_ns=values.NOON + seed * values.NS))
                recording.append(bytes(400))
                ledger.sealed(recording.seal(values.end()))
    ledger.close()
    took = []
    for _ in range(2):
        begin = time.perf_counter()
        Ledger.open(folder, HandClock(), random.Random(1)).close()
        took.append((time.perf_counter() - begin) * 1e3)
    begin = time.perf_counter()
    rebuild(folder, HandClock(), random.Random(1))
    return {
        "start, every folder changed, ms": took[0], "start, nothing changed, ms": took[1],
        "rebuild, recordings a second": recordings / (time.perf_counter() - begin),
    }  # fmt: skip


def a_row(seed: int, utc_ns: int) -> Recording:
    rng = random.Random(seed)
    number = f"1{rng.choice('35789')}{rng.randrange(50_000) * 7919 % 10**9:09d}"
    handle, line = f"{rng.getrandbits(128):032x}", rng.randint(1, 64)
    return Recording(
        id=0, handle=handle, path=path_of_row(utc_ns, 28_800, line, handle), state=State.SEALED, line=line,
        line_name="Dispatch", card="sim0", simulated=True, law="alaw", start_utc_ns=utc_ns, utc_offset_s=28_800,
        samples=rng.randint(8000, 4_800_000), direction=rng.choice((Direction.IN, Direction.OUT)), number=number,
        name=None, call_class=CallClass.VOICE if rng.random() < 0.95 else CallClass.FAX, class_confidence=0.9,
        trigger=Trigger.VOLTAGE, stop_reason=StopReason.ON_HOOK, gaps=0, gap_samples=0, dtmf=number, answered=True,
        recovered=False, audio_sha256=f"{rng.getrandbits(256):064x}", meta_sha256=f"{rng.getrandbits(256):064x}",
    )  # fmt: skip


def fill(folder: Path, rows: int) -> tuple[Catalogue, float]:
    """A catalogue of that many rows, ten seconds apart, and the bytes in use a row."""
    (folder / "catalogue").mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue.open_writable(folder)
    for first in range(0, rows, 5000):
        with catalogue.env.begin(write=True) as txn:
            for seed in range(first, min(first + 5000, rows)):
                utc_ns = values.NOON + seed * 10 * values.NS
                row = a_row(seed, utc_ns)
                tb.put_row(txn, catalogue.tables, _with_id(row, utc_ns))
    with catalogue.reading() as txn:
        stats = [txn.stat(catalogue.tables[name]) for name in (*tb.PLAIN, *tb.POSTINGS)]
    pages = sum(stat[kind] for stat in stats for kind in ("branch_pages", "leaf_pages", "overflow_pages"))
    return catalogue, pages * stats[0]["psize"] / rows


def _with_id(row: Recording, utc_ns: int) -> Recording:
    return replace(row, id=utc_ns // 1_000_000 << 16)


def searches(catalogue: Catalogue, rows: int, times: int = 100) -> dict[str, tuple[float, float]]:
    """(p50, p99) in milliseconds of the first page of several searches, warm, random arguments."""
    rng = random.Random(7)
    day = 86_400 * values.NS

    def known() -> str:
        return str(a_row(rng.randrange(rows), 0).number)

    def since() -> int:
        return values.NOON + rng.randrange(max(1, rows * 10 // 86_400)) * day

    def some_day(**more: Any) -> Query:
        first = since()
        return Query(since_utc_ns=first, until_utc_ns=first + day, **more)

    makers: dict[str, Callable[[], Query]] = {
        "newest 50": lambda: Query(),
        "a line and a day": lambda: some_day(lines=(rng.randint(1, 64),)),
        "number exact": lambda: Query(number=known()),
        "number prefix 7": lambda: Query(number=known()[:7] + "*"),
        "number prefix 3": lambda: Query(number=known()[:3] + "*"),
        "number last four": lambda: Query(number="*" + known()[-4:]),
        "number any part 5": lambda: Query(number="*" + known()[3:8] + "*"),
        "fax on a line, long": lambda: Query(classes=(CallClass.FAX,), lines=(rng.randint(1, 64),), min_s=550.0),
        "a day, longer than 599 s": lambda: some_day(min_s=599.0),
    }
    figures = {}
    for name, make in makers.items():
        took = []
        for query in [make() for _ in range(times)]:
            begin = time.perf_counter()
            catalogue.search(query)
            took.append((time.perf_counter() - begin) * 1e3)
        figures[name] = (float(np.percentile(took, 50)), float(np.percentile(took, 99)))
    return figures


def all_figures(folder: Path, rows: int = 200_000, tiny: bool = False) -> dict[str, Any]:
    """Every figure; `tiny` only shows that it runs."""
    rows = 2000 if tiny else rows
    for name in "abcde":
        (folder / name).mkdir(parents=True)
    few = {"recordings": 4, "rounds": 2} if tiny else {}
    found: dict[str, Any] = {"append and flush, us a second of a recording": append_flush_us(folder / "a", **few)}
    found["seal 3 minutes, ms"] = seal_ms(folder / "b", **({"seconds": 1, "times": 2} if tiny else {}))
    found |= commits(folder / "c", **({"single": 5, "grouped": 100} if tiny else {}))
    found |= starts(folder / "d", 100 if tiny else 1000)
    catalogue, row_bytes = fill(folder / "e", rows)
    found |= {"rows": rows, "bytes a row": row_bytes}
    found |= searches(catalogue, rows, 3 if tiny else 100)
    catalogue.close()
    shutil.rmtree(folder)
    return found
