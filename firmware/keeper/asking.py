"""What the rooms of the keeper share: what a request for the box is, and what an act may use of the keeper."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import msgspec

from firmware.asked import Act
from firmware.keeper.kept import Kept
from firmware.keeper.place import Place, Run
from firmware.wire import Fields

ANSWERED_AFTER_S = 1.0
"""What takes the ground from under who asked begins so much later: the answer is there first."""


class BoxAct(Act):
    """A request that changes something of the box. The daemon enters it in the journal before the keeper has it."""

    def told(self) -> Fields:
        """What the journal is told of it. A room whose request holds a secret says here what may stand there."""
        fields: Fields = msgspec.to_builtins(self)
        del fields["actor"]
        return {name: value for name, value in fields.items() if value is not None}


class Keeping(Protocol):
    """The keeper, as an act sees it."""

    @property
    def place(self) -> Place: ...

    @property
    def run(self) -> Run: ...

    @property
    def kept(self) -> Kept: ...

    @property
    def acting(self) -> asyncio.Lock:
        """Held while an act is done; what was begun with `begin` takes it for what it changes."""

    @property
    def problems(self) -> dict[str, str]:
        """By room, what could not be read or applied, in a sentence. A room that is well again takes its own out."""

    @property
    def memory(self) -> dict[str, Any]:
        """What a room must know as long as the keeper runs, by its name."""

    def now(self) -> float:
        """Monotonic seconds."""

    @property
    def wait(self) -> Callable[[float], Awaitable[None]]:
        """For so many seconds."""

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Work that goes on when the act has answered, or when who asked has gone away. Its failure is logged."""
