"""What the detectors cost, beside libspandsp doing the same job in the same run.

Each figure is CPU time of one thread (`time.process_time`; BLAS must be single-threaded: OPENBLAS_NUM_THREADS=1), ours
and libspandsp's in turn, repeated, the median taken. Garbage is collected between the runs, as the daemon does it
between ticks. `tiny` runs are for the suite and say nothing about speed.

libspandsp is given what it has for the job, one receiver of a kind on every line and the loop over lines in C
(`cffi_bindings.spandsp_lines`): `SPANDSP_DOES` says what, `SPANDSP_HAS_NOT` what only ours does in the same time.
"""

import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cffi_bindings import spandsp
from cffi_bindings.spandsp_lines import Lines, Receivers
from dsp import g711
from dsp.detectors import Detectors
from dsp.g711 import Law
from dsp.zones import ZONES
from tests.dsp import signals

REPETITIONS = 2
BLOCK = 160

SPANDSP_DOES = (
    "G.711 expansion, power meter, dtmf_rx, modem_connect_tones_rx for CNG, 2100 Hz in all its kinds, Bell answer "
    "tone, calling tone and the V.21 preamble, adsi_rx for Bell 202 and V.23 caller ID, super_tone_rx for the tones of "
    "the zone"
)
SPANDSP_HAS_NOT = "carriers in a call, speech activity, music, the class of a call"


def _interleaved(*jobs: Callable[[], object], repetitions: int = REPETITIONS) -> list[float]:
    """Median CPU seconds of each job; all run once before, then in turn."""
    times: list[list[float]] = [[] for _ in jobs]
    for repetition in range(repetitions + 1):
        for job, taken in zip(jobs, times, strict=True):
            gc.collect()
            gc.disable()
            start = time.process_time()
            job()
            spent = time.process_time() - start
            gc.enable()
            if repetition:
                taken.append(spent)
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
    mine, spans = _interleaved(lambda: _ours(law_bytes, ["dtmf"]), lambda: _spandsp(law_bytes, Receivers.DTMF))
    return _figure("DTMF", channels, seconds, mine, spans)


def all_on_figures(channels: int, seconds: int = 10, tiny: bool = False) -> dict[str, Any]:
    """Every detector on mixed traffic, with the CPU time of a tick; beside it every receiver of libspandsp."""
    channels, seconds = (4, 2) if tiny else (channels, seconds)
    law_bytes = traffic(channels, seconds)
    ticks: list[float] = []
    mine, spans = _interleaved(lambda: _ours(law_bytes, None, ticks), lambda: _spandsp(law_bytes, Receivers.ALL))
    counted = ticks[len(ticks) // (REPETITIONS + 1) :]
    p50, p99 = np.percentile(counted, [50, 99])
    figure = _figure("all detectors", channels, seconds, mine, spans)
    figure |= {"us_a_channel": round(1e6 * mine / channels / seconds / 50, 2), "tick_ms": round(20 * mine / seconds, 3)}
    return figure | {"tick_ms_p50": round(float(p50), 3), "tick_ms_p99": round(float(p99), 3)}


def part_figures(sizes: tuple[int, ...], seconds: int = 6) -> list[dict[str, Any]]:
    """CPU microseconds a step of 20 ms by detector, the dearest first; the taking of the time is in it (half a
    microsecond each)."""
    spent = {channels: _parts(traffic(channels, seconds)) for channels in sizes}
    last = spent[sizes[-1]]
    names = sorted(last, key=lambda name: -last[name])
    return [{"what": name, **{str(n): round(spent[n][name], 1) for n in sizes}} for name in names]


def figures(tiny: bool = False) -> dict[str, Any]:
    """Everything, for `make bench`."""
    sizes = (4,) if tiny else (1, 8, 24, 96, 512, 2000)
    return {
        "g711": g711_figures(tiny),
        "dtmf": dtmf_figures(tiny=tiny),
        "all_on": [all_on_figures(n, 4 if n > 500 else 10, tiny) for n in sizes],
        "parts": part_figures((2, 4), 1) if tiny else part_figures((8, 96, 512)),
    }


def traffic(channels: int, seconds: int) -> NDArray[np.uint8]:
    """A-law `[channels, samples]`: of fourteen lines five talk without a break; one each has a dial tone, ring-back,
    digits without a break, a fax, a modem, music, an incoming call (ringing, caller ID, ringing); one is idle with
    noise and hum, one idle and silent. Real lines are idle more often than not: this is a busy hour."""
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
        _called(),
        signals.with_noise(400 * np.sin(2 * np.pi * 50 / 8000 * np.arange(n)), -62),
        signals.silence(seconds),
    ]
    kinds = g711.encode(np.stack([np.resize(side, n) for side in sides]), "alaw")
    # Each channel at another place of its signal: a thousand lines do not begin to ring in the same tick.
    starts = np.random.default_rng(1).integers(0, n, channels)
    return np.stack([np.roll(kinds[c % len(sides)], -start) for c, start in enumerate(starts.tolist())])


def _called() -> signals.Audio:
    """Ringing (25 Hz, as far as a tap lets it through) of 1 s in 5, with caller ID after the first ring."""
    ring = 3000 * np.sin(2 * np.pi * 25 / 8000 * np.arange(8000))
    caller = spandsp.caller_id_tx("13800138000")
    told = np.concatenate([signals.silence(0.5), caller, signals.silence(3.5 - caller.size / 8000)])
    return signals.clip(np.concatenate([ring, told, ring, signals.silence(4)]))


def _parts(law_bytes: NDArray[np.uint8]) -> dict[str, float]:
    """CPU microseconds a step in each part of the detectors, and in what is between them."""
    detectors = Detectors(law_bytes.shape[0], "alaw", "cn")
    spent: defaultdict[str, float] = defaultdict(float)
    for name, part in list(vars(detectors).items()):
        if callable(step := getattr(part, "step", None)):
            part.step = partial(_timed, step, name.strip("_"), spent)
    start = time.process_time()
    for at in range(0, law_bytes.shape[1], BLOCK):
        detectors.feed(law_bytes[:, at : at + BLOCK])
    whole = time.process_time() - start
    spent["between them"] = whole - sum(spent.values())
    spent["sum"] = whole
    steps = law_bytes.shape[1] / BLOCK
    return {name: 1e6 * seconds / steps for name, seconds in spent.items()}


def _timed(step: Callable[..., Any], name: str, spent: dict[str, float], *arguments: Any) -> Any:
    start = time.process_time()
    result = step(*arguments)
    spent[name] += time.process_time() - start
    return result


def _repeat(job: Callable[[], object], rounds: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(rounds):
            job()

    return run


def _ours(law_bytes: NDArray[np.uint8], kinds: list[str] | None, ticks_ms: list[float] | None = None) -> None:
    d = Detectors(law_bytes.shape[0], "alaw", "cn", kinds)
    # Blocks come from a card's ring as views, not as copies.
    for at in range(0, law_bytes.shape[1], BLOCK):
        start = time.process_time()
        d.feed(law_bytes[:, at : at + BLOCK])
        if ticks_ms is not None:
            ticks_ms.append((time.process_time() - start) * 1e3)


def _spandsp(law_bytes: NDArray[np.uint8], receivers: Receivers) -> None:
    """The same job by libspandsp."""
    lines = Lines(law_bytes.shape[0], "alaw", receivers, _plan())
    for at in range(0, law_bytes.shape[1], BLOCK):
        lines.feed(law_bytes[:, at : at + BLOCK])


def _plan() -> list[list[tuple[int, int, int, int]]]:
    """The zone's tones as libspandsp takes them: lengths within 15 % and a block of its own (16 ms)."""
    plan = []
    for tone in ZONES["cn"].tones:
        if len(tone.frequencies_hz) > 2:
            continue
        pair = [*tone.frequencies_hz, 0][:2]
        parts = [(pair if k % 2 == 0 else [0, 0], 850 * s - 16, 1150 * s + 16) for k, s in enumerate(tone.cadence_s)]
        plan.append([(a, b, round(least), round(most)) for (a, b), least, most in parts or [(pair, 700, 0)]])
    return plan


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
