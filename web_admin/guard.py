"""Who may do what: every route is made here, with what it needs, and there is no other way to make one.

`ANYONE` serves setup and sign-in; `SIGNED_IN` any account; `AUDITOR` hears, finds and throws away; `ADMINISTRATOR`
looks after the box and its people. What a visitor may not have answers 404, so that nobody learns that it is there; a
visitor without a session is led to the sign-in page.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from web_admin import security
from web_admin.box import Visitor, box_of
from web_admin.render import PageError, error_page

Handler = Callable[[Request], Awaitable[Response]]


class Need(Enum):
    ANYONE = "anyone"
    SIGNED_IN = "signed_in"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


def may(need: Need, visitor: Visitor) -> bool:
    return {
        Need.ANYONE: True,
        Need.SIGNED_IN: visitor.person is not None,
        Need.AUDITOR: visitor.is_auditor,
        Need.ADMINISTRATOR: visitor.is_administrator,
    }[need]


def get(path: str, need: Need, handler: Handler) -> Route:
    return Route(path, guarded(need, handler), methods=["GET"], name=f"GET {path} {need.value}")


def post(path: str, need: Need, handler: Handler) -> Route:
    return Route(path, guarded(need, handler), methods=["POST"], name=f"POST {path} {need.value}")


def leads(to: str, need: Need, *paths: str) -> list[Route]:
    """Where an act's address leads without its form: a browser that loads an act's answer again, or its language
    button, asks for it so. It is shown the page that the form is on."""

    async def lead(request: Request) -> Response:
        return RedirectResponse(to.format(**request.path_params), 303)

    return [get(path, need, lead) for path in paths]


def upload(path: str, need: Need, handler: Handler) -> Route:
    """A POST whose body is a file: the handler reads it piece by piece. The form's token comes in a header."""
    return Route(path, guarded(need, handler, is_form=False), methods=["POST"], name=f"POST {path} {need.value}")


def guarded(need: Need, handler: Handler, is_form: bool = True) -> Handler:
    async def answer(request: Request) -> Response:
        fresh = identify(request)
        visitor: Visitor = request.state.visitor
        try:
            response = await _allowed(request, need, visitor, handler, is_form)
        except PageError as error:
            response = error_page(request, error)
        if fresh and not _sets_cookie(response):
            set_cookie(request, response, visitor.token)
        return response

    return answer


async def _allowed(request: Request, need: Need, visitor: Visitor, handler: Handler, is_form: bool) -> Response:
    if request.method == "POST":
        request.state.form = await _form(request) if is_form else FormData()
        token = str(request.state.form.get("csrf", "")) or request.headers.get("x-form-token", "")
        reason = security.fault(request, visitor.token, token)
        if reason is not None:
            raise PageError(403, "forgery", reason)
    if not may(need, visitor):
        if visitor.person is not None:
            raise PageError(404, "not_found")
        if request.method == "POST" or request.headers.get("accept", "").startswith("text/event-stream"):
            raise PageError(401, "signed_out")
        return RedirectResponse("/", 303)
    return await handler(request)


def identify(request: Request) -> bool:
    """Puts the visitor into the request; True where the browser has no cookie of ours yet."""
    box = box_of(request)
    held = request.cookies.get(security.cookie_name(box.https), "")
    fresh = not security.is_token(held)
    request.state.visitor = box.visitor(request, security.new_token() if fresh else held)
    return fresh


def set_cookie(request: Request, response: Response, token: str) -> None:
    https = box_of(request).https
    response.set_cookie(security.cookie_name(https), token, path="/", secure=https, httponly=True, samesite="strict")


def _sets_cookie(response: Response) -> bool:
    return any(name == b"set-cookie" and b"linekeep=" in value for name, value in response.raw_headers)


async def _form(request: Request) -> FormData:
    """The fields of a form, bounded. Only the plain encoding: files come by themselves (`upload`)."""
    body = b""
    try:
        async with asyncio.timeout(security.BODY_PATIENCE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > security.LONGEST_BODY:
                    raise PageError(413, "too_long")
    except TimeoutError as error:
        raise PageError(408, "bad_request", "The form did not arrive in time.") from error
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=2000)
    except ValueError as error:
        raise PageError(400, "bad_request", str(error)) from error
    return FormData([(name, value) for name, value in fields])
