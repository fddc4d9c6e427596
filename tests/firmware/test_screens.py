"""What the box's scripts show on its console, and make at its first start: run by the box's shell, in a folder in place
of /, with programs of the test's own where the box's would act."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOX = ROOT / "image/root/usr/lib/linekeep/box"


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ran(folder: Path, name: str) -> str:
    """What the script `name` wrote, with its paths under `folder`."""
    script = (BOX / name).read_text()
    for top in ("data", "efi", "run", "usr/lib/linekeep"):
        (folder / top).mkdir(parents=True, exist_ok=True)
        script = script.replace(f"/{top}/", f"{folder}/{top}/").replace(f"/{top}\n", f"{folder}/{top}\n")
    script = script.replace("/dev/ttyS0", f"{folder}/serial")
    words = ["env", f"PATH={folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "dash", "-c", script]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout


def test_the_screen_of_an_unusable_disk_names_a_way_out_that_the_boot_menu_has(tmp_path: Path) -> None:
    for name, script in (("systemctl", "echo data.mount failed"), ("journalctl", "echo it is damaged"), ("sleep", ":")):
        program(tmp_path, name, script)
    shown = ran(tmp_path, "unusable")
    assert "data.mount\nit is damaged" in shown
    entry = "Repair the data partition"
    assert f'choose "{entry}"' in shown
    assert f'menuentry "{entry}" --unrestricted {{ start fsck.repair=yes }}' in (ROOT / "image/grub.cfg").read_text()


FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(160, 192))
SHOWN = f"""\
  certificate   SHA-256 {FINGERPRINT[:48]}
                        {FINGERPRINT[48:]}
"""


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        ("fingerprint", True), ("nothing", False), ("a link to a secret", False), ("a link to zeros", False),
        ("a pipe", False), ("more than a fingerprint", False),
    ],
)  # fmt: skip
def test_the_console_shows_of_the_pages_file_a_fingerprint_and_nothing_else(
    made: str, shown: bool, tmp_path: Path
) -> None:
    for name, script in (("ip", ":"), ("hostname", "echo box"), ("sleep", "exit 1")):
        program(tmp_path, name, script)
    # Who asks is the page's user with the daemon's group; the test need not be root for it.
    told = tmp_path / "told"
    program(tmp_path, "setpriv", f'echo "$1 $2 $3" >>{told}; shift 3; exec "$@"')
    path = tmp_path / "data/linekeep/web/tls/fingerprint.txt"
    path.parent.mkdir(parents=True)
    if made == "fingerprint":
        path.write_text(FINGERPRINT + "\n")
    elif made == "a pipe":
        os.mkfifo(path)
    elif made == "more than a fingerprint":
        path.write_text(f"{FINGERPRINT} secret\n")
    elif made != "nothing":
        (secret := tmp_path / "secret").write_text("secret\n")
        path.symlink_to(secret if made == "a link to a secret" else "/dev/zero")
    screen = ran(tmp_path, "console")
    assert screen.count("Linekeep") == 1 and "https" not in screen
    assert (SHOWN in screen) is shown
    assert ("SHA-256" in screen) is shown and "secret" not in screen
    assert told.read_text() == "--reuid=linekeep-web --regid=linekeep --clear-groups\n"


@pytest.mark.parametrize("left", [None, "", "card = 7"])
def test_the_first_start_leaves_a_whole_configuration_and_takes_an_empty_one_for_none(
    left: str | None, tmp_path: Path
) -> None:
    toml = tmp_path / "data/linekeep/linekeep.toml"
    toml.parent.mkdir(parents=True)
    if left is not None:
        toml.write_text(left)
    did = tmp_path / "did"
    # The disk, at each step: what stands under the name, and what is synced.
    for name, then in (("chown", ":"), ("sync", ":"), ("mv", 'exec /bin/mv "$@"')):
        program(tmp_path, name, f'echo "{name} ${{2##*/}} ${{1##*/}} $(wc -c <{toml})" >>{did}; {then}')
    program(tmp_path, "cat", '[ "$1" = /etc/machine-id ] || exec /bin/cat "$@"')
    program(tmp_path, "mountpoint", "exit 1")
    ran(tmp_path, "first-start")
    assert (tmp_path / "data/system/first-start.done").exists()
    if left:
        assert toml.read_text() == left and did.read_text().count("\n") == 1
        return
    assert tomllib.loads(toml.read_text()) == {"card": [], "box": {"name": "Linekeep"}}
    size = "" if left is None else "0"
    assert did.read_text().splitlines() == [
        f"chown linekeep.toml.new linekeep:linekeep {size}", f"sync  linekeep.toml.new {size}",
        f"mv linekeep.toml linekeep.toml.new {size}", f"sync   {toml.stat().st_size}",
    ]  # fmt: skip
