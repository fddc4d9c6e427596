"""Values that the recorder's tests share."""

import random
from typing import Any

from recorder.model import Anchor, CallClass, Direction, Mark, RecordingEnd, RecordingStart, StopReason, Trigger

NS = 1_000_000_000
NOON = 1_790_000_000 * NS


def handle(seed: int) -> str:
    return f"{random.Random(seed).getrandbits(128):032x}"


def anchor(sample: int = 0, utc_ns: int = NOON) -> Anchor:
    return Anchor(sample=sample, utc_ns=utc_ns, boottime_ns=utc_ns // 2, boot_id="b", synchronised=True)


def start(seed: int = 1, **change: Any) -> RecordingStart:
    known: dict[str, Any] = {
        "handle": handle(seed), "line": 3, "line_name": "调度 3", "card": "sim0", "simulated": True, "channel": 2,
        "law": "alaw", "trigger": Trigger.VOLTAGE, "trigger_detail": {"volts": 8.5, "threshold_volts": 18.0},
        "first_sample": 123_456, "pre_roll_samples": 0, "utc_ns": NOON, "utc_offset_s": 8 * 3600,
        "zone": "Asia/Shanghai", "run": handle(0),
    } | change  # fmt: skip
    known.setdefault("anchor", anchor(0, known["utc_ns"]))
    return RecordingStart(**known)


def end(**change: Any) -> RecordingEnd:
    known: dict[str, Any] = {
        "stop_reason": StopReason.ON_HOOK, "stop_detail": {"volts": 48.0}, "direction": Direction.OUT,
        "dialled": "01065035039", "call_class": CallClass.VOICE, "class_confidence": 0.9, "answered_sample": 4000,
    } | change  # fmt: skip
    return RecordingEnd(**known)


def digit(mark_id: int, value: str, at: int) -> Mark:
    return Mark(id=mark_id, kind="dtmf", start_sample=at, end_sample=at + 400, value=value)


def audio(seed: int, samples: int) -> bytes:
    return random.Random(seed).randbytes(samples)
