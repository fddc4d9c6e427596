"""What a visitor does from outside, without a browser."""

import re

import httpx

from tests.image.machine import Machine

PASSWORD = "quiet harbour 47 lanterns"


def set_up(box: Machine, code: str) -> httpx.Client:
    """The first account, as a browser makes it; signed in."""
    # The certificate is the box's own; test_boot compares its fingerprint with the console's.
    visitor = httpx.Client(base_url=box.url, verify=False, timeout=60, headers={"Accept-Language": "en"})
    form = visitor.get("/setup", follow_redirects=True).text
    (token,) = set(re.findall(r'name="csrf" value="([0-9a-f]{64})"', form))
    answer = visitor.post(
        "/setup",
        data={
            "csrf": token, "code": code, "name": "chen", "password": PASSWORD, "again": PASSWORD,
            "administrator": "1", "auditor": "1",
        },
        headers={"Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    return visitor
