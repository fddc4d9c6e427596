"""What a DAHDI channel is to the box: its role, whether that fits, and what the driver's events say of its line."""

from dataclasses import dataclass
from enum import StrEnum

from cffi_bindings import dahdi
from cffi_bindings.dahdi import Signalling
from cffi_bindings.dahdi_channels import Codes
from firmware.cards import CardError, Law, LineEventKind


class Role(StrEnum):
    TAP = "tap"
    TRUNK = "trunk"
    STATION = "station"


@dataclass(frozen=True, slots=True)
class Port:
    """A DAHDI channel and what it is for."""

    channel: int
    role: Role = Role.TAP


def check(card: str, law: Law, port: Port, info: dahdi.Channel) -> None:
    """Raises CardError where the channel has another law than its card, or its signalling does not fit its role."""
    if info.law != law:
        raise CardError(
            f"{card}: DAHDI channel {port.channel} is {info.law}, the card is configured as {law}. "
            f'Remedy: law = "{info.law}" for all channels of this card; channels of another law make another card'
        )
    fits = {
        Role.TAP: (Signalling.LINE, Signalling.TELEPHONE, Signalling.CLEAR),
        Role.TRUNK: (Signalling.LINE,),
        Role.STATION: (Signalling.TELEPHONE,),
    }
    if info.signalling not in fits[port.role]:
        bundled = "; channels of E1 or T1 want bchan= there, for clear= bundles them into one"
        raise CardError(
            f"{card}: DAHDI channel {port.channel} ({info.name}) signals as {info.signalling.value}, "
            f"which is no {port.role.value}. Remedy: another role, or another signalling in /etc/dahdi/system.conf"
            + (bundled if info.signalling is Signalling.OTHER else "")
        )


def hook_now(port: Port, info: dahdi.Channel, lifted: bool) -> LineEventKind | None:
    """The hook that stands now: a telephone's as the driver sees it, a trunk's as the box holds it (`lifted`). A tap
    on an exchange's line has no hook of its own, and its voltage must tell: None."""
    if info.signalling is Signalling.TELEPHONE:
        lifted = info.off_hook
    elif port.role is not Role.TRUNK:
        return None
    return LineEventKind.OFF_HOOK if lifted else LineEventKind.ON_HOOK


def meaning(sees: Signalling, code: int, codes: Codes) -> LineEventKind | None:
    """What an event says of a line. Towards an exchange `off_hook` is the end of a ring (dahdi-base.c, ring trailer)
    and `on_hook` a battery that went away while the box held the line; towards a telephone they are its hook."""
    if sees is Signalling.LINE:
        meanings = {
            codes.ring_begin: LineEventKind.RING_ON,
            codes.off_hook: LineEventKind.RING_OFF,
            codes.on_hook: LineEventKind.ON_HOOK,
            codes.polarity: LineEventKind.POLARITY,
        }
    else:
        meanings = {codes.off_hook: LineEventKind.OFF_HOOK, codes.on_hook: LineEventKind.ON_HOOK}
    return meanings.get(code)
