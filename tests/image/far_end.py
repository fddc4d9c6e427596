"""Runs on the box, beside its daemon: the exchange's end of a crossed span, which takes the line, talks and hangs up.

`far_end.py CHANNEL SECONDS`: the sound is noise of a fixed seed, so that whoever knows it can look for it; its first
bytes are printed, in hexadecimal. The other end of the channel is the daemon's.
"""

import sys
import threading

import numpy as np

from firmware.cards.dahdi import DahdiCard, Port, Role


def main(channel: int, seconds: float) -> None:
    sent = np.random.default_rng(40).integers(0, 256, round(seconds * 8000)).astype(np.uint8).tobytes()
    card = DahdiCard("exchange", (1,), [Port(channel, Role.TRUNK)], law="ulaw", ahead_blocks=24)
    card.start()
    over = threading.Event()
    reader = threading.Thread(target=lambda: [card.read() for _ in iter(over.is_set, True)])
    reader.start()
    card.seize(1)
    card.send(1, sent)
    # What was handed over is on its way; what the driver holds of it is on the line half a second later.
    while card.to_send(1):
        over.wait(0.1)
    over.wait(1)
    card.release(1)
    over.wait(1)
    over.set()
    reader.join()
    card.close()
    print("said", sent[8000:8032].hex())


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
