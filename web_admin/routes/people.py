"""Who may use the page: accounts and their roles."""

from starlette.requests import Request
from starlette.responses import Response

from web_admin import passwords
from web_admin.box import Flash, box_of, form_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.render import PageError, done, page
from web_admin.routes.entry import NAME, ROLES, name_of

PLACE = "/system/people"


async def people(request: Request) -> Response:
    return await _page(request)


async def _page(
    request: Request, status: int = 200, form: object = None, faults: dict[str, str] | None = None
) -> Response:
    box = box_of(request)
    return page(
        request,
        "people.html",
        status,
        people=box.accounts.people(),
        signed_in={person.name: len(box.store.sessions_of(person.name)) for person in box.accounts.people()},
        form=form or {},
        faults=faults or {},
    )


async def add_person(request: Request) -> Response:
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    name, password = name_of(form.get("name")), str(form.get("password", ""))
    roles = [role for role in ROLES if form.get(role)]
    faults = {}
    if not NAME.fullmatch(name):
        faults["name"] = "account.name_fault"
    elif any(person.name.casefold() == name.casefold() for person in box.accounts.people()):
        faults["name"] = "people.name_taken"
    if (fault := passwords.fault(password, name)) is not None:
        faults["password"] = fault
    if not roles:
        faults["roles"] = "people.needs_role"
    if faults:
        return await _page(request, 422, form, faults)
    user = {
        "name": name, "password_hash": await passwords.hashed(password), "roles": roles,
        "language": visitor.language, "enabled": True,
    }  # fmt: skip
    await box.hub.call("user.put", user=user, actor=visitor.actor)
    return done(request, PLACE, Flash("done.person_added", {"name": name}))


async def change_person(request: Request) -> Response:
    """Roles, and whether the account may sign in; what it is signed in with ends when it may not."""
    box, form, visitor = box_of(request), form_of(request), visitor_of(request)
    name = request.path_params["name"]
    person = box.accounts.person(name)
    if person is None:
        raise PageError(404, "daemon_not_found")
    enabled = form.get("enabled") == "1"
    roles = [role for role in ROLES if form.get(role)]
    others = [one for one in box.accounts.people() if one.name != name and one.enabled and "administrator" in one.roles]
    if not roles:
        raise PageError(422, "needs_role")
    if not others and not (enabled and "administrator" in roles):
        raise PageError(409, "last_administrator")
    user = {"name": name, "roles": roles, "enabled": enabled}
    await box.hub.call("user.put", user=user, actor=visitor.actor)
    if not enabled:
        box.store.end_sessions(name)
    return done(request, PLACE, Flash("done.person_changed", {"name": name}))


routes = [
    get(PLACE, Need.ADMINISTRATOR, people),
    post(PLACE, Need.ADMINISTRATOR, add_person),
    post("/system/people/{name}", Need.ADMINISTRATOR, change_person),
    *leads("/system/people", Need.ADMINISTRATOR, "/system/people/{name}"),
]
