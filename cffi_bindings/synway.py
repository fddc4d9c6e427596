"""Synway's recording cards by the vendor's SynCTI library, loaded at run time where it is installed.

Its licence forbids passing on any part, so nothing of it is here: the declarations are our own, of what public
documentation and public programs say of it, and have not yet been run on a real card (`UNPROVED`). What is trusted to
be true and would show at once if it were not: the numbers of events, states and codecs; that a call answers -1 when it
failed; that live data are called back from the library's threads and the name of a file is needed beside them, for
which the null device does; that flag 6 sets how often, in milliseconds.

The width of its DWORD on 64-bit Linux is read from its header where that is installed (`dword_bits`), else taken as 32:
numbers that are passed fit either, and structures are laid out by it.

`Library` asks; `Ring` is where the audio arrives. Its callback is C of ours (`src/synway_ring.h`), so that the
library's threads never wait for the interpreter lock.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI

from cffi_bindings.errors import LibraryMissing, SynwayError

UNPROVED: Final = "declared from public documentation, not yet run on a real card"
LIBRARIES: Final = ("libshpa3api.so", "libshp_a3.so")
BLOCK: Final = 160
_HEADER: Final = "shpa3api.h"
_HEADER_FOLDERS: Final = ("/usr/include", "/usr/local/include", "/usr/include/shcti", "/usr/local/include/shcti")
_TEXT_BYTES: Final = 1024
"""More than any text that the library writes into a buffer of its caller."""
_POLLED: Final = 1
_ALL_EVENTS: Final = 0xFFFF
_CALLBACK_EVERY: Final = 6

_DECLARATIONS: Final = """
    typedef unsigned short WORD;
    typedef {dword} DWORD;
    typedef struct {{ WORD code; int channel; DWORD value; }} message_t;
    typedef struct {{ DWORD mode; void *handler; DWORD condition, parameter, user; }} event_mode_t;
    int SsmStartCti(const char *config, const char *index);
    int SsmCloseCti(void);
    int SsmGetLastErrCode(void);
    void SsmGetLastErrMsg(char *text);
    int SsmGetMaxCh(void);
    int SsmGetChType(int ch);
    int SsmGetChState(int ch);
    int SsmSetEvent(WORD code, int channel, int enable, event_mode_t *mode);
    int SsmWaitForEvent(DWORD timeout_ms, message_t *message);
    int SsmSetFlag(int ch, int flag, long value);
    int SsmRecToFileB(int ch, const char *file, int codec, DWORD start, DWORD bytes, DWORD ms, int mask,
                      void *live, void *user);
    int SsmStopRecToFile(int ch);
    int SsmGetLineVoltage(int ch);
    int SsmGetPolarState(int ch);
    int SsmGetCallerId(int ch, char *text);
    int SsmClearCallerId(int ch);
"""


class ChannelType(IntEnum):
    TRUNK = 0
    USER = 2
    RECORDING = 3
    FAX = 5


class State(IntEnum):
    STANDBY = 0
    PICKED_UP = 1
    RINGING = 2
    TALKING = 3
    PENDING = 7
    OFF_LINE = 8
    WAITS_FOR_PICKUP = 9
    UNAVAILABLE = 11
    LOCKED = 12


class EventCode(IntEnum):
    LINE_VOLTAGE = 0x08
    DTMF = 0x0C
    RECORD_END = 0x13
    STATE = 0x18
    RING_LEVEL = 0x1D
    RING_COUNT = 0x1E
    CALLER_ID = 0x1F
    POLARITY = 0x21
    HOOK = 0x24
    TONE = 0x25
    FAX_TONE = 0x2A
    BARGE_IN = 0x2E
    NO_SOUND = 0x2F


CODECS: Final = {"alaw": 6, "ulaw": 7}


@dataclass(frozen=True, slots=True)
class Event:
    code: int
    channel: int
    value: int


def installed(library: str = "") -> bool:
    """Is the vendor's library there? `library`: its name or path; empty: the usual names."""
    try:
        Library(library)
    except LibraryMissing:
        return False
    return True


def dword_bits(folders: Sequence[Path]) -> int:
    """The width of DWORD by the first header that is in one of these folders and defines it; 32 where none does."""
    for header in (folder / _HEADER for folder in folders):
        if header.is_file():
            line = re.search(r"^.*\bDWORD\b.*$", header.read_text(encoding="latin-1"), re.MULTILINE)
            if line is not None:
                return 64 if re.search(r"\blong\b|64", line[0]) else 32
    return 32


class Library:
    """The library, loaded. Channels are its own numbers, from 0. Every call raises SynwayError where it answers -1,
    with the library's reason."""

    def __init__(self, library: str = "", header_folders: Sequence[Path] | None = None) -> None:
        """`library`: name or path; empty: the usual names. Raises LibraryMissing where there is none, or one that
        lacks a function."""
        folders = [Path(library).parent] if "/" in library else []
        folders += [Path(folder) for folder in _HEADER_FOLDERS] if header_folders is None else header_folders
        self.dword_bits = dword_bits(folders)
        self._ffi = FFI()
        self._ffi.cdef(_DECLARATIONS.format(dword="unsigned long" if self.dword_bits == 64 else "unsigned int"))
        self._lib = self._load((library,) if library else LIBRARIES)
        self._message = self._ffi.new("message_t *")

    def _load(self, names: Sequence[str]) -> Any:
        reasons = []
        for name in names:
            try:
                lib = self._ffi.dlopen(name)
            except OSError as error:
                reasons.append(str(error))
                continue
            missing = [call for call in re.findall(r"\b(Ssm\w+)\(", _DECLARATIONS) if not hasattr(lib, call)]
            if missing:
                raise LibraryMissing(
                    f"Synway: {name} has no {', '.join(missing)}. Remedy: install SynCTI 5 of the card's vendor"
                )
            return lib
        raise LibraryMissing(
            f"Synway: its library cannot be loaded ({'; '.join(reasons)}). Remedy: install the vendor's SynCTI driver, "
            'or set vendor_library = "/path/to/libshpa3api.so" in the [[card]]'
        )

    def _ask(self, answer: int, act: str) -> int:
        if answer == -1:
            text = self._ffi.new("char[]", _TEXT_BYTES)
            self._lib.SsmGetLastErrMsg(text)
            raise SynwayError(
                f"Synway: {act} failed (error {self._lib.SsmGetLastErrCode()}, {self._said(text) or 'no reason given'})"
            )
        return answer

    def _said(self, text: Any) -> str:
        found: bytes = self._ffi.string(text)
        return found.decode("gb18030", "replace").strip()

    def start(self, config: Path, index: Path) -> None:
        """Take all cards that the two files of the vendor name (ShConfig.ini, ShIndex.ini); events are asked for."""
        self._ask(self._lib.SsmStartCti(bytes(config), bytes(index)), f"starting with {config} and {index}")
        mode = self._ffi.new("event_mode_t *", {"mode": _POLLED})
        self._ask(self._lib.SsmSetEvent(_ALL_EVENTS, -1, 1, mode), "asking for events")

    def close(self) -> None:
        self._ask(self._lib.SsmCloseCti(), "closing the cards")

    def channels(self) -> int:
        return self._ask(self._lib.SsmGetMaxCh(), "counting the channels")

    def type(self, channel: int) -> int:
        """One of `ChannelType`, or another number."""
        return self._ask(self._lib.SsmGetChType(channel), f"asking for the type of channel {channel}")

    def state(self, channel: int) -> int:
        """One of `State`, or another number."""
        return self._ask(self._lib.SsmGetChState(channel), f"asking for the state of channel {channel}")

    def tell(self, code: int, channel: int) -> None:
        """Have an event reported."""
        self._ask(self._lib.SsmSetEvent(code, channel, 1, self._ffi.NULL), f"event {code:#x} of channel {channel}")

    def wait(self, timeout_ms: int) -> Event | None:
        """The next event, without the interpreter lock; None where none came in time. By one thread only."""
        if self._lib.SsmWaitForEvent(timeout_ms, self._message) != 0:
            return None
        return Event(self._message.code, self._message.channel, self._message.value & 0xFFFFFFFF)

    def volts(self, channel: int) -> float:
        """Loop voltage without its sign; NaN where the channel does not measure it."""
        found = self._lib.SsmGetLineVoltage(channel)
        return float("nan") if found == -1 else float(abs(found))

    def reversed(self, channel: int) -> bool:
        """Is the battery reversed?"""
        return self._ask(self._lib.SsmGetPolarState(channel), f"asking for the polarity of channel {channel}") == 1

    def caller_id(self, channel: int) -> str:
        """The caller's number, once: it is cleared. Empty where none came."""
        text = self._ffi.new("char[]", _TEXT_BYTES)
        self._ask(self._lib.SsmGetCallerId(channel, text), f"asking for the caller on channel {channel}")
        number = self._said(text)
        if number:
            self._ask(self._lib.SsmClearCallerId(channel), f"clearing the caller on channel {channel}")
        return number

    def call_back_every(self, channel: int, ms: int) -> None:
        """How often a recording channel brings its audio."""
        self._ask(self._lib.SsmSetFlag(channel, _CALLBACK_EVERY, ms), f"calls every {ms} ms on channel {channel}")

    def record(self, channel: int, law: str, ring: "Ring", place: int) -> None:
        """From now on the channel's audio goes to a place of the ring."""
        live, user = (self._ffi.cast("void *", address) for address in ring.target(place))
        without_end = (1 << self.dword_bits) - 1
        self._ask(
            self._lib.SsmRecToFileB(
                channel, b"/dev/null", CODECS[law], 0, without_end, without_end, 0, live, user
            ),
            f"recording {law} on channel {channel}",
        )  # fmt: skip

    def stop(self, channel: int) -> None:
        self._ask(self._lib.SsmStopRecToFile(channel), f"stopping channel {channel}")


class Ring:
    """8 s of audio of each of `channels` channels; see `src/synway_ring.h`.

    After `read`: `law` uint8 `[channels, 160]`; `status` uint8 `[channels]`, 0 for a block that came, 1 for one that is
    late (filler: what comes for it is dropped), 2 for one with a hole (what is missing is filler and never comes)."""

    def __init__(self, channels: int) -> None:
        self._ffi, self._lib = _ring()
        self._card = self._lib.lk_synway_new(channels, BLOCK)
        if self._card == self._ffi.NULL:
            raise MemoryError(f"Synway: no memory for 8 s of {channels} channels")
        self.law = np.zeros((channels, BLOCK), np.uint8)
        self.status = np.zeros(channels, np.uint8)

    def target(self, place: int) -> tuple[int, int]:
        """Addresses of the callback, and of what it is told."""
        numbers = (self._ffi.addressof(self._lib, "lk_synway_data"), self._lib.lk_synway_place(self._card, place))
        return tuple(int(self._ffi.cast("intptr_t", number)) for number in numbers)  # type: ignore[return-value]

    def open(self, place: int) -> None:
        """Audio is kept from now on, and put beside that of the others."""
        self._lib.lk_synway_open(self._card, place)

    def expect(self, place: int, expected: bool) -> None:
        """Whether the others wait for this one."""
        self._lib.lk_synway_expect(self._card, place, expected)

    def begin(self) -> None:
        """Throw away what came: all channels begin together, now."""
        self._lib.lk_synway_begin(self._card)

    def close(self) -> None:
        """What comes from now on is dropped."""
        self._lib.lk_synway_close(self._card)

    def read(self, wait_ms: int, grace_ms: int, idle: int) -> int:
        """How many channels have the next block; 0: none, and nothing was taken. Waits without the interpreter lock:
        `wait_ms` for the first channel, from then on `grace_ms` for the others. `idle`: the filler."""
        pointers = (self._ffi.cast("uint8_t *", array.ctypes.data) for array in (self.law, self.status))
        return int(self._lib.lk_synway_read(self._card, *pointers, wait_ms, grace_ms, idle))

    @property
    def newest(self) -> tuple[int, int]:
        """How many samples behind the last block the newest stands, and CLOCK_MONOTONIC_RAW in ns when it came."""
        return int(self._card.ahead), int(self._card.ahead_ns)

    @property
    def longest(self) -> int:
        """Samples of the longest piece that came."""
        return int(self._card.longest)

    @property
    def lost(self) -> int:
        """Samples that never came, or found no room."""
        return int(self._card.lost)

    @property
    def late(self) -> int:
        """Samples that came after filler was given for them."""
        return int(self._card.late)


@cache
def _ring() -> tuple[Any, Any]:
    try:
        module = import_module("cffi_bindings._synway")
    except ImportError as error:
        raise LibraryMissing(
            f"Synway's side of the binding cannot be loaded ({error}). Remedy: make setup, which builds it"
        ) from error
    return module.ffi, module.lib
