"""The threshold wizard at work in the daemon: where `learn` has its samples from, and what becomes of its proposal.

A measuring looks at a line for some seconds as a listener does, from the event loop, ten times a second: it takes the
audio that came from the card's ring, and the voltage as it is. What is computed of it is computed beside the loop. The
audio does not leave the daemon, so nobody has listened. The wizard's state is its client's: each request brings the
measurements that went before.

A change is entered in the journal, written to the configuration file with everything else there as it was, and taken
over by the running line with the next block, if it can be (`Switch.configure`).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firmware.box import Box
from firmware.clock import RATE
from firmware.config import Config, ConfigError, LineConfig, ToneZone
from firmware.config_change import with_line
from firmware.config_file import parse
from firmware.control import Refusal, Room
from firmware.engine import Probe
from firmware.entered import save_entered
from firmware.learn import Step, check, measured, propose, steps
from firmware.wire import Fields, Measurement

LOOK_EVERY_S = 0.1
PATIENCE_S = 5.0
"""A card that delivers is not later than this."""
LEARNED = ("trigger", "off_hook_volts", "cut_volts", "vox_level_dbm0")
"""The keys of `[[line]]` that are learned."""


class Learning:
    """`path`: the configuration file. One change at a time, whoever makes it: `changing` is held meanwhile."""

    def __init__(self, box: Box, path: Path, changing: asyncio.Lock) -> None:
        self._box, self._path, self._changing = box, path, changing

    def begin(self, line: int) -> Fields:
        """What is to be done on this line, and what it has now."""
        config = self._line(line)
        volts = _volts(config, self._box.engine.probe(line))
        now = {key: getattr(config.recording, key) for key in LEARNED}
        return {"steps": list(steps(volts is not None)), "volts": volts, "kind": config.kind, "now": now}

    async def measure(
        self, line: int, step: str, seconds: float, before: Sequence[Measurement], room: Room
    ) -> AsyncGenerator[Fields | None, None]:
        """The events of `learn.measure`."""
        config, card = self._line(line), self._box.cards[line]
        loop, wanted = asyncio.get_running_loop(), round(seconds * RATE)
        audio, volts = bytearray(), list[float]()
        probe = self._box.engine.probe(line)
        yield None
        deadline_s = loop.time() + seconds + PATIENCE_S
        while len(audio) < wanted:
            await asyncio.sleep(LOOK_EVERY_S)
            audio += probe.listener.read()[1]
            if (now := _volts(config, probe)) is not None:
                volts.append(now)
            if loop.time() > deadline_s:
                raise Refusal(
                    "refused", f"Line {line}: its card delivered {len(audio) / RATE:.1f} s of sound in "
                    f"{seconds + PATIENCE_S:.0f} s, {seconds:g} s are needed.", "See the open alarms.",
                )  # fmt: skip
            if room():
                done_s = min(len(audio) / RATE, seconds)
                yield {"event": "progress", "seconds": done_s, "level_dbm0": probe.level_dbm0(), "volts": now}
        law_bytes = np.frombuffer(bytes(audio[:wanted]), np.uint8)
        found = await asyncio.to_thread(measured, Step(step), law_bytes, card.law, self._zone(card.name), volts)
        refused = check(found, _by_step(before))
        yield {"event": "measured", "measurement": found, "refused": refused}
        yield {"event": "end", "reason": "done"}

    def propose(self, line: int, done: Sequence[Measurement]) -> Fields:
        """Raises `Refusal` where a step is missing, or was not what it should have been."""
        config, by_step = self._line(line), _by_step(done)
        rest = by_step.get(Step.ON_HOOK)
        for step in steps(rest is not None and rest.volts is not None):
            if step not in by_step:
                raise Refusal("bad_request", f"Line {line}: step {step} was not measured.", "Measure it first.")
            if (fault := check(by_step[step], by_step)) is not None:
                raise Refusal("refused", f"Line {line}: {fault.text}", fault.remedy)
        return {"proposal": propose(by_step, config.recording, config.kind, config.role)}

    async def apply(self, line: int, values: Mapping[str, float | str], who: str) -> Fields:
        """The change is in the journal and on the disk when this returns; `live` says whether it acts already. Once
        begun it goes to its end, even where its client goes: file and running line are not left apart."""
        return await asyncio.shield(self._apply(line, values, who))

    async def _apply(self, line: int, values: Mapping[str, float | str], who: str) -> Fields:
        async with self._changing:
            config = self._line(line)
            text, changed = await asyncio.to_thread(self._prepared, line, values)
            detail = {"line": line, "changed": changed}
            await save_entered(self._box, self._path, text, who, detail, f"Line {line}")
            recording = replace(config.recording, **values)  # type: ignore[arg-type]
            live = await asyncio.to_thread(self._box.engine.configure, line, recording)
            if live:
                self._box.config = _with(self._box.config, replace(config, recording=recording))
        return {"changed": changed, "live": live, "file": str(self._path)}

    def _prepared(self, line: int, values: Mapping[str, float | str]) -> tuple[str, dict[str, list[Any]]]:
        """The file as it shall be, and what changes in it."""
        try:
            text = self._path.read_bytes().decode()
            before = parse(text, str(self._path))
            if _wiring(before) != _wiring(self._box.config):
                raise Refusal(
                    "refused", f"Line {line} was not changed: the cards in {self._path} are not those that run, so the "
                    "number may stand for another line there.", "Start the daemon again, then learn the line.",
                )  # fmt: skip
            new = with_line(text, line, values, str(self._path))
        except ConfigError as error:
            raise Refusal("refused", f"Line {line} was not changed: {error}", "`linekeep config check`.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(
                "refused", f"Line {line} was not changed: {self._path} cannot be read: {error}.",
                "It must be UTF-8 text that the daemon may read.",
            ) from error  # fmt: skip
        known = before.lines[line - 1].recording
        return new, {key: [getattr(known, key), value] for key, value in values.items()}

    def _line(self, line: int) -> LineConfig:
        for config in self._box.config.lines:
            if config.number == line:
                return config
        raise Refusal("not_found", f"Line {line}: the box has no such line.", "Ask for its lines.")

    def _zone(self, card: str) -> ToneZone:
        return next(each.zone for each in self._box.config.cards if each.name == card)


def _volts(config: LineConfig, probe: Probe) -> float | None:
    """What stands on a handset's cord is no loop's voltage."""
    return None if config.kind == "handset" else probe.volts()


def _by_step(measurements: Sequence[Measurement]) -> dict[Step, Measurement]:
    return {Step(each.step): each for each in measurements}


def _wiring(config: Config) -> list[tuple[object, ...]]:
    """What makes a line's number that of a certain wire."""
    return [(card.kind, card.name, card.lines, card.channels) for card in config.cards]


def _with(config: Config, line: LineConfig) -> Config:
    return replace(config, lines=tuple(line if each.number == line.number else each for each in config.lines))
