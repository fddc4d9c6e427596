"""The page as a process: where it listens, its certificate, and what it says when it cannot start."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from starlette.responses import PlainTextResponse

from tests.box import Process
from web_admin import tls
from web_admin.__main__ import Patient, address, main

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


def test_an_address_other_than_loopback_is_served_over_tls_alone(tmp_path: Path) -> None:
    page = Process("-m", "web_admin", "--data", str(tmp_path), "--listen", "0.0.0.0:0")
    try:
        fingerprint = page.line("certificate SHA-256 ")
        port = int(page.line("https://0.0.0.0:").rstrip("/"))
        assert (tmp_path / "web/tls/fingerprint.txt").read_text().strip() == fingerprint
        assert (tmp_path / "web/tls/key.pem").stat().st_mode & 0o077 == 0
        trust = ssl.create_default_context(cafile=str(tmp_path / "web/tls/certificate.pem"))
        with httpx.Client(verify=trust, base_url=f"https://localhost:{port}") as client:
            answer = client.get("/", follow_redirects=True)
        cookie = answer.history[0].headers["set-cookie"]
        assert cookie.startswith("__Host-linekeep=") and "Secure" in cookie
        assert "max-age" in answer.headers["strict-transport-security"]
        with httpx.Client() as client, pytest.raises(httpx.HTTPError):
            client.get(f"http://localhost:{port}/")
        with (
            socket.create_connection(("localhost", port)) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            cipher = secure.cipher()
            assert cipher is not None and ("GCM" in cipher[0] or "CHACHA20" in cipher[0])
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
    finally:
        assert page.stop() == 0


def test_an_address_that_the_network_gives_changes_no_fingerprint_and_a_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tls.identity(tmp_path, "::", NOW)
    monkeypatch.setattr(tls, "_own_addresses", lambda: {ipaddress.ip_address("192.0.2.99")})
    assert tls.identity(tmp_path, "::", NOW) == first
    monkeypatch.setattr(socket, "gethostname", lambda: "recorder-2")
    named = tls.identity(tmp_path, "::", NOW)
    assert named.fingerprint != first.fingerprint
    held = x509.load_pem_x509_certificate(named.certificate.read_bytes()).extensions
    names = held.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "recorder-2" in names.get_values_for_type(x509.DNSName)
    assert "192.0.2.99" in [str(one) for one in names.get_values_for_type(x509.IPAddress)]


def test_the_certificate_is_kept_until_it_no_longer_serves(tmp_path: Path) -> None:
    first = tls.identity(tmp_path, "10.1.2.3", NOW)
    assert tls.identity(tmp_path, "10.1.2.3", NOW + datetime.timedelta(days=600)) == first
    other = tls.identity(tmp_path, "10.9.9.9", NOW)
    assert other.fingerprint != first.fingerprint
    names = x509.load_pem_x509_certificate(other.certificate.read_bytes()).extensions
    held = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "10.9.9.9" in [str(one) for one in held.get_values_for_type(x509.IPAddress)]
    renewed = tls.identity(tmp_path, "10.9.9.9", NOW + datetime.timedelta(days=tls.VALID_DAYS - 20))
    assert renewed.fingerprint != other.fingerprint
    other.certificate.write_text("torn")
    assert tls.identity(tmp_path, "10.9.9.9", NOW).fingerprint != renewed.fingerprint


def test_a_port_in_use_and_a_folder_that_cannot_be_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--data", str(tmp_path), "--listen", f"127.0.0.1:{port}"]) == 1
    said = capsys.readouterr().out
    assert f"127.0.0.1:{port}" in said and "--listen" in said
    (tmp_path / "file").write_text("in the way")
    assert main(["--data", str(tmp_path / "file"), "--listen", "127.0.0.1:0"]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8090", ("127.0.0.1", 8090)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["8090", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", ":80", "host:port"])
def test_what_is_no_address_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--listen", text])
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_box_that_never_ran_says_what_to_do(tmp_path: Path) -> None:
    page = Process("-m", "web_admin", "--data", str(tmp_path), "--listen", "127.0.0.1:0")
    try:
        base = "http:" + page.line("http:").rstrip("/")
        with httpx.Client(base_url=base, follow_redirects=True, headers={"Accept-Language": "en"}) as client:
            text = client.get("/").text
        assert "Set up this box" in text and "recorder is not running" in text
    finally:
        assert page.stop() == 0


@pytest.fixture
def impatient() -> Iterator[tuple[str, int]]:
    """A server with the page's protocol and one second of patience."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(PlainTextResponse("ok"), http=Patient, timeout_keep_alive=1, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.mark.parametrize("answered", [0, 1], ids=["at the first request", "after a good one"])
@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_who_never_ends_a_head_is_let_go_of(impatient: tuple[str, int], answered: int, begun: bytes) -> None:
    with socket.create_connection(impatient, 20.0) as line, line.makefile("rb") as answer:
        for _ in range(answered):
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while answer.readline() != b"\r\n":
                pass
            assert answer.read(2) == b"ok"
        for byte in begun:
            line.sendall(bytes([byte]))
        assert answer.read() == b""
