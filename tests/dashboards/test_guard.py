"""Who is let in: tokens, cookies, the Host header, and which addresses may be listened on."""

import re
import socket
from contextlib import closing
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboards.guard import COOKIE, guard
from dashboards.server import bind, check_access
from search_spaces.errors import BitnasError, InvalidInput

TOKEN = "correct-horse-battery"


def client(token: str | None) -> FlaskClient:
    """A browser in front of a guarded page."""
    server = Flask("test")
    server.add_url_rule("/", "home", lambda: "inside")
    server.add_url_rule("/<path:rest>", "rest", lambda rest: "inside", methods=["GET", "POST"])
    guard(server, token)
    return server.test_client()


@pytest.mark.parametrize("host", ["localhost", "localhost:8050", "127.0.0.1:1", "[::1]:8050", "127.0.0.5"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert client(None).get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "localhost.evil.example", "10.0.0.1", "[", ""]
)
def test_a_name_pointed_at_this_machine_is_refused(host: str) -> None:
    assert client(None).get("/", headers={"Host": host}).status_code in (400, 403)
    assert client(None).get("/", environ_overrides={"HTTP_HOST": host}).status_code in (400, 403)


def test_every_request_needs_the_token() -> None:
    browser = client(TOKEN)
    for path in ("/", "/search/demo", "/_dash-component-suites/x.js", "/?token=", "/?token=wrong"):
        answer = browser.get(path)
        assert answer.status_code == 401
        assert b"inside" not in answer.data
    assert browser.post("/_dash-update-component").status_code == 401


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer", 401),
        ("Bearer \xff", 401),
    ],
)
def test_bearer(header: str, status: int) -> None:
    assert client(TOKEN).get("/", headers={"Authorization": header}).status_code == status


def logged_in(browser: FlaskClient, token: str, then: str = "/") -> TestResponse:
    """What the form with the token gives."""
    return browser.post("/login", data={"token": token, "next": then})


def test_a_person_is_asked_by_a_form_and_gets_a_cookie() -> None:
    browser = client(TOKEN)
    asked = browser.get('/search/demo?a=1&b="><script>', headers={"Accept": "text/html"})
    assert asked.status_code == 401
    assert b'<form method="post" action="/login">' in asked.data
    assert b"<script>" not in asked.data and TOKEN.encode() not in asked.data
    wrong = browser.post("/login", data={"token": "wrong"}, headers={"Accept": "text/html"})
    assert wrong.status_code == 401 and b"That is not the token" in wrong.data
    assert "Set-Cookie" not in wrong.headers
    answer = logged_in(browser, TOKEN, "/search/demo?a=1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/search/demo?a=1"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    assert browser.get("/search/demo").status_code == 200


def test_an_address_never_holds_the_token() -> None:
    browser = client(TOKEN)
    answer = browser.get(f"/?token={TOKEN}")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_large_form_is_not_read() -> None:
    assert client(TOKEN).post("/login", data={"token": "x" * 5000}).status_code == 413


def test_the_cookie_of_another_token_is_refused() -> None:
    other = client("another-token-of-mine")
    logged_in(other, "another-token-of-mine")
    stolen = other.get_cookie(COOKIE)
    assert stolen is not None
    browser = client(TOKEN)
    for value in (stolen.value, TOKEN, ""):
        browser.set_cookie(COOKIE, value)
        assert browser.get("/").status_code == 401


def test_the_redirect_stays_on_this_host() -> None:
    browser = client(TOKEN)
    starts = (
        "",
        "/",
        "//",
        "///",
        "\\",
        "/\\",
        "\\/",
        " //",
        "/ /",
        "https://",
        "https:",
        "javascript:",
        ".//",
        "/..//",
    )
    signs = "\t\n\r\0\x0b\x1f\x7f\x85\xa0\xad\u200b\u2028\u3000\ufeff\U000e0001"
    odd = [f"{start}evil.example/x?a=1" for start in starts]
    odd += [f"/{sign}/evil.example" for sign in signs] + [f"/{sign}\\evil.example" for sign in signs]
    odd += [
        "/\r\nX: y",
        "/x\r\n\r\n<script>",
        "é",
        "/%0d%0aX: y",
        "/%09/evil.example",
        "/%2f/evil.example",
        "%",
        "#",
    ]
    for then in odd:
        answer = logged_in(browser, TOKEN, then)
        location = answer.headers["Location"]
        assert answer.status_code == 303 and "X" not in answer.headers
        assert re.fullmatch(r"/(?![/\\])[!-~]*", location), (then, location)


def test_one_arrives_where_one_wanted_to() -> None:
    browser = client(TOKEN)
    for wanted in (
        "/search/demo?x=latency&y=size%20kB",
        "/search/%C3%BCbung%201/trial/2",
        "/compare?search=a%26b",
    ):
        asked = browser.get(wanted, headers={"Accept": "text/html"})
        (then,) = re.findall('name="next" value="([^"]*)"', asked.text)
        assert logged_in(browser, TOKEN, unescape(then)).headers["Location"] == wanted
        browser.delete_cookie(COOKIE)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_other_web_pages_are_refused(token: str | None) -> None:
    browser = client(token)
    held = {"Authorization": f"Bearer {TOKEN}"}
    for origin in ("https://evil.example", "null", "http://localhost:1", "http://["):
        assert browser.post("/x", headers={**held, "Origin": origin}).status_code == 403
    assert browser.post("/x", headers={**held, "Origin": "http://localhost"}).status_code == 200


def test_every_answer_is_hardened() -> None:
    for answer in (client(None).get("/"), client(TOKEN).get("/")):
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "http" not in policy and "'unsafe-inline'" not in policy.split("style-src")[0]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"^host: "):
        check_access(host, None)
    check_access(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_none(host: str) -> None:
    check_access(host, None)


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match=r"^token: "):
        check_access("127.0.0.1", token)


def test_a_port_that_is_taken() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(BitnasError, match=f"^port: cannot listen on 127.0.0.1:{port}"):
            bind("127.0.0.1", port)


def test_an_address_that_is_none() -> None:
    with pytest.raises(InvalidInput, match=r"^host: "):
        bind("no such host", 0)
