"""Update bundles for the tests, made of the built image's own slot: the same root with another version, one whose
daemon cannot start, and small ones that a box must refuse. `image/build-bundle` signs them, as it signs real ones."""

import json
import os
import py_compile
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = "/usr/lib/linekeep"
STICK_AT = 1 << 20


class Slot:
    """A copy of a root slot's image, changed without mounting it."""

    def __init__(self, source: Path, target: Path) -> None:
        subprocess.run(["cp", "--sparse=always", source, target], check=True)
        self.image = target
        self.build: dict[str, Any] = json.loads(self.read(f"{HOME}/build.json"))

    def _debugfs(self, *commands: str) -> None:
        words: list[str | Path] = ["debugfs", "-w", "-f", "/dev/stdin", self.image]
        subprocess.run(words, input="\n".join(commands), capture_output=True, text=True, check=True)

    def read(self, path: str) -> str:
        return subprocess.run(
            ["debugfs", "-R", f"cat {path}", self.image], capture_output=True, text=True, check=True
        ).stdout

    def write(self, path: str, source: Path) -> None:
        self._debugfs(f"rm {path}", f"write {source} {path}", f"set_inode_field {path} mode 0100644")

    def write_module(self, name: str, text: str) -> None:
        """A module of ours: its source and what is run of it."""
        source = self.image.with_suffix(".py")
        source.write_text(text)
        compiled = py_compile.compile(
            str(source), cfile=str(self.image.with_suffix(".pyc")), doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
        assert compiled is not None
        folder, _, module = name.rpartition("/")
        self.write(f"{HOME}/{name}.py", source)
        self.write(f"{HOME}/{folder}/__pycache__/{module}.cpython-311.pyc", Path(compiled))

    def versioned(self, version: str) -> None:
        before = self.build["version"]
        self.build["version"] = version
        told = self.image.with_suffix(".json")
        told.write_text(json.dumps(self.build))
        self.write(f"{HOME}/build.json", told)
        text = self.read(f"{HOME}/firmware/box.py")
        assert f'VERSION = "{before}"' in text
        self.write_module("firmware/box", text.replace(f'VERSION = "{before}"', f'VERSION = "{version}"'))


def bundle(
    image: Path, build: dict[str, Any], target: Path, *, compatible: str = "", signing: dict[str, Path] | None = None
) -> Path:
    """Signed by the development key, or by the one that `signing` names."""
    told = target.with_suffix(".build.json")
    told.write_text(json.dumps(build))
    environment = {**os.environ, "BUNDLE_LEVEL": "1", **{name: str(path) for name, path in (signing or {}).items()}}
    if compatible:
        environment["COMPATIBLE"] = compatible
    subprocess.run([ROOT / "image/build-bundle", image, told, target], env=environment, check=True)
    return target


def other_key(folder: Path) -> dict[str, Path]:
    """A key that no box knows."""
    key, certificate = folder / "other-key.pem", folder / "other-cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=somebody else", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key,
            "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"SIGNING_KEY": key, "SIGNING_CERT": certificate}


def stick(files: list[Path], target: Path) -> Path:
    """A memory stick: one partition with FAT, these files at its top."""
    size = sum(file.stat().st_size for file in files) + (32 << 20)
    with target.open("wb") as disk:
        disk.truncate(size + STICK_AT)
    subprocess.run(["sfdisk", "--quiet", target], input="label: dos\nstart=2048, type=c\n", text=True, check=True)
    subprocess.run(
        ["mkfs.vfat", "-F", "32", "--offset", str(STICK_AT // 512), target, str(size // 1024)],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(["mcopy", "-i", f"{target}@@{STICK_AT}", *files, "::/"], check=True)
    return target
