"""Restart and power-off. systemd stops the daemon, which seals what is being recorded; then the machine goes."""

import asyncio
from typing import Literal

from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import Failed, log
from firmware.wire import Fields

ANSWERED_AFTER_S = 1.0
"""The answer has reached who asked before the first service is stopped."""


class Power(BoxAct):
    pass


async def restart(keeper: Keeping, request: Power) -> Fields:
    return _later(keeper, "reboot")


async def power_off(keeper: Keeping, request: Power) -> Fields:
    return _later(keeper, "poweroff")


def _later(keeper: Keeping, verb: Literal["reboot", "poweroff"]) -> Fields:
    async def go() -> None:
        await asyncio.sleep(ANSWERED_AFTER_S)
        try:
            await keeper.run("systemctl", verb)
        except Failed as error:
            log.error("The box does not %s: %s", verb, error)

    keeper.begin(go(), verb)
    return {}
