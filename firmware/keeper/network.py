"""The box's place in the network: by DHCP or with fixed addresses, and no way to lock oneself out.

A new setting is a *trial*: it acts at once and goes back by itself after two minutes unless somebody confirms it, from
the page at the new address or on the console. Until then it is kept nowhere but under /run, so a restart, of the keeper
or of the box, goes back as well.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import field

from firmware.control import Refusal
from firmware.keeper.addresses import Wrong, as_file, checked
from firmware.keeper.asking import ANSWERED_AFTER_S, BoxAct, Keeping
from firmware.keeper.kept import NetworkSettings
from firmware.keeper.place import Failed, log, publish
from firmware.wire import Fields, Interface, NetworkMode, NetworkState, NetworkTrial

TRIAL_S = 120.0
ROOM = "network"


class SetNetwork(BoxAct):
    """A whole setting. `interface` may be left out where there is one card."""

    mode: NetworkMode
    interface: str = ""
    addresses: list[str] = field(default_factory=list)
    gateways: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)


class Confirm(BoxAct):
    """`reached_at`: the box's address that whoever confirms has reached it by. The page must say; the console need
    not."""

    reached_at: str = ""


class Back(BoxAct):
    pass


@dataclass(slots=True, eq=False)
class Trial:
    wanted: NetworkSettings
    until: float
    acts: bool = False
    """Until it does, nobody has seen anything of it."""


async def set_network(keeper: Keeping, request: SetNetwork) -> Fields:
    wanted = NetworkSettings(
        mode=request.mode, interface=request.interface, addresses=request.addresses, gateways=request.gateways,
        dns=request.dns,
    )  # fmt: skip
    try:
        settings = checked(wanted, [card.name for card in await _cards(keeper)])
    except Wrong as error:
        raise Refusal("bad_request", f"box.network: {error}.", "Nothing was changed.") from error
    if settings == keeper.kept.settings.network and _trial(keeper) is None:
        return {"trial_s": 0}
    trial = Trial(settings, keeper.now() + ANSWERED_AFTER_S + TRIAL_S)
    keeper.memory[ROOM] = trial
    keeper.begin(_try(keeper, trial), "network trial")
    return {"trial_s": round(TRIAL_S)}


async def _try(keeper: Keeping, trial: Trial) -> None:
    await keeper.wait(ANSWERED_AFTER_S)
    try:
        if not await _while_on(keeper, trial, lambda: _begin(keeper, trial)):
            return
    except (Failed, OSError) as error:
        log.error("the new network setting cannot act and goes back: %s", error)
        keeper.problems[ROOM] = f"network: the new setting could not act and went back: {error}"
    else:
        await keeper.wait(TRIAL_S)
    await _while_on(keeper, trial, lambda: _go_back(keeper))


async def _begin(keeper: Keeping, trial: Trial) -> None:
    await _act(keeper, trial.wanted)
    trial.acts = True
    keeper.problems.pop(ROOM, None)


async def _while_on(keeper: Keeping, trial: Trial, act: Callable[[], Awaitable[None]]) -> bool:
    """Does it, unless the trial has been decided meanwhile."""
    async with keeper.acting:
        if _trial(keeper) is not trial:
            return False
        await act()
        return True


async def confirm(keeper: Keeping, request: Confirm) -> Fields:
    trial = _trial(keeper)
    if trial is None:
        raise Refusal(
            "refused", "box.network_confirm: there is nothing to confirm.",
            "If the two minutes were over, the former setting acts again: set the new one once more.",
        )  # fmt: skip
    if not trial.acts:
        raise Refusal(
            "refused", "box.network_confirm: the new setting does not act yet.", "It does in a second: confirm it then."
        )
    if request.actor.kind == "user":
        await _check_reached(keeper, trial.wanted, request.reached_at)
    keeper.kept.put(network=trial.wanted)
    keeper.memory.pop(ROOM)
    return {}


async def back(keeper: Keeping, request: Back) -> Fields:
    if _trial(keeper) is None:
        raise Refusal("refused", "box.network_back: no new setting is on trial.", "Set the one that you want.")
    await _go_back(keeper)
    return {}


async def _go_back(keeper: Keeping) -> None:
    keeper.memory.pop(ROOM)
    log.info("the network setting was not confirmed: the former one acts again")
    await _act(keeper, keeper.kept.settings.network)


async def apply(keeper: Keeping) -> None:
    await _act(keeper, keeper.kept.settings.network)


async def state(keeper: Keeping) -> Fields:
    trial = _trial(keeper)
    settings = keeper.kept.settings.network if trial is None else trial.wanted
    cards = await _cards(keeper)
    card = next((card for card in cards if card.name == settings.interface), None)
    keeper.problems.pop("network card", None)
    if settings.interface and card is None:
        keeper.problems["network card"] = f"network: the card {settings.interface}, which has a setting, is not there"
    card = card or next(iter(cards), Interface(name=""))
    return {
        "network": NetworkState(
            interface=card.name, mode=settings.mode, addresses=card.addresses,
            own_address=any(ipaddress.ip_interface(one).is_link_local for one in card.addresses),
            gateways=card.gateways, dns=_name_servers(keeper), link=card.link, interfaces=cards,
            trial=None if trial is None else NetworkTrial(
                seconds_left=max(0, round(trial.until - keeper.now())), mode=trial.wanted.mode,
                addresses=trial.wanted.addresses,
            ),
        )
    }  # fmt: skip


def _trial(keeper: Keeping) -> Trial | None:
    trial = keeper.memory.get(ROOM)
    assert trial is None or isinstance(trial, Trial)
    return trial


async def _act(keeper: Keeping, settings: NetworkSettings) -> None:
    """systemd-networkd starts after the keeper and reads what is there; later it must be told."""
    changed = publish(keeper.place.run / "systemd/network/10-linekeep.network", as_file(settings))
    if changed and (keeper.place.run / "systemd/netif/state").exists():
        await keeper.run("networkctl", "reload")


async def _check_reached(keeper: Keeping, wanted: NetworkSettings, reached_at: str) -> None:
    """Who is still on the old address has not seen that the new one can be reached."""
    if wanted.mode == "static":
        own = wanted.addresses
    else:
        own = [address for card in await _cards(keeper) for address in card.addresses]
    try:
        address = ipaddress.ip_address(reached_at)
    except ValueError:
        address = None
    if address not in [ipaddress.ip_interface(one).ip for one in own]:
        new = " or ".join(one.partition("/")[0] for one in own) or "its new address"
        raise Refusal(
            "refused", f"box.network_confirm: {reached_at or 'no address'} is not a new address of the box.",
            f"Open the page at {new} and confirm there.",
        )  # fmt: skip


# What is there -------------------------------------------------------------------------------------------------------


async def _cards(keeper: Keeping) -> list[Interface]:
    """Network cards, those with a cable first."""
    found = await _asked(keeper, "address", "show")
    routes = [route for ip in ("-4", "-6") for route in await _asked(keeper, ip, "route", "show", "default")]
    cards = [_card(one, routes) for one in found if one.get("link_type") == "ether"]
    return sorted(cards, key=lambda card: (not card.link, card.name))


async def _asked(keeper: Keeping, *words: str) -> list[dict[str, Any]]:
    """What `ip` says."""
    found: list[dict[str, Any]] = json.loads(await keeper.run("ip", "-json", *words) or "[]")
    return found


def _card(told: dict[str, Any], routes: list[dict[str, Any]]) -> Interface:
    name = told["ifname"]
    own = _addresses(told, "inet", "global") + _addresses(told, "inet6", "global")
    # Where nobody gives an address, the box is reached by the one it took itself.
    own = own or _addresses(told, "inet", "link")
    gateways = [route["gateway"] for route in routes if route.get("dev") == name and "gateway" in route]
    link = "LOWER_UP" in told["flags"]
    return Interface(name=name, mac=told.get("address", ""), link=link, addresses=own, gateways=gateways)


def _addresses(told: dict[str, Any], family: str, scope: str) -> list[str]:
    found = [one for one in told["addr_info"] if (one.get("family"), one.get("scope")) == (family, scope)]
    return [f"{one['local']}/{one['prefixlen']}" for one in found]


def _name_servers(keeper: Keeping) -> list[str]:
    """Those that systemd-resolved asks."""
    path: Path = keeper.place.run / "systemd/resolve/resolv.conf"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return list(dict.fromkeys(line.split()[1] for line in lines if line.startswith("nameserver ")))
