"""The box itself, as it came up from the disk that is flashed: every unit, the page, and DAHDI as it was configured."""

import json
import ssl
import subprocess
from functools import partial
from hashlib import sha256
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from firmware.wire import Client
from tests.box import wait_for
from tests.dahdi.guest.rig import CHANNELS_CONF, SPAN


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.stdout.strip()


def listens(page: HTTPSConnection) -> bool:
    try:
        page.connect()
    except ConnectionRefusedError:
        return False
    return True


def test_it_comes_up_without_a_failed_unit() -> None:
    assert said("systemctl", "is-system-running", "--wait") == "running", said("systemctl", "--failed")
    for unit in ("linekeep", "linekeep-web", "linekeep-console", "linekeep-dahdi"):
        assert said("systemctl", "is-active", unit) == "active", said("systemctl", "status", unit)
    print(said("systemd-analyze"))


def test_it_is_the_disk_as_flashed() -> None:
    slot = said("findmnt", "-no", "PARTLABEL,OPTIONS", "/").split(",")[0].split()
    assert slot == ["linekeep-root-a", "ro"]
    assert int(said("findmnt", "-bno", "SIZE", "/data")) > 300e6, "the data partition has all of the disk"


def test_the_setup_page_answers_with_the_certificate_that_the_console_shows() -> None:
    # Self-made: what is compared is its fingerprint.
    page = HTTPSConnection("127.0.0.1", timeout=60, context=ssl._create_unverified_context())
    wait_for("the page's port", partial(listens, page))
    page.request("GET", "/setup")
    answer = page.getresponse()
    form = answer.read().decode()
    assert (answer.status, 'name="code"' in form) == (200, True), form
    assert isinstance(page.sock, ssl.SSLSocket)
    certificate = page.sock.getpeercert(binary_form=True)
    assert certificate is not None
    page.close()
    shown = Path("/data/linekeep/web/tls/fingerprint.txt").read_text()
    assert sha256(certificate).hexdigest() == shown.replace(":", "").strip().lower()


def test_no_line_is_invented_and_bare_channels_get_their_signalling() -> None:
    """The spans are there as a card's are at the first start. Then each is made what the other tests want."""
    status = json.loads(said("linekeep", "--json", "status"))
    assert (status["cards"], status["simulated"]) == ([], False)
    assert {channel["signalling"] for channel in scanned()} == {"none"}
    with Client.connect(Path("/data/linekeep")) as client:
        file = client.call("box.dahdi", actor={"kind": "console", "name": "root"})["file"]
    assert {channel["signalling"] for channel in scanned()} == {"line"}
    assert f"fxsks=1-{2 * SPAN}" in Path(file).read_text().splitlines()
    subprocess.run(["dahdi_cfg", "-c", CHANNELS_CONF], check=True)


def scanned() -> list[dict[str, Any]]:
    found = json.loads(said("linekeep", "--json", "card", "scan"))
    assert [span["channels"] for span in found["spans"]] == [SPAN, SPAN]
    channels: list[dict[str, Any]] = found["channels"]
    return channels
