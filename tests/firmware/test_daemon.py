"""The daemon as it is started on a box: a process of its own, real sockets, a real data folder."""

import errno
import resource
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from firmware import spool
from firmware.clock import SystemClock
from firmware.sheet.sealed import PURPOSE
from firmware.wire import Client, DaemonError, Status
from recorder import identity
from recorder import spool as kept
from recorder.catalogue import Catalogue
from recorder.ledger import Ledger
from recorder.model import Query, Recording, State, StopReason
from recorder.spool import LONGEST_DETAIL
from recorder.wav import load
from tests.box import Box, Process, wait_for
from tests.material import stretch, write_wav

CONSOLE = {"kind": "console", "name": "root"}
ME = {"kind": "user", "name": "wang"}
CARD = '[[card]]\nlines = 4\nscenario = "none"\n'


def rows(data: Path) -> list[Recording]:
    catalogue = Catalogue.open_readonly(data)
    try:
        return list(catalogue.search(Query(states=tuple(State))).rows)
    finally:
        catalogue.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), CARD) as box:
        yield box


@pytest.fixture
def client(box: Box) -> Iterator[Client]:
    with box.client() as client:
        yield client


@pytest.fixture(scope="module")
def recorded(box: Box, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The handle of a finished recording by key."""
    begun = box.call("key", line=2, on=True, actor=ME)["handle"]
    wait_for("some audio", lambda: box.call("lines")["lines"][1]["recorded_s"] > 0.3)
    assert box.call("key", line=2, on=False, actor=ME)["handle"] == begun
    wait_for(
        "the sealed recording",
        lambda: any((row.handle, row.state) == (begun, State.SEALED) for row in rows(box.data)),
    )
    return str(begun)


def refused(client: Client, do: str, **fields: Any) -> str:
    with pytest.raises(DaemonError) as error:
        client.call(do, **fields)
    assert error.value.message
    return error.value.code


def test_an_operation_says_no_more_of_itself_than_the_journal_takes(client: Client) -> None:
    assert refused(client, "operation", act="search", detail={"words": "x" * LONGEST_DETAIL}, actor=ME) == "refused"
    client.call("operation", act="search", detail={"words": "x" * (LONGEST_DETAIL - 100)}, actor=ME)


def test_it_says_who_and_how_it_is(client: Client, box: Box) -> None:
    hello = client.call("hello")
    assert hello["simulated"] is True
    assert hello["pid"] == box.daemon.process.pid
    status = msgspec.convert(client.call("status"), Status)
    assert (status.run, status.health) == (hello["run"], "ok")
    assert status.lines["total"] == 4
    (card,) = status.cards
    assert (card.name, card.state, card.lines, card.law) == ("sim0", "running", 4, "alaw")
    assert status.disk.free_bytes > 0
    assert [line["line"] for line in client.call("lines")["lines"]] == [1, 2, 3, 4]


def local_date(utc_ns: int, offset_s: int) -> date:
    return datetime.fromtimestamp(utc_ns / 1e9, timezone(timedelta(seconds=offset_s))).date()


def test_a_call_is_watched_from_its_digits_to_its_recording(client: Client, box: Box, tmp_path: Path) -> None:
    wave = write_wav(tmp_path / "talk.wav", stretch(1, 1.5))
    reports = client.stream("watch", what=["lines", "recordings", "durable"], interval_ms=200)
    first = next(reports)
    assert len(first["lines"]) == 4, "the first report has all lines"
    client.call("sim.call", line=1, callee="62345678", audio=str(wave), law_exact=True, answer_after_s=0.1)
    states, changes, durable, handle = set(), [], 0, None
    for event in reports:
        if event["event"] == "lines":
            states |= {line["state"] for line in event["lines"] if line["line"] == 1}
        elif event["event"] == "durable" and event["line"] == 1:
            assert event["samples"] >= durable
            durable, handle = event["samples"], event["handle"]
        elif event["event"] == "recording" and event["recording"]["line"] == 1:
            changes.append(event["change"])
            if event["change"] == "sealed":
                break
    reports.close()
    assert (changes[0], changes[-1]) == ("started", "sealed")
    assert set(changes[1:-1]) == {"known"}, "the number as soon as it was dialled"
    assert event["recording"]["handle"] == handle
    assert event["recording"]["number"] == "62345678"
    assert event["recording"]["samples"] >= max(durable, 12_000)
    assert {"dialling", "talking"} <= states
    status = client.call("status")
    known = rows(box.data)
    today = local_date(status["clock"]["utc_ns"], status["clock"]["utc_offset_s"])
    of_today = [row for row in known if local_date(row.start_utc_ns, row.utc_offset_s) == today]
    assert known and status["recordings"]["today"] == len(of_today)


def test_a_line_is_heard_live(client: Client, tmp_path: Path) -> None:
    source = stretch(3, 3.0)
    wave = write_wav(tmp_path / "talk.wav", source)
    audio = client.stream("listen", line=3)
    next(audio)
    assert client.call("lines")["lines"][2]["listeners"] == 1
    client.call("sim.call", line=3, callee="62345678", audio=str(wave), law_exact=True, answer_after_s=0.1)
    heard, following = b"", None
    while source[:4000].tobytes() not in heard:
        event = next(audio)
        assert (event["event"], event["law"]) == ("audio", "alaw")
        assert following is None or event["first_sample"] == following + event["lost"]
        heard = (heard + event["data"])[-200_000:]
        following = event["first_sample"] + len(event["data"])
    audio.close()
    wait_for("the listener gone", lambda: client.call("lines")["lines"][2]["listeners"] == 0)


def test_trash_undelete_note_and_tags_are_durable_and_named(client: Client, box: Box, recorded: str) -> None:
    nobody = "0" * 32
    trashed = client.call("trash", handles=[recorded, nobody], reason="user", actor=ME)
    assert trashed["done"] == [recorded]
    assert [failed["handle"] for failed in trashed["failed"]] == [nobody]
    assert next(row for row in rows(box.data) if row.handle == recorded).state is State.TRASH
    again = client.call("trash", handles=[recorded], reason="user", actor=ME)
    assert again["done"] == []
    assert client.call("undelete", handles=[recorded], actor=ME)["done"] == [recorded]
    client.call("note", handle=recorded, text="回电", actor=ME)
    client.call("tags", handle=recorded, tags=["keep", "投诉"], actor={"kind": "console", "name": "forged"})
    client.call("operation", act="listen", handle=recorded, detail={"from_s": 0}, actor=ME)
    catalogue = Catalogue.open_readonly(box.data)
    row = catalogue.get(recorded)
    acts = [(entry.act, entry.actor) for entry in reversed(catalogue.operations(recorded))]
    catalogue.close()
    assert (row.state, row.tags, row.notes) == (State.SEALED, ("keep", "投诉"), 1)
    assert [act for act, _ in acts] == ["trash", "undelete", "note", "tags", "listen"]
    assert {actor for act, actor in acts if act != "tags"} == {"user:wang"}
    console = next(actor for act, actor in acts if act == "tags")
    assert console.startswith("console:")
    assert "forged" not in console, "the kernel says who is on the console"


def test_the_setup_code_makes_the_first_account_once(client: Client, box: Box) -> None:
    code = box.daemon.line("setup code: ")
    user = {"name": "wang", "password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "roles": ["administrator"]}
    assert client.call("setup.check", code="AAAA-AAAA-AAAA-AAAA")["valid"] is False
    assert client.call("setup.check", code=code.lower())["valid"] is True
    assert refused(client, "setup.finish", code="wrong", user=user, actor=ME) == "refused"
    client.call("setup.finish", code=code, user=user, actor=ME)
    assert client.call("setup.check", code=code)["valid"] is False
    assert refused(client, "setup.finish", code=code, user=user, actor=ME) == "refused"
    client.call("user.put", user={"name": "wang", "language": "en"}, actor=ME)
    assert refused(client, "user.put", user={"name": "li"}, actor=ME) == "bad_request"
    assert refused(client, "user.reset", actor=ME) == "refused"
    fresh = client.call("user.reset", actor={"kind": "console", "name": "x"})["code"]
    assert client.call("setup.check", code=fresh)["valid"] is True


def test_an_acceptance_sheet_is_signed_with_the_boxs_key_and_journalled(client: Client, box: Box) -> None:
    digest = "5d" * 32
    fields: dict[str, Any] = {"sha256": digest, "verdict": "accepted", "lines": 4}
    answer = client.call("accept", actor={"kind": "console", "name": "nobody"}, **fields)
    public = bytes.fromhex(answer["public_key"])
    assert public == identity.public_of(box.data)
    assert identity.good(public, PURPOSE, answer["statement"].encode(), bytes.fromhex(answer["signature"]))
    said = msgspec.json.decode(answer["statement"])
    assert said["fingerprint"] == identity.fingerprint(public) == client.call("status")["key_fingerprint"]
    # Who it was is the kernel's word, not the request's.
    assert (said["sha256"], said["verdict"], said["lines"]) == (digest, "accepted", 4)
    assert said["actor"].startswith("console:") and said["actor"] != "console:nobody"
    catalogue = Catalogue.open_readonly(box.data)
    (entered,) = [one for one in catalogue.operations(None, 100) if one.act == "accept"]
    catalogue.close()
    assert (entered.actor, entered.detail) == (said["actor"], fields)
    assert refused(client, "accept", actor=ME, sha256="no digest", verdict="accepted", lines=1) == "bad_request"


def test_a_damaged_key_is_an_alarm_recording_goes_on_and_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "key.pem").write_text("scratched")
    with Box(tmp_path, CARD) as box, box.client() as client:
        (alarm,) = [one for one in client.call("alarm.list")["alarms"] if one["code"] == "identity_unusable"]
        assert "damaged" in alarm["values"]["reason"]
        status = client.call("status")
        assert (status["key_fingerprint"], status["cards"][0]["state"]) == ("", "running")
        assert refused(client, "accept", actor=ME, sha256="5d" * 32, verdict="accepted", lines=1) == "refused"
        assert (tmp_path / "identity" / "key.pem").read_text() == "scratched"


def test_a_cut_line_is_an_alarm_until_it_is_mended(client: Client) -> None:
    client.call("sim.cut", line=4, on=True)
    alarm = wait_for("the alarm", lambda: next(iter(client.call("alarm.list")["alarms"]), None))
    assert (alarm["code"], alarm["object"], alarm["severity"]) == ("line_cut", "line 4", "major")
    assert client.call("status")["health"] == "alarm"
    client.call("alarm.ack", alarm=alarm["id"], actor=ME)
    (alarm,) = client.call("alarm.list")["alarms"]
    client.call("sim.cut", line=4, on=False)
    (over,) = wait_for(
        "its end", lambda: [a for a in client.call("alarm.list")["alarms"] if a["resolved_utc_ns"]] or None
    )
    assert (over["id"], over["acknowledged_by"]) == (alarm["id"], "user:wang")
    assert refused(client, "alarm.ack", alarm=alarm["id"], actor=ME) == "not_found"


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("dance", {}, "bad_request"),
    ("hello", {"more": 1}, "bad_request"),
    ("key", {"line": 1, "on": True}, "bad_request"),
    ("key", {"line": 99, "on": True, "actor": ME}, "not_found"),
    ("key", {"line": 1, "on": "yes", "actor": ME}, "bad_request"),
    ("trash", {"handles": [], "reason": "", "actor": ME}, "bad_request"),
    ("trash", {"handles": ["x"], "reason": "", "actor": ME}, "bad_request"),
    ("note", {"handle": "0" * 32, "text": "x", "actor": ME}, "not_found"),
    ("note", {"handle": "0" * 32, "text": "x" * 4001, "actor": ME}, "bad_request"),
    ("operation", {"act": "erase", "actor": ME}, "bad_request"),
    ("watch", {"what": ["everything"]}, "bad_request"),
    ("watch", {"what": ["lines"], "interval_ms": 1}, "bad_request"),
    ("listen", {"line": 99}, "not_found"),
    ("sim.call", {"line": 1, "audio": "/nowhere.wav"}, "refused"),
    ("sim.cut", {"line": 99, "on": True}, "not_found"),
]


@pytest.mark.parametrize(("do", "fields", "code"), BROKEN)
def test_a_broken_request_gets_its_answer_and_harms_nothing(
    client: Client, do: str, fields: dict[str, Any], code: str
) -> None:
    if do in ("watch", "listen"):
        with pytest.raises(DaemonError) as error:
            next(client.stream(do, **fields))
        assert error.value.code == code
    else:
        assert refused(client, do, **fields) == code
    assert client.call("hello")["simulated"] is True


def test_sigterm_seals_what_is_open_and_the_folder_is_given_back(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        handle = box.call("key", line=1, on=True, actor=ME)["handle"]
        wait_for("audio on the disk", lambda: box.call("status")["writer"]["written_bytes"] > 4000)
        box.stop()
        assert not (tmp_path / "control.sock").exists()
        (row,) = rows(tmp_path)
        file = load(tmp_path / row.path)
        assert (row.handle, row.state) == (handle, State.SEALED)
        assert file.sealed
        assert file.end is not None
        assert file.end.stop_reason is StopReason.SHUTDOWN
        box.start()
        assert box.call("status")["recordings"]["total"] == 1


def test_a_killed_daemon_comes_back_with_an_alarm_and_the_spool_is_taken(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        handle = box.call("key", line=1, on=True, actor=ME)["handle"]
        wait_for("audio on the disk", lambda: box.call("status")["writer"]["written_bytes"] > 12_000)
        box.kill()
        folder = tmp_path / "web" / "spool"
        folder.mkdir(parents=True)
        access = {"id": "a1", "utc_ns": 5, "act": "listen", "handle": handle, "detail": {}, "actor": ME}
        (folder / "1-a1.json").write_bytes(msgspec.json.encode(access))
        (folder / "2-a2.json").write_text("{")
        endless = {**access, "id": "a3", "detail": {"words": "x" * LONGEST_DETAIL}}
        (folder / "3-a3.json").write_bytes(msgspec.json.encode(endless))
        resumed = {**access, "id": "a4", "utc_ns": 6, "act": "box.resume", "handle": None, "actor": CONSOLE}
        (folder / "4-a4.json").write_bytes(msgspec.json.encode(resumed))
        (folder / "5-a5.json").write_bytes(msgspec.json.encode({**resumed, "id": "a5", "act": "box.dance"}))
        box.start()
        alarms = {(alarm["code"], alarm["object"]): alarm for alarm in box.call("alarm.list")["alarms"]}
        assert alarms["recovered", "recordings"]["values"] == {"count": 1}
        assert ("foreign_file", "web/spool/2-a2.json") in alarms
        assert "bytes" in alarms["foreign_file", "web/spool/3-a3.json"]["values"]["reason"]
        (row,) = rows(tmp_path)
        assert (row.handle, row.stop_reason, row.recovered) == (handle, StopReason.RECOVERED, True)
        catalogue = Catalogue.open_readonly(tmp_path)
        (heard,) = [entry for entry in catalogue.operations(handle) if entry.act == "listen"]
        (helped,) = [entry for entry in catalogue.operations() if entry.act == "box.resume"]
        catalogue.close()
        assert (heard.actor, heard.detail["utc_ns"]) == ("user:wang", 5)
        assert (helped.actor, helped.detail) == ("console:root", {"spool": "a4", "utc_ns": 6})
        assert sorted(path.name for path in folder.iterdir()) == ["2-a2.json", "3-a3.json", "5-a5.json"]


def test_an_access_that_cannot_be_removed_is_told_and_entered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "web" / "spool"
    path = kept.keep(folder, 5, "search", None, {"text": "pump"}, CONSOLE)

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with closing(Ledger.open(tmp_path, SystemClock(), Random(1))) as ledger:
        with monkeypatch.context() as folder_of_somebody_else:
            folder_of_somebody_else.setattr(Path, "unlink", refused)
            for _ in range(2):
                [(left, why)] = spool.take(ledger, folder)
                assert left == path and "cannot be removed: Permission denied" in why
        assert spool.take(ledger, folder) == []
        assert [entry.actor for entry in ledger.catalogue.operations() if entry.act == "search"] == ["console:root"]
    assert not path.exists()


def test_a_broken_journal_is_an_alarm_and_recording_goes_on(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        box.call("operation", act="sign_in", handle=None, detail={}, actor=ME)
        box.call("operation", act="sign_out", handle=None, detail={}, actor=ME)
        box.stop()
        path = tmp_path / "journal" / "000001.journal"
        damaged = path.read_bytes().replace(b'"sign_in"', b'"sign_up"', 1)
        path.write_bytes(damaged)
        box.start()
        for _ in range(2):
            (alarm,) = [one for one in box.call("alarm.list")["alarms"] if one["code"] == "journal_broken"]
            assert (alarm["severity"], alarm["count"]) == ("critical", 1)
            assert "journal/000001.journal: the chain is broken at entry" in alarm["values"]["reason"]
            box.stop()
            box.start()
        handle = box.call("key", line=1, on=True, actor=ME)["handle"]
        wait_for("some audio", lambda: box.call("lines")["lines"][0]["recorded_s"] > 0.3)
        box.call("key", line=1, on=False, actor=ME)
        wait_for(
            "the sealed recording",
            lambda: [(row.handle, row.state) for row in rows(tmp_path)] == [(handle, State.SEALED)],
        )
        assert path.read_bytes() == damaged


def failed(*arguments: str) -> tuple[int, str]:
    daemon = Process("-m", "firmware", *arguments)
    code = daemon.process.wait(60)
    daemon.stop()
    return code, "".join(daemon.output)


def test_a_second_daemon_is_told_who_is_there(box: Box) -> None:
    code, said = failed("--data", str(box.data))
    assert code == 3
    assert f"in use by process {box.daemon.process.pid}" in said
    assert "Traceback" not in said
    assert box.call("hello")["pid"] == box.daemon.process.pid


def test_a_bad_configuration_is_named_and_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "linekeep.toml").write_text("[storage]\ntrash_days = -1\n")
    code, said = failed("--data", str(tmp_path))
    assert code == 2
    assert "line 2: trash_days in [storage] is -1; it must be a number from 0 to 36500 days" in said
    assert [path.name for path in tmp_path.iterdir()] == ["linekeep.toml"]
    code, said = failed("--data", str(tmp_path / "new"), "--config", str(tmp_path / "none.toml"))
    assert (code, (tmp_path / "new").exists()) == (2, False)
    assert "none.toml: cannot be read" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = failed("--data", str(tmp_path / "file" / "data"))
    assert code == 3
    assert f"The data folder {tmp_path / 'file' / 'data'} cannot be written" in said
    code, said = failed("--data", "/proc/linekeep")
    assert code == 3
    assert "--data" in said


def test_a_first_start_writes_a_configuration(box: Box, tmp_path: Path) -> None:
    with Box(tmp_path / "first") as first:
        assert first.call("status")["lines"]["total"] == 8
        assert "# Linekeep's configuration." in (first.data / "linekeep.toml").read_text()


def test_a_configuration_that_is_looked_at_is_refused_by_name_and_the_box_goes_on(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        (tmp_path / "linekeep.toml").write_text("[box]\nnme = 1\n")
        box.daemon.process.send_signal(signal.SIGHUP)
        alarm = wait_for("the alarm", lambda: next(iter(box.call("alarm.list")["alarms"]), None))
        assert alarm["code"] == "configuration_rejected"
        assert "line 2" in alarm["values"]["reason"]
        (tmp_path / "linekeep.toml").write_text(CARD + 'name = "b"\n')
        box.daemon.process.send_signal(signal.SIGHUP)
        box.daemon.line("the configuration is good; it takes effect at the next start")
        box.stop()


def test_a_journal_that_was_lost_is_an_alarm(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        box.stop()
        (tmp_path / "journal").rename(tmp_path / "gone")
        box.start()
        alarms = [alarm["code"] for alarm in box.call("alarm.list")["alarms"]]
        assert "journal_broken" in alarms
        box.stop()


def test_a_corrupt_file_is_named_and_left_alone_and_recording_goes_on(tmp_path: Path) -> None:
    with Box(tmp_path, CARD) as box:
        first = box.call("key", line=1, on=True, actor=ME)["handle"]
        wait_for("audio on the disk", lambda: box.call("status")["writer"]["written_bytes"] > 12_000)
        box.call("key", line=1, on=False, actor=ME)
        wait_for("its end", lambda: box.call("status")["recordings"]["total"] == 1)
        box.stop()
        (row,) = rows(tmp_path)
        foreign = (tmp_path / row.path).with_name("foreign.wav")
        foreign.write_bytes(b"RIFF\xff\xff\xff\xffWAVEjunk" + bytes(range(256)) * 40)
        before = foreign.read_bytes()
        box.start()
        (alarm,) = box.call("alarm.list")["alarms"]
        assert (alarm["code"], alarm["object"]) == ("foreign_file", str(foreign.relative_to(tmp_path)))
        assert foreign.read_bytes() == before
        second = box.call("key", line=2, on=True, actor=ME)["handle"]
        wait_for("audio on the disk", lambda: box.call("status")["writer"]["written_bytes"] > 12_000)
        box.stop()
        assert {row.handle for row in rows(tmp_path)} == {first, second}


def test_many_lines_may_open_many_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with Box(tmp_path, CARD) as box:
            limit = resource.prlimit(box.daemon.process.pid, resource.RLIMIT_NOFILE)[0]
            box.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limit == 4 * 4 + 1024


def test_a_disk_that_fills_up_is_an_alarm_long_before_the_end(tmp_path: Path) -> None:
    free_mb = shutil.disk_usage(tmp_path).free // 1_000_000
    with Box(tmp_path, f"[storage]\nminimum_free_mb = {free_mb // 2}\n" + CARD) as box:
        alarm = wait_for("the alarm", lambda: next(iter(box.call("alarm.list")["alarms"]), None))
        assert (alarm["code"], alarm["severity"]) == ("disk_low", "major")
        assert 0 < alarm["values"]["free_mb"] < 4 * (free_mb // 2)
        box.stop()


def test_a_box_without_cards_is_alive_in_alarm(tmp_path: Path) -> None:
    with Box(tmp_path, "card = []\n") as box:
        status = box.call("status")
        assert (status["health"], status["alarms"]["worst"], status["cards"]) == ("alarm", "critical", [])
        with box.client() as client:
            assert refused(client, "sim.scenario", on=True) == "not_simulated"
        box.stop()


def test_systemd_hears_ready_the_watchdog_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")

        def hear() -> None:
            while heard[-1:] != ["STOPPING=1"]:
                heard.append(listener.recv(4096).decode())

        hearing = threading.Thread(target=hear)
        hearing.start()
        with Box(tmp_path / "data", CARD) as box:
            wait_for("three feeds", lambda: heard.count("WATCHDOG=1") >= 3)
            wait_for("a status", lambda: any(said.startswith("STATUS=ok") for said in heard))
            box.stop()
        hearing.join(60)
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
