"""The page as an ASGI application: the routes, the guards on every answer, and what happens when something fails.

`create_app` takes the data folder and whether it is served over TLS; everything else it finds there. With the daemon
down it still searches, plays and exports; what needs the daemon answers with a page that says so.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from firmware.wire import DaemonError, DaemonUnreachableError, WireError
from recorder.errors import CatalogueError, RecorderError
from recorder.spool import SpoolError
from web_admin import uploads
from web_admin.box import Box
from web_admin.guard import identify
from web_admin.hub import DaemonSilentError
from web_admin.render import PageError, error_page
from web_admin.routes import (
    account,
    entry,
    fitting,
    learn,
    lines,
    people,
    recordings,
    settings,
    storage,
    system,
    trash,
    updates,
    wizard,
)
from web_admin.security import Headers

TIDY_EVERY_S = 600.0
log = logging.getLogger("linekeep.web")


async def health(request: Request) -> Response:
    """For whoever started the page: it answers. Says nothing about the box."""
    return PlainTextResponse("ok\n")


def routes() -> list[BaseRoute]:
    """All of them; each but the files and `/health` says itself who may have it."""
    static = StaticFiles(directory=Path(__file__).parent / "static")
    rooms = (
        entry, lines, learn, recordings, trash, system, people, settings, updates, storage, fitting, wizard, account,
    )  # fmt: skip
    pages = [route for room in rooms for route in room.routes]
    return [*pages, Route("/health", health), Mount("/static", static, name="static")]


def create_app(
    data: Path, https: bool = False, now_ns: Callable[[], int] = time.time_ns, keeper: Path | None = None
) -> Headers:
    """The page of the box whose data folder this is. `now_ns` is UTC, `keeper` the folder of the keeper's socket."""
    box = Box(data, https, now_ns, keeper)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        uploads.tidy(box.updates)
        box.hub.start()
        tidying = asyncio.create_task(_tidy(box), name="tidy")
        yield
        tidying.cancel()
        await box.hub.stop()
        box.close()

    handlers: dict[type[Exception] | int, Callable[..., object]] = {
        PageError: _with(lambda error: error),
        HTTPException: _with(lambda error: PageError(error.status_code, _http_key(error.status_code))),
        DaemonSilentError: _with(lambda error: PageError(504, "daemon_silent", str(error))),
        DaemonUnreachableError: _with(lambda error: PageError(503, "daemon_down", str(error))),
        DaemonError: _with(_refused),
        WireError: _with(lambda error: PageError(502, "daemon_failed", str(error))),
        SpoolError: _with(lambda error: PageError(507, "not_kept", str(error))),
        CatalogueError: _with(lambda error: PageError(503, "catalogue", str(error))),
        RecorderError: _with(lambda error: PageError(500, "recording_unreadable", str(error))),
        500: _unforeseen,
    }
    app = Starlette(
        routes=routes(),
        exception_handlers=handlers,  # type: ignore[arg-type]
        lifespan=lifespan,
    )
    # An address that is not there is not there; no guess at another one.
    app.router.redirect_slashes = False
    app.state.box = box
    # Outermost, so that an answer to a fault of ours carries the guards too.
    return Headers(app, https)


def _with(to_page_error: Callable[..., PageError]) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        if not hasattr(request.state, "visitor"):
            identify(request)
        return error_page(request, to_page_error(error))

    return handle


def _http_key(status: int) -> str:
    return {404: "not_found", 405: "bad_request"}.get(status, "bad_request")


def _refused(error: DaemonError) -> PageError:
    """The daemon said no: its own words, under a title in the visitor's language."""
    status = {"not_found": 404, "refused": 409, "bad_request": 400, "full": 507, "busy": 503}.get(error.code, 502)
    keys = {"not_found": "daemon_not_found", "full": "daemon_full"}
    keys |= dict.fromkeys(("refused", "bad_request"), "daemon_refused")
    return PageError(status, keys.get(error.code, "daemon_failed"), str(error))


def _unforeseen(request: Request, error: Exception) -> Response:
    """A fault of ours: the page shows the number under which the log has it; the server logs the trace after it."""
    number = secrets.token_hex(4)
    log.error("Fault %s while answering %s %s:", number, request.method, request.url.path)
    identify(request)
    return error_page(request, PageError(500, "fault", number))


async def _tidy(box: Box) -> None:
    while True:
        await asyncio.to_thread(box.store.tidy)
        await asyncio.sleep(TIDY_EVERY_S)
