"""The flashable disk in a machine in software (QEMU, emulated), as an installer meets it: from outside.

The page is reached through a port of the loopback interface; the first serial port is the box's console. A root shell
for the tests is asked of systemd on the second serial port, by words that are written into the boot menu of the
test's own copy of the disk: the image itself has none.

Started by its firmware and boot loader the machine falls behind whenever the emulation does, so that a recorder in it
loses blocks. Where time matters the kernel is handed over to it (`Handed`): then its clock counts instructions, a
thousand million a second, and stands still while the host is slow.
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.box import free_port, wait_for
from tests.image.menu import kernel_words

OVMF = Path("/usr/share/OVMF/OVMF_CODE.fd")
MIB, GIB = 1 << 20, 1 << 30
ESP_AT, SLOT_A_AT, DATA_AT = 2 * MIB, 66 * MIB, 1466 * MIB
"""Bytes into the disk (image/build-disk)."""
SHELL_WORDS = "systemd.debug_shell=ttyS1"
SIMULATED = """\
[box]
name = "Linekeep"
[storage]
minimum_free_mb = 64
[recording]
trigger = "always"
[[card]]
kind = "simulated"
name = "sim0"
lines = {}
scenario = "none"
"""
"""The configuration of a box whose lines in software are recorded all the time. Its image has no voices for callers."""
BOOT_S = 900
"""On a loaded machine; some 60 s otherwise."""

Firmware = Literal["bios", "uefi"]


@dataclass(frozen=True)
class Handed:
    """A kernel that QEMU gives the machine: a boot loader's reads take minutes under a clock of instructions."""

    kernel: Path
    initrd: Path
    words: str


def handed(disk: Path, slot: Literal["A", "B"] = "A", entry: str = "") -> Handed:
    """What the boot menu would start of a flashed disk; `entry` is what another of its entries adds."""
    boot = image().parent / "root/boot"
    kept = re.search(r"^machine_id=(\S+)", _on_esp(disk, "grubenv"), re.MULTILINE)
    words = kernel_words(slot) + (f" systemd.machine_id={kept[1]}" if kept else "")
    return Handed(boot / "vmlinuz", boot / "initrd", f"{words} {entry} {SHELL_WORDS}")


def _on_esp(disk: Path, name: str) -> str:
    return subprocess.run(
        ["mtype", "-i", f"{disk}@@{ESP_AT}", f"::/grub/{name}"], capture_output=True, text=True, check=True
    ).stdout


def disk_copy(image: Path, target: Path, size: int = 3 * GIB, root: Path | None = None) -> Path:
    """A copy of the image on a larger disk, with a shell for the tests; where another root is given, that is in the
    first slot."""
    subprocess.run(["cp", "--sparse=always", image, target], check=True)
    with target.open("r+b") as disk:
        disk.truncate(size)
    place = f"{target}@@{ESP_AT}"
    menu = _on_esp(target, "grub.cfg")
    menu = menu.replace(" quiet ", f" {SHELL_WORDS} quiet ")
    if root is not None:
        seek = f"seek={SLOT_A_AT // MIB}"
        subprocess.run(
            ["dd", f"if={root}", f"of={target}", "bs=1M", seek, "conv=notrunc,sparse", "status=none"], check=True
        )
    own = target.with_suffix(".cfg")
    own.write_text(menu)
    subprocess.run(["mcopy", "-o", "-i", place, own, "::/grub/grub.cfg"], check=True)
    return target


class Machine:
    """One that runs. `console` is what its first serial port said so far."""

    def __init__(
        self,
        disk: Path,
        folder: Path,
        start: Firmware | Handed = "bios",
        stick: Path | None = None,
        more: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self._console, shell = free_port(), folder / "console.log", folder / "shell"
        self._console.write_bytes(b"")
        shell.unlink(missing_ok=True)
        boot: list[str | Path] = ["-accel", "tcg,thread=multi", "-smp", "2"]
        if isinstance(start, Handed):
            boot = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-smp", "1"]
            boot += ["-kernel", start.kernel, "-initrd", start.initrd, "-append", start.words]
        elif start == "uefi":
            boot += ["-bios", OVMF]
        if stick is not None:
            boot += ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,file={stick},format=raw,readonly=on"]
            boot += ["-device", "usb-storage,drive=stick"]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [
                "qemu-system-x86_64", "-machine", "pc", "-cpu", "Nehalem", "-m", "1024", "-display", "none",
                "-nodefaults", "-no-reboot", *boot,
                "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
                "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:443",
                "-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci", "-device", "i6300esb",
                "-serial", f"file:{self._console}", "-serial", f"unix:{shell},server=on,wait=off", *more,
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self._shell = wait_for("the shell's socket", lambda: _connected(shell))
        self._shell.settimeout(BOOT_S)
        self._answered = False

    @property
    def console(self) -> str:
        return self._console.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def said(self, pattern: str, patience_s: float = BOOT_S) -> str:
        """The first group of the pattern, when the console shows it."""

        def found() -> str | None:
            assert self.process.poll() is None, f"the machine is gone; it said\n{self.console[-3000:]}"
            match = re.search(pattern, self.console)
            return match[1] if match else None

        return wait_for(f"{pattern!r} on the console", found, patience_s)

    def fingerprint(self) -> str:
        """Of the page's certificate, as the console shows it."""
        return re.sub(r"\s", "", self.said(r"certificate +SHA-256 ((?:[0-9A-F]{2}[:\s]+){32})"))

    def shell(self, command: str) -> str:
        """What a command prints, both outputs, run as root."""
        if not self._answered:
            self._await_shell()
        self._shell.sendall(f"\necho; echo begin'-of'-it; {{ {command}; }} 2>&1; echo; echo end'-of'-it\n".encode())
        heard = b""
        while not (found := re.search(rb"\nbegin-of-it\r?\n(.*)\nend-of-it\r?\n", heard, re.DOTALL)):
            piece = self._shell.recv(65536)
            assert piece, "the machine's shell is gone"
            heard += piece
        return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]|\r", "", found[1].decode(errors="replace")).strip()

    def _await_shell(self) -> None:
        """What is typed before the shell has its terminal is lost."""

        def answers() -> bool:
            self._shell.sendall(b"\necho it' 'answers\n")
            try:
                while b"it answers" not in self._shell.recv(65536):
                    continue
            except TimeoutError:
                return False
            return True

        self._shell.settimeout(10)
        wait_for("the shell", answers, BOOT_S)
        self._shell.settimeout(BOOT_S)
        self._answered = True

    def answer(self, command: str, question: str, answer: str) -> None:
        """Types it for a program that asks on the shell's terminal, once it does."""
        self.shell("true")
        self._shell.sendall(f"{command}\n".encode())
        heard = b""
        while question.encode() not in heard:
            piece = self._shell.recv(65536)
            assert piece, "the machine's shell is gone"
            heard += piece
        self._shell.sendall(f"{answer}\n".encode())

    def goes(self, patience_s: float = BOOT_S) -> None:
        """Waits until it has switched itself off, or would have restarted."""
        self.process.wait(patience_s)

    def stop(self) -> None:
        self._shell.close()
        self.process.kill()
        self.process.wait(30)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


@contextmanager
def running(
    disk: Path, folder: Path, start: Firmware | Handed = "bios", stick: Path | None = None, more: Sequence[str] = ()
) -> Iterator[Machine]:
    """`stick` is in its USB port; `more` are words for QEMU: further devices."""
    machine = Machine(disk, folder, start, stick, more)
    try:
        yield machine
    finally:
        machine.stop()


def image() -> Path:
    """The built disk."""
    return Path(os.environ["LINEKEEP_IMAGE"])
