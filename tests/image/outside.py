"""What a visitor does from outside, without a browser."""

import re

import httpx

from tests.box import wait_for
from tests.image.machine import BOOT_S, Machine

PASSWORD = "quiet harbour 47 lanterns"


def answers(box: Machine) -> bool:
    """Whether the page does."""
    try:
        return httpx.get(f"{box.url}/health", verify=False, timeout=20).status_code == 200
    except httpx.HTTPError:
        return False


def set_up(box: Machine, code: str) -> httpx.Client:
    """The first account, as a browser makes it; signed in."""
    wait_for("the page", lambda: answers(box), BOOT_S)
    # The certificate is the box's own; test_boot compares its fingerprint with the console's.
    visitor = httpx.Client(base_url=box.url, verify=False, timeout=60, headers={"Accept-Language": "en"})
    sends(
        visitor,
        "/setup",
        "/setup",
        code=code,
        name="chen",
        password=PASSWORD,
        again=PASSWORD,
        administrator="1",
        auditor="1",
    )
    return visitor


def sends(visitor: httpx.Client, shown: str, action: str, **fields: str) -> None:
    """A form of the page that is shown, filled in; it is taken."""
    # The sign-out stands beside it: the same token.
    (token,) = set(re.findall(r'name="csrf" value="([0-9a-f]{64})"', visitor.get(shown, follow_redirects=True).text))
    answer = visitor.post(action, data=fields | {"csrf": token}, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303, answer.text
