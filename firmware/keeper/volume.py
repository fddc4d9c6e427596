"""The data partition: plain ext4, or LUKS2 with ext4 in it, and what opens it.

What opens an encrypted partition at a start without anybody there is one of three, and each says what it protects:

- **tpm**: the machine's TPM 2 holds the key and gives it to this machine alone. A disk that is taken out stays closed;
  a box that is carried off whole opens itself. The key is bound to PCR 7 (the state of Secure Boot) and to no other:
  PCR 4, 8 and 9 change with each update of the system, 0 and 2 with each of the machine's firmware, and an update must
  never lock a box out.
- **usb**: a key file on a USB stick that is plugged in when the box starts, and can be pulled and locked away after.
- **boot**: a key file on the boot partition of the same disk. It protects nothing that is stolen; but destroying that
  key makes every recording unreadable in a second, when the disk is to be given away.

Besides, the header has a key for the keeper, which lies on the encrypted partition itself (`KEEPERS_KEY`) and with
which the recovery key is made or replaced; and the recovery key, once somebody has asked for it, which is typed on the
console when the means above fails. All keys are random with 256 bits, so that no slow derivation is asked of them.

Encryption, tokens and recovery key are systemd's and cryptsetup's; nothing here does cryptography of its own.
"""

import json
import os
import re
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recorder.disk import sync_folder

Means = Literal["tpm", "usb", "boot"]
LABEL = "linekeep-data"
MAPPED = Path("/dev/mapper", LABEL)
KEEPERS_KEY = Path("system/volume.key")
_FAST = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
_PCRS = "7"
_OPEN = ("cryptsetup", "open", "--type", "luks2", "--disable-external-tokens")
"""By the key given and by no other: cryptsetup would ask the TPM first."""


class StorageError(Exception):
    """A step on the data partition failed; the message says what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the parts lie; other places are for tests."""

    partition: Path = Path("/dev/disk/by-partlabel", LABEL)
    boot: Path = Path("/efi/linekeep")
    """On the boot partition."""
    work: Path = Path("/run/linekeep-storage")
    blocks: Path = Path("/sys/class/block")
    devices: Path = Path("/dev")

    @property
    def boot_key(self) -> Path:
        return self.boot / "data.key"


def tool(*words: str | Path, given: bytes | None = None) -> str:
    """Runs a program and gives what it printed. What it is given (a key) stands in no message."""
    try:
        done = subprocess.run(words, input=given or b"", capture_output=True, check=False)
    except OSError as error:
        raise StorageError(f"{words[0]} cannot be run ({error.strerror}); flash the image anew.") from error
    if done.returncode:
        # Each thing once: cryptsetup repeats itself.
        said = " ".join(dict.fromkeys((done.stderr or done.stdout).decode(errors="replace").split("\n"))).strip()
        raise StorageError(f"{words[0]} {words[1]} failed ({done.returncode}): {said}")
    return done.stdout.decode(errors="replace")


def succeeds(*words: str | Path, given: bytes | None = None) -> bool:
    try:
        tool(*words, given=given)
    except StorageError:
        return False
    return True


def kind(device: Path) -> str:
    """`crypto_LUKS`, `ext4`, ...; empty where nothing is to be recognised."""
    done = subprocess.run(["blkid", "-p", "-o", "value", "-s", "TYPE", device], capture_output=True, check=False)
    return done.stdout.decode().strip()


def encrypted(disk: Disk) -> bool:
    return kind(disk.partition) == "crypto_LUKS"


def header(disk: Disk) -> dict[str, Any]:
    """LUKS2's description of itself."""
    told: dict[str, Any] = json.loads(tool("cryptsetup", "luksDump", "--dump-json-metadata", disk.partition))
    return told


def tokens(disk: Disk) -> set[str]:
    return {str(one.get("type", "")) for one in header(disk).get("tokens", {}).values()}


def uuid(disk: Disk) -> str:
    return tool("cryptsetup", "luksUUID", disk.partition).strip()


def means(disk: Disk) -> Means:
    if disk.boot_key.exists():
        return "boot"
    return "tpm" if "systemd-tpm2" in tokens(disk) else "usb"


def has_tpm(root: Path = Path("/")) -> bool:
    """A TPM 2 that the kernel can speak with."""
    version = root / "sys/class/tpm/tpm0/tpm_version_major"
    return version.exists() and version.read_text().strip() == "2"


# Making one -----------------------------------------------------------------------------------------------------------


def new_key() -> bytes:
    return secrets.token_hex(32).encode("ascii")


def write_key(path: Path, key: bytes) -> None:
    """Durable, for root alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def encrypt(disk: Disk, chosen: Means, name: str, keepers: Path) -> None:
    """A new, empty encrypted partition that the keeper's key and the chosen means open. What was there is gone."""
    tool("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *_FAST, "--uuid", name,
         disk.partition, keepers)  # fmt: skip
    if chosen == "tpm":
        tool("systemd-cryptenroll", f"--unlock-key-file={keepers}", "--tpm2-device=auto", f"--tpm2-pcrs={_PCRS}",
             disk.partition)  # fmt: skip
        return
    with key_file(disk, chosen, name) as key:
        if key is None:
            raise StorageError("The USB stick with the key is not plugged in.")
        tool("cryptsetup", "luksAddKey", "--batch-mode", *_FAST, "--key-file", keepers, disk.partition, key)


def file_system(device: Path) -> None:
    """An empty one, with the folder that is mounted from it before anything else is made.

    A file for each 64 KB is enough for recordings; inodes for more would take 1.6 % of the disk. image/build-disk makes
    the same.
    """
    tool("wipefs", "--all", "--quiet", device)
    with tempfile.TemporaryDirectory() as empty:
        Path(empty, "journal").mkdir()
        Path(empty).chmod(0o755)
        tool("mkfs.ext4", "-q", "-F", "-b", "4096", "-i", "65536", "-O", "^orphan_file", "-E", "root_owner=0:0",
             "-m", "0", "-L", LABEL, "-d", empty, device)  # fmt: skip


# Opening one ----------------------------------------------------------------------------------------------------------


def open_with(disk: Disk, key: Path) -> None:
    tool(*_OPEN, "--key-file", key, disk.partition, LABEL)


def open_typed(disk: Disk, typed: str) -> bool:
    """With the recovery key as somebody typed it: its dashes may be left out."""
    letters = re.sub(r"[^a-z]", "", typed.lower())
    key = "-".join(letters[at : at + 8] for at in range(0, len(letters), 8))
    return succeeds(*_OPEN, "--key-file", "-", disk.partition, LABEL, given=key.encode())


def open_by_itself(disk: Disk) -> str:
    """With whatever of the three means is at hand. Gives why it is still closed, or nothing when it is open."""
    why = []
    name = uuid(disk)
    for place in ("boot", "usb"):
        try:
            with key_file(disk, place, name) as key:
                if key is not None:
                    open_with(disk, key)
                    return ""
        except StorageError as error:
            why.append(str(error))
    if "systemd-tpm2" in tokens(disk):
        try:
            tool("cryptsetup", "open", "--token-only", "--token-type", "systemd-tpm2", disk.partition, LABEL)
        except StorageError as error:
            why.append(f"The TPM does not give the key: {error}")
        else:
            return ""
    elif not disk.boot_key.exists():
        why.append("No USB stick with the key is plugged in.")
    return " ".join(why) or "The key on the boot partition does not open it."


def close() -> None:
    tool("cryptsetup", "close", LABEL)


@contextmanager
def mounted(device: Path, disk: Disk, *options: str, type_: str = "ext4") -> Iterator[Path]:
    """For a moment, before anything else uses it."""
    folder = disk.work / "mnt"
    folder.mkdir(parents=True, exist_ok=True)
    tool("mount", "-t", type_, "-o", ",".join(("noatime", "nosuid", "nodev", "noexec", *options)), device, folder)
    try:
        yield folder
    finally:
        tool("umount", folder)


# Keys on sticks -------------------------------------------------------------------------------------------------------


def sticks(disk: Disk) -> list[Path]:
    """File systems on USB disks, as devices; not those of the box's own disk, which may be one."""
    found = []
    for block in sorted(disk.blocks.glob("*")):
        if "/usb" in str(block.resolve()) and not block.name.startswith("sr") and not _own(block):
            device = disk.devices / block.name
            if device.exists() and kind(device) == "vfat":
                found.append(device)
    return found


def _own(block: Path) -> bool:
    try:
        return "\nPARTNAME=linekeep-" in (block / "uevent").read_text()
    except OSError:
        # Pulled out meanwhile.
        return False


def key_name(name: str) -> str:
    """The key of one partition: a stick may carry those of several boxes."""
    return f"linekeep-{name}.key"


@contextmanager
def key_file(disk: Disk, chosen: Means | str, name: str) -> Iterator[Path | None]:
    """The key of this means, while it can be read; None where there is none. Raises `StorageError` where no stick has
    it and one cannot be read."""
    if chosen == "boot":
        yield disk.boot_key if disk.boot_key.exists() else None
        return
    unread = None
    for device in sticks(disk):
        with ExitStack() as held:
            try:
                key = held.enter_context(mounted(device, disk, "ro", type_="vfat")) / key_name(name)
                found = key.exists()
            except (StorageError, OSError) as error:
                unread = StorageError(f"{device} cannot be read: {error}")
                continue
            if found:
                yield key
                return
    if unread is not None:
        raise unread
    yield None
