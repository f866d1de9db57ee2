"""What is answered where a request fails: one line, as JSON where data was asked for, and no traceback."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from dashboards.views import log
from search_spaces.errors import BitnasError, InvalidInput

DATA = "/data/"
CALLBACKS = "/_dash-update-component"


def answer_failures(server: Flask, callbacks: Mapping[str, Any]) -> None:
    """Have the server answer them.

    Args:
        server: what answers.
        callbacks: those of Dash, by their outputs.
    """

    def failed(error: Exception) -> Any:
        is_data = request.path.startswith(DATA)
        if isinstance(error, HTTPException) and not is_data:
            return error
        status, told = _explained(error, callbacks)
        return as_json({"error": told}, status) if is_data else _line(told, status)

    server.register_error_handler(Exception, failed)


def as_json(told: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(json.dumps(told), status, mimetype="application/json")


def _line(told: str, status: int) -> Response:
    return Response(f"{told}\n", status, mimetype="text/plain")


def _explained(error: Exception, callbacks: Mapping[str, Any]) -> tuple[int, str]:
    """The status, and what is wrong; what nobody foresaw goes to the log in full."""
    if isinstance(error, HTTPException):
        return error.code or 500, f"{request.path}: {error.name.lower()}"
    if isinstance(error, BitnasError):
        return 404 if isinstance(error, InvalidInput) else 503, str(error)
    if request.path == CALLBACKS and not _is_call(request.get_json(silent=True), callbacks):
        return 400, "This is no call that a page of this dashboard makes."
    log.error("%s failed", request.path, exc_info=error)
    return 500, f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_call(body: object, callbacks: Mapping[str, Any]) -> bool:
    """Whether a callback is called with what it takes."""
    if not isinstance(body, dict) or not isinstance(output := body.get("output"), str):
        return False
    called = callbacks.get(output)
    return called is not None and all(
        _places(body.get(kind, [])) == _places(called[kind]) for kind in ("inputs", "state")
    )


def _places(given: object) -> list[tuple[object, object]] | None:
    """The components and properties of a list of them; None where it is no such list."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        return None
    return [(each.get("id"), each.get("property")) for each in given]
