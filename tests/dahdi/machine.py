"""A box in software with the real DAHDI driver: QEMU boots the disk that is flashed, and the tests of `guest/` run on
it, with crossed spans.

The disk is made once (`build-guest`), of the image's root: the same Debian, kernel, modules, units and project as on a
real box. It comes up as a real box does, except that the kernel is started without a boot loader (tests/image starts
the disk by BIOS and by UEFI). The tests and pytest are handed over in the first root, and started by a unit of their
own once the daemon and the page are up. The machine has no network. Its console goes to a file, the results come over
a second serial line, as JUnit's XML.

It is emulated (TCG) even where /dev/kvm is there: inside some virtual machines that node opens, and the kernel then
hangs. Its clock counts instructions, one a nanosecond, and skips what it sleeps: however busy the host is, the machine
is never late, and two runs are alike. That holds for what the machine computes, not for what it would wait for: its
disk is therefore memory (an NVDIMM), of which each run changes a copy of its own.
"""

import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.image.menu import kernel_words

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build/dahdi/guest"
CHANNELS = 32
"""Of each of the two spans: 1 to 32 are telephones' ports, 33 to 64 the exchange's lines at their other ends."""
SPANS_CONF = f"""\
dynamic=loc,1:0,{CHANNELS},0
dynamic=loc,1:1,{CHANNELS},0
"""
CHANNELS_CONF = f"""\
fxoks=1-{CHANNELS}
fxsks={CHANNELS + 1}-{2 * CHANNELS}
loadzone=cn
defaultzone=cn
"""
NOT_IN_THE_IMAGE = ("pytest", "pytest-timeout")
FILES = ("pyproject.toml", "tests/__init__.py", "tests/box.py", "tests/dahdi")


@dataclass(frozen=True)
class Outcome:
    passed: bool
    seconds: float
    said: str


class MachineFailed(Exception):
    """The machine did not come up or did not report; the message says what the console said last."""


def run(
    selection: Iterable[str], folder: Path, timeout_s: float, environment: Mapping[str, str] | None = None
) -> dict[str, Outcome]:
    """Boot, run the tests of `guest/` that pytest selects by these arguments, and answer the outcome of each by its
    name. `folder` keeps the console and the results. Raises MachineFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "tests/dahdi/build-guest"], check=True)
    initrd, console, results = folder / "initrd", folder / "console.log", folder / "results.xml"
    with initrd.open("wb") as whole:
        whole.write((BUILT / "initrd").read_bytes())
        whole.write(b"\0" * (-whole.tell() % 512))
        whole.write(_first_root(folder / "tree", list(selection), environment or {}))
    began = time.monotonic()
    command: list[str | Path] = [
        "qemu-system-x86_64", "-machine", "pc,nvdimm=on", "-cpu", "Nehalem", "-accel", "tcg,thread=single",
        "-icount", "shift=0,sleep=off", "-m", "3072,slots=1,maxmem=8G", "-display", "none", "-nodefaults", "-no-reboot",
        "-object", f"memory-backend-file,id=disk,mem-path={BUILT / 'disk.img'},size=2G,share=off",
        "-device", "nvdimm,memdev=disk",
        "-kernel", BUILT / "vmlinuz", "-initrd", initrd, "-append", f"{kernel_words()} console=ttyS0 panic=-1",
        "-serial", f"file:{console}", "-serial", f"file:{results}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise MachineFailed(f"The machine was not done after {timeout_s:.0f} s.\n{_last_words(console)}") from error
    finally:
        initrd.unlink()
    if done.returncode:
        raise MachineFailed(f"QEMU ended with {done.returncode}: {done.stderr}\n{_last_words(console)}")
    print(f"The machine ran for {time.monotonic() - began:.0f} s; its console: {console}")
    try:
        return _outcomes(results.read_text())
    except (OSError, ET.ParseError) as error:
        raise MachineFailed(f"The machine reported no results ({error}).\n{_last_words(console)}") from error


def _first_root(tree: Path, selection: list[str], environment: Mapping[str, str]) -> bytes:
    """An archive that is unpacked over the image's first root: the drivers of the disk in memory, and the tests, which
    are handed on to the box in /run."""
    shutil.rmtree(tree, ignore_errors=True)
    tests = tree / "tests"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FILES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        if (ROOT / name).is_file():
            (tests / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tests / name)
    subprocess.run(
        [sys.executable, ROOT / "image/lay-packages", tests / "site", *NOT_IN_THE_IMAGE],
        capture_output=True,
        check=True,
    )
    (tests / "spans.conf").write_text(SPANS_CONF)
    (tests / "channels.conf").write_text(CHANNELS_CONF)
    (tests / "selection").write_text(" ".join(selection))
    (tests / "environment").write_text("".join(f"export {name}={value}\n" for name, value in environment.items()))
    root = tree / "root"
    shutil.copytree(BUILT / "nvdimm", root / "nvdimm")
    (root / "conf").mkdir()
    shutil.copy(ROOT / "tests/dahdi/guest/first-root", root / "conf/param.conf")
    _pack(tests, "ustar", root / "tests.tar")
    _pack(root, "newc", tree / "root.cpio")
    packed = (tree / "root.cpio").read_bytes()
    shutil.rmtree(tree)
    return packed


def _pack(folder: Path, form: str, archive: Path) -> None:
    subprocess.run(["bsdtar", "-cf", archive, f"--format={form}", "--uid=0", "--gid=0", "-C", folder, "."], check=True)


def _outcomes(xml: str) -> dict[str, Outcome]:
    found = {}
    for case in ET.fromstring(xml).iter("testcase"):
        wrong: list[str] = [
            child.text or str(child.get("message")) for child in case if child.tag in ("failure", "error", "skipped")
        ]
        found[case.get("name", "")] = Outcome(not wrong, float(case.get("time", 0)), "\n".join(wrong))
    return found


def _last_words(console: Path) -> str:
    text = console.read_text(errors="replace") if console.exists() else "It said nothing."
    return "The console's last lines:\n" + "\n".join(text.splitlines()[-40:])
