"""Thirty lines at once for as long as is asked (`LINEKEEP_MINUTES`): call after call on each, every one compared with
what was sent, sample for sample, and no gap that is not marked."""

import heapq
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from tests.box import Box, wait_for
from tests.dahdi.guest.rig import lines, noise, place_of, reading
from tests.dahdi.guest.test_daemon import CARD, audio, rows

LINES = 30
SECOND = 8000


def say(what: str) -> None:
    """To the machine's console, for whoever watches."""
    with Path("/dev/console").open("w") as console:
        console.write(f"{time.monotonic():8.1f} s  {what}\n")


def test_thirty_lines_at_once(tmp_path: Path) -> None:
    minutes = float(os.environ["LINEKEEP_MINUTES"])
    rng = np.random.default_rng(30)
    sent: dict[int, list[tuple[float, int]]] = defaultdict(list)
    """Of each line how long each call was, and from which seed."""
    with (
        Box(tmp_path / "box", CARD.format(LINES)) as box,
        reading(lines(*range(1, LINES + 1)), keep=False) as (exchange,),
    ):
        wait_for("the card", lambda: box.call("status")["cards"][0]["state"] == "running")
        exchange.wait_blocks(10)
        due = [(exchange.now, line, "seize") for line in range(1, LINES + 1)]
        # By the machine's clock: under this load the spans' samples ran ahead of it, by a fifth where it was looked at.
        last = time.monotonic() + minutes * 60
        told = exchange.now
        while due:
            at, line, act = heapq.heappop(due)
            if at >= told + 5 * SECOND:
                told = at
                lost = box.call("status")["cards"][0]["lost_samples"]
                say(f"{sum(map(len, sent.values()))} calls begun, {lost} samples lost")
            exchange.wait_until(at)
            if act == "seize":
                length_s, seed = float(rng.uniform(5, 40)), 1000 * line + len(sent[line])
                sent[line].append((length_s, seed))
                exchange.card.seize(line)
                heapq.heappush(due, (at + SECOND, line, "talk"))
            elif act == "talk":
                length_s, seed = sent[line][-1]
                exchange.card.send(line, noise(length_s, seed).tobytes())
                heapq.heappush(due, (at + round(length_s * SECOND), line, "finish"))
            elif act == "finish":
                # The driver holds half a second ahead.
                waits = exchange.card.to_send(line) > 0
                heapq.heappush(due, (exchange.now + SECOND, line, "finish" if waits else "release"))
            else:
                exchange.card.release(line)
                if time.monotonic() < last:
                    # DAHDI takes no ring for 2 s after a hang-up, and a flash is shorter than a second.
                    heapq.heappush(due, (at + round(float(rng.uniform(3, 6)) * SECOND), line, "seize"))
        calls = sum(map(len, sent.values()))
        say(f"all {calls} calls are over")
        wait_for("every recording", lambda: len(rows(box.data)) == calls, patience_s=120)
        for row in sorted(rows(box.data), key=lambda row: (row.line, row.start_utc_ns)):
            length_s, seed = sent[row.line].pop(0)
            place_of(noise(length_s, seed), audio(box.data, row))
        assert not any(sent.values())
        (card,) = box.call("status")["cards"]
        print(f"{calls} calls on {LINES} lines in {minutes:g} minutes; {card['tick_ms']}; lost {card['lost_samples']}")
        print(f"the calling side lost {exchange.card.counts.lost_samples} samples of what it heard")
        assert card["lost_samples"] == 0
