"""`python -m web_admin --data DIR --listen HOST:PORT`: the page as a process of its own.

On loopback it speaks HTTP; on any other address only TLS, with a certificate that it makes itself and whose fingerprint
it prints. SIGTERM ends it: event streams are closed, answers in progress get three seconds.
"""

import argparse
import asyncio
import datetime
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from web_admin import tls
from web_admin.app import create_app

GRACE_S = 3
PATIENCE_S = 30


class Patient(H11Protocol):
    """uvicorn gives a connection time only between two requests. This one gives it the same time for the first to
    begin, and for the head of each to be whole: who sends a byte now and then (Slowloris) is let go of."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_until(self.loop.time() + self.timeout_keep_alive)

    def data_received(self, data: bytes) -> None:
        timer = self.timeout_keep_alive_task
        super().data_received(data)
        head_is_whole = self.cycle is not None and not self.cycle.response_complete
        if timer is not None and not head_is_whole and not self.transport.is_closing():
            self._wait_until(timer.when())

    def _wait_until(self, due: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(due, self.timeout_keep_alive_handler)


def address(text: str) -> tuple[str, int]:
    """`127.0.0.1:8090`, `[::1]:8090`, `0.0.0.0:443`, `localhost:8090`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8090")
    return host, int(port)


def bound(host: str, port: int) -> socket.socket:
    """The listening socket. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        # From here on whoever connects waits; the address is said only now.
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m web_admin", description="The web page of a Linekeep box.")
    parser.add_argument("--data", type=Path, default=Path("var"), help="the data folder (default: ./var)")
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 8090), metavar="HOST:PORT")
    parser.add_argument("--keeper", type=Path, help="the folder of the keeper's socket, on a box that was flashed")
    options = parser.parse_args(arguments)
    host, port = options.listen
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    data = options.data.resolve()
    try:
        (data / "web").mkdir(parents=True, exist_ok=True)
        listening = bound(host, port)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        say(
            f"The page cannot start: {error.strerror} ({error.filename or f'{host}:{port}'}). "
            "Check --data and --listen."
        )
        return 1
    except OSError as error:
        say(f"The page cannot listen on {host}:{port} ({error.strerror}). Choose another address with --listen.")
        return 1
    secure: dict[str, Any] = {}
    if not tls.is_loopback(host):
        own = tls.identity(data / "web" / "tls", host, datetime.datetime.now(datetime.UTC))
        secure = {"ssl_certfile": own.certificate, "ssl_keyfile": own.key, "ssl_ciphers": tls.CIPHERS}
        say(f"certificate SHA-256 {own.fingerprint}")
    config = uvicorn.Config(
        create_app(data, https=bool(secure), keeper=options.keeper), log_level="warning", access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE_S, timeout_keep_alive=PATIENCE_S,
        http=Patient, h11_max_incomplete_event_size=32768, **secure,
    )  # fmt: skip
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # The server stops on these by itself and raises them once more when it has; that is not to end us with a failure.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    shown = f"[{host}]" if ":" in host else host
    say(f"{'https' if secure else 'http'}://{shown}:{listening.getsockname()[1]}/")
    server.run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
