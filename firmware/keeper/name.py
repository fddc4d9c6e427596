"""The box's host name: what the network and its certificate call it."""

import re
import socket
from typing import Final

from firmware.control import Refusal
from firmware.keeper.asking import BoxAct, Keeping
from firmware.wire import Fields

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label of RFC 1123, section 2.1. The network adds its domain."""


class SetName(BoxAct):
    name: str


async def set_name(keeper: Keeping, request: SetName) -> Fields:
    name = request.name.lower()
    if not NAME.fullmatch(name) or name.isdecimal() or name == "localhost":
        raise Refusal(
            "bad_request", f"box.name: {request.name[:80]!r} is not a host name.",
            "It has 1 to 63 letters, digits and hyphens, one letter at least, and no hyphen at either end.",
        )  # fmt: skip
    keeper.kept.put(name=name)
    await apply(keeper)
    return {}


async def apply(keeper: Keeping) -> None:
    """Nothing keeps it but the kernel: a read-only root has the image's name."""
    if keeper.kept.settings.name:
        await keeper.run("hostname", keeper.kept.settings.name)


async def state(keeper: Keeping) -> Fields:
    return {"name": socket.gethostname()}
