"""`make run`: the daemon and the page in the foreground, under one small supervisor.

It says what it starts, starts again what dies (saying so, with its exit code, and waiting longer each time), and on
Ctrl-C or SIGTERM stops the page, then the daemon, which seals its recordings. On an installed box systemd does this;
here a person looks on. The children are in sessions of their own, so that Ctrl-C reaches them in that order and not
all at once; when the supervisor is killed the kernel ends them (PR_SET_PDEATHSIG, by util-linux' `setpriv`), so that
nothing is left behind. A daemon that does not even come up the first time is not tried again: its message says what to
do.
"""

import argparse
import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

SETUP_CODE = "setup code: "
READY = "ready: "
FINGERPRINT = "certificate SHA-256 "
ADDRESSES = ("http://", "https://")
"""The page says its address when it listens there, after all that it has to say about it."""
END_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
"""What ran for this long is started again at once."""
STOP_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def url(self) -> str:
        """What to type into a browser."""
        any_address = self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        host = socket.gethostname() if any_address else self.host
        return f"{'http' if self.is_loopback else 'https'}://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def address(text: str) -> Address:
    """`127.0.0.1:8090`, `[::1]:8090` or `name:8090`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8090")
    return Address(host, int(port))


class Failed(Exception):
    """It cannot be run; the message says why and what to do."""


def check_port(listen: Address) -> None:
    """Raises `Failed` where the page will not be able to listen there."""
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as error:
        why = {
            errno.EADDRINUSE: "is in use by another program (or another Linekeep)",
            errno.EACCES: "may only be used by root",
            errno.EADDRNOTAVAIL: "is not an address of this machine",
        }.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
        host = "127.0.0.1" if error.errno == errno.EADDRNOTAVAIL else listen.host
        other = Address(host, 8091 if listen.port != 8091 else 8092)
        raise Failed(f"{listen} {why}. Choose another: `make run LISTEN={other}`, or --listen {other}.") from error


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Child:
    """One program: started, watched, stopped."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.setup_code: str | None = None
        self.fingerprint: str | None = None
        self.ready = asyncio.Event()
        self.shown = False
        """The first setup code was shown with the rest; a later one is told by itself."""

    async def start(self) -> None:
        self.ready.clear()
        self.setup_code = None
        self._process = await asyncio.create_subprocess_exec(
            *END_WITH_US,
            sys.executable,
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process), name=f"output of the {self.name}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode(errors="replace").rstrip():
            if SETUP_CODE in line:
                self.setup_code = line.partition(SETUP_CODE)[2]
                if self.shown:
                    say(f"The setup code is now {self.setup_code}.")
            elif READY in line or line.startswith(ADDRESSES):
                self.ready.set()
            elif line.startswith(FINGERPRINT):
                self.fingerprint = line.removeprefix(FINGERPRINT)
            else:
                say(f"{self.name}: {line}")

    async def ended(self) -> int:
        """Its exit code, when it has ended and its last words are out."""
        assert self._process is not None and self._reader is not None
        code = await self._process.wait()
        await self._reader
        return code

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self.ended(), STOP_WITHIN_S)
        except TimeoutError:
            say(f"The {self.name} does not stop within {STOP_WITHIN_S:.0f} s and is killed.")
            self._process.kill()
            await self.ended()


class Supervisor:
    def __init__(self, listen: Address, data: Path) -> None:
        self._listen = listen
        self._data = data
        self._daemon = Child("daemon", "-m", "firmware", "--data", str(data))
        self._page = Child("page", "-m", "web_admin", "--data", str(data), "--listen", str(listen))

    async def run(self) -> int:
        """Until a signal; the exit code."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        work = asyncio.create_task(self._work(), name="supervision")
        stopping = asyncio.create_task(stop.wait(), name="signal")
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            say("\nStopping: the page, then the daemon (open recordings are sealed).")
        work.cancel()
        stopping.cancel()
        await asyncio.gather(work, stopping, return_exceptions=True)
        await self._page.stop()
        await self._daemon.stop()
        if work.cancelled():
            say("Stopped.")
            return 0
        return work.result()

    async def _work(self) -> int:
        say("Starting the daemon.")
        if (code := await self._first_start(self._daemon)) is not None:
            return code
        say("Starting the page.")
        if (code := await self._first_start(self._page)) is not None:
            return code
        self._welcome()
        await asyncio.gather(self._keep(self._daemon), self._keep(self._page))
        return 0

    async def _first_start(self, child: Child) -> int | None:
        """None when it is up; its exit code when it ended before."""
        await child.start()
        up = asyncio.create_task(child.ready.wait())
        ended = asyncio.create_task(child.ended())
        try:
            await asyncio.wait({up, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                return None
            say(f"The {child.name} ended with exit code {ended.result()} before it was ready; see above.")
            return ended.result() or 1
        finally:
            up.cancel()
            ended.cancel()

    async def _keep(self, child: Child) -> None:
        """Starts it again whenever it dies, saying so."""
        clock = asyncio.get_running_loop()
        wait_s, since_s = 1.0, clock.time()
        while True:
            code = await child.ended()
            if clock.time() - since_s > STEADY_S:
                wait_s = 1.0
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            say(f"The {child.name} {how}; it is started again in {wait_s:.0f} s.")
            await asyncio.sleep(wait_s)
            wait_s, since_s = min(2 * wait_s, LONGEST_WAIT_S), clock.time()
            await child.start()

    def _welcome(self) -> None:
        self._daemon.shown = True
        say()
        say(f"  Linekeep        {self._listen.url}")
        if self._page.fingerprint:
            say(f"  certificate     SHA-256 {self._page.fingerprint}")
        if self._daemon.setup_code:
            say(f"  setup code      {self._daemon.setup_code}  (for the first account, once)")
        say(f"  command         {Path(sys.executable).parent / 'linekeep'}")
        say(f"  data            {self._data}")
        say("  stop            Ctrl-C")
        say()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m firmware.supervisor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--listen", type=address, default=address("127.0.0.1:8090"), help="address of the page")
    parser.add_argument("--data", type=Path, default=Path("var"), help="data folder")
    given = parser.parse_args(arguments)
    try:
        check_port(given.listen)
    except Failed as failed:
        say(str(failed))
        return 2
    return asyncio.run(Supervisor(given.listen, given.data.absolute()).run())


if __name__ == "__main__":
    sys.exit(main())
