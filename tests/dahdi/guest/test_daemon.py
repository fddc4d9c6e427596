"""The whole daemon on the real driver: calls placed from the other span are recorded, sample for sample."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recorder.catalogue import Catalogue
from recorder.model import Query, Recording, State
from recorder.wav import load
from tests.box import Box, wait_for
from tests.dahdi.guest.rig import lines, noise, place_of, reading

CARD = (
    '[[card]]\nkind = "dahdi"\nname = "telephones"\nlaw = "ulaw"\nchannels = ["1-{}"]\n[recording]\nlongest_s = 7200\n'
)


def rows(data: Path) -> list[Recording]:
    catalogue = Catalogue.open_readonly(data)
    try:
        return list(catalogue.search(Query(states=(State.SEALED,))).rows)
    finally:
        catalogue.close()


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
