"""What every answer carries, and what a request must carry to change something.

Headers follow docs/page.md: nothing is loaded from outside, nothing is framed, no script stands in the page. A request
that changes something is a POST; the browser must say that it comes from this page (`Sec-Fetch-Site`, or an `Origin`
that is ours), and it carries a token that only a page of this session knows.
"""

import hashlib
import hmac
import re
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers as HTTPHeaders
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web_admin.tls import is_loopback

LONGEST_BODY = 256 * 1024
BODY_PATIENCE_S = 30.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name(https: bool) -> str:
    """Over TLS the browser itself guarantees that the cookie is ours alone (`__Host-`, RFC 6265bis 4.1.3.2). Plain HTTP
    is served on loopback only; there not every browser keeps a Secure cookie, so it has a plain name."""
    return "__Host-linekeep" if https else "linekeep"


def policy(nonce: str) -> str:
    """The Content-Security-Policy; the nonce is for the style element that the waveform brings along."""
    return (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'; script-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


def new_token() -> str:
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def form_token(cookie: str) -> str:
    """What forms of the holder of this cookie carry. Derived, so that it needs no place to be kept; the cookie itself
    cannot be had from it."""
    return hmac.new(cookie.encode(), b"linekeep form", hashlib.sha256).hexdigest()


def fault(request: Request, cookie: str, token: str) -> str | None:
    """Why this POST is not taken, in a word for the log; None: it is ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return "cross-site request"
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        return "foreign origin"
    if site is None and origin is None:
        return "no origin"
    if not is_token(cookie) or not hmac.compare_digest(token.encode(), form_token(cookie).encode()):
        return "wrong form token"
    return None


def is_ours(host: str) -> bool:
    """Whether a `Host` may be ours where the page is served on loopback. Another name that was made to stand for
    127.0.0.1 (DNS rebinding) would make a foreign page same-origin with this one."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name)


class Headers:
    """ASGI middleware: the same guards on every answer, whoever made it. Over TLS the certificate says whose name it
    is; on loopback only loopback's own names are answered."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), nonce, str(scope["path"]).startswith("/static/"))
            await send(message)

        host = HTTPHeaders(scope=scope).get("host", "")
        if self._https or is_ours(host):
            await self.app(scope, receive, guarded)
        else:
            text = "This box answers to localhost and 127.0.0.1 here. To reach it by a name, let it listen with TLS."
            await PlainTextResponse(text + "\n", 421)(scope, receive, guarded)

    def _add(self, headers: MutableHeaders, nonce: str, static: bool) -> None:
        headers["Content-Security-Policy"] = policy(nonce)
        headers["X-Content-Type-Options"] = "nosniff"
        # Not `no-referrer`: with that, forms are posted with `Origin: null`.
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
        headers["X-Frame-Options"] = "DENY"
        headers["X-Robots-Tag"] = "noindex, nofollow"
        headers["Cache-Control"] = "no-cache" if static else "no-store"
        if self._https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
