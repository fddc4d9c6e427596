"""`box.dahdi`: what is written for which ports, and that a driver's refusal leaves nothing behind.

On the real driver, with the real keeper, it is asked in tests/dahdi/guest/test_box.py.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cffi_bindings.dahdi import Channel, Signalling, Span
from firmware.asked import Actor
from firmware.cards import scan
from firmware.control import Refusal
from firmware.keeper.dahdi import Dahdi, configure
from firmware.keeper.place import Failed, Place
from firmware.keeper.service import Admitted, Keeper
from tests.firmware.test_keeper import place

SPAN = Span(1, "WCTDM/0", "", "FXO", "Digium", "TDM410", "PCI", (), 0, 0, 0, 4)


@dataclass
class System:
    told: list[str] = field(default_factory=list)
    fails: bool = False

    async def run(self, *words: str, patience_s: float) -> str:
        self.told.append(" ".join(words))
        if self.fails:
            raise Failed("line 2: unable to configure channel 1")
        return ""


def ports(*fits: Signalling, has: Signalling = Signalling.NONE) -> list[Channel]:
    return [Channel(n, 1, n, f"WCTDM/0/{n}", has, "alaw", False, (), fit) for n, fit in enumerate(fits, 1)]


def asked(root: Place, system: System, channels: list[Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "look", lambda: scan.Found([], None, "", [SPAN], channels, False))
    keeper = Keeper(root, system.run, Admitted(frozenset()))
    asyncio.run(configure(keeper, Dahdi(actor=Actor(kind="console", name="root"))))


def test_each_port_is_made_what_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, system = place(tmp_path), System()
    asked(root, system, ports(Signalling.LINE, Signalling.LINE, Signalling.TELEPHONE), monkeypatch)
    written = (root.kept / "dahdi.conf").read_text().splitlines()
    assert written[1:] == ["fxsks=1-2", "fxoks=3", "loadzone=cn", "defaultzone=cn"]
    assert system.told == ["systemctl restart linekeep-dahdi.service"]
    with pytest.raises(Refusal, match="no channel was found"):
        asked(root, system, ports(Signalling.LINE, has=Signalling.LINE), monkeypatch)


def test_what_the_driver_refuses_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, system = place(tmp_path), System(fails=True)
    file = root.kept / "dahdi.conf"
    with pytest.raises(Failed, match="line 2"):
        asked(root, system, ports(Signalling.LINE), monkeypatch)
    assert not file.exists()
    file.write_text("# by hand\n")
    system.told.clear()
    with pytest.raises(Failed, match="line 2"):
        asked(root, system, ports(Signalling.LINE), monkeypatch)
    assert file.read_text() == "# by hand\n"
    assert system.told == ["systemctl restart linekeep-dahdi.service"] * 2, "the former one acts again"
