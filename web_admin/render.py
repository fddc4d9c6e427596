"""From a template and a request to an answer."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from web_admin import security
from web_admin.box import Flash, box_of, locale_of, visitor_of
from web_admin.i18n import NS, Locale

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class PageError(Exception):
    """An answer that is a page with a message and a remedy: `error.KEY.title` and `error.KEY.remedy`."""

    def __init__(self, status: int, key: str, detail: str = "") -> None:
        super().__init__(f"{status} {key} {detail}".rstrip())
        self.status = status
        self.key = key
        self.detail = detail


def context(request: Request) -> dict[str, Any]:
    """What every template may use."""
    box, visitor, locale = box_of(request), visitor_of(request), locale_of(request)
    return {
        "L": locale,
        "t": locale.t,
        "visitor": visitor,
        "hub": box.hub,
        "now_ns": box.now_ns(),
        "person": person,
        "path": request.url.path,
        "csrf": security.form_token(visitor.token),
        "nonce": request.state.nonce,
        "alarms_open": sum(alarm.resolved_utc_ns is None for alarm in box.hub.alarms.values()),
    }


def code(text: str) -> Markup:
    """What stands between backticks in a text of the locale tables, as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def utc(text: str, locale: Locale) -> str:
    """A time as the keeper writes it (`2026-11-22T09:14:05Z`), for people; as it is where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return locale.told(round(moment.timestamp()) * NS)


_environment.filters["code"] = code
_environment.filters["utc"] = utc


def person(actor: str) -> str:
    """An actor of the journal as people call it: the name without its kind (`user:wang`)."""
    return actor.partition(":")[2] or actor


def fragment(name: str, values: dict[str, Any]) -> str:
    return _environment.get_template(name).render(values)


def page(request: Request, name: str, /, status: int = 200, **values: Any) -> Response:
    flash = box_of(request).flashes.pop(visitor_of(request).token, None)
    return HTMLResponse(fragment(name, {**context(request), "flash": flash, **values}), status)


def done(request: Request, to: str, flash: Flash | None = None) -> Response:
    """After a change: say so on the page that follows."""
    if flash is not None:
        box_of(request).flashes[visitor_of(request).token] = flash
    return RedirectResponse(to, 303)


def error_page(request: Request, error: PageError) -> Response:
    """A page; for a request that would replace only a part of one, a notice; for a script, its words."""
    if request.headers.get("accept") == "application/json":
        return JSONResponse({"fault": _words(locale_of(request), error)}, error.status)
    is_part = request.headers.get("hx-request") == "true" and request.headers.get("hx-boosted") != "true"
    if is_part and request.headers.get("hx-history-restore-request") != "true":
        body = fragment("notice.html", {**context(request), "error": error})
        return HTMLResponse(body, error.status, {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"})
    return page(request, "error.html", error.status, error=error)


def _words(locale: Locale, error: PageError) -> str:
    title, remedy = (locale.t(f"error.{error.key}.{part}") for part in ("title", "remedy"))
    return " · ".join(part for part in (title, remedy.replace("`", ""), error.detail) if part)
