"""What the keeper can be asked: the table of acts. The daemon reads it, too, to know what it hands on."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from firmware.keeper import about, clock, dahdi, name, network, power, ssh, storage, update
from firmware.keeper.asking import BoxAct, Keeping
from firmware.wire import Fields

Page = Literal["", "always", "safe mode"]
"""Whether the page's own user may ask for an act, too, which it must where no daemon is there to hand it on: at any
time, or only while the daemon is given up."""


@dataclass(frozen=True, slots=True)
class Doing:
    """An act that answers once. One at a time is done."""

    request: type[BoxAct]
    do: Callable[[Keeping, Any], Coroutine[Any, Any, Fields]]
    page: Page = ""


@dataclass(frozen=True, slots=True)
class Following:
    """An act that reports while it goes on: `{"event": "progress", "share": 0..1, "step": "..."}`, and at its end
    `{"event": "end", "reason": "done"}`. The generator is closed when who asked goes away; what must not stop then is
    begun with `Keeping.begin`, and the generator follows it. Raises `Refusal`."""

    request: type[BoxAct]
    follow: Callable[[Keeping, Any], AsyncGenerator[Fields, None]]
    page: Page = ""


STATE = "box.state"
"""Changes nothing: answered at once to whoever may connect, and not journalled."""

ACTS: dict[str, Doing | Following] = {
    "box.time": Doing(clock.Time, clock.set_time),
    "box.network": Doing(network.SetNetwork, network.set_network),
    "box.network_confirm": Doing(network.Confirm, network.confirm),
    "box.network_back": Doing(network.Back, network.back),
    "box.name": Doing(name.SetName, name.set_name),
    # Who holds one of the keys is root. Through the daemon, which journals it first, the page may ask for that at any
    # time. Without a daemon the page alone says what stands in the spool, so the keeper takes it from the page only
    # where somebody must be able to correct what keeps the daemon from running. The keeper's own log has it, too.
    "box.ssh": Doing(ssh.Ssh, ssh.set_ssh, page="safe mode"),
    "box.dahdi": Doing(dahdi.Dahdi, dahdi.configure),
    "box.restart": Doing(power.Power, power.restart, page="always"),
    "box.power_off": Doing(power.Power, power.power_off, page="always"),
    "box.encrypt": Doing(storage.Encrypt, storage.encrypt),
    "box.recovery_key": Doing(storage.RecoveryKey, storage.recovery_key),
    "box.reset": Doing(storage.Reset, storage.reset, page="always"),
    "box.resume": Doing(storage.Resume, storage.resume, page="always"),
    "box.update": Following(update.InstallUpdate, update.install, page="always"),
}

TELLS: tuple[Callable[[Keeping], Coroutine[Any, Any, Fields]], ...] = (
    about.state,
    clock.state,
    network.state,
    name.state,
    ssh.state,
    storage.state,
    update.state,
)
"""Each gives fields of `BoxState`; together they are the answer to `box.state`."""

APPLIES: tuple[tuple[str, Callable[[Keeping], Coroutine[Any, Any, None]]], ...] = (
    ("time", clock.apply),
    ("network", network.apply),
    ("name", name.apply),
    ("ssh", ssh.apply),
    ("update", update.apply),
)
"""What is done when the keeper starts, in order, before the network and the daemon are started. What fails is a problem
of that name, and the rest is done."""
