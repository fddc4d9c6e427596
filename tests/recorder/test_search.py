"""Search against brute force, over random rows and random questions."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from recorder import search
from recorder import tables as tb
from recorder.catalogue import Catalogue
from recorder.model import CallClass, Direction, Query, Recording, State, StopReason, TrashState, Trigger
from tests.recorder import values
from tests.recorder.world import ledger_of, open_recording, record

TEXTS = ("pump alarm", "水泵 报警 confirmed", "Valve-7 checked", "停电通知", "通知停电", "alarm")
HOUR = 3600 * values.NS


def random_row(rng: random.Random, row_id: int) -> Recording:
    state = rng.choice([State.SEALED] * 8 + [State.TRASH, State.PURGED])
    start_ms = (row_id >> 16) - rng.choice((0, 0, 0, 7_200_000))
    return Recording(
        id=row_id, handle=f"{row_id:032x}", path="", state=state, line=rng.randint(1, 6), line_name="", card="sim0",
        simulated=True, law="alaw", start_utc_ns=start_ms * 1_000_000 + rng.randrange(1_000_000), utc_offset_s=28_800,
        samples=rng.randint(0, 80_000), direction=rng.choice(list(Direction)),
        number=rng.choice((None, f"{rng.choice(('138', '139', '010'))}{rng.randint(0, 400):04d}")), name=None,
        call_class=rng.choice([CallClass.VOICE] * 9 + [CallClass.FAX]), class_confidence=0.5, trigger=Trigger.VOX,
        stop_reason=StopReason.SILENCE, gaps=0, gap_samples=0, dtmf="", answered=False, recovered=False,
        tags=(rng.choice(TEXTS),) if rng.random() < 0.2 else (), audio_sha256="00" * 32, meta_sha256="00" * 32,
        trash=TrashState(since_utc_ns=1, until_utc_ns=2, reason="r", actor="a") if state is State.TRASH else None,
    )  # fmt: skip


@contextmanager
def filled(data: Path, rows: list[Recording]) -> Iterator[Catalogue]:
    (data / "catalogue").mkdir(parents=True)
    catalogue = Catalogue.open_writable(data)
    with catalogue.env.begin(write=True) as txn:
        for row in rows:
            tb.put_row(txn, catalogue.tables, row)
            tb.change_words(txn, catalogue.tables, row.id, [], row.tags)
    yield catalogue
    catalogue.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalogue, list[Recording]]]:
    rng = random.Random(4)
    rows: list[Recording] = []
    at = values.NOON // 1_000_000
    for _ in range(1500):
        at += rng.choice((0, 1, 60_000, 600_000))
        row_id = (at << 16) | rng.choice((0, 0, 1, 2))
        if not rows or rows[-1].id < row_id:
            rows.append(random_row(rng, row_id))
    with filled(tmp_path_factory.mktemp("search"), rows) as catalogue:
        yield catalogue, [catalogue.get(row.handle) for row in rows]


def brute(rows: list[Recording], q: Query) -> list[Recording]:
    def number_fits(number: str | None) -> bool:
        if not q.number:
            return True
        plain = q.number.replace("*", "").replace("=", "")
        if number is None:
            return False
        if q.number.startswith("*"):
            return plain in number if q.number.endswith("*") else number.endswith(plain)
        return number.startswith(plain) if q.number.endswith("*") else number == plain

    def text_fits(row: Recording) -> bool:
        said = " ".join(row.tags).lower()
        return all(word in said for word in q.text.lower().split())

    return [
        row for row in reversed(rows)
        if row.state in q.states and (not q.lines or row.line in q.lines) and number_fits(row.number)
        and (q.since_utc_ns is None or row.start_utc_ns >= q.since_utc_ns)
        and (q.until_utc_ns is None or row.start_utc_ns < q.until_utc_ns)
        and (q.direction is None or row.direction is q.direction) and (not q.classes or row.call_class in q.classes)
        and (q.min_s is None or row.duration_s >= q.min_s) and (q.max_s is None or row.duration_s <= q.max_s)
        and text_fits(row)
    ]  # fmt: skip


times = st.none() | st.integers(-2, 150).map(lambda hours: values.NOON + hours * HOUR)
numbers = st.one_of(
    st.just(""), st.builds("{}{:04d}".format, st.sampled_from(["138", "010"]), st.integers(0, 400)),
    st.sampled_from(["138*", "01*", "*5", "*39*", "*0100", "=1380100", "9*", "*", "*138*", "1380*", "77"]),
)  # fmt: skip
queries = st.builds(
    Query, since_utc_ns=times, until_utc_ns=times, lines=st.sampled_from([(), (3,), (1, 5), (99,)]), number=numbers,
    direction=st.none() | st.sampled_from(Direction), min_s=st.sampled_from([None, 0.0, 2.5, 9.9]),
    max_s=st.sampled_from([None, 0.5, 5.0]), classes=st.sampled_from([(), (CallClass.FAX,), (CallClass.VOICE,)]),
    text=st.sampled_from(["", "", "alarm", "报警", "停电通知", "Valve 7", "泵", "alarm pump", "nothing"]),
    states=st.sampled_from([(State.SEALED,), (State.TRASH,), (State.SEALED, State.TRASH, State.PURGED), (State.LIVE,)]),
    limit=st.sampled_from([1, 7, 50, 500]),
)  # fmt: skip


@settings(max_examples=400)
@given(query=queries)
def test_every_page_is_what_brute_force_finds(world: tuple[Catalogue, list[Recording]], query: Query) -> None:
    catalogue, rows = world
    expected = brute(rows, query)
    page = catalogue.search(query)
    assert list(page.rows) == expected[: query.limit]
    assert page.found == min(len(expected), search.MOST_FOUND)
    assert page.capped == (len(expected) > search.MOST_FOUND)
    assert (page.next is not None) == (len(expected) > query.limit)
    if page.next is not None:
        second = catalogue.search(replace(query, before_id=page.next))
        assert list(second.rows) == expected[query.limit : 2 * query.limit]
        assert second.found == page.found


def test_a_search_that_finds_little_ends_at_its_bound_and_goes_on(
    world: tuple[Catalogue, list[Recording]], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, rows = world
    monkeypatch.setattr(search, "MOST_STEPS", 100)
    query, found, pages = Query(min_s=9.9, limit=50), list[Recording](), 0
    while True:
        page = catalogue.search(query)
        assert page.capped or page.next is None
        found += page.rows
        pages += 1
        if page.next is None:
            break
        query = replace(query, before_id=page.next)
    assert found == brute(rows, Query(min_s=9.9))
    assert pages > 10


def test_too_many_numbers_are_checked_row_by_row(
    world: tuple[Catalogue, list[Recording]], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue, rows = world
    monkeypatch.setattr(search, "MOST_NUMBERS", 5)
    for number in ("138*", "*1", "*39*"):
        query = Query(number=number, limit=500)
        assert list(catalogue.search(query).rows) == brute(rows, query)[:500]


def test_live_recordings_are_found_among_the_others(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        first = record(ledger, 1, utc_ns=values.NOON)
        live = open_recording(ledger, 2, utc_ns=values.NOON + HOUR, line=5)
        last = record(ledger, 3, utc_ns=values.NOON + 2 * HOUR)
        both = (State.LIVE, State.SEALED)
        page = ledger.catalogue.search(Query(states=both))
        assert [row.handle for row in page.rows] == [last.handle, live.handle, first.handle]
        assert page.found == 3
        page = ledger.catalogue.search(Query(states=both, limit=1, before_id=last.id))
        assert [row.handle for row in page.rows] == [live.handle] and page.next is not None
        assert [row.line for row in ledger.catalogue.search(Query(states=(State.LIVE,), lines=(5,))).rows] == [5]
        assert ledger.catalogue.search(Query(states=(State.LIVE,), number="1*")).rows == ()
        live.close()


def test_words_of_notes_are_found_and_changed_tags_are_not(tmp_path: Path) -> None:
    with ledger_of(tmp_path) as ledger:
        row = record(ledger, 1)
        ledger.tags(row.handle, ["alpha", "common"], "user:li")
        ledger.note(row.handle, "Common café 断线。重拨", "user:li")
        ledger.tags(row.handle, ["beta"], "user:li")

        def finds(text: str) -> bool:
            return bool(ledger.catalogue.search(Query(text=text)).rows)

        assert all(map(finds, ("common", "BETA", "Café", "断线", "线", "beta 重拨", "断线 common")))
        assert not any(map(finds, ("alpha", "线重", "commo", "!!", "拨重", "断线重")))


@settings(max_examples=200)
@given(number=st.text("0123456789*=.+", max_size=8), stored=st.text("0123456789.+", min_size=1, max_size=8))
def test_the_pattern_of_a_number_takes_everything_literally_but_the_star(number: str, stored: str) -> None:
    parts = number.removeprefix("=").split("*")
    fits = search.number_pattern(number).fullmatch(stored) is not None
    if len(parts) == 1:
        assert fits == (stored == parts[0])
    else:
        assert not fits or (stored.startswith(parts[0]) and stored.endswith(parts[-1]))
