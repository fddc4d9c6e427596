"""The whole daemon on the real driver: calls placed from the other span are recorded, sample for sample."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.catalogue import Catalogue
from recorder.model import Query, Recording, State
from recorder.wav import load
from tests.box import Box, wait_for
from tests.dahdi.guest.rig import lines, noise, place_of, reading, stations

TAP = """[[card]]
kind = "dahdi"
name = "tap"
law = "ulaw"
channels = ["33-34"]
"""
CARD = (
    '[[card]]\nkind = "dahdi"\nname = "telephones"\nlaw = "ulaw"\nchannels = ["1-{}"]\n[recording]\nlongest_s = 7200\n'
)


def rows(data: Path) -> list[Recording]:
    found: list[Recording] = []
    with closing(Catalogue.open_readonly(data)) as catalogue:
        before = None
        while True:
            page = catalogue.search(Query(states=(State.SEALED,), limit=500, before_id=before))
            found += page.rows
            before = page.next
            if before is None:
                return found


def audio(data: Path, row: Recording) -> NDArray[np.uint8]:
    file = load(data / row.path)
    assert file.gaps == ()
    return np.fromfile(file.path, np.uint8, file.samples, offset=file.audio_offset)


def test_a_call_is_recorded_sample_for_sample(tmp_path: Path) -> None:
    sent = noise(5, 21)
    with Box(tmp_path / "box", CARD.format(2)) as box, reading(lines(1, 2)) as (exchange,):
        wait_for("the card", lambda: box.call("status")["cards"][0]["state"] == "running")
        exchange.card.seize(2)
        lifted = time.monotonic()
        wait_for("the recording", lambda: box.call("lines")["lines"][1]["recorded_s"] > 0)
        print(f"from the hook to the first recorded sample in the daemon: {time.monotonic() - lifted:.3f} s")
        exchange.card.send(2, sent.tobytes())
        exchange.wait_blocks(5 * 50 + 20)
        exchange.card.release(2)
        wait_for("the sealed recording", lambda: bool(rows(box.data)))
        (row,) = rows(box.data)
        assert (row.line, row.law, row.simulated, row.gaps) == (2, "ulaw", False, 0)
        place_of(sent, audio(box.data, row))
        (card,) = box.call("status")["cards"]
        assert card["lost_samples"] == 0


def test_a_ring_is_shown_and_what_is_heard_on_a_tap_is_recorded_from_before_its_first_sample(tmp_path: Path) -> None:
    """Nothing shows the hook of these channels: sound begins the recording, and it reaches back before the sound."""
    sent = noise(3, 22)
    with Box(tmp_path / "box", TAP) as box, reading(stations(1, 2)) as (far,):

        def line() -> dict[str, Any]:
            found: dict[str, Any] = box.call("lines")["lines"][1]
            return found

        wait_for("the card", lambda: box.call("status")["cards"][0]["state"] == "running")
        far.wait_blocks(3 * 50)  # The driver takes no ring for 2 s after a channel was opened or hung up.
        far.card.ring(2, True)
        rung = time.monotonic()
        wait_for("the ring", lambda: line()["state"] == "ringing")
        shown = time.monotonic() - rung
        print(f"from the ring to its being shown: {shown:.3f} s")
        assert shown < 1, "the first ring, not the next one"
        far.card.ring(2, False)
        far.wait_blocks(3 * 50)
        sounded = time.monotonic()
        far.card.send(2, sent.tobytes())
        wait_for("the recording", lambda: line()["recorded_s"] > 0)
        began = time.monotonic() - sounded
        wait_for("the sealed recording", lambda: bool(rows(box.data)))
        (row,) = rows(box.data)
        place = place_of(sent, audio(box.data, row))
        print(f"from the first sound to a recording: {began:.3f} s; it holds {place / 8000:.3f} s from before")
        assert (row.line, row.gaps) == (2, 0)
