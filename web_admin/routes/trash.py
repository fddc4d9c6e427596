"""The trash: what was thrown away, why, since when, until when it can be brought back."""

from starlette.requests import Request
from starlette.responses import Response

from recorder.model import Query, State
from web_admin.box import Flash, box_of, form_of, locale_of, visitor_of
from web_admin.guard import Need, get, leads, post
from web_admin.query import natural
from web_admin.render import PageError, done, page
from web_admin.routes.recordings import handles_of

PAGE_ROWS = 50


async def trash(request: Request) -> Response:
    """Newest first; the next page begins where this one ended (`before`, a number inside the box)."""
    before = natural(request.query_params.get("before", ""), 2**63 - 1)
    query = Query(states=(State.TRASH,), copies=True, limit=PAGE_ROWS, before_id=before)
    rows = await box_of(request).search(query)
    return page(request, "trash.html", rows=rows, first=query.before_id is None)


async def undelete(request: Request) -> Response:
    visitor, form = visitor_of(request), form_of(request)
    answer = await box_of(request).hub.call("undelete", handles=handles_of(form), actor=visitor.actor)
    back, failed = answer["done"], answer["failed"]
    if not back:
        raise PageError(409, "not_undeleted", failed[0]["message"] if failed else "")
    what = locale_of(request).count("count.recordings", len(back))
    to = "/recordings" if form.get("from") == "recordings" else "/trash"
    return done(request, to, Flash("done.undeleted", {"what": what}))


routes = [
    get("/trash", Need.AUDITOR, trash),
    post("/trash/undelete", Need.AUDITOR, undelete),
    *leads("/trash", Need.AUDITOR, "/trash/undelete"),
]
