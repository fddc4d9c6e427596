"""The box's host name: what the network and its certificate call it.

A new name is a new certificate, with another fingerprint: the answer says so.
"""

import re
import socket
from typing import Final

from firmware.control import Refusal
from firmware.keeper.asking import ANSWERED_AFTER_S, BoxAct, Keeping
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
    new = name != (keeper.kept.settings.name or socket.gethostname())
    keeper.kept.put(name=name)
    await apply(keeper)
    if new:
        keeper.begin(_page_again(keeper), "page with its new name")
    return {"certificate": new}


async def _page_again(keeper: Keeping) -> None:
    """The page makes a certificate with this name: at once, while whoever gave it expects that, and not some day."""
    await keeper.wait(ANSWERED_AFTER_S)
    await keeper.run("systemctl", "try-restart", "linekeep-web.service")


async def apply(keeper: Keeping) -> None:
    """Nothing keeps it but the kernel: a read-only root has the image's name."""
    if keeper.kept.settings.name:
        await keeper.run("hostname", keeper.kept.settings.name)
    keeper.problems.pop("name", None)


async def state(keeper: Keeping) -> Fields:
    return {"name": socket.gethostname()}
