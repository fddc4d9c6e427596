"""What the keeper tells of the box itself, as `box.state` answers it: time, network, name, SSH, slots, encryption.

Every field has a default that says "not known" or "not there", so that a part can be left out: a machine that was not
flashed answers `managed: false` and little else.
"""

from typing import Literal

import msgspec

NetworkMode = Literal["dhcp", "static"]


class TimeState(msgspec.Struct, frozen=True, kw_only=True):
    zone: str = "UTC"
    """IANA name."""
    servers: list[str] = []
    """Time servers somebody has named; empty: those that the network names (DHCP), else Debian's."""
    synchronised: bool = False


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network card as it is now."""

    name: str
    mac: str = ""
    link: bool = False
    """A cable with something at its other end."""
    addresses: list[str] = []
    """With their prefix (`192.0.2.10/24`); those of the link alone (fe80::, 169.254.0.0/16) only where no other is."""
    gateways: list[str] = []


class NetworkTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A change that goes back by itself unless it is confirmed from the new address in time."""

    seconds_left: int
    mode: NetworkMode
    addresses: list[str] = []
    """The new ones; empty with `dhcp`."""


class NetworkState(msgspec.Struct, frozen=True, kw_only=True):
    """How the box is in the network now: of the interface that is set, else of the first with a cable."""

    interface: str = ""
    mode: NetworkMode = "dhcp"
    addresses: list[str] = []
    own_address: bool = False
    """Nobody gave the box an address: it took one that only its own cable reaches (169.254.0.0/16, RFC 3927)."""
    gateways: list[str] = []
    """One for IPv4, one for IPv6."""
    dns: list[str] = []
    link: bool = False
    interfaces: list[Interface] = []
    trial: NetworkTrial | None = None


class SshState(msgspec.Struct, frozen=True, kw_only=True):
    on: bool = False
    keys: int = 0
    """How many public keys may sign in (as root, and with no password ever)."""
    comments: list[str] = []
    """What those keys call themselves."""
    fingerprint: str = ""
    """SHA-256 of the box's own key, for the first sign-in; empty until SSH was on once."""


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two roots."""

    name: str
    version: str = ""
    good: bool = False
    on_trial: bool = False
    """An update that has yet to prove itself."""
    booted: bool = False
    installed_utc: str = ""


class LastOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the data partition when the box last started with an order for it."""

    act: Literal["encrypt", "keep", "destroy"]
    """The last two are factory resets, by what became of the recordings."""
    done: bool
    utc: str
    by: list[str] = []
    """Of a reset, the means: `key destroyed`, `discarded`, `overwritten`."""
    message: str = ""
    """Why it was not done."""


class EncryptionState(msgspec.Struct, frozen=True, kw_only=True):
    """Of the data partition."""

    on: bool = False
    means: Literal["", "tpm", "usb", "boot"] = ""
    """What opens it at the start."""
    recovery_enrolled: bool = False
    tpm: bool = False
    """The machine has a TPM 2 that can be used."""
    possible: bool = False
    """There are no recordings yet: it can still be chosen."""
    ordered: Literal["", "tpm", "usb", "boot"] = ""
    """It is encrypted by this means at the next start."""


class SafeModeState(msgspec.Struct, frozen=True, kw_only=True):
    on: bool = False
    reason: str = ""
    since_utc: str = ""
    said: list[str] = []
    """The daemon's last words."""


UpdateOutcome = Literal["", "failed", "installed", "proved", "fell_back", "interrupted"]
"""`failed`: not installed, `message` says why; `installed`: starts with the next start; `proved`: it came up and stays;
`fell_back`: it did not, the version before runs; `interrupted`: the box stopped while it was being written."""


class LastUpdate(msgspec.Struct, frozen=True, kw_only=True):
    version: str = ""
    """Empty where the file was refused before it said which it is."""
    outcome: UpdateOutcome = ""
    message: str = ""
    """In English; what a log or a technician needs."""
    utc: str = ""


class UpdateState(msgspec.Struct, frozen=True, kw_only=True):
    running: bool = False
    share: float = 0.0
    """Of the whole, 0 to 1."""
    step: Literal["", "copying", "checking", "installing", "examining", "activating"] = ""
    waiting: str = ""
    """This version starts with the next start of the box (`box.restart`)."""
    offered: list[str] = []
    """Bundles on a memory stick, as `box.update` takes them."""
    last: LastUpdate | None = None


class BoxState(msgspec.Struct, frozen=True, kw_only=True):
    managed: bool = False
    """False: this machine was not flashed with the image, its own system settings apply."""
    version: str = ""
    development: bool = False
    """Signed with a key that anybody who builds can make: not for a customer."""
    slot: Literal["", "A", "B"] = ""
    slots: list[SlotState] = []
    time: TimeState = TimeState()
    network: NetworkState = NetworkState()
    name: str = ""
    """The host name."""
    ssh: SshState = SshState()
    encryption: EncryptionState = EncryptionState()
    last_order: LastOrder | None = None
    """Of the data partition: encryption or factory reset."""
    safe_mode: SafeModeState = SafeModeState()
    update: UpdateState = UpdateState()
    problems: list[str] = []
    """What of the kept settings could not be read or applied, in sentences."""
