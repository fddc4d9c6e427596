"""A disk that remembers what was synced, and shows every state that a crash may leave.

While it is in place, every call of `recorder.disk` is carried out for real and written down. `image` then replays the
first k calls and builds a folder as a power cut at that moment may leave it: what was synced is there; of the rest,
each write is there, missing, torn by sectors or only has its length; names made, changed or removed since their
folder was synced are there up to some point. `kill` is the gentler crash: the process dies and the kernel keeps all.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from recorder import disk

SECTOR = 512


@dataclass
class File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, bytes written) or (size, None) for a truncation."""

    def content(self, rng: random.Random | None) -> bytes:
        data = bytearray(self.durable)
        for offset, written in self.pending:
            fate = "kept" if rng is None else rng.choice(("kept", "kept", "missing", "torn", "length"))
            if fate == "missing":
                continue
            if written is None:
                del data[offset:]
                data.extend(bytes(offset - len(data)))
                continue
            if len(data) < offset + len(written):
                data.extend(bytes(offset + len(written) - len(data)))
            if fate == "length":
                continue
            for sector in range(offset // SECTOR, (offset + len(written) - 1) // SECTOR + 1):
                first, end = max(offset, sector * SECTOR), min(offset + len(written), (sector + 1) * SECTOR)
                if fate == "kept" or (rng is not None and rng.random() < 0.5):
                    data[first:end] = written[first - offset : end - offset]
        return bytes(data)

    def sync(self) -> None:
        self.durable = bytearray(self.content(None))
        self.pending.clear()


class CrashDisk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[Any, ...]] = []
        self._before = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        self._folders = {path for path in root.rglob("*") if path.is_dir()} | {root}

    def told(self, *fact: Any) -> None:
        """A fact of the run that must hold in every later crash, such as what was acknowledged."""
        self.calls.append(("told", *fact))

    @contextmanager
    def in_place(self) -> Iterator["CrashDisk"]:
        names: dict[int, Path] = {}
        real = {name: getattr(disk, name) for name in (
            "create", "reopen", "pwrite", "truncate", "fdatasync", "rename", "unlink", "mkdir", "sync_folder",
        )}  # fmt: skip

        def opens(act: str) -> Any:
            def call(path: Path, *mode: int) -> int:
                fd: int = real[act](path, *mode)
                names[fd] = path
                self.calls.append((act, path))
                return fd

            return call

        def pwrite(fd: int, data: Any, offset: int) -> None:
            real["pwrite"](fd, data, offset)
            self.calls.append(("pwrite", names[fd], offset, bytes(data)))

        def truncate(fd: int, size: int) -> None:
            real["truncate"](fd, size)
            self.calls.append(("truncate", names[fd], size))

        def fdatasync(fd: int) -> None:
            self.calls.append(("fdatasync", names[fd]))

        def named(act: str) -> Any:
            def call(*paths: Path) -> None:
                real[act](*paths)
                self.calls.append((act, *paths))

            return call

        def sync_folder(folder: Path) -> None:
            self.calls.append(("sync_folder", folder))

        stand_ins = {
            "create": opens("create"), "reopen": opens("reopen"), "pwrite": pwrite, "truncate": truncate,
            "fdatasync": fdatasync, "rename": named("rename"), "unlink": named("unlink"), "mkdir": named("mkdir"),
            "sync_folder": sync_folder, "_synced_folders": set[Path](),
        }  # fmt: skip
        with ExitStack() as stack:
            for name, stand_in in stand_ins.items():
                stack.enter_context(mock.patch.object(disk, name, stand_in))
            yield self

    def image(self, calls: int, target: Path, rng: random.Random | None) -> list[tuple[Any, ...]]:
        """Builds in `target` what a crash after the first `calls` calls may leave (`rng` None: a killed process).

        Returns the facts told before."""
        files = {path: File(bytearray(data)) for path, data in self._before.items()}
        live: dict[Path, File] = dict(files)
        names: dict[Path, list[tuple[str, Path, File | None]]] = {}
        folders = set(self._folders)
        durable: dict[Path, File] = dict(files)
        facts: list[tuple[Any, ...]] = []
        for act, *rest in self.calls[:calls]:
            path = rest[0]
            match act:
                case "told":
                    facts.append(tuple(rest))
                case "create":
                    live[path] = File()
                    names.setdefault(path.parent, []).append(("link", path, live[path]))
                case "mkdir":
                    if path not in folders:
                        names.setdefault(path.parent, []).append(("mkdir", path, None))
                case "pwrite":
                    live[path].pending.append((rest[1], rest[2]))
                case "truncate":
                    live[path].pending.append((rest[1], None))
                case "fdatasync":
                    live[path].sync()
                case "unlink":
                    live.pop(path, None)
                    names.setdefault(path.parent, []).append(("unlink", path, None))
                case "rename":
                    live[rest[1]] = live.pop(path)
                    names.setdefault(path.parent, []).append(("unlink+link", rest[1], live[rest[1]]))
                    names[path.parent].append(("unlink", path, None))
                case "sync_folder":
                    self._apply(names.pop(path, []), durable, folders)
        for waiting in names.values():
            self._apply(waiting if rng is None else waiting[: rng.randint(0, len(waiting))], durable, folders)
        for path, file in durable.items():
            if all(folder in folders for folder in path.parents if folder.is_relative_to(self.root)):
                copy = target / path.relative_to(self.root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.content(rng))
        return facts

    @staticmethod
    def _apply(waiting: list[tuple[str, Path, File | None]], durable: dict[Path, File], folders: set[Path]) -> None:
        for act, path, file in waiting:
            if act == "mkdir":
                folders.add(path)
            elif file is not None:
                durable[path] = file
            else:
                durable.pop(path, None)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def copy_of(root: Path, target: Path) -> Path:
    for path in root.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return target
