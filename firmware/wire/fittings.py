"""What the box is fitted with: its configuration's cards and lines, and what a look at the hardware found."""

import msgspec


class FittedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the configuration has it."""

    name: str
    kind: str
    law: str
    lines: list[int]
    """Their numbers in the box."""


class FittedLine(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    card: str
    name: str = ""
    enabled: bool = True
    role: str = "tap"
    kind: str = "direct"
    trigger: str = "voltage"
    learned: bool = False
    """Thresholds of its own stand in the configuration."""


class Fittings(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    pending: bool
    """The file says something else than what runs: it takes effect when the daemon starts again."""
    trouble: str = ""
    """Why the file is refused; then what runs is told of."""
    cards: list[FittedCard] = []
    lines: list[FittedLine] = []


class FoundBoard(msgspec.Struct, frozen=True, kw_only=True):
    """A telephony card on the bus."""

    address: str
    maker: str
    driver: str = ""
    modules: list[str] = []
    """Installed modules that would take it."""


class FoundSpan(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    name: str
    type: str
    device: str
    channels: int
    configured: int
    alarms: list[str] = []


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What cards there are, asked of bus and driver."""

    driver: str = ""
    trouble: str = ""
    """Why the driver could not be asked, with the remedy."""
    boards: list[FoundBoard] = []
    spans: list[FoundSpan] = []
    ports: dict[str, int] = {}
    """How many channels there are of each kind: `line`, `telephone`, `clear`, `other`, `none` (not configured)."""
    fresh: int = 0
    """Channels that could be recorded and that no card of the configuration has."""
    proposal: str = ""
    """TOML: a `[[card]]` for them."""
    signalling: str = ""
    """DAHDI's own configuration for all its channels, where some have none."""
    synway: bool = False
    """Synway's library is installed."""
