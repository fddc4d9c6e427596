"""What the control socket can be asked, as docs/control.md says, and what is done then; the types are in `requests`.

A command that changes something is entered in the journal under its actor. The page's word is taken for its users; for
the console it is the kernel's word that counts.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from firmware import asked, health, setup_code, streams
from firmware.alarms import report_of
from firmware.asked import Act, Request, converted
from firmware.box import VERSION, Box
from firmware.box_commands import BoxCommands
from firmware.cards import CardError
from firmware.cards.simulated import SimulatedCard
from firmware.control import Peer, Refusal, Reports, Room
from firmware.engine import EngineError, UnknownLineError
from firmware.fitting import Fitting
from firmware.learning import LEARNED, Learning
from firmware.requests import (
    Accept,
    AcknowledgeAlarm,
    DescribeLines,
    EnterOperation,
    Key,
    LearnApply,
    LearnBegin,
    LearnMeasure,
    LearnPropose,
    Link,
    Listen,
    PutUser,
    SetTags,
    SetupCheck,
    SetupFinish,
    SimCall,
    SimCut,
    SimReplay,
    SimScenario,
    TakeSimulated,
    TellOutcome,
    Trash,
    Undelete,
    Unlink,
    User,
    Watch,
    WriteNote,
)  # fmt: skip
from firmware.sheet.sealed import PURPOSE, canonical
from firmware.wire import Fields
from recorder.access import Person
from recorder.errors import NotFoundError, RecorderError, RefusedError
from recorder.ledger import Ledger
from recorder.model import Recording

WRONG_CODE_S = 1.0
"""A wrong setup code is answered late, so that it cannot be found by trying."""

T = TypeVar("T")


class Commands:
    """Does what is asked of a box."""

    def __init__(self, box: Box, config_path: Path, again: Callable[[], None], keeper: Path | None = None) -> None:
        """`again` has the daemon end in good order and start anew."""
        self._box = box
        self._again = again
        changing = asyncio.Lock()
        self._learning = Learning(box, config_path, changing)
        self._fitting = Fitting(box, config_path, changing)
        self._boxes = BoxCommands(box, keeper)

    def streams(self) -> dict[str, Reports]:
        return {
            "watch": self.watch,
            "listen": self.listen,
            "learn.measure": self.learn_measure,
            **self._boxes.streams(),
        }

    async def answer(self, do: str, fields: Fields, peer: Peer) -> Fields:
        try:
            if self._boxes.knows(do):
                return await self._boxes.answer(do, fields, peer)
            if do not in COMMANDS:
                raise Refusal("bad_request", f"There is no command {do[:40]!r}.", "See docs/control.md.")
            kind, act = COMMANDS[do]
            return await act(self, asked.sent(do, fields, kind, peer), peer)
        except (NotFoundError, UnknownLineError) as error:
            raise Refusal("not_found", str(error)) from error
        except (RefusedError, EngineError, CardError) as error:
            raise Refusal("refused", str(error)) from error
        except (RecorderError, OSError) as error:
            code = "full" if health.is_full(self._box.disk()) else "internal"
            raise Refusal(code, f"{do} was not done: {error}", "See the open alarms.") from error

    def watch(self, fields: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        wish = converted("watch", fields, Watch)
        box = self._box
        return streams.watch(box.reports, box.engine.snapshots, frozenset(wish.what), wish.interval_ms / 1000, room)

    def listen(self, fields: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        line = converted("listen", fields, Listen).line
        try:
            listener = self._box.engine.listen(line)
        except UnknownLineError as error:
            raise Refusal("not_found", str(error)) from error
        return streams.listen(line, self._box.cards[line].law, listener, room)

    def learn_measure(self, fields: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        wish = converted("learn.measure", fields, LearnMeasure)
        return self._learning.measure(wish.line, wish.step, wish.seconds, wish.before, room)

    async def _ledger(self, act: Callable[[Ledger], T], *, alone: bool = False, change: str = "") -> T:
        return await asyncio.wrap_future(self._box.ledger.submit(act, alone=alone, change=change))

    # The box and its lines

    async def hello(self, request: Request, peer: Peer) -> Fields:
        box = self._box
        return {
            "version": VERSION, "run": box.run, "pid": os.getpid(), "simulated": box.simulated,
            "started_utc_ns": box.started_utc_ns,
        }  # fmt: skip

    async def status(self, request: Request, peer: Peer) -> Fields:
        return msgspec.structs.asdict(self._box.status())

    async def lines(self, request: Request, peer: Peer) -> Fields:
        return {"lines": self._box.engine.snapshots()}

    async def key(self, request: Key, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        # It waits for the card's next block.
        return {"handle": await asyncio.to_thread(self._box.engine.key, request.line, request.on, who)}

    # Recordings

    async def trash(self, request: Trash, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        return await self._each(
            request.handles, "trashed", lambda ledger, one: ledger.trash([one], request.reason, who)
        )

    async def undelete(self, request: Undelete, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        return await self._each(request.handles, "undeleted", lambda ledger, one: ledger.undelete([one], who))

    async def _each(self, handles: list[str], change: str, act: Callable[[Ledger, str], list[Recording]]) -> Fields:
        """One job for each, committed together; what one refuses does not keep the others."""
        jobs = [self._ledger(lambda ledger, one=one: act(ledger, one), change=change) for one in handles]  # type: ignore[misc]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failed = [
            {"handle": handle, "message": str(result)}
            for handle, result in zip(handles, results, strict=True)
            if isinstance(result, NotFoundError | RefusedError)
        ]
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, NotFoundError | RefusedError):
                raise result
        return {"done": [row.handle for rows in results if isinstance(rows, list) for row in rows], "failed": failed}

    async def note(self, request: WriteNote, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        note = await self._ledger(lambda ledger: ledger.note(request.handle, request.text, who))
        row = self._box.catalogue.get(request.handle)
        self._box.reports.publish({"event": "recording", "recording": row, "change": "noted"})
        return {"note": note.id}

    async def tags(self, request: SetTags, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        await self._ledger(lambda ledger: ledger.tags(request.handle, request.tags, who), change="tagged")
        return {}

    async def link(self, request: Link, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        await self._ledger(lambda ledger: ledger.link(request.handle, request.principal, who), change="linked")
        return {}

    async def unlink(self, request: Unlink, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        _, principal = await self._ledger(lambda ledger: ledger.unlink(request.handle, who), change="unlinked")
        return {"principal": principal.handle}

    async def operation(self, request: EnterOperation, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        await self._ledger(lambda ledger: ledger.operation(request.act, who, request.handle, request.detail))
        return {}

    async def accept(self, request: Accept, peer: Peer) -> Fields:
        """What the box itself says of an acceptance sheet: it is signed, and entered in the journal."""
        identity = self._box.identity()
        if identity is None:
            raise Refusal("refused", "The box's key cannot be used.", "See the open alarm of identity.")
        who, tested = asked.who(request, peer), {"verdict": request.verdict, "lines": request.lines}
        detail = {"sha256": request.sha256, **tested}
        said = canonical(
            {
                **detail, "actor": who, "fingerprint": identity.fingerprint, "utc_ns": self._box.utc_ns(),
                "version": VERSION,
            }
        )  # fmt: skip
        await self._ledger(lambda ledger: ledger.operation("accept", who, None, detail))
        return {
            "statement": said, "signature": identity.sign(PURPOSE, said.encode()).hex(),
            "public_key": identity.public.hex(),
        }  # fmt: skip

    async def update_outcome(self, request: TellOutcome, peer: Peer) -> Fields:
        """The box's own proof tells it, once, after the start that decided it."""
        if peer.uid not in (0, os.getuid()):
            raise Refusal("refused", "What came of an update is told by the box itself.", "See box.state.")
        detail: Fields = {"version": request.version, "outcome": request.outcome, "message": request.message}
        # Between the restart that was asked for and the daemon's own start nothing was recorded. What was asked of the
        # keeper itself carries its own time.
        restarts = [one for one in self._box.catalogue.operations(limit=200) if one.act == "box.restart"]
        asked_for = [one.detail.get("utc_ns", one.utc_ns) for one in restarts]
        if asked_for:
            detail["unrecorded"] = {"from_utc_ns": asked_for[0], "to_utc_ns": self._box.started_utc_ns}
        await self._ledger(lambda ledger: ledger.operation("update.outcome", "system", None, detail))
        if request.outcome == "fell_back":
            self._box.alarms.raise_("update_fell_back", "update", version=request.version, reason=request.message)
        return {}

    # Alarms

    async def alarm_list(self, request: Request, peer: Peer) -> Fields:
        resolved = [report_of(alarm) for alarm in self._box.catalogue.alarms(100) if alarm.resolved_utc_ns]
        return {"alarms": self._box.alarms.open() + resolved}

    async def alarm_ack(self, request: AcknowledgeAlarm, peer: Peer) -> Fields:
        if self._box.alarms.acknowledge(request.alarm, asked.who(request, peer)) is None:
            raise Refusal(
                "not_found", f"Alarm {request.alarm[:80]}: none by this id is open.", "It may have been resolved."
            )
        # Whatever was handed in before is durable when this is.
        await self._ledger(lambda ledger: None)
        return {}

    # People

    async def setup_check(self, request: SetupCheck, peer: Peer) -> Fields:
        valid = self._box.access.setup_valid(request.code)
        if not valid:
            await asyncio.sleep(WRONG_CODE_S)
        return {"valid": valid}

    async def setup_finish(self, request: SetupFinish, peer: Peer) -> Fields:
        who, person = asked.who(request, peer), _person(request.user, None)
        await self._ledger(lambda ledger: ledger.setup_finish(request.code, person, who), alone=True)
        setup_code.hide()
        return {}

    async def user_put(self, request: PutUser, peer: Peer) -> Fields:
        who, person = asked.who(request, peer), _person(request.user, self._box.access.person(request.user.name))
        await self._ledger(lambda ledger: ledger.user_put(person, who), alone=True)
        return {}

    async def user_reset(self, request: Act, peer: Peer) -> Fields:
        if request.actor.kind != "console":
            raise Refusal("refused", "Accounts can be reset on the console alone.", "Use `linekeep user reset` there.")
        who = asked.who(request, peer)
        code = await self._ledger(lambda ledger: ledger.user_reset(who), alone=True)
        setup_code.show(code)
        return {"code": code}

    # Thresholds of a line

    async def learn_begin(self, request: LearnBegin, peer: Peer) -> Fields:
        return self._learning.begin(request.line)

    async def learn_propose(self, request: LearnPropose, peer: Peer) -> Fields:
        return self._learning.propose(request.line, request.measurements)

    async def learn_apply(self, request: LearnApply, peer: Peer) -> Fields:
        values = {key: value for key in LEARNED if (value := getattr(request, key)) is not None}
        if not values:
            raise Refusal(
                "bad_request", f"Line {request.line}: nothing is to be changed.", f"Name {', '.join(LEARNED)}."
            )
        return await self._learning.apply(request.line, values, asked.who(request, peer))

    # Cards and lines in the configuration

    async def fitting(self, request: Request, peer: Peer) -> Fields:
        return msgspec.structs.asdict(await self._fitting.state())

    async def card_scan(self, request: Request, peer: Peer) -> Fields:
        return msgspec.structs.asdict(await self._fitting.scan())

    async def card_take(self, request: Act, peer: Peer) -> Fields:
        return await self._fitting.take_cards(asked.who(request, peer))

    async def card_simulate(self, request: TakeSimulated, peer: Peer) -> Fields:
        return await self._fitting.take_simulated(request.lines, asked.who(request, peer))

    async def card_drop(self, request: Act, peer: Peer) -> Fields:
        return await self._fitting.drop_simulated(asked.who(request, peer))

    async def line_describe(self, request: DescribeLines, peer: Peer) -> Fields:
        return await self._fitting.describe(request.lines, asked.who(request, peer))

    async def restart(self, request: Act, peer: Peer) -> Fields:
        who = asked.who(request, peer)
        await self._ledger(lambda ledger: ledger.operation("restart", who, None, {}))
        self._again()
        return {}

    # Simulated lines. Rendering a call takes time, so it is done beside the loop.

    async def sim_call(self, request: SimCall, peer: Peer) -> Fields:
        card = self._simulated(request.line)
        plan = await asyncio.to_thread(
            card.call,
            request.line,
            audio=Path(request.audio),
            caller=request.caller,
            callee=request.callee,
            law_exact=request.law_exact,
            answer_after_s=request.answer_after_s,
        )
        return {"plan": msgspec.to_builtins(plan)}

    async def sim_replay(self, request: SimReplay, peer: Peer) -> Fields:
        cards = self._all_simulated()
        folder, over_s, every = Path(request.folder), request.over_s, len(cards)
        jobs = [
            asyncio.to_thread(card.replay, folder, over_s, first=first, every=every) for first, card in enumerate(cards)
        ]
        return {"calls": sum(await asyncio.gather(*jobs))}

    async def sim_scenario(self, request: SimScenario, peer: Peer) -> Fields:
        for card in self._all_simulated():
            await asyncio.to_thread(card.set_scenario, request.on)
        return {}

    async def sim_cut(self, request: SimCut, peer: Peer) -> Fields:
        await asyncio.to_thread(self._simulated(request.line).cut, request.line, request.on)
        return {}

    def _simulated(self, line: int) -> SimulatedCard:
        card = self._box.cards.get(line)
        if card is None:
            raise Refusal("not_found", f"Line {line}: the box has no such line.", "Ask for its lines.")
        if not isinstance(card, SimulatedCard):
            raise Refusal("not_simulated", f"Line {line} is a real one, on card {card.name}.", "Take a simulated line.")
        return card

    def _all_simulated(self) -> list[SimulatedCard]:
        cards = [card for card in dict.fromkeys(self._box.cards.values()) if isinstance(card, SimulatedCard)]
        if not cards:
            raise Refusal("not_simulated", "The box has no simulated card.", "Configure one in linekeep.toml.")
        return cards


Do = Callable[[Commands, Any, Peer], Coroutine[Any, Any, Fields]]

COMMANDS: dict[str, tuple[type[Request], Do]] = {
    "hello": (Request, Commands.hello),
    "status": (Request, Commands.status),
    "lines": (Request, Commands.lines),
    "key": (Key, Commands.key),
    "trash": (Trash, Commands.trash),
    "undelete": (Undelete, Commands.undelete),
    "note": (WriteNote, Commands.note),
    "tags": (SetTags, Commands.tags),
    "link": (Link, Commands.link),
    "unlink": (Unlink, Commands.unlink),
    "operation": (EnterOperation, Commands.operation),
    "accept": (Accept, Commands.accept),
    "update.outcome": (TellOutcome, Commands.update_outcome),
    "alarm.list": (Request, Commands.alarm_list),
    "alarm.ack": (AcknowledgeAlarm, Commands.alarm_ack),
    "setup.check": (SetupCheck, Commands.setup_check),
    "setup.finish": (SetupFinish, Commands.setup_finish),
    "user.put": (PutUser, Commands.user_put),
    "user.reset": (Act, Commands.user_reset),
    "learn.begin": (LearnBegin, Commands.learn_begin),
    "learn.propose": (LearnPropose, Commands.learn_propose),
    "learn.apply": (LearnApply, Commands.learn_apply),
    "fitting": (Request, Commands.fitting),
    "card.scan": (Request, Commands.card_scan),
    "card.take": (Act, Commands.card_take),
    "card.simulate": (TakeSimulated, Commands.card_simulate),
    "card.drop": (Act, Commands.card_drop),
    "line.describe": (DescribeLines, Commands.line_describe),
    "restart": (Act, Commands.restart),
    "sim.call": (SimCall, Commands.sim_call),
    "sim.replay": (SimReplay, Commands.sim_replay),
    "sim.scenario": (SimScenario, Commands.sim_scenario),
    "sim.cut": (SimCut, Commands.sim_cut),
}


def _person(user: User, known: Person | None) -> Person:
    """The account as it shall be: what is left out stays as it is."""
    given = {name: value for name, value in msgspec.structs.asdict(user).items() if value is not None}
    before = {} if known is None else msgspec.to_builtins(known)
    try:
        return msgspec.convert(before | given, Person)
    except msgspec.ValidationError as error:
        raise Refusal(
            "bad_request", f"Account {user.name!r}: {error}.", "A new account needs password_hash and roles."
        ) from error
