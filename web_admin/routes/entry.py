"""The way in: setup with the one-time code, signing in and out, the language.

The first account is made with the code that stands on the box's console; it may be administrator and auditor, both or
the first alone. Signing in answers a wrong name and a wrong password alike and takes as long for both.
"""

import re
import unicodedata

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from firmware.wire import DaemonError, DaemonUnreachableError
from web_admin import passwords
from web_admin.box import LANGUAGE_COOKIE, Flash, Visitor, box_of, form_of, locale_of, visitor_of
from web_admin.guard import Need, get, post, set_cookie
from web_admin.i18n import LANGUAGES
from web_admin.render import PageError, page

NAME = re.compile(r"\w[\w.-]{1,31}")
ROLES = ("administrator", "auditor")


def address_of(request: Request) -> str:
    return request.client.host if request.client else "local"


def has_people(request: Request) -> bool:
    """Whether anybody may sign in; if nobody may, the way in is the setup code."""
    return any(person.enabled for person in box_of(request).accounts.people())


def name_of(text: object) -> str:
    """An account's name as it is kept: normalised, without space around it."""
    return unicodedata.normalize("NFKC", str(text or "")).strip()


async def home(request: Request) -> Response:
    visitor = visitor_of(request)
    if visitor.person is not None:
        return RedirectResponse("/lines", 303)
    anybody = has_people(request)
    return RedirectResponse("/sign-in" if anybody else "/setup", 303)


async def setup_form(request: Request) -> Response:
    if has_people(request):
        return RedirectResponse("/sign-in", 303)
    return page(request, "setup.html", form={}, faults={})


async def setup(request: Request) -> Response:
    """Makes the first account and signs it in; the box is set up next. A form that was sent twice has made it."""
    if has_people(request):
        return RedirectResponse("/sign-in", 303)
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    name, code = name_of(form.get("name")), str(form.get("code", "")).strip()
    password = str(form.get("password", ""))
    roles = [role for role in ROLES if form.get(role)]
    faults = _account_faults(name, password, str(form.get("again", "")), roles)
    wait_s = box.store.wait_s("setup", address_of(request))
    if wait_s:
        raise PageError(429, "wait", locale_of(request).span(wait_s))
    if not faults:
        box.store.attempted("setup", address_of(request))
        if not (await box.hub.call("setup.check", code=code)).get("valid"):
            faults["code"] = "setup.code_wrong"
    if faults:
        return page(request, "setup.html", 422, form=form, faults=faults)
    password_hash = await passwords.hashed(password)
    user = {"name": name, "password_hash": password_hash, "roles": roles, "language": visitor.language}
    try:
        await box.hub.call("setup.finish", code=code, user=user, actor={"kind": "user", "name": name})
    except DaemonError:
        if not has_people(request):
            raise
        return RedirectResponse("/sign-in", 303)
    box.store.succeeded("setup", address_of(request))
    return await _signed_in(request, name, password_hash, "/system/setup")


def _account_faults(name: str, password: str, again: str, roles: list[str]) -> dict[str, str]:
    faults = {}
    if not NAME.fullmatch(name):
        faults["name"] = "account.name_fault"
    if (fault := passwords.fault(password, name)) is not None:
        faults["password"] = fault
    elif password != again:
        faults["again"] = "password.differ"
    if "administrator" not in roles:
        faults["roles"] = "setup.needs_administrator"
    return faults


async def sign_in_form(request: Request) -> Response:
    if visitor_of(request).person is not None or not has_people(request):
        return RedirectResponse("/", 303)
    return page(request, "sign_in.html", name="", fault=None)


async def sign_in(request: Request) -> Response:
    box, form = box_of(request), form_of(request)
    name, password = name_of(form.get("name"))[:64], str(form.get("password", ""))[: passwords.LONGEST]
    address = address_of(request)
    wait_s = box.store.wait_s(name, address)
    if wait_s:
        fault = locale_of(request).t("sign_in.wait", wait=locale_of(request).span(wait_s))
        return page(request, "sign_in.html", 429, name=name, fault=fault)
    box.store.attempted(name, address)
    person = box.accounts.person(name)
    if person is not None and not person.enabled:
        person = None
    if not await passwords.verified(person.password_hash if person else None, password) or person is None:
        await _tell(request, "sign_in_failed", name if person else "")
        return page(request, "sign_in.html", 401, name=name, fault=locale_of(request).t("sign_in.wrong"))
    box.store.succeeded(name, address)
    return await _signed_in(request, person.name, person.password_hash)


async def _signed_in(request: Request, name: str, password_hash: str, to: str = "/lines") -> Response:
    """A new session under a new token; the one the browser had before ends."""
    box = box_of(request)
    box.store.sign_out(visitor_of(request).token)
    language, agent = request.cookies.get(LANGUAGE_COOKIE), request.headers.get("user-agent", "")
    token = box.store.sign_in(name, address_of(request), agent, language, password_hash)
    await _tell(request, "sign_in", name)
    response = RedirectResponse(to, 303)
    set_cookie(request, response, token)
    return response


async def _tell(request: Request, act: str, name: str) -> None:
    """Enter a sign-in in the journal, or in the spool."""
    box = box_of(request)
    visitor = visitor_of(request)
    known = Visitor(visitor.token, None, box.accounts.person(name), visitor.language)
    await box.access(known, act, None, address=address_of(request))


async def sign_out(request: Request) -> Response:
    box, visitor = box_of(request), visitor_of(request)
    await box.access(visitor, "sign_out", None, address=address_of(request))
    box.store.sign_out(visitor.token)
    response = RedirectResponse("/", 303)
    # What the browser may still hold of recordings goes with the session (ASVS 5, 14.3.1).
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def language(request: Request) -> Response:
    """The visitor's choice: remembered in a cookie, in the session, and with the account while the daemon is there."""
    box, visitor, form = box_of(request), visitor_of(request), form_of(request)
    wished = str(form.get("language", ""))
    if wished not in LANGUAGES:
        raise PageError(400, "bad_request")
    if visitor.person is not None:
        box.store.set_language(visitor.token, wished)
        if box.hub.up and visitor.person.language != wished:
            await keep_language(request, wished)
    back = str(form.get("back", "/"))
    response = RedirectResponse(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/", 303)
    response.set_cookie(
        LANGUAGE_COOKIE, wished, max_age=365 * 86400, path="/", secure=box.https, httponly=True, samesite="lax"
    )
    return response


async def keep_language(request: Request, wished: str) -> None:
    visitor = visitor_of(request)
    try:
        user = {"name": visitor.name, "language": wished}
        await box_of(request).hub.call("user.put", user=user, actor=visitor.actor)
    except (DaemonError, DaemonUnreachableError):
        # The session has it already; the account follows at the next choice.
        box_of(request).flashes[visitor.token] = Flash("account.language_not_kept")


routes = [
    get("/", Need.ANYONE, home),
    get("/setup", Need.ANYONE, setup_form),
    post("/setup", Need.ANYONE, setup),
    get("/sign-in", Need.ANYONE, sign_in_form),
    post("/sign-in", Need.ANYONE, sign_in),
    post("/sign-out", Need.SIGNED_IN, sign_out),
    post("/language", Need.ANYONE, language),
]
