"""Why a recording started and why it stopped, in words: what was measured, beside the threshold it met."""

from typing import Any

from recorder.model import Recording, RecordingEnd, RecordingStart, Trigger
from web_admin.i18n import Locale

DIGITS = {
    "volts": 1, "threshold_volts": 1, "level_dbm0": 1, "threshold_dbm0": 1, "hangover_s": 1, "busy_tone_s": 1,
    "release_ms": 0,
}  # fmt: skip


def started(start: RecordingStart, row: Recording, locale: Locale) -> str:
    blind = start.trigger is Trigger.VOX and start.trigger_detail.get("hook") == "unknown"
    return _sentence("why.started", "vox_blind" if blind else start.trigger.value, start.trigger_detail, locale)


def stopped(end: RecordingEnd | None, row: Recording, locale: Locale) -> str:
    """What the file says; an open recording says that it runs."""
    if end is None:
        return locale.t("why.running")
    return _sentence("why.stopped", end.stop_reason.value, end.stop_detail, locale)


def _sentence(prefix: str, reason: str, detail: dict[str, Any], locale: Locale) -> str:
    """The sentence with figures where all it names are known, else the plain one."""
    shown = {key: _shown(key, value, locale) for key, value in detail.items() if value is not None}
    text = locale.word(prefix, reason)
    with_figures = f"{prefix}_with.{reason}"
    if locale.has(with_figures):
        try:
            return locale.t(with_figures, **shown)
        except KeyError:
            return text
    return text


def _shown(key: str, value: Any, locale: Locale) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return locale.number(value, DIGITS.get(key, 0))
    return str(value)
