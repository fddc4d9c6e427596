"""A thin face of libspandsp 0.0.6: buffers in, buffers out.

Linekeep measures itself against libspandsp and lets it speak on simulated lines (fax, modems, caller ID). All audio is
linear int16 at 8000 samples a second with libspandsp's scale, where 0 dBm0 is a sine 3.14 dB below full scale. Levels
are dBm0. Where two ends of a call are simulated, the answer is `int16[2, samples]`, the caller's signal first, each as
that end sent it; a tap hears their sum. Nothing is random unless a seed is given. Every failure is a `BindingError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.errors import BindingError, LibraryMissing, SpandspError
from cffi_bindings.fax_page import write_page

__all__ = ["BindingError", "LibraryMissing", "SpandspError"]

RATE = 8000
Audio = NDArray[np.int16]


class Fsk(IntEnum):
    """Preset FSK channels (fsk.h)."""

    V21_CH1 = 0
    V21_CH2 = 1
    V23_CH1 = 2
    V23_CH2 = 3
    BELL103_CH1 = 4
    BELL103_CH2 = 5
    BELL202 = 6


class ConnectTone(IntEnum):
    """What a modem or fax machine says first (modem_connect_tones.h)."""

    CNG = 1
    ANS = 2
    ANS_PR = 3
    ANSAM = 4
    ANSAM_PR = 5
    FAX_PREAMBLE = 6
    FAX_CED_OR_PREAMBLE = 7
    BELL_ANS = 8
    CALLING_TONE = 9


class CallerIdStandard(IntEnum):
    """adsi.h: `CLASS` is Bellcore's (and China's), Bell 202; `CLIP` ETSI's, V.23; `DTMF` the digits before ring 1."""

    CLASS = 1
    CLIP = 2
    DTMF = 5


@dataclass(frozen=True, slots=True)
class FaxCall:
    caller: Audio
    """What the caller sent, from its first CNG to a second after the end."""
    answerer: Audio
    """What the answerer sent in the same samples."""
    pages: int
    bit_rate: int
    ecm: bool


@dataclass(frozen=True, slots=True)
class CallerIdMessage:
    at_sample: int
    """Sample after which the receiver had it."""
    type: int
    """128 MDMF, 4 SDMF; of DTMF the letter that closed it."""
    fields: dict[int, bytes]
    """By parameter type (adsi.h: 1 date and time, 2 number, 7 name). SDMF gives its whole body as type 0, DTMF the
    number under the letter before it."""


class DtmfReceiver:
    """libspandsp's digit detector for one channel. `feed` may be given any number of samples at a time."""

    def __init__(self, *, filter_dial_tone: bool = False) -> None:
        ffi, lib = _spandsp()
        state = lib.dtmf_rx_init(ffi.NULL, ffi.NULL, ffi.NULL)
        self._state = ffi.gc(_made(ffi, state, "a DTMF receiver"), lib.dtmf_rx_free)
        lib.dtmf_rx_parms(self._state, int(filter_dial_tone), -1.0, -1.0, -99.0)
        self._digits = ffi.new("char[128]")

    def feed(self, samples: Audio) -> str:
        """The digits that became certain in these samples."""
        ffi, lib = _spandsp()
        lib.dtmf_rx(self._state, _in(ffi, samples), len(samples))
        heard = lib.dtmf_rx_get(self._state, self._digits, 128)
        return str(ffi.buffer(self._digits, heard)[:].decode("ascii"))


def dtmf_rx(samples: Audio, *, filter_dial_tone: bool = False) -> str:
    """The digits in `samples` (int16[n])."""
    receiver = DtmfReceiver(filter_dial_tone=filter_dial_tone)
    # The receiver holds 128 digits between two calls, which five seconds cannot fill.
    return "".join(receiver.feed(samples[at : at + 5 * RATE]) for at in range(0, len(samples), 5 * RATE))


def dtmf_tx(digits: str, *, level_dbm0: int = -10, twist_db: int = 0, on_ms: int = 50, off_ms: int = 55) -> Audio:
    """Digits as sound. `level_dbm0` is the low tone's; the high one is `twist_db` above it."""
    ffi, lib = _spandsp()
    state = ffi.gc(_made(ffi, lib.dtmf_tx_init(ffi.NULL), "a DTMF sender"), lib.dtmf_tx_free)
    lib.dtmf_tx_set_level(state, level_dbm0, twist_db)
    lib.dtmf_tx_set_timing(state, on_ms, off_ms)
    parts = []
    out = np.zeros(8 * (on_ms + off_ms) * 32 + 800, np.int16)
    for at in range(0, len(digits), 32):
        some = digits[at : at + 32].encode("ascii")
        # It answers how many digits did not fit.
        _check(-lib.dtmf_tx_put(state, some, len(some)), f"sending the digits {digits!r}")
        parts.append(out[: lib.dtmf_tx(state, _out(ffi, out), len(out))].copy())
    return np.concatenate(parts) if parts else out[:0]


def g711_decode(law: NDArray[np.uint8], name: Literal["alaw", "ulaw"]) -> Audio:
    """libspandsp's own expansion, for comparison with ours."""
    ffi, lib = _spandsp()
    law = np.ascontiguousarray(law, np.uint8)
    linear = np.empty(law.size, np.int16)
    given = ffi.from_buffer("uint8_t[]", law)
    done = lib.lk_g711(int(name == "alaw"), 0, ffi.NULL, given, _out(ffi, linear), ffi.NULL, law.size)
    _check(done, "G.711 decoding")
    return linear.reshape(law.shape)


def g711_encode(linear: Audio, name: Literal["alaw", "ulaw"]) -> NDArray[np.uint8]:
    """libspandsp's own compression, for comparison with ours."""
    ffi, lib = _spandsp()
    linear = np.ascontiguousarray(linear, np.int16)
    law = np.empty(linear.size, np.uint8)
    into = ffi.from_buffer("uint8_t[]", law, require_writable=True)
    given = ffi.from_buffer("int16_t[]", linear)
    _check(lib.lk_g711(int(name == "alaw"), 1, given, ffi.NULL, ffi.NULL, into, linear.size), "G.711 encoding")
    return law.reshape(linear.shape)


def fsk_tx(bits: NDArray[np.uint8], spec: Fsk, *, level_dbm0: float = -14.0) -> Audio:
    """`bits` (0, 1) as FSK; 300 bit/s for V.21 and Bell 103, 1200 for Bell 202 and V.23 channel 1, 75 for channel 2."""
    ffi, lib = _spandsp()
    bits = np.ascontiguousarray(bits, np.uint8)
    bit_rate = {Fsk.V23_CH1: 1200, Fsk.BELL202: 1200, Fsk.V23_CH2: 75}.get(spec, 300)
    out = np.zeros(bits.size * RATE // bit_rate + RATE, np.int16)
    given = ffi.from_buffer("uint8_t[]", bits)
    got = lib.lk_fsk_tx(int(spec), given, bits.size, level_dbm0, _out(ffi, out), out.size)
    return out[: _check(got, f"sending FSK {spec.name}")]


def modem_tx(
    kind: Literal["v17", "v27ter", "v29"],
    bit_rate: int,
    samples: int,
    *,
    level_dbm0: float = -14.0,
    echo_protection_tone: bool = False,
    seed: int = 1,
) -> Audio:
    """A fax modem: training, then pseudo-random data to the end of `samples`."""
    ffi, lib = _spandsp()
    out = np.zeros(samples, np.int16)
    number = {"v17": 17, "v27ter": 27, "v29": 29}[kind]
    got = lib.lk_modem_tx(number, bit_rate, int(echo_protection_tone), level_dbm0, seed, _out(ffi, out), samples)
    _check(got, f"sending {kind} at {bit_rate} bit/s")
    return out


def connect_tone_tx(kind: ConnectTone, samples: int) -> Audio:
    """CNG, CED/ANS, ANS with reversals, ANSam, Bell answer or calling tone; shorter than `samples` where the tone ends.
    The fax preamble can only be listened for."""
    ffi, lib = _spandsp()
    out = np.zeros(samples, np.int16)
    return out[: _check(lib.lk_connect_tone_tx(int(kind), _out(ffi, out), samples), f"sending {kind.name}")]


def connect_tone_rx(samples: Audio, kind: ConnectTone) -> list[tuple[int, ConnectTone | None, int]]:
    """What the receiver for `kind` reported: (sample, tone or None for its end, level in dBm0)."""
    ffi, lib = _spandsp()
    heard = ffi.new("lk_heard_t[]", 256)
    count = _check(
        lib.lk_connect_tone_rx(int(kind), _in(ffi, samples), len(samples), heard, 256), f"listening for {kind.name}"
    )
    reports = [heard[i] for i in range(min(count, 256))]
    return [(h.at, ConnectTone(h.code) if h.code > 0 else None, h.level) for h in reports]


def super_tone_rx(
    samples: Audio, plan: Sequence[Sequence[tuple[int, int, int, int]]]
) -> list[tuple[int, int | None, int]]:
    """Supervisory tones: (sample, number of the tone in `plan` or None for its end, level in dBm0).

    A tone of the plan is its elements in order: Hz, Hz (0 where there is one frequency, both 0 for a silence),
    shortest and longest ms (a longest of 0 has no end)."""
    ffi, lib = _spandsp()
    elements = [number for tone, parts in enumerate(plan) for part in parts for number in (tone, *part)]
    heard = ffi.new("lk_heard_t[]", 4096)
    given = ffi.new("int[]", elements)
    got = lib.lk_super_tone_rx(given, len(elements) // 5, _in(ffi, samples), len(samples), heard, 4096)
    count = _check(got, "listening for supervisory tones")
    return [
        (heard[i].at, heard[i].code if heard[i].code >= 0 else None, heard[i].level) for i in range(min(count, 4096))
    ]


def tone_tx(frequencies: Sequence[tuple[int, int]], cadence_ms: Sequence[int], samples: int) -> Audio:
    """One or two (Hz, dBm0) tones in a repeated cadence of on, off(, on, off) ms; `(1000,)` is on for ever."""
    ffi, lib = _spandsp()
    (f1, level1), (f2, level2) = [*frequencies, (0, 0)][:2]
    steps = [*cadence_ms, 0, 0, 0, 0][:4]
    out = np.zeros(samples, np.int16)
    got = lib.lk_tone_tx(f1, level1, f2, level2, *steps, 1, _out(ffi, out), samples)
    return out[: _check(got, f"generating {list(frequencies)}")]


def caller_id_tx(
    number: str,
    *,
    standard: CallerIdStandard = CallerIdStandard.CLASS,
    multiple: bool = True,
    name: str = "",
    time: str = "01010000",
    alert: bool = False,
) -> Audio:
    """Caller ID as an exchange sends it (seizure, mark, message, checksum).

    `multiple` is MDMF with date and time (MMDDhhmm), number and, if given, name; else SDMF: time and number. `alert`
    puts the dual tone of ETSI's first. DTMF sends A, the number, C."""
    ffi, lib = _spandsp()
    fields = _caller_id_fields(number, standard, multiple, name, time)
    type_ = 0x80 if multiple else 0x04
    if standard is CallerIdStandard.DTMF:
        type_ = ord("C")
    out = np.zeros(6 * RATE, np.int16)
    got = lib.lk_adsi_tx(int(standard), type_, fields, len(fields), int(alert), _out(ffi, out), out.size)
    return out[: _check(got, f"sending the caller ID {number!r}")]


def caller_id_rx(samples: Audio, standard: CallerIdStandard = CallerIdStandard.CLASS) -> list[CallerIdMessage]:
    """The caller-ID messages whose checksum was right."""
    ffi, lib = _spandsp()
    found = ffi.new("uint8_t[]", 65536)
    used = _check(
        lib.lk_adsi_rx(int(standard), _in(ffi, samples), len(samples), found, 65536), "listening for caller ID"
    )
    raw = bytes(ffi.buffer(found, used))
    messages = []
    while raw:
        at_sample, length = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:6], "little")
        body, raw = raw[6 : 6 + length], raw[6 + length :]
        (type_, _), *fields = _split_fields(standard, body)
        messages.append(CallerIdMessage(at_sample, type_, dict(fields)))
    return messages


def v22bis_call(seconds: float, *, bit_rate: int = 2400, guard_hz: Literal[0, 550, 1800] = 0, seed: int = 1) -> Audio:
    """Two V.22bis modems that train and exchange pseudo-random data: int16[2, samples]."""
    ffi, lib = _spandsp()
    samples = round(seconds * RATE)
    out = np.zeros((2, samples), np.int16)
    received = ffi.new("int[2]")
    guard = {0: 0, 550: 1, 1800: 2}[guard_hz]
    _check(lib.lk_v22bis_pair(bit_rate, guard, seed, _out(ffi, out), samples, received), "a V.22bis call")
    if samples >= 8 * RATE and not (received[0] and received[1]):
        raise SpandspError("libspandsp: the two V.22bis modems did not connect. Remedy: another seed or bit rate")
    return out


def v8_call(*, v34: bool = True, answer_tone: ConnectTone = ConnectTone.ANSAM_PR) -> Audio:
    """V.8 between two modems (CI, ANSam, CM, JM, CJ) until both have agreed: int16[2, samples]."""
    ffi, lib = _spandsp()
    out = np.zeros((2, 20 * RATE), np.int16)
    status = ffi.new("int[2]")
    modulations = lib.V8_MOD_V21 | lib.V8_MOD_V22 | lib.V8_MOD_V32 | (lib.V8_MOD_V34 if v34 else 0)
    used = _check(lib.lk_v8_pair(modulations, int(answer_tone), _out(ffi, out), out.shape[1], status), "a V.8 exchange")
    if list(status) != [lib.V8_STATUS_V8_CALL] * 2:
        raise SpandspError(f"libspandsp: V.8 was not agreed (states {list(status)}) within 20 s. Remedy: another tone")
    return out[:, :used].copy()


def fax_call(
    page: Path | None = None,
    into: Path | None = None,
    *,
    caller: str = "+86 10 5550 0101",
    answerer: str = "+86 21 5550 0202",
    modems: Literal["v27ter", "v29", "v17"] = "v17",
    ecm: bool = True,
    seed: int = 1,
    longest_s: int = 300,
) -> FaxCall:
    """A whole T.30 call, both ends libspandsp's: sends the TIFF `page` (none: one page of blocks drawn from `seed`)
    and receives into `into` (none: nothing is kept)."""
    with TemporaryDirectory(prefix="linekeep-fax-") as folder:
        page = page or write_page(Path(folder, "page.tif"), seed=seed)
        into = into or Path(folder, "received.tif")
        return _fax_call(page, into, caller, answerer, modems, ecm, longest_s)


def _fax_call(page: Path, into: Path, caller: str, answerer: str, modems: str, ecm: bool, longest_s: int) -> FaxCall:
    ffi, lib = _spandsp()
    supported = lib.T30_SUPPORT_V27TER
    supported |= lib.T30_SUPPORT_V29 if modems != "v27ter" else 0
    supported |= lib.T30_SUPPORT_V17 if modems == "v17" else 0
    out = np.zeros((2, longest_s * RATE), np.int16)
    result = ffi.new("lk_fax_result_t *")
    names = [bytes(page), bytes(into), caller.encode("ascii"), answerer.encode("ascii")]
    used = _check(lib.lk_fax_pair(*names, supported, int(ecm), _out(ffi, out), out.shape[1], result), "a fax call")
    for end, code in (("caller", result.caller_code), ("answerer", result.answerer_code)):
        if code != lib.T30_ERR_OK:
            why = ffi.string(lib.t30_completion_code_to_str(code)).decode() if code >= 0 else "not finished in time"
            raise SpandspError(f"libspandsp: the fax of {page} failed at the {end}: {why}. Remedy: check the TIFF")
    return FaxCall(out[0, :used].copy(), out[1, :used].copy(), result.pages, result.bit_rate, bool(result.ecm))


@cache
def _spandsp() -> tuple[Any, Any]:
    try:
        module = import_module("cffi_bindings._spandsp")
    except ImportError as error:
        raise LibraryMissing(
            f"libspandsp's binding cannot be loaded ({error}). Remedy: apt-get install gcc libspandsp-dev libtiff-dev, "
            "then python -m cffi_bindings.build"
        ) from error
    return module.ffi, module.lib


def _check(code: int, act: str) -> int:
    """The one look at a return code: counts pass, what is negative is refused."""
    if code < 0:
        raise SpandspError(f"libspandsp: {act} failed ({code}). Remedy: check the arguments against its header")
    return code


def _made(ffi: Any, state: Any, what: str) -> Any:
    if state == ffi.NULL:
        raise SpandspError(f"libspandsp: making {what} failed: no memory. Remedy: free some")
    return state


def _in(ffi: Any, samples: Audio) -> Any:
    return ffi.from_buffer("int16_t[]", np.ascontiguousarray(samples, np.int16))


def _out(ffi: Any, samples: Audio) -> Any:
    return ffi.from_buffer("int16_t[]", samples, require_writable=True)


def _caller_id_fields(number: str, standard: CallerIdStandard, multiple: bool, name: str, time: str) -> bytes:
    body = number.encode("ascii")
    if standard is CallerIdStandard.DTMF:
        parts = [(ord("A"), body)]
    elif multiple:
        parts = [(1, time.encode("ascii")), (2, body), *([(7, name.encode("gb2312"))] if name else [])]
    else:
        parts = [(0, time.encode("ascii") + body)]
    return b"".join(bytes([type_, len(part)]) + part for type_, part in parts)


def _split_fields(standard: CallerIdStandard, message: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each field; the first is the message's own type, with no body."""
    ffi, lib = _spandsp()
    out = ffi.new("uint8_t[]", 2 * len(message) + 64)
    used = _check(lib.lk_adsi_fields(int(standard), message, len(message), out, len(out)), "reading caller ID fields")
    raw, fields = bytes(ffi.buffer(out, used)), []
    while raw:
        fields.append((raw[0], raw[2 : 2 + raw[1]]))
        raw = raw[2 + raw[1] :]
    return fields
