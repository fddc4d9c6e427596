"""What is drawn on a waveform: the marks of a recording as a person names them, in the order of their places.

Digits, fax and modem signals, progress tones, ringing, caller ID and what was done come from the marks; silence is what
lies between the marks of speech; gaps and the pre-roll come from the recording itself.
"""

from collections.abc import Iterable

import msgspec

from recorder.model import RATE, Gap, Mark
from recorder.wav import RecordingFile
from web_admin.i18n import Locale

SHORTEST_SILENCE_S = 3.0
LONGEST_PAUSE_S = 5.0
"""Between two digits of one number."""
CATEGORY = {
    "dtmf": "digit",
    "pulse": "digit",
    "cng": "fax",
    "v21": "fax",
    "answer_tone": "data",
    "calling_tone": "data",
    "carrier": "data",
    "progress": "tone",
    "cid": "caller",
    "class": "class",
    "ring": "ring",
    "polarity": "line",
    "state": "line",
    "clock_step": "line",
}
CATEGORIES = ("digit", "caller", "ring", "tone", "fax", "data", "class", "line", "silence", "gap", "pre_roll")


class Entry(msgspec.Struct, frozen=True):
    category: str
    start_s: float
    end_s: float | None
    label: str
    """Short: what stands on the waveform."""
    text: str
    """A few words: what stands in the list."""


def timeline(file: RecordingFile, locale: Locale) -> list[Entry]:
    entries = [_entry(mark, locale) for mark in file.marks if mark.kind in CATEGORY]
    entries += [_silence(start, end, locale) for start, end in silences(file.marks, file.samples)]
    entries += [_gap(gap, locale) for gap in file.gaps]
    if file.start.pre_roll_samples:
        text = locale.t("mark.pre_roll")
        entries.append(Entry("pre_roll", 0.0, file.start.pre_roll_samples / RATE, "", text))
    return sorted(entries, key=lambda entry: (entry.start_s, entry.category))


def folded(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries as a list shows them: each for itself, but digits dialled one after the other together."""
    rows: list[list[Entry]] = []
    dialled: list[Entry] = []
    for entry in entries:
        if entry.category == "digit" and dialled and entry.start_s - dialled[-1].start_s <= LONGEST_PAUSE_S:
            dialled.append(entry)
            continue
        rows.append([entry])
        if entry.category == "digit":
            dialled = rows[-1]
    return rows


def _entry(mark: Mark, locale: Locale) -> Entry:
    category = CATEGORY[mark.kind]
    end_s = None if mark.end_sample is None else mark.end_sample / RATE
    if mark.kind in ("dtmf", "pulse"):
        label, text = mark.value, locale.t(f"mark.{mark.kind}", value=mark.value)
    elif mark.kind == "cid":
        label, text = mark.value, locale.t("mark.cid", value=mark.value)
    elif mark.kind == "class":
        label = locale.word("class", mark.value)
        text = locale.t("mark.class", value=label, percent=locale.number(100 * mark.confidence))
    elif mark.kind in ("progress", "answer_tone", "carrier", "state", "polarity"):
        label = locale.word(f"mark.{mark.kind}", mark.value)
        text = locale.t(f"mark.{mark.kind}_text", value=label)
    else:
        label = text = locale.t(f"mark.{mark.kind}")
    return Entry(category, mark.start_sample / RATE, end_s, label, text)


def _silence(start: int, end: int, locale: Locale) -> Entry:
    return Entry(
        "silence", start / RATE, end / RATE, "", locale.t("mark.silence", span=locale.span((end - start) / RATE))
    )


def _gap(gap: Gap, locale: Locale) -> Entry:
    reason = locale.word("gap", gap.reason)
    text = locale.t("mark.gap", span=locale.span(gap.samples / RATE), reason=reason)
    return Entry("gap", gap.start_sample / RATE, (gap.start_sample + gap.samples) / RATE, locale.t("gap.title"), text)


def silences(marks: Iterable[Mark], samples: int) -> list[tuple[int, int]]:
    """Where nothing was heard for at least `SHORTEST_SILENCE_S`, in samples; nothing is claimed where no detector of
    speech was at work."""
    heard = sorted(
        (mark.start_sample, samples if mark.end_sample is None else mark.end_sample)
        for mark in marks
        if mark.kind in CATEGORY or mark.kind == "speech"
    )
    if not any(mark.kind == "speech" for mark in marks):
        return []
    quiet, reached = [], 0
    for start, end in [*heard, (samples, samples)]:
        if start - reached >= SHORTEST_SILENCE_S * RATE:
            quiet.append((reached, start))
        reached = max(reached, end)
    return quiet
