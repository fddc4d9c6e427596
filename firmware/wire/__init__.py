"""The control socket's codec and its clients: what the page and the `linekeep` command speak to the daemon.

The protocol is written down in docs/control.md. A frame is a 32-bit big-endian length and that many bytes of
MessagePack holding one map (`frames`). A connection carries any number of requests at once, told apart by the `id` the
client gave them, and streams of events that go on until they are cancelled or the connection ends (`clients`). What
the daemon tells of itself has types (`messages`), and so has what the keeper tells of the box (`box_state`). What is
asked of the keeper itself is entered in the spool in one way (`without_daemon`).

The modules of this package import nothing of ours but each other, because the page's floor may import nothing else of
this one; everybody imports from here.
"""

from firmware.wire.box_state import (
    BoxState,
    EncryptionState,
    Interface,
    LastOrder,
    LastUpdate,
    NetworkMode,
    NetworkState,
    NetworkTrial,
    SafeModeState,
    SlotState,
    SshState,
    TimeState,
    UpdateState,
)
from firmware.wire.clients import (
    SOCKET_NAME,
    AsyncClient,
    Client,
    DaemonError,
    DaemonUnreachableError,
    socket_address,
)
from firmware.wire.fittings import FittedCard, FittedLine, Fittings, FoundBoard, FoundSpan, Scan
from firmware.wire.frames import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    Fields,
    FrameReader,
    WireError,
    frame,
    parse,
    read_frame,
)
from firmware.wire.learned import LearnStep, Measurement, Proposal, Proposed, Spread, Verdict
from firmware.wire.messages import (
    AlarmCounts,
    AlarmReport,
    CardStatus,
    ClockStatus,
    DiskStatus,
    GapCounts,
    LineSnapshot,
    RecordingCounts,
    SpanStatus,
    Status,
    SyncTimes,
    TickTimes,
    WriterStatus,
    numbered,
)
from firmware.wire.without_daemon import entered, fingerprint

__all__ = [
    "LONGEST_ANSWER",
    "LONGEST_REQUEST",
    "SOCKET_NAME",
    "AlarmCounts",
    "AlarmReport",
    "AsyncClient",
    "BoxState",
    "CardStatus",
    "Client",
    "ClockStatus",
    "DaemonError",
    "DaemonUnreachableError",
    "DiskStatus",
    "EncryptionState",
    "Fields",
    "FittedCard",
    "FittedLine",
    "Fittings",
    "FoundBoard",
    "FoundSpan",
    "FrameReader",
    "GapCounts",
    "Interface",
    "LastOrder",
    "LastUpdate",
    "LearnStep",
    "LineSnapshot",
    "Measurement",
    "NetworkMode",
    "NetworkState",
    "NetworkTrial",
    "Proposal",
    "Proposed",
    "RecordingCounts",
    "SafeModeState",
    "Scan",
    "SlotState",
    "SpanStatus",
    "Spread",
    "SshState",
    "Status",
    "SyncTimes",
    "TickTimes",
    "TimeState",
    "UpdateState",
    "Verdict",
    "WireError",
    "WriterStatus",
    "entered",
    "fingerprint",
    "frame",
    "numbered",
    "parse",
    "read_frame",
    "socket_address",
]
