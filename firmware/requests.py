"""What may be asked over the control socket: a type for each request, as docs/control.md says.

The types are the check: a field that is missing, unknown or wrong is refused before anything is done.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field, structs

from firmware.asked import Act, Name, Request
from firmware.sheet.sealed import Verdict
from firmware.wire import LearnStep, Measurement

Handle = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Handles = Annotated[list[Handle], Meta(min_length=1, max_length=500)]
LineNumber = Annotated[int, Meta(ge=1)]
Dialled = Annotated[str, Meta(pattern="^[0-9*#]{1,20}$")]
Access = Literal[
    "listen", "export", "search", "sign_in", "sign_out", "sign_in_failed",
    "box.restart", "box.power_off", "box.reset", "box.resume", "box.ssh", "box.update",
]  # fmt: skip
"""The last are what the keeper itself is asked for while no daemon is there."""
Interval = Annotated[int, Meta(ge=200, le=5000)]


class Watch(Request):
    what: Annotated[list[Literal["lines", "alarms", "recordings", "durable", "marks"]], Meta(min_length=1)]
    interval_ms: Interval = 500


class Listen(Request):
    line: LineNumber


class Key(Act):
    line: LineNumber
    on: bool


class Trash(Act):
    handles: Handles
    reason: Annotated[str, Meta(max_length=200)]


class Undelete(Act):
    handles: Handles


class WriteNote(Act):
    handle: Handle
    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class SetTags(Act):
    handle: Handle
    tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=20)]


class Link(Act):
    handle: Handle
    principal: Handle


class Unlink(Act):
    handle: Handle


class Operation(Act):
    """What the journal is told of something that the daemon does not do itself."""

    handle: Handle | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class EnterOperation(Operation, kw_only=True):
    act: Access


class Accept(Act):
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    verdict: Verdict
    lines: Annotated[int, Meta(ge=0)]


class TellOutcome(Act):
    """What came of an update, as the box's proof after a start found it."""

    version: Annotated[str, Meta(max_length=40)]
    outcome: Literal["proved", "fell_back", "interrupted"]
    message: Annotated[str, Meta(max_length=4000)]
    utc: Annotated[str, Meta(max_length=40)]


class AcknowledgeAlarm(Act):
    alarm: str


class User(Request):
    """An account as the page describes it; what is left out stays as it is."""

    name: Name
    password_hash: str | None = None
    roles: list[str] | None = None
    language: str | None = None
    enabled: bool | None = None


class SetupCheck(Request):
    code: str


class SetupFinish(Act):
    code: str
    user: User


class PutUser(Act):
    user: User


class LearnBegin(Request):
    line: LineNumber


class LearnMeasure(Request):
    line: LineNumber
    step: LearnStep
    seconds: Annotated[float, Meta(ge=1, le=30)] = 5.0
    before: list[Measurement] = field(default_factory=list)


class LearnPropose(Request):
    line: LineNumber
    measurements: list[Measurement]


class LearnApply(Act):
    """What is left out stays as it is. Only the trigger may say what starts a recording by itself."""

    line: LineNumber
    trigger: Literal["voltage", "vox"] | None = None
    off_hook_volts: float | None = None
    cut_volts: float | None = None
    vox_level_dbm0: float | None = None


class DescribedLine(Request):
    """What is left out stays as it is."""

    line: LineNumber
    name: Annotated[str, Meta(max_length=64)] | None = None
    enabled: bool | None = None
    role: Literal["tap", "trunk", "station"] | None = None
    kind: Literal["direct", "trunk", "extension", "handset"] | None = None

    def given(self) -> dict[str, str | bool]:
        fields = structs.asdict(self)
        return {key: value for key, value in fields.items() if key != "line" and value is not None}


class DescribeLines(Act):
    lines: Annotated[list[DescribedLine], Meta(min_length=1, max_length=4096)]


class TakeSimulated(Act):
    lines: Annotated[int, Meta(ge=1, le=64)] = 8


class SimCall(Request):
    line: LineNumber
    audio: str
    caller: Dialled | None = None
    callee: Dialled | None = None
    law_exact: bool = True
    answer_after_s: Annotated[float, Meta(ge=0, le=600)] | None = None


class SimReplay(Request):
    folder: str
    over_s: Annotated[float, Meta(gt=0)] | None = None


class SimScenario(Request):
    on: bool


class SimCut(Request):
    line: LineNumber
    on: bool
