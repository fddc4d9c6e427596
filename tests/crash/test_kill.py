"""`kill -9` of the daemon at fifty random moments while thirty-two lines talk.

Each kill falls while audio is being written: every line has an open recording at that moment, and the socket reported
new durable audio within the last round. Afterwards every recording opens, nothing that a `durable` report named is
missing (compared with the audio that was put on the line, not with anything the daemon kept), and the catalogue is
what a rebuild from files and journal gives.
"""

import random
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp import g711
from firmware.clock import SystemClock
from firmware.wire import WireError
from recorder.catalogue import Catalogue
from recorder.ledger import rebuild
from recorder.model import Query, Recording, State, StopReason
from recorder.wav import RecordingFile, load
from tests.box import Box, wait_for
from tests.material import stretch, write_wav

LINES = 32
KILLS = 50
TALK_S = 40.0
CONFIGURATION = f"""
[[card]]
kind = "simulated"
lines = {LINES}
scenario = "none"
"""


class Reports:
    """What the daemon said is durable: samples of each recording, and when it last said so."""

    def __init__(self, box: Box) -> None:
        self.samples: dict[str, int] = {}
        self.last_s = 0.0
        self._client = box.client()
        self._stream = self._client.stream("watch", what=["durable"])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for event in self._stream:
                if event["event"] == "durable":
                    self.samples[event["handle"]] = event["samples"]
                    self.last_s = time.monotonic()
        except (OSError, WireError):
            return

    def names(self, recordings: int) -> bool:
        return len(self.samples) == recordings

    def came_within(self, seconds: float) -> bool:
        return time.monotonic() - self.last_s < seconds

    def close(self) -> None:
        self._reader.join(10)
        self._client.close()


def expected(plan: dict[str, Any], source: NDArray[np.uint8], first_sample: int, samples: int) -> NDArray[np.uint8]:
    """The bytes that were on the line from `first_sample` of the card on."""
    line = np.full(samples, g711.IDLE["alaw"], dtype=np.uint8)
    begin = plan["audio_first_sample"] - first_sample
    part = source[max(0, -begin) : max(0, samples - begin)]
    line[max(0, begin) : max(0, begin) + len(part)] = part
    return line


def check_recording(
    file: RecordingFile, path: Path, plan: dict[str, Any], source: NDArray[np.uint8], durable: int
) -> None:
    assert file.samples >= durable, f"{path}: {durable} samples were durable, {file.samples} came back"
    with path.open("rb") as opened:
        opened.seek(file.audio_offset)
        audio = np.frombuffer(opened.read(file.samples), dtype=np.uint8)
    right = expected(plan, source, file.start.first_sample, file.samples)
    for gap in file.gaps:  # A machine too busy to be read in time loses blocks: marked, and silent at its place.
        right[gap.start_sample : gap.start_sample + gap.samples] = g711.IDLE["alaw"]
    assert np.array_equal(audio, right), path


def all_rows(data: Path) -> dict[str, Recording]:
    with closing(Catalogue.open_readonly(data)) as catalogue:
        rows: dict[str, Recording] = {}
        before = None
        while True:
            page = catalogue.search(Query(states=tuple(State), limit=500, before_id=before))
            rows.update({row.handle: row for row in page.rows})
            if page.next is None:
                return rows
            before = page.next


def dump(data: Path) -> dict[str, Any]:
    with closing(Catalogue.open_readonly(data)) as catalogue:
        return catalogue.dump()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_durable_is_lost_to_fifty_kills(tmp_path: Path) -> None:
    rng = random.Random(20261122)
    sources = [stretch(line, TALK_S) for line in range(1, LINES + 1)]
    waves = [write_wav(tmp_path / f"line{n}.wav", source) for n, source in enumerate(sources, 1)]
    data = tmp_path / "data"
    promised: dict[str, tuple[dict[str, Any], int, int]] = {}
    with Box(data, CONFIGURATION) as box:
        for _ in range(KILLS):
            plans = [
                box.call(
                    "sim.call", line=n, caller=f"1380013{n:04}", audio=str(wave), law_exact=True, answer_after_s=0.1
                )["plan"]
                for n, wave in enumerate(waves, 1)
            ]
            reports = Reports(box)
            wait_for("durable audio of every line", partial(reports.names, LINES))
            time.sleep(rng.uniform(0.0, 2.0))
            wait_for("audio being written", partial(reports.came_within, 1.0))
            open_now = {snapshot["line"]: snapshot["recording"] for snapshot in box.call("lines")["lines"]}
            killed_s = time.monotonic()
            box.kill()
            assert killed_s - reports.last_s < 1.5, "no audio was being written when the kill fell"
            reports.close()
            assert set(open_now.values()) == reports.samples.keys(), "a line was not being recorded"
            for line, handle in open_now.items():
                promised[handle] = (plans[line - 1], line, reports.samples[handle])
            box.start()
        box.stop()

    rows = all_rows(data)
    assert len(promised) == LINES * KILLS
    for handle, (plan, line, durable) in promised.items():
        row = rows[handle]
        assert row.stop_reason is StopReason.RECOVERED
        path = data / row.path
        check_recording(load(path), path, plan, sources[line - 1], durable)
    assert not list((data / "recordings").rglob("*.events")), "a file was left open"

    before = dump(data)
    rebuild(data, SystemClock(), random.Random(1))
    after = dump(data)
    del after["operations"][-1]  # The rebuild itself, which is in the journal too.
    assert after == before, "the catalogue is not what files and journal give"
