"""The data partition over nine starts of one box: encrypted by a TPM with the power cut meanwhile, a power cut while
recording, the recovery key typed where the TPM is another, a full disk, the hardware's watchdog, safe mode, a
factory reset that destroys the key, a file system that is repaired, and a partition that holds nothing any more.

The TPM is swtpm, the watchdog QEMU's i6300esb; both act on the machine from outside. Each start ends as it would in the
field: by a restart, by a kill of the machine (what the guest had not written is gone), or by the watchdog.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.box import wait_for
from tests.image.machine import DATA_AT, GIB, MIB, SIMULATED, Machine, disk_copy, handed, image, running
from tests.image.outside import PASSWORD, answers, sends, set_up
from tests.image.test_boot import status

ASK = """\
import sys; sys.path[:0] = ["/usr/lib/linekeep", "/usr/lib/linekeep/site"]
import msgspec; from pathlib import Path; from firmware.wire import Client
fields = msgspec.json.decode(sys.argv[2])
fields |= {"actor": {"kind": "console", "name": "root"}} if sys.argv[1] != "box.state" else {}
print(msgspec.json.encode(Client.connect(Path("/run/linekeep-keeper")).call(sys.argv[1], **fields)).decode())
"""


@contextmanager
def tpm(folder: Path) -> Iterator[list[str]]:
    """A TPM 2 that keeps its keys in this folder, as words for QEMU."""
    folder.mkdir(exist_ok=True)
    control = folder / "control"
    process = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--ctrl", f"type=unixio,path={control}"]
    )
    try:
        wait_for("the TPM's socket", control.exists)
        yield [
            "-chardev", f"socket,id=tpm,path={control}", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-tis,tpmdev=tpm0",
        ]  # fmt: skip
    finally:
        process.terminate()
        process.wait(30)


def ask(box: Machine, do: str, **fields: Any) -> dict[str, Any]:
    said = box.shell(f"python3 -c '{ASK}' {do} '{json.dumps(fields)}'")
    assert said.startswith("{"), said
    answer: dict[str, Any] = json.loads(said)
    return answer


def public_key() -> str:
    """Of somebody who signs in over SSH."""
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def up(box: Machine) -> str:
    """The certificate's fingerprint, once everything runs."""
    fingerprint = box.fingerprint()
    assert box.shell("systemctl is-system-running --wait") == "running", box.shell("systemctl --failed")
    return fingerprint


def restart(box: Machine) -> None:
    box.shell("systemctl --no-block reboot")
    box.goes()


def orders_encryption(box: Machine) -> str:
    """Gives the certificate's fingerprint."""
    code = box.said(r"setup code +(\S+)")
    own = up(box)
    told = ask(box, "box.state")["encryption"]
    assert [told["on"], told["tpm"], told["possible"]] == [False, True, True]
    with closing(set_up(box, code)) as visitor:
        sends(visitor, "/system/storage", "/system/encryption", means="tpm", password=PASSWORD)
    assert ask(box, "box.state")["encryption"]["ordered"] == "tpm"
    restart(box)
    return own


def is_encrypted_and_records(box: Machine, own: str) -> str:
    """Gives the recovery key; four lines record at its end."""
    assert up(box) == own, "its certificate came along"
    told = ask(box, "box.state")
    assert [told["encryption"]["on"], told["encryption"]["means"]] == [True, "tpm"]
    assert (told["last_order"]["act"], told["last_order"]["done"]) == ("encrypt", True)
    assert "setup code" not in box.console, "its account came along"
    assert box.shell("ls /efi/linekeep") == "outcome.json"
    assert box.shell("lsblk -no TYPE $(findmnt -no SOURCE /data)") == "crypt"
    assert int(box.shell("findmnt -bno SIZE /data")) > 1.2 * GIB
    recovery: str = ask(box, "box.recovery_key")["recovery_key"]
    box.shell(f"cat >/data/linekeep/linekeep.toml <<'TOML'\n{SIMULATED.format(4)}TOML\nsystemctl restart linekeep")
    wait_for("four recordings", lambda: status(box)["writer"]["open"] == 4, 120)
    wait_for("ten seconds of them", lambda: status(box)["writer"]["written_bytes"] > 4 * 80000, 300)
    box.shell("sync")
    refused = box.shell(f"python3 -c '{ASK}' box.encrypt '{{\"means\": \"boot\"}}'")
    assert "there are recordings" in refused
    assert recovery not in box.shell("journalctl --no-pager -o json")
    # And again here, while four lines record.
    return recovery


def is_opened_by_hand_and_panics(box: Machine, own: str, recovery: str) -> None:
    """Its TPM is another; what was recorded until the power went is there."""
    box.said(r"(The data partition is encrypted and its key is not there)")
    # The question is there a moment after the words; an agent that comes before it goes again.
    box.said(r"(Recovery key:)")
    box.answer("systemd-tty-ask-password-agent --query", "Recovery key:", recovery.replace("-", " "))
    assert up(box) == own
    recovered = json.loads(box.shell("linekeep search --json"))["recordings"]
    assert len([one for one in recovered if one["recovered"]]) == 4
    verified = json.loads(box.shell("linekeep --json verify 2>/dev/null"))
    assert verified["checked"] >= 4 and verified["bad"] == [] and verified["journal"]["errors"] == [], verified
    box.shell("sync")
    # Nothing of the system itself restarts it: only the watchdog is left.
    box.shell("echo 0 >/proc/sys/kernel/panic; (sleep 1; echo c >/proc/sysrq-trigger) & :")
    box.goes(300)


def tells_of_the_panic_and_outlives_a_full_disk(box: Machine) -> None:
    box.fingerprint()
    wait_for("the page", lambda: answers(box), 120)
    assert "sysrq: Trigger a crash" in box.shell(
        "journalctl -b -t systemd-pstore --no-pager -a -o cat --output-fields=FILE"
    )
    box.shell("systemctl stop linekeep; cat /dev/zero >/data/full; sync; systemctl start linekeep")
    wait_for("the alarm", lambda: "disk_full" in box.shell("linekeep alarms --json"), 120)
    assert status(box)["lines"]["recording"] == 0
    box.shell("rm /data/full")
    wait_for("recording goes on", lambda: status(box)["lines"]["recording"] == 4, 120)


def falls_into_safe_mode_and_is_reset(box: Machine) -> None:
    box.shell("echo nonsense >>/data/linekeep/linekeep.toml; systemctl restart linekeep")
    box.said(r"(SAFE MODE since)", 300)
    told = ask(box, "box.state")["safe_mode"]
    assert told["on"] and "not TOML" in " ".join(told["said"])
    assert answers(box), "the page is up"
    # There is no login on the box itself: its cause is removed over SSH.
    ask(box, "box.ssh", on=True, keys=[public_key()])
    wait_for("SSH", lambda: box.shell("systemctl is-active ssh") == "active", 120)
    ask(box, "box.ssh", on=False, keys=[])
    box.shell("sed -i '/nonsense/d' /data/linekeep/linekeep.toml")
    ask(box, "box.resume")
    wait_for("the daemon", lambda: box.shell("systemctl is-active linekeep") == "active", 120)
    assert ask(box, "box.state")["safe_mode"]["on"] is False
    ask(box, "box.reset", recordings="destroy")
    box.goes()


def begins_anew(box: Machine, own: str) -> str:
    """Nothing of before is left. Gives its new certificate's fingerprint."""
    box.said(r"(Factory reset \(recordings destroyed\): done)")
    box.said(r"setup code +(\S+)")
    new = up(box)
    assert new != own
    last = ask(box, "box.state")["last_order"]
    assert (last["act"], last["done"], last["by"][0]) == ("destroy", True, "key destroyed")
    assert ask(box, "box.state")["encryption"]["on"] is False
    assert box.shell("find /data/linekeep -name '*.wav'") == ""
    return new


def damage(disk: Path, folder: Path) -> None:
    """A block that two files claim: the check of a start does not decide whose it is."""
    place, at = folder / "data.img", f"{DATA_AT // MIB}"
    subprocess.run(["dd", f"if={disk}", f"of={place}", "bs=1M", f"skip={at}", "conv=sparse"], check=True)
    # What the machine had not written when its power went comes out of the journal.
    assert subprocess.run(["e2fsck", "-f", "-p", place], check=False).returncode in {0, 1}
    (one := folder / "one").write_bytes(b"1" * 100)
    (two := folder / "two").write_bytes(b"2" * 100)
    for words in (f"write {one} one", f"write {two} two"):
        subprocess.run(["debugfs", "-w", "-R", words, place], check=True)
    (block,) = subprocess.check_output(["debugfs", "-R", "blocks one", place], text=True).split()
    subprocess.run(["debugfs", "-w", "-R", f"sif two block[5] {block}", place], check=True)
    assert subprocess.run(["e2fsck", "-f", "-p", place], check=False).returncode == 4
    subprocess.run(["dd", f"if={place}", f"of={disk}", "bs=1M", f"seek={at}", "conv=notrunc"], check=True)


@pytest.mark.timeout(5400)
def test_the_data_partition_through_a_boxs_life(tmp_path: Path) -> None:
    disk = disk_copy(image(), tmp_path / "disk.img", 3 * GIB)
    crashes = tmp_path / "erst"
    crashes.write_bytes(bytes(65536))
    erst = ["-object", f"memory-backend-file,id=erst,mem-path={crashes},size=64K,share=on",
            "-device", "acpi-erst,memdev=erst"]  # fmt: skip

    with tpm(tmp_path / "tpm") as chip, running(disk, tmp_path / "1", handed(disk), more=chip) as box:
        own = orders_encryption(box)

    with tpm(tmp_path / "tpm") as chip, running(disk, tmp_path / "2", handed(disk), more=chip) as box:
        box.said(r"(making the data partition anew)")
        # The power is cut here, with nothing but what was kept aside.

    with tpm(tmp_path / "tpm") as chip, running(disk, tmp_path / "3", handed(disk), more=chip) as box:
        recovery = is_encrypted_and_records(box, own)

    # By the boot loader: under a clock of instructions a kernel that spins takes minutes for the watchdog's second.
    with running(disk, tmp_path / "4", more=erst) as box:
        is_opened_by_hand_and_panics(box, own, recovery)

    with tpm(tmp_path / "tpm") as chip, running(disk, tmp_path / "5", handed(disk), more=[*chip, *erst]) as box:
        tells_of_the_panic_and_outlives_a_full_disk(box)
        falls_into_safe_mode_and_is_reset(box)

    with running(disk, tmp_path / "6", handed(disk)) as box:
        new = begins_anew(box, own)

    damage(disk, tmp_path)
    with running(disk, tmp_path / "7", handed(disk)) as box:
        box.said(r'(choose "Repair the data partition")')
    with running(disk, tmp_path / "8", handed(disk, entry="fsck.repair=yes")) as box:
        assert up(box) == new, "what was kept is kept"
        assert box.shell("cat /data/one") == "1" * 100

    with disk.open("r+b") as raw:
        raw.seek(DATA_AT)
        raw.write(bytes(8 * MIB))
    with running(disk, tmp_path / "9", handed(disk)) as box:
        box.said(r"(the disk cannot be used\. NOTHING IS RECORDED)")
        assert "linekeep-data.service" in box.console and "no file system" in box.console
