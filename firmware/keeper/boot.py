"""`python -m firmware.keeper.boot`: at a start, before the data partition is mounted: carries out what was ordered for
it, and opens it where it is encrypted.

Where no means opens it, the box waits, and the console says for what: the USB stick with the key, or the recovery key,
typed. Nothing else of the box could run, and a box that gave up would have to be found and started again by somebody.

The boot menu may order a reset, too (`linekeep.reset=keep` or `destroy` on the kernel's command line): by somebody who
stands before the box, without network and account. It is written down as any other order, so that it is done wholly.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from firmware.keeper import encrypting, ordered, resetting, volume
from firmware.keeper.ordered import Order
from firmware.keeper.volume import Disk, StorageError

LOOK_EVERY_S = 2.0
TRY_EVERY_S = 60.0
CONSOLES = (Path("/dev/tty0"), Path("/dev/ttyS0"))


def say(text: str, priority: str = "") -> None:
    print(f"{priority}{text}", flush=True)  # noqa: T201  (to the journal)
    for console in CONSOLES:
        try:
            with console.open("wb", buffering=0) as screen:
                screen.write(f"\r\n{text}\r\n".encode())
        except OSError:
            # No such console here; the journal has it.
            continue


def menu_order(command_line: str) -> Order | None:
    found = re.search(r"(?:^|\s)linekeep\.reset=(keep|destroy)(?:\s|$)", command_line)
    return Order(act="keep" if found[1] == "keep" else "destroy") if found else None


def main() -> int:
    try:
        start(Disk())
    except (StorageError, OSError) as error:
        # As an error: the screen of a box that cannot use its disk shows those of the journal (image: box/unusable).
        say(f"The data partition cannot be used: {error}", "<3>")
        return 1
    return 0


def start(disk: Disk) -> None:
    disk.work.mkdir(mode=0o700, exist_ok=True)
    try:
        order = ordered.read(disk)
    except StorageError as error:
        say(str(error))
        order = None
    asked = menu_order(Path("/proc/cmdline").read_text())
    # What is on its way goes on; but where it cannot, destroying everything is the way out.
    if asked is not None and (
        order is None or order.step == "asked" or (order.act, asked.act) == ("encrypt", "destroy")
    ):
        order = ordered.write(disk, asked)
    prepare(disk, order)
    if order is not None and (outcome := ordered.outcome(disk)) is not None:
        (disk.work / "console.txt").write_text(ordered.sentence(outcome) + "\n", encoding="utf-8")


def prepare(disk: Disk, order: Order | None) -> None:
    if order is None:
        encrypting.drop_remains(disk)
    elif order.act == "destroy":
        resetting.destroy(disk, order, say)
    elif order.act == "encrypt":
        encrypting.encrypt(disk, order, say)
    closed = volume.encrypted(disk)
    if closed:
        opened(disk)
    if order is not None and order.act == "keep":
        resetting.keep(disk, order, volume.MAPPED if closed else disk.partition, say)


def opened(disk: Disk) -> None:
    """Does not come back before it is."""
    tried = volume.sticks(disk)
    why = volume.open_by_itself(disk)
    while why:
        say(f"The data partition is encrypted and its key is not there. {why}\r\n"
            "Plug in the USB stick with the key, or type the recovery key.")  # fmt: skip
        why = _waited(disk, tried)


def _waited(disk: Disk, tried: list[Path]) -> str:
    """Asks on every console until something is typed; meanwhile tries a stick that was plugged in since those that were
    tried, and every minute what failed before: a TPM that has seen too many power cuts gives the key again after a
    while. Empty when it is open."""
    words = ["systemd-ask-password", "--no-tty", "--timeout=0", "--echo=yes", "--id=linekeep-data", "Recovery key:"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        again = time.monotonic() + TRY_EVERY_S
        while asking.poll() is None:
            time.sleep(LOOK_EVERY_S)
            there = volume.sticks(disk)
            if there == tried and time.monotonic() < again:
                continue
            tried, again = there, time.monotonic() + TRY_EVERY_S
            if not volume.open_by_itself(disk):
                asking.terminate()
                return ""
        typed = asking.stdout.read().decode(errors="replace")
    return "" if volume.open_typed(disk, typed) else "The recovery key that was typed does not open it."


if __name__ == "__main__":
    sys.exit(main())
