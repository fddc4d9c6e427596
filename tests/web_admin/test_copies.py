"""Copies of one call on the page: one row that names the other's line, both pages lead to each other, deleting says
where a copy remains, and a person can part them."""

import re
from collections.abc import Iterator

import httpx
import pytest

from recorder.model import Recording
from tests.web_admin.conftest import World

ACTOR = {"kind": "user", "name": "somebody"}


@pytest.fixture
def pair(world: World) -> Iterator[tuple[Recording, Recording]]:
    """(principal, copy), linked; parted again if the test has not done so."""
    principal, copy = world.rows[20], world.rows[22]
    world.box.call("link", handle=copy.handle, principal=principal.handle, actor=ACTOR)
    yield principal, copy
    if "copies" in shown(world, copy).text:
        world.box.call("unlink", handle=copy.handle, actor=ACTOR)


def shown(world: World, row: Recording) -> httpx.Response:
    return world.auditor.get(f"/recordings/{row.handle}")


def listed(answer: httpx.Response) -> dict[str, str]:
    """Rows of a list by handle."""
    parts = re.split(r'<tr data-handle="(\w{32})"', answer.text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def search(world: World, **fields: str) -> dict[str, str]:
    answer = world.auditor.submit("/recordings/search", dict(fields))
    return listed(world.auditor.get(answer.headers["location"]))


def test_the_list_shows_one_row_that_names_the_other_line(world: World, pair: tuple[Recording, Recording]) -> None:
    principal, copy = pair
    rows = search(world, range="any")
    assert copy.handle not in rows
    assert f"also on line {copy.line}" in rows[principal.handle]
    assert f"also on line {principal.line}" in search(world, line=str(copy.line))[copy.handle]


def test_each_page_leads_to_the_other_and_parts_them(world: World, pair: tuple[Recording, Recording]) -> None:
    principal, copy = pair
    assert f'href="/recordings/{copy.handle}"' in shown(world, principal).text
    text = shown(world, copy).text
    assert f'href="/recordings/{principal.handle}"' in text
    assert "this one counts" in text
    answer = world.auditor.submit(f"/recordings/{copy.handle}/unlink", {"back": principal.handle})
    assert answer.headers["location"] == f"/recordings/{principal.handle}"
    page = world.auditor.get(answer.headers["location"]).text
    assert "They are two calls from now on" in page
    assert "parted: two calls" in page
    assert copy.handle in search(world, range="any")
    again = world.auditor.submit(f"/recordings/{copy.handle}/unlink", {"back": "//evil.example"})
    assert again.status_code == 409


def test_deleting_one_says_where_a_copy_remains(world: World, pair: tuple[Recording, Recording]) -> None:
    principal, copy = pair
    answer = world.auditor.submit("/recordings/trash", {"handle": [principal.handle]})
    page = world.auditor.get(answer.headers["location"])
    assert f"1 recording moved to the trash. A copy remains on line {copy.line}." in page.text
    assert copy.handle in listed(page)
    answer = world.auditor.submit("/recordings/trash", {"handle": [copy.handle]})
    assert "A copy remains" not in world.auditor.get(answer.headers["location"]).text
    assert {principal.handle, copy.handle} <= set(listed(world.auditor.get("/trash")))
    world.auditor.submit("/trash/undelete", {"handle": [principal.handle, copy.handle]})
