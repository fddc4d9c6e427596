"""The watchdog's rule, the disk's figures, and what reaches systemd."""

import os
import socket
from pathlib import Path

import pytest

from firmware.clock import NS
from firmware.health import Disk, Systemd, is_full, is_low, overdue, word
from firmware.wire import AlarmCounts, CardStatus, DiskStatus, WriterStatus


def card(age_s: float, state: str = "running") -> CardStatus:
    return CardStatus(
        name="sim0", kind="simulated", simulated=True, law="alaw", lines=8, state=state, last_block_age_s=age_s
    )


@pytest.mark.parametrize(
    ("cards", "writer", "alarms", "hangs"),
    [
        ([], WriterStatus(), set(), 0),
        ([card(1.9)], WriterStatus(open=3, last_sync_age_s=4.9), set(), 0),
        ([card(2.1)], WriterStatus(), set(), 1),
        ([card(2.1), card(0.0)], WriterStatus(open=1, last_sync_age_s=5.1), set(), 2),
        ([card(2.1)], WriterStatus(), {("card_stopped", "card sim0")}, 1),
        ([card(2.1), card(0.0)], WriterStatus(), {("card_stopped", "card sim0")}, 0),
        ([card(99.0, "alarm")], WriterStatus(), {("card_stopped", "card sim0")}, 0),
        ([card(99.0, "stopped")], WriterStatus(), set(), 0),
        ([card(0.0)], WriterStatus(open=0, last_sync_age_s=999.0), set(), 0),
        ([card(0.0)], WriterStatus(open=1, last_sync_age_s=6.0), {("writer_behind", "writer")}, 0),
        ([card(0.0)], WriterStatus(open=1, last_sync_age_s=6.0), {("disk_full", "disk")}, 0),
    ],
)
def test_the_watchdog_is_fed_while_what_hangs_stands_in_alarm(
    cards: list[CardStatus], writer: WriterStatus, alarms: set[tuple[str, str]], hangs: int
) -> None:
    hanging = overdue(cards, writer, lambda code, thing: (code, thing) in alarms)
    assert len(hanging) == hangs
    assert all("has" in sentence for sentence in hanging)


def test_the_word_over_everything() -> None:
    assert word(AlarmCounts(), []) == "ok"
    assert word(AlarmCounts(open=1, worst="minor"), []) == "warning"
    assert word(AlarmCounts(open=1, worst="warning"), []) == "warning"
    assert word(AlarmCounts(open=1, worst="major"), []) == "alarm"
    assert word(AlarmCounts(open=1, worst="critical"), []) == "alarm"
    assert word(AlarmCounts(), ["the writer hangs"]) == "alarm"


def test_days_left_follow_the_recent_rate(tmp_path: Path) -> None:
    disk = Disk(tmp_path, minimum_free_mb=1)
    minute = 60 * NS
    rate_per_minute = 6_000_000
    status = disk.measure(0, 0, 0)
    assert status.days_left is None
    assert disk.measure(9 * minute, 9 * rate_per_minute, 0).days_left is None
    for n in range(10, 3 * 24 * 60):
        status = disk.measure(n * minute, n * rate_per_minute, 77)
    assert status.recordings_bytes == 77
    days = (status.free_bytes - 1_000_000) / rate_per_minute / 1440
    assert status.days_left == pytest.approx(days, abs=0.051), "it is told to a tenth of a day"
    for n in range(3 * 24 * 60, 5 * 24 * 60):
        status = disk.measure(n * minute, 3 * 24 * 60 * rate_per_minute, 77)
    assert status.days_left is None, "nothing was recorded for a day"


def test_the_alarm_comes_long_before_the_end() -> None:
    def free(free_bytes: int) -> DiskStatus:
        return DiskStatus(
            path="x", total_bytes=10_000, free_bytes=free_bytes, minimum_free_bytes=100, recordings_bytes=0
        )

    assert [is_low(free(n)) for n in (400, 399)] == [False, True]
    assert [is_full(free(n)) for n in (100, 99)] == [False, True]


def test_systemd_hears_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        systemd = Systemd()
        assert systemd.period_s == 1.5
        systemd.tell("READY=1")
        assert listener.recv(100) == b"READY=1"
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
        assert Systemd().period_s is None
        listener.close()
        with pytest.raises(OSError):
            systemd.tell("WATCHDOG=1")
        systemd.close()


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert Systemd().period_s is None
    Systemd().tell("READY=1")
