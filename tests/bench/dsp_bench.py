"""What the detectors cost, beside libspandsp doing the same job in the same run.

Each figure is CPU time of one thread (`time.process_time`; BLAS must be single-threaded: OPENBLAS_NUM_THREADS=1), ours
and libspandsp's in turn, repeated, the median taken. `tiny` runs are for the suite and say nothing about speed.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from dsp import g711
from dsp.detectors import Detectors
from dsp.g711 import Law
from dsp.zones import ZONES
from tests.dsp import signals

REPETITIONS = 2


def _interleaved(*jobs: Callable[[], object], repetitions: int = REPETITIONS) -> list[float]:
    """Median CPU seconds of each job; all run once before, then in turn."""
    times: list[list[float]] = [[] for _ in jobs]
    for repetition in range(repetitions + 1):
        for job, taken in zip(jobs, times, strict=True):
            start = time.process_time()
            job()
            if repetition:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]


def g711_figures(tiny: bool = False) -> list[dict[str, Any]]:
    """Nanoseconds a sample, each way and law, in batches of 96 x 160."""
    rng = np.random.default_rng(1)
    rounds = 20 if tiny else 2000
    figures = []
    laws: tuple[Law, ...] = ("alaw", "ulaw")
    for law in laws:
        codes = rng.integers(0, 256, (96, 160), dtype=np.uint8)
        linear = rng.integers(-32768, 32768, (96, 160)).astype(np.int16)
        jobs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
            ("decode", partial(g711.decode, codes, law), partial(spandsp.g711_decode, codes, law)),
            ("encode", partial(g711.encode, linear, law), partial(spandsp.g711_encode, linear, law)),
        ]
        for way, ours, theirs in jobs:
            mine, spans = _interleaved(_repeat(ours, rounds), _repeat(theirs, rounds))
            per = 1e9 / rounds / codes.size
            figures.append(
                {
                    "what": f"G.711 {law} {way}",
                    "ours_ns_a_sample": round(mine * per, 2),
                    "spandsp_ns_a_sample": round(spans * per, 2),
                    "ratio": round(spans / mine, 2),
                }
            )
    return figures


def dtmf_figures(channels: int = 96, seconds: int = 10, tiny: bool = False) -> dict[str, Any]:
    """Digits on every channel, from law bytes in blocks of 20 ms: channels one core carries in real time."""
    channels, seconds = (4, 2) if tiny else (channels, seconds)
    digits = spandsp.dtmf_tx("1234567890*#" * (seconds + 1))[: seconds * 8000]
    law_bytes = g711.encode(np.tile(digits, (channels, 1)), "alaw")
    mine, spans = _interleaved(lambda: _ours(law_bytes, ["dtmf"]), lambda: _spandsp_dtmf(law_bytes))
    return _figure("DTMF", channels, seconds, mine, spans)


def all_on_figures(channels: int, seconds: int = 10, tiny: bool = False) -> dict[str, Any]:
    """Every detector on mixed traffic, with the time of a tick; libspandsp does G.711 and DTMF only, and is given for
    scale: `what_spandsp_does` says so."""
    channels, seconds = (4, 2) if tiny else (channels, seconds)
    law_bytes = traffic(channels, seconds)
    ticks: list[float] = []
    mine, spans = _interleaved(lambda: _ours(law_bytes, None, ticks), lambda: _spandsp_dtmf(law_bytes))
    p50, p99 = np.percentile(ticks, [50, 99])
    figure = _figure("all detectors", channels, seconds, mine, spans)
    figure |= {"tick_ms_p50": round(float(p50), 3), "tick_ms_p99": round(float(p99), 3)}
    return figure | {"what_spandsp_does": "G.711 and DTMF only"}


def figures(tiny: bool = False) -> dict[str, Any]:
    """Everything, for `make bench`."""
    sizes = (4,) if tiny else (1, 8, 24, 96, 512, 2000)
    return {
        "g711": g711_figures(tiny),
        "dtmf": dtmf_figures(tiny=tiny),
        "all_on": [all_on_figures(n, 4 if n > 500 else 10, tiny) for n in sizes],
    }


def traffic(channels: int, seconds: int) -> NDArray[np.uint8]:
    """A-law `[channels, samples]`: in twelve channels five talk, two are on a dial tone or ring-back, one dials, one is
    a fax, one a modem, one has music, one is idle."""
    n = seconds * 8000
    zone = ZONES["cn"]
    talk = signals.recorded(signals.SOUNDS / "en_US_f_Allison", 5, seconds, 9)
    music = signals.recorded(signals.MUSIC, 1, seconds, 9)
    fax, modem = spandsp.fax_call(), signals.mixed(*spandsp.v22bis_call(seconds + 9))
    sides = [
        *talk,
        signals.progress(zone.tone("dial"), seconds),
        signals.progress(zone.tone("ringback"), seconds),
        spandsp.dtmf_tx("13800138000" * seconds),
        signals.mixed(fax.caller, fax.answerer),
        modem,
        music[0],
        signals.silence(seconds),
    ]
    kinds = g711.encode(np.stack([np.resize(side, n) for side in sides]), "alaw")
    # Each channel at another place of its signal: a thousand lines do not begin to ring in the same tick.
    starts = np.random.default_rng(1).integers(0, n, channels)
    return np.stack([np.roll(kinds[c % len(sides)], -start) for c, start in enumerate(starts.tolist())])


def _repeat(job: Callable[[], object], rounds: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(rounds):
            job()

    return run


def _ours(law_bytes: NDArray[np.uint8], kinds: list[str] | None, ticks_ms: list[float] | None = None) -> None:
    d = Detectors(law_bytes.shape[0], "alaw", "cn", kinds)
    # Blocks come from a card's ring as views, not as copies.
    for at in range(0, law_bytes.shape[1], 160):
        start = time.process_time()
        d.feed(law_bytes[:, at : at + 160])
        if ticks_ms is not None:
            ticks_ms.append((time.process_time() - start) * 1e3)


def _spandsp_dtmf(law_bytes: NDArray[np.uint8]) -> None:
    """The same job by libspandsp; a second of samples a call, which spares it most of the cost of being called."""
    for channel in law_bytes:
        receiver = spandsp.DtmfReceiver()
        for at in range(0, channel.size, 8000):
            receiver.feed(spandsp.g711_decode(channel[at : at + 8000], "alaw"))


def _figure(what: str, channels: int, seconds: int, mine: float, spans: float) -> dict[str, Any]:
    return {
        "what": what,
        "channels": channels,
        "ours_channels_a_core": round(channels * seconds / mine),
        "spandsp_channels_a_core": round(channels * seconds / spans),
        "ratio": round(spans / mine, 2),
        "ours_cpu_s": round(mine, 3),
        "spandsp_cpu_s": round(spans, 3),
    }
