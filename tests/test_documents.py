"""What the documents tell people to type and where they send them is there: commands with their options, targets of
make, links with their headings, pictures."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.cli.parser import build

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "image" / "README.md"]
CODE = re.compile(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
SAID = re.compile(r"`linekeep(\s[^`\n]+)`")
ROOMS = ("cffi_bindings", "recorder", "firmware", "web_admin")
TYPED = re.compile(r"^\s*(?:[$#]\s+)?(?:\.venv/bin/)?linekeep((?:\s+\S.*)?)$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"^\s*(?:\$\s+)?make((?:\s+[\w-]+)?)(?:\s|$)")
NO_COMMAND = (" acceptance sheet",)
"""Begins so and is not typed: the purpose that a signature is bound to."""
named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def typed(document: Path) -> Iterator[str]:
    """Each line of code in it, blocks and spans."""
    for block, span in CODE.findall(document.read_text(encoding="utf-8")):
        yield from (block or span).splitlines()


def under(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def fault(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """What of these words the parser does not know. Values are not looked at: documents have names for them."""
    options = dict(parser._option_string_actions)
    for word in words:
        choices = under(parser)
        if word.startswith("--"):
            if word.partition("=")[0] not in options:
                return f"{parser.prog} has no {word}"
        elif word in choices:
            parser = choices[word]
            options |= parser._option_string_actions
        elif choices and re.fullmatch(r"[a-z][a-z-]+", word) and not (words and words[0].startswith("--")):
            return f"{parser.prog} has no {word!r}"
    return None


def parts(line: str) -> list[str]:
    """The words of a command up to a remark, a pipe or another command; what may be left out counts."""
    line = re.split(r"\s#\s|\s\|\s|;|&&", line)[0]
    line = re.sub(r"\\\||[\[\](){}]", " ", line)
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


@named
def test_every_command_that_a_document_names_is_there(document: Path) -> None:
    parser = build()
    found = [m[1] for line in typed(document) if (m := TYPED.match(line)) and not m[1].startswith(NO_COMMAND)]
    faults = [f"linekeep{line}: {wrong}" for line in found if (wrong := fault(parser, parts(line)))]
    assert faults == []


def test_every_command_that_the_product_names_is_there() -> None:
    """In messages, remedies and the page's words."""
    parser = build()
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*")) if path.suffix in (".py", ".toml")]
    said = [(path, words) for path in files for words in SAID.findall(path.read_text(encoding="utf-8"))]
    faults = [
        f"{path.relative_to(ROOT)}: linekeep{words}: {wrong}"
        for path, words in said
        if (wrong := fault(parser, parts(words)))
    ]
    assert len(said) > 50
    assert faults == []


def test_a_command_that_is_not_there_is_found() -> None:
    assert fault(build(), parts(" card lern --line 3")) == "linekeep card has no 'lern'"
    assert fault(build(), parts(" card learn --lines 3")) == "linekeep card learn has no --lines"
    assert fault(build(), parts(" frobnicate")) == "linekeep has no 'frobnicate'"
    assert fault(build(), parts(" card learn --line N [--seconds S] [--yes]")) is None


@named
def test_every_target_of_make_that_a_document_names_is_there(document: Path) -> None:
    there = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match[1].strip() for line in typed(document) if (match := MAKE.match(line))} - {""}
    assert named <= there


def headings(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@named
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = document.parent / path if path else document
        assert there.exists(), f"{document.name} leads to {target}"
        assert not anchor or anchor in headings(there), f"{document.name} leads to {target}"
