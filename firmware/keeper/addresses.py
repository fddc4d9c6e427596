"""What a network setting may say: checked before anything is changed, and written as systemd-networkd reads it."""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import TypeVar

from firmware.keeper.kept import NetworkSettings

MOST_ADDRESSES = 8
MOST_SERVERS = 4
T = TypeVar("T")

FILE = """\
# Made by the keeper from what was set; a change here is lost.
[Match]
{match}

[Network]
LLMNR=no
MulticastDNS=no
{lines}
"""


class Wrong(ValueError):
    """What is wrong with it; a sentence without its end."""


def checked(wanted: NetworkSettings, cards: Sequence[str]) -> NetworkSettings:
    """As it is kept. `cards`: those that it may be for, the likeliest first. Raises `Wrong`."""
    interface = wanted.interface
    if interface and interface not in cards:
        raise Wrong(f"there is no network card {interface[:40]!r}; there are {', '.join(cards) or 'none'}")
    if len(wanted.dns) > MOST_SERVERS:
        raise Wrong(f"it names {len(wanted.dns)} name servers; {MOST_SERVERS} are the most")
    dns = [str(_name_server(text)) for text in wanted.dns]
    if wanted.mode == "dhcp":
        if wanted.addresses or wanted.gateways:
            raise Wrong("with DHCP the network gives addresses and gateways; name none")
        return NetworkSettings(interface=interface if dns else "", dns=dns)
    if not wanted.addresses or len(wanted.addresses) > MOST_ADDRESSES:
        raise Wrong(f"a static setting needs 1 to {MOST_ADDRESSES} addresses")
    if not interface and len(cards) != 1:
        raise Wrong(f"name the network card that it is for: {', '.join(cards) or 'there is none'}")
    own = [_own(text) for text in wanted.addresses]
    _once([one.ip for one in own], "address")
    gateways = [_gateway(text, own) for text in wanted.gateways]
    _once([gateway.version for gateway in gateways], "gateway of IP version")
    return NetworkSettings(
        mode="static", interface=interface or cards[0], addresses=[str(one) for one in own],
        gateways=[str(one) for one in gateways], dns=dns,
    )  # fmt: skip


def as_file(settings: NetworkSettings) -> str:
    """For systemd-networkd; empty where the image's own file (every card asks by DHCP) is all that is meant."""
    if settings.mode == "dhcp" and not settings.dns:
        return ""
    lines = [f"DNS={one}" for one in settings.dns]
    if settings.mode == "dhcp":
        lines = ["DHCP=yes", "LinkLocalAddressing=yes", *lines, "\n[DHCPv4]", "UseHostname=no", "UseDNS=no"]
        lines += ["\n[DHCPv6]", "UseDNS=no", "\n[IPv6AcceptRA]", "UseDNS=no"]
    else:
        # What is set is all there is: no addresses from routers beside it.
        lines += ["DHCP=no", "IPv6AcceptRA=no"]
        lines += [f"Address={one}" for one in settings.addresses]
        lines += [f"Gateway={one}" for one in settings.gateways]
    match = f"Name={settings.interface}" if settings.interface else "Type=ether"
    return FILE.format(match=match, lines="\n".join(lines))


def _own(text: str) -> IPv4Interface | IPv6Interface:
    try:
        own = ipaddress.ip_interface(text)
    except ValueError as error:
        raise Wrong(f"{text[:60]!r} is not an address with its prefix, such as 192.0.2.10/24") from error
    _without_scope(own, text, "address")
    network = own.network
    if "/" not in text or network.prefixlen == 0:
        raise Wrong(f"{text[:60]!r} lacks the prefix of its network, such as the /24 of 192.0.2.10/24")
    if _is_special(own.ip):
        raise Wrong(f"{own.ip} cannot be the box's address: it stands for something else")
    if isinstance(own, IPv4Interface) and network.prefixlen < 31:
        if own.ip == network.network_address:
            raise Wrong(f"{own} is the network itself, not an address in it")
        if own.ip == network.broadcast_address:
            raise Wrong(f"{own} is the network's broadcast address")
    return own


def _gateway(text: str, own: Sequence[IPv4Interface | IPv6Interface]) -> IPv4Address | IPv6Address:
    gateway = _address(text, "gateway")
    if any(gateway == one.ip for one in own):
        raise Wrong(f"the gateway {gateway} is the box's own address")
    if isinstance(gateway, IPv6Address) and gateway.is_link_local and any(one.version == 6 for one in own):
        return gateway
    if _is_special(gateway) or not any(gateway in one.network for one in own):
        raise Wrong(f"the gateway {gateway} is in no network of {', '.join(map(str, own))}: it cannot be reached")
    return gateway


def _name_server(text: str) -> IPv4Address | IPv6Address:
    server = _address(text, "name server")
    if _is_special(server):
        raise Wrong(f"{server} cannot be a name server: it stands for something else")
    return server


def _address(text: str, what: str) -> IPv4Address | IPv6Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise Wrong(f"the {what} {text[:60]!r} is not an IPv4 or IPv6 address") from error
    _without_scope(address, text, what)
    return address


def _without_scope(address: IPv4Address | IPv6Address, text: str, what: str) -> None:
    """What follows the % of an IPv6 address may be anything, lines of systemd-networkd's file among it."""
    if getattr(address, "scope_id", None):
        raise Wrong(f"the {what} {text[:60]!r} is written with a card's name; leave that out")


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    reserved = isinstance(address, IPv4Address) and (address.is_reserved or int(address) >> 24 == 0)
    return reserved or address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local


def _once(things: Sequence[T], what: str) -> None:
    for at, thing in enumerate(things):
        if thing in things[:at]:
            raise Wrong(f"{what} {thing} is named twice")
