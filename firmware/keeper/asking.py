"""What the rooms of the keeper share: what a request for the box is, and what an act may use of the keeper."""

from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from firmware.asked import Act
from firmware.keeper.place import Place, Run
from firmware.wire import Fields


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
    def problems(self) -> dict[str, str]:
        """By room, what could not be read or applied, in a sentence. A room that is well again takes its own out."""

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Work that goes on when the act has answered, or when who asked has gone away. Its failure is logged."""
