"""The flashed disk from power-on to a call that is heard.

By BIOS and by UEFI it comes up whole. With spans of DAHDI (crossed in the driver: what one end says the other hears) it
is set up from outside by a browser, records a call on them, which that browser finds and plays; after the next power-on
it is itself again, and records at once: the tests of this module are stations on that way, of one disk and two
power-ons, with the kernel handed over, so that the machine keeps time.
"""

import base64
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.box import ROOT, wait_for
from tests.browser.conftest import browser as browser
from tests.image.figures import figure, first_recording, memory_mb, multi_user
from tests.image.machine import (
    BOOT_S,
    GIB,
    SHELL_WORDS,
    SIMULATED,
    Firmware,
    Handed,
    Machine,
    disk_copy,
    handed,
    image,
    running,
)  # fmt: skip
from tests.image.outside import PASSWORD, set_up

SPANS = """\
dynamic=loc,1:0,4,0
dynamic=loc,1:1,4,0
fxoks=1-4
loadzone=cn
defaultzone=cn
"""
"""Telephones' ports 1 to 4 are the box's; 5 to 8, their other ends, are not configured while it is set up."""
CALL_S = 8


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk_copy(image(), tmp_path_factory.mktemp("box") / "disk.img", 1000 * GIB)


@pytest.fixture(scope="module")
def box(disk: Path) -> Iterator[Machine]:
    """From its first power-on until the second."""
    with running(disk, disk.parent / "first", handed(disk)) as machine:
        machine.said(r"page +(https://\S+)")
        yield machine


@pytest.fixture(scope="module")
def page(box: Machine, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=box.url, locale="en-GB", ignore_https_errors=True)
    context.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    yield context.new_page()
    context.close()
    expect.set_options(timeout=5_000)


def status(box: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box.shell("linekeep --json status"))
    return found


def sealed(box: Machine) -> str | None:
    """The recording of the call. While nothing was at their other ends the lines were off-hook, and recorded too."""
    rows = json.loads(box.shell("linekeep --json search"))["recordings"]
    found = (row for row in rows if row["state"] == "sealed" and row["duration_s"] > CALL_S)
    return next((str(row["handle"]) for row in found), None)


def open_ports(box: Machine, kind: Literal["t", "u"] = "t") -> set[str]:
    """Of TCP or UDP, for whom is outside."""
    listening = box.shell(f"ss -Hln{kind} | awk '{{print $4}}'").split()
    return {one.rpartition(":")[2] for one in listening if not one.startswith("127.0.0.")}


def comes_up_whole(box: Machine) -> None:
    assert box.shell("systemctl is-system-running --wait") == "running", box.shell("systemctl --failed")
    assert box.shell("findmnt -no OPTIONS /").split(",")[0] == "ro"
    state = status(box)
    assert [state["cards"], state["simulated"]] == [[], False], "no line is invented"


def itself(box: Machine) -> tuple[str, ...]:
    """What tells a box from every other."""
    key = status(box)["key_fingerprint"]
    return key, box.fingerprint(), box.shell("cat /etc/machine-id")


@pytest.mark.timeout(1200)
def test_it_comes_up_whole_and_shuts_out_whom_it_can(box: Machine) -> None:
    comes_up_whole(box)
    assert int(box.shell("findmnt -bno SIZE /data")) > 990 * GIB, "the data partition has all of the disk"
    assert box.shell("stat -fc %S /data") == "4096", "and is made for one"
    wait_for("the page", lambda: "443" in open_ports(box), BOOT_S)
    assert open_ports(box) == {"443"}
    assert open_ports(box, "u") <= {"68", "546"}, "of UDP only what asks for the box's own address"
    for unit, most in (("linekeep", 1.5), ("linekeep-web", 1.5), ("linekeep-keeper", 3.0)):
        told = box.shell(f"systemd-analyze security --no-pager {unit}")
        exposure = re.search(r"Overall exposure level.*: ([0-9.]+)", told)
        assert exposure and float(exposure[1]) <= most, unit


@pytest.mark.timeout(600)
def test_it_is_set_up_from_outside_by_a_browser(box: Machine, page: Page) -> None:
    certificate = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", box.port), timeout=60))
    shown = box.fingerprint()
    assert sha256(certificate).hexdigest() == shown.replace(":", "").lower()
    dahdi(box, SPANS)
    page.goto("/")
    page.get_by_test_id("code").fill(box.said(r"setup code +(\S+)"))
    page.get_by_test_id("name").fill("chen")
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("again").fill(PASSWORD)
    page.get_by_test_id("setup-submit").click()
    expect(page.get_by_test_id("setup-form")).to_have_count(0)
    assert box.shell("test -e /run/linekeep/setup-code || echo gone") == "gone"

    expect(page.get_by_test_id("part-time")).to_be_visible()
    page.get_by_test_id("zone").fill("Asia/Shanghai")
    page.get_by_test_id("go-on").click()
    expect(page.get_by_test_id("part-network")).to_contain_text("10.0.2.15")
    page.get_by_test_id("skip").click()
    expect(page.get_by_test_id("means-usb")).to_be_enabled()
    page.get_by_test_id("skip").click()
    page.get_by_test_id("take-cards").click()
    page.get_by_test_id("recorder-again").click()
    expect(page.get_by_test_id("pending")).to_have_count(0)
    page.get_by_test_id("skip").click()
    page.locator("[name=name-1]").fill("Reception")
    page.get_by_test_id("go-on").click()
    page.get_by_test_id("recorder-again").click()
    page.get_by_test_id("wizard-end").click()
    expect(page.locator("[data-line]")).to_have_count(4)
    expect(page.locator("[data-line='1']")).to_contain_text("Reception")
    assert "Asia/Shanghai" in box.shell("linekeep box")


@pytest.mark.timeout(900)
def test_a_call_over_crossed_spans_is_recorded_and_played_in_that_browser(box: Machine, page: Page) -> None:
    box.shell("systemctl stop linekeep")
    dahdi(box, SPANS + "fxsks=5-8\n")
    running_again(box)
    write(box, "/run/far_end.py", (Path(__file__).parent / "far_end.py").read_text(encoding="utf-8"))
    said = box.shell(f"PYTHONPATH=/usr/lib/linekeep:/usr/lib/linekeep/site python3 /run/far_end.py 6 {CALL_S}")
    assert said.startswith("said "), said

    handle = wait_for("the sealed recording", lambda: sealed(box), BOOT_S)
    page.goto("/recordings")
    page.locator(f"[data-handle='{handle}']").first.get_by_test_id("play").click()
    page.wait_for_function("() => document.querySelector('#player audio').currentTime > 1")
    length = page.evaluate("document.querySelector('#player audio').duration")
    assert length > CALL_S * 0.9
    page.goto(f"/recordings/{handle}")
    with page.expect_download() as download:
        page.get_by_test_id("download").click()
    heard = Path(download.value.path()).read_bytes()
    sent = np.random.default_rng(40).integers(0, 256, CALL_S * 8000).astype(np.uint8).tobytes()
    # The far end's first and last blocks may be cut where it took the line and hung up.
    assert sent[1600:-1600] in heard
    assert status(box)["gaps"]["count"] == 0


@pytest.mark.timeout(1500)
def test_it_comes_up_again_as_itself_and_records_at_once(disk: Path, box: Machine) -> None:
    own = itself(box)
    box.shell("sed -i '1i [recording]\\ntrigger = \"always\"' /data/linekeep/linekeep.toml; sync")
    box.stop()
    with running(disk, disk.parent / "second", handed(disk)) as again:
        again.said(r"page +(https://\S+)")
        assert again.shell("systemctl is-system-running --wait") == "running", again.shell("systemctl --failed")
        assert itself(again) == own
        assert "setup code" not in again.console
        figure("the kernel's start to the first recorded sample", first_recording(again), "s of the machine's time")
        figure("the kernel's start to multi-user, the box", multi_user(again), "s of the machine's time")
        assert int(again.shell("journalctl --list-boots | wc -l")) >= 2, "its journal is kept"
        write(again, "/data/linekeep/linekeep.toml", SIMULATED.format(24))
        running_again(again)
        wait_for("all lines", lambda: status(again)["lines"]["recording"] == 24, BOOT_S)
        for what, megabytes in memory_mb(again).items():
            figure(f"memory of {what} with 24 lines", megabytes, "MB")


@pytest.mark.timeout(1200)
def test_a_stock_debian_comes_up_for_comparison(tmp_path: Path) -> None:
    """The same machine, disk and kernel, with another root."""
    subprocess.run([ROOT / "tests/image/build-debian"], check=True)
    disk = disk_copy(image(), tmp_path / "disk.img", root=ROOT / "build/image/stock.ext4")
    own = handed(disk)
    words = f"root=PARTLABEL=linekeep-root-a rootfstype=ext4 rw quiet console=ttyS0,115200 console=tty0 {SHELL_WORDS}"
    stock = Handed(own.kernel, ROOT / "build/image/stock.initrd", words)
    with running(disk, tmp_path / "debian", stock) as debian:
        # What comes over a serial line before it is opened stops it for good.
        debian.said(r"(login:)")
        assert debian.shell("systemctl is-system-running --wait") in ("running", "degraded")
        figure("the kernel's start to multi-user, a stock Debian", multi_user(debian), "s of the machine's time")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_started_by_its_firmware_and_boot_loader_it_comes_up_whole(firmware: Firmware, tmp_path: Path) -> None:
    with running(disk_copy(image(), tmp_path / "disk.img", 4 * GIB), tmp_path / firmware, firmware) as box:
        box.said(r"page +(https://\S+)")
        comes_up_whole(box)
        with closing(set_up(box, box.said(r"setup code +(\S+)"))) as visitor:
            assert "System" in visitor.get("/system").text


def write(box: Machine, path: str, text: str) -> None:
    whole = base64.encodebytes(text.encode()).decode()
    assert box.shell(f"base64 -d >{path} <<'END'\n{whole}END\n echo $?") == "0"


def dahdi(box: Machine, configuration: str) -> None:
    write(box, "/data/system/dahdi.conf", configuration)
    assert box.shell("systemctl restart linekeep-dahdi && echo done") == "done", box.shell("dmesg")


def running_again(box: Machine) -> None:
    """The daemon starts again, and its card runs."""
    box.shell("systemctl restart linekeep")
    cards = status(box)["cards"]
    assert [each["state"] for each in cards] == ["running"], cards
