"""What a start does to the data partition: erased, emptied, packed; on files in place of disks, and without being root.

What needs the device mapper (a partition that is opened) is tried on the image, tests/image/test_storage.py.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from firmware.keeper import boot, encrypting, erasing, ordered, resetting, volume
from firmware.keeper.boot import menu_order, prepare
from firmware.keeper.ordered import Order
from firmware.keeper.volume import Disk, StorageError

ROOT = Path(__file__).resolve().parents[2]
SIZE = 24 << 20
NAME = "5a1bd9f0-7cd4-4f1c-8d3c-0d2a3f5c9b11"
WORDS = b"a call that must be readable by nobody"
FOUND = [path for path in ("/usr/sbin", "/sbin") if path not in os.environ["PATH"].split(":")]
os.environ["PATH"] = ":".join([os.environ["PATH"], *FOUND])


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    partition = tmp_path / "partition"
    with partition.open("wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE // 2)
        file.write(WORDS)
    return Disk(partition, tmp_path / "boot", tmp_path / "work")


def inside(disk: Disk, name: str) -> bool:
    """Is there such a file in the partition's file system?"""
    asked = subprocess.run(["debugfs", "-R", f"stat {name}", disk.partition], capture_output=True, check=True)
    return b"Inode:" in asked.stdout


def holds_words(disk: Disk) -> bool:
    return subprocess.run(["grep", "-qaF", WORDS, disk.partition], check=False).returncode == 0


def test_an_order_is_read_as_written_and_a_torn_one_does_nothing(disk: Disk) -> None:
    assert ordered.read(disk) is None
    order = Order(act="encrypt", means="tpm", step="staged", digest="ab")
    ordered.write(disk, order)
    assert ordered.read(disk) == order
    path = disk.boot / "order.json"
    before = path.stat()
    ordered.write(disk, msgspec.structs.replace(order, step="done"))
    # One sector of the same file: FAT has nothing to put in order after a power cut.
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, ordered.SECTOR)
    path.write_bytes(path.read_bytes().rstrip()[:-5])
    with pytest.raises(StorageError, match="Nothing was done; ask anew"):
        ordered.read(disk)
    assert ordered.read(disk) is None
    path.write_bytes(b"")
    assert ordered.read(disk) is None, "it was never given"


def test_what_was_kept_aside_outlives_an_order_that_cannot_be_read(disk: Disk) -> None:
    ordered.write(disk, Order(act="encrypt", means="boot", step="staged", digest="ab"))
    (disk.boot / "order.json").write_bytes(b'{"act":')
    pack = encrypting.pack_of(disk)
    pack.write_bytes(WORDS)
    with pytest.raises(StorageError):
        ordered.read(disk)
    for _ in range(2):
        prepare(disk, None)
        assert pack.read_bytes() == WORDS
    encrypting.drop(disk, Order(act="encrypt", means="boot"), "The partition cannot be mounted.")
    assert pack.read_bytes() == WORDS
    resetting.destroy(disk, ordered.write(disk, Order(act="destroy")), print, discards=False)
    assert sorted(path.name for path in disk.boot.iterdir()) == ["outcome.json"]


def test_what_an_order_that_is_done_has_left_is_removed(disk: Disk) -> None:
    volume.write_key(encrypting.pack_of(disk), WORDS)
    prepare(disk, None)
    assert not any(disk.boot.iterdir())


@pytest.mark.parametrize(
    ("line", "act"),
    [
        ("ro linekeep.reset=keep quiet", "keep"),
        ("linekeep.reset=destroy", "destroy"),
        ("ro linekeep.reset=destroyed", None),
        ("xlinekeep.reset=keep", None),
        ("ro quiet", None),
    ],
)
def test_the_boot_menu_orders_a_reset(line: str, act: str | None) -> None:
    order = menu_order(line)
    assert (order.act if order else None) == act


@pytest.mark.parametrize("cause", ["what was kept aside for encryption is damaged", "Not a directory"])
def test_what_keeps_the_box_from_its_data_is_an_error_in_the_journal(
    cause: str, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    console = tmp_path / "console"
    console.touch()
    monkeypatch.setattr(boot, "CONSOLES", (console,))
    monkeypatch.setattr(boot, "Disk", lambda: disk)
    if cause == "Not a directory":
        disk.boot.touch()
    else:
        ordered.write(disk, Order(act="encrypt", means="boot", step="staged", digest="ab"))
    assert boot.main() == 1
    (told,) = capfd.readouterr().out.splitlines()
    assert told.startswith("<3>The data partition cannot be used: ") and cause in told
    assert console.read_text().strip() == told.removeprefix("<3>"), "a person reads it there"


def test_a_plain_partition_is_overwritten_and_made_anew(disk: Disk) -> None:
    assert holds_words(disk)
    said: list[str] = []
    resetting.destroy(disk, ordered.write(disk, Order(act="destroy")), said.append, discards=False)
    assert not holds_words(disk)
    assert volume.kind(disk.partition) == "ext4" and inside(disk, "journal")
    told = ordered.outcome(disk)
    assert told is not None and (told.act, told.done, told.by) == ("destroy", True, ["overwritten"])
    assert ordered.read(disk) is None


def test_overwriting_goes_on_where_a_power_cut_left_it(disk: Disk) -> None:
    with disk.partition.open("r+b") as file:
        file.write(b"overwritten already, and not once more")
    order = Order(act="destroy", position=erasing.PIECE)
    reached: list[tuple[int, int]] = []
    assert erasing.erase(disk.partition, order.position, lambda *at: reached.append(at), False) == ["overwritten"]
    whole = disk.partition.read_bytes()
    assert whole.startswith(b"overwritten already") and not any(whole[erasing.PIECE :])


@pytest.mark.parametrize(
    ("drops", "position", "by"),
    [
        ("everything", 0, ["discarded"]),
        ("nothing", 0, ["discarded", "overwritten"]),
        ("all but its end", 0, ["discarded", "overwritten"]),
        ("everything", erasing.PIECE, ["discarded", "overwritten"]),
    ],
)
def test_a_disk_that_says_it_discarded_is_read_again(
    drops: str, position: int, by: list[str], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def succeeds(*words: str | Path) -> bool:
        assert words == ("blkdiscard", "--force", disk.partition)
        if drops != "nothing":
            disk.partition.write_bytes(bytes(SIZE - 1) + (b"x" if drops == "all but its end" else b"\0"))
        return True

    monkeypatch.setattr(erasing, "succeeds", succeeds)
    order = Order(act="destroy", position=position)
    assert erasing.erase(disk.partition, order.position, lambda *_: None, True) == by
    assert not any(disk.partition.read_bytes())


def test_of_an_encrypted_partition_the_key_is_destroyed(disk: Disk, tmp_path: Path) -> None:
    keepers = tmp_path / "volume.key"
    volume.write_key(keepers, volume.new_key())
    volume.write_key(disk.boot_key, volume.new_key())
    volume.encrypt(disk, "boot", NAME, keepers)
    assert volume.encrypted(disk) and volume.means(disk) == "boot"
    assert volume.succeeds("cryptsetup", "open", "--test-passphrase", "--key-file", keepers, disk.partition)
    resetting.destroy(disk, ordered.write(disk, Order(act="destroy")), print, discards=False)
    told = ordered.outcome(disk)
    assert told is not None and told.by == ["key destroyed"]
    assert not disk.boot_key.exists() and volume.kind(disk.partition) == "ext4"


def test_a_reset_that_was_cut_after_the_key_was_destroyed_is_finished(disk: Disk, tmp_path: Path) -> None:
    keepers = tmp_path / "volume.key"
    volume.write_key(keepers, volume.new_key())
    volume.write_key(disk.boot_key, volume.new_key())
    volume.encrypt(disk, "boot", NAME, keepers)
    order = ordered.write(disk, Order(act="destroy"))
    assert erasing.erase(disk.partition, 0, lambda *at: None, False) == ["key destroyed"]
    assert not volume.succeeds("cryptsetup", "open", "--test-passphrase", "--key-file", keepers, disk.partition)
    resetting.destroy(disk, order, print, discards=False)
    told = ordered.outcome(disk)
    assert told is not None and told.by == ["key destroyed"]
    again = msgspec.structs.replace(order, step="erased", by=["key destroyed"])
    resetting.destroy(disk, again, print)
    assert ordered.read(disk) is None


def test_the_boot_partition_of_a_box_on_a_usb_disk_is_no_stick(tmp_path: Path) -> None:
    disk = Disk(blocks=tmp_path / "block", devices=tmp_path / "dev")
    for folder in (disk.blocks, disk.devices):
        folder.mkdir()
    for name, bus, uevent in (
        ("sda2", "usb1", "DEVNAME=sda2\nPARTN=2\nPARTNAME=linekeep-esp\n"),
        ("sdb1", "usb2", "DEVNAME=sdb1\nPARTN=1\nPARTNAME=linekeeping\n"),
        ("sdc1", "usb2", "DEVNAME=sdc1\nPARTN=1\n"),
        ("vda2", "pci0", "DEVNAME=vda2\nPARTN=2\nPARTNAME=other\n"),
    ):
        shown = tmp_path / "devices" / bus / name
        shown.mkdir(parents=True)
        (shown / "uevent").write_text(uevent)
        (disk.blocks / name).symlink_to(shown)
        device = disk.devices / name
        device.touch()
        os.truncate(device, 2 << 20)
        subprocess.run(["mkfs.vfat", device], check=True, capture_output=True)
    assert [stick.name for stick in volume.sticks(disk)] == ["sdb1", "sdc1"]


def test_a_damaged_stick_keeps_no_other_means_from_opening_it(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keepers, damaged = tmp_path / "volume.key", tmp_path / "sda1"
    volume.write_key(keepers, volume.new_key())
    volume.write_key(disk.boot_key, volume.new_key())
    volume.encrypt(disk, "boot", NAME, keepers)
    disk.boot_key.unlink()
    damaged.write_bytes(b"no FAT at all")
    monkeypatch.setattr(volume, "sticks", lambda _: [damaged])
    monkeypatch.setattr(volume, "tokens", lambda _: {"systemd-tpm2"})
    why = volume.open_by_itself(disk)
    assert "mount" in why and "The TPM does not give the key" in why


def test_a_stick_that_comes_while_the_other_means_are_tried_is_tried_at_once(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = tmp_path / "bin/systemd-ask-password"
    asks.parent.mkdir()
    asks.write_text("#!/bin/sh\nexec sleep 5\n")
    asks.chmod(0o755)
    monkeypatch.setenv("PATH", f"{asks.parent}:{os.environ['PATH']}")
    tries: list[str] = []

    def opens(_: Disk) -> str:
        tries.append("still closed")
        return "" if len(tries) > 1 else "No USB stick with the key is plugged in."

    def typed(*_: object) -> bool:
        pytest.fail("it waited for what somebody types")

    monkeypatch.setattr(boot, "CONSOLES", ())
    monkeypatch.setattr(boot, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(volume, "sticks", lambda _: [tmp_path / "stick"] if tries else [])
    monkeypatch.setattr(volume, "open_by_itself", opens)
    monkeypatch.setattr(volume, "open_typed", typed)
    boot.opened(disk)
    assert len(tries) == 2


def test_the_key_is_found_on_a_stick_beside_a_damaged_one(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def mounted(device: Path, *_: object, **__: object) -> Iterator[Path]:
        if device.name == "damaged":
            raise StorageError("mount failed")
        yield device

    sticks = [tmp_path / "damaged", tmp_path / "stick"]
    volume.write_key(sticks[1] / volume.key_name(NAME), b"key")
    monkeypatch.setattr(volume, "mounted", mounted)
    monkeypatch.setattr(volume, "sticks", lambda _: sticks)
    with volume.key_file(disk, "usb", NAME) as key:
        assert key is not None and key.read_bytes() == b"key"
    with pytest.raises(StorageError, match="mount failed"), volume.key_file(disk, "usb", "another box"):
        pytest.fail("a stick that cannot be read may hold it")


def data(folder: Path) -> Path:
    for name in (
        "linekeep/recordings/2026/11/22/a.wav", "linekeep/journal/000001.journal", "linekeep/identity/key",
        "linekeep/catalogue/data.mdb", "linekeep/web/spool/one.json", "linekeep/web/state/data.mdb",
        "linekeep/access/people.json", "linekeep/linekeep.toml", "system/network.json", "system/volume.key",
        "journal/abc/system.journal",
    ):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what {name} holds")
    (folder / "linekeep/current").symlink_to("linekeep.toml")
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_reset_that_keeps_recordings_leaves_them_and_what_proves_them(tmp_path: Path) -> None:
    folder = data(tmp_path / "data")
    (linked := tmp_path / "people").hardlink_to(folder / "linekeep/access/people.json")
    resetting.clear(folder)
    assert files(folder) == {
        "linekeep/recordings/2026/11/22/a.wav", "linekeep/journal/000001.journal", "linekeep/identity/key",
        "linekeep/catalogue/data.mdb", "linekeep/web/spool/one.json", "system/volume.key",
    }  # fmt: skip
    assert not any(linked.read_bytes()), "what was deleted was overwritten"
    assert (folder / "journal").is_dir()
    resetting.clear(folder)


def debugfs(disk: Disk, *words: str) -> str:
    done = subprocess.run(["debugfs", *words, disk.partition], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("damaged", [False, True])
def test_a_reset_overwrites_nothing_in_a_file_system_whose_blocks_are_claimed_twice(
    damaged: bool, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recording := tmp_path / "recording").write_bytes(WORDS * 100)
    (goes := tmp_path / "goes").write_bytes(bytes(range(256)))
    volume.file_system(disk.partition)
    debugfs(disk, "-w", "-R", f"write {recording} recording")
    debugfs(disk, "-w", "-R", f"write {goes} goes")
    if damaged:
        # The first block of its first extent (ext4's `ee_start_lo`); the file system stays marked as clean.
        debugfs(disk, "-w", "-R", f"sif goes block[5] {debugfs(disk, '-R', 'blocks recording').split()[0]}")
    folder = data(tmp_path / "data")

    @contextmanager
    def mounted(*_: object) -> Iterator[Path]:
        yield folder

    monkeypatch.setattr(volume, "mounted", mounted)
    before, said = files(folder), list[str]()
    resetting.keep(disk, ordered.write(disk, Order(act="keep")), disk.partition, said.append)
    told = ordered.outcome(disk)
    assert told is not None and told.done is not damaged
    assert ordered.read(disk) is None, "it is not tried again by itself"
    assert (files(folder) == before) is damaged
    assert debugfs(disk, "-R", "cat recording").encode() == WORDS * 100
    if damaged:
        assert told.message in said[-1] and "nothing was deleted" in ordered.sentence(told)
        (entry,) = re.findall('"(.+)"', told.message)
        assert f'menuentry "{entry}"' in (ROOT / "image/grub.cfg").read_text()


def test_what_is_kept_aside_comes_back_whole_without_the_index(tmp_path: Path) -> None:
    folder, pack, back = data(tmp_path / "data"), tmp_path / "boot/kept.tar.zst", tmp_path / "back"
    back.mkdir()
    (folder / "linekeep/access").chmod(0o700)
    for name in ("linekeep/web/updates/linekeep-9-amd64.raucb", "system/update/bundle.raucb"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("hundreds of MB")
    digest = encrypting.packed(folder, pack)
    assert encrypting.digest(pack) == digest
    encrypting.unpacked(pack, back)
    left_out = {
        "linekeep/catalogue/data.mdb",
        "linekeep/web/updates/linekeep-9-amd64.raucb",
        "system/update/bundle.raucb",
    }
    assert files(back) == files(folder) - left_out
    assert (back / "linekeep/web/updates").is_dir(), "the page's own folder is there, with its owner"
    assert all((back / name).read_bytes() == (folder / name).read_bytes() for name in files(back))
    assert (back / "linekeep/access").stat().st_mode & 0o777 == 0o700


def test_holes_stay_holes_when_a_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(WORDS)
    erasing.overwrite_file(path)
    assert path.stat().st_size == 1 << 30 and path.stat().st_blocks * 512 < 1 << 20
    with path.open("rb") as file:
        file.seek(1 << 29)
        assert not any(file.read(len(WORDS)))
