"""`make run` as a person sees it: what is printed, what happens when something dies, how it stops."""

import argparse
import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from firmware.supervisor import Address, Failed, address, check_port
from firmware.wire import Client, DaemonUnreachableError
from tests.box import Process, free_port, wait_for


def started(data: Path, listen: str) -> Process:
    return Process("-m", "firmware.supervisor", "--listen", listen, "--data", str(data))


def pid_of_daemon(data: Path) -> int | None:
    try:
        with Client.connect(data) as client:
            return int(client.call("hello")["pid"])
    except DaemonUnreachableError:
        return None


class Supervised:
    def __init__(self, data: Path) -> None:
        data.mkdir()
        (data / "linekeep.toml").write_text('[[card]]\nlines = 2\nscenario = "none"\n')
        self.data = data
        self.url = f"http://127.0.0.1:{free_port()}/"
        self.process = started(data, self.url.removeprefix("http://").removesuffix("/"))

    def said(self) -> str:
        return "".join(self.process.output)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path / "var")
    yield supervised
    supervised.process.stop()


def test_it_starts_both_says_what_is_needed_and_stops_both(supervised: Supervised) -> None:
    process, data = supervised.process, supervised.data
    assert process.line("Ctrl-C") == ""
    assert process.line("Linekeep  ") == supervised.url
    assert process.line("data  ") == str(data)
    assert Path(process.line("command  ")).name == "linekeep"
    code = process.line("setup code  ").split()[0]
    assert httpx.get(supervised.url, follow_redirects=True).status_code == 200
    with Client.connect(data) as client:
        assert client.call("setup.check", code=code)["valid"] is True
    daemon = pid_of_daemon(data)
    assert daemon is not None
    assert process.stop(signal.SIGINT) == 0
    assert process.output[-1] == "Stopped.\n"
    assert not Path(f"/proc/{daemon}").exists()
    assert not (data / "control.sock").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(supervised.url)


def test_what_dies_is_named_and_started_again(supervised: Supervised) -> None:
    supervised.process.line("Ctrl-C")
    before = pid_of_daemon(supervised.data)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_for("another daemon", lambda: pid_of_daemon(supervised.data) not in (None, before))
    assert "The daemon was killed by SIGKILL; it is started again in 1 s." in supervised.said()
    fresh = supervised.process.line("The setup code is now ").removesuffix(".")
    with Client.connect(supervised.data) as client:
        assert client.call("setup.check", code=fresh)["valid"] is True


def test_a_supervisor_that_is_killed_leaves_nothing_behind(supervised: Supervised) -> None:
    supervised.process.line("Ctrl-C")
    daemon = pid_of_daemon(supervised.data)
    assert daemon is not None
    supervised.process.stop(signal.SIGKILL)
    wait_for("the daemon's end", lambda: not Path(f"/proc/{daemon}").exists())
    assert not (supervised.data / "control.sock").exists(), "it stopped in good order"
    wait_for("the page's end", lambda: is_free(supervised.url))


def is_free(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", httpx.URL(url).port or 0)) == errno.ECONNREFUSED


def test_the_certificate_is_shown_where_others_may_connect(tmp_path: Path) -> None:
    (tmp_path / "linekeep.toml").write_text('[[card]]\nlines = 1\nscenario = "none"\n')
    process = started(tmp_path, f"0.0.0.0:{free_port()}")
    try:
        process.line("Ctrl-C")
        shown = process.line("certificate     SHA-256 ")
    finally:
        process.stop()
    assert shown == (tmp_path / "web" / "tls" / "fingerprint.txt").read_text().strip()


def test_an_address_of_another_machine_is_answered_with_one_of_this() -> None:
    with pytest.raises(Failed, match=r"192\.0\.2\.7:8090 is not an address of this machine.*127\.0\.0\.1:8091"):
        check_port(address("192.0.2.7:8090"))


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = started(tmp_path / "var", f"127.0.0.1:{port}")
        assert process.process.wait(60) == 2
        process.stop()
    assert f"127.0.0.1:{port} is in use" in "".join(process.output)
    assert "--listen 127.0.0.1:8091" in "".join(process.output)
    assert not (tmp_path / "var").exists()


def test_a_daemon_that_cannot_start_is_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "linekeep.toml").write_text("[box]\nnme = 1\n")
    process = started(tmp_path, f"127.0.0.1:{free_port()}")
    assert process.process.wait(60) == 2
    process.stop()
    said = "".join(process.output)
    assert 'line 2: unknown key "nme" in [box]; perhaps name is meant' in said
    assert "The daemon ended with exit code 2 before it was ready" in said


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:8090", "http://127.0.0.1:8090/"),
        ("localhost:1", "http://localhost:1/"),
        ("[::1]:8090", "http://[::1]:8090/"),
        ("192.0.2.7:443", "https://192.0.2.7:443/"),
        ("0.0.0.0:8443", f"https://{socket.gethostname()}:8443/"),
    ],
)
def test_an_address_is_read_and_shown(text: str, url: str) -> None:
    assert address(text).url == url
    assert str(address(text)) == text


@pytest.mark.parametrize("text", ["", "8090", ":8090", "host:", "host:0", "host:65536", "host:http", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="HOST:PORT"):
        address(text)


def test_only_loopback_goes_without_encryption() -> None:
    assert [Address(host, 1).is_loopback for host in ("127.8.8.8", "::1", "10.0.0.1", "box.example")] == [
        True, True, False, False,
    ]  # fmt: skip
