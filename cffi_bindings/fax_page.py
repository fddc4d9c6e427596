"""A page for fax calls that only have to sound real, written byte by byte (TIFF 6.0, one uncompressed strip)."""

import struct
from pathlib import Path

import numpy as np


def write_page(path: Path, *, rows: int = 400, seed: int = 1) -> Path:
    """A page of 1728 x `rows` pixels at 204 x 98 dpi with blocks of ink on it."""
    ink = np.random.default_rng(seed).random((rows // 8, 1728 // 8)) < 0.15
    strip = np.packbits(np.kron(ink, np.ones((8, 8), bool)), axis=1).tobytes()
    at = 8 + 2 + 12 * 12 + 4
    tags = [
        *((256, 4, 1, 1728), (257, 4, 1, rows // 8 * 8), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 0)),
        *((273, 4, 1, at + 16), (277, 3, 1, 1), (278, 4, 1, rows // 8 * 8), (279, 4, 1, len(strip))),
        *((282, 5, 1, at), (283, 5, 1, at + 8), (296, 3, 1, 2)),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(head + struct.pack("<5I", 0, 204, 1, 98, 1) + strip)
    return path
