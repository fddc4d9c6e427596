"""Updates in the keeper: what is refused and why, what is done in which order, what a start comes to. RAUC, systemd and
real slots are met in tests/image/test_update.py; here their answers are given."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware.control import Refusal
from firmware.formats import FORMATS, Format, hindrance
from firmware.keeper import bundle, proof, update
from firmware.keeper.acts import APPLIES
from firmware.keeper.place import Failed, Place
from firmware.keeper.proof import Look
from firmware.keeper.service import Admitted, Keeper
from firmware.keeper.slots import Held, Menu, Pending, Remembered, Slot, Store, anew
from firmware.wire import LastUpdate
from recorder import spool
from tests.box import ROOT, Box
from tests.firmware.test_box_commands import CONSOLE, NO_CARD, journalled
from tests.firmware.test_keeper import place

ONE = Format(oldest=1, newest=1, writes=1)
READS_TWO = Format(oldest=1, newest=2, writes=1)
TWO = Format(oldest=1, newest=2, writes=2)
FORGETS_ONE = Format(oldest=2, newest=2, writes=2)
BUILD = {"version": "0.3.0", "development": True, "built_utc": "2026-11-22T12:00:00Z"}


@pytest.mark.parametrize(
    ("here", "offered", "why"),
    [
        (ONE, ONE, ""),
        (ONE, READS_TWO, ""),
        (READS_TWO, TWO, ""),
        (TWO, READS_TWO, ""),
        (ONE, TWO, "could not go back"),
        (TWO, ONE, "too old"),
        (TWO, FORGETS_ONE, "no longer reads"),
    ],
)
def test_a_format_changes_in_two_steps(here: Format, offered: Format, why: str) -> None:
    found = hindrance({"recording": offered}, {"recording": here})
    assert (why in found) if why else found == ""


def test_a_catalogue_keeps_no_version_away_and_this_one_may_follow_itself() -> None:
    assert hindrance({"catalogue": ONE}, {"catalogue": Format(oldest=3, newest=3, writes=3)}) == ""
    assert hindrance(FORMATS) == ""
    assert "too old" in hindrance({name: one for name, one in FORMATS.items() if name != "journal"})


def box(folder: Path, programs: "Programs") -> Keeper:
    """A box that runs slot A, as far as an update needs one."""
    made = place(folder)
    (made.home / "build.json").write_text(
        json.dumps({**BUILD, "version": "0.2.0", "formats": msgspec.to_builtins(FORMATS)})
    )
    for path, text in {
        "proc/cmdline": "quiet rauc.slot=A\n",
        "etc/machine-id": f"{7:032x}\n",
        "proc/sys/kernel/random/boot_id": "first-start\n",
        "sys/class/block/vda4/uevent": "DEVNAME=vda4\nPARTNAME=linekeep-root-b\n",
        "sys/class/block/vda4/size": f"{700 << 11}\n",
        "sys/class/block/vda4/stat": "0 0 0 0 0 0 0 0 0 0 0\n",
        "data/linekeep/.keep": "",
        "efi/grub/.keep": "",
    }.items():
        file = made.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    programs.place = made
    return Keeper(made, programs, Admitted(frozenset()))


class Programs:
    """Runs GRUB's own program, and answers for RAUC and systemd."""

    place: Place

    def __init__(self, **changed: Any) -> None:
        self.ran: list[str] = []
        self.info = {
            "compatible": "linekeep-amd64", "version": "0.3.0", "images": [{"rootfs": {"size": 400 << 20}}],
            "build": json.dumps({**BUILD, "formats": msgspec.to_builtins(FORMATS)}),
        } | changed  # fmt: skip
        self.inside = BUILD | {"formats": msgspec.to_builtins(FORMATS)}
        self.refuses = ""
        self.breaks = ""

    async def __call__(self, *words: str, patience_s: float = 30.0) -> str:
        self.ran.append(" ".join(word for word in words if not word.startswith("/")))
        if self.breaks and self.ran[-1].startswith(self.breaks):
            raise Failed("the power is not what it was")
        match words[:2]:
            case ["grub-editenv", _]:
                done = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
                out, _ = await done.communicate()
                if done.returncode:
                    raise Failed("grub-editenv failed")
                return out.decode()
            case ["rauc", "info"] if self.refuses:
                raise Failed(self.refuses)
            case ["rauc", "info"]:
                return json.dumps(self.info)
            case ["systemd-run", _]:
                return json.dumps(self.inside)
        return ""


async def installed(keeper: Keeper, path: Path, kind: str = "console") -> list[dict[str, Any]]:
    await Menu(keeper.place, keeper.run).mend("A", f"{7:032x}", Remembered())
    request = msgspec.convert({"path": str(path), "actor": {"kind": kind, "name": "chen"}}, update.InstallUpdate)
    return [event async for event in update.install(keeper, request)]


def a_file(folder: Path) -> Path:
    file = folder / "linekeep-0.3.0-amd64.raucb"
    file.write_bytes(bytes(5 << 20))
    return file


def test_an_update_is_installed_looked_at_and_then_made_the_next_to_start(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    events = asyncio.run(installed(keeper, a_file(tmp_path)))
    assert events[-2:] == [
        {"event": "progress", "share": 1.0, "step": "done"},
        {"event": "end", "reason": "done"},
    ]
    order = [
        next(at for at, ran in enumerate(programs.ran) if ran.startswith(act))
        for act in ("rauc info", "grub-editenv set A_OK=1", "systemctl start rauc", "rauc install", "systemd-run",
                    "grub-editenv set B_OK=1")
    ]  # fmt: skip
    assert order == sorted(order)
    assert not (keeper.place.kept / "update/bundle.raucb").exists()
    state = asyncio.run(update.state(keeper))
    assert (state["slot"], state["update"].waiting, state["update"].last.outcome) == ("A", "0.3.0", "installed")
    assert [(slot.name, slot.version, slot.good) for slot in state["slots"]] == [("A", "", True), ("B", "0.3.0", False)]
    assert [slot.on_trial for slot in state["slots"]] == [False, True]
    assert asyncio.run(Menu(keeper.place, programs).read())["TRIAL"] == "B"


@pytest.mark.parametrize(
    ("changed", "refuses", "why"),
    [
        ({}, "signature verification failed: Verify error: self-signed certificate", "not of the key"),
        ({}, "Invalid bundle format: Signature size (5) exceeds bundle size", "only a part of one"),
        ({}, "Bundle format 'plain' not allowed", "verity format"),
        ({"compatible": "toaster"}, "", "is for toaster"),
        ({"images": [{"rootfs": {"size": 900 << 20}}]}, "", "needs a slot of 900 MB"),
        ({"build": "by hand"}, "", "says nothing of its formats"),
        ({"build": json.dumps({**BUILD, "formats": {}})}, "", "too old"),
    ],
)
def test_what_must_be_refused_is_refused_before_anything_is_written(
    changed: dict[str, Any], refuses: str, why: str, tmp_path: Path
) -> None:
    programs = Programs(**changed)
    programs.refuses = refuses
    keeper = box(tmp_path / "root", programs)
    with pytest.raises(Refusal) as refused:
        asyncio.run(installed(keeper, a_file(tmp_path)))
    assert why in f"{refused.value.message} {refused.value.remedy}"
    assert not any(ran.startswith(("rauc install", "systemctl")) for ran in programs.ran)
    assert asyncio.run(update.state(keeper))["update"].last.outcome == "failed"


def test_what_a_power_cut_left_of_a_bundle_goes_with_the_next_start_of_the_keeper(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())
    left = keeper.place.kept / "update/bundle.raucb"
    left.parent.mkdir()
    left.write_text("hundreds of MB")
    asyncio.run(update.apply(keeper))
    assert not left.exists()
    assert ("update", update.apply) in APPLIES


def test_what_nobody_has_foreseen_is_a_failed_update_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    (keeper.place.root / "sys/class/block/vda4/stat").write_text("0 0\n")
    with pytest.raises(Refusal, match="was not installed: IndexError"):
        asyncio.run(installed(keeper, a_file(tmp_path)))
    last = asyncio.run(update.state(keeper))["update"].last
    assert (last.outcome, last.version) == ("failed", "0.3.0") and "IndexError" in last.message
    assert any(record.exc_info for record in caplog.records), "where it came from is in the log"


def test_an_update_that_ends_with_the_keeper_is_not_told_as_done(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())

    async def go() -> None:
        await Menu(keeper.place, keeper.run).mend("A", "", Remembered())
        request = msgspec.convert({"path": str(a_file(tmp_path)), "actor": CONSOLE}, update.InstallUpdate)
        events = update.install(keeper, request)
        await anext(events)
        await asyncio.sleep(0)
        await keeper.close()
        with pytest.raises(Refusal, match="the keeper was ended"):
            await anext(events)

    asyncio.run(go())


def test_a_stick_that_is_pulled_ends_no_update(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())
    for name in ("sda", "sda1", "sda2"):
        gone = keeper.place.root / "sys/class/block" / name
        gone.mkdir()
        (gone / "uevent").mkdir()
    assert asyncio.run(installed(keeper, a_file(tmp_path)))[-1] == {"event": "end", "reason": "done"}


def test_a_version_that_does_not_take_the_configuration_is_not_activated(tmp_path: Path) -> None:
    programs = Programs()
    programs.inside = {**programs.inside, "version": "0.9.9"}
    keeper = box(tmp_path / "root", programs)
    with pytest.raises(Refusal, match=r"its root says 0\.9\.9"):
        asyncio.run(installed(keeper, a_file(tmp_path)))
    assert not any("B_OK=1" in ran for ran in programs.ran)


def test_a_user_of_the_page_installs_uploads_alone_and_no_link(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())
    with pytest.raises(Refusal, match="is no uploaded update"):
        asyncio.run(installed(keeper, a_file(tmp_path), "user"))
    uploads = keeper.place.root / update.UPLOADS
    uploads.mkdir(parents=True)
    link = uploads / "linekeep-9-amd64.raucb"
    link.symlink_to(a_file(tmp_path))
    with pytest.raises(Refusal, match="cannot be read"):
        asyncio.run(installed(keeper, link, "user"))
    shutil.move(tmp_path / "linekeep-0.3.0-amd64.raucb", uploads)
    assert asyncio.run(installed(keeper, uploads / "linekeep-0.3.0-amd64.raucb", "user"))[-1]["event"] == "end"


def test_a_file_on_a_stick_whose_name_is_no_text_is_not_offered(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())
    stick = keeper.place.root / update.STICK
    stick.mkdir(parents=True)
    for name in (b"linekeep-\xff-amd64.raucb", b"linekeep-0.3.0-amd64.raucb", "linekeep-新 版.raucb".encode()):
        (stick / os.fsdecode(name)).touch()
    offered = asyncio.run(update.state(keeper))["update"].offered
    assert [Path(path).name for path in offered] == ["linekeep-0.3.0-amd64.raucb", "linekeep-新 版.raucb"]
    msgspec.msgpack.encode(offered)


def test_a_boot_menu_that_can_be_read_again_is_no_problem_any_more(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    programs.breaks = "grub-editenv list"
    asyncio.run(update.state(keeper))
    assert [*keeper.problems] == ["slots"]
    programs.breaks = ""
    asyncio.run(update.state(keeper))
    assert keeper.problems == {}


def test_a_second_update_that_is_refused_leaves_the_first_its_trial(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    file = a_file(tmp_path)
    asyncio.run(installed(keeper, file))
    programs.refuses = "Bundle format 'plain' not allowed"
    with pytest.raises(Refusal, match="verity"):
        asyncio.run(installed(keeper, file))
    remembered, state = Store(keeper.place).load(), asyncio.run(update.state(keeper))
    assert remembered.pending is not None
    assert (remembered.pending.version, remembered.pending.phase) == ("0.3.0", "activated")
    assert (state["update"].waiting, state["update"].last.outcome) == ("0.3.0", "failed")
    assert asyncio.run(Menu(keeper.place, programs).read())["TRIAL"] == "B"


@pytest.mark.parametrize("torn", ["rauc install", "grub-editenv set B_OK=1"])
def test_what_a_second_update_has_begun_to_write_over_is_not_started(torn: str, tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    file = a_file(tmp_path)
    asyncio.run(installed(keeper, file))
    programs.breaks, programs.ran = torn, []
    with pytest.raises(Refusal, match="was not installed"):
        asyncio.run(installed(keeper, file))
    begun = next(ran for ran in programs.ran if ran.startswith("grub-editenv set"))
    assert begun == "grub-editenv set A_OK=1 A_TRY=0 B_OK=0 B_TRY=0 ORDER=A B TRIAL=", "in one write"
    told, remembered = asyncio.run(Menu(keeper.place, programs).read()), Store(keeper.place).load()
    assert (told["ORDER"], told["A_OK"], told["B_OK"], told["TRIAL"]) == ("A B", "1", "0", "")
    assert remembered.pending is None and remembered.last is not None
    assert (remembered.last.outcome, remembered.last.version) == ("failed", "0.3.0")
    assert asyncio.run(update.state(keeper))["update"].waiting == ""


def test_a_version_on_trial_does_not_give_up_the_one_that_the_box_would_go_back_to(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    (keeper.place.root / "proc/cmdline").write_text("quiet rauc.slot=B\n")
    menu, store = Menu(keeper.place, programs), Store(keeper.place)
    store.save(Remembered(pending=PENDING))

    async def asked() -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.activate("B")
        with pytest.raises(Refusal, match="still on trial") as refused:
            await installed(keeper, a_file(tmp_path))
        assert refused.value.code == "busy"
        return await menu.read()

    told = asyncio.run(asked())
    assert (told["TRIAL"], told["A_OK"], told["ORDER"]) == ("B", "1", "B A")
    assert store.load() == Remembered(pending=PENDING)
    slots = asyncio.run(update.state(keeper))["slots"]
    assert [(slot.booted, slot.good, slot.on_trial) for slot in slots] == [(False, True, False), (True, False, True)]
    assert not any(ran.startswith("rauc") for ran in programs.ran)


PENDING = Pending(
    slot="B", version="0.3.0", from_version="0.2.0", phase="activated", began_utc="2026-11-22T12:00:00Z",
    failed_units=["old.service"], cards={"sim0": "running", "dahdi0": "alarm"},
)  # fmt: skip


def well(blocks: int) -> Look:
    return Look("0.3.0", {"sim0": "running", "dahdi0": "alarm"}, {"sim0": blocks, "dahdi0": 0}, ["old.service"])


def test_a_version_owes_what_the_one_before_did() -> None:
    assert proof.shortcomings(PENDING, well(10), well(20)) == []
    assert proof.shortcomings(PENDING, well(10), well(10)) == ["card sim0 delivers nothing"]
    worse = Look("0.2.9", {"sim0": "alarm", "dahdi0": "alarm"}, {"sim0": 20, "dahdi0": 0}, ["new.service"], ["no page"])
    assert proof.shortcomings(PENDING, well(10), worse) == [
        "no page", "the daemon is version 0.2.9", "card sim0 is alarm, it was running before the update",
        "new.service has failed",
    ]  # fmt: skip


def test_cards_that_were_taken_out_or_added_between_update_and_restart_are_no_fault_of_the_version() -> None:
    fitted = Look("0.3.0", {"dahdi0": "alarm", "dahdi1": "stopped"}, {"dahdi0": 0, "dahdi1": 0})
    assert proof.shortcomings(PENDING, fitted, fitted) == []
    fitted.cards["dahdi0"] = "stopped"
    assert proof.shortcomings(PENDING, fitted, fitted) == ["card dahdi0 is stopped, it was alarm before the update"]


def network_card(root: Path, name: str, kind: str = "1", carrier: str = "1") -> Path:
    """As the kernel shows it under /sys."""
    folder = root / "sys/class/net" / name
    (folder / "device").mkdir(parents=True)
    (folder / "type").write_text(f"{kind}\n")
    (folder / "carrier").write_text(f"{carrier}\n")
    return folder


def test_a_version_owes_each_network_card_that_had_a_link_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    root = keeper.place.root
    used = network_card(root, "enp1s0")
    network_card(root, "enp2s0", carrier="0")
    (network_card(root, "enp3s0") / "carrier").unlink()
    (network_card(root, "br0") / "device").rmdir()
    network_card(root, "wwan0", kind="65534")
    asyncio.run(installed(keeper, a_file(tmp_path)))
    pending = Store(keeper.place).load().pending
    assert pending is not None and pending.networks == ["enp1s0"]

    def looked() -> Look:
        return asyncio.run(proof.look(keeper.place, programs))

    monkeypatch.setattr(proof, "_status", lambda _: {"version": "0.3.0", "cards": []})
    monkeypatch.setattr(proof, "_page", lambda: None)
    (used / "carrier").write_text("0\n")
    assert proof.shortcomings(pending, looked(), looked()) == [], "a cable may be pulled"
    shutil.rmtree(used)
    assert proof.shortcomings(pending, looked(), looked()) == ["network card enp1s0 is not there"]


def test_what_an_older_version_remembered_of_an_update_is_read() -> None:
    fields = msgspec.to_builtins(PENDING)
    del fields["networks"], fields["boot_id"]
    assert msgspec.convert(fields, Pending) == PENDING


@pytest.mark.parametrize(
    ("phase", "tries", "came_to"),
    [("installing", 0, "interrupted"), ("activated", 0, "interrupted"), ("activated", 3, "fell_back")],
)
def test_the_version_before_says_what_the_update_came_to(phase: str, tries: int, came_to: str, tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    store, menu = Store(keeper.place), Menu(keeper.place, programs)
    pending = msgspec.structs.replace(PENDING, phase=phase)
    store.save(Remembered(pending=pending))

    async def start() -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.write(B_TRY=str(tries), TRIAL="B")
        assert await proof.prove(keeper.place, programs)
        return await menu.read()

    told = asyncio.run(start())
    assert (told["TRIAL"], told["A_OK"], told["A_TRY"], told["B_OK"], told["B_TRY"]) == ("", "1", "0", "0", "0")
    remembered = store.load()
    assert remembered.last is not None and remembered.last.outcome == came_to
    assert (remembered.pending, remembered.untold) == (None, True)


def test_an_update_that_was_installed_before_the_proof_of_an_ordinary_start_has_its_trial_at_the_next(
    tmp_path: Path,
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    store, menu = Store(keeper.place), Menu(keeper.place, programs)

    async def start() -> dict[str, str]:
        assert await proof.prove(keeper.place, programs)
        return await menu.read()

    asyncio.run(installed(keeper, a_file(tmp_path)))
    installed_last = store.load().last
    told, remembered = asyncio.run(start()), store.load()
    assert (told["ORDER"], told["B_OK"], told["TRIAL"], told["A_OK"], told["A_TRY"]) == ("B A", "1", "B", "1", "0")
    assert remembered.pending is not None and remembered.last == installed_last
    assert remembered.slots["A"].good, "this one came up"
    (keeper.place.root / "proc/sys/kernel/random/boot_id").write_text("next-start\n")
    told, remembered = asyncio.run(start()), store.load()
    assert (told["B_OK"], told["TRIAL"], remembered.pending) == ("0", "", None)
    assert remembered.last is not None and remembered.last.outcome == "interrupted"


def test_what_has_not_proved_itself_is_out_of_the_menu_before_that_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    (keeper.place.root / "proc/cmdline").write_text("quiet rauc.slot=B\n")
    store, menu = Store(keeper.place), Menu(keeper.place, programs)
    store.save(Remembered(pending=PENDING))
    seen = []

    def remembers(store: Store, last: LastUpdate) -> None:
        seen.append(last.outcome)
        raise OSError(5, "the power is cut")

    monkeypatch.setattr(proof, "proves", owes)
    monkeypatch.setattr(proof, "_close", remembers)

    async def start() -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.activate("B")
        with pytest.raises(OSError, match="power"):
            await proof.prove(keeper.place, programs)
        return await menu.read()

    assert asyncio.run(start())["B_OK"] == "0"
    assert seen == ["fell_back"]


def test_what_has_proved_itself_is_good_in_the_menu_though_the_disk_is_too_full_to_remember_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    (keeper.place.root / "proc/cmdline").write_text("quiet rauc.slot=B linekeep.trial\n")
    menu = Menu(keeper.place, programs)
    Store(keeper.place).save(Remembered(pending=PENDING))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def start() -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.activate("B")
        with pytest.raises(OSError, match="No space"):
            await proof.prove(keeper.place, programs)
        return await menu.read()

    monkeypatch.setattr(proof, "proves", owes_nothing)
    monkeypatch.setattr(Store, "save", full)
    told = asyncio.run(start())
    assert (told["B_OK"], told["B_TRY"], told["TRIAL"]) == ("1", "0", "")


def test_a_good_slot_that_the_menu_has_left_is_told_and_no_longer_the_first(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    store, menu = Store(keeper.place), Menu(keeper.place, programs)
    store.save(Remembered(slots={"B": Held(version="0.3.0")}))

    async def start(environment: dict[str, str]) -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.write(**environment)
        assert await proof.prove(keeper.place, programs)
        return await menu.read()

    told = asyncio.run(start(BOTH | {"A_TRY": "1", "B_TRY": "3"}))
    assert {name: told[name] for name in BOTH} == BOTH | {"ORDER": "A B"}
    remembered = store.load()
    assert remembered.last is not None and remembered.untold
    assert (remembered.last.outcome, remembered.last.version) == ("fell_back", "0.3.0")
    assert remembered.last.message == (
        "Slot B was started three times and did not come up; slot A runs, version 0.2.0."
    )
    store.save(Remembered())
    asyncio.run(start({"A_TRY": "1"}))
    assert store.load().last is None, "it is said once"
    asyncio.run(start(BOTH | {"B_OK": "0"}))
    assert store.load().last is None, "a slot that was given up is not left anew"


def test_what_the_keeper_remembers_during_the_proof_and_its_telling_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    (keeper.place.root / "proc/cmdline").write_text("quiet rauc.slot=B\n")
    store = Store(keeper.place)
    store.save(Remembered(pending=PENDING))
    next_one = msgspec.structs.replace(PENDING, slot="A", version="0.4.0", phase="installing")

    async def proves(*_: object) -> list[str]:
        store.save(msgspec.structs.replace(store.load(), slots={"A": Held(version="0.2.0")}))
        return []

    def hears(*_: object) -> None:
        store.save(msgspec.structs.replace(store.load(), pending=next_one, last=None, untold=False))

    async def start() -> bool:
        await Menu(keeper.place, programs).mend("B", "", Remembered())
        good = await proof.prove(keeper.place, programs)
        assert (remembered := store.load()).last is not None and remembered.last.outcome == "proved"
        await proof.tell(keeper.place)
        return good

    monkeypatch.setattr(proof, "proves", proves)
    monkeypatch.setattr(proof, "_tell", hears)
    assert asyncio.run(start())
    assert store.load().slots == {"A": Held(version="0.2.0"), "B": Held(version="0.2.0", good=True)}
    assert store.load().pending == next_one


def test_a_boot_menu_that_was_torn_is_made_anew_with_the_slot_that_runs(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    torn = keeper.place.root / "efi/grub/grubenv"
    torn.write_bytes(b"")
    menu = Menu(keeper.place, programs)

    async def mended() -> tuple[bool, bool, dict[str, str]]:
        return await menu.mend("B", "abc", Remembered()), await menu.mend("B", "abc", Remembered()), await menu.read()

    first, again, told = asyncio.run(mended())
    assert (first, again) == (True, False)
    assert (told["ORDER"], told["B_OK"], told["A_OK"], told["machine_id"]) == ("B A", "1", "0", "abc")


ON_A = msgspec.structs.replace(PENDING, slot="A")
GOOD = Held(version="0.2.0", good=True)


@pytest.mark.parametrize(
    ("remembered", "menu"),
    [
        (Remembered(), "A B 1 0 "),
        (Remembered(slots={"A": GOOD, "B": GOOD}), "A B 1 1 "),
        (Remembered(slots={"A": GOOD, "B": Held(version="0.3.0")}, pending=PENDING), "A B 1 0 "),
        (Remembered(slots={"A": Held(version="0.3.0"), "B": GOOD}, pending=ON_A), "A B 1 1 A"),
        (Remembered(slots={"A": Held(version="0.3.0"), "B": GOOD}), "B A 0 1 "),
        (Remembered(slots={"B": GOOD}, pending=msgspec.structs.replace(ON_A, phase="installing")), "B A 0 1 "),
    ],
    ids=["nothing", "both good", "trial in B", "trial in A", "A gave up", "A half written"],
)
def test_a_boot_menu_that_is_made_anew_calls_good_what_was(remembered: Remembered, menu: str) -> None:
    told = anew("A", remembered)
    assert f"{told['ORDER']} {told['A_OK']} {told['B_OK']} {told['TRIAL']}" == menu


async def owes(*_: object) -> list[str]:
    return ["the page does not answer"]


async def owes_nothing(*_: object) -> list[str]:
    return []


@pytest.mark.parametrize("slots", [{"A": Held(version="0.2.9"), "B": GOOD}, {}], ids=["gave up before", "on trial"])
def test_a_version_that_runs_because_the_boot_menu_was_torn_does_not_stay_for_that(
    slots: dict[Slot, Held], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    Store(keeper.place).save(Remembered(slots=slots, pending=None if slots else ON_A))
    monkeypatch.setattr(proof, "proves", owes)
    assert not asyncio.run(proof.prove(keeper.place, programs))
    told = asyncio.run(Menu(keeper.place, programs).read())
    assert (told["A_OK"], told["B_OK"]) == ("0", "1")
    assert started({name: told[name] for name in NOTHING}, 2) == "BB"
    assert programs.ran[-2:] == ["systemctl reboot", "grub-editenv list"], "no start on trial: nothing else goes back"


@pytest.mark.parametrize("remembered", [b"", b'{"pending":'], ids=["deleted by a reset", "torn"])
def test_a_version_on_trial_has_to_prove_itself_though_nothing_of_it_is_remembered(
    remembered: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    asyncio.run(installed(keeper, a_file(tmp_path)))
    path = keeper.place.kept / "update.json"
    path.unlink()
    if remembered:
        path.write_bytes(remembered)
    (keeper.place.root / "proc/cmdline").write_text("quiet rauc.slot=B linekeep.trial\n")
    monkeypatch.setattr(proof, "proves", owes)
    programs.ran = []
    assert not asyncio.run(proof.prove(keeper.place, programs))
    told, last = asyncio.run(Menu(keeper.place, programs).read()), Store(keeper.place).load().last
    assert (told["B_OK"], told["A_OK"]) == ("0", "1")
    assert last is not None and (last.outcome, last.version) == ("fell_back", "0.2.0")
    assert last.message == "The page does not answer. The box goes back to the version before."
    assert not any(ran.startswith("systemctl") for ran in programs.ran), "linekeep-give-up.service does that"


def test_a_trial_that_is_forgotten_and_did_not_come_up_is_not_good_either(tmp_path: Path) -> None:
    programs = Programs()
    keeper = box(tmp_path / "root", programs)
    menu = Menu(keeper.place, programs)

    async def start() -> dict[str, str]:
        await menu.mend("A", "", Remembered())
        await menu.write(**BOTH | {"A_TRY": "1", "B_TRY": "3", "TRIAL": "B"})
        assert await proof.prove(keeper.place, programs)
        return await menu.read()

    told = asyncio.run(start())
    assert (told["ORDER"], told["A_OK"], told["B_OK"], told["TRIAL"]) == ("A B", "1", "0", "")


def test_what_is_remembered_may_be_torn(tmp_path: Path) -> None:
    keeper = box(tmp_path / "root", Programs())
    (keeper.place.kept / "update.json").write_bytes(b'{"pending":')
    assert Store(keeper.place).load() == Remembered()
    assert bundle.COMPATIBLE == "linekeep-amd64"


def test_the_daemon_is_told_once_and_raises_an_alarm_where_the_box_went_back(tmp_path: Path) -> None:
    told = {"version": "0.3.0", "message": "No page.", "utc": "2026-11-22T12:00:00Z", "actor": CONSOLE}
    spool.keep(tmp_path / "web/spool", 5, "box.restart", None, {}, CONSOLE)
    with Box(tmp_path, NO_CARD) as running:
        running.call("update.outcome", outcome="proved", **told)
        assert "update_fell_back" not in [alarm["code"] for alarm in running.call("alarm.list")["alarms"]]
        running.call("update.outcome", outcome="fell_back", **told)
        (alarm,) = (one for one in running.call("alarm.list")["alarms"] if one["code"] == "update_fell_back")
        assert alarm["values"] == {"version": "0.3.0", "reason": "No page."}
        entered = [detail for _, detail in journalled(tmp_path, "update.outcome")]
        assert [detail["outcome"] for detail in entered] == ["proved", "fell_back"]
        assert entered[0]["unrecorded"]["from_utc_ns"] == 5, "the keeper was asked for it, without a daemon"


def started(environment: dict[str, str], times: int) -> str:
    """The slots that the boot menu takes, start after start, when none proves itself. GRUB's script is read as the
    shell's, which it is but for `set`."""
    menu = (ROOT / "image/grub.cfg").read_text()
    choice = menu.partition("load_env")[2].partition("\n")[2].partition("save_env")[0]
    script = re.sub(r"\bset (\w+)=([^;\n]*)", r"\1=\2", choice)
    given = "\n".join(f"{name}='{value}'" for name, value in environment.items())
    again = f"{script}\nprintf '%s' \"$slot\"\n" * times
    return subprocess.run(["sh", "-uc", f"{given}\n{again}"], capture_output=True, text=True, check=True).stdout


NOTHING = dict.fromkeys(("ORDER", "A_OK", "A_TRY", "B_OK", "B_TRY", "TRIAL"), "")
BOTH = {"ORDER": "B A", "A_OK": "1", "A_TRY": "0", "B_OK": "1", "B_TRY": "0", "TRIAL": ""}


@pytest.mark.parametrize(
    ("environment", "slots"),
    [
        (BOTH | {"TRIAL": "B"}, "BBBAAAAAA"),
        (BOTH | {"TRIAL": "B", "B_OK": "0", "B_TRY": "1"}, "AAAAAAAAA"),
        (BOTH | {"ORDER": "A B", "B_OK": "0"}, "AAAAAAAAA"),
        (BOTH | {"B_TRY": "2", "A_OK": "0"}, "BBBBBBBBB"),
        (NOTHING, "AAAAAAAAA"),
    ],
)
def test_the_boot_menu_gives_a_slot_three_starts_and_one_on_trial_no_more(
    environment: dict[str, str], slots: str
) -> None:
    assert started(environment, len(slots)) == slots


def test_the_menus_environment_is_written_where_it_stands(tmp_path: Path) -> None:
    """As GRUB's own program would, which makes the file anew: a copy of it lies where the box's finds it."""
    ours, own = tmp_path / "usr/bin/grub-editenv", tmp_path / "usr/lib/linekeep/box/grub-editenv"
    for folder in (ours.parent, own.parent):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "image/root/usr/bin/grub-editenv", ours)
    shutil.copy("/usr/bin/grub-editenv", own)
    there, expected = tmp_path / "grubenv", tmp_path / "expected"
    for program, environment in ((ours, there), (own, expected)):
        subprocess.run([program, environment, "create"], check=True)
    with there.open("rb") as opened:
        for words in (["set", "ORDER=A B", "A_OK=1"], ["unset", "A_OK"], ["set", "TRIAL=B"]):
            subprocess.run([ours, there, *words], check=True)
            subprocess.run([own, expected, *words], check=True)
        assert opened.read() == there.read_bytes() == expected.read_bytes(), "it is the same file"
    assert subprocess.run([ours, there, "list"], capture_output=True, text=True).stdout == "ORDER=A B\nTRIAL=B\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["expected", "grubenv", "usr"]
    damaged = subprocess.run([ours, tmp_path / "none", "set", "A=1"], capture_output=True, text=True)
    assert damaged.returncode != 0 and "none" in damaged.stderr


GIVE_UP_SEES = {
    "systemctl": '[ "$1" != show ] || exec cat "$TRIAL/$4.${2#--property=}" 2>/dev/null\necho "$*" >>"$TRIAL/ran"',
    "grub-editenv": 'exec /usr/bin/grub-editenv "$@"',
    "mountpoint": "",
    "sync": "",
}


class Trial:
    """A box whose version is on trial in slot B, as `box/give-up` finds it; what systemd says of a unit is a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path, text in {"proc/cmdline": "quiet rauc.slot=B linekeep.trial\n", "proc/uptime": "1200.50 9\n"}.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        (folder / "efi/grub").mkdir(parents=True)
        (folder / "bin").mkdir()
        for name, text in GIVE_UP_SEES.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        self.environment = folder / "efi/grub/grubenv"
        self.editenv("create")
        self.editenv("set", "A_OK=1", "B_OK=1", "B_TRY=1", "TRIAL=B")

    def editenv(self, *words: str) -> str:
        return subprocess.run(
            ["grub-editenv", self.environment, *words], check=True, capture_output=True, text=True
        ).stdout

    def says(self, unit: str, **properties: str) -> None:
        for name, value in properties.items():
            (self.folder / f"{unit}.{name}").write_text(f"{value}\n")

    def given_up(self) -> bool:
        own = (ROOT / "image/root/usr/lib/linekeep/box/give-up").read_text()
        script = re.sub(r"(?<=[ >])/(?=proc/|efi\b|dev/kmsg)", f"{self.folder}/", own)
        (self.folder / "dev").mkdir(exist_ok=True)
        around = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "TRIAL": str(self.folder)}
        subprocess.run(["sh", "-c", script], env=around, check=True)
        restarted = (self.folder / "ran").exists() and "reboot" in (self.folder / "ran").read_text()
        assert restarted == (self.environment.stat().st_size == 0 or "B_OK=0" in self.editenv("list"))
        return restarted


MADE_ANEW = "The list of recordings is made anew: 70000"


@pytest.mark.parametrize(
    ("daemon", "said", "proof_is", "job", "given_up"),
    [
        ("start", MADE_ANEW, "inactive", "57", False),
        ("start", "", "inactive", "57", True),
        ("running", MADE_ANEW, "inactive", "57", False),
        ("running", MADE_ANEW, "inactive", "", True),
        ("running", "ok", "activating", "57", False),
        ("running", "ok", "active", "", False),
        ("running", "ok", "failed", "", True),
        ("auto-restart", "", "failed", "", True),
    ],
)
def test_a_version_is_not_given_up_while_its_proof_has_time(
    daemon: str, said: str, proof_is: str, job: str, given_up: bool, tmp_path: Path
) -> None:
    box = Trial(tmp_path)
    box.says("linekeep.service", SubState=daemon, StatusText=said)
    box.says("linekeep-proof.service", ActiveState=proof_is, Job=job)
    assert box.given_up() == given_up


@pytest.mark.parametrize(
    ("data", "opened_s", "job", "given_up"),
    [
        ("activating", 0, "57", False),
        ("active", 1190, "57", False),
        ("active", 1190, "", True),
        ("active", 5, "57", True),
        ("failed", 0, "", True),
    ],
    ids=["no key", "a late key", "a late key, but nothing mounts it", "long open", "cannot be used"],
)
def test_a_version_is_not_given_up_for_a_key_that_nobody_brings(
    data: str, opened_s: int, job: str, given_up: bool, tmp_path: Path
) -> None:
    box = Trial(tmp_path)
    box.says("linekeep-data.service", ActiveState=data, ActiveEnterTimestampMonotonic=f"{opened_s}000000")
    box.says("linekeep.service", SubState="dead", StatusText="")
    box.says("linekeep-proof.service", ActiveState="inactive", Job=job)
    assert box.given_up() == given_up


@pytest.mark.parametrize(
    ("menu", "given_up"),
    [(["TRIAL=B"], True), (["TRIAL="], False), (["TRIAL=A"], False), (["TRIAL=", "B_OK=0"], True)],
    ids=["on trial", "proved", "proved, and another waits", "never good, and the menu was made anew"],
)
def test_a_version_that_has_proved_itself_is_not_given_up_for_what_failed_after_that(
    menu: list[str], given_up: bool, tmp_path: Path
) -> None:
    box = Trial(tmp_path)
    box.editenv("set", *menu)
    box.says("linekeep-proof.service", ActiveState="failed")
    assert box.given_up() == given_up


def test_a_version_is_given_up_where_the_boot_menu_cannot_be_read(tmp_path: Path) -> None:
    box = Trial(tmp_path)
    box.environment.write_bytes(b"")
    assert box.given_up()


def test_a_version_with_which_systemd_says_nothing_is_given_up(tmp_path: Path) -> None:
    assert Trial(tmp_path).given_up()


def test_systemd_ends_a_proof_that_hangs_and_no_other() -> None:
    unit = (ROOT / "image/root/usr/lib/systemd/system/linekeep-proof.service").read_text()
    limit = re.search(r"^RuntimeMaxSec=(\d+)min$", unit, re.MULTILINE)
    assert limit is not None and int(limit[1]) * 60 - 120 > proof.PATIENCE_S + proof.TELL_S
