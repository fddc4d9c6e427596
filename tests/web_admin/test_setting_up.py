"""The wizard and the pages under System, with the real daemon between the page and a keeper that is only told of."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from firmware.config_file import load
from recorder.catalogue import Catalogue
from tests.box import Box, Process, wait_for
from tests.firmware.cli.console import Console
from tests.web_admin.conftest import PASSWORD, Person, World
from web_admin.routes.settings import network_faults

STATE: dict[str, Any] = {
    "managed": True, "version": "0.2.0", "development": True, "slot": "A", "name": "depot",
    "slots": [
        {"name": "A", "version": "0.2.0", "good": True, "booted": True},
        {"name": "B", "version": "0.1.0", "good": True, "installed_utc": "2026-10-01T06:00:00Z"},
    ],
    "time": {"zone": "Asia/Shanghai", "servers": [], "synchronised": True},
    "network": {
        "interface": "enp1s0", "mode": "dhcp", "addresses": ["192.0.2.17/24"], "gateways": ["192.0.2.1"],
        "dns": ["192.0.2.1"], "link": True,
        "interfaces": [
            {"name": "enp1s0", "mac": "52:54:00:12:34:56", "link": True, "addresses": ["192.0.2.17/24"]},
            {"name": "enp2s0", "mac": "52:54:00:12:34:57", "link": False},
        ],
    },
    "ssh": {"on": False, "keys": 0}, "encryption": {"tpm": True, "possible": True}, "update": {}, "refuses": {},
}  # fmt: skip
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJt3Hk5dyu7dPhYhC0pGqA7Jz3LwH1cXzVYwB2Qb8o9s chen@depot"


@dataclass
class Flashed:
    """A box that was flashed and has just been switched on: no card, no account."""

    folder: Path
    box: Box
    keeper: Process
    page: Process
    base: str
    admin: Person
    to: str
    """Where the first account was led."""

    def told(self, **changed: Any) -> None:
        state = json.loads((self.folder / "state.json").read_text())
        (self.folder / "state.json").write_text(json.dumps(state | changed))

    def asked(self) -> list[Any]:
        path = self.folder / "asked.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def last(self) -> tuple[str, dict[str, Any]]:
        do, fields = self.asked()[-1]
        assert fields.pop("actor") == {"kind": "user", "name": "chief"}
        return do, fields


def start_flashed(folder: Path, languages: str = "en") -> Flashed:
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps(STATE))
    data = folder / "data"
    data.mkdir()
    (data / "linekeep.toml").write_text('card = []\n\n[box]\nname = "Depot"\n')
    keeper = Process("-m", "tests.web_admin.keeper", str(folder))
    keeper.line("ready")
    box = FlashedBox(data, folder)
    page = Process("-m", "web_admin", "--data", str(data), "--listen", "127.0.0.1:0", "--keeper", str(folder))
    base = "http:" + page.line("http:").rstrip("/")
    admin = Person(base)
    admin.timeout = httpx.Timeout(120.0)  # A recorder that starts again on a busy machine takes its time.
    form: dict[str, str | list[str]] = {
        "code": box.daemon.line("setup code: "), "name": "chief", "password": PASSWORD, "again": PASSWORD,
        "administrator": "1",
    }  # fmt: skip
    made = admin.submit("/setup", form)
    assert made.status_code == 303, made.text
    return Flashed(folder, box, keeper, page, base, admin, made.headers["location"])


class FlashedBox(Box):
    def __init__(self, data: Path, keeper: Path) -> None:
        self.keeper = keeper
        super().__init__(data)

    def start(self) -> None:
        self.daemon = Process("-m", "firmware", "--data", str(self.data), "--keeper", str(self.keeper))
        wait_for("the daemon's answer", self._answers)


def stop(flashed: Flashed) -> None:
    flashed.admin.close()
    flashed.page.stop()
    if flashed.box.daemon.process.poll() is None:
        flashed.box.stop()
    flashed.keeper.stop()


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flashed]:
    made = start_flashed(tmp_path_factory.mktemp("flashed") / "box")
    yield made
    stop(made)


@pytest.fixture(autouse=True)
def as_it_was(request: pytest.FixtureRequest) -> None:
    if "flashed" in request.fixturenames:
        flashed: Flashed = request.getfixturevalue("flashed")
        flashed.told(**STATE)


# The wizard -----------------------------------------------------------------------------------------------------------


def test_the_first_account_is_led_through_all_steps_and_each_can_be_skipped(flashed: Flashed) -> None:
    assert flashed.to == "/system/setup"
    assert flashed.admin.get("/system/setup").headers["location"] == "/system/setup/time"
    step = "time"
    for following in ("network", "encryption", "cards", "lines", "done"):
        text = flashed.admin.get(f"/system/setup/{step}").text
        assert f'aria-current="step" data-step="{step}"' in text
        assert f'href="/system/setup/{following}" data-testid="skip"' in text
        step = following
    assert "What is set" in flashed.admin.get("/system/setup/done").text
    assert flashed.admin.get("/system/setup/nonsense").status_code == 404


def test_a_machine_that_was_not_flashed_has_no_steps_for_the_box(world: World) -> None:
    assert world.administrator.get("/system/setup").headers["location"] == "/system/setup/cards"
    text = world.administrator.get("/system/setup/cards").text
    assert 'data-testid="unmanaged"' in text and 'data-step="time"' not in text
    assert world.administrator.get("/system/setup/time").status_code == 404
    for page in ("network", "update", "storage"):
        assert 'data-testid="unmanaged"' in world.administrator.get(f"/system/{page}").text
    refused = world.administrator.submit("/system/time", {"zone": "UTC", "servers": ""})
    assert refused.status_code == 409 and "was not flashed" in refused.text


# Settings -------------------------------------------------------------------------------------------------------------


def test_time_is_set_from_the_page_and_from_the_wizard(flashed: Flashed) -> None:
    fields: dict[str, str | list[str]] = {"zone": "Europe/Berlin", "servers": "ntp.example.net, 192.0.2.9"}
    assert flashed.admin.submit("/system/time", fields).headers["location"] == "/system/network"
    assert flashed.last() == ("box.time", {"zone": "Europe/Berlin", "servers": ["ntp.example.net", "192.0.2.9"]})
    text = flashed.admin.get("/system/network").text
    assert 'value="Europe/Berlin"' in text and "ntp.example.net, 192.0.2.9" in text
    assert flashed.admin.submit("/system/time", {**fields, "from": "setup"}).headers["location"] == (
        "/system/setup/network"
    )


@pytest.mark.parametrize(
    ("path", "fields", "fault"),
    [
        ("time", {"zone": "Mars/Olympus", "servers": ""}, "There is no such zone"),
        ("time", {"zone": "UTC", "servers": "no_such_host!"}, "At most eight names"),
        ("network", {"mode": "static", "addresses": "192.0.2.9"}, "with its prefix is needed"),
        ("network", {"mode": "static", "addresses": "192.0.2.9/24", "gateways": "198.51.100.1"}, "the same network"),
        ("network", {"mode": "static", "addresses": "192.0.2.9/24", "dns": "here"}, "by their addresses"),
        ("network", {"mode": "guess"}, "Choose one of both"),
        ("name", {"name": "-depot"}, "no hyphen at either end"),
        ("ssh", {"on": "1", "keys": "", "password": PASSWORD}, "no key that may sign in"),
        ("ssh", {"on": "1", "keys": "from nowhere", "password": PASSWORD}, "must be a public key"),
        ("ssh", {"on": "1", "keys": KEY, "password": "not mine at all"}, "not your present password"),
        ("encryption", {"means": "prayer", "password": PASSWORD}, "Choose one of these"),
        ("encryption", {"means": "tpm", "password": "not mine at all"}, "not your present password"),
        ("reset", {"recordings": "keep", "name": "another", "password": PASSWORD}, "not the name of the box"),
        ("reset", {"name": "depot", "password": PASSWORD}, "Choose one of both"),
        ("reset", {"recordings": "destroy", "name": "depot", "password": "x"}, "not your present password"),
        ("cards/simulate", {"lines": "900"}, "1 to 64 lines"),
    ],
)
def test_what_is_wrong_is_said_where_it_was_typed_and_nothing_is_asked(
    flashed: Flashed, path: str, fields: dict[str, str | list[str]], fault: str
) -> None:
    before = len(flashed.asked())
    answer = flashed.admin.submit(f"/system/{path}", fields)
    assert answer.status_code == 422 and re.search(rf'class="fault"[^>]*>[^<]*{fault}', answer.text), answer.text
    assert len(flashed.asked()) == before
    # A password that was right takes away the delay of those that were not.
    flashed.admin.submit("/system/ssh", {"password": PASSWORD, "keys": ""})


def test_a_password_that_has_to_wait_takes_nothing_away_that_was_typed(flashed: Flashed) -> None:
    before = len(flashed.asked())
    for fault in ("not your present password", "not your present", "not your present", "Too many wrong passwords"):
        answer = flashed.admin.submit("/system/ssh", {"on": "1", "keys": KEY, "password": "not mine at all"})
        assert answer.status_code == 422 and re.search(rf'class="fault"[^>]*>[^<]*{fault}', answer.text)
        assert KEY.split()[1] in answer.text
    assert len(flashed.asked()) == before
    good: dict[str, str | list[str]] = {"password": PASSWORD, "keys": ""}
    wait_for("the end of the delay", lambda: flashed.admin.submit("/system/ssh", good).status_code == 303)


def test_what_is_no_network_is_told(flashed: Flashed) -> None:
    good = {"addresses": ["192.0.2.9/24", "2001:db8::9/64"], "gateways": ["192.0.2.1", "fe80::1"], "dns": []}
    assert network_faults(good) == {}
    assert set(network_faults({"addresses": ["x"], "gateways": ["y"], "dns": ["z"]})) == {
        "addresses", "gateways", "dns",
    }  # fmt: skip


def test_what_the_keeper_refuses_stands_beside_what_was_typed(flashed: Flashed) -> None:
    fields: dict[str, str | list[str]] = {"mode": "static", "interface": "enp1s0", "addresses": "169.254.1.2/16"}
    answer = flashed.admin.submit("/system/network", fields)
    assert answer.status_code == 422 and "169.254.1.2 cannot be the box&#39;s address" in answer.text
    assert 'value="169.254.1.2/16"' in answer.text


@pytest.mark.parametrize(
    ("path", "fields", "refusal", "said"),
    [
        ("encryption", {"means": "usb"}, ("refused", "0 USB sticks with a FAT file system.", "Plug in one."),
         "exactly one, formatted with FAT"),
        ("encryption/key", {}, ("internal", "systemd-cryptenroll failed.", ""), "did not do this"),
        ("cards/driver", {}, ("internal", "The driver refused.", "`journalctl` has more."), "did not do this"),
        ("time", {"zone": "UTC", "servers": "-x"}, ("bad_request", "'-x' is no time server.", "Give names."),
         "At most eight names"),
        ("time", {"zone": "UTC", "servers": ""}, ("refused", "The configuration names a zone.", ""), "did not do this"),
        ("ssh", {"keys": KEY}, ("bad_request", "An RSA key of 1024 bits is too short.", ""), "must be a public key"),
        ("ssh", {"keys": KEY, "on": "1"}, ("internal", "ssh.service did not start.", ""), "did not do this"),
    ],
)  # fmt: skip
def test_what_the_box_does_not_do_is_told_on_the_form_and_in_the_wizard_too(
    flashed: Flashed, path: str, fields: dict[str, str | list[str]], refusal: tuple[str, ...], said: str
) -> None:
    act = {"cards/driver": "box.dahdi", "encryption/key": "box.recovery_key", "encryption": "box.encrypt"}
    flashed.told(refuses={act.get(path, f"box.{path}"): refusal})
    if path == "encryption/key":
        flashed.told(encryption={"on": True, "means": "tpm"})
    for place in ("",) if path == "ssh" else ("", "setup"):
        answer = flashed.admin.submit(f"/system/{path}", {**fields, "password": PASSWORD, "from": place})
        assert answer.status_code == 422, answer.text
        assert said in answer.text and " ".join(refusal[1:]).strip() in unescape(re.sub("</?code>", "`", answer.text))
        assert all(f'value="{typed}"' in answer.text for typed in fields.values() if path in ("time", "encryption"))
        assert path != "ssh" or KEY in answer.text, "what was typed is still there"
        assert ('aria-current="step"' in answer.text) == (place == "setup")


@pytest.mark.parametrize(
    ("path", "act", "fields"),
    [
        ("name", "box.name", {"name": "gatehouse"}),
        ("restart", "box.restart", {}),
        ("power-off", "box.power_off", {}),
        ("reset", "box.reset", {"recordings": "keep", "name": "depot", "password": PASSWORD}),
    ],
)
def test_what_the_box_does_not_do_is_told_where_it_was_asked(
    flashed: Flashed, path: str, act: str, fields: dict[str, str | list[str]]
) -> None:
    flashed.told(refuses={act: ("refused", "An update is being installed.", "Wait for its end.")})
    answer = flashed.admin.submit(f"/system/{path}", fields)
    assert answer.status_code == 422
    assert answer.text.count('data-testid="refused"') == 1 and "An update is being installed. Wait" in answer.text
    assert path != "name" or 'value="gatehouse"' in answer.text
    assert path != "reset" or re.search(r'<details open>\s*<summary data-testid="reset-open"', answer.text)


def test_more_keys_than_the_box_takes_are_told_where_they_were_typed(flashed: Flashed) -> None:
    answer = flashed.admin.submit("/system/ssh", {"on": "1", "keys": "\n".join([KEY] * 11), "password": PASSWORD})
    assert answer.status_code == 422 and re.search(r'class="fault"[^>]*>[^<]*ten lines at most', answer.text)
    assert "box.ssh: Expected <code>array</code> of length &lt;= 10" in answer.text and answer.text.count(KEY) == 11


def test_a_network_setting_is_tried_confirmed_and_taken_back(flashed: Flashed) -> None:
    fields: dict[str, str | list[str]] = {
        "mode": "static", "interface": "enp2s0", "addresses": "192.0.2.40/24 2001:db8::40/64",
        "gateways": "192.0.2.1", "dns": "192.0.2.1", "from": "setup",
    }  # fmt: skip
    tried = flashed.admin.submit("/system/network", fields)
    assert "https://192.0.2.40/system/network" in tried.text and "https://[2001:db8::40]/" in tried.text
    assert flashed.last()[1]["addresses"] == ["192.0.2.40/24", "2001:db8::40/64"]
    assert 'data-testid="trial-banner"' in flashed.admin.get("/lines").text
    for shown in (tried.text, flashed.admin.get("/system/setup/cards").text):
        for act in ("confirm", "back"):
            form = rf'action="/system/network/{act}"><input[^>]*><input type="hidden" name="from" value="setup">'
            assert re.search(form, shown), "it goes on with the wizard"
    assert flashed.admin.submit("/system/network/confirm").headers["location"] == "/system/network"
    assert flashed.last() == ("box.network_confirm", {"reached_at": "127.0.0.1"})
    assert 'data-testid="trial-banner"' not in flashed.admin.get("/lines").text
    assert "console shows the new address" in flashed.admin.submit("/system/network", {"mode": "dhcp"}).text
    assert flashed.admin.submit("/system/network/back").status_code == 303
    assert flashed.last() == ("box.network_back", {})
    setup: dict[str, str | list[str]] = {"from": "setup"}
    assert flashed.admin.submit("/system/network/confirm", setup).headers["location"] == "/system/setup/encryption"
    assert flashed.admin.submit("/system/network/back", setup).headers["location"] == "/system/setup/network"


def test_who_signs_in_at_the_new_address_goes_on_with_the_wizard(flashed: Flashed) -> None:
    setting: dict[str, str | list[str]] = {
        "mode": "static", "interface": "enp1s0", "addresses": "192.0.2.41/24",
    }  # fmt: skip
    kept = r'action="/system/network/confirm"><input[^>]*>(<input type="hidden" name="from" value="setup">)?<button'
    for begun, leads in (("setup", "/system/setup/encryption"), ("", "/system/network")):
        assert flashed.admin.submit("/system/network", {**setting, "from": begun}).status_code == 200
        there = Person(flashed.base)
        assert there.sign_in("chief").headers["location"] == "/lines"
        banner = re.search(kept, there.get("/lines").text)
        assert banner is not None
        form: dict[str, str | list[str]] = {"from": "setup"} if banner[1] else {}
        assert there.submit("/system/network/confirm", form).headers["location"] == leads
        there.close()


def test_name_and_ssh(flashed: Flashed) -> None:
    assert flashed.admin.submit("/system/name", {"name": "Depot-2"}).status_code == 303
    assert flashed.last() == ("box.name", {"name": "Depot-2"})
    assert flashed.admin.submit("/system/ssh", {"on": "1", "keys": KEY, "password": PASSWORD}).status_code == 303
    assert flashed.last() == ("box.ssh", {"on": True, "keys": [KEY]})
    assert 'data-testid="ssh-on"' in flashed.admin.get("/system/network").text
    ticked = r'name="on" value="1" checked'
    assert re.search(ticked, flashed.admin.submit("/system/name", {"name": "-"}).text), "another form's fault"
    assert not re.search(ticked, flashed.admin.submit("/system/ssh", {"keys": "none", "password": PASSWORD}).text)
    operations = Catalogue.open_readonly(flashed.box.data)
    entered = [one.act for one in operations.operations(None, 50) if one.actor == "user:chief"]
    operations.close()
    assert {"box.ssh", "box.name"} <= set(entered)


def test_the_keys_are_kept_when_ssh_is_switched_off_and_go_when_they_shall(flashed: Flashed) -> None:
    admin, tick = flashed.admin, 'name="forget"'
    assert tick not in admin.get("/system/network").text, "there is none"
    admin.submit("/system/ssh", {"on": "1", "keys": KEY, "password": PASSWORD})
    assert admin.submit("/system/ssh", {"password": PASSWORD, "keys": ""}).status_code == 303
    assert flashed.last() == ("box.ssh", {"on": False})
    assert tick in admin.get("/system/network").text
    forget: dict[str, str | list[str]] = {"forget": "1", "keys": "", "password": PASSWORD}
    answer = admin.submit("/system/ssh", {**forget, "on": "1"})
    assert answer.status_code == 422 and "no key that may sign in" in answer.text
    assert re.search(r'name="forget" value="1" checked', answer.text)
    assert admin.submit("/system/ssh", forget).status_code == 303
    assert flashed.last() == ("box.ssh", {"on": False, "keys": []})
    text = admin.get("/system/network").text
    assert "no key may sign in" in text and tick not in text
    assert admin.submit("/system/ssh", {**forget, "on": "1", "keys": KEY}).status_code == 303
    assert flashed.last() == ("box.ssh", {"on": True, "keys": [KEY]}), "the new ones replace the others anyway"


def test_the_command_takes_the_keys_away_too(flashed: Flashed) -> None:
    flashed.told(ssh={"on": True, "keys": 1, "comments": ["chen@depot"]})
    console = Console(flashed.box.data)
    assert console.run("box", "ssh", "off").out == "SSH is off.\n"
    assert "keys" not in flashed.asked()[-1][1]
    assert console.run("box", "ssh", "off", "--forget-keys").out == "SSH is off, and no key may sign in.\n"
    assert flashed.asked()[-1][0] == "box.ssh" and flashed.asked()[-1][1]["keys"] == []
    assert "chen@depot" not in console.run("box").out


# Cards and lines ------------------------------------------------------------------------------------------------------


def test_a_simulated_card_is_added_its_lines_are_named_and_the_recorder_starts_again(flashed: Flashed) -> None:
    admin = flashed.admin
    assert 'data-testid="no-cards"' in admin.get("/system/setup/cards").text
    setup = {"from": "setup"}
    assert admin.submit("/system/cards/simulate", {"lines": "3", **setup}).headers["location"] == "/system/setup/cards"
    assert 'data-testid="pending"' in admin.get("/system/setup/cards").text
    assert admin.submit("/system/cards/simulate", {"lines": "3", **setup}).status_code == 409
    assert len(load(flashed.box.data / "linekeep.toml").cards) == 1
    again = admin.submit("/system/cards/recorder", {"step": "cards", **setup})
    assert again.headers["location"] == "/system/setup/cards"
    text = admin.get("/system/setup/cards").text
    assert 'data-testid="pending"' not in text and "lines 1-3" in text
    described: dict[str, str | list[str]] = {"from": "setup"}
    for number in "123":
        described |= {f"name-{number}": f"Gate {number}", f"kind-{number}": "direct", f"role-{number}": "tap"}
    described |= {"enabled-1": "1", "kind-2": "extension"}
    assert admin.submit("/system/lines", described).headers["location"] == "/system/setup/done"
    lines = load(flashed.box.data / "linekeep.toml").lines
    assert [(line.name, line.enabled) for line in lines] == [("Gate 1", True), ("Gate 2", False), ("Gate 3", False)]
    assert lines[1].kind == "extension"
    assert "3 of 3 lines" in admin.get("/system/setup/done").text
    assert admin.submit("/system/lines", {"name-1": "x" * 65}).status_code == 422
    ticks = {"enabled-2": "1", "enabled-3": "1"}
    wrong = admin.submit("/system/lines", {**described, **ticks, "enabled-1": "", "name-1": "\u200b"})
    assert wrong.status_code == 422
    assert re.findall(r'name="enabled-(\d)" value="1" checked', wrong.text) == ["2", "3"], "as they were ticked"
    assert admin.submit("/system/lines", {**described, "name-1": " 东门\u3000 值班室 "}).status_code == 303
    assert load(flashed.box.data / "linekeep.toml").lines[0].name == "东门 值班室"
    assert admin.submit("/system/lines", {"name-1": "x", "kind-1": "nonsense"}).status_code == 400
    assert admin.submit("/system/cards/take").status_code == 409
    assert admin.submit("/system/cards/drop", {"card": "sim0"}).headers["location"] == "/system/cards"
    assert load(flashed.box.data / "linekeep.toml").cards == ()
    assert admin.submit("/system/cards/recorder", {"step": "cards"}).status_code == 303
    assert admin.submit("/system/cards/drop", {"card": "sim0"}).status_code == 409


# Loaded again ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("time", "network"), ("name", "network"), ("ssh", "network"), ("network/confirm", "network"),
        ("encryption", "storage"), ("encryption/key", "storage"), ("encryption/written", "storage"),
        ("reset", "storage"), ("restart", "storage"), ("power-off", "storage"), ("lines", "cards"),
        ("cards/simulate", "cards"), ("cards/driver", "cards"), ("update/install", "update"), ("people/x", "people"),
    ],
)  # fmt: skip
def test_an_answer_that_is_loaded_again_leads_to_its_page(flashed: Flashed, path: str, page: str) -> None:
    before = len(flashed.asked())
    again = flashed.admin.get(f"/system/{path}")
    assert (again.status_code, again.headers["location"]) == (303, f"/system/{page}")
    assert len(flashed.asked()) == before


# Who may --------------------------------------------------------------------------------------------------------------

PAGES = ("network", "update", "update/progress", "storage", "cards", "people", "setup", "setup/done")
ACTS = (
    "time", "network", "network/confirm", "network/back", "name", "ssh", "encryption", "encryption/key",
    "encryption/written", "reset", "restart", "power-off", "resume", "update/install", "update/remove", "cards/take",
    "cards/simulate", "cards/drop", "cards/driver", "cards/recorder", "lines",
)  # fmt: skip


def test_only_administrators_are_shown_or_may_do_any_of_it(world: World, flashed: Flashed) -> None:
    before = len(flashed.asked())
    flashed.admin.submit("/system/people", {"name": "listener", "password": PASSWORD, "auditor": "1"})
    listener = Person(flashed.base)
    listener.sign_in("listener")
    for path in PAGES:
        assert listener.get(f"/system/{path}").status_code == 404, path
    for path in ACTS:
        assert listener.submit(f"/system/{path}", {"password": PASSWORD}).status_code == 404, path
        crossed = flashed.admin.submit(f"/system/{path}", None, **{"Sec-Fetch-Site": "cross-site"})
        assert crossed.status_code == 403, path
    listener.close()
    assert len(flashed.asked()) == before
