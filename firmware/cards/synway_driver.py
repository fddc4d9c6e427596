"""Synway's library as it runs: started once for all cards of the box, and listened to by one thread.

The library is one for the whole process: it takes every board that its ini files name and numbers their channels
through. Boards that share no clock are different cards of the box, so cards share the library: the first starts it, the
last closes it.

The thread that waits for events also asks what has to be asked while it runs: line voltages, the caller's number when
one may have come, and a channel that is to begin anew.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cffi_bindings.errors import BindingError, SynwayError
from cffi_bindings.synway import ChannelType, Event, EventCode, Library, Ring

log = logging.getLogger(__name__)
FILES: Final = ("ShConfig.ini", "ShIndex.ini")
PIECE_MS: Final = 20
"""So often the library is asked to bring the audio."""
_WAIT_MS: Final = 20
_WANTED: Final = (
    EventCode.STATE,
    EventCode.LINE_VOLTAGE,
    EventCode.DTMF,
    EventCode.RECORD_END,
    EventCode.RING_LEVEL,
    EventCode.POLARITY,
    EventCode.HOOK,
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the library said of a channel, by its place on the card. `text`: a caller's number."""

    place: int
    code: int
    value: int
    text: str = ""


class Share:
    """One card's channels: what the thread brings (`heard`, `volts`) and what it is to do (`again`)."""

    def __init__(self, channels: tuple[int, ...], law: str, volts_every_s: float) -> None:
        self.channels, self.law, self.volts_every_s = channels, law, volts_every_s
        self.ring = Ring(len(channels))
        self.heard: deque[Heard] = deque()
        self.again: deque[int] = deque()
        """Places that are to begin anew."""
        self.volts = np.full(len(channels), np.nan, np.float32)
        self.next_volts_s = 0.0
        self.no_caller: set[int] = set()
        """Places that refuse to name the caller."""


class Driver:
    """The library, started. Made by `share`, ended with the last `leave`."""

    def __init__(self, library: str, folder: Path) -> None:
        """Raises BindingError, also where the folder lacks one of the vendor's files."""
        self.named = library, folder
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise SynwayError(
                f"Synway: {folder} has no {' and no '.join(missing)}. Remedy: write them with the vendor's "
                "configuration tool, or set folder in the [[card]]"
            )
        self.vendor = Library(library)
        self.vendor.start(*(folder / name for name in FILES))
        self._shares: tuple[Share, ...] = ()
        self._routes: dict[int, tuple[Share, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="synway-events", daemon=True)
        self._thread.start()

    def join(self, share: Share) -> None:
        """Its channels are recorded from now on. Raises SynwayError for one that is not there or of another type."""
        there = self.vendor.channels()
        for channel in share.channels:
            if channel >= there:
                raise SynwayError(
                    f"Synway: channel {channel} is not there, there are {there} (0 to {there - 1}). Remedy: channels "
                    "in the [[card]], or the boards in ShConfig.ini"
                )
            if (found := self.vendor.type(channel)) != ChannelType.RECORDING:
                raise SynwayError(
                    f"Synway: channel {channel} is of type {found}, not a recording channel "
                    f"({ChannelType.RECORDING.value}). Remedy: only recording channels in the [[card]]"
                )
        self._shares += (share,)
        self._routes |= {channel: (share, place) for place, channel in enumerate(share.channels)}
        self._measure(share)
        for place, channel in enumerate(share.channels):
            self._listen(channel)
            share.ring.open(place)
            share.ring.expect(place, True)
            self.vendor.record(channel, share.law, share.ring, place)

    def leave(self, share: Share) -> bool:
        """Its channels stop; whether it was the last, and the library is closed."""
        share.ring.close()
        if share in self._shares:
            self._shares = tuple(other for other in self._shares if other is not share)
            self._routes = {ch: route for ch, route in self._routes.items() if route[0] is not share}
            for channel in share.channels:
                with _reported():
                    self.vendor.stop(channel)
        if self._shares:
            return False
        self._stop.set()
        self._thread.join()
        with _reported():
            self.vendor.close()
        return True

    def _listen(self, channel: int) -> None:
        """Which events a channel has, and whether its pieces can be made shorter, depends on the board: without them it
        is heard all the same."""
        for code in _WANTED:
            with _reported():
                self.vendor.tell(code, channel)
        with _reported():
            self.vendor.call_back_every(channel, PIECE_MS)

    # The thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            event = self._wait()
            if event is not None and event.channel in self._routes:
                with _reported():
                    self._take(event, *self._routes[event.channel])
            for share in self._shares:
                while share.again:
                    with _reported():
                        self._begin_anew(share, share.again.popleft())
                now_s = time.monotonic()
                if share.volts_every_s and now_s >= share.next_volts_s:
                    share.next_volts_s = now_s + share.volts_every_s
                    self._measure(share)

    def _wait(self) -> Event | None:
        """A library that answers at once that nothing came must not keep a processor busy."""
        began_s = time.monotonic()
        event = self.vendor.wait(_WAIT_MS)
        if event is None and time.monotonic() - began_s < _WAIT_MS / 2000:
            self._stop.wait(_WAIT_MS / 1000)
        return event

    def _take(self, event: Event, share: Share, place: int) -> None:
        value = event.value
        if event.code == EventCode.RECORD_END:
            share.again.append(place)
            return
        if event.code == EventCode.LINE_VOLTAGE:
            if share.volts_every_s:
                share.volts = share.volts.copy()
                share.volts[place] = self.vendor.volts(event.channel)
            return
        if event.code == EventCode.POLARITY:
            value = int(self.vendor.reversed(event.channel))
        elif event.code == EventCode.STATE:
            value &= 0xFFFF  # The state; what it was before stands above.
        share.heard.append(Heard(place, event.code, value))
        if event.code in (EventCode.STATE, EventCode.RING_LEVEL):
            self._caller(share, place)

    def _caller(self, share: Share, place: int) -> None:
        """A number comes before the first ring or between two, and is whole when the next one begins or somebody
        answers."""
        if place in share.no_caller:
            return
        try:
            number = self.vendor.caller_id(share.channels[place])
        except SynwayError as error:
            share.no_caller.add(place)
            log.warning("%s; it is not asked again", error)
            return
        if number:
            share.heard.append(Heard(place, EventCode.CALLER_ID, 0, number))

    def _begin_anew(self, share: Share, place: int) -> None:
        channel = share.channels[place]
        with _reported():  # It refuses where the recording has ended by itself.
            self.vendor.stop(channel)
        share.ring.open(place)
        self.vendor.record(channel, share.law, share.ring, place)

    def _measure(self, share: Share) -> None:
        if share.volts_every_s:
            share.volts = np.array([self.vendor.volts(channel) for channel in share.channels], np.float32)


_running: Driver | None = None
_lock = threading.Lock()


def join(share: Share, library: str, folder: Path) -> Driver:
    """The driver, with the card's channels on it; started if this is the first card. Raises BindingError."""
    global _running
    with _lock:
        if _running is not None and _running.named != (library, folder):
            raise SynwayError(
                f"Synway: another card uses library {_running.named[0] or 'by its usual name'} and {_running.named[1]}."
                " Remedy: the same library and folder in all [[card]] of this kind: the library runs once"
            )
        driver = _running = _running or Driver(library, folder)
        try:
            driver.join(share)
        except BindingError:
            if driver.leave(share):
                _running = None
            raise
        return driver


def leave(driver: Driver, share: Share) -> None:
    """The card's channels stop; with the last card the library is closed."""
    global _running
    with _lock:
        if driver.leave(share):
            _running = None


@contextmanager
def _reported() -> Iterator[None]:
    """What one channel refuses stops none of the others; the log says it."""
    try:
        yield
    except SynwayError as error:
        log.warning("%s", error)
