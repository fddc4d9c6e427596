"""The wizard on a running box: measured on a simulated line, written to the file, in force at once and later."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsp import g711
from firmware.config_file import load
from firmware.wire import AsyncClient, DaemonError
from recorder.catalogue import Catalogue
from recorder.model import Query, Recording, Trigger
from recorder.wav import load as load_recording
from tests.box import Box, wait_for
from tests.material import stretch, talk, write_wav

ME = {"kind": "console", "name": "somebody"}
CONFIGURATION = """# The depot's box.
[recording]
off_hook_volts = 5.0   # far too low: no telephone falls below it

[[card]]
kind = "simulated"
lines = 4
scenario = "none"

[[line]]
number = 2
name = "Gate"   # the old one

[storage]
minimum_free_mb = 1
"""
SILENCE_S, TALK_S = 12.0, 60.0


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call in which first nobody speaks."""
    silence = np.zeros(round(SILENCE_S * 8000), np.int16)
    speech = (talk()[: round(TALK_S * 8000)] * 0.3).astype(np.int16)
    return write_wav(tmp_path_factory.mktemp("sound") / "call.wav", g711.alaw_encode(np.concatenate([silence, speech])))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("learn") / "data", CONFIGURATION) as box:
        yield box


def snapshot(box: Box, line: int) -> dict[str, Any]:
    return next(each for each in box.call("lines")["lines"] if each["line"] == line)


def measure(box: Box, line: int, step: str, before: list[Any], seconds: float = 2.0) -> tuple[list[Any], Any, Any]:
    """Progress, measurement and refusal."""
    with box.client() as client:
        events = list(client.stream("learn.measure", line=line, step=step, seconds=seconds, before=before))
    assert [each["event"] for each in events[-2:]] == ["measured", "end"]
    assert {each["event"] for each in events[:-2]} == {"progress"}
    return events[:-2], events[-2]["measurement"], events[-2]["refused"]


def learned(box: Box, line: int, wave: Path) -> list[Any]:
    """All four steps, on a call that is made after the first."""
    done: list[Any] = []

    def take(step: str) -> None:
        _, measurement, refused = measure(box, line, step, done)
        assert refused is None, (refused, measurement)
        done.append(measurement)

    wait_for("the battery", lambda: snapshot(box, line)["volts"])
    take("on_hook")
    box.call("sim.call", line=line, audio=str(wave), callee="95", answer_after_s=1.0, law_exact=False)
    wait_for("the telephone to be lifted", lambda: snapshot(box, line)["volts"] < 20 or None)
    take("off_hook")
    wait_for("the silence after dial tone, digits and ring-back", lambda: quiet_for(box, line, 1.2))
    take("silence")
    wait_for("talk", lambda: snapshot(box, line)["level_dbm0"] > -35 or None)
    take("talk")
    return done


def quiet_for(box: Box, line: int, seconds: float) -> bool | None:
    """Half a minute at most is looked at; pauses of tones are shorter than what is asked for."""
    with box.client() as client, closing(client.stream("watch", what=["lines"], interval_ms=200)) as reports:
        quiet_since: float | None = None
        for report in reports:
            for each in report["lines"]:
                if each["line"] != line:
                    continue
                if each["level_dbm0"] > -45:
                    quiet_since = None
                elif quiet_since is None:
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since > seconds:
                    return True
    return None


def recordings(box: Box, line: int) -> list[Recording]:
    with closing(Catalogue.open_readonly(box.data)) as catalogue:
        return list(catalogue.search(Query(lines=(line,))).rows)


def test_a_telephone_that_stayed_down_and_a_call_without_talk_are_refused(box: Box) -> None:
    wait_for("the battery", lambda: snapshot(box, 1)["volts"])
    progress, rest, refused = measure(box, 1, "on_hook", [], 1.0)
    assert refused is None
    assert len(progress) >= 5
    assert progress[-1]["seconds"] == 1.0
    assert progress[-1]["volts"] == pytest.approx(rest["volts"]["mean"], abs=1)
    _, lifted, refused = measure(box, 1, "off_hook", [rest], 1.0)
    assert refused["code"] == "volts_unchanged"
    _, silence, refused = measure(box, 1, "silence", [rest], 1.0)
    assert refused is None
    _, talked, refused = measure(box, 1, "talk", [rest, silence], 1.0)
    assert refused["code"] == "nobody_spoke"
    with pytest.raises(DaemonError, match="step off_hook was not measured"):
        box.call("learn.propose", line=1, measurements=[rest, silence])
    with pytest.raises(DaemonError, match="differ by only"):
        box.call("learn.propose", line=1, measurements=[rest, lifted, silence, talked])
    assert snapshot(box, 1)["listeners"] == 0


def test_what_is_learned_is_written_acts_at_once_and_after_a_start(box: Box, wave: Path) -> None:
    begun = box.call("learn.begin", line=2)
    assert begun["steps"] == ["on_hook", "off_hook", "silence", "talk"]
    assert begun["now"]["off_hook_volts"] == 5.0
    proposal = box.call("learn.propose", line=2, measurements=learned(box, 2, wave))["proposal"]
    values = {each["key"]: each["value"] for each in proposal["proposed"]}
    assert values["trigger"] == "voltage"
    assert 15 < values["off_hook_volts"] < 35
    assert -58 < values["vox_level_dbm0"] < -25

    assert snapshot(box, 2)["state"] == "idle", "5 V were far too low"
    assert recordings(box, 2) == []
    answer = box.call("learn.apply", line=2, actor=ME, **values)
    assert answer["live"] is True
    assert answer["changed"]["off_hook_volts"] == [5.0, values["off_hook_volts"]]
    wait_for("the call to be recorded", lambda: snapshot(box, 2)["recording"])

    text = (box.data / "linekeep.toml").read_text()
    assert "# far too low: no telephone falls below it" in text and "# the old one" in text
    assert (box.data / "linekeep.toml.1").read_text() == CONFIGURATION
    lines = load(box.data / "linekeep.toml").lines
    assert {key: getattr(lines[1].recording, key) for key in values} == values
    assert [line.recording.off_hook_volts for line in lines] == [5.0, values["off_hook_volts"], 5.0, 5.0]
    with closing(Catalogue.open_readonly(box.data)) as catalogue:
        entry = next(each for each in catalogue.operations() if each.act == "configure")
    assert entry.detail["line"] == 2
    assert entry.detail["changed"]["off_hook_volts"] == [5.0, values["off_hook_volts"]]

    box.stop()
    box.start()
    before = {row.handle for row in recordings(box, 2)}
    short = write_wav(wave.parent / "short.wav", stretch(5, 2.0))
    box.call("sim.call", line=2, audio=str(short), caller="13800138000", answer_after_s=1.0)

    def begun_anew() -> Recording | None:
        return next((row for row in recordings(box, 2) if row.handle not in before), None)

    row = wait_for("the recording of the next call", begun_anew)
    start = load_recording(box.data / row.path).start
    assert start.trigger is Trigger.VOLTAGE
    assert start.trigger_detail["threshold_volts"] == values["off_hook_volts"]


def test_what_the_file_may_not_have_changes_nothing(box: Box) -> None:
    path = box.data / "linekeep.toml"
    before = path.read_bytes()
    with pytest.raises(DaemonError, match="a number from 0 to 60"):
        box.call("learn.apply", line=1, actor=ME, off_hook_volts=70.0)
    with pytest.raises(DaemonError, match="no such line"):
        box.call("learn.apply", line=9, actor=ME, off_hook_volts=20.0)
    with pytest.raises(DaemonError, match="nothing is to be changed"):
        box.call("learn.apply", line=1, actor=ME)
    with pytest.raises(DaemonError, match="no such line"):
        measure(box, 9, "on_hook", [])
    assert path.read_bytes() == before
    path.write_bytes(before + b"[nonsense]\n")
    with pytest.raises(DaemonError, match="no table"):
        box.call("learn.apply", line=1, actor=ME, off_hook_volts=20.0)
    path.write_bytes(before)


def test_another_trigger_waits_for_the_end_of_a_recording(box: Box, wave: Path) -> None:
    assert box.call("key", line=3, on=True, actor=ME)["handle"]
    assert box.call("learn.apply", line=3, actor=ME, off_hook_volts=20.0)["live"] is True
    assert box.call("learn.apply", line=3, actor=ME, trigger="vox")["live"] is False
    assert snapshot(box, 3)["armed"] == "voltage"
    box.call("key", line=3, on=False, actor=ME)
    wait_for("its end", lambda: snapshot(box, 3)["recording"] is None)
    assert box.call("learn.apply", line=3, actor=ME, trigger="vox")["live"] is True
    assert snapshot(box, 3)["armed"] == "vox"
    box.call("sim.call", line=3, audio=str(wave), callee="95", law_exact=False)
    assert wait_for("a recording by sound", lambda: snapshot(box, 3)["trigger"]) == "vox"


def test_two_administrators_at_once_take_nothing_from_each_other(box: Box) -> None:
    async def both() -> None:
        client = await AsyncClient.connect(box.data)
        try:
            await asyncio.gather(
                client.call("learn.apply", line=4, actor=ME, off_hook_volts=21.0),
                client.call("learn.apply", line=4, actor=ME, vox_level_dbm0=-44.0),
            )
        finally:
            await client.close()

    asyncio.run(both())
    now = box.call("learn.begin", line=4)["now"]
    assert (now["off_hook_volts"], now["vox_level_dbm0"]) == (21.0, -44.0)
    recording = load(box.data / "linekeep.toml").lines[3].recording
    assert (recording.off_hook_volts, recording.vox_level_dbm0) == (21.0, -44.0)


def test_a_file_of_other_cards_is_not_changed(box: Box) -> None:
    """A card before the others makes every number that of another wire."""
    path = box.data / "linekeep.toml"
    before = path.read_bytes()
    other = b'[[card]]\nkind = "simulated"\nname = "new"\nlines = 2\n\n' + before
    path.write_bytes(other)
    with pytest.raises(DaemonError, match=r"the cards in .* are not those that run"):
        box.call("learn.apply", line=1, actor=ME, off_hook_volts=20.0)
    assert path.read_bytes() == other
    path.write_bytes(before)


def test_a_file_that_cannot_be_written_is_named_and_the_journal_says_so(box: Box) -> None:
    path, former = box.data / "linekeep.toml", box.data / "linekeep.toml.1"
    before = path.read_bytes()
    former.unlink(missing_ok=True)
    former.mkdir()
    with pytest.raises(DaemonError, match=r"linekeep\.toml cannot be written") as refused:
        box.call("learn.apply", line=1, actor=ME, off_hook_volts=20.0)
    assert refused.value.code == "refused"
    former.rmdir()
    assert path.read_bytes() == before
    assert box.call("learn.begin", line=1)["now"]["off_hook_volts"] == 5.0
    with closing(Catalogue.open_readonly(box.data)) as catalogue:
        entry = next(each for each in catalogue.operations() if each.act == "configure")
    assert entry.detail["failed"] == "Is a directory"
