"""The keeper as a service: its socket, who may ask, one act at a time.

The socket speaks the frames of `firmware.wire` and lies in a folder that root and the group of the daemon may enter.
That group has the page's user in it, too, which may ask for the few acts that a box in need has to do while the daemon
is down; the kernel says who is at the other end. An act is done wholly or not at all: it checks everything before it
changes anything, and no second one begins meanwhile. Streams (an update) look after themselves.
"""

import asyncio
import contextlib
import os
import pwd
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from firmware import asked
from firmware.control import ControlServer, Peer, Refusal, Reports, Room
from firmware.keeper import safe_mode
from firmware.keeper.acts import ACTS, APPLIES, STATE, TELLS, Doing, Following, Page
from firmware.keeper.asking import BoxAct
from firmware.keeper.kept import Kept
from firmware.keeper.place import Failed, Place, Run, log
from firmware.wire import BoxState, Fields


@dataclass(frozen=True, slots=True)
class Admitted:
    """User ids that may ask for everything, and those that may ask for what a page needs without a daemon."""

    all: frozenset[int]
    page: frozenset[int] = frozenset()


def usual() -> Admitted:
    """The keeper's own user, which is root, the daemon's, and for a little the page's."""
    return Admitted(frozenset({os.getuid(), *_uid("linekeep")}), frozenset(_uid(asked.PAGE_USER)))


def _uid(name: str) -> tuple[int, ...]:
    try:
        return (pwd.getpwnam(name).pw_uid,)
    except KeyError:
        return ()


@dataclass(slots=True)
class Keeper:
    """`Keeping`, for real."""

    place: Place
    run: Run
    admitted: Admitted
    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    kept: Kept = field(init=False)
    problems: dict[str, str] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    acting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _works: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kept = Kept(self.place.kept)

    async def apply(self) -> None:
        """What was kept acts from now on."""
        with self._noted("settings"):
            self.kept.read()
        for room, act in APPLIES:
            with self._noted(room):
                await act(self)

    @contextlib.contextmanager
    def _noted(self, room: str) -> Iterator[None]:
        try:
            yield
        except (Failed, OSError) as error:
            log.error("%s: %s", room, error)
            self.problems[room] = f"{room}: {error}"

    def server(self) -> ControlServer:
        streams: Mapping[str, Reports] = {
            do: partial(self._follow, do, act) for do, act in ACTS.items() if isinstance(act, Following)
        }
        return ControlServer(self.place.socket, self._answer, streams)

    async def _answer(self, do: str, fields: Fields, peer: Peer) -> Fields:
        if do == STATE:
            self._admit(do, peer, "always")
            asked.converted(do, fields, asked.Request)
            return await self._state()
        act = ACTS.get(do)
        if not isinstance(act, Doing):
            raise Refusal("bad_request", f"There is no command {do[:40]!r}.", "See docs/control.md.")
        request = self._request(do, act, fields, peer)
        async with self.acting:
            with _refused(do):
                return await act.do(self, request)

    async def _follow(
        self, do: str, act: Following, fields: Fields, peer: Peer, room: Room
    ) -> AsyncGenerator[Fields | None, None]:
        request = self._request(do, act, fields, peer)
        yield None
        with _refused(do):
            async with contextlib.aclosing(act.follow(self, request)) as events:
                async for event in events:
                    yield event

    def _request(self, do: str, act: Doing | Following, fields: Fields, peer: Peer) -> BoxAct:
        self._admit(do, peer, act.page)
        request = asked.sent(do, fields, act.request, peer)
        log.info("%s, asked by %s:%s", do, request.actor.kind, request.actor.name)
        return request

    def _admit(self, do: str, peer: Peer, page: Page) -> None:
        may = page == "always" or (page == "safe mode" and safe_mode.read(self.place.root).on)
        if peer.uid in self.admitted.all or (may and peer.uid in self.admitted.page):
            return
        log.warning("%s is refused to pid %d of user %s", do, peer.pid, peer.name)
        raise Refusal("refused", f"{do}: {peer.name} may not ask for this.", "Ask the daemon, over its control socket.")

    async def _state(self) -> Fields:
        told: Fields = {"managed": True}
        for tell in TELLS:
            told |= await tell(self)
        return msgspec.structs.asdict(BoxState(**told, problems=list(self.problems.values())))

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._works.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        for task in self._works:
            task.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)


@contextlib.contextmanager
def _refused(do: str) -> Iterator[None]:
    """What went wrong while acting, as the answer."""
    try:
        yield
    except (Failed, OSError) as error:
        log.error("%s was not done: %s", do, error)
        raise Refusal(
            "internal", f"{do} was not done: {error}.", "`journalctl -u linekeep-keeper` has what went before."
        ) from error
