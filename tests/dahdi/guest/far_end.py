"""Far ends of two digital spans, each with a clock of its own: what the crossed spans cannot be, for they share one.

DAHDI's spans over Ethernet (`dahdi_dynamic_eth`) advance by eight samples with every frame that arrives
(dahdi_dynamic.c, `dahdi_dynamic_receive` calls `dahdi_receive`), so whoever sends the frames is their clock. Frames
go over the loopback interface, where a span knows its own by the sender's address; twenty at a time, which is one
block of the card. The clock counts CLOCK_MONOTONIC_RAW and runs fast or slow by so many millionths.

The line's time goes on while no frame is sent: what would have been heard is lost, as on a cut cable.

This module is the process that sends (`python -m tests.dahdi.guest.far_end CHANNELS SECONDS PPM PPM`) and the handle
on it (`FarEnds`). What it sends, `sound`, both sides know.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 8
"""Samples of a channel in a frame."""
BURST = 20
IDLE = 0xD5
TALK_S = 15
_TYPE = 0xD00D
_YELLOW = 1


def address(span: int) -> str:
    """Of far end `span`, from 0."""
    return f"02:00:00:00:00:{span + 1:02x}"


def sound(span: int, channels: int, seconds: float) -> NDArray[np.uint8]:
    """`[channels, samples]`, A-law: noise of which no piece comes twice, other on each channel. On the last channel
    somebody talks for five seconds from `TALK_S` on, and before and after it is silent."""
    law = np.random.default_rng(100 + span).integers(0, 256, (channels, round(8000 * seconds)), dtype=np.uint8)
    law[-1, : TALK_S * 8000] = IDLE
    law[-1, (TALK_S + 5) * 8000 :] = IDLE
    return law


class _Span:
    def __init__(self, number: int, law: NDArray[np.uint8], ppm: float, begun_ns: int) -> None:
        channels, samples = law.shape
        self.count = samples // CHUNK
        head = bytes(6) + bytes.fromhex(address(number).replace(":", "")) + _TYPE.to_bytes(2, "big") + bytes(2)
        frames = np.empty((self.count, len(head) + 6 + channels * CHUNK), np.uint8)
        frames[:, : len(head)] = np.frombuffer(head, np.uint8)
        message = frames[:, len(head) :]
        message[:, :2] = CHUNK, 0
        message[:, 2:4] = np.arange(self.count).astype(">u2").view(np.uint8).reshape(-1, 2)
        message[:, 4:6] = channels >> 8, channels & 0xFF
        message[:, 6:] = law.reshape(channels, self.count, CHUNK).transpose(1, 0, 2).reshape(self.count, -1)
        self.frames, self.flags = frames, len(head) + 1
        self.at, self.on, self.yellow = 0, True, False
        self._begun_ns, self._burst_ns = begun_ns, BURST * 1e6 / (1 + ppm * 1e-6)

    def comes_ns(self, samples: int) -> float:
        """When so many have been sent."""
        return self._begun_ns + samples / (BURST * CHUNK) * self._burst_ns

    def burst(self, link: socket.socket) -> None:
        for frame in self.frames[self.at : self.at + BURST] if self.on else ():
            frame[self.flags] = _YELLOW if self.yellow else 0
            link.send(frame)
        self.at += BURST


def main(channels: int, seconds: float, *ppm: float) -> None:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("lo", _TYPE))
    laws = [sound(number, channels, seconds) for number in range(len(ppm))]
    begun_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    spans = [_Span(number, law, own, begun_ns) for number, (law, own) in enumerate(zip(laws, ppm, strict=True))]
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    threading.Thread(target=_obey, args=(spans,), daemon=True).start()
    print(json.dumps({"begun": True}), flush=True)
    while any(span.at < span.count for span in spans):
        span = min(
            (span for span in spans if span.at < span.count), key=lambda one: one.comes_ns((one.at + BURST) * CHUNK)
        )
        wait_ns = span.comes_ns((span.at + BURST) * CHUNK) - time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        span.burst(link)


def _obey(spans: list[_Span]) -> None:
    for line in sys.stdin:
        order = json.loads(line)
        span = spans[order["span"]]
        if order["what"] == "until":
            time.sleep(max(0, span.comes_ns(order["value"]) - time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)) / 1e9)
        else:
            setattr(span, order["what"], order["value"])
        print(json.dumps({"sample": span.at * CHUNK}), flush=True)
    os._exit(0)


class FarEnds:
    """The process that sends."""

    def __init__(self, channels: int, seconds: float, *ppm: float) -> None:
        arguments = [str(argument) for argument in (channels, seconds, *ppm)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dahdi.guest.far_end", *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def _answer(self) -> Any:
        answers: IO[str] | None = self._process.stdout
        assert answers is not None
        return json.loads(answers.readline())

    def order(self, span: int, what: str, value: int) -> int:
        """`on`: send frames; `yellow`: say in them that nothing is heard at this end; `until`: nothing, before so many
        samples are over. Answers the sample from which it is so."""
        orders = self._process.stdin
        assert orders is not None
        orders.write(json.dumps({"span": span, "what": what, "value": value}) + "\n")
        orders.flush()
        sample: int = self._answer()["sample"]
        return sample

    def play(self, seconds: float, after: int | None = None) -> int:
        """Waits until the first line is so far; or until so much later than sample `after`."""
        return self.order(0, "until", round(seconds * 8000) + (after or 0))

    def stop(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@contextmanager
def far_ends(channels: int, seconds: float, *ppm: float) -> Iterator[FarEnds]:
    ends = FarEnds(channels, seconds, *ppm)
    try:
        yield ends
    finally:
        ends.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), *map(float, sys.argv[3:]))
