"""What the page remembers by itself: who is signed in, who failed to, and what was searched.

Its own LMDB environment (`DATA/web/state`), apart from the catalogue, because the page is the only one that writes it.
A session is 256 random bits in a cookie; only their SHA-256 is kept, so that a copy of this file signs nobody in.
Sessions end after an hour without use and after twelve hours in any case (OWASP ASVS 5, 7.3), when the account is
disabled, or when their owner or an administrator ends them.

Searches are remembered under a random name, so that an address shows no telephone number and Back works. An attempt to
sign in counts as failed from before its password is looked at until it is known to be right, so that many at once are
no way around the delay. Failures delay the next attempt, by account and by address, and the delay outlives a restart;
nobody is locked out. All who come over loopback have one address, so its delay is short. An IPv6 network of 64 bits
is one address: whoever has one of its addresses has them all.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from recorder.model import Query

NS = 1_000_000_000
IDLE_NS = 3600 * NS
LONGEST_NS = 12 * 3600 * NS
SEARCH_KEPT_NS = 12 * 3600 * NS
TOUCH_EVERY_NS = 60 * NS
MAP_BYTES = 256 << 20

FREE_ACCOUNT_FAILURES = 3
LONGEST_ACCOUNT_DELAY_S = 30
FREE_ADDRESS_FAILURES = 10
LONGEST_ADDRESS_DELAY_S = 300
FREE_LOOPBACK_FAILURES = 100
LONGEST_LOOPBACK_DELAY_S = 1
FORGET_FAILURES_NS = 24 * 3600 * NS


class Session(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    address: str
    agent: str
    language: str | None
    created_ns: int
    seen_ns: int
    secret: str = ""
    """The account's password hash, digested: with another password, however it was changed, the session ends."""

    def ends_ns(self) -> int:
        return min(self.seen_ns + IDLE_NS, self.created_ns + LONGEST_NS)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A remembered search. `cursors[n]` is where page n+2 begins."""

    user: str
    created_ns: int
    query: Query
    form: dict[str, str]
    cursors: list[int] = []


class Failures(msgspec.Struct, frozen=True):
    count: int
    last_ns: int
    before_ns: int = 0
    """Of the failure before the last."""


_decode_search = msgspec.msgpack.Decoder(Search).decode


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def secret(password_hash: str) -> str:
    """Stands for a password hash in a session; the hash cannot be had from it."""
    return hashlib.sha256(b"linekeep session" + password_hash.encode()).hexdigest()[:32]


def delay_s(failures: int, free: int, longest: int) -> int:
    """Seconds to wait after this many failures: none for the first few, then doubling up to a bound."""
    return 0 if failures < free else min(longest, 1 << min(failures - free, 16))


class Store:
    """Sessions, failures and searches. `now_ns` is UTC and passed in."""

    def __init__(self, folder: Path, now_ns: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._env = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=4, lib_version=0)
        self._sessions = self._env.open_db(b"sessions")
        self._failures = self._env.open_db(b"failures")
        self._searches = self._env.open_db(b"searches")
        self.now_ns = now_ns

    def close(self) -> None:
        self._env.close()

    # Sessions -----------------------------------------------------------------------------------------------------

    def sign_in(self, user: str, address: str, agent: str, language: str | None, password_hash: str = "") -> str:
        """A new session; returns the token for the cookie, which is kept nowhere else."""
        token = secrets.token_urlsafe(32)
        now = self.now_ns()
        session = Session(
            user=user, address=address, agent=agent[:200], language=language, created_ns=now, seen_ns=now,
            secret=secret(password_hash),
        )  # fmt: skip
        with self._env.begin(write=True) as txn:
            txn.put(digest(token), msgspec.msgpack.encode(session), db=self._sessions)
        return token

    def session(self, token: str) -> Session | None:
        """The live session of this token, marked as used; None where there is none (any more)."""
        key, now = digest(token), self.now_ns()
        with self._env.begin(db=self._sessions) as txn:
            found = txn.get(key)
        if found is None:
            return None
        session = msgspec.msgpack.decode(found, type=Session)
        if now >= session.ends_ns():
            self.sign_out(token)
            return None
        if now - session.seen_ns > TOUCH_EVERY_NS:
            session = self._put(key, msgspec.structs.replace(session, seen_ns=now))
        return session

    def set_language(self, token: str, language: str) -> None:
        session = self.session(token)
        if session is not None:
            self._put(digest(token), msgspec.structs.replace(session, language=language))

    def sign_out(self, token: str) -> None:
        with self._env.begin(write=True) as txn:
            txn.delete(digest(token), db=self._sessions)

    def sessions_of(self, user: str) -> list[tuple[bytes, Session]]:
        """Key and session of everything this account is signed in with, newest use first."""
        found = [(key, session) for key, session in self._all() if session.user == user]
        return sorted(found, key=lambda item: -item[1].seen_ns)

    def end_sessions(self, user: str, except_token: str | None = None) -> int:
        keep = digest(except_token) if except_token else b""
        ended = [key for key, session in self._all() if session.user == user and key != keep]
        with self._env.begin(write=True) as txn:
            for key in ended:
                txn.delete(key, db=self._sessions)
        return len(ended)

    def _put(self, key: bytes, session: Session) -> Session:
        with self._env.begin(write=True) as txn:
            # Not written back where it was ended meanwhile.
            if txn.get(key, db=self._sessions) is not None:
                txn.put(key, msgspec.msgpack.encode(session), db=self._sessions)
        return session

    def _all(self) -> Iterator[tuple[bytes, Session]]:
        now = self.now_ns()
        with self._env.begin(db=self._sessions) as txn:
            rows = [(bytes(key), bytes(value)) for key, value in txn.cursor()]
        for key, value in rows:
            session = msgspec.msgpack.decode(value, type=Session)
            if now < session.ends_ns():
                yield key, session

    # Attempts to sign in ------------------------------------------------------------------------------------------

    def wait_s(self, user: str, address: str) -> int:
        """Seconds until this account may be tried again from this address; 0: now."""
        now = self.now_ns()
        waits = [0]
        with self._env.begin(db=self._failures) as txn:
            for key, free, longest in _limits(user, address):
                failures = _failures(txn.get(key), now)
                due = failures.last_ns + delay_s(failures.count, free, longest) * NS
                waits.append(-((now - due) // NS))
        return max(waits)

    def attempted(self, user: str, address: str) -> None:
        """Counts as a failure until `succeeded`. Called in the same breath as `wait_s`."""
        now = self.now_ns()
        with self._env.begin(write=True, db=self._failures) as txn:
            for key, _, _ in _limits(user, address):
                before = _failures(txn.get(key), now)
                txn.put(key, msgspec.msgpack.encode(Failures(before.count + 1, now, before.last_ns)))

    def succeeded(self, user: str, address: str) -> None:
        """Forgets the account's failures, and this attempt of the address. The address keeps its others: an attacker
        may own one good account."""
        (account, *_), (network, *_) = _limits(user, address)
        with self._env.begin(write=True, db=self._failures) as txn:
            txn.delete(account)
            counted = _failures(txn.get(network), self.now_ns())
            txn.put(network, msgspec.msgpack.encode(Failures(max(0, counted.count - 1), counted.before_ns)))

    # Searches -----------------------------------------------------------------------------------------------------

    def remember(self, user: str, query: Query, form: dict[str, str]) -> str:
        name = secrets.token_urlsafe(12)
        self.update_search(name, Search(user=user, created_ns=self.now_ns(), query=query, form=form))
        return name

    def search(self, name: str, user: str) -> Search | None:
        with self._env.begin(db=self._searches) as txn:
            found = txn.get(name.encode()[:100]) if name else None
        search = None if found is None else _decode_search(found)
        return search if search is not None and search.user == user else None

    def update_search(self, name: str, search: Search) -> None:
        with self._env.begin(write=True) as txn:
            txn.put(name.encode(), msgspec.msgpack.encode(search), db=self._searches)

    # Housekeeping -------------------------------------------------------------------------------------------------

    def tidy(self) -> int:
        """Drops what is over; returns how much. Called at start and on a timer."""
        now = self.now_ns()
        over: tuple[tuple[Any, Callable[[bytes], bool]], ...] = (
            (self._sessions, lambda value: now >= msgspec.msgpack.decode(value, type=Session).ends_ns()),
            (self._searches, lambda value: now - _decode_search(value).created_ns > SEARCH_KEPT_NS),
            (self._failures, lambda value: _failures(value, now).count == 0),
        )
        dropped = 0
        with self._env.begin(write=True) as txn:
            for db, is_over in over:
                for key in [bytes(key) for key, value in txn.cursor(db) if is_over(value)]:
                    dropped += txn.delete(key, db=db)
        self._env.reader_check()
        return dropped


def _limits(user: str, address: str) -> tuple[tuple[bytes, int, int], tuple[bytes, int, int]]:
    return (
        (b"user:" + digest(user.casefold()), FREE_ACCOUNT_FAILURES, LONGEST_ACCOUNT_DELAY_S),
        _network(address),
    )


def _network(address: str) -> tuple[bytes, int, int]:
    """What counts as one address."""
    network = address
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        pass  # A socket without an address; it counts as what it calls itself.
    else:
        if isinstance(known, ipaddress.IPv6Address):
            known = known.ipv4_mapped or known
        if known.is_loopback:
            return b"from:loopback", FREE_LOOPBACK_FAILURES, LONGEST_LOOPBACK_DELAY_S
        network = str(ipaddress.ip_network((known, 64 if known.version == 6 else 32), strict=False))
    return b"from:" + digest(network), FREE_ADDRESS_FAILURES, LONGEST_ADDRESS_DELAY_S


def _failures(value: bytes | None, now: int) -> Failures:
    if value is None:
        return Failures(0, 0)
    failures = msgspec.msgpack.decode(value, type=Failures)
    return Failures(0, 0) if now - failures.last_ns > FORGET_FAILURES_NS else failures
