"""Who may read the dashboard: anyone on this machine, or who holds the token; and what browsers may do."""

import hmac
import ipaddress
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Flask, Response, redirect, request

COOKIE = "bitnas_dashboard"
LOGIN = "/login"
IN_ADDRESSES = "/?&=%+,:;@!$'()*~"
"""Signs that an address may have as they are."""
LONGEST_FORM = 4096
"""Bytes of a form with a token."""
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # An address says what is searched. With "no-referrer" a form would come from the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ALLOWED = {
    "default-src": "'self'",
    # Plotly compiles what draws with WebGL; without 'unsafe-eval' large searches have no figures.
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",  # plotly and the components set styles on elements
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""The content security policy: nothing from elsewhere, no script within a page but those given by hash."""
FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>bitnas: token</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ display: grid; place-items: center; min-height: 90vh; }}
form {{ display: grid; gap: 0.8rem; width: 20rem; }}
input, button {{ font: inherit; padding: 0.5rem; }}</style></head>
<body><form method="post" action="{login}"><h1>bitnas</h1>
<p>{told}</p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{then}"><button>Open the dashboard</button></form></body></html>
"""


def guard(server: Flask, token: str | None, scripts: Sequence[str] = ()) -> None:
    """Let through only requests that hold ``token``; without one, only those addressed to this machine.

    A request holds the token as ``Authorization: Bearer TOKEN`` or in the cookie that the form with the
    token sets; never in an address, which ends up in histories and logs. Without a token the Host header is
    checked, so that no web page elsewhere can reach the dashboard by pointing a name of its own at 127.0.0.1.
    What another web page sends (Origin) is refused with a token and without.

    Args:
        server: what answers.
        token: None serves this machine only.
        scripts: hashes of the scripts within the pages, as a content security policy names them.
    """
    policy = "; ".join(f"{name} {allowed}" for name, allowed in ALLOWED.items())
    policy = policy.replace("script-src", " ".join(["script-src", *scripts]))

    def check() -> Response | None:
        if not _is_own(request.headers.get("Origin")):
            return _refuse(403, "This dashboard answers no other web page.")
        if token is None:
            is_here = _is_local(request.headers.get("Host", ""))
            return None if is_here else _refuse(403, "This dashboard is served to this machine only.")
        if request.path == LOGIN and request.method == "POST":
            return _logged_in(token)
        if _same(request.cookies.get(COOKIE), _seal(token)) or _same(_bearer(), token):
            return None
        return _ask(_asked_for(), "This dashboard asks for its token.")

    def harden(response: Response) -> Any:
        response.headers.update(SECURITY_HEADERS)
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    server.before_request(check)
    server.after_request(harden)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _logged_in(token: str) -> Response:
    """Set the cookie and go on to the page that was asked for; ask again where the token is wrong."""
    if (request.content_length or LONGEST_FORM) >= LONGEST_FORM:
        return _refuse(413, "A form with a token is smaller.")
    then = request.form.get("next", "/")
    if not _same(request.form.get("token"), token):
        return _ask(then, "That is not the token of this dashboard.")
    response = redirect(_on_this_host(then), 303)
    response.set_cookie(COOKIE, _seal(token), httponly=True, samesite="Lax", secure=request.is_secure)
    return response  # type: ignore[return-value]  # Flask's is a union


def _asked_for() -> str:
    """The address of a request, from its path on."""
    query = request.query_string.decode(errors="replace")
    return quote(request.path) + (f"?{query}" if query else "")


def _on_this_host(address: str) -> str:
    """The same page, by an address that leads to no other host and has nothing that a header cannot hold."""
    if not address.isprintable():  # browsers leave out tabs and line ends, and find two slashes
        return "/"
    return "/" + quote(address.replace("\\", "/").lstrip("/ "), safe=IN_ADDRESSES)


def _ask(then: str, told: str) -> Response:
    """A form for the token where a person asks, one line for programs."""
    if not request.accept_mimetypes.accept_html or "text/html" not in str(request.accept_mimetypes):
        return _refuse(401, f"{told} Send it as 'Authorization: Bearer TOKEN'.")
    form = FORM.format(login=LOGIN, told=escape(told), then=escape(then, quote=True))
    return Response(form, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/html")


def _bearer() -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _seal(token: str) -> str:
    """What the cookie holds: it opens the dashboard and does not tell the token."""
    return hmac.new(token.encode(), b"bitnas dashboard cookie", "sha256").hexdigest()


def _same(given: str | None, expected: str) -> bool:
    """Compare in a time that does not tell how much of a guess was right."""
    return given is not None and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _is_own(origin: str | None) -> bool:
    """Whether a request comes from a page of this dashboard, or from no page at all."""
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.host.lower()
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _refuse(status: int, reason: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(f"{reason}\n", status, headers, mimetype="text/plain")
