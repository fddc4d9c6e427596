"""What all routes share: the data folder, the daemon, the store, and the visitor who asks.

A `Visitor` is whoever holds the cookie of a request; without an account they may see the sign-in page and nothing else.
Rights are those the account has now, not those it had at sign-in.
"""

import asyncio
import logging
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.datastructures import FormData
from starlette.requests import Request

from firmware.wire import DaemonError, DaemonUnreachableError, Measurement, Verdict
from recorder import spool
from recorder.access import Person, Reader, Role
from recorder.catalogue import Catalogue
from recorder.model import Page, Query
from web_admin.hub import Hub
from web_admin.i18n import LANGUAGES, Locale, negotiate
from web_admin.sessions import Session, Store, secret

log = logging.getLogger("linekeep.web")
NOBODY = "unknown"
LANGUAGE_COOKIE = "linekeep_language"
NS = 1_000_000_000
HEARD_AGAIN_NS = 600 * NS
"""Within this time, the pieces a browser fetches of a recording are one listening."""


@dataclass(slots=True)
class Visitor:
    token: str
    """The cookie's value; random and worth nothing without a session."""
    session: Session | None
    person: Person | None
    language: str

    @property
    def name(self) -> str:
        return self.person.name if self.person else ""

    @property
    def is_auditor(self) -> bool:
        return self.person is not None and self.person.may(Role.AUDITOR)

    @property
    def is_administrator(self) -> bool:
        return self.person is not None and self.person.may(Role.ADMINISTRATOR)

    @property
    def actor(self) -> dict[str, str]:
        return {"kind": "user", "name": self.name or NOBODY}


@dataclass(slots=True)
class Flash:
    """What the next page says at its top: an act that was done, and how to take it back."""

    key: str
    fields: dict[str, Any] = field(default_factory=dict)
    undo: list[str] = field(default_factory=list)
    good: bool = True


@dataclass(slots=True)
class Learning:
    """How far a visitor is with learning a line's thresholds."""

    measured: dict[str, Measurement] = field(default_factory=dict)
    """By step, in their order."""
    refused: tuple[str, Verdict] | None = None
    """The last step that was not what it should have been, until it was shown."""


class Box:
    def __init__(
        self, data: Path, https: bool, now_ns: Callable[[], int] = time.time_ns, keeper: Path | None = None
    ) -> None:
        self.data = data
        self.https = https
        self.now_ns = now_ns
        self.hub = Hub(data, keeper, self.hand_over, self.spooled)
        self.updates = data / "web" / "updates"
        self.spool = data / "web" / "spool"
        self.store = Store(data / "web" / "state", now_ns)
        self.accounts = Reader(data)
        self.flashes: dict[str, Flash] = {}
        self.learning: dict[tuple[str, int], Learning] = {}
        """By the visitor's token and line."""
        self._catalogue: Catalogue | None = None
        self._heard: dict[tuple[str, str], int] = {}
        self._configured_zone = _configured_zone(data)

    def close(self) -> None:
        self.store.close()
        if self._catalogue is not None:
            self._catalogue.close()

    # Who asks ---------------------------------------------------------------------------------------------------------

    def visitor(self, request: Request, token: str) -> Visitor:
        session = self.store.session(token)
        person = None
        if session is not None:
            person = self.accounts.person(session.user)
            if person is not None and not (person.enabled and session.secret == secret(person.password_hash)):
                person = None
        wished = [
            session.language if session else None,
            person.language if person else None,
            request.cookies.get(LANGUAGE_COOKIE),
        ]
        language = next((one for one in wished if one in LANGUAGES), None)
        if language is None:
            language = negotiate(request.headers.get("accept-language", ""))
        return Visitor(token, session if person else None, person, language)

    # Times ------------------------------------------------------------------------------------------------------------

    def zone(self) -> tzinfo | None:
        """The box's zone: as the daemon says, as configured, else the system's (None)."""
        name = self.hub.status.clock.zone if self.hub.status else self._configured_zone
        try:
            return ZoneInfo(name) if name else None
        except (ZoneInfoNotFoundError, ValueError):
            return None

    def locale(self, language: str) -> Locale:
        zone = self.zone()
        today = datetime.fromtimestamp(self.now_ns() / NS, UTC).astimezone(zone).date()
        return Locale(language, zone, today)

    # Recordings -------------------------------------------------------------------------------------------------------

    def catalogue(self) -> Catalogue:
        """Opened on first use: before the daemon's first start there is none; and anew when it was made anew. Raises
        `CatalogueError`."""
        if self._catalogue is None:
            self._catalogue = Catalogue.open_readonly(self.data)
        elif self._catalogue.replaced():
            self._catalogue.reopen()
        return self._catalogue

    async def search(self, query: Query) -> Page:
        return await asyncio.to_thread(self.catalogue().search, query)

    # Accesses ---------------------------------------------------------------------------------------------------------

    async def access(self, visitor: Visitor, act: str, handle: str | None, **detail: Any) -> None:
        """Durable before anything is heard or leaves: in the journal, or in the spool while the daemon is down."""
        if self.hub.up:
            try:
                await self.hub.call("operation", act=act, handle=handle, detail=detail, actor=visitor.actor)
                return
            except DaemonUnreachableError:
                log.warning("The daemon went away while an access was entered; it goes to the spool.")
        await self.spooled(act, detail, visitor.actor, handle)

    async def spooled(self, act: str, detail: dict[str, Any], actor: dict[str, str], handle: str | None = None) -> None:
        """Kept for the journal until the daemon is there to take it. Raises `SpoolError`."""
        await asyncio.to_thread(spool.keep, self.spool, self.now_ns(), act, handle, detail, actor)

    async def hand_over(self) -> None:
        """What was spooled after the daemon had looked: it is up again, and takes it now. The id tells it apart."""
        for path in await asyncio.to_thread(spool.waiting, self.spool):
            access = await asyncio.to_thread(spool.read, path)
            # For the console it is the kernel's word that counts: the daemon takes those itself when it starts.
            if access is not None and access.actor.get("kind") == "user":
                detail = spool.chained(access.detail, access.id, access.utc_ns)
                try:
                    await self.hub.call(
                        "operation", act=access.act, handle=access.handle, detail=detail, actor=access.actor
                    )
                except DaemonError as error:
                    # It stays for the daemon's next start, which names it in an alarm; it holds up nothing else.
                    log.warning("%s: the daemon does not take this access: %s", path, error)
                    continue
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def heard(self, visitor: Visitor, handle: str) -> None:
        """One `listen` for all the pieces that a browser fetches while it plays."""
        now, key = self.now_ns(), (visitor.token, handle)
        if now - self._heard.get(key, 0) > HEARD_AGAIN_NS:
            await self.access(visitor, "listen", handle)
        self._heard[key] = now
        if len(self._heard) > 1000:
            self._heard = {one: at for one, at in self._heard.items() if now - at <= HEARD_AGAIN_NS}


def _configured_zone(data: Path) -> str:
    """The zone in linekeep.toml, for the times while the daemon is down; the daemon is the one that judges the file."""
    try:
        table = tomllib.loads((data / "linekeep.toml").read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ""
    zone = table.get("box", {}).get("zone", "")
    return zone if isinstance(zone, str) else ""


def box_of(request: Request) -> Box:
    box: Box = request.app.state.box
    return box


def visitor_of(request: Request) -> Visitor:
    visitor: Visitor = request.state.visitor
    return visitor


def form_of(request: Request) -> FormData:
    form: FormData = request.state.form
    return form


def locale_of(request: Request) -> Locale:
    return box_of(request).locale(visitor_of(request).language)
