"""The flashed disk, started by BIOS and by UEFI: it comes up whole, is set up from outside, and keeps what it made."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.image.machine import GIB, Firmware, Machine, disk_copy, image, running

PASSWORD = "quiet harbour 47 lanterns"


def set_up(box: Machine, code: str) -> httpx.Client:
    """The first account, as a browser makes it; signed in."""
    # The certificate is the box's own; its fingerprint was compared with the console's.
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


def status(box: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.shell("linekeep status --json"))
    return found


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_it_comes_up_is_set_up_and_comes_up_again_as_itself(firmware: Firmware, tmp_path: Path) -> None:
    disk = disk_copy(image(), tmp_path / "disk.img", 4 * GIB)
    with running(disk, tmp_path / "first", firmware) as box:
        box.said(r"page +(https://\S+)")
        fingerprint = box.said(r"certificate +SHA-256 (\S+)")
        code = box.said(r"setup code +(\S+)")
        assert box.shell("systemctl is-system-running --wait") == "running"
        assert box.shell("systemctl --failed --no-legend --plain") == ""
        with set_up(box, code) as visitor:
            assert "System" in visitor.get("/system").text
        assert box.shell("test -e /run/linekeep/setup-code || echo gone") == "gone"

        assert box.shell("findmnt -no OPTIONS /").split(",")[0] == "ro"
        grown = int(box.shell("findmnt -bno SIZE /data"))
        assert grown > 2.3 * GIB, "the data partition has all of the disk"
        listening = box.shell("ss -Hltn | awk '{print $4}'").split()
        assert {one.rpartition(":")[2] for one in listening if not one.startswith("127.0.0.")} == {"443"}
        for unit in ("linekeep", "linekeep-web"):
            told = box.shell(f"systemd-analyze security --no-pager {unit}")
            exposure = re.search(r"Overall exposure level.*: ([0-9.]+)", told)
            assert exposure and float(exposure[1]) <= 1.5, unit
        state = status(box)
        assert [state["cards"], state["simulated"]] == [[], False], "no line is invented"
        own = state["key_fingerprint"], fingerprint, box.shell("cat /etc/machine-id")
        print(box.shell("systemd-analyze; head -3 /proc/meminfo; df -h / /data /efi"))
        box.shell("sync")
    with running(disk, tmp_path / "second", firmware) as box:
        fingerprint = box.said(r"certificate +SHA-256 (\S+)")
        assert box.shell("systemctl is-system-running --wait") == "running"
        assert (status(box)["key_fingerprint"], fingerprint, box.shell("cat /etc/machine-id")) == own
        assert "setup code" not in box.console
        assert int(box.shell("journalctl --list-boots | wc -l")) >= 2, "its journal is kept"
