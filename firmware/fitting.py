"""Fitting out the box: which cards it has and what its lines are, in the configuration file, by request.

What is asked for is entered in the journal, then written with everything else in the file as it was; the former
version stays beside it. It acts when the daemon starts again, which it does when told to (`restart`): lines, rings and
threads are made once. Cards come after those that are there, so that no line gets another number, and only the last
one can be taken away, if it is a simulated one: a real card's lines have recordings that go by their numbers.
"""

import asyncio
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firmware.box import Box
from firmware.cards import scan
from firmware.cards.simulated.material import can_speak
from firmware.config import Config, ConfigError
from firmware.config_change import with_cards, with_lines, without_last_card
from firmware.config_file import parse
from firmware.control import Refusal
from firmware.entered import save_entered
from firmware.learning import LEARNED
from firmware.requests import DescribedLine
from firmware.wire import Fields, FittedCard, FittedLine, Fittings, FoundBoard, FoundSpan, Scan

SIMULATED = '[[card]]\nkind = "simulated"\nlines = {lines}\nscenario = "{scenario}"\n'


class Fitting:
    """`changing` is held while the file is changed, by whomever."""

    def __init__(self, box: Box, path: Path, changing: asyncio.Lock) -> None:
        self._box, self._path, self._changing = box, path, changing

    # Looking ----------------------------------------------------------------------------------------------------------

    async def state(self) -> Fittings:
        return await asyncio.to_thread(self._state)

    def _state(self) -> Fittings:
        try:
            text = self._read()
            config = parse(text, str(self._path))
        except ConfigError as error:
            return fittings(self._box.config, set(), str(self._path), pending=True, trouble=str(error))
        return fittings(config, _own_thresholds(text), str(self._path), pending=config != self._box.config)

    async def scan(self) -> Scan:
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Scan:
        found = scan.look()
        try:
            cards = parse(self._read(), str(self._path)).cards
        except ConfigError:
            # The state says why it is refused; what runs is what is known.
            cards = self._box.config.cards
        taken = {channel for card in cards if card.kind == "dahdi" for channel in card.channels}
        fresh = [channel for channel in found.channels if channel.number not in taken]
        recorded = [channel for channel in fresh if channel.signalling in scan.RECORDED]
        return Scan(
            driver=f"DAHDI {found.version.driver}" if found.version else "", trouble=found.trouble,
            boards=[
                FoundBoard(address=one.address, maker=one.maker, driver=one.driver or "", modules=list(one.modules))
                for one in found.boards
            ],
            spans=[
                FoundSpan(
                    number=one.number, name=one.name, type=one.type, device=scan.card_of(one), channels=one.channels,
                    configured=one.configured_channels, alarms=list(one.alarms),
                )
                for one in found.spans
            ],
            ports=dict(Counter(channel.signalling.value for channel in found.channels)), fresh=len(recorded),
            proposal=scan.configuration(found.spans, recorded, {card.name for card in cards}) if recorded else "",
            signalling=scan.signalling(found.spans, found.channels), synway=found.synway,
        )  # fmt: skip

    # Changing ---------------------------------------------------------------------------------------------------------

    async def take_cards(self, who: str) -> Fields:
        """The cards that a look finds and the configuration does not have."""
        proposal = (await self.scan()).proposal
        if not proposal:
            raise Refusal("refused", "No card was added: no new channel was found.", "Look at `linekeep card scan`.")
        return await self._change(who, {"cards": "found"}, lambda text: with_cards(text, proposal, str(self._path)))

    async def take_simulated(self, lines: int, who: str) -> Fields:
        """Without voices for its callers, as on a flashed box, its lines only take the calls that are asked for."""
        scenario = "office" if await asyncio.to_thread(can_speak) else "none"
        stanza = SIMULATED.format(lines=lines, scenario=scenario)
        return await self._change(
            who, {"cards": "simulated", "lines": lines}, lambda text: with_cards(text, stanza, str(self._path))
        )

    async def drop_simulated(self, who: str) -> Fields:
        def change(text: str) -> str:
            cards = parse(text, str(self._path)).cards
            if not cards or cards[-1].kind != "simulated":
                raise ConfigError("only a simulated card that comes last can be taken away here.")
            return without_last_card(text, str(self._path))

        return await self._change(who, {"cards": "simulated", "lines": 0}, change)

    async def describe(self, lines: list[DescribedLine], who: str) -> Fields:
        """Name, role, kind of lines, and whether they are recorded at all; what is left out stays."""
        wanted = {line.line: line.given() for line in lines}
        return await self._change(
            who, {"lines": {str(n): values for n, values in wanted.items()}},
            lambda text: with_lines(text, _differing(parse(text, str(self._path)), wanted), str(self._path)),
        )  # fmt: skip

    async def _change(self, who: str, detail: Fields, change: Callable[[str], str]) -> Fields:
        """Once begun it goes to its end, even where its client goes."""
        return await asyncio.shield(self._changed(who, detail, change))

    async def _changed(self, who: str, detail: Fields, change: Callable[[str], str]) -> Fields:
        async with self._changing:
            try:
                before = self._read()
                text = await asyncio.to_thread(change, before)
            except ConfigError as error:
                raise Refusal(
                    "refused", f"The configuration was not changed: {error}", "`linekeep config check`."
                ) from error
            if text != before:
                await save_entered(self._box, self._path, text, who, detail, "The configuration")
        return {"pending": (await self.state()).pending, "file": str(self._path)}

    def _read(self) -> str:
        try:
            return self._path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._path} cannot be read: {error}. It must be UTF-8 text.") from error


def fittings(config: Config, learned: set[int], file: str, *, pending: bool, trouble: str = "") -> Fittings:
    cards, lines, first = [], [], 1
    for card in config.cards:
        numbers = list(range(first, first + card.lines))
        first += card.lines
        cards.append(FittedCard(name=card.name, kind=card.kind, law=card.law, lines=numbers))
        lines += [
            FittedLine(
                number=one.number, card=card.name, name=one.name, enabled=one.enabled, role=one.role, kind=one.kind,
                trigger=one.recording.trigger, learned=one.number in learned,
            )
            for one in config.lines[numbers[0] - 1 : numbers[-1]]
        ]  # fmt: skip
    return Fittings(file=file, pending=pending, trouble=trouble, cards=cards, lines=lines)


def _own_thresholds(text: str) -> set[int]:
    """Lines whose `[[line]]` has what is learned."""
    return {line["number"] for line in tomllib.loads(text).get("line", []) if set(LEARNED) & set(line)}


def _differing(config: Config, wanted: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """Of these values those that are not so already. Raises `ConfigError`."""
    differing = {}
    for number, values in wanted.items():
        if not 1 <= number <= len(config.lines):
            raise ConfigError(f"there is no line {number}; its cards have {len(config.lines)}.")
        line = config.lines[number - 1]
        if changed := {key: value for key, value in values.items() if getattr(line, key) != value}:
            differing[number] = changed
    return differing
