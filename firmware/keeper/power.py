"""Restart and power-off. systemd stops the daemon, which seals what is being recorded; then the machine goes."""

from typing import Literal

from firmware.keeper.asking import ANSWERED_AFTER_S, BoxAct, Keeping
from firmware.wire import Fields


class Power(BoxAct):
    pass


async def restart(keeper: Keeping, request: Power) -> Fields:
    return _later(keeper, "reboot")


async def power_off(keeper: Keeping, request: Power) -> Fields:
    return _later(keeper, "poweroff")


def _later(keeper: Keeping, verb: Literal["reboot", "poweroff"]) -> Fields:
    async def go() -> None:
        await keeper.wait(ANSWERED_AFTER_S)
        await keeper.run("systemctl", verb)

    keeper.begin(go(), verb)
    return {}
