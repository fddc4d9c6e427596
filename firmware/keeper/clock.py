"""The box's time: its zone, and who tells it what time it is.

`/etc/localtime` of the image is a link to a link under /run, which stands for the zone: the C library, Python and
whoever else asks see one zone. Time servers that somebody names are systemd-timesyncd's; it asks them first, then those
that the network names by DHCP, then Debian's.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import available_timezones

from msgspec import Meta

from firmware.control import Refusal
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import point, publish
from firmware.wire import Fields, TimeState

ROOM = "time"
ZONES = Path("/usr/share/zoneinfo")
MOST_SERVERS = 8
_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
"""RFC 1123, section 2.1."""


class Time(BoxAct):
    """What is left out stays as it is."""

    zone: str | None = None
    servers: Annotated[list[str], Meta(max_length=MOST_SERVERS)] | None = None


async def set_time(keeper: Keeping, request: Time) -> Fields:
    settings = keeper.kept.settings
    zone = settings.zone if request.zone is None else _zone(request.zone)
    servers = settings.servers if request.servers is None else [_server(one) for one in request.servers]
    keeper.kept.put(zone=zone, servers=servers)
    await apply(keeper)
    return {}


async def apply(keeper: Keeping) -> None:
    settings = keeper.kept.settings
    point(keeper.place.public / "localtime", ZONES / settings.zone)
    text = f"[Time]\nNTP={' '.join(settings.servers)}\n" if settings.servers else ""
    changed = publish(keeper.place.run / "systemd/timesyncd.conf.d/50-linekeep.conf", text)
    if changed or ROOM in keeper.problems:
        await keeper.run("systemctl", "try-restart", "systemd-timesyncd.service")
    keeper.problems.pop(ROOM, None)


async def state(keeper: Keeping) -> Fields:
    settings = keeper.kept.settings
    synchronised = (keeper.place.run / "systemd/timesync/synchronized").exists()
    return {"time": TimeState(zone=settings.zone, servers=settings.servers, synchronised=synchronised)}


def _zone(name: str) -> str:
    if name in available_timezones():
        return name
    raise Refusal(
        "bad_request", f"box.time: {name[:80]!r} is not a time zone.",
        "Name one of the IANA database, such as Asia/Shanghai or Europe/Berlin.",
    )  # fmt: skip


def _server(text: str) -> str:
    """An address or a name. What is meant as an IPv4 address and is none is not a name either. What follows the % of an
    IPv6 address may be anything, lines of systemd-timesyncd's file among it."""
    try:
        address = ipaddress.ip_address(text)
        if not getattr(address, "scope_id", None):
            return str(address)
    except ValueError:
        if HOST.fullmatch(text) and not text.rpartition(".")[2].isdecimal():
            return text
    raise Refusal(
        "bad_request", f"box.time: {text[:80]!r} is neither the name nor the address of a time server.",
        "Give names such as ntp.example.net, or IPv4 or IPv6 addresses.",
    )  # fmt: skip
