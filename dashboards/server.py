"""Serving the dashboard: the socket, the threaded WSGI server, and no line per request."""

import socket
from contextlib import closing
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dashboards.guard import is_loopback
from search_spaces.errors import BitnasError, InvalidInput, Parameter

PORT = Parameter("port")
MIN_TOKEN_LENGTH = 16  # characters; 16 random ones cannot be guessed over a network


class QuietHandler(WSGIRequestHandler):
    """Writes no line per request: an address may hold the token, and a page asks every few seconds."""

    protocol_version = "HTTP/1.1"  # keeps connections open between the many small files of a page

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def check_access(host: str, token: str | None) -> None:
    """Refuse to show the ledger to a network without a token.

    Raises:
        InvalidInput: ``host`` is not this machine and there is no token, or the token is short.
    """
    if token is not None and len(token) < MIN_TOKEN_LENGTH:
        fix = f"give at least {MIN_TOKEN_LENGTH} random characters"
        raise InvalidInput("token", f"{len(token)} characters can be guessed", fix)
    if token is None and not is_loopback(host):
        guarded = ("give ", Parameter("token"), " as well, or leave ", Parameter("host"), " at 127.0.0.1")
        raise InvalidInput("host", f"'{host}' can be reached from other machines", guarded)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        InvalidInput: ``host`` is not an address of this machine.
        BitnasError: the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InvalidInput("host", f"'{host}' is not an address", "give one of this machine's") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        problem = f": cannot listen on {host}:{port} ({error.strerror}); choose another "
        raise BitnasError(PORT, problem, PORT, " (0 takes any that is free)") from error
    return listener


def make(app: Any, listener: socket.socket) -> BaseWSGIServer:
    """A threaded server of the WSGI application ``app`` on ``listener``, which it takes over."""
    host, port = listener.getsockname()[:2]
    with closing(listener):  # the server works on a duplicate of its descriptor
        return make_server(host, port, app, threaded=True, request_handler=QuietHandler, fd=listener.fileno())


def address(server: BaseWSGIServer) -> str:
    """Where a browser finds ``server``."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{host}:{server.port}/"
