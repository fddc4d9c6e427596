"""What the box's scripts show on its console, and make at its first start: run by the box's shell, in a folder in place
of /, with programs of the test's own where the box's would act."""

import subprocess
from pathlib import Path

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
