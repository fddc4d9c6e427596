"""What the keeper answers about the data partition and safe mode; on files in place of a disk."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from firmware.asked import Actor
from firmware.control import Refusal
from firmware.keeper import ordered, safe_mode, storage, volume
from firmware.keeper.ordered import Order
from firmware.keeper.place import Place, run
from firmware.keeper.service import Admitted, Keeper
from firmware.keeper.volume import Disk
from firmware.wire import BoxState
from tests.firmware.test_data_partition import SIZE

CHEN = Actor(kind="user", name="chen")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path / "partition", tmp_path / "efi", tmp_path / "work")
    made.partition.write_bytes(b"")
    with made.partition.open("r+b") as file:
        file.truncate(SIZE)
    monkeypatch.setattr(storage, "DISK", made)
    return made


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "data/system").mkdir(parents=True)
    return Keeper(Place(tmp_path), run, Admitted(frozenset({0})))


def tpm(keeper: Keeper) -> None:
    """The machine has one, as the kernel would show it."""
    version = keeper.place.root / "sys/class/tpm/tpm0/tpm_version_major"
    version.parent.mkdir(parents=True)
    version.write_text("2\n")


def told(keeper: Keeper) -> BoxState:
    return BoxState(**asyncio.run(storage.state(keeper)))


def encrypt(keeper: Keeper, means: Literal["tpm", "usb", "boot", "off"]) -> bool:
    return bool(asyncio.run(storage.encrypt(keeper, storage.Encrypt(actor=CHEN, means=means)))["restart"])


def test_encryption_is_ordered_for_the_next_start_and_taken_back(keeper: Keeper, disk: Disk) -> None:
    with pytest.raises(Refusal, match="no TPM 2"):
        encrypt(keeper, "tpm")
    tpm(keeper)
    assert encrypt(keeper, "tpm")
    order = ordered.read(disk)
    assert order is not None and (order.act, order.means, order.step) == ("encrypt", "tpm", "asked")
    assert told(keeper).encryption.ordered == "tpm"
    assert not encrypt(keeper, "off")
    assert ordered.read(disk) is None and told(keeper).encryption.ordered == ""


def test_with_recordings_it_is_refused(keeper: Keeper, disk: Disk) -> None:
    assert told(keeper).encryption.possible
    recording = keeper.place.root / "data/linekeep/recordings/2026/11/22/one.wav"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"RIFF")
    with pytest.raises(Refusal, match="there are recordings"):
        encrypt(keeper, "boot")
    assert not told(keeper).encryption.possible and ordered.read(disk) is None


def test_what_is_half_done_is_not_ordered_anew(keeper: Keeper, disk: Disk) -> None:
    ordered.write(disk, Order(act="encrypt", means="boot", step="staged"))
    with pytest.raises(Refusal, match="half done"):
        asyncio.run(storage.reset(keeper, storage.Reset(actor=CHEN, recordings="keep")))
    with pytest.raises(Refusal, match="waits for a restart"):
        encrypt(keeper, "off")


def test_a_new_recovery_key_opens_it_and_makes_the_former_void(keeper: Keeper, disk: Disk) -> None:
    keepers = keeper.place.root / "data" / volume.KEEPERS_KEY
    volume.write_key(keepers, volume.new_key())
    volume.write_key(disk.boot_key, volume.new_key())
    volume.encrypt(disk, "boot", "5a1bd9f0-7cd4-4f1c-8d3c-0d2a3f5c9b11", keepers)
    before = told(keeper).encryption
    assert (before.on, before.means, before.recovery_enrolled) == (True, "boot", False)

    def opens(key: str) -> bool:
        return volume.succeeds("cryptsetup", "open", "--test-passphrase", "--key-file", "-", disk.partition,
                               given=key.encode())  # fmt: skip

    keys = [
        asyncio.run(storage.recovery_key(keeper, storage.RecoveryKey(actor=CHEN)))["recovery_key"] for _ in range(2)
    ]
    assert [opens(key) for key in keys] == [False, True]
    assert told(keeper).encryption.recovery_enrolled


def test_safe_mode_is_told_as_long_as_it_lasts(keeper: Keeper, disk: Disk) -> None:
    assert told(keeper).safe_mode.on is False
    path = keeper.place.root / safe_mode.WRITTEN
    path.parent.mkdir(parents=True)
    path.write_text('{"on": true, "reason": "It ended.", "since_utc": "2026-11-22T07:00:00Z", "said": ["bad line 3"]}')
    safe = told(keeper).safe_mode
    assert (safe.on, safe.reason, safe.said) == (True, "It ended.", ["bad line 3"])


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ({"ExecMainCode": "1", "ExecMainStatus": "2"}, "with exit code 2"),
        ({"ExecMainCode": "2", "ExecMainStatus": "6"}, "by signal 6"),
        ({"ExecMainCode": "0", "ExecMainStatus": "0"}, "before it had begun"),
    ],
)
def test_why_the_daemon_was_given_up_is_said(shown: dict[str, str], words: str) -> None:
    assert words in safe_mode.reason(shown)
