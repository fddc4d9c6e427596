"""What the keeper keeps: the box's own settings, one file, for root alone.

It is replaced whole and durably, and the former version stays beside it. Where it cannot be read the box starts with
the image's own settings, and says so.
"""

from pathlib import Path
from typing import Any

import msgspec

from firmware.keeper.place import Failed
from firmware.wire import NetworkMode
from recorder.disk import replace_file

NAME = "box.json"


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    mode: NetworkMode = "dhcp"
    interface: str = ""
    """Empty with `dhcp`: every card with a cable."""
    addresses: list[str] = []
    gateways: list[str] = []
    dns: list[str] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each default is what the image does by itself."""

    zone: str = "UTC"
    servers: list[str] = []
    network: NetworkSettings = NetworkSettings()
    name: str = ""
    ssh_on: bool = False
    ssh_keys: list[str] = []
    """Lines of an `authorized_keys`."""


class Kept:
    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.settings = Settings()

    def read(self) -> None:
        """Raises `Failed` where there is a file that cannot be read."""
        try:
            self.settings = msgspec.json.decode(self._path.read_bytes(), type=Settings)
        except FileNotFoundError:
            self.settings = Settings()
        except (OSError, msgspec.DecodeError) as error:
            raise Failed(f"{self._path} cannot be read ({error}); the image's own settings act") from error

    def put(self, **changes: Any) -> None:
        """These change, and are durable. Raises OSError."""
        settings = msgspec.structs.replace(self.settings, **changes)
        text = msgspec.json.format(msgspec.json.encode(settings)) + b"\n"
        replace_file(self._path, text, keep=self._path.with_name(NAME + ".1"), mode=0o600)
        self.settings = settings
