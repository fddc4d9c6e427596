"""`python -m firmware.keeper`: applies what was kept, says that it is ready, and answers until it is stopped."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from firmware.health import Systemd
from firmware.keeper.place import Place, run
from firmware.keeper.service import Keeper, usual
from firmware.logs import log_to_stderr


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m firmware.keeper", description="The keeper of a Linekeep box.")
    parser.add_argument("--root", type=Path, default=Path("/"), help="another root than /, for tests")
    log_to_stderr()
    os.umask(0o077)
    asyncio.run(_serve(Place(parser.parse_args(arguments).root.absolute())))
    return 0


async def _serve(place: Place) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    keeper, systemd = Keeper(place, run, usual()), Systemd()
    server = keeper.server()
    try:
        await keeper.apply()
        await server.start()
        systemd.tell("READY=1")
        await stop.wait()
        systemd.tell("STOPPING=1")
    finally:
        await server.close()
        await keeper.close()
        systemd.close()


if __name__ == "__main__":
    sys.exit(main())
