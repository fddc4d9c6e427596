"""What reading a DAHDI card costs a tick: system calls, CPU time, beside the same reading by Python alone.

There is no card here: packet sockets stand for channels, which cost a system call each as channels do and carry the
same 160 bytes; the driver's own work and interrupts are not in it. On the real driver `make test-dahdi` says what a
tick took.
"""

import os
import resource
import socket
import time
from typing import Any

import numpy as np

from cffi_bindings.dahdi_channels import BLOCK, Channels


def card_figures(tiny: bool = False) -> list[dict[str, Any]]:
    """One row for each number of channels."""
    return [_reading(channels, 5 if tiny else 300) for channels in ((4,) if tiny else (24, 96, 240, 480))]


def _reading(channels: int, ticks: int) -> dict[str, Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * channels + 256), hard), hard))
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(channels)]
    card = Channels(range(channels))
    block = bytes(BLOCK)
    try:
        for place, (ours, _) in enumerate(pairs):
            ours.setblocking(False)
            card.fds[place] = ours.fileno()
        own, alone, calls = [], [], 0
        law = np.zeros((channels, BLOCK), np.uint8)
        fds = card.fds.tolist()
        for _ in range(ticks):
            for _, theirs in pairs:
                theirs.send(block)
            start = time.process_time_ns()
            card.read(100, 10)
            own.append(time.process_time_ns() - start)
            calls = card.calls
            for _, theirs in pairs:
                theirs.send(block)
            start = time.process_time_ns()
            for place, fd in enumerate(fds):
                law[place] = np.frombuffer(os.read(fd, BLOCK), np.uint8)
            alone.append(time.process_time_ns() - start)
    finally:
        for pair in pairs:
            for end in pair:
                end.close()
    ours_us, python_us = float(np.median(own)) / 1e3, float(np.median(alone)) / 1e3
    return {
        "channels": channels,
        "us_a_tick": round(ours_us, 1),
        "us_a_channel": round(ours_us / channels, 2),
        "system_calls": calls,
        "bytes_copied": channels * BLOCK,
        "python_us_a_tick": round(python_us, 1),
        "ratio": round(python_us / ours_us, 2),
    }
