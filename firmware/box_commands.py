"""The commands `box.*`: the daemon enters them in the journal and hands them on to the keeper, which does them.

The daemon knows of each act what its request may hold (`firmware.keeper.acts`) and refuses what is wrong before
anything is journalled; so it does a user who is no administrator: the page asks for rights, and what it forgot to ask
must not reach root. What the keeper did not do is journalled again, with the reason. On a machine that was not flashed
there is no keeper: its own system settings apply, and `box.state` says so.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path

import msgspec

from firmware import asked
from firmware.box import VERSION, Box
from firmware.config import CONFIG_NAME
from firmware.control import Peer, Refusal, Reports, Room
from firmware.keeper.acts import ACTS, STATE, Doing, Following
from firmware.keeper.asking import BoxAct
from firmware.keeper.clock import Time
from firmware.wire import AsyncClient, BoxState, DaemonError, Fields, TimeState, WireError
from recorder.access import Role
from recorder.errors import AccessError

log = logging.getLogger(__name__)


class BoxCommands:
    """`keeper` is the folder of its socket; None where there is none."""

    def __init__(self, box: Box, keeper: Path | None) -> None:
        self._box = box
        self._keeper = keeper

    def knows(self, do: str) -> bool:
        return do == STATE or isinstance(ACTS.get(do), Doing)

    def streams(self) -> Mapping[str, Reports]:
        return {do: partial(self._follow, do, act) for do, act in ACTS.items() if isinstance(act, Following)}

    async def answer(self, do: str, fields: Fields, peer: Peer) -> Fields:
        if do == STATE:
            asked.converted(do, fields, asked.Request)
            return self._unmanaged() if self._keeper is None else await self._managed(self._keeper)
        request, keeper = self._request(do, ACTS[do], fields, peer)
        if isinstance(request, Time):
            self._check_zone(request)
        actor = asked.who(request, peer)
        await self._enter(do, actor, request.told())
        try:
            answer = await self._hand_on(keeper, do, fields)
        except Refusal as refusal:
            await self._enter(do, actor, {**request.told(), "failed": refusal.message})
            raise
        if isinstance(request, Time):
            self._box.look_at_zone()
        return answer

    async def _follow(
        self, do: str, act: Following, fields: Fields, peer: Peer, room: Room
    ) -> AsyncGenerator[Fields | None, None]:
        request, keeper = self._request(do, act, fields, peer)
        actor = asked.who(request, peer)
        await self._enter(do, actor, request.told())
        yield None
        try:
            client = await AsyncClient.connect(keeper)
            try:
                async with aclosing(client.stream(do, **fields)) as events:
                    async for event in events:
                        yield {name: value for name, value in event.items() if name != "id"}
            finally:
                await client.close()
        except WireError as error:
            refusal = _refusal(do, error)
            await self._enter(do, actor, {**request.told(), "failed": refusal.message})
            raise refusal from error

    def _request(self, do: str, act: Doing | Following, fields: Fields, peer: Peer) -> tuple[BoxAct, Path]:
        """The request, its actor named as the kernel knows it, and the keeper it is for."""
        request = asked.sent(do, fields, act.request, peer)
        if request.actor.kind == "user":
            self._require_administrator(do, request.actor.name)
        if self._keeper is None:
            raise Refusal(
                "refused", f"{do}: this machine was not flashed with Linekeep's image, its own settings apply.",
                "Set it up with the means of its own system.",
            )  # fmt: skip
        fields["actor"] = {"kind": request.actor.kind, "name": asked.who(request, peer).partition(":")[2]}
        return request, self._keeper

    def _require_administrator(self, do: str, name: str) -> None:
        try:
            person = self._box.access.person(name)
        except AccessError as error:
            raise Refusal("internal", f"{do}: {error}") from error
        if person is None or not person.may(Role.ADMINISTRATOR):
            log.warning("%s is refused to %s, who is no administrator", do, name)
            raise Refusal("refused", f"{do}: {name} is no administrator of this box.", "Ask one who is.")

    async def _hand_on(self, keeper: Path, do: str, fields: Fields) -> Fields:
        try:
            client = await AsyncClient.connect(keeper)
            try:
                return await client.call(do, **fields)
            finally:
                await client.close()
        except WireError as error:
            raise _refusal(do, error) from error

    async def _enter(self, do: str, actor: str, detail: Fields) -> None:
        entry = self._box.ledger.submit(lambda ledger: ledger.operation(do, actor, None, detail))
        await asyncio.wrap_future(entry)

    def _check_zone(self, request: Time) -> None:
        """A box has one zone: that of its configuration where that names one, else the system's."""
        own = self._box.config.box.zone
        if own and request.zone not in (None, own):
            raise Refusal(
                "refused", f"box.time: {CONFIG_NAME} says that the zone is {own}.",
                "Take `zone` out of its [box] and start the daemon again; then it can be set here.",
            )  # fmt: skip

    async def _managed(self, keeper: Path) -> Fields:
        state = await self._hand_on(keeper, STATE, {})
        state["time"]["zone"] = self._box.status().clock.zone
        return state

    def _unmanaged(self) -> Fields:
        clock = self._box.status().clock
        time = TimeState(zone=clock.zone, synchronised=clock.synchronised)
        return msgspec.structs.asdict(BoxState(version=VERSION, name=socket.gethostname(), time=time))


def _refusal(do: str, error: WireError) -> Refusal:
    if isinstance(error, DaemonError):
        return Refusal(error.code, error.message, error.remedy)
    return Refusal(
        "refused", f"{do} was not done: the keeper of the box does not answer.",
        "It is started again by itself; `journalctl -u linekeep-keeper` says what ails it.",
    )  # fmt: skip
