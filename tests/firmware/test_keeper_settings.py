"""What the keeper keeps and applies: what is refused, what is written, and a network that goes back by itself.

Its commands are written down here; that they do what is meant is seen on a real systemd (tests/image).
"""

import asyncio
import base64
import json
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from firmware.keeper.addresses import Wrong, as_file, checked
from firmware.keeper.kept import NetworkSettings
from firmware.keeper.place import Failed, Place, run
from firmware.keeper.service import Admitted, Keeper
from firmware.wire import AsyncClient, BoxState, DaemonError, Fields
from tests.firmware.test_keeper import CHEN, OWN, kept_by, place

CONSOLE = {"kind": "console", "name": "root"}
STATIC = {"mode": "static", "addresses": ["192.0.2.10/24", "2001:db8::10/64"], "gateways": ["192.0.2.1", "fe80::1"]}
WORN: list[dict[str, Any]] = [
    {"ifname": "lo", "link_type": "loopback", "flags": ["LOWER_UP"], "addr_info": []},
    {
        "ifname": "eth0", "link_type": "ether", "address": "52:54:00:12:34:56", "flags": ["UP", "LOWER_UP"],
        "addr_info": [
            {"family": "inet", "local": "192.0.2.77", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fe80::5054", "prefixlen": 64, "scope": "link"},
        ],
    },
]  # fmt: skip


@dataclass
class System:
    """The system under a keeper: what it was told, and its clock, which goes when the test says."""

    told: list[str] = field(default_factory=list)
    fails: str = ""
    worn: list[dict[str, Any]] = field(default_factory=lambda: WORN)
    seconds: float = 0.0
    waiting: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    async def run(self, *words: str) -> str:
        command = " ".join(words)
        if words[0] == "ip":
            return json.dumps(self.worn if "address" in words else [{"gateway": "192.0.2.1", "dev": "eth0"}])
        if words[0] == "ssh-keygen" and "-y" in words:
            try:
                serialization.load_ssh_private_key(Path(words[-1]).read_bytes(), None)
            except ValueError as error:
                raise Failed("error in libcrypto") from error
            return ""
        if words[0] == "ssh-keygen":
            Path(words[-1]).write_bytes(private_key())
            Path(words[-1] + ".pub").write_text(public_key("box"))
            return ""
        self.told.append(command)
        if self.fails and self.fails in command:
            raise Failed(f"{command} failed")
        return ""

    async def wait(self, seconds: float) -> None:
        due = asyncio.Event()
        self.waiting.append((self.seconds + seconds, due))
        await due.wait()

    async def pass_(self, seconds: float) -> None:
        """So much time goes by, and whatever was due is done."""
        end = self.seconds + seconds
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            due = [entry for entry in self.waiting if entry[0] <= end]
            if not due:
                break
            first = min(due, key=lambda entry: entry[0])
            self.waiting.remove(first)
            self.seconds = first[0]
            first[1].set()
        self.seconds = end


def public_key(comment: str) -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return f"{key.public_bytes(*form).decode()} {comment}"


def private_key() -> bytes:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    return ed25519.Ed25519PrivateKey.generate().private_bytes(*form)


def keeper_of(root: Place, system: System) -> Keeper:
    return Keeper(root, system.run, Admitted(OWN), now=lambda: system.seconds, wait=system.wait)


def with_keeper(
    folder: Path, talk: Callable[[AsyncClient, System, Place], Awaitable[None]], system: System | None = None
) -> None:
    root, under = place(folder), system or System()
    (root.run / "systemd/netif").mkdir(parents=True)
    (root.run / "systemd/netif/state").touch()
    kept_by(keeper_of(root, under), lambda client: talk(client, under, root))


async def state_of(client: AsyncClient) -> BoxState:
    return msgspec.convert(await client.call("box.state"), BoxState)


async def refused(client: AsyncClient, do: str, message: str, **fields: Any) -> None:
    with pytest.raises(DaemonError, match=message):
        await client.call(do, actor=CONSOLE, **fields)


# Time ----------------------------------------------------------------------------------------------------------------


def test_the_zone_is_one_link_and_the_servers_are_timesyncds(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.time", actor=CHEN, zone="Asia/Shanghai", servers=["ntp.example.net", "2001:DB8::1"])
        assert str((root.public / "localtime").readlink()) == "/usr/share/zoneinfo/Asia/Shanghai"
        conf = root.run / "systemd/timesyncd.conf.d/50-linekeep.conf"
        assert conf.read_text() == "[Time]\nNTP=ntp.example.net 2001:db8::1\n"
        assert stat.S_IMODE(conf.stat().st_mode) == 0o644, "timesyncd is not root"
        assert stat.S_IMODE((root.kept / "box.json").stat().st_mode) == 0o600
        time = (await state_of(client)).time
        assert (time.zone, time.servers, time.synchronised) == (
            "Asia/Shanghai", ["ntp.example.net", "2001:db8::1"], False,
        )  # fmt: skip
        await client.call("box.time", actor=CHEN, servers=[])
        assert not conf.exists()
        assert (await state_of(client)).time.zone == "Asia/Shanghai", "what is left out stays"
        assert system.told == ["systemctl try-restart systemd-timesyncd.service"] * 2

    with_keeper(tmp_path, talk)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"zone": "Mars/Olympus"}, "not a time zone"),
        ({"zone": "../../etc/passwd"}, "not a time zone"),
        ({"zone": ""}, "not a time zone"),
        ({"servers": ["a b"]}, "neither the name nor the address"),
        ({"servers": ["ntp\nNTP=evil"]}, "neither the name nor the address"),
        ({"servers": ["300.1.1.1"]}, "neither the name nor the address"),
        ({"servers": ["-x.example"]}, "neither the name nor the address"),
        ({"servers": ["fe80::1%eth0"]}, "neither the name nor the address"),
        ({"servers": ["2001:db8::5%a\nNTP=evil"]}, "neither the name nor the address"),
        ({"servers": ["a"] * 9}, "length <= 8"),
    ],
)
def test_a_wrong_time_changes_nothing(fields: Fields, message: str, tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await refused(client, "box.time", message, **fields)
        assert not (root.kept / "box.json").exists()
        assert system.told == []

    with_keeper(tmp_path, talk)


# Network -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "static"}, "needs 1 to 8 addresses"),
        ({"mode": "static", "addresses": ["192.0.2.10"]}, "lacks the prefix"),
        ({"mode": "static", "addresses": ["192.0.2.10/33"]}, "is not an address with its prefix"),
        ({"mode": "static", "addresses": ["192.0.2.0/24"]}, "is the network itself"),
        ({"mode": "static", "addresses": ["192.0.2.255/24"]}, "broadcast"),
        ({"mode": "static", "addresses": ["127.0.0.2/8"]}, "cannot be the box's address"),
        ({"mode": "static", "addresses": ["224.0.0.5/4"]}, "cannot be the box's address"),
        ({"mode": "static", "addresses": ["fe80::1/64"]}, "cannot be the box's address"),
        ({"mode": "static", "addresses": ["192.0.2.10/24", "192.0.2.10/25"]}, "named twice"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "gateways": ["198.51.100.1"]}, "cannot be reached"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "gateways": ["192.0.2.10"]}, "the box's own address"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "gateways": ["fe80::1"]}, "cannot be reached"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "gateways": ["192.0.2.1", "192.0.2.2"]}, "named twice"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "dns": ["ns.example"]}, "not an IPv4 or IPv6 address"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "dns": ["127.0.0.1"]}, "cannot be a name server"),
        ({"mode": "static", "addresses": ["192.0.2.10/24"], "interface": "eth7"}, "there is no network card"),
        ({"mode": "static", "addresses": ["192.0.2.10/24\nDHCP=yes"]}, "is not an address"),
        ({"mode": "static", "addresses": ["2001:db8::5%eth0/64"]}, "written with a card's name"),
        ({"mode": "static", "addresses": ["2001:db8::5%a\n[DHCPServer]\nx=y/64"]}, "written with a card's name"),
        ({"mode": "dhcp", "addresses": ["192.0.2.10/24"]}, "with DHCP the network gives"),
        ({"mode": "wifi"}, "mode"),
    ],
)
def test_a_wrong_network_changes_nothing(fields: Fields, message: str, tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await refused(client, "box.network", message, **fields)
        await system.pass_(300)
        assert system.told == []
        assert not list((root.run / "systemd").glob("network/*"))

    with_keeper(tmp_path, talk)


def test_where_there_are_several_cards_one_is_named() -> None:
    wanted = NetworkSettings(mode="static", addresses=["192.0.2.10/24"])
    with pytest.raises(Wrong, match="name the network card that it is for: eth0, eth1"):
        checked(wanted, ["eth0", "eth1"])
    assert checked(wanted, ["eth0"]).interface == "eth0"
    assert "Name=eth1" in as_file(checked(msgspec.structs.replace(wanted, interface="eth1"), ["eth0", "eth1"]))


def test_dhcp_needs_no_file_but_with_name_servers_of_ones_own() -> None:
    assert as_file(checked(NetworkSettings(), [])) == ""
    text = as_file(checked(NetworkSettings(dns=["2001:db8::53"]), ["eth0"]))
    assert "Type=ether" in text and "DNS=2001:db8::53" in text and text.count("UseDNS=no") == 3


def test_a_network_that_nobody_confirms_goes_back(tmp_path: Path) -> None:
    file = tmp_path / "run/systemd/network/10-linekeep.network"

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        assert await client.call("box.network", actor=CHEN, **STATIC) == {"trial_s": 120}
        assert system.told == [], "the answer comes first"
        await system.pass_(2)
        assert system.told == ["networkctl reload"]
        assert file.read_text().splitlines()[1:3] == ["[Match]", "Name=eth0"]
        assert {"Address=192.0.2.10/24", "Address=2001:db8::10/64", "Gateway=fe80::1", "DHCP=no"} <= set(
            file.read_text().splitlines()
        )
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
        trial = (await state_of(client)).network.trial
        assert trial is not None and trial.seconds_left == 119 and trial.addresses == STATIC["addresses"]
        assert not (root.kept / "box.json").exists(), "a restart goes back as well"
        await system.pass_(118)
        assert file.exists()
        await system.pass_(2)
        assert not file.exists() and system.told == ["networkctl reload"] * 2
        assert (await state_of(client)).network.trial is None
        await refused(client, "box.network_confirm", "nothing to confirm")

    with_keeper(tmp_path, talk)


def test_an_address_that_nobody_gave_is_shown_as_such(tmp_path: Path) -> None:
    """What the box took itself (RFC 3927) is how a computer on its cable reaches it."""
    given = WORN[1]["addr_info"]
    own = {"family": "inet", "local": "169.254.7.9", "prefixlen": 16, "scope": "link"}

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        for there, shown in (
            ([*given, own], (["192.0.2.77/24"], False)),
            ([given[1], own], (["169.254.7.9/16"], True)),
        ):
            system.worn = [{**WORN[1], "addr_info": there}]
            network = (await state_of(client)).network
            assert (network.addresses, network.own_address) == shown

    with_keeper(tmp_path, talk)


def test_a_network_is_confirmed_from_where_it_is_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "run/systemd/network/10-linekeep.network"

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.network", actor=CHEN, **STATIC)
        await system.pass_(30)
        for elsewhere in ("", "192.0.2.77", "nowhere"):
            with pytest.raises(DaemonError, match=r"Open the page at 192\.0\.2\.10 or 2001:db8::10"):
                await client.call("box.network_confirm", actor=CHEN, reached_at=elsewhere)
        await client.call("box.network_confirm", actor=CHEN, reached_at="2001:DB8:0::10")
        await system.pass_(500)
        assert file.exists() and system.told == ["networkctl reload"]
        assert await client.call("box.network", actor=CHEN, **STATIC) == {"trial_s": 0}, "nothing to try"
        # A second one, on the console, which need not say where it is; and one that is given up.
        await client.call("box.network", actor=CHEN, mode="dhcp")
        await system.pass_(2)
        assert not file.exists()
        await client.call("box.network_back", actor=CHEN)
        assert "Address=192.0.2.10/24" in file.read_text()
        await system.pass_(500)
        assert system.told == ["networkctl reload"] * 3
        assert (await state_of(client)).network.mode == "static"

    with_keeper(tmp_path, talk)


def test_a_network_is_not_confirmed_before_it_acts(tmp_path: Path) -> None:
    """The box may keep its address in it, and lose its gateway: who asks then has seen nothing of the new setting."""

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.network", actor=CHEN, **STATIC)
        for actor in (CHEN, CONSOLE):
            with pytest.raises(DaemonError, match="does not act yet"):
                await client.call("box.network_confirm", actor=actor, reached_at="192.0.2.10")
        assert not (root.kept / "box.json").exists()
        await system.pass_(1)
        await client.call("box.network_confirm", actor=CHEN, reached_at="192.0.2.10")
        await system.pass_(500)
        assert system.told == ["networkctl reload"]
        assert (await state_of(client)).network.mode == "static"

    with_keeper(tmp_path, talk)


def test_a_trial_does_not_outlive_the_keeper(tmp_path: Path) -> None:
    file = tmp_path / "run/systemd/network/10-linekeep.network"

    async def begin(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.network", actor=CHEN, **STATIC)
        await system.pass_(2)
        assert file.exists()

    with_keeper(tmp_path, begin)
    assert file.exists(), "it was killed meanwhile"
    system = System()
    asyncio.run(keeper_of(Place(tmp_path), system).apply())
    assert not file.exists() and "networkctl reload" in system.told


def test_a_network_that_cannot_act_goes_back_and_says_so(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.network", actor=CHEN, **STATIC)
        system.fails = "networkctl"
        await system.pass_(2)
        system.fails = ""
        state = await state_of(client)
        assert state.network.trial is None
        assert not (root.run / "systemd/network/10-linekeep.network").exists()
        (problem,) = state.problems
        assert "could not act and went back: networkctl reload failed" in problem
        await client.call("box.network", actor=CHEN, **STATIC)
        assert (await state_of(client)).problems, "it has not acted yet"
        await system.pass_(2)
        assert not (await state_of(client)).problems

    with_keeper(tmp_path, talk)


# Name, SSH, power ----------------------------------------------------------------------------------------------------


def test_the_host_name(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        for wrong in ("", "a b", "-a", "a-", "a" * 64, "a.b", "守线", "12345", "localhost", "a\nb"):
            await refused(client, "box.name", "is not a host name", name=wrong)
        assert await client.call("box.name", actor=CHEN, name="Recorder-2") == {"certificate": True}
        assert system.told == ["hostname recorder-2"]
        await system.pass_(1)
        assert system.told[1:] == ["systemctl try-restart linekeep-web.service"], "its certificate has its name"
        assert await client.call("box.name", actor=CHEN, name="recorder-2") == {"certificate": False}

    with_keeper(tmp_path, talk)


def test_ssh_is_off_until_there_is_a_key_and_takes_nothing_else(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
        rsa_1024 = short.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        own = public_key("chen@desk")
        await refused(client, "box.ssh", "no key may sign in", on=True)
        for wrong in ("", "words", f'command="sh" {own}', own.replace("AAAA", "AAAB"), rsa_1024, f"{own}\n{own}"):
            await refused(client, "box.ssh", "is not a public key", on=True, keys=[wrong])
        assert system.told == []
        await client.call("box.ssh", actor=CHEN, on=True, keys=[own])
        assert (root.public / "authorized_keys").read_text() == own + "\n"
        assert system.told == ["systemctl start ssh.service"]
        ssh = (await state_of(client)).ssh
        assert (ssh.on, ssh.keys, ssh.comments) == (True, 1, ["chen@desk"])
        assert base64.b64decode(ssh.fingerprint.removeprefix("SHA256:") + "=")
        await client.call("box.ssh", actor=CHEN, on=False)
        assert system.told[1:] == ["systemctl stop ssh.service"]
        ssh = (await state_of(client)).ssh
        assert (ssh.on, ssh.keys) == (False, 1), "the keys are kept"
        await refused(client, "box.ssh", "no key may sign in", on=True, keys=[])
        await client.call("box.ssh", actor=CHEN, on=False, keys=[])
        assert (await state_of(client)).ssh.keys == 0
        assert not (root.public / "authorized_keys").exists()

    with_keeper(tmp_path, talk)


def test_ssh_that_does_not_start_is_not_kept_as_on(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await refused(client, "box.ssh", "systemctl start ssh.service failed", on=True, keys=[public_key("x")])
        assert (await state_of(client)).ssh.on is False

    with_keeper(tmp_path, talk, System(fails="start ssh"))


def test_a_power_cut_leaves_a_key_of_the_box_that_is_whole_or_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def fsync(fd: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")

    def rename(path: Path, to: Path) -> None:
        steps.append(to.name)
        os.rename(path, to)

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        own = root.kept / "ssh/host_ed25519"
        own.parent.mkdir()
        own.touch()
        own.with_suffix(".pub").touch()
        with monkeypatch.context() as watched:
            watched.setattr(os, "fsync", fsync)
            watched.setattr(Path, "rename", rename)
            await client.call("box.ssh", actor=CHEN, on=True, keys=[public_key("x")])
        made = [step for step in steps if "ssh" in step or "ed25519" in step]
        assert made == [
            "sync host_ed25519.new.pub", "sync host_ed25519.new", "host_ed25519.pub", "host_ed25519", "sync ssh",
        ]  # fmt: skip
        whole = own.read_bytes()
        assert serialization.load_ssh_private_key(whole, None)
        assert (await state_of(client)).ssh.fingerprint.startswith("SHA256:")
        await client.call("box.ssh", actor=CHEN, on=False)
        await client.call("box.ssh", actor=CHEN, on=True)
        assert own.read_bytes() == whole, "the box stays known by it"

    with_keeper(tmp_path, talk)


def test_power_is_answered_before_the_machine_goes(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        assert await client.call("box.restart", actor=CHEN) == {}
        assert system.told == []
        await system.pass_(1)
        assert system.told == ["systemctl reboot"]
        await client.call("box.power_off", actor=CHEN)
        await system.pass_(1)
        assert system.told[1:] == ["systemctl poweroff"]

    with_keeper(tmp_path, talk)


# Kept ----------------------------------------------------------------------------------------------------------------


def test_safe_mode_is_over_before_its_end_is_answered(tmp_path: Path) -> None:
    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.resume", actor=CHEN)
        assert system.told == [
            "systemctl stop linekeep-safe.service",
            "systemctl reset-failed linekeep.service",
            "systemctl start --no-block linekeep.service",
        ]

    with_keeper(tmp_path, talk)


def test_what_was_kept_acts_after_a_restart(tmp_path: Path) -> None:
    key = public_key("chen@desk")

    async def talk(client: AsyncClient, system: System, root: Place) -> None:
        await client.call("box.time", actor=CHEN, zone="Europe/Berlin", servers=["192.0.2.5"])
        await client.call("box.name", actor=CHEN, name="recorder")
        await client.call("box.ssh", actor=CHEN, on=True, keys=[key])
        await client.call("box.network", actor=CHEN, **STATIC)
        await system.pass_(2)
        await client.call("box.network_confirm", actor=CONSOLE)

    with_keeper(tmp_path, talk)
    for path in sorted((tmp_path / "run").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "run/linekeep-box").mkdir()
    system = System()
    asyncio.run(keeper_of(Place(tmp_path), system).apply())
    assert system.told == [
        "systemctl try-restart systemd-timesyncd.service",
        "hostname recorder",
        "systemctl --no-block start ssh.service",
    ], "networkd is not there yet, and reads what lies there when it comes"
    assert str((tmp_path / "run/linekeep-box/localtime").readlink()) == "/usr/share/zoneinfo/Europe/Berlin"
    assert (tmp_path / "run/linekeep-box/authorized_keys").read_text() == key + "\n"
    assert "Address=192.0.2.10/24" in (tmp_path / "run/systemd/network/10-linekeep.network").read_text()


def test_a_problem_of_the_start_is_over_when_its_room_is_well_again(tmp_path: Path) -> None:
    wishes: dict[str, Fields] = {
        "box.time": {"servers": ["192.0.2.5"]},
        "box.name": {"name": "recorder"},
        "box.ssh": {"on": True, "keys": [public_key("chen@desk")]},
    }
    root, system = place(tmp_path), System()
    keeper = keeper_of(root, system)

    async def talk(client: AsyncClient) -> None:
        for do, fields in wishes.items():
            await client.call(do, actor=CHEN, **fields)
        (root.run / "systemd/timesyncd.conf.d/50-linekeep.conf").unlink()
        system.fails = " "
        await keeper.apply()
        system.told.clear()
        for left, (do, fields) in zip((3, 2, 1), wishes.items(), strict=True):
            system.fails = " "
            await refused(client, do, "was not done", **fields)
            assert len((await state_of(client)).problems) == left
            system.fails = ""
            await client.call(do, actor=CHEN, **fields)
            assert len((await state_of(client)).problems) == left - 1
        assert "systemctl try-restart systemd-timesyncd.service" in system.told, "its file stands there since the start"

    kept_by(keeper, talk)


def test_settings_that_cannot_be_read_are_told_and_the_images_own_act(tmp_path: Path) -> None:
    root, system = place(tmp_path), System()
    (root.kept / "box.json").write_text('{"zone": 7}')
    keeper = keeper_of(root, system)
    asyncio.run(keeper.apply())
    assert "box.json cannot be read" in keeper.problems["settings"]
    assert str((root.public / "localtime").readlink()) == "/usr/share/zoneinfo/UTC"

    async def talk(client: AsyncClient) -> None:
        assert "box.json" in (await state_of(client)).problems[0]
        await client.call("box.name", actor=CHEN, name="recorder")

    kept_by(keeper, talk)
    former = root.kept / "box.json.1"
    assert former.read_text() == '{"zone": 7}', "whoever looks into it still has it"
    assert stat.S_IMODE(former.stat().st_mode) == 0o600


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(Failed, match=r"`sh -c .*` failed \(3\): no such thing"):
        asyncio.run(run("sh", "-c", "echo no such thing >&2; exit 3"))
    with pytest.raises(Failed, match="cannot be run"):
        asyncio.run(run("no-such-program"))
    with pytest.raises(Failed, match="did not end within"):
        asyncio.run(run("sleep", "60", patience_s=0.1))
    assert asyncio.run(run("echo", "yes")) == "yes\n"
