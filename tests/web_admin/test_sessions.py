"""Sessions end when they should, failures delay and are not forgotten by a restart, searches belong to one person."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.model import Query
from web_admin.sessions import IDLE_NS, LONGEST_NS, Store, delay_s

NS = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 1_763_776_800 * NS

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "state", clock)
    yield store
    store.close()


def test_the_token_itself_is_stored_nowhere(store: Store, tmp_path: Path) -> None:
    token = store.sign_in("wang", "10.0.0.1", "browser", None)
    found = store.session(token)
    assert found is not None and found.user == "wang"
    assert len(token) == 43
    assert token.encode() not in (tmp_path / "state" / "data.mdb").read_bytes()
    assert store.session(token[:-1] + ("A" if token[-1] != "A" else "B")) is None


def test_a_session_ends_without_use_and_in_any_case(store: Store, clock: Clock) -> None:
    idle, used = (store.sign_in("wang", "10.0.0.1", "browser", None) for _ in range(2))
    began = clock.ns
    while clock.ns - began < LONGEST_NS - IDLE_NS // 2:
        clock.ns += IDLE_NS // 2
        assert store.session(used) is not None
    assert store.session(idle) is None
    clock.ns = began + LONGEST_NS
    assert store.session(used) is None


def test_sessions_can_be_ended_and_stay_ended(store: Store) -> None:
    here, there = (store.sign_in("wang", "10.0.0.1", "browser", None) for _ in range(2))
    other = store.sign_in("li", "10.0.0.1", "browser", None)
    assert store.end_sessions("wang", except_token=here) == 1
    assert store.session(there) is None
    assert store.session(here) is not None and store.session(other) is not None
    store.sign_out(here)
    store.set_language(here, "en")
    assert store.session(here) is None


def test_delay_grows_and_is_bounded() -> None:
    assert [delay_s(n, 3, 30) for n in range(10)] == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert delay_s(10**6, 3, 30) == 30


def test_failures_delay_by_account_and_by_address_across_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = Store(tmp_path / "state", clock)
    for _ in range(5):
        first.attempted("Wang", "10.0.0.1")
    first.close()
    again = Store(tmp_path / "state", clock)
    assert again.wait_s("wang", "10.0.0.2") == 4
    assert again.wait_s("li", "10.0.0.1") == 0
    for _ in range(8):
        again.attempted("somebody", "10.0.0.1")
    assert again.wait_s("li", "10.0.0.1") == 8
    again.succeeded("wang", "10.0.0.9")
    assert again.wait_s("wang", "10.0.0.2") == 0
    clock.ns += 8 * NS
    assert again.wait_s("li", "10.0.0.1") == 0
    again.close()


def test_an_attempt_that_succeeds_takes_back_its_own_failure_and_no_other(store: Store, clock: Clock) -> None:
    for _ in range(11):
        store.attempted("somebody", "10.0.0.1")
    store.attempted("wang", "10.0.0.1")
    assert store.wait_s("li", "10.0.0.1") == 4
    store.succeeded("wang", "10.0.0.1")
    assert store.wait_s("li", "10.0.0.1") == 2
    clock.ns += 2 * NS
    store.attempted("wang", "10.0.0.1")
    store.succeeded("wang", "10.0.0.1")
    assert store.wait_s("li", "10.0.0.1") == 0


def test_loopback_is_many_people_and_waits_little(store: Store) -> None:
    for place in range(150):
        assert store.wait_s("wang", "127.0.0.1") == (0 if place < 100 else 1)
        store.attempted(f"guess {place}", "127.0.0.1" if place % 2 else "::1")


@pytest.mark.parametrize(
    ("one", "other", "wait_s"),
    [
        ("2001:db8:0:1::5", "2001:db8:0:1:ffff::9", 64),
        ("2001:db8:0:1::5", "2001:db8:0:2::5", 0),
        ("10.0.0.1", "::ffff:10.0.0.1", 64),
        ("10.0.0.1", "10.0.0.2", 0),
        ("fe80::1%eth0", "fe80::2%eth1", 64),
        ("local", "local", 64),
    ],
)
def test_what_counts_as_one_address(store: Store, one: str, other: str, wait_s: int) -> None:
    for place in range(16):
        store.attempted(f"guess {place}", one)
    assert store.wait_s("wang", other) == wait_s


def test_a_search_belongs_to_who_made_it(store: Store) -> None:
    name = store.remember("wang", Query(number="*5039*"), {"number": "*5039*"})
    found = store.search(name, "wang")
    assert found is not None and found.query.number == "*5039*"
    assert store.search(name, "li") is None
    assert store.search("", "wang") is None and store.search("x" * 5000, "wang") is None


def test_tidying_drops_what_is_over(store: Store, clock: Clock) -> None:
    token = store.sign_in("wang", "10.0.0.1", "browser", None)
    store.remember("wang", Query(), {})
    store.attempted("wang", "10.0.0.1")
    assert store.tidy() == 0
    clock.ns += 48 * 3600 * NS
    assert store.tidy() == 4
    assert store.session(token) is None and store.wait_s("wang", "10.0.0.1") == 0
