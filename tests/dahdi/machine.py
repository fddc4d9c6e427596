"""A machine in software that has the real DAHDI driver: QEMU boots Debian's kernel with DAHDI's modules, and runs the
tests of `guest/` on crossed spans.

What boots is made once (`build-guest`); the project's files, the Python packages that it needs and what is to be run
are laid over it as a second archive of the same root. The machine has no disk and no network. Its console goes to a
file, the results come over a second serial line, as JUnit's XML.

It is emulated (TCG) even where /dev/kvm is there: inside some virtual machines that node opens, and the kernel then
hangs. Its clock counts instructions, one a nanosecond, and skips what it sleeps: however busy the host is, the machine
is never late, and two runs are alike.
"""

import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

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
PACKAGES = (
    "numpy", "cffi", "lmdb", "msgspec", "sdnotify", "rich", "soundfile", "soxr", "cryptography", "tzdata",
    "argon2-cffi", "pycparser", "tomlkit", "pytest", "pytest-timeout",
)  # fmt: skip
FILES = (
    "pyproject.toml",
    "dsp",
    "cffi_bindings",
    "recorder",
    "firmware",
    "tests/__init__.py",
    "tests/box.py",
    "tests/dahdi",
)


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
    if not (BUILT / "key").exists():
        raise MachineFailed(f"{BUILT} is not built. Remedy: make setup-test")
    initrd, console, results = folder / "initrd", folder / "console.log", folder / "results.xml"
    _lay_over(folder / "tree", list(selection), environment or {})
    with initrd.open("wb") as whole:
        whole.write((BUILT / "root.cpio.zst").read_bytes())
        subprocess.run(
            ["bsdtar", "-cf", "-", "--format=newc", "--uid=0", "--gid=0", "-C", folder / "tree", "."],
            stdout=whole, check=True,
        )  # fmt: skip
    shutil.rmtree(folder / "tree")
    began = time.monotonic()
    command: list[str | Path] = [
        "qemu-system-x86_64", "-machine", "pc", "-cpu", "Nehalem", "-accel", "tcg,thread=single",
        "-icount", "shift=0,sleep=off", "-m", "3072", "-display", "none", "-nodefaults", "-no-reboot",
        "-kernel", BUILT / "vmlinuz", "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1",
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


def _lay_over(tree: Path, selection: list[str], environment: Mapping[str, str]) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(BUILT / "tree", tree, symlinks=True)
    project = tree / "opt/linekeep"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FILES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / "cffi_bindings").glob("_*.so")]
    for name in [*filter(None, tracked), *compiled]:
        if (ROOT / name).is_file():
            _copy(ROOT / name, project / name)
    for package in _needed(PACKAGES):
        for file in package.files or []:
            if ".." not in file.parts and "tests" not in file.parts and file.suffix != ".pyc":
                _copy(Path(str(package.locate_file(file))), tree / "opt/site" / file)
    _copy(ROOT / "tests/dahdi/guest/init", tree / "init")
    (tree / "etc/dahdi").mkdir(parents=True)
    (tree / "etc/dahdi/system.conf").write_text(SPANS_CONF + CHANNELS_CONF)
    (tree / "etc/dahdi/channels.conf").write_text(CHANNELS_CONF)
    (tree / "opt/selection").write_text(" ".join(selection))
    (tree / "opt/environment").write_text("".join(f"export {name}={value}\n" for name, value in environment.items()))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _needed(names: Iterable[str]) -> list[Distribution]:
    """These packages and all that they require here."""
    found: dict[str, Distribution] = {}
    wanted = list(names)
    while wanted:
        package = distribution(wanted.pop())
        name = package.metadata["Name"].lower()
        if name in found:
            continue
        found[name] = package
        required = [requirement for requirement in package.requires or [] if ";" not in requirement]
        wanted += [re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in required]
    return list(found.values())


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
