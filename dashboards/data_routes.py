"""What pages ask for beside Dash: a search's trials, a trial's architecture, scripts. Nothing is written."""

from collections.abc import Collection
from pathlib import Path

from flask import Flask, Response, abort, request, send_file, send_from_directory

from dashboards.failures import as_json
from dashboards.frames import KINDS, Frames
from dashboards.routes import NUMBER
from dashboards.trial_errors import IMAGE
from nas.analysis.images import png_of
from nas.figures.browser import FOLDER, SCRIPTS, STYLE
from nas.figures.drawing import parts_of
from nas.formatting import counted
from nas.ledger import Ledger
from nas.ledger.predictions import predictions_of
from search_spaces.errors import InvalidInput

PLOTLY = "/plotly.min.js"
BROWSER = "/browser"
"""Where the scripts of the linked views are."""
A_DAY_S = 86_400


def serve_only(server: Flask, under: str, addresses: Collection[str]) -> None:
    """Have the server answer no address that begins with ``under``, but these."""

    def check() -> None:
        if request.path.startswith(under) and request.path not in addresses:
            abort(404)

    server.before_request(check)


def add_data_routes(server: Flask, storage: str, frames: Frames) -> None:
    """Have the server answer them; ``guard`` stands before it."""

    def data(name: str, kind: str) -> Response:
        if kind not in KINDS:
            return as_json({"error": f"there is no {kind}"}, 404)
        tag, body = frames.packed(name, kind)
        response = Response(body, mimetype="application/json", headers={"Content-Encoding": "gzip"})
        response.set_etag(tag)
        response.headers["Cache-Control"] = "no-cache"  # ask, and say what you have
        response.make_conditional(request)
        return response

    def drawing(name: str, number: int) -> Response:
        with Ledger.open(storage, read_only=True) as ledger:
            trial = ledger.trial(name, number)
        parts = parts_of(trial.architecture) if trial.architecture else []
        return as_json([part._asdict() for part in parts])

    def picture(name: str, number: int, place: int) -> Response:
        with Ledger.open(storage, read_only=True) as ledger:
            search, found = ledger.search(name), predictions_of(ledger, name, number)
        worst = () if found is None else found.worst
        if place >= len(worst):
            problem = f"trial {number} has no image {place}"
            raise InvalidInput("image", problem, f"it has {counted(len(worst), 'image')}, from 0 on")
        response = Response(png_of(search, worst[place]), mimetype="image/png")
        response.add_etag()
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response

    def plotly() -> Response:
        import plotly as package

        file = Path(package.__file__).parent / "package_data" / "plotly.min.js"
        return send_file(file, mimetype="text/javascript", max_age=A_DAY_S)

    def browser(name: str) -> Response:
        if name not in (*SCRIPTS, STYLE):
            abort(404)
        return send_from_directory(FOLDER, name, max_age=0)

    def nothing(**_: str) -> Response:
        abort(404)  # else Dash would answer with a page

    server.add_url_rule(f"{BROWSER}/<name>", view_func=browser)
    server.add_url_rule("/data/search/<name>/<kind>.json", view_func=data)
    server.add_url_rule(f"/data/search/<name>/trial/<{NUMBER}:number>/drawing.json", view_func=drawing)
    server.add_url_rule(IMAGE, view_func=picture)
    server.add_url_rule(PLOTLY, view_func=plotly)
    server.add_url_rule("/data/<path:rest>", view_func=nothing)
