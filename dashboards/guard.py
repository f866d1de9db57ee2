"""Who may read the dashboard: anyone on this machine, or whoever holds the token."""

import hmac
import ipaddress
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, redirect, request

COOKIE = "bitnas_dashboard"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address may hold the token
}


def guard(server: Flask, token: str | None) -> None:
    """Let through only requests that hold ``token``; without one, only those addressed to this machine.

    A request holds the token as ``Authorization: Bearer TOKEN`` or in the cookie that opening an address
    with ``?token=TOKEN`` sets. Without a token the Host header is checked, so that no web page elsewhere
    can reach the dashboard by pointing a name of its own at 127.0.0.1.
    """

    def check() -> Response | None:
        if token is None:
            return (
                None
                if _is_local(request.host)
                else _refuse(403, "This dashboard is served to this machine only.")
            )
        if _same(request.args.get("token"), token):
            return _remember(token)
        if _same(request.cookies.get(COOKIE), _seal(token)) or _same(_bearer(), token):
            return None
        return _refuse(401, "This dashboard asks for its token: open the address with ?token=TOKEN once.")

    server.before_request(check)
    server.after_request(_harden)


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _remember(token: str) -> Response:
    """Set the cookie and go to the same address without the token, so that it stays out of bookmarks."""
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
    # The path alone, with one slash at its start, so that no request can be sent on to another host.
    address = "/" + request.path.lstrip("/") + (f"?{urlencode(rest)}" if rest else "")
    response = redirect(address)
    response.set_cookie(COOKIE, _seal(token), httponly=True, samesite="Lax", secure=request.is_secure)
    return response  # type: ignore[return-value]  # Flask's is a union


def _bearer() -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _seal(token: str) -> str:
    """What the cookie holds: it opens the dashboard and does not tell the token."""
    return hmac.new(token.encode(), b"bitnas dashboard cookie", "sha256").hexdigest()


def _same(given: str | None, expected: str) -> bool:
    """Compare in a time that does not tell how much of a guess was right."""
    return given is not None and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _is_local(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _refuse(status: int, reason: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(f"{reason}\n", status, headers, mimetype="text/plain")


def _harden(response: Response) -> Any:
    response.headers.update(SECURITY_HEADERS)
    return response
