"""Finding recordings, and one recording: what is known of it, its waveform, its audio, notes, tags and journal.

A search is posted and remembered under a random name; the results have that name in their address, so that no telephone
number stands in one and Back works. Whatever is not the visitor's to hear answers 404.
"""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from dsp.peaks import peaks as peaks_of
from recorder.errors import NotFoundError, RecordingError
from recorder.model import RATE, CallClass, Direction, Recording, State
from recorder.verify import verify_one
from recorder.wav import RecordingFile, load
from web_admin import query as search_form
from web_admin.box import Box, Flash, box_of, form_of, locale_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.reasons import started, stopped
from web_admin.render import PageError, done, page
from web_admin.sessions import Search
from web_admin.timeline import CATEGORIES, folded, timeline

MOST_PEAKS = 8000
"""A waveform is drawn with at most this many pairs: a screen has fewer columns, and some are kept for the zoom."""
MOST_HANDLES = 500
_HANDLE = re.compile(r"[0-9a-f]{32}")


# The list -------------------------------------------------------------------------------------------------------------


async def listing(request: Request) -> Response:
    """The newest recordings, with the empty form."""
    query, _ = search_form.parse({}, None, _today(request))
    return await _results(request, Search(user="", created_ns=0, query=query, form={}), "", 1)


async def search(request: Request) -> Response:
    """Remember what is asked for, and go to its results (or to a later page of them)."""
    box, form = box_of(request), form_of(request)
    typed = {name: str(form.get(name, ""))[:200] for name in search_form.FIELDS}
    query, faults = search_form.parse(typed, box.zone(), _today(request))
    if faults:
        empty = Search(user="", created_ns=0, query=query, form=typed)
        return await _results(request, empty, "", 1, faults)
    asked = {key: text for key, text in typed.items() if text}
    name = box.store.remember(visitor_of(request).name, query, asked)
    found = await box.search(query)
    await box.access(visitor_of(request), "search", None, fields=sorted(asked), found=found.found)
    return RedirectResponse(f"/recordings/s/{name}", 303)


async def turn(request: Request) -> Response:
    """To an older or newer page of the results; remembers the plain list as a search where it was none."""
    box, form = box_of(request), form_of(request)
    name, number = str(form.get("search", "")), _page_number(str(form.get("page", "1")))
    found = box.store.search(name, visitor_of(request).name)
    if found is None:
        query, _ = search_form.parse({}, None, _today(request))
        name = box.store.remember(visitor_of(request).name, query, {})
        found = box.store.search(name, visitor_of(request).name)
        assert found is not None
        await _page_of(box, name, found, 1)
    return RedirectResponse(f"/recordings/s/{name}" + (f"?page={number}" if number > 1 else ""), 303)


async def results(request: Request) -> Response:
    name = request.path_params["name"]
    found = box_of(request).store.search(name, visitor_of(request).name)
    if found is None:
        return RedirectResponse("/recordings", 303)
    return await _results(request, found, name, _page_number(request.query_params.get("page", "1")))


async def _results(
    request: Request, found: Search, name: str, number: int, faults: dict[str, str] | None = None
) -> Response:
    box = box_of(request)
    number = min(number, len(found.cursors) + 1)
    rows = await _page_of(box, name, found, number)
    return page(
        request,
        "recordings.html",
        422 if faults else 200,
        rows=rows,
        search=name,
        number=number,
        form=found.form,
        faults=faults or {},
        ranges=search_form.RANGES,
        directions=list(Direction),
        classes=list(CallClass),
        lines=_line_names(box),
    )


async def _page_of(box: Box, name: str, found: Search, number: int) -> Any:
    """One page of rows; remembers where the next one begins."""
    before = found.cursors[number - 2] if number > 1 else None
    rows = await box.search(msgspec.structs.replace(found.query, before_id=before))
    if name and rows.next is not None and len(found.cursors) == number - 1:
        box.store.update_search(name, msgspec.structs.replace(found, cursors=[*found.cursors, rows.next]))
    return rows


def _page_number(text: str) -> int:
    return search_form.natural(text, 100_000) or 1


def _today(request: Request) -> Any:
    box = box_of(request)
    return datetime.fromtimestamp(box.now_ns() / 1e9, UTC).astimezone(box.zone()).date()


def _line_names(box: Box) -> list[tuple[int, str]]:
    return [(line.line, line.name) for _, line in sorted(box.hub.lines.items())]


# One recording --------------------------------------------------------------------------------------------------------


async def row_of(request: Request) -> Recording:
    """The recording of this address. Raises a 404 for what is not there."""
    handle = request.path_params["handle"]
    try:
        return await asyncio.to_thread(box_of(request).catalogue().get, handle)
    except NotFoundError as error:
        raise PageError(404, "recording_not_found") from error


def file_of(box: Box, row: Recording) -> Path:
    """The file of a row; never one outside the recordings' folder."""
    folder = (box.data / "recordings").resolve()
    path = (box.data / row.path).resolve()
    if row.state is State.PURGED or not path.is_relative_to(folder) or not path.is_file():
        raise PageError(410 if row.state is State.PURGED else 404, "audio_gone")
    return path


async def _loaded(box: Box, row: Recording) -> RecordingFile | None:
    """The file's own account of itself; None where it is gone or cannot be read, which the page then says."""
    try:
        return await asyncio.to_thread(load, file_of(box, row))
    except (RecordingError, PageError):
        return None


async def recording(request: Request) -> Response:
    box, locale = box_of(request), locale_of(request)
    row = await row_of(request)
    file = await _loaded(box, row)
    catalogue = box.catalogue()
    notes = await asyncio.to_thread(catalogue.notes, row.handle)
    operations = await asyncio.to_thread(catalogue.operations, row.handle, 100)
    return page(
        request,
        "recording.html",
        row=row,
        file=file,
        copies=await asyncio.to_thread(catalogue.copies_of, row),
        notes=notes,
        operations=operations,
        entries=(entries := timeline(file, locale) if file else []),
        heard=folded(entries),
        length_s=file.samples / RATE if file and row.state is State.LIVE else row.duration_s,
        categories=CATEGORIES,
        started=started(file.start, row, locale) if file else None,
        stopped=stopped(file.end, row, locale) if file else None,
    )


async def waveform(request: Request) -> Response:
    """Peaks and marks for drawing: `peaks` is min, max, min, max ... between -1 and 1."""
    box, locale = box_of(request), locale_of(request)
    row = await row_of(request)
    path = file_of(box, row)
    file = await asyncio.to_thread(load, path)
    peaks = file.peaks if file.end else await asyncio.to_thread(_peaks_so_far, path, file)
    return JSONResponse(
        {
            "duration": file.samples / RATE,
            "peaks": drawable(peaks),
            "marks": [msgspec.structs.asdict(entry) for entry in timeline(file, locale)],
        }
    )


def _peaks_so_far(path: Path, file: RecordingFile) -> NDArray[np.int8]:
    """Of an open recording, whose peaks are kept only when it is sealed."""
    law_bytes = np.fromfile(path, np.uint8, file.samples, offset=file.audio_offset)
    return peaks_of(law_bytes, "alaw" if file.start.law == "alaw" else "ulaw", max(80, file.samples // MOST_PEAKS))


def drawable(peaks: NDArray[np.int8]) -> list[float]:
    """At most `MOST_PEAKS` pairs of what the file keeps (`int8[n, 2]`), flat, in -1..1."""
    if len(peaks) > MOST_PEAKS:
        starts = np.linspace(0, len(peaks), MOST_PEAKS, endpoint=False).astype(np.intp)
        low = np.minimum.reduceat(peaks[:, 0], starts)
        high = np.maximum.reduceat(peaks[:, 1], starts)
        peaks = np.stack([low, high], axis=1)
    flat: list[float] = (peaks.astype(np.float32) / 127).round(2).ravel().tolist()
    return flat


async def audio(request: Request) -> Response:
    """The WAV for the player; a Range is answered with that part. Of an open recording a part is always what is sent:
    its end is fixed when the answer begins, though the file goes on growing."""
    box, row = box_of(request), await row_of(request)
    path = file_of(box, row)
    await box.heard(visitor_of(request), row.handle)
    if row.state is State.LIVE and "range" not in request.headers:
        request.scope["headers"] = [*request.scope["headers"], (b"range", b"bytes=0-")]
    return FileResponse(path, media_type="audio/wav")


async def download(request: Request) -> Response:
    """The WAV as a file; its name says when and which line, never a telephone number."""
    box, row = box_of(request), await row_of(request)
    path = file_of(box, row)
    if row.state is State.LIVE:
        raise PageError(409, "still_open")
    await box.access(visitor_of(request), "export", row.handle, format="wav")
    at = locale_of(request).at(row.start_utc_ns, row.utc_offset_s)
    return FileResponse(
        path, media_type="audio/wav", filename=f"{at:%Y%m%d-%H%M%S}-line{row.line}-{row.handle[:8]}.wav"
    )


# Changes --------------------------------------------------------------------------------------------------------------


async def note(request: Request) -> Response:
    row = await row_of(request)
    text = str(form_of(request).get("text", "")).strip()
    if not 1 <= len(text) <= 4000:
        raise PageError(422, "note_length")
    await box_of(request).hub.call("note", handle=row.handle, text=text, actor=visitor_of(request).actor)
    return done(request, f"/recordings/{row.handle}", Flash("done.note"))


def typed_tags(text: str) -> list[str]:
    """Tags between commas, of either language, each once."""
    parts = [part.strip() for part in re.split("[,\uff0c\u3001;\uff1b\n]", text)]
    return list(dict.fromkeys(part for part in parts if part))


async def tags(request: Request) -> Response:
    row = await row_of(request)
    wished = typed_tags(str(form_of(request).get("tags", "")))
    if len(wished) > 20 or any(len(tag) > 40 for tag in wished):
        raise PageError(422, "tags_length")
    await box_of(request).hub.call("tags", handle=row.handle, tags=wished, actor=visitor_of(request).actor)
    return done(request, f"/recordings/{row.handle}", Flash("done.tags"))


async def verify(request: Request) -> Response:
    """Compute the digest anew from the file and compare it with what was stored when it was sealed."""
    box, row = box_of(request), await row_of(request)
    verdict = await asyncio.to_thread(verify_one, box.data, row)
    return done(request, f"/recordings/{row.handle}", Flash(f"verify.{verdict.finding}", good=verdict.good))


def handles_of(form: FormData) -> list[str]:
    """The recordings that a form names: the one whose button was pressed, else those ticked. Raises where there are
    none, too many, or what is no handle."""
    handles = [str(handle) for handle in form.getlist("only") or form.getlist("handle")]
    if not handles:
        raise PageError(422, "nothing_chosen")
    if len(handles) > MOST_HANDLES or not all(_HANDLE.fullmatch(handle) for handle in handles):
        raise PageError(400, "bad_request")
    return handles


async def trash(request: Request) -> Response:
    visitor, form = visitor_of(request), form_of(request)
    handles = handles_of(form)
    answer = await box_of(request).hub.call("trash", handles=handles, reason="user", actor=visitor.actor)
    gone, failed = answer["done"], answer["failed"]
    back = str(form.get("back", ""))
    to = f"/recordings/s/{back}" if re.fullmatch(r"[\w-]{10,40}", back) else "/recordings"
    locale = locale_of(request)
    if not gone:
        raise PageError(409, "not_trashed", failed[0]["message"] if failed else "")
    what, left = locale.count("count.recordings", len(gone)), await asyncio.to_thread(_left, box_of(request), gone)
    if left:
        key = "done.trashed_copies_left" if "," in left else "done.trashed_copy_left"
        return done(request, to, Flash(key, {"what": what, "lines": left}, gone))
    return done(request, to, Flash("done.trashed", {"what": what}, gone))


def _left(box: Box, gone: list[str]) -> str:
    """The lines whose recordings of the same calls were not deleted."""
    catalogue = box.catalogue()
    copies = {copy.handle for handle in gone for copy in catalogue.copies_of(catalogue.get(handle))}
    left = [row for row in map(catalogue.get, copies) if row.state is State.SEALED]
    return ", ".join(map(str, sorted({row.line for row in left})))


async def unlink(request: Request) -> Response:
    """A copy is another call after all; back to the page on which that was said."""
    row, back = await row_of(request), str(form_of(request).get("back", ""))
    await box_of(request).hub.call("unlink", handle=row.handle, actor=visitor_of(request).actor)
    return done(request, f"/recordings/{back if _HANDLE.fullmatch(back) else row.handle}", Flash("done.unlinked"))


routes = [
    get("/recordings", Need.AUDITOR, listing),
    post("/recordings/search", Need.AUDITOR, search),
    post("/recordings/turn", Need.AUDITOR, turn),
    post("/recordings/trash", Need.AUDITOR, trash),
    *leads("/recordings", Need.AUDITOR, "/recordings/search", "/recordings/turn", "/recordings/trash"),
    get("/recordings/s/{name}", Need.AUDITOR, results),
    get("/recordings/{handle}", Need.AUDITOR, recording),
    get("/recordings/{handle}/waveform", Need.AUDITOR, waveform),
    get("/recordings/{handle}/audio", Need.AUDITOR, audio),
    get("/recordings/{handle}/download", Need.AUDITOR, download),
    post("/recordings/{handle}/note", Need.AUDITOR, note),
    post("/recordings/{handle}/tags", Need.AUDITOR, tags),
    post("/recordings/{handle}/unlink", Need.AUDITOR, unlink),
    post("/recordings/{handle}/verify", Need.AUDITOR, verify),
    *leads(
        "/recordings/{handle}",
        Need.AUDITOR,
        *(f"/recordings/{{handle}}/{act}" for act in ("note", "tags", "unlink", "verify")),
    ),
]
