"""The box's own settings: time, place in the network, name, SSH. What is wrong is said here, in the visitor's language,
before the keeper is asked; it checks again, and its refusal is shown as it is.

A new network setting is on trial for two minutes. It is confirmed from the box's new address, so the answer names that
address, and while the trial lasts every page has the confirmation at its top: whoever signs in there finds it, and goes
on with the wizard where the setting was made in it.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firmware.wire import DaemonError
from web_admin.box import Flash, box_of, form_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.render import done, page
from web_admin.routes.showing import again, password_fault, refused, show, state_of, stays, went_well, zones

HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
NAME = re.compile(r"(?!\d+\Z)(?!localhost\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d{3}) [A-Za-z0-9+/]+={0,3}( .*)?")
MOST_SERVERS = 8


async def network_page(request: Request) -> Response:
    return await show(request, "network")


async def call(request: Request, do: str, **fields: Any) -> dict[str, Any]:
    return await box_of(request).hub.box_call(do, actor=visitor_of(request).actor, **fields)


def words(request: Request, name: str) -> list[str]:
    """What a field lists, parted by commas or spaces."""
    return [word for word in re.split(r"[\s,;，；、]+", str(form_of(request).get(name, ""))[:2000]) if word]


async def time(request: Request) -> Response:
    zone, servers = str(form_of(request).get("zone", "")).strip(), words(request, "servers")
    faults = {}
    if zone not in zones() and zone != (await state_of(request)).time.zone:
        faults["zone"] = "time.zone_fault"
    if len(servers) > MOST_SERVERS or not all(HOST.fullmatch(one) or _address(one) for one in servers):
        faults["servers"] = "time.servers_fault"
    if faults:
        return await again(request, "time", faults)
    try:
        await call(request, "box.time", zone=zone, servers=servers)
    except DaemonError as error:
        wrong = {"servers": "time.servers_fault"} if error.code == "bad_request" else {}
        return await refused(request, "time", {"time": "box.refused", **wrong}, error)
    return await went_well(request, "time", Flash("done.time"))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


async def network(request: Request) -> Response:
    """Answers with where the box is found from now on."""
    form = form_of(request)
    mode, interface = str(form.get("mode", "")), str(form.get("interface", ""))
    setting: dict[str, Any] = {"mode": mode, "interface": interface}
    if mode == "static":
        setting |= {"addresses": words(request, "addresses"), "gateways": words(request, "gateways")}
        setting["dns"] = words(request, "dns")
        if faults := network_faults(setting):
            return await again(request, "network", faults)
    elif mode != "dhcp":
        return await again(request, "network", {"mode": "network.mode_fault"})
    try:
        answer = await call(request, "box.network", **setting)
    except DaemonError as error:
        if error.code != "bad_request":
            raise
        return await again(request, "network", {"setting": "network.refused"}, refused=error.message)
    if not answer["trial_s"]:
        return await went_well(request, "network", Flash("done.network_same"))
    box_of(request).hub.trial_of_setup = form.get("from") == "setup"
    await state_of(request)
    addresses = [str(ipaddress.ip_interface(one).ip) for one in setting.get("addresses", [])]
    return page(
        request, "network_trial.html", addresses=addresses, seconds=answer["trial_s"], setup=form.get("from") == "setup"
    )


def network_faults(setting: Mapping[str, Any]) -> dict[str, str]:
    faults = {}
    nets = []
    for text in setting["addresses"]:
        try:
            nets.append(ipaddress.ip_interface(text).network)
        except ValueError:
            faults["addresses"] = "network.addresses_fault"
    if not nets or not all("/" in text for text in setting["addresses"]):
        faults["addresses"] = "network.addresses_fault"
    gateways = [_address(text) for text in setting["gateways"]]
    if not all(one is not None and (one.is_link_local or any(one in net for net in nets)) for one in gateways):
        faults["gateways"] = "network.gateways_fault"
    if not all(_address(text) for text in setting["dns"]):
        faults["dns"] = "network.dns_fault"
    return faults


async def confirm(request: Request) -> Response:
    """At the address by which this request came in."""
    server = request.scope.get("server") or ("", 0)
    await call(request, "box.network_confirm", reached_at=str(server[0]).removeprefix("::ffff:").partition("%")[0])
    await _over(request)
    return await went_well(request, "network", Flash("done.network_confirmed"))


async def back(request: Request) -> Response:
    await call(request, "box.network_back")
    await _over(request)
    return stays(request, "network", Flash("done.network_back"))


async def _over(request: Request) -> None:
    """Of the trial nothing is left on the pages that follow."""
    box_of(request).hub.trial_of_setup = False
    await state_of(request)


async def name(request: Request) -> Response:
    wished = str(form_of(request).get("name", "")).strip()
    if not NAME.fullmatch(wished):
        return await again(request, "network", {"name": "network.name_fault"})
    try:
        await call(request, "box.name", name=wished)
    except DaemonError as error:
        return await refused(request, "network", {"naming": "box.refused"}, error)
    return done(request, "/system/network", Flash("done.name", {"name": wished.lower()}))


async def ssh(request: Request) -> Response:
    """Keys replace those that were; left empty those stay, unless all shall be forgotten."""
    form = form_of(request)
    keys = [line.strip() for line in str(form.get("keys", "")).splitlines() if line.strip()]
    state = (await state_of(request)).ssh
    on, forget = form.get("on") == "1", form.get("forget") == "1"
    faults = {}
    if not all(KEY.fullmatch(key) for key in keys):
        faults["keys"] = "ssh.keys_fault"
    elif on and not keys and (forget or not state.keys):
        faults["keys"] = "ssh.needs_key"
    if (fault := await password_fault(request)) is not None:
        faults["password"] = fault
    if faults:
        return await again(request, "network", faults)
    try:
        await call(request, "box.ssh", on=on, **({"keys": keys} if keys or forget else {}))
    except DaemonError as error:
        wrong = {"keys": "ssh.keys_fault"} if error.code == "bad_request" else {}
        return await refused(request, "network", {"ssh": "box.refused", **wrong}, error)
    flash = Flash("done.ssh_forgotten") if forget and not keys else Flash("done.ssh_on" if on else "done.ssh_off")
    return done(request, "/system/network", flash)


routes = [
    get("/system/network", Need.ADMINISTRATOR, network_page),
    post("/system/network", Need.ADMINISTRATOR, network),
    post("/system/network/confirm", Need.ADMINISTRATOR, confirm),
    post("/system/network/back", Need.ADMINISTRATOR, back),
    post("/system/time", Need.ADMINISTRATOR, time),
    post("/system/name", Need.ADMINISTRATOR, name),
    post("/system/ssh", Need.ADMINISTRATOR, ssh),
    *leads(
        "/system/network",
        Need.ADMINISTRATOR,
        "/system/network/confirm",
        "/system/network/back",
        "/system/time",
        "/system/name",
        "/system/ssh",
    ),
]
