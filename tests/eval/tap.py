"""What a parallel tap hears: every direction at its own level, echoes of the hybrid, noise and hum, companded once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp import g711, levels
from dsp.g711 import Law

RATE = 8000


def tap(
    sides: Sequence[NDArray[Any]],
    law: Law,
    *,
    gains_db: Sequence[float] = (),
    noise_dbm0: float | None = None,
    hum_dbm0: float | None = None,
    hum_hz: float = 50,
    echo_db: float | None = None,
    echo_ms: float = 0.0,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Law bytes `[n]` of the sum of `sides` (16-bit linear scale, `[n_i]`; the shorter are padded with silence).

    `gains_db`: one a side, 0 where there are fewer. `echo_db` (negative) adds each side again, that much weaker and
    `echo_ms` later, as a hybrid reflects it. `noise_dbm0` is white, its level that of the whole band to 4 kHz;
    `hum_dbm0` the level of `hum_hz`, with its third harmonic 10 dB below. `seed` draws noise and the hum's phase.
    Raises ValueError without a side.
    """
    if not sides:
        raise ValueError("A tap without a side: at least one is needed.")
    rng = np.random.default_rng(seed)
    delay = round(echo_ms * RATE / 1000)
    out = np.zeros(max(side.size for side in sides) + (delay if echo_db is not None else 0))
    for i, side in enumerate(sides):
        gain = 10 ** ((gains_db[i] if i < len(gains_db) else 0.0) / 20)
        out[: side.size] += gain * side
        if echo_db is not None:
            out[delay : delay + side.size] += gain * 10 ** (echo_db / 20) * side
    if noise_dbm0 is not None:
        out += rng.normal(0, levels.rms_of_0dbm0(law) * 10 ** (noise_dbm0 / 20), out.size)
    if hum_dbm0 is not None:
        phase = 2 * np.pi * (hum_hz * np.arange(out.size) / RATE + rng.uniform())
        out += levels.amplitude(hum_dbm0, law) * (np.sin(phase) + 10 ** (-10 / 20) * np.sin(3 * phase))
    return g711.encode(np.clip(np.rint(out), -32768, 32767).astype(np.int16), law)
