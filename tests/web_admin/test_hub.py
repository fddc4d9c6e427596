"""Whom the page asks about the box: the daemon, and the keeper itself only where no daemon is."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from firmware.control import ControlServer, Peer, Room
from firmware.keeper.acts import ACTS, STATE, Doing
from firmware.wire import BoxState, DaemonUnreachableError, Fields, SafeModeState
from web_admin import hub
from web_admin.hub import DaemonSilentError, Hub

ACTOR = {"kind": "user", "name": "chief"}


class Asked:
    """One end of a control socket: what it was asked, and how long it takes to answer."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.acts: list[str] = []

    async def answer(self, do: str, fields: Fields, peer: Peer) -> Fields:
        self.acts.append(do)
        await asyncio.sleep(self.takes_s)
        return {}


async def asking(
    folder: Path, daemon: Asked | None, ask: Callable[[Hub], Awaitable[Any]]
) -> tuple[list[str], list[str]]:
    """What the keeper was asked, and what was entered before."""
    keeper, entered = Asked(), list[str]()

    async def enter(act: str, detail: Fields, actor: dict[str, str]) -> None:
        assert (detail, actor, keeper.acts) == ({}, ACTOR, [])
        entered.append(act)

    async def found() -> None: ...

    servers = [ControlServer(made(folder / "keeper"), keeper.answer, {})]
    if daemon is not None:
        servers.append(ControlServer(made(folder / "data"), daemon.answer, {}))
    for server in servers:
        await server.start()
    page = Hub(folder / "data", folder / "keeper", found, enter)
    try:
        await ask(page)
    finally:
        await page.stop()
        for server in servers:
            await server.close()
    return keeper.acts, entered


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_without_a_daemon_the_keeper_is_asked_for_what_it_lets_the_page_ask(tmp_path: Path) -> None:
    pages = {do: act.page for do, act in ACTS.items() if isinstance(act, Doing) and act.page}
    assert {do for do, page in pages.items() if page == "always"} | {STATE} == hub.KEEPER_TAKES
    assert {do for do, page in pages.items() if page == "safe mode"} == hub.IN_SAFE_MODE
    for place, do in enumerate(("box.restart", "box.reset")):
        folder = made(tmp_path / str(place))
        assert asyncio.run(asking(folder, None, partial(Hub.box_call, do=do, actor=ACTOR))) == ([do], [do])


def test_what_only_the_daemon_may_ask_for_is_not_asked_of_the_keeper(tmp_path: Path) -> None:
    async def ask(page: Hub) -> None:
        with pytest.raises(DaemonUnreachableError):
            await page.box_call("box.dahdi", actor=ACTOR)

    assert asyncio.run(asking(tmp_path, None, ask)) == ([], [])


def test_ssh_is_asked_of_the_keeper_in_safe_mode_alone(tmp_path: Path) -> None:
    ask = partial(Hub.box_call, do="box.ssh", actor=ACTOR)

    async def before(page: Hub) -> None:
        with pytest.raises(DaemonUnreachableError):
            await ask(page)

    async def in_safe_mode(page: Hub) -> None:
        page.box = BoxState(safe_mode=SafeModeState(on=True))
        await ask(page)

    assert asyncio.run(asking(made(tmp_path / "before"), None, before)) == ([], [])
    assert asyncio.run(asking(made(tmp_path / "safe"), None, in_safe_mode)) == (["box.ssh"], ["box.ssh"])


def test_a_daemon_that_takes_its_time_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CALL_TIMEOUT_S", 0.2)
    daemon = Asked(takes_s=0.6)

    async def ask(page: Hub) -> None:
        with pytest.raises(DaemonSilentError, match="within"):
            await page.box_call("box.restart", actor=ACTOR)
        assert await page.box_call("box.dahdi", actor=ACTOR) == {}, "the driver of a large card is waited for"

    assert asyncio.run(asking(tmp_path, daemon, ask)) == ([], [])
    assert daemon.acts == ["box.restart", "box.dahdi"]


def test_an_update_that_nobody_takes_is_told_and_stays(tmp_path: Path) -> None:
    assert installing(tmp_path, begins=False) == hub.InstallFault(begun=False, said=ANY)
    assert (tmp_path / "linekeep-0.3.0-amd64.raucb").exists()


def test_an_update_whose_connection_is_lost_is_told(tmp_path: Path) -> None:
    assert installing(tmp_path, begins=True) == hub.InstallFault(begun=True, said=ANY)
    assert not (tmp_path / "linekeep-0.3.0-amd64.raucb").exists(), "it was taken"


def installing(folder: Path, begins: bool) -> hub.InstallFault | None:
    """Of an uploaded bundle, by a daemon that is not there, or goes away when it has begun."""
    path = folder / "linekeep-0.3.0-amd64.raucb"
    path.write_bytes(b"good")
    begun = asyncio.Event()

    async def update(fields: Fields, peer: Peer, room: Room) -> AsyncGenerator[Fields | None, None]:
        yield None
        yield {"event": "progress", "share": 0.0, "step": "copying"}
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def found() -> None: ...

    async def enter(act: str, detail: Fields, actor: dict[str, str]) -> None: ...

    async def go() -> hub.InstallFault | None:
        page = Hub(made(folder / "data"), None, found, enter)
        server = ControlServer(folder / "data", Asked().answer, {"box.update": update})
        if begins:
            await server.start()
        await page.install(path, ACTOR, uploaded=True)
        assert page.installing is not None
        if begins:
            await begun.wait()
            await server.close()
        await page.installing
        await page.stop()
        return page.install_fault

    return asyncio.run(go())
