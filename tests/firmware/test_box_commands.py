"""The daemon's commands `box.*`: journalled, then handed on to a real keeper; and a machine that has none."""

import json
import os
import pwd
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from firmware.cli import system, update
from firmware.cli.__main__ import main
from firmware.cli.errors import Exit
from firmware.control import Peer
from firmware.keeper.acts import ACTS
from firmware.requests import EnterOperation
from firmware.wire import SOCKET_NAME, DaemonError
from recorder.access import Access, Person, Role
from recorder.catalogue import Catalogue
from tests.box import Box, Process, wait_for
from tests.firmware.test_keeper import place

CONSOLE = {"kind": "console", "name": "somebody else"}
NO_CARD = 'card = []\n[box]\nname = "Linekeep"\n'


def journalled(data: Path, act: str) -> list[tuple[str, dict[str, Any]]]:
    """Who did this and what was noted of it, the oldest first."""
    with closing(Catalogue.open_readonly(data)) as catalogue:
        return [(one.actor, one.detail) for one in reversed(catalogue.operations()) if one.act == act]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, Process]]:
    """A box's root with a keeper in it, and the keeper."""
    made = place(tmp_path / "root")
    keeper = Process("-m", "firmware.keeper", "--root", str(made.root))
    wait_for("the keeper's socket", (made.socket / SOCKET_NAME).exists)
    yield made.socket, keeper
    assert keeper.stop() == 0, "".join(keeper.output)


def test_without_a_keeper_the_machines_own_settings_apply(tmp_path: Path) -> None:
    with Box(tmp_path, NO_CARD) as box:
        state = box.call("box.state")
        assert state["managed"] is False
        assert state["version"] and state["time"]["zone"] and state["name"]
        with pytest.raises(DaemonError, match="not flashed") as refused:
            box.call("box.restart", actor=CONSOLE)
        assert refused.value.code == "refused"
        assert journalled(tmp_path, "box.restart") == []


class PagesBox(Box):
    """Takes whoever asks for the page's own user."""

    def start(self) -> None:
        user = Peer(0, os.getuid()).name
        code = f"from firmware import asked; asked.PAGE_USER = {user!r}\n"
        code += "import runpy; runpy.run_module('firmware', run_name='__main__')"
        self.daemon = Process("-c", code, "--data", str(self.data))
        wait_for("the daemon's answer", self._answers)


def test_the_page_does_not_speak_for_the_console(tmp_path: Path) -> None:
    with PagesBox(tmp_path, NO_CARD) as box:
        for do, fields in (
            ("user.reset", {}),
            ("box.update", {"path": "/root/linekeep-9-amd64.raucb"}),
            ("operation", {"act": "search"}),
        ):
            with pytest.raises(DaemonError, match="does not speak for the console") as refused:
                box.call(do, actor=CONSOLE, **fields)
            assert refused.value.code == "refused"
        box.call("operation", act="search", actor={"kind": "user", "name": "chen"})
    assert [actor for actor, _ in journalled(tmp_path, "search")] == ["user:chen"]


def test_what_the_keeper_says_is_handed_on_and_its_absence_is_journalled(
    tmp_path: Path, root: tuple[Path, Process]
) -> None:
    socket, keeper = root
    with Box(tmp_path / "data", NO_CARD, "--keeper", str(socket)) as box:
        state = box.call("box.state")
        assert (state["managed"], state["version"], state["development"]) == (True, "0.2.0", True)
        with pytest.raises(DaemonError, match="actor"):
            box.call("box.restart")
        keeper.stop()
        for do, fields in (("box.state", {}), ("box.restart", {"actor": CONSOLE})):
            with pytest.raises(DaemonError, match="keeper of the box does not answer"):
                box.call(do, **fields)
    (asked, nothing), (_, failed) = journalled(tmp_path / "data", "box.restart")
    assert (asked, nothing) == (f"console:{pwd.getpwuid(os.getuid()).pw_name}", {}), "the kernel says who it was"
    assert "does not answer" in failed["failed"]


def test_without_a_daemon_the_command_asks_the_keeper_and_the_spool_has_what_came_of_it(
    tmp_path: Path, root: tuple[Path, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, socket = tmp_path / "data", root[0]
    monkeypatch.setattr(system, "KEEPER", socket)
    monkeypatch.setattr(update, "KEEPER", socket)
    bundle = tmp_path / "linekeep-9-amd64.raucb"
    bundle.write_bytes(b"no bundle")
    asked = (["box", "recovery-key"], ["update", str(bundle)])
    for words in asked:
        assert main(["--data", str(data), *words]) == Exit.REFUSED
    kept = [json.loads(path.read_bytes()) for path in sorted((data / "web" / "spool").iterdir())]
    assert [(one["act"], "failed" in one["detail"]) for one in kept] == [
        ("box.recovery_key", False), ("box.recovery_key", True), ("box.update", False), ("box.update", True),
    ]  # fmt: skip
    assert [one["detail"] for one in kept[::2]] == [{}, {"path": str(bundle)}]
    assert "not encrypted" in kept[1]["detail"]["failed"]


def test_who_is_no_administrator_reaches_nothing_of_the_box(tmp_path: Path, root: tuple[Path, Process]) -> None:
    data = tmp_path / "data"
    access = Access(data, random.Random(1))
    chen = Person(name="chen", password_hash="$argon2id$v=19$", roles=(Role.ADMINISTRATOR,))
    data.mkdir()
    for person in (
        chen,
        msgspec.structs.replace(chen, name="li", roles=(Role.AUDITOR,)),
        msgspec.structs.replace(chen, name="gone", enabled=False),
    ):
        access.put(person)
    acts: tuple[tuple[str, dict[str, Any]], ...] = (("box.recovery_key", {}), ("box.update", {"path": "/none"}))
    with Box(data, NO_CARD, "--keeper", str(root[0])) as box, box.client() as client:

        def ask(do: str, name: str, fields: dict[str, Any]) -> None:
            actor = {"kind": "user", "name": name}
            if do == "box.update":
                list(client.stream(do, actor=actor, **fields))
            else:
                client.call(do, actor=actor, **fields)

        for do, fields in acts:
            for name in ("li", "gone", "made up"):
                with pytest.raises(DaemonError, match=f"{name} is no administrator") as refused:
                    ask(do, name, fields)
                assert refused.value.code == "refused"
            assert journalled(data, do) == []
            # The keeper refuses it here: this machine is no box.
            with pytest.raises(DaemonError, match=r"not encrypted|not started from a slot"):
                ask(do, "chen", fields)
            assert journalled(data, do)[0][0] == "user:chen"
        access.path.write_text("{")
        with pytest.raises(DaemonError, match="accounts cannot be read"):
            ask("box.recovery_key", "chen", {})


def test_what_the_keeper_may_be_asked_without_a_daemon_can_be_entered_later() -> None:
    """By the page and by the command, through the spool."""
    alone = {do for do, act in ACTS.items() if act.page}
    entered = get_args(get_type_hints(EnterOperation)["act"])
    assert alone == {act for act in entered if act.startswith("box.")}
