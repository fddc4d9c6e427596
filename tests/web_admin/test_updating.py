"""Update, encryption, reset, restart and safe mode on the page; the keeper is only told of."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from recorder.catalogue import Catalogue
from tests.box import wait_for
from tests.web_admin.conftest import PASSWORD, Person
from tests.web_admin.keeper import RECOVERY_KEY
from tests.web_admin.test_setting_up import KEY, STATE, Flashed, as_it_was, flashed

__all__ = ["as_it_was", "flashed"]

# Storage and power ----------------------------------------------------------------------------------------------------


def test_encryption_is_ordered_taken_back_and_its_key_shown_once(flashed: Flashed) -> None:
    ordered = flashed.admin.submit("/system/encryption", {"means": "tpm", "password": PASSWORD, "from": "setup"})
    assert ordered.headers["location"] == "/system/setup/cards"
    assert 'data-testid="ordered"' in flashed.admin.get("/system/storage").text
    assert "One restart is needed" in flashed.admin.get("/system/setup/done").text
    assert flashed.admin.submit("/system/encryption", {"means": "off"}).status_code == 303
    assert flashed.last() == ("box.encrypt", {"means": "off"})
    back = flashed.admin.submit("/system/encryption", {"means": "off", "from": "setup"})
    assert back.headers["location"] == "/system/setup/encryption"
    flashed.told(encryption={"on": True, "means": "tpm"})
    assert "none yet: make one" in flashed.admin.get("/system/storage").text
    shown = flashed.admin.submit("/system/encryption/key", {"password": PASSWORD})
    assert "-".join(re.findall(r"<code>(\w{8})</code>", shown.text)) == RECOVERY_KEY
    assert 'action="/language"' not in shown.text, "it would take the key away"
    assert shown.headers["cache-control"] == "no-store"
    assert flashed.admin.submit("/system/encryption/written").status_code == 422
    assert flashed.admin.submit("/system/encryption/written", {"written": "1"}).status_code == 303
    assert RECOVERY_KEY not in "".join(json.dumps(one) for one in flashed.asked())
    assert "not your present password" in flashed.admin.submit("/system/encryption/key", {"password": "no"}).text
    flashed.told(encryption={"tpm": False, "possible": False})
    assert 'data-testid="not-possible"' in flashed.admin.get("/system/setup/encryption").text


def test_an_encrypted_box_is_brought_to_its_recovery_key_and_reminded_until_it_is_made(flashed: Flashed) -> None:
    admin, reminded = flashed.admin, 'data-testid="no-recovery-key"'
    flashed.told(encryption={"tpm": True, "possible": True, "ordered": "tpm"})
    assert 'data-returns="/system/setup/encryption"' in admin.submit("/system/restart").text
    flashed.told(encryption={"on": True, "means": "tpm"})
    assert 'data-testid="make-key"' in admin.get("/system/setup/encryption").text
    assert re.search(rf'{reminded}.*href="/system/storage"', admin.get("/lines").text)
    assert reminded not in admin.get("/system/storage").text, "it stands there itself"
    shown = admin.submit("/system/encryption/key", {"password": PASSWORD, "from": "setup"})
    assert RECOVERY_KEY[:8] in shown.text and reminded not in shown.text, "nothing leads away from the key"
    admin.submit("/system/encryption/written", {"written": "1", "from": "setup"})
    assert reminded not in admin.get("/lines").text


def test_restart_power_off_and_reset(flashed: Flashed) -> None:
    assert 'data-returns="/system"' in flashed.admin.submit("/system/restart").text
    assert flashed.last() == ("box.restart", {})
    assert "data-returns" not in flashed.admin.submit("/system/power-off").text
    reset = flashed.admin.submit("/system/reset", {"recordings": "keep", "name": "Depot", "password": PASSWORD})
    assert "data-returns" not in reset.text and "the new certificate" in reset.text, "no script reaches it by itself"
    assert flashed.last() == ("box.reset", {"recordings": "keep"})
    flashed.told(last_order={"act": "destroy", "done": True, "utc": "2026-11-22T09:14:05Z", "by": ["key destroyed"]})
    assert "everything was destroyed. key destroyed" in flashed.admin.get("/system/storage").text


# Updates --------------------------------------------------------------------------------------------------------------


def uploaded(
    flashed: Flashed, content: bytes, name: str = "linekeep-0.3.0-amd64.raucb", **headers: str
) -> httpx.Response:
    token = headers.pop("token", None) or flashed.admin.token()
    return flashed.admin.post(
        f"/system/update/upload?name={name}", content=content,
        headers={"Sec-Fetch-Site": "same-origin", "X-Form-Token": token, **headers},
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"good" * 300_000, b"forged"], ids=["good", "forged"])
def test_a_bundle_is_uploaded_installed_and_told_of(flashed: Flashed, content: bytes) -> None:
    assert uploaded(flashed, content).json() == {"name": "linekeep-0.3.0-amd64.raucb"}
    path = flashed.box.data / "web/updates/linekeep-0.3.0-amd64.raucb"
    assert path.read_bytes() == content
    go_on = flashed.folder / "go-on"
    go_on.unlink(missing_ok=True)
    assert flashed.admin.submit("/system/update/install", {"file": path.name}).status_code == 303
    wait_for("the first step", lambda: "Taking the bundle" in flashed.admin.get("/system/update").text)
    assert 'data-poll="/system/update/progress"' in flashed.admin.get("/system/update/progress").text
    assert flashed.admin.submit("/system/update/install", {"file": path.name}).status_code == 409
    assert flashed.admin.submit("/system/update/remove").status_code == 409
    assert uploaded(flashed, b"x").status_code == 409
    go_on.touch()
    wait_for("the end", lambda: "data-reload" in flashed.admin.get("/system/update/progress").text)
    text = flashed.admin.get("/system/update").text
    if content == b"forged":
        assert 'data-outcome="failed"' in text and "not signed by a key" in text
    else:
        assert 'data-testid="waiting"' in text and "Version 0.3.0 is installed" in text
    wait_for("the file to go", lambda: not path.exists())
    assert flashed.last() == ("box.update", {"path": str(path)})


def test_a_bundle_on_a_memory_stick_is_installed_and_stays_there(flashed: Flashed) -> None:
    stick = flashed.folder / "stick"
    stick.mkdir()
    bundle = stick / "linekeep-0.4.0-amd64.raucb"
    bundle.write_bytes(b"good")
    flashed.told(update={"offered": [str(bundle)]})
    (flashed.folder / "go-on").touch()
    assert flashed.admin.submit("/system/update/install", {"file": str(bundle)}).status_code == 303
    wait_for("the end", lambda: 'data-testid="waiting"' in flashed.admin.get("/system/update").text)
    wait_for("its stream", lambda: "data-reload" in flashed.admin.get("/system/update/progress").text)
    assert flashed.last() == ("box.update", {"path": str(bundle)})
    assert bundle.read_bytes() == b"good"


def test_a_version_on_trial_is_shown_as_such_and_what_is_refused_then_is_told_and_kept(flashed: Flashed) -> None:
    uploaded(flashed, b"good")
    path = flashed.box.data / "web/updates/linekeep-0.3.0-amd64.raucb"
    slots = [{**slot, "good": not slot.get("booted"), "on_trial": slot.get("booted", False)} for slot in STATE["slots"]]
    last = {"version": "0.2.0", "outcome": "installed", "utc": "2026-11-22T09:14:05Z"}
    flashed.told(slots=slots, update={"last": last})
    text = flashed.admin.get("/system/update").text
    assert "runs, on trial" in text and 'data-testid="on-trial"' in text
    assert 'data-testid="upload"' not in text and 'data-testid="install"' not in text
    assert 'data-testid="last-update"' not in text, "nothing waits any more"
    assert "data-poll" in flashed.admin.get("/system/update/progress").text, "its end shows by itself"
    # A page that was loaded before the restart.
    assert flashed.admin.submit("/system/update/install", {"file": path.name}).status_code == 303
    wait_for("the refusal", lambda: "This version is still on trial." in flashed.admin.get("/system/update").text)
    flashed.told(slots=STATE["slots"], update={})
    assert "data-reload" in flashed.admin.get("/system/update/progress").text
    text = flashed.admin.get("/system/update").text
    assert 'data-testid="install-fault"' in text and 'data-testid="install"' in text and path.exists()
    (flashed.folder / "go-on").touch()
    assert flashed.admin.submit("/system/update/install", {"file": path.name}).status_code == 303
    wait_for("the file to go", lambda: not path.exists())
    assert 'data-testid="install-fault"' not in flashed.admin.get("/system/update").text


def test_a_further_update_takes_the_place_of_one_that_waits(flashed: Flashed) -> None:
    last = {"version": "0.3.0", "outcome": "installed", "utc": "2026-11-22T09:14:05Z"}
    flashed.told(update={"waiting": "0.3.0", "last": last, "offered": ["/run/linekeep-stick/linekeep-0.4.0.raucb"]})
    assert uploaded(flashed, b"good").status_code == 200
    text = flashed.admin.get("/system/update").text
    assert "takes the place of the one that waits" in text and "Installed, not started yet." in text
    for part in ("waiting", "restart-now", "replaces", "upload", "install", "install-offered"):
        assert f'data-testid="{part}"' in text, part
    flashed.told(update={"waiting": "0.3.0", "last": last, "running": True, "share": 0.05, "step": "copying"})
    text = flashed.admin.get("/system/update").text
    assert 'data-testid="installing"' in text and 'data-testid="restart-now"' not in text
    flashed.told(update={})
    assert flashed.admin.submit("/system/update/remove").status_code == 303


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("linekeep.img", {}, 422),
        ("a.raucb", {"Content-Length": "0"}, 422),
        ("a.raucb", {"token": "0" * 64}, 403),
        ("a.raucb", {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_what_is_no_bundle_is_not_taken(flashed: Flashed, name: str, headers: dict[str, str], status: int) -> None:
    assert uploaded(flashed, b"" if "Content-Length" in headers else b"content", name, **headers).status_code == status
    assert list((flashed.box.data / "web/updates").glob("*")) == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("linekeep-0.3.0-amd64 (1).raucb", "linekeep-0.3.0-amd64-1.raucb"),
        ("../x.raucb", "x.raucb"),
        ("升级.raucb", "update.raucb"),
    ],
)
def test_a_bundle_is_kept_under_a_name_that_is_one(flashed: Flashed, name: str, kept: str) -> None:
    assert uploaded(flashed, b"good", name).json() == {"name": kept}
    assert [path.name for path in (flashed.box.data / "web/updates").iterdir()] == [kept]
    assert flashed.admin.submit("/system/update/remove").status_code == 303


def test_the_script_that_sends_a_bundle_is_told_in_words_why_not(flashed: Flashed) -> None:
    script = {"Accept": "application/json"}
    flashed.told(update={"running": True, "share": 0.2, "step": "copying"})
    refused = uploaded(flashed, b"good", **script)
    assert refused.status_code == 409 and refused.json()["fault"].startswith("An update is being installed")
    assert uploaded(flashed, b"good", token="0" * 64, **script).json()["fault"]
    stranger = Person(flashed.base)
    token = stranger.token()
    headers = {"Sec-Fetch-Site": "same-origin", "X-Form-Token": token, **script}
    signed_out = stranger.post("/system/update/upload?name=a.raucb", content=b"good", headers=headers)
    assert signed_out.status_code == 401 and signed_out.json()["fault"]
    stranger.close()


def test_an_upload_can_be_removed_and_what_is_not_there_is_not_installed(flashed: Flashed) -> None:
    uploaded(flashed, b"good")
    assert 'data-testid="held"' in flashed.admin.get("/system/update").text
    assert flashed.admin.submit("/system/update/remove").status_code == 303
    assert flashed.admin.submit("/system/update/install", {"file": "linekeep-0.3.0-amd64.raucb"}).status_code == 404
    flashed.told(update={"offered": ["/run/linekeep-stick/linekeep-0.4.0-amd64.raucb"]})
    text = flashed.admin.get("/system/update").text
    assert 'data-testid="offered"' in text and "linekeep-0.4.0-amd64.raucb" in text
    fell = {"version": "0.3.0", "outcome": "fell_back", "message": "The page did not answer.", "utc": "x"}
    flashed.told(update={"last": fell})
    text = flashed.admin.get("/system/update").text
    assert "the box went back" in text and "The page did not answer." in text
    assert 'data-testid="development-badge"' in text


# A box in need -------------------------------------------------------------------------------------------------------


def test_safe_mode_that_was_left_is_shown_no_longer(flashed: Flashed) -> None:
    flashed.told(safe_mode={"on": True, "reason": "It ended.", "since_utc": "2026-11-22T01:00:00Z"})
    assert 'data-testid="safe-mode"' in flashed.admin.get("/system/storage").text
    assert 'data-testid="safe-mode"' in flashed.admin.get("/lines").text
    assert flashed.admin.submit("/system/resume").status_code == 303
    assert 'data-testid="safe-mode"' not in flashed.admin.get("/system").text


def test_in_safe_mode_the_page_asks_the_keeper_itself(flashed: Flashed) -> None:
    flashed.box.stop()
    said = ["Traceback (most recent call last):", "KeyError: 'sim0'"]
    safe = {"on": True, "reason": "It ended with exit code 1.", "since_utc": "2026-11-22T01:00:00Z", "said": said}
    flashed.told(safe_mode=safe)
    try:
        shown: Callable[[], bool] = lambda: 'data-testid="safe-mode"' in flashed.admin.get("/system/storage").text  # noqa: E731
        wait_for("the banner", shown)
        text = flashed.admin.get("/system").text
        assert "It ended with exit code 1." in text and "KeyError" in text and 'data-testid="resume"' in text
        assert flashed.admin.submit("/system/resume").status_code == 303
        assert flashed.last() == ("box.resume", {})
        flashed.told(refuses={"box.restart": ("refused", "An update is being installed.", "Wait.")})
        assert flashed.admin.submit("/system/restart").status_code == 422
        flashed.told(refuses={})
        assert flashed.admin.submit("/system/restart").status_code == 200
        assert flashed.admin.submit("/system/reset", {
            "recordings": "keep", "name": "depot", "password": PASSWORD
        }).status_code == 200  # fmt: skip
        assert flashed.admin.get("/system/cards").status_code == 503
        assert flashed.admin.submit("/system/ssh", {"on": "1", "keys": KEY, "password": PASSWORD}).status_code == 503
        flashed.told(safe_mode=safe)
        assert 'href="/system/network" data-testid="safe-ssh"' in flashed.admin.get("/system/storage").text
        assert flashed.admin.submit("/system/ssh", {"on": "1", "keys": KEY, "password": PASSWORD}).status_code == 303
        assert flashed.last() == ("box.ssh", {"on": True, "keys": [KEY]})
        uploaded(flashed, b"good")
        bundle = "linekeep-0.3.0-amd64.raucb"
        flashed.told(slots=[STATE["slots"][0] | {"on_trial": True}, STATE["slots"][1]])
        assert flashed.admin.submit("/system/update/install", {"file": bundle}).status_code == 303
        wait_for("the refusal's entry", lambda: any('"failed"' in told for told in waiting(flashed, "box.update")))
        flashed.told(slots=STATE["slots"])
        wait_for("the refusal", lambda: 'data-testid="install-fault"' in flashed.admin.get("/system/update").text)
        (flashed.folder / "go-on").touch()
        assert flashed.admin.submit("/system/update/install", {"file": bundle}).status_code == 303
        wait_for("the update", lambda: 'data-testid="waiting"' in flashed.admin.get("/system/update").text)
    finally:
        flashed.box.start()
    flashed.told(safe_mode={}, update={})
    wait_for("the box to be well", lambda: not shown())
    wait_for("the spool to be taken", lambda: not list((flashed.box.data / "web/spool").iterdir()))
    path = str(flashed.box.data / "web/updates" / bundle)
    assert entered_later(flashed) == [
        ("box.resume", {}), ("box.restart", {}),
        ("box.restart", {"failed": "An update is being installed. Wait."}),
        ("box.restart", {}), ("box.reset", {"recordings": "keep"}),
        ("box.ssh", {"on": True, "keys": ["SHA256:roWg4CIIKo45+P0uMOWZHKZWONprppnaVsbpJrFjEEU"]}),
        ("box.update", {"path": path}),
        ("box.update", {"path": path, "failed": "This version is still on trial. Wait until it has proved itself."}),
        ("box.update", {"path": path}),
    ]  # fmt: skip


def waiting(flashed: Flashed, act: str) -> list[str]:
    """This act's entries in the spool, as they stand in their files."""
    return [
        text for path in (flashed.box.data / "web/spool").glob("*.json") if f'"{act}"' in (text := path.read_text())
    ]


def entered_later(flashed: Flashed) -> list[tuple[str, dict[str, Any]]]:
    """What the journal has of the box's acts that were asked for while no daemon was there, in their order."""
    catalogue = Catalogue.open_readonly(flashed.box.data)
    operations = catalogue.operations(None, 100)
    catalogue.close()
    late = [one for one in reversed(operations) if one.act.startswith("box.") and one.detail.pop("spool", None)]
    assert {one.actor for one in late} == {"user:chief"}
    assert all(one.detail.pop("utc_ns") < one.utc_ns for one in late)
    return [(one.act, one.detail) for one in late]
