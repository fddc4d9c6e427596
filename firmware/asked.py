"""What every request over a control socket has, whoever answers it: who asks, and that its type is the check."""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from firmware.control import Peer, Refusal
from firmware.wire import Fields

PAGE_USER = "linekeep-web"
"""As whom the page runs on a box."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A field that is missing, unknown or wrong is refused before anything is done."""


class Actor(Request):
    kind: Literal["user", "console"]
    name: Name


class Act(Request):
    """A request that changes something."""

    actor: Actor


R = TypeVar("R", bound=Request)


def converted(do: str, fields: Fields, kind: type[R]) -> R:
    """The request in these fields. Raises `Refusal`."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Refusal("bad_request", f"{do}: {error}.", "See docs/control.md.") from error


def sent(do: str, fields: Fields, kind: type[R], peer: Peer) -> R:
    """The request that this peer makes. The page speaks for its users; as the console, which may do more, it is
    refused. Raises `Refusal`."""
    request = converted(do, fields, kind)
    if isinstance(request, Act) and request.actor.kind == "console" and peer.name == PAGE_USER:
        raise Refusal("refused", f"{do}: the page does not speak for the console.", "Name the user who asks.")
    return request


def who(request: Act, peer: Peer) -> str:
    """As the journal names the actor. Who is on the console is not for the request to say."""
    name = request.actor.name if request.actor.kind == "user" else peer.name
    return f"{request.actor.kind}:{name}"
