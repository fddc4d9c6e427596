"""The keeper's socket and the daemon's commands `box.*`: who may ask, what is journalled, what is handed on."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from firmware import asked
from firmware.control import Peer
from firmware.keeper import acts, safe_mode
from firmware.keeper.acts import Doing, Following
from firmware.keeper.asking import BoxAct, Keeping
from firmware.keeper.place import Failed, Place, run
from firmware.keeper.service import Admitted, Keeper
from firmware.wire import AsyncClient, BoxState, DaemonError, Fields

CHEN = {"kind": "user", "name": "chen"}
OWN = frozenset({os.getuid()})


def place(folder: Path) -> Place:
    """A box's root, as far as the keeper needs one."""
    made = Place(folder)
    for part in (made.kept, made.public, made.socket, made.home):
        part.mkdir(parents=True)
    (made.home / "packages.json").write_text('{"version": "0.2.0"}')
    return made


def kept_by(keeper: Keeper, talk: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """`talk` to this keeper."""

    async def go() -> None:
        server = keeper.server()
        await server.start()
        client = await AsyncClient.connect(keeper.place.socket)
        try:
            await asyncio.wait_for(talk(client), 60)
        finally:
            await client.close()
            await server.close()
            await keeper.close()

    asyncio.run(go())


class Wish(BoxAct):
    secret: str

    def told(self) -> Fields:
        return {}


async def grant(keeper: Keeping, wish: Wish) -> Fields:
    if wish.secret == "disk":
        raise Failed("the disk is full")
    return {"granted": wish.secret}


async def steps(keeper: Keeping, wish: Wish) -> AsyncGenerator[Fields, None]:
    yield {"event": "progress", "share": 0.5, "step": wish.secret}
    if wish.secret == "disk":
        raise Failed("the disk is full")
    yield {"event": "end", "reason": "done"}


async def answered(client: AsyncClient, do: str, fields: Fields) -> Fields | list[Fields]:
    if do == "box.steps":
        return [event async for event in client.stream(do, **fields)]
    return await client.call(do, **fields)


@pytest.fixture
def wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acts.ACTS, "box.wish", Doing(Wish, grant))
    monkeypatch.setitem(acts.ACTS, "box.need", Doing(Wish, grant, page="always"))
    monkeypatch.setitem(acts.ACTS, "box.cure", Doing(Wish, grant, page="safe mode"))
    monkeypatch.setitem(acts.ACTS, "box.steps", Following(Wish, steps))


@pytest.mark.usefixtures("wishes")
def test_it_answers_refuses_and_reports(tmp_path: Path) -> None:
    async def talk(client: AsyncClient) -> None:
        state = BoxState(**{k: v for k, v in (await client.call("box.state")).items() if k in ("managed", "version")})
        assert (state.managed, state.version) == (True, "0.2.0")
        assert await client.call("box.wish", secret="x", actor=CHEN) == {"granted": "x"}
        events = [event async for event in client.stream("box.steps", secret="x", actor=CHEN)]
        assert [(event["event"], event.get("share")) for event in events] == [("progress", 0.5), ("end", None)]
        for do, fields, message in (
            ("box.wish", {"secret": "disk", "actor": CHEN}, "the disk is full"),
            ("box.wish", {"secret": "x"}, "actor"),
            ("box.wish", {"secret": "x", "actor": CHEN, "more": 1}, "more"),
            ("box.dance", {}, "no command 'box.dance'"),
        ):
            with pytest.raises(DaemonError, match=message):
                await client.call(do, **fields)
        with pytest.raises(DaemonError, match="the disk is full"):
            [event async for event in client.stream("box.steps", secret="disk", actor=CHEN)]

    kept_by(Keeper(place(tmp_path), run, Admitted(OWN)), talk)


@pytest.mark.usefixtures("wishes")
@pytest.mark.parametrize(
    ("admitted", "safe_mode_on", "may"),
    [
        (Admitted(OWN), False, {"box.state", "box.need", "box.cure", "box.wish", "box.steps"}),
        (Admitted(frozenset(), OWN), False, {"box.state", "box.need"}),
        (Admitted(frozenset(), OWN), True, {"box.state", "box.need", "box.cure"}),
        (Admitted(frozenset()), True, set()),
    ],
)
def test_only_root_and_the_daemon_may_ask_and_the_page_for_a_little(
    admitted: Admitted, safe_mode_on: bool, may: set[str], tmp_path: Path
) -> None:
    if safe_mode_on:
        written = tmp_path / safe_mode.WRITTEN
        written.parent.mkdir(parents=True)
        written.write_text('{"on": true}')

    async def talk(client: AsyncClient) -> None:
        for do in ("box.state", "box.need", "box.cure", "box.wish", "box.steps"):
            fields: dict[str, Any] = {} if do == "box.state" else {"secret": "x", "actor": CHEN}
            if do in may:
                assert await answered(client, do, fields)
            else:
                with pytest.raises(DaemonError, match="may not ask") as refused:
                    await answered(client, do, fields)
                assert refused.value.code == "refused"

    kept_by(Keeper(place(tmp_path), run, admitted), talk)


@pytest.mark.usefixtures("wishes")
def test_the_page_does_not_speak_for_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = {"kind": "console", "name": "root"}

    async def talk(client: AsyncClient) -> None:
        for do in ("box.need", "box.steps"):
            assert await answered(client, do, {"secret": "x", "actor": console})
            with monkeypatch.context() as page:
                page.setattr(asked, "PAGE_USER", Peer(0, os.getuid()).name)
                assert await answered(client, do, {"secret": "x", "actor": CHEN})
                with pytest.raises(DaemonError, match="does not speak for the console") as refused:
                    await answered(client, do, {"secret": "x", "actor": console})
                assert refused.value.code == "refused"

    kept_by(Keeper(place(tmp_path), run, Admitted(OWN)), talk)


def test_the_sockets_folder_keeps_others_out(tmp_path: Path) -> None:
    async def talk(client: AsyncClient) -> None:
        assert (tmp_path / "run/linekeep-keeper/control.sock").stat().st_mode & 0o777 == 0o660

    kept_by(Keeper(place(tmp_path), run, Admitted(OWN)), talk)


def test_its_unit_sees_what_was_copied_to_the_box_and_is_closed_all_the_same() -> None:
    unit = Path(__file__).resolve().parents[2] / "image/root/usr/lib/systemd/system/linekeep-keeper.service"
    assert "PrivateTmp" not in unit.read_text()
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", str(unit)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
