"""The page as a whole, over HTTP, with the real daemon behind it."""

import re
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from starlette.routing import Route

from recorder import spool
from tests.box import wait_for
from tests.web_admin.conftest import PASSWORD, Person, World, start_page
from web_admin.app import routes
from web_admin.timeline import Entry, folded

ROUTES = [route for route in routes() if isinstance(route, Route) and route.path != "/health"]
PLACE = {"part": "cards", "step": "on_hook", "line": "1", "name": "nobody", "alarm": "1"}


# Setting up and signing in --------------------------------------------------------------------------------------------


def test_setup_takes_the_code_once_and_a_good_password(world: World) -> None:
    answers = world.setup_answers
    assert answers["wrong code"].status_code == 422 and "not the setup code" in answers["wrong code"].text
    assert answers["common password"].status_code == 422 and "tried first" in answers["common password"].text
    assert answers["no administrator"].status_code == 422
    assert answers["good"].status_code == 303 and answers["good"].headers["location"] == "/system/setup"
    assert answers["again"].headers["location"] == "/sign-in"
    assert world.someone().get("/setup").headers["location"] == "/sign-in"


def test_the_session_cookie_is_new_and_closed_to_scripts(world: World) -> None:
    person = world.someone()
    before = person.cookies["linekeep"]
    answer = person.sign_in("auditor-only")
    cookie = answer.headers["set-cookie"]
    assert person.cookies["linekeep"] != before
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    person.submit("/sign-out")
    assert person.get("/lines").headers["location"] == "/"


def test_wrong_name_and_wrong_password_are_answered_alike_and_slow_down(world: World) -> None:
    person = world.someone()
    unknown = person.submit("/sign-in", {"name": "guesser", "password": "whatever it may be"})
    wrong = world.someone().submit("/sign-in", {"name": "first", "password": "whatever it may be"})
    assert unknown.status_code == wrong.status_code == 401
    strip = re.compile(r'value="[^"]*"|nonce" content="[^"]*"|data-now="\d+"')
    assert strip.sub("", unknown.text) == strip.sub("", wrong.text)
    # Delays begin with a second, which a slow machine may outlast, and double.
    tried: list[int] = []
    while 429 not in tried and len(tried) < 12:
        tried.append(person.submit("/sign-in", {"name": "guesser", "password": "x"}).status_code)
    assert tried[:2] == [401, 401] and set(tried[:-1]) == {401} and tried[-1] == 429
    world.first.get("/lines").raise_for_status()


def test_an_account_that_is_disabled_is_out_at_once(world: World) -> None:
    world.first.submit("/system/people", {"name": "leaver", "password": PASSWORD, "auditor": "1"})
    leaver = world.someone()
    leaver.sign_in("leaver")
    assert leaver.get("/recordings").status_code == 200
    assert world.first.submit("/system/people/leaver", {"auditor": "1"}).status_code == 303
    assert leaver.get("/recordings").status_code == 303
    assert leaver.sign_in("leaver").status_code == 401


def test_the_last_administrator_stays(world: World) -> None:
    world.first.submit("/system/people/administrator-only", {"auditor": "1", "enabled": "1"})
    refused = world.first.submit("/system/people/first", {"auditor": "1", "enabled": "1"})
    world.first.submit("/system/people/administrator-only", {"administrator": "1", "enabled": "1"})
    assert refused.status_code == 409 and "last administrator" in refused.text


def test_a_changed_password_ends_every_other_session(world: World) -> None:
    world.first.submit("/system/people", {"name": "changer", "password": PASSWORD, "auditor": "1"})
    here, there = world.someone(), world.someone()
    here.sign_in("changer")
    there.sign_in("changer")
    new = "seven quiet paper boats"
    wrong = here.submit("/account/password", {"old": "not this one at all", "new": new, "again": new})
    assert wrong.status_code == 422 and "not your present password" in wrong.text
    assert here.submit("/account/password", {"old": PASSWORD, "new": new, "again": new}).status_code == 303
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303
    assert there.sign_in("changer", new).status_code == 303


def test_many_attempts_at_once_are_no_way_around_the_delay(world: World) -> None:
    """All of them arrive before the first password is computed; only the free ones are looked at."""
    person = world.someone()
    form = {"csrf": person.token(), "name": "nobody-else", "password": "whatever it may be"}
    body = urlencode(form).encode()
    head = (
        f"POST /sign-in HTTP/1.1\r\nHost: {urlsplit(world.base).netloc}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Cookie: linekeep={person.cookies['linekeep']}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with ExitStack() as opened:
        address = urlsplit(world.base)
        lines = [
            opened.enter_context(socket.create_connection((str(address.hostname), int(address.port or 0)), 30.0))
            for _ in range(12)
        ]
        for line in lines:
            line.sendall(head + body)
        codes = [int(opened.enter_context(line.makefile("rb")).readline().split()[1]) for line in lines]
    assert codes.count(401) == 3 and codes.count(429) == 9


def test_a_session_ends_with_the_password_it_began_with(world: World) -> None:
    """Also where the password is changed behind the page's back, as a reset on the console and a new setup do."""
    world.first.submit("/system/people", {"name": "reset", "password": PASSWORD, "auditor": "1"})
    person = world.someone()
    person.sign_in("reset")
    assert person.get("/recordings").status_code == 200
    user = {"name": "reset", "password_hash": PasswordHasher().hash("another one altogether")}
    world.box.call("user.put", user=user, actor={"kind": "console", "name": "root"})
    assert person.get("/recordings").status_code == 303


def test_signing_in_again_ends_the_session_before(world: World) -> None:
    person = world.someone()
    person.sign_in("auditor-only")
    before = person.cookies["linekeep"]
    person.submit("/sign-in", {"name": "auditor-only", "password": PASSWORD})
    assert httpx.get(f"{world.base}/lines", cookies={"linekeep": before}).status_code == 303
    assert person.get("/lines").status_code == 200


def test_a_role_that_is_taken_away_is_gone_at_once(world: World) -> None:
    world.first.submit("/system/people", {"name": "mover", "password": PASSWORD, "auditor": "1"})
    person = world.someone()
    person.sign_in("mover")
    assert person.get("/recordings").status_code == 200
    world.first.submit("/system/people/mover", {"administrator": "1", "enabled": "1"})
    assert person.get("/recordings").status_code == 404
    assert person.get(f"/recordings/{world.rows[0].handle}/audio").status_code == 404
    world.first.submit("/system/people/mover", {"auditor": "1"})


# Guards ---------------------------------------------------------------------------------------------------------------


def test_every_answer_carries_the_guards(world: World) -> None:
    for path in ("/sign-in", "/recordings", "/static/page.css", "/nothing", "/health"):
        answer = world.first.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
        assert "server" not in answer.headers
    nonces = {re.search(r"nonce-([\w-]+)", world.first.get("/lines").headers["content-security-policy"]) for _ in "ab"}
    assert len({nonce[1] for nonce in nonces if nonce}) == 2


def test_no_page_holds_script_style_or_address_from_outside(world: World) -> None:
    pages = ["/lines", "/recordings", f"/recordings/{world.rows[0].handle}", "/trash", "/system", "/account"]
    for path in pages:
        text = world.first.get(path).text
        assert not re.search(r"<script(?![^>]* src=\"/static/)", text), path
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", text), path
        assert not re.search(r"""(?:src|href|action)="(?:https?:)?//""", text), path


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"},
    ],
)
def test_a_request_from_elsewhere_changes_nothing(world: World, headers: dict[str, str]) -> None:
    handle = world.rows[5].handle
    answer = world.first.submit("/recordings/trash", {"only": handle}, **headers)
    assert answer.status_code == 403
    assert "Move to trash" in world.first.get(f"/recordings/{handle}").text


def test_a_form_without_its_token_changes_nothing(world: World) -> None:
    fields = {"only": world.rows[5].handle}
    same = {"Sec-Fetch-Site": "same-origin"}
    assert world.first.post("/recordings/trash", data=fields, headers=same).status_code == 403
    foreign = {**fields, "csrf": world.auditor.token()}
    assert world.first.post("/recordings/trash", data=foreign, headers=same).status_code == 403
    good = {**fields, "csrf": world.first.token()}
    assert world.first.post("/recordings/trash", data=good).status_code == 403
    assert "Move to trash" in world.first.get(f"/recordings/{world.rows[5].handle}").text


def test_every_address_that_an_answer_can_have_may_be_loaded_again() -> None:
    """But for what answers to a script, and what leads away whatever happens."""
    loaded = {route.name.split()[1] for route in ROUTES if "GET" in (route.methods or ())}
    acts = {route.name.split()[1] for route in ROUTES if "POST" in (route.methods or ())}
    assert acts - loaded == {"/sign-out", "/language", "/lines/{line}/key", "/system/update/upload"}


@pytest.mark.parametrize("role", ["nobody", "administrator", "auditor"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_asks_for_its_role(world: World, route: Route, role: str) -> None:
    """What a role may not have is not there for it; whoever is nobody is led to the sign-in page or refused."""
    method, template, need = route.name.split(" ")
    values = {**PLACE, "handle": world.rows[0].handle}
    path = re.sub(r"{(\w+)(?::int)?}", lambda found: values[found[1]], template)
    allowed = need == "anyone" or (role != "nobody" and need in ("signed_in", role))
    if allowed and (path in ("/events", "/sign-out") or path.endswith("/listen")):
        # They stream or end the session, and have tests of their own; here they are asked for their refusal.
        return
    person = {"administrator": world.administrator, "auditor": world.auditor}.get(role) or world.someone()
    answer = person.get(path) if method == "GET" else person.submit(path)
    if allowed:
        # The object named may not be there, which has a page of its own; an empty sign-in is refused as such.
        assert answer.status_code not in (403, 405, 500), answer.text
        assert answer.status_code != 401 or path == "/sign-in"
        assert 'data-error="not_found"' not in answer.text
    elif role == "nobody":
        assert (answer.status_code, answer.headers.get("location")) in ((303, "/"), (401, None))
    else:
        assert answer.status_code == 404
        assert str(world.rows[0].number) not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "[::1", ""])
def test_on_loopback_no_other_name_is_answered(world: World, host: str) -> None:
    answer = world.first.get("/lines", headers={"Host": host})
    assert answer.status_code == 421 and "content-security-policy" in answer.headers
    assert world.first.get("/lines", headers={"Host": "localhost:8090"}).status_code == 200


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "9223372036854775808", "-1", "\u0663"])
def test_a_number_beyond_all_bounds_is_no_fault_of_ours(world: World, number: str) -> None:
    """In addresses it is nothing, in forms it is said at its field."""
    assert world.first.get("/trash", params={"before": number}).status_code == 200
    assert world.first.get("/recordings/s/x", params={"page": number}).status_code == 303
    assert world.first.submit(f"/lines/{number}/key", {"on": "1"}).status_code == 404
    assert world.first.get(f"/lines/{number}/listen").status_code == 404
    assert world.first.submit("/recordings/turn", {"page": number, "search": ""}).status_code == 303
    assert "Line numbers" in world.first.submit("/recordings/search", {"line": number}).text


@pytest.mark.parametrize("time", ["0001-01-01T00:00", "9999-12-31T23:59"])
@pytest.mark.parametrize("field", ["since", "until"])
def test_a_time_beyond_all_bounds_is_said_at_its_field(world: World, field: str, time: str) -> None:
    answer = world.first.submit("/recordings/search", {"range": "custom", field: time})
    assert answer.status_code == 422 and "not a time" in answer.text


# Recordings -----------------------------------------------------------------------------------------------------------


def search(person: Person, **fields: str | list[str]) -> httpx.Response:
    answer = person.submit("/recordings/search", fields)
    assert answer.status_code == 303, answer.text
    return person.get(answer.headers["location"])


def handles(answer: httpx.Response) -> list[str]:
    return re.findall(r'<tr data-handle="(\w{32})"', answer.text)


def test_a_search_shows_what_fits_and_its_address_shows_no_number(world: World) -> None:
    answer = search(world.auditor, number="*5039*")
    expected = [row.handle for row in reversed(world.rows[:-1]) if "5039" in (row.number or "")]
    assert handles(answer) == expected[:50]
    assert "5039" not in str(answer.url)
    assert 'value="*5039*"' in answer.text
    # Back, or another tab of the same person, finds it; somebody else does not.
    assert handles(world.auditor.get(str(answer.url))) == expected[:50]
    assert world.first.get(str(answer.url)).headers["location"] == "/recordings"


def test_days_are_those_of_the_boxs_zone(world: World) -> None:
    # 2025-11-22 10:00 to 10:40 in Shanghai holds the recordings 0 to 4.
    answer = search(world.auditor, range="custom", since="2025-11-22T10:00", until="2025-11-22T10:50")
    assert handles(answer) == [row.handle for row in reversed(world.rows[:5])]
    assert "22 Nov 2025 10:40:00" in answer.text and "2025-11-22 10:40:00.000 +08:00" in answer.text


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"number": "12a;"}, "Digits"),
        ({"min": "x"}, "1:30"),
        ({"min": "2:00", "max": "30"}, "longest"),
        ({"range": "custom", "since": "yesterday"}, "not a time"),
        ({"range": "custom", "since": "2025-11-22T10:00", "until": "2025-11-22T09:00"}, "after From"),
        ({"line": "one"}, "Line numbers"),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field(world: World, fields: dict[str, str | list[str]], fault: str) -> None:
    answer = world.auditor.submit("/recordings/search", fields)
    assert answer.status_code == 422 and fault in answer.text


def test_pages_follow_one_another_without_a_row_twice(world: World) -> None:
    first = world.auditor.get("/recordings")
    assert len(handles(first)) == 50
    turned = world.auditor.submit("/recordings/turn", {"search": "", "page": "2"})
    second = world.auditor.get(turned.headers["location"])
    listed = handles(first) + handles(second)
    known = {row.handle for row in world.rows}
    assert len(set(listed)) == len(listed)
    assert [one for one in listed if one in known] == [row.handle for row in reversed(world.rows[:-1])]
    assert 'data-testid="page-older"' in second.text
    assert world.auditor.get("/recordings/s/" + "x" * 16).headers["location"] == "/recordings"


def test_a_recording_says_why_it_started_and_stopped(world: World) -> None:
    text = world.auditor.get(f"/recordings/{world.rows[0].handle}").text
    assert "taken off the hook: 8.6 V, below the threshold of 18.0 V" in text
    assert "put on the hook: 47.9 V, above the threshold of 18.0 V, for 400 ms" in text
    assert world.rows[0].audio_sha256 in text and "Digit 5" in text
    assert "Linekeep" in text and "simulated" in text


def test_a_recording_in_progress_plays_as_far_as_it_is_written(world: World) -> None:
    world.first.submit("/lines/3/key", {"on": "1"})

    def begun() -> str | None:
        (handle,) = (line["recording"] for line in world.box.call("lines")["lines"] if line["line"] == 3)
        return None if handle is None else str(handle)

    def written() -> bool:
        part = world.auditor.get(f"{path}/audio")
        return part.status_code == 206 and len(part.content) > 4096 + 8000

    handle = wait_for("the recording of line 3", begun)
    path = f"/recordings/{handle}"
    live = re.compile(rf'<tr data-handle="{handle}"(?:(?!</tr>).)*?class="badge live"', re.S)
    wait_for("its place in the list", lambda: live.search(world.auditor.get("/recordings").text))
    wait_for("a second of it", written)
    whole = world.auditor.get(f"{path}/audio")
    assert whole.status_code == 206 and whole.content[:4] == b"RIFF"
    assert len(whole.content) == int(whole.headers["content-length"])
    drawn = world.auditor.get(f"{path}/waveform").json()
    assert drawn["duration"] >= 1 and len(drawn["peaks"]) >= 100
    page = world.auditor.get(path)
    assert "What is written so far can be played" in page.text and "Download WAV" not in page.text
    refused = world.auditor.get(f"{path}/download")
    assert refused.status_code == 409 and "still being recorded" in refused.text
    world.first.submit("/lines/3/key", {"on": "0"})
    wait_for("its end", lambda: world.auditor.get(f"{path}/download").status_code == 200)


def test_digits_dialled_one_after_the_other_are_one_row() -> None:
    def at(category: str, start_s: float) -> Entry:
        return Entry(category, start_s, None, "5", "Digit 5")

    entries = [
        at("digit", 1.0),
        at("line", 1.0),
        at("digit", 1.2),
        at("digit", 3.0),
        at("tone", 4.0),
        at("digit", 30.0),
    ]
    rows = [[(entry.category, entry.start_s) for entry in run] for run in folded(entries)]
    assert rows == [
        [("digit", 1.0), ("digit", 1.2), ("digit", 3.0)],
        [("line", 1.0)],
        [("tone", 4.0)],
        [("digit", 30.0)],
    ]


def test_the_waveform_has_peaks_and_marks(world: World) -> None:
    drawn = world.auditor.get(f"/recordings/{world.rows[0].handle}/waveform").json()
    assert drawn["duration"] == 3.0
    assert max(drawn["peaks"]) > 0.1 and min(drawn["peaks"]) < -0.1 and len(drawn["peaks"]) % 2 == 0
    assert [mark["label"] for mark in drawn["marks"] if mark["category"] == "digit"] == ["5"]


def test_audio_answers_ranges_and_hearing_it_is_in_the_journal_once(world: World) -> None:
    row = world.rows[1]
    path = f"/recordings/{row.handle}/audio"
    whole = world.auditor.get(path)
    assert whole.content == (world.data / row.path).read_bytes() and whole.headers["content-type"] == "audio/wav"
    part = world.auditor.get(path, headers={"Range": "bytes=4096-4195"})
    assert part.status_code == 206 and part.content == whole.content[4096:4196]
    assert part.headers["content-range"] == f"bytes 4096-4195/{len(whole.content)}"
    assert world.auditor.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    journal = world.auditor.get(f"/recordings/{row.handle}").text
    assert journal.count("<span>heard</span> <small>auditor-only</small>") == 1


def test_a_download_is_the_file_and_its_name_shows_no_number(world: World) -> None:
    row = world.rows[0]
    answer = world.auditor.get(f"/recordings/{row.handle}/download")
    assert answer.content == (world.data / row.path).read_bytes()
    name = answer.headers["content-disposition"]
    assert f"20251122-100000-line1-{row.handle[:8]}.wav" in name and (row.number or "") not in name
    assert "<span>exported</span>" in world.auditor.get(f"/recordings/{row.handle}").text


@pytest.mark.parametrize("handle", ["0" * 32, "x", "..", "%2e%2e%2f", "A" * 32, "0" * 31])
def test_what_is_no_recording_is_not_found(world: World, handle: str) -> None:
    for part in ("", "/audio", "/download", "/waveform"):
        assert world.auditor.get(f"/recordings/{handle}{part}").status_code in (404, 303)


def test_trash_and_back(world: World) -> None:
    chosen = [world.rows[8].handle, world.rows[9].handle]
    answer = world.auditor.submit("/recordings/trash", {"handle": chosen})
    listed = world.auditor.get(answer.headers["location"])
    assert "2 recordings moved to the trash" in listed.text and not set(chosen) & set(handles(listed))
    trash = world.auditor.get("/trash")
    assert set(chosen) <= set(handles(trash)) and "29 d" in trash.text and "auditor-only" in trash.text
    assert "In the trash since" in world.auditor.get(f"/recordings/{chosen[0]}").text
    world.auditor.submit("/trash/undelete", {"handle": chosen})
    assert not set(chosen) & set(handles(world.auditor.get("/trash")))
    assert world.auditor.submit("/recordings/trash", {}).status_code == 422
    assert world.auditor.submit("/recordings/trash", {"handle": ["../x"]}).status_code == 400


def test_notes_and_tags_are_kept_found_and_harmless(world: World) -> None:
    handle = world.rows[3].handle
    world.auditor.submit(f"/recordings/{handle}/note", {"text": "<script>alert(1)</script> 客户投诉"})
    world.auditor.submit(f"/recordings/{handle}/tags", {"tags": "claim 2231\uff0c投诉, claim 2231"})
    text = world.auditor.get(f"/recordings/{handle}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 客户投诉" in text and "<script>alert" not in text
    assert text.count('<span class="tag">claim 2231</span>') == 1 and '<span class="tag">投诉</span>' in text
    assert handles(search(world.auditor, text="客户")) == [handle]
    assert world.auditor.submit(f"/recordings/{handle}/note", {"text": " "}).status_code == 422
    assert world.auditor.submit(f"/recordings/{handle}/tags", {"tags": "x" * 41}).status_code == 422


def test_verify_finds_a_changed_byte(world: World) -> None:
    row = world.rows[12]
    world.auditor.submit(f"/recordings/{row.handle}/verify")
    assert "The recording is unchanged" in world.auditor.get(f"/recordings/{row.handle}").text
    path = world.data / row.path
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    world.auditor.submit(f"/recordings/{row.handle}/verify")
    assert "not what was recorded" in world.auditor.get(f"/recordings/{row.handle}").text
    path.write_bytes(whole)


# The rest -------------------------------------------------------------------------------------------------------------


def test_the_language_follows_the_browser_then_the_user(world: World) -> None:
    chinese = httpx.Client(base_url=world.base, headers={"Accept-Language": "zh-CN,en;q=0.5"}, follow_redirects=True)
    assert '<html lang="zh-CN">' in chinese.get("/").text
    chinese.close()
    person = world.someone()
    person.sign_in("auditor-only")
    assert person.submit("/language", {"language": "zh-CN", "back": "/lines"}).headers["location"] == "/lines"
    assert "线路" in person.get("/lines").text
    # It was stored with the account: another browser of this person has it too.
    other = world.someone()
    other.sign_in("auditor-only")
    assert '<html lang="zh-CN">' in other.get("/lines").text
    other.submit("/language", {"language": "en", "back": "//elsewhere.example"})
    assert other.submit("/language", {"language": "en", "back": "//elsewhere.example"}).headers["location"] == "/"
    assert other.submit("/language", {"language": "fr"}).status_code == 400


def test_the_event_stream_brings_tiles_and_ends_with_the_session(world: World) -> None:
    watcher = world.someone()
    watcher.sign_in("auditor-only")
    with watcher.stream("GET", "/events?view=wall&tiles=4", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        seen = ""
        while 'id="line-4"' not in seen:
            seen += next(lines)
        assert 'data-state="idle"' in seen and 'id="box-state"' in seen
        leaver = world.someone()
        leaver.cookies = watcher.cookies
        leaver.submit("/sign-out")
        assert any(line == "event: signed_out" for line in lines)


def test_the_key_starts_and_stops_a_recording(world: World) -> None:
    assert world.administrator.submit("/lines/2/key", {"on": "1"}, **{"HX-Request": "true"}).status_code == 204

    def recording() -> bool:
        return bool(re.search(r'data-line="2"[^>]* data-recording="1"', world.first.get("/lines").text))

    wait_for("line 2 to be recorded", recording)
    world.administrator.submit("/lines/2/key", {"on": "0"})
    wait_for("line 2 to be idle", lambda: not recording())
    assert world.first.submit("/lines/77/key", {"on": "1"}).status_code in (400, 404, 409)


def test_whoever_may_not_hear_sees_no_number() -> None:
    from firmware.wire import LineSnapshot
    from recorder.access import Person, Role
    from web_admin.box import Visitor
    from web_admin.routes.lines import shown_number

    visitor = Visitor("", None, None, "en")
    line = LineSnapshot(
        line=1,
        name="",
        card="sim0",
        simulated=True,
        enabled=True,
        state="talking",
        since_utc_ns=0,
        number="13800138000",
    )
    assert shown_number(line, visitor) is None
    visitor.person = Person(name="li", password_hash="", roles=(Role.AUDITOR,))
    assert shown_number(line, visitor) == "13800138000"


def test_live_listening_is_pcm_and_is_journalled(world: World) -> None:
    with world.auditor.stream("GET", "/lines/1/listen") as stream:
        assert stream.status_code == 200
        heard = b""
        for piece in stream.iter_bytes():
            heard += piece
            if len(heard) >= 3200:
                break
    assert len(heard) >= 3200
    acts = [operation for operation in _operations(world.data) if operation[0] == "listen" and operation[2].get("live")]
    assert acts and acts[0][1] == "user:auditor-only" and acts[0][2]["line"] == 1


def _operations(data: Path) -> list[tuple[str, str, dict[str, object]]]:
    from recorder.catalogue import Catalogue

    catalogue = Catalogue.open_readonly(data)
    found = [(one.act, one.actor, one.detail) for one in catalogue.operations(None, 1000)]
    catalogue.close()
    return found


def test_the_system_page_shows_the_box(world: World) -> None:
    text = world.administrator.get("/system").text
    assert "Linekeep 0." in text and "sim0" in text and "of 4 lines" in text
    assert 'data-person="first"' in world.administrator.get("/system/people").text


def test_a_body_too_long_and_a_body_of_nonsense_are_refused(world: World) -> None:
    same = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    assert world.first.post("/language", content=b"x" * 300_000, headers=same).status_code == 413
    assert world.first.post("/language", content=b"\xff\xfe=%zz", headers=same).status_code in (400, 403)
    assert world.first.request("PUT", "/lines").status_code == 405


def test_with_the_daemon_down_the_page_goes_on_and_the_journal_hears_of_it(world: World) -> None:
    world.box.stop()
    wait_for("the page to notice", lambda: 'data-testid="daemon-down"' in world.first.get("/lines").text)
    row = world.rows[20]
    assert "Recorder not running" in world.auditor.get("/recordings").text
    assert handles(search(world.auditor, number="95588"))
    assert world.auditor.get(f"/recordings/{row.handle}/audio").status_code == 200
    assert world.auditor.get(f"/recordings/{row.handle}/download").status_code == 200
    spooled = sorted((world.data / "web" / "spool").glob("*.json"))
    assert len(spooled) == 3
    assert b'"act":"listen"' in spooled[1].read_bytes() and row.handle.encode() in spooled[1].read_bytes()
    refused = world.auditor.submit(f"/recordings/{row.handle}/note", {"text": "too late"})
    assert refused.status_code == 503 and "recorder is not running" in refused.text
    other = world.someone()
    assert other.sign_in("auditor-only").status_code == 303
    world.box.start()
    wait_for("the page to find it again", lambda: 'data-line="4"' in world.first.get("/lines").text)
    assert not list((world.data / "web" / "spool").glob("*.json"))
    journal = world.auditor.get(f"/recordings/{row.handle}").text
    assert "<span>heard</span>" in journal and "<span>exported</span>" in journal


def test_what_was_spooled_too_late_is_handed_over(world: World) -> None:
    """The daemon had looked already; the page brings it when it finds the daemon, once, with its own time."""
    handle = world.rows[21].handle
    actor = {"kind": "user", "name": "auditor-only"}
    folder = world.data / "web" / "spool"
    path = spool.keep(folder, 1_763_900_000 * 10**9, "listen", handle, {}, actor)
    # One that the daemon refuses comes first; it stays, and holds up neither the others nor the page.
    refused = spool.keep(folder, 1_763_800_000 * 10**9, "unheard of", handle, {}, actor)
    page, _ = start_page(world.data)
    wait_for("the page to hand it over", lambda: not path.exists())
    page.stop()
    refused.unlink()
    found = [operation for operation in _operations(world.data) if operation[2].get("spool") == path.stem[21:]]
    assert [(act, who, detail["utc_ns"]) for act, who, detail in found] == [
        ("listen", "user:auditor-only", 1_763_900_000 * 10**9)
    ]
    journal = world.auditor.get(f"/recordings/{handle}").text
    assert "23 Nov 2025 20:13:20" in journal


def test_the_page_stops_at_once_though_a_stream_is_open(world: World) -> None:
    page, base = start_page(world.data)
    watcher = Person(base)
    watcher.sign_in("auditor-only")
    with watcher.stream("GET", "/events?view=wall") as stream:
        next(stream.iter_lines())
        assert page.stop(signal.SIGTERM) == 0
    watcher.close()
