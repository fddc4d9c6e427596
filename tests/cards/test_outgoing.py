"""What is to be sent leaves in whole blocks, some ahead, whatever the driver takes at once. Packet sockets stand for
channels."""

import socket

import numpy as np

from cffi_bindings.dahdi_channels import BLOCK, Channels
from firmware.cards.outgoing import Outgoing


def test_a_sound_leaves_in_order_ahead_by_so_much_and_filled_up_at_its_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channels = Channels([1, 2])
        ours.setblocking(False)
        theirs.setblocking(False)
        channels.fds[1] = ours.fileno()
        sound = np.random.default_rng(1).integers(0, 256, 7 * BLOCK + 20, dtype=np.uint8).tobytes()
        outgoing = Outgoing(2, "ulaw", ahead_blocks=3)
        outgoing.put(1, b"")
        assert outgoing.send(channels) == []
        outgoing.put(1, sound[:500])
        outgoing.put(1, sound[500:])
        sent: list[bytes] = []
        ticks: list[int] = []
        while outgoing.waits(1):
            outgoing.send(channels)
            before = len(sent)
            try:
                while True:
                    sent.append(theirs.recv(1000))
            except BlockingIOError:
                ticks.append(len(sent) - before)
        assert ticks == [3, 1, 1, 1, 1, 1]
        assert b"".join(sent) == sound + b"\xff" * (BLOCK - 20)
        outgoing.put(1, sound)
        outgoing.drop(1)
        assert outgoing.waits(1) == 0
    finally:
        ours.close()
        theirs.close()
