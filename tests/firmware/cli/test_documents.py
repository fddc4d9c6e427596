"""Documents that name things which the code names too: they must not drift apart."""

import json
import re
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest

from firmware import lines, wire
from firmware.commands import COMMANDS
from firmware.keeper.acts import ACTS
from recorder import model

ROOT = Path(__file__).resolve().parents[3]
DEPENDENCIES = (ROOT / "docs" / "dependencies.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
CONTROL = (ROOT / "docs" / "control.md").read_text()
SHOWN: dict[type[msgspec.Struct], str] = {
    wire.LineSnapshot: "Line snapshot", wire.AlarmReport: "Alarm", wire.Status: "Status", wire.CardStatus: "Status",
    wire.WriterStatus: "Status", wire.DiskStatus: "Status", wire.RecordingCounts: "Status",
    wire.AlarmCounts: "Status", wire.ClockStatus: "Status",
}  # fmt: skip


def named(text: str) -> set[str]:
    """The packages that the tables give a line."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    short = [name.strip() for row in rows for name in row[1].split(",")]
    # `asterisk-core-sounds-en-wav, -fr-wav` is written short.
    return {"asterisk-core-sounds" + name if name.startswith("-") else name for name in short} - {"package"}


def required() -> set[str]:
    files = [(ROOT / name).read_text() for name in ("requirements.in", "requirements-dev.in")]
    python = {line for text in files for line in text.split() if line[0].isalpha() and line != "requirements.in"}
    variables = re.findall(r"^DEBIAN_\w+ := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    debian = {word for text in variables for word in text.replace("\\", " ").split()}
    recipes = ((ROOT / name).read_text() for name in ("Makefile", "tests/dahdi/build-guest", "image/build-root"))
    debian |= {name for text in recipes for name in re.findall(r"image/fetch-deb ([a-z][\w.-]+)", text)}
    page = set(json.loads((ROOT / "web_admin" / "package.json").read_text())["dependencies"])
    assert len(python) > 15 and len(debian) > 10 and page
    return python | debian | page


def test_every_dependency_has_its_reason_and_no_other_does() -> None:
    assert named(DEPENDENCIES) == required()


def test_the_control_socket_is_written_down() -> None:
    rows = {line.split("`")[1]: line for line in CONTROL.splitlines() if line.startswith("| `")}
    requests = {name: request for name, (request, _) in COMMANDS.items()} | {
        do: act.request for do, act in ACTS.items()
    }
    rows |= {do.strip("`"): line for line in list(rows.values()) for do in re.findall(r"`box\.[a-z_]+`", line)}
    for name, request in requests.items():
        assert [field for field in names(request) if f"`{field}`" not in rows[name]] == [], name
    for report, title in SHOWN.items():
        part = CONTROL.split(f"\n## {title}\n")[1].split("\n## ")[0]
        assert [field for field in names(report) if f"`{field}`" not in part] == [], report


def names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


@pytest.mark.parametrize(
    "words", [model.Trigger, model.StopReason, model.CallClass, model.Direction, model.State, lines.State]
)
def test_the_glossary_knows_every_word(words: type[StrEnum]) -> None:
    assert [word.value for word in words if f"`{word.value}`" not in GLOSSARY] == []
