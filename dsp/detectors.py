"""The detectors of a batch of channels: law bytes in, events out.

One `feed` takes the same number of samples of every channel. Inside, time runs in steps of 160 samples whatever the
framing: expansion by table into one buffer, one matrix product a hop for every tone that any detector wants
(`dsp.tones`), then each detector's decisions in array operations over all channels. Costly analysis reads the last
seconds of flagged channels from `dsp.history`. What is off takes no rows of the matrix and no step.

Events are in order of discovery. Positions are samples since the first one fed. BLAS should run single-threaded
(`OPENBLAS_NUM_THREADS=1`), which is for the process to set before numpy is loaded.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dsp.activity import VOICED_HZ, Activity, Speech
from dsp.callerid import STANDARDS, DtmfCallerId, FskCallerId
from dsp.carriers import Carriers
from dsp.classify import Classifier
from dsp.connect_tones import ConnectTones
from dsp.dtmf import HIGH_HZ, LOW_HZ, SIGN_SHARE, Dtmf
from dsp.events import KINDS, Event
from dsp.g711 import IDLE, Law
from dsp.history import STEPS, History
from dsp.levels import FLOOR_DBM0, expansion_of_pairs
from dsp.progress import Progress
from dsp.reports import Reports
from dsp.tones import HOP, STEP, Above, Bank
from dsp.v21 import MARK_HZ, SPACE_HZ, V21Preamble
from dsp.zones import ZONES, Zone

__all__ = ["Detectors", "Event", "Law", "Zone"]

_HOT_DBM0 = np.float32(-14.0)
"""Two samples of 160 at the last step alone make this level."""
_LAST_STEP: Final = {"alaw": 0x2A, "ulaw": 0x00}
"""The largest value but for its sign, which is bit 7 (G.711, tables 1 and 2)."""
_CONNECT: Final = frozenset({"cng", "calling_tone", "answer_tone"})


class Detectors:
    """Everything that is listened for on `channels` channels of one clock domain."""

    level_dbm0: NDArray[np.float32]
    """`[channels]`: level of the last 20 ms, dBm0, -90 at least."""
    active: NDArray[np.bool_]
    """`[channels]`: sound activity now (any sound above the noise floor)."""
    noise_floor_dbm0: NDArray[np.float32]
    """`[channels]`: the quietest of the last 2.56 s without offset and hum, dBm0, between -68 and -35."""
    clipped: NDArray[np.bool_]
    """`[channels]`: two or more of the last 160 samples stood on the last step of the law."""

    def __init__(self, channels: int, law: Law, zone: Zone = "cn", detectors: Iterable[str] | None = None) -> None:
        """`detectors`: the kinds of event wanted (`dsp.events.KINDS`), all by default.

        Raises ValueError for an unknown law, zone or kind, or fewer than one channel.
        """
        self.kinds = _checked(channels, law, zone, detectors)
        heard = _heard(self.kinds)
        self._out = Reports(channels)
        self._pending = np.empty((channels, STEP), np.uint8)
        self._filled = 0
        self._hop = 0
        self._pairs = expansion_of_pairs(law)
        self.level_dbm0 = np.full(channels, FLOOR_DBM0, np.float32)
        self.active, self.clipped = (np.zeros(channels, np.bool_) for _ in range(2))
        self._any_clipped = False
        self._last_step = _LAST_STEP[law]
        steps = STEPS if heard & {"v21", "carrier", "cid", "progress"} else 1
        self._history = History(channels, IDLE[law], self._pairs, steps)
        groups = _groups(heard)
        above = Above("dtmf", SIGN_SHARE) if "dtmf" in groups else None
        if heard & _CONNECT and above is None:
            # They want to know what is below 480 Hz, whether anything is deaf to it or not.
            groups["deaf"], above = (), Above("deaf", 0)
        self._bank = bank = Bank(channels, _frequencies(heard, zone), groups, above)
        self._expanded = bank.input.view(np.complex64)
        on = heard.__contains__
        self._activity = Activity(channels, bank)
        self.noise_floor_dbm0 = self._activity.noise_floor_dbm0
        self._dtmf = Dtmf(channels, bank) if on("dtmf") else None
        self._connect = ConnectTones(channels, bank, heard) if heard & _CONNECT else None
        self._v21 = V21Preamble(channels, bank, self._history) if on("v21") else None
        self._progress = Progress(channels, bank, ZONES[zone], self._history) if on("progress") else None
        self._carriers = Carriers(channels, self._history) if on("carrier") else None
        self._cid = FskCallerId(channels, bank, self._history) if on("cid") else None
        self._dtmf_cid = DtmfCallerId()
        self._speech = Speech(channels) if on("speech") else None
        self._class = Classifier(channels) if on("class") else None
        self._other = np.zeros(channels, np.bool_)

    def feed(self, block: NDArray[np.uint8]) -> list[Event]:
        """What became certain in `block`, uint8 `[channels, n]` for any n."""
        if block.shape[:1] != self._pending.shape[:1] or block.ndim != 2 or block.dtype != np.uint8:
            raise ValueError(f"Block {block.dtype}{list(block.shape)}: uint8 [{self._pending.shape[0]}, n] is wanted.")
        samples = block.shape[1]
        at = 0
        while at < samples:
            if self._filled == 0 and samples - at >= STEP:
                self._step(block[:, at : at + STEP])
                at += STEP
                continue
            taken = min(STEP - self._filled, samples - at)
            self._pending[:, self._filled : self._filled + taken] = block[:, at : at + taken]
            self._filled += taken
            at += taken
            if self._filled == STEP:
                self._filled = 0
                self._step(self._pending)
        return self._wanted()

    def close(self) -> list[Event]:
        """What waited to be looked at, and the ends of what is still open. A rest shorter than 20 ms is counted but
        not searched."""
        if self._cid is not None:
            self._cid.close(self._hop, self._out)
        self._out.end_all(self._hop * HOP + self._filled)
        return self._wanted()

    def _wanted(self) -> list[Event]:
        """What is heard only for the sake of another kind is not reported."""
        return [event for event in self._out.take() if event.kind in self.kinds]

    def restart(self, channels: NDArray[np.intp]) -> None:
        """A new call begins on these channels: its class starts afresh, and the one before gets no further report."""
        if self._class is not None:
            self._class.restart(np.asarray(channels, np.intp), self._out)
        if self._carriers is not None:
            self._carriers.restart(np.asarray(channels, np.intp))

    def _step(self, law_bytes: NDArray[np.uint8]) -> None:
        hop, out = self._hop, self._out
        kept = self._history.write(law_bytes)
        self._pairs.take(kept.view(np.uint16), out=self._expanded, mode="clip")
        self._bank.step()
        self._activity.step()
        self.level_dbm0, self.active = self._activity.level_dbm0, self._activity.active
        self.noise_floor_dbm0 = self._activity.noise_floor_dbm0
        self._look_for_clipping(kept)
        before = len(out)
        if self._progress is not None:
            self._progress.step(hop, out)
        if self._dtmf is not None:
            self._dtmf.step(hop, out)
        if self._connect is not None:
            self._connect.step(hop, out)
        if self._v21 is not None:
            self._v21.step(hop, out)
        if self._cid is not None:
            self._cid.step(hop, out)
        if len(out) > before:
            self._digits(before)
        if self._speech is not None or self._class is not None or self._carriers is not None:
            self._judge(hop, before)
        self._hop += 2

    def _digits(self, before: int) -> None:
        """What began since there were `before` reports and is a digit: it may be of a caller's number, and the silence
        around it is of no cadence."""
        for event in self._out.since(before):
            if event.kind == "dtmf" and event.end_s is None:
                if self._cid is not None:
                    self._dtmf_cid.digit(event, self._out)
                if self._progress is not None:
                    self._progress.digit(event.channel)

    def _look_for_clipping(self, law_bytes: NDArray[np.uint8]) -> None:
        hot = (self.level_dbm0 > _HOT_DBM0).nonzero()[0]
        heard = law_bytes.take(hot, 0)
        # Bytes find a byte in a tenth of the time of a comparison.
        data, last_step = heard.tobytes(), self._last_step
        if self._any_clipped or last_step in data or last_step | 0x80 in data:
            last = (heard & 0x7F) == last_step
            self.clipped = np.zeros(self.clipped.size, np.bool_)
            self.clipped[hot] = np.add.reduce(last, axis=1, dtype=np.uint8) >= 2
            self._any_clipped = bool(self.clipped.any())

    def _judge(self, hop: int, before: int) -> None:
        """Carriers, speech and class, which rest on what the others heard in this step."""
        out = self._out
        cadences = self._progress.heard() if self._progress is not None and self._progress.lately else None
        plain = self._plain(cadences) if self._class is not None else self._other
        if self._carriers is not None:
            for event in out.since(before):
                self._carriers.sign(event, hop, out)
            self._carriers.step(hop, self._activity, out)
            if self._class is not None and self._carriers.any_still:
                # Steady noise stands still too, but is not loud.
                plain &= ~(self._carriers.still & np.logical_and.reduce(self._activity.loud_lately, axis=0))
        if self._speech is not None:
            self._speech.step(self._activity, self._explained(cadences), out)
        if self._class is not None:
            for event in out.since(before):
                if event.end_s is None:
                    self._class.sign(event, out)
            self._class.step(self._activity, plain, out)

    def _explained(self, cadences: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """`[channels]`: a tone, a digit or data that was told sounds, so what is heard is no speech. None: nowhere.
        `cadences`: where progress tones sound; in their pauses somebody may speak."""
        out, found = self._out, None
        if out.any_told:
            found = out.told > 0
        if out.any_cadence and cadences is not None:
            sounding = cadences & out.cadences
            found = sounding if found is None else np.logical_or(found, sounding, out=found)
        if self._class is not None and self._class.any_machine:
            data = np.greater(self._class.machine, self._activity.voiced)
            found = data if found is None else np.logical_or(found, data, out=found)
        return found

    def _plain(self, cadences: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """`[channels]`: nothing sounds that is, or may be, a tone, a digit or data."""
        other = self._other
        if cadences is None:
            other.fill(False)
        else:
            np.copyto(other, cadences)
        if self._dtmf is not None and self._dtmf.any_going:
            other |= self._dtmf.going
        if self._connect is not None and self._connect.running:
            other |= self._connect.sounding
        if self._v21 is not None and self._v21.any_busy:
            other |= self._v21.busy
        return np.logical_not(other, out=other)


def _checked(channels: int, law: str, zone: str, detectors: Iterable[str] | None) -> frozenset[str]:
    if channels < 1:
        raise ValueError(f"Detectors for {channels} channels: at least one is needed.")
    if law not in IDLE:
        raise ValueError(f"Law {law!r}: alaw or ulaw.")
    if zone not in ZONES:
        raise ValueError(f"Zone {zone!r}: one of {', '.join(ZONES)}.")
    kinds = frozenset(KINDS if detectors is None else detectors)
    if unknown := kinds - set(KINDS):
        raise ValueError(f"Detector {', '.join(sorted(unknown))}: one of {', '.join(KINDS)}.")
    return kinds


def _heard(kinds: frozenset[str]) -> frozenset[str]:
    """What must be listened for so that these kinds can be told: the class of a call rests on every machine, tone and
    digit, the name of a carrier on the class, and caller ID may be digits."""
    heard = kinds
    if heard & {"class", "carrier"}:
        heard |= frozenset(KINDS) - {"cid", "speech"}
    if "cid" in heard:
        heard |= {"dtmf"}
    return heard


def _frequencies(kinds: frozenset[str], zone: Zone) -> list[float]:
    """What the bank must hold for these kinds; first what is listened for alone."""
    wanted: list[float] = ConnectTones.frequencies_hz(kinds)
    if "cid" in kinds:
        wanted += [mark for _, mark, _ in STANDARDS]
    if "progress" in kinds:
        wanted += [f for pair in sorted(ZONES[zone].sets, key=len) for f in pair]
    if "v21" in kinds:
        wanted += (MARK_HZ, SPACE_HZ)
    if "dtmf" in kinds:
        wanted += LOW_HZ + HIGH_HZ
    if kinds & {"class", "carrier", "speech"}:
        wanted += VOICED_HZ
    return wanted


def _groups(kinds: frozenset[str]) -> dict[str, tuple[float, ...]]:
    """Tones whose power is wanted together."""
    groups: dict[str, tuple[float, ...]] = {}
    if kinds & {"class", "carrier", "speech"}:
        groups["voiced"] = VOICED_HZ
    if "dtmf" in kinds:
        groups["dtmf"] = LOW_HZ + HIGH_HZ
    if "v21" in kinds:
        groups["v21"] = (MARK_HZ, SPACE_HZ)
    return groups
