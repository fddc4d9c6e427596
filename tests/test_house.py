"""The floors of the house: which folder may import which, that the imports have no circle, and what may not be said."""

import ast
import re
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT: dict[str, set[str]] = {
    "dsp": set(),
    "cffi_bindings": set(),
    "recorder": {"dsp"},
    "firmware": {"dsp", "cffi_bindings", "recorder"},
    "web_admin": {"recorder", "dsp"},
}
WEB_MAY_OF_FIRMWARE = "firmware.wire"


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


def modules() -> dict[str, Path]:
    found = {}
    for path in tracked("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[0] in MAY_IMPORT:
            found[name] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that this file imports when it is loaded or later; types alone do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            modules_named = within & known.keys()
            named.update(modules_named)
            if modules_named != within:
                named.add(node.module)
    return {name for name in named if name.split(".")[0] in MAY_IMPORT}


def test_every_folder_imports_only_the_floors_under_it() -> None:
    known = modules()
    assert {name.split(".")[0] for name in known} == set(MAY_IMPORT), "a floor is missing"
    wrong = []
    for name, path in known.items():
        floor = name.split(".")[0]
        for other in imports_of(path, known):
            other_floor = other.split(".")[0]
            allowed = other_floor == floor or other_floor in MAY_IMPORT[floor]
            if floor == "web_admin" and other_floor == "firmware":
                allowed = other == WEB_MAY_OF_FIRMWARE
            if not allowed:
                wrong.append(f"{name} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_the_codec_of_the_control_socket_imports_nothing_of_ours() -> None:
    known = modules()
    codec = {name for name in known if name == WEB_MAY_OF_FIRMWARE or name.startswith(WEB_MAY_OF_FIRMWARE + ".")}
    assert codec
    for name in codec:
        assert imports_of(known[name], known) <= codec, name
    assert (ROOT / "firmware/__init__.py").read_text() == ""


def test_imports_have_no_circle() -> None:
    known = modules()
    graph = {name: imports_of(path, known) & known.keys() - {name} for name, path in known.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(f"circle: {' -> '.join(circle.args[1])}")
    assert set(order) == set(known)


def test_the_project_names_no_registry_host_and_no_path_of_a_machine() -> None:
    host = re.compile(
        r"\b(pypi|pythonhosted|npmjs)\.(org|com)\b|\b(deb|snapshot|security|ftp)\.debian\.org\b|/(work|farm)/", re.I
    )
    said = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path == Path(__file__):
            continue
        said += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()[:120]}"
            for n, line in enumerate(text.splitlines(), 1)
            if host.search(line)
        ]
    assert not said, "\n".join(said)
