"""Renders the pieces of sound that scripts are written with, each as one line's plant makes it sound.

What many calls share (tones, digits, fax and modem calls; on large cards the conversations too) is rendered once for a
plant and kept in the pool under its name; what is said in one call alone is freed after it. Every piece depends on its
name and the seed, never on when it was rendered.
"""

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cffi_bindings.spandsp import CallerIdStandard
from dsp import g711
from dsp.zones import Zone
from firmware.cards import BLOCK, Law
from firmware.cards.simulated import modem, signals
from firmware.cards.simulated.material import Material
from firmware.cards.simulated.plant import (
    RATE,
    LinePlant,
    Signal,
    from_linear,
    on_line,
    two_parties,
    whole_blocks,
)
from firmware.cards.simulated.pool import Piece, Pool
from firmware.cards.simulated.scenario import Direction

_SILENT_DB = -200.0
CLEAN = LinePlant("clean", 0.0, 0.0, 0.0, _SILENT_DB, 1, _SILENT_DB, _SILENT_DB, 50)
"""Adds nothing: silence is the idle byte."""

_QUIET_S = 8
_LONGEST_TALK = 180 * RATE
"""Longer talk repeats itself."""
_SHARED_TALK = 60 * RATE
_SHARED_TALKS = 6


class Studio:
    """Thread-safe as far as two threads never render what only one call uses."""

    def __init__(
        self, pool: Pool, law: Law, zone: Zone, seed: int, material: Material, *, share_talk: bool, polarity: bool
    ) -> None:
        self._pool, self._material, self._seed = pool, material, seed
        self._share_talk = share_talk
        self.law, self.zone, self.polarity = law, zone, polarity

    def free(self, piece: Piece) -> None:
        self._pool.free(piece)

    def dead(self) -> Piece:
        """A cut line."""
        return self._pool.share("dead", lambda: np.full(BLOCK, g711.IDLE[self.law], np.uint8))

    def quiet(self, plant: LinePlant) -> Piece:
        return self._shared(plant, "quiet", lambda: np.zeros(_QUIET_S * RATE, np.float32))

    def tone(self, plant: LinePlant, value: str) -> Piece:
        return self._shared(plant, value, lambda: signals.progress_tone(self.zone, value, plant.exchange_gain_db))

    def ringing(self, plant: LinePlant) -> Piece:
        if plant is CLEAN:
            return self.quiet(plant)
        return self._shared(plant, "ringing", lambda: signals.ringing(self.zone, -22.0))

    def digit(self, plant: LinePlant, digit: str, on_samples: int) -> Piece:
        # Telephones differ: -11 to -6 dBm0, the high group some 2 dB louder.
        level_dbm0 = -9.0 + plant.near_gain_db
        return self._shared(
            plant, f"digit {digit} {on_samples}", lambda: signals.dtmf(digit, on_samples, 4 * BLOCK, level_dbm0, 2.0)
        )

    def click(self, plant: LinePlant) -> Piece:
        return self._shared(plant, "click", lambda: signals.click(3 * BLOCK))

    def caller_id(self, plant: LinePlant, number: str, *, dtmf: bool) -> Piece:
        exchange = signals.EXCHANGES[self.zone]
        standard = CallerIdStandard.DTMF if dtmf else exchange.caller_id_standard
        alert = exchange.caller_id == "before ring" and not dtmf
        audio = signals.caller_id(number, standard, "01010800", alert=alert, level_db=plant.exchange_gain_db)
        return self._pool.add(on_line(plant, audio, self.law, self._seed_of(plant, number)))

    def talk(self, plant: LinePlant, language: str, variant: int, samples: int) -> Piece:
        """A conversation of `samples`, or a shorter one to be repeated."""
        if self._share_talk:
            number = variant % _SHARED_TALKS
            name = f"talk {language} {number}"
            return self._shared(plant, name, lambda: self._talk(plant, language, number, _SHARED_TALK))
        signal = self._talk(plant, language, variant, min(samples, _LONGEST_TALK))
        return self._pool.add(on_line(plant, signal, self.law, self._seed_of(plant, f"talk {variant}")))

    def machines(self, plant: LinePlant, kind: str, direction: Direction, variant: int) -> Piece:
        """A fax or modem call; the calling end is the near one where the call went out."""
        fax = modem.FAX_KINDS[variant % len(modem.FAX_KINDS)]
        data = modem.MODEM_KINDS[variant % len(modem.MODEM_KINDS)]

        def render() -> Signal:
            caller, answerer = modem.fax(fax) if kind == "fax" else modem.modem(data)
            near, far = (caller, answerer) if direction == "out" else (answerer, caller)
            return two_parties(plant, near, far)

        return self._shared(plant, f"{fax if kind == 'fax' else data} {direction}", render)

    def given(self, plant: LinePlant, law_bytes: NDArray[np.uint8]) -> Piece:
        """Somebody's own audio: untouched on a clean plant, else with the line's noise and hum."""
        if plant is not CLEAN:
            signal = from_linear(g711.decode(law_bytes, self.law), self.law)
            return self._pool.add(on_line(plant, signal, self.law, self._seed_of(plant, "given")))
        filled = np.full(whole_blocks(law_bytes.size), g711.IDLE[self.law], np.uint8)
        filled[: law_bytes.size] = law_bytes
        return self._pool.add(filled)

    def _talk(self, plant: LinePlant, language: str, variant: int, samples: int) -> Signal:
        rng = np.random.default_rng([self._seed, variant, 0x30])
        near, far = self._material.conversation(rng, samples, language)
        return two_parties(plant, near, far)

    def _shared(self, plant: LinePlant, name: str, render: Callable[[], Signal]) -> Piece:
        key = f"{plant.name} {name}"

        def law_bytes() -> NDArray[np.uint8]:
            return on_line(plant, render(), self.law, self._seed_of(plant, name))

        return self._pool.share(key, law_bytes)

    def _seed_of(self, plant: LinePlant, name: str) -> int:
        return self._seed ^ zlib.crc32(f"{plant.name} {name}".encode())
