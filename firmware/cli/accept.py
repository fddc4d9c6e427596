"""`linekeep card accept`: test calls on every line, ending in an acceptance sheet; or such a sheet checked.

The daemon tells what its lines do and which recordings begin and end; `firmware.acceptance` says what that proves. Here
is the conversation: a person is led from line to line and asked what no machine knows, or (`--watch`) nobody is asked
and whatever happens is filled in. Ctrl-C ends the test, not the command: the sheet says what was done until then.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from firmware import acceptance, config, heard
from firmware.acceptance import NOT_TRIED, Heard, Line, LineTest, Result
from firmware.cli import accept_sheet
from firmware.cli.box import Box
from firmware.cli.doctor import configuration
from firmware.cli.errors import Exit, Failure
from firmware.cli.output import Output, clean
from firmware.wire import AsyncClient, DaemonUnreachableError
from recorder.model import Recording

EVERY_MS = 200
YES, NO = ("y", "yes", "是"), ("n", "no", "否")


def accept(box: Box, out: Output, arguments: argparse.Namespace) -> int:
    """Exit code 1 where the box is not accepted, or the sheet is not good."""
    if arguments.verify is not None:
        return accept_sheet.verify(box, out, arguments.verify, arguments.fingerprint)
    place = accept_sheet.place(arguments.out, box.now())
    session = Session(box, out, _lines(box, arguments.lines), arguments.digits)
    begun_ns = time.time_ns()
    with box.daemon_failures():
        try:
            asyncio.run(session.run(arguments.watch))
        except KeyboardInterrupt:
            out.remark("Stopped; the sheet says what was done.")
    tests = list(session.tests.values())
    return accept_sheet.make(box, out, arguments, tests, begun_ns, place)


def _lines(box: Box, wanted: tuple[int, ...] | None) -> list[Line]:
    """What the configuration and the running daemon say of the lines to be tested."""
    settings = {line.number: line for line in configuration(box)[0].lines}
    known = {line["line"]: line for line in box.call("lines")["lines"]}
    for number in wanted or ():
        if number not in known:
            raise Failure(Exit.NOT_FOUND, f"There is no line {number}.", "`linekeep lines` shows them.")
    chosen = wanted or tuple(number for number, line in known.items() if line["enabled"])
    if not chosen:
        raise Failure(Exit.NOT_FOUND, "No line of the box is enabled.", "`linekeep lines` shows them.")
    return [_line(known[number], settings.get(number, config.LineConfig(number))) for number in chosen]


def _line(snapshot: dict[str, Any], settings: config.LineConfig) -> Line:
    recording = settings.recording
    return Line(
        number=snapshot["line"], name=snapshot["name"], card=snapshot["card"], simulated=snapshot["simulated"],
        role=snapshot["role"], kind=snapshot["kind"], armed=snapshot["armed"],
        off_hook_volts=recording.off_hook_volts, cut_volts=recording.cut_volts,
    )  # fmt: skip


class Session:
    """The tests of some lines while they go on."""

    def __init__(self, box: Box, out: Output, lines: list[Line], digits: str) -> None:
        self.tests = {line.number: LineTest(line, digits) for line in lines}
        self._box = box
        self._out = out
        self._events: asyncio.Queue[dict[str, Any] | str | None] = asyncio.Queue()
        self._nobody = False
        """Whoever could type has gone."""

    async def run(self, watch_s: float | None) -> None:
        client = await AsyncClient.connect(self._box.data)
        reports = asyncio.create_task(self._report(client), name="reports")
        try:
            if watch_s is not None:
                await self._watch(watch_s)
            else:
                with _typed(self._events.put_nowait):
                    for number in self.tests:
                        await self._walk(number)
        finally:
            reports.cancel()
            await asyncio.gather(reports, return_exceptions=True)
            await client.close()

    async def _report(self, client: AsyncClient) -> None:
        """What the daemon tells; its end is told, too."""
        stream = client.stream("watch", what=["lines", "recordings"], interval_ms=EVERY_MS)
        try:
            async with aclosing(stream) as reports:
                async for report in reports:
                    self._events.put_nowait(report)
        finally:
            self._events.put_nowait({"event": "end"})

    # What happens -----------------------------------------------------------------------------------------------------

    async def _until(self, done: Callable[[], bool]) -> str | None:
        """Takes what happens until it is done (None), or until a person has typed a line, which is returned."""
        while not done():
            if self._nobody:
                return ""
            event = await self._events.get()
            if isinstance(event, str):
                return event
            if event is None:
                self._nobody = True
            elif event["event"] == "end":
                raise DaemonUnreachableError("The daemon ended its reports, so the test is not complete: begin again.")
            else:
                self._take(event)
        return None

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "lines":
            for snapshot in event["lines"]:
                if (test := self.tests.get(snapshot["line"])) is not None:
                    self._tell(test, acceptance.seen(test, snapshot))
        elif (test := self.tests.get(event["recording"]["line"])) is not None:
            row, now_ns = event["recording"], time.time_ns()
            if event["change"] == "started":
                self._out.remark(f"line {test.line.number}: recording")
                self.tests[test.line.number] = acceptance.begun(test, row["handle"], now_ns)
            elif event["change"] in ("sealed", "trashed"):
                read = heard.read(self._box.data, msgspec.convert(row, Recording))
                self._tell(test, acceptance.closed(test, read, now_ns))

    def _tell(self, before: LineTest, after: LineTest) -> None:
        """Takes the new state of a line, and says what it has shown that it had not before."""
        self.tests[after.line.number] = after
        for name, result in after.results.items():
            known = before.results.get(name)
            if result.reason == NOT_TRIED.reason:
                continue
            if known is None or (known.outcome, known.reason) != (result.outcome, result.reason):
                self._out.remark(f"line {after.line.number}: {said(name, result)}")

    # With and without a person ----------------------------------------------------------------------------------------

    async def _watch(self, watch_s: float) -> None:
        self._out.remark(f"Watching {len(self.tests)} lines. Make the calls; Ctrl-C ends the test.")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(watch_s):
                await self._until(lambda: all(acceptance.complete(test) for test in self.tests.values()))

    async def _walk(self, number: int) -> None:
        """One line, with a person at its telephone."""
        line = self.tests[number].line
        words = f"{number} {line.name}".strip() + (", simulated" if line.simulated else "")
        dial = f"dial {self.tests[number].digits}" if self.tests[number].digits else "dial any number"
        self._out.remark(f"\nLine {clean(words)} (Enter leaves a step out, Ctrl-C ends the test)")
        self._out.remark(f"  Lift the telephone, {dial}, say a sentence of five seconds or more, hang up.")
        if await self._call(number, lambda call: call.direction != "in"):
            await self._questions(number)
        self._out.remark(f"  Call line {number} from elsewhere; answer after the second ring, say a sentence, hang up.")
        await self._call(number, lambda call: call.direction == "in")

    async def _call(self, number: int, wanted: Callable[[Heard], bool]) -> bool:
        """Waits for a call of this kind; False where it was left out."""
        known = self.tests[number].last

        def made() -> bool:
            last = self.tests[number].last
            return last is not known and last is not None and last.heard is not None and wanted(last.heard)

        return await self._until(made) is None

    async def _questions(self, number: int) -> None:
        last = self.tests[number].last
        if last is None or last.heard is None:
            return
        if self.tests[number].results["digits"].reason == "unconfirmed":
            await self._ask(number, "digits", f"Heard {last.heard.dialled}. Is that what was dialled?")
        question = f"`linekeep play {last.heard.handle[:12]}` or the page plays it. Did you hear yourself, clearly?"
        await self._ask(number, "playback", question)

    async def _ask(self, number: int, check: str, question: str) -> None:
        while not self._nobody:
            self._out.remark(f"  {question} [y/n, Enter: not done]")
            word = (await self._until(lambda: False) or "").strip().lower()
            if not word:
                return
            if word in YES + NO:
                test = self.tests[number]
                self._tell(test, acceptance.answered(test, check, word in YES))
                return


def said(name: str, result: Result) -> str:
    """A result in one line."""
    figures = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.values.items())
    words = f"{name} {result.outcome.replace('_', ' ')} ({result.reason.replace('_', ' ')})"
    return clean(f"{words}: {figures}" if figures else words)


@contextlib.contextmanager
def _typed(put: Callable[[str | None], None]) -> Iterator[None]:
    """What is typed on standard input, line by line; None where nobody types (any more)."""
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()
    waiting = bytearray()

    def ready() -> None:
        data = os.read(source, 4096)
        waiting.extend(data)
        *lines, rest = bytes(waiting).split(b"\n")
        waiting[:] = rest
        for line in lines:
            put(line.decode(errors="replace"))
        if not data:
            loop.remove_reader(source)
            put(None)

    try:
        loop.add_reader(source, ready)
    except PermissionError:
        # A file: the kernel tells of terminals and pipes alone.
        put(None)
    try:
        yield
    finally:
        loop.remove_reader(source)
