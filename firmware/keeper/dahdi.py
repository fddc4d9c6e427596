"""DAHDI's channels: what the driver says of its ports becomes their signalling, which acts now and at every start.

An analogue port is what is plugged into it, and a channel of a digital span is recorded as it is: there is nothing to
choose. Whoever needs something else writes the file by hand; the former one stays beside it.
"""

import asyncio

from firmware.control import Refusal
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import Failed, log
from firmware.wire import Fields
from recorder.disk import replace_file

NAME = "dahdi.conf"
UNIT = "linekeep-dahdi.service"
PATIENCE_S = 120.0
"""A large card takes its time."""


class Dahdi(BoxAct):
    pass


async def configure(keeper: Keeping, request: Dahdi) -> Fields:
    # It loads numpy, which the keeper has no use for otherwise.
    from firmware.cards import scan

    found = await asyncio.to_thread(scan.look)
    if found.trouble:
        raise Refusal("refused", f"box.dahdi: {found.trouble}.", "`linekeep doctor` says what is missing.")
    text = scan.signalling(found.spans, found.channels)
    if not text:
        raise Refusal(
            "refused", "box.dahdi: no channel was found that has no signalling and says what it can be.",
            "`linekeep card scan` lists them.",
        )  # fmt: skip
    path = keeper.place.kept / NAME
    former = path.read_bytes() if path.exists() else None
    replace_file(path, text.encode(), keep=path.with_name(NAME + ".1"), mode=0o600)
    try:
        await keeper.run("systemctl", "restart", UNIT, patience_s=PATIENCE_S)
    except Failed:
        # What the driver refuses must not be tried again at every start.
        if former is None:
            path.unlink()
        else:
            replace_file(path, former, mode=0o600)
            await _loaded_again(keeper)
        raise
    return {"file": str(path)}


async def _loaded_again(keeper: Keeping) -> None:
    """Ports that recorded by the former file go on; that it fails, too, is the lesser of the two faults to be told."""
    try:
        await keeper.run("systemctl", "restart", UNIT, patience_s=PATIENCE_S)
    except Failed as error:
        log.error("The former %s is not loaded again: %s", NAME, error)
