"""The line machine: what a line is doing, told from what happens on it.

A line is always in one `State`; an `Input` moves it. `TABLE` is the machine, all of it: each row says from where, on
what, to where, and what is told to the calls (`Output`). A combination without a row is a contradiction, such as a
release on a line that is on-hook: `step` answers with the named fault, and the line goes back to the state that its
hook shows. Nothing is passed over in silence; what does not matter in a state has a row that says so.

The states are those that an operator sees on the wall. Audio decides nothing about whether a recording runs: only
the hook, the triggers and the class of a call do, in `calls`. `docs/line_machine.md` is drawn from the table by
`python -m firmware.lines`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    IDLE = "idle"
    RINGING = "ringing"
    SEIZED = "seized"
    DIALLING = "dialling"
    RINGBACK = "ringback"
    TALKING = "talking"
    ON_HOLD = "on_hold"
    FAX = "fax"
    MODEM = "modem"
    CUT = "cut"
    UNUSABLE = "unusable"
    DISABLED = "disabled"


class Input(StrEnum):
    RING = "ring"
    RING_END = "ring_end"
    RING_STOPPED = "ring_stopped"
    """No further ring within six seconds."""
    OFF_HOOK = "off_hook"
    ON_HOOK = "on_hook"
    """The release: on-hook for longer than a flash."""
    DIGIT = "digit"
    DIAL = "dial_tone"
    RINGBACK = "ringback_tone"
    BUSY = "busy_tone"
    CONGESTION = "congestion_tone"
    """Or another tone that says that the call fails: vacant, unobtainable, special information."""
    CLEARED = "cleared"
    """A busy tone has lasted so long that nobody is there, on a line whose loop nobody sees."""
    SPEECH = "speech"
    POLARITY = "polarity"
    """The battery was reversed: the far end answered."""
    VOICE = "voice"
    FAX = "fax"
    MODEM = "modem"
    MUSIC = "music"
    CUT = "battery_cut"
    BATTERY = "battery_back"
    CARD_DOWN = "card_down"
    CARD_UP = "card_up"
    DISABLE = "disable"
    ENABLE = "enable"


class Output(StrEnum):
    NONE = ""
    RUNG = "rung"
    MISSED = "missed"
    SEIZED = "seized"
    DIALLED = "dialled"
    HEARD_BACK = "heard_back"
    """The exchange answered the dialling: no digit heard from here on is part of the number."""
    ANSWERED = "answered"
    RELEASED = "released"
    CLEARED = "cleared"
    """The exchange, not the loop, says that the call is over."""
    CUT = "cut"
    LOST = "lost"
    """The channel delivers no more."""
    FOUND = "found"
    """The channel may be used (again)."""
    FAULT = "fault"


class Row(NamedTuple):
    state: State | None
    """Where the line goes; None: it stays where it is."""
    output: Output = Output.NONE


_S, _I, _O = State, Input, Output
_OUTGOING = (_S.SEIZED, _S.DIALLING, _S.RINGBACK)
_CONVERSING = (_S.TALKING, _S.ON_HOLD, _S.FAX, _S.MODEM)
_CALL = (*_OUTGOING, *_CONVERSING)
_ON_HOOK = (_S.IDLE, _S.RINGING)
_LIVE = (*_ON_HOOK, *_CALL)
_SOUNDS = (
    _I.DIGIT, _I.DIAL, _I.RINGBACK, _I.BUSY, _I.CONGESTION, _I.SPEECH, _I.VOICE, _I.FAX, _I.MODEM, _I.MUSIC,
)  # fmt: skip

RULES: tuple[tuple[tuple[State, ...], tuple[Input, ...], State | None, Output, str], ...] = (
    # from, on, to (None: stays), told to the calls, why
    ((_S.IDLE,), (_I.RING,), _S.RINGING, _O.RUNG, "a call comes in"),
    ((_S.RINGING,), (_I.RING,), None, _O.RUNG, "it rings again"),
    (_ON_HOOK, (_I.RING_END,), None, _O.NONE, "the pause between two rings"),
    ((_S.RINGING,), (_I.RING_STOPPED,), _S.IDLE, _O.MISSED, "nobody answered"),
    ((_S.RINGING,), (_I.OFF_HOOK,), _S.TALKING, _O.ANSWERED, "the call is answered here"),
    ((_S.IDLE,), (_I.OFF_HOOK,), _S.SEIZED, _O.SEIZED, "a telephone was lifted"),
    (_CALL, (_I.OFF_HOOK,), None, _O.NONE, "sound told of the call before its hook was seen"),
    (_ON_HOOK, _SOUNDS, None, _O.NONE, "caller ID, crosstalk, a line that is recorded on-hook"),
    (_ON_HOOK, (_I.POLARITY,), None, _O.NONE, "exchanges reverse the battery before caller ID"),
    (_CALL, (_I.RING, _I.RING_END), None, _O.NONE, "ring detectors see hook breaks and the ring that was tripped"),
    (_CALL, (_I.ON_HOOK,), _S.IDLE, _O.RELEASED, "the call is over"),
    (_CALL, (_I.CLEARED,), _S.IDLE, _O.CLEARED, "the busy tone lasts, and there is no loop to be waited for"),
    ((_S.SEIZED, _S.DIALLING), (_I.DIGIT,), _S.DIALLING, _O.DIALLED, "a digit of the number"),
    ((_S.RINGBACK, _S.TALKING), (_I.DIGIT,), None, _O.DIALLED, "a number dialled late, or keys for a voice menu"),
    ((_S.ON_HOLD, _S.FAX, _S.MODEM), (_I.DIGIT,), None, _O.NONE, "not part of a number"),
    (_CALL, (_I.DIAL,), None, _O.NONE, "the exchange waits for digits, or the far end has gone"),
    ((_S.SEIZED, _S.DIALLING), (_I.RINGBACK,), _S.RINGBACK, _O.HEARD_BACK, "the far end rings"),
    ((_S.RINGBACK, *_CONVERSING), (_I.RINGBACK,), None, _O.NONE, "still ringing, or put through"),
    (_OUTGOING, (_I.BUSY, _I.CONGESTION), None, _O.HEARD_BACK, "the call fails; the line stays until it is hung up"),
    (_CONVERSING, (_I.BUSY, _I.CONGESTION), None, _O.NONE, "the far end hung up first"),
    (_OUTGOING, (_I.SPEECH, _I.VOICE), _S.TALKING, _O.ANSWERED, "somebody speaks"),
    (
        (_S.TALKING, _S.ON_HOLD),
        (_I.SPEECH,),
        None,
        _O.NONE,
        "of a class, not of a burst of sound, a held call is taken",
    ),
    ((_S.FAX, _S.MODEM), (_I.SPEECH,), None, _O.NONE, "a burst of sound does not change the class"),
    (_OUTGOING, (_I.POLARITY,), _S.TALKING, _O.ANSWERED, "the exchange reports the answer"),
    (_CONVERSING, (_I.POLARITY,), None, _O.NONE, "the exchange reports the far end's release"),
    (_CONVERSING, (_I.VOICE,), _S.TALKING, _O.NONE, "taken back from hold, or a class corrected"),
    (_OUTGOING, (_I.FAX,), _S.FAX, _O.ANSWERED, "a fax machine answered or calls"),
    (_CONVERSING, (_I.FAX,), _S.FAX, _O.NONE, "a fax call"),
    (_OUTGOING, (_I.MODEM,), _S.MODEM, _O.ANSWERED, "a modem answered"),
    (_CONVERSING, (_I.MODEM,), _S.MODEM, _O.NONE, "a data call"),
    (_OUTGOING, (_I.MUSIC,), _S.TALKING, _O.ANSWERED, "an announcement or colour ring-back"),
    ((_S.TALKING, _S.ON_HOLD), (_I.MUSIC,), _S.ON_HOLD, _O.NONE, "music on hold"),
    ((_S.FAX, _S.MODEM), (_I.MUSIC,), _S.ON_HOLD, _O.NONE, "a class corrected"),
    (_ON_HOOK, (_I.CUT,), _S.CUT, _O.CUT, "no battery"),
    (_CALL, (_I.CUT,), _S.CUT, _O.CUT, "no battery in the middle of a call"),
    ((_S.CUT,), (_I.BATTERY,), _S.IDLE, _O.FOUND, "mended"),
    ((_S.CUT,), (_I.OFF_HOOK,), _S.SEIZED, _O.SEIZED, "mended with a telephone lifted"),
    ((_S.CUT, _S.UNUSABLE), _SOUNDS, None, _O.NONE, "crosstalk on an open pair, or heard before the end"),
    ((_S.CUT, _S.UNUSABLE), (_I.RING_END, _I.POLARITY), None, _O.NONE, "the end of what was interrupted"),
    ((*_LIVE, _S.CUT), (_I.CARD_DOWN,), _S.UNUSABLE, _O.LOST, "the channel delivers nothing"),
    ((_S.UNUSABLE,), (_I.CARD_UP,), _S.IDLE, _O.FOUND, "the channel is back"),
    ((_S.UNUSABLE,), (_I.CARD_DOWN,), None, _O.NONE, "reported again"),
    ((*_LIVE, _S.CUT), (_I.CARD_UP,), None, _O.NONE, "an alarm cleared that was too short to matter"),
    ((*_LIVE, _S.CUT, _S.UNUSABLE), (_I.DISABLE,), _S.DISABLED, _O.LOST, "by configuration"),
    ((_S.DISABLED,), (_I.ENABLE,), _S.IDLE, _O.FOUND, "by configuration"),
)


def _table() -> dict[tuple[State, Input], Row]:
    table: dict[tuple[State, Input], Row] = {}
    for states, inputs, to, output, _ in RULES:
        for state in states:
            for what in inputs:
                assert (state, what) not in table, f"two rows for {state} on {what}"
                table[state, what] = Row(to, output)
    return table


TABLE = _table()
OFF_HOOK = frozenset(_CALL)
"""The states of a call in progress."""
HOOK_STATE = {"on": _S.IDLE, "off": _S.SEIZED, "cut": _S.CUT, "unknown": _S.IDLE}
"""Where a fault puts a line, by what its loop shows."""


@dataclass(frozen=True, slots=True)
class Step:
    state: State
    output: Output
    fault: str | None = None
    """`ring_stopped_in_talking`: the input and the state that do not go together."""


def step(state: State, what: Input, hook: str = "on") -> Step:
    """One move of the machine. `hook` is `on`, `off`, `cut` or `unknown`: what the loop shows now."""
    row = TABLE.get((state, what))
    if row is None:
        return Step(HOOK_STATE[hook], Output.FAULT, f"{what}_in_{state}")
    return Step(row.state or state, row.output)


def diagram() -> str:
    """The table as a Mermaid state diagram: the moves only, inputs of the same move on one arrow."""
    arrows: dict[tuple[str, State], dict[str, None]] = {}
    for (state, what), row in TABLE.items():
        if row.state is not None and row.state is not state:
            # Out of a call and off the line the way is the same from every state: one arrow from the group.
            start = "call" if state in OFF_HOOK and row.state not in OFF_HOOK else state
            arrows.setdefault((start, row.state), {})[what] = None
    inner = [f"        {a} --> {b}: {', '.join(on)}" for (a, b), on in arrows.items() if {a, b} <= OFF_HOOK]
    outer = [f"    {a} --> {b}: {', '.join(on)}" for (a, b), on in arrows.items() if not {a, b} <= OFF_HOOK]
    return "\n".join(["stateDiagram-v2", "    state call {", *inner, "    }", f"    [*] --> {State.IDLE}", *outer])


def _cells(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def page() -> str:
    """The page `docs/line_machine.md`."""
    rules = [
        _cells((", ".join(states), ", ".join(inputs), to or "stays", output or "", why))
        for states, inputs, to, output, why in RULES
    ]
    return "\n".join(
        (
            "# The line machine", "",
            "Drawn from the table in `firmware/lines.py` by `python -m firmware.lines > docs/line_machine.md`; a test",
            "compares the two. Do not edit this page.", "",
            "```mermaid", diagram(), "```", "",
            "An input that has no row here for the state the line is in is a fault. It is named after both (such as",
            "`on_hook_in_idle`), marked in the recording, counted, and the line goes back to what its hook shows:",
            "on-hook *idle*, off-hook *seized*, no battery *cut*.", "",
            _cells(("in", "on", "goes to", "tells the calls", "because")),
            _cells(["---"] * 5), *rules, "",
        )
    )  # fmt: skip


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
