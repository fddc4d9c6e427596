"""One's own account: password, language, where one is signed in."""

from starlette.requests import Request
from starlette.responses import Response

from web_admin import passwords
from web_admin.box import Flash, box_of, form_of, locale_of, visitor_of
from web_admin.guard import Need, get, leads, post, set_cookie
from web_admin.render import PageError, done, page
from web_admin.routes.entry import address_of
from web_admin.sessions import digest


async def account(request: Request) -> Response:
    return await _page(request)


async def _page(request: Request, status: int = 200, faults: dict[str, str] | None = None) -> Response:
    box, visitor = box_of(request), visitor_of(request)
    here = digest(visitor.token)
    sessions = [(session, key == here) for key, session in box.store.sessions_of(visitor.name)]
    return page(request, "account.html", status, sessions=sessions, faults=faults or {})


async def password(request: Request) -> Response:
    """A new password needs the old one; every other session of the account ends, this one gets a new token."""
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    assert visitor.person is not None
    new, address = str(form.get("new", "")), address_of(request)
    if wait_s := box.store.wait_s(visitor.name, address):
        raise PageError(429, "wait", locale_of(request).span(wait_s))
    box.store.attempted(visitor.name, address)
    faults = {}
    if await passwords.verified(visitor.person.password_hash, str(form.get("old", ""))[: passwords.LONGEST]):
        box.store.succeeded(visitor.name, address)
    else:
        faults["old"] = "password.old_wrong"
    if (fault := passwords.fault(new, visitor.name)) is not None:
        faults["new"] = fault
    elif new != form.get("again"):
        faults["again"] = "password.differ"
    if faults:
        return await _page(request, 422, faults)
    password_hash = await passwords.hashed(new)
    user = {"name": visitor.name, "password_hash": password_hash}
    await box.hub.call("user.put", user=user, actor=visitor.actor)
    box.store.end_sessions(visitor.name)
    agent = request.headers.get("user-agent", "")
    token = box.store.sign_in(visitor.name, address, agent, visitor.language, password_hash)
    box.flashes[token] = Flash("done.password")
    response = done(request, "/account")
    set_cookie(request, response, token)
    return response


async def end_sessions(request: Request) -> Response:
    box, visitor = box_of(request), visitor_of(request)
    ended = box.store.end_sessions(visitor.name, visitor.token)
    what = locale_of(request).count("count.sessions", ended)
    return done(request, "/account", Flash("done.sessions_ended", {"what": what}))


routes = [
    get("/account", Need.SIGNED_IN, account),
    post("/account/password", Need.SIGNED_IN, password),
    post("/account/sessions", Need.SIGNED_IN, end_sessions),
    *leads("/account", Need.SIGNED_IN, "/account/password", "/account/sessions"),
]
