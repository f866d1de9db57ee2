"""What pages ask for beside Dash: the data of a search, packed and tagged, and nothing without the token."""

import gzip
import json
import sqlite3
from contextlib import closing

import pytest

from dashboards import data_routes
from dashboards.app import create_app
from dashboards.guard import guard
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims

SHOW = "..page.children...shown.data...refresh.interval.."
"""The callback that shows a page, as Dash names it."""


def test_data_is_sent_once_as_long_as_it_is_the_same(own_storage: str) -> None:
    browser = create_app(own_storage).server.test_client()
    for kind in ("frame", "history", "curves"):
        address = f"/data/search/demo/{kind}.json"
        answer = browser.get(address)
        assert answer.status_code == 200 and answer.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(answer.data))
        tag = answer.headers["ETag"]
        again = browser.get(address, headers={"If-None-Match": tag})
        assert again.status_code == 304 and again.data == b""
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        claims.finish(claim, TrialState.FAILED, error="x")
    assert browser.get(address, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/data/search/nope/frame.json", 404, "there is no search 'nope'"),
        ("/data/search/demo/secrets.json", 404, "there is no secrets"),
        ("/data/search/demo/trial/99/drawing.json", 404, "'demo' has no trial 99"),
        ("/data/search/demo/trial/99999999999999999999/drawing.json", 404, ".json: not found"),
        ("/data/search/demo/trial/6/image/99999999999999999999.png", 404, ".png: not found"),
        ("/data/nowhere", 404, "/data/nowhere: not found"),
        ("/data/search/%3Cscript%3E/frame.json", 404, "there is no search '<script>'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(storage: str, path: str, status: int, told: str) -> None:
    answer = create_app(storage).server.test_client().get(path)
    assert answer.status_code == status and answer.mimetype == "application/json"
    assert told in json.loads(answer.data)["error"]


def test_a_ledger_that_is_away_is_said(tmp_path, storage: str) -> None:
    browser = create_app(f"sqlite:///{tmp_path}/none.db").server.test_client()
    answer = browser.get("/data/search/demo/frame.json")
    assert answer.status_code == 503 and "there is no database at" in json.loads(answer.data)["error"]


def test_a_damaged_cell_is_named(own_storage: str) -> None:
    with closing(sqlite3.connect(own_storage.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE trials SET owner = 'zz' WHERE number = 1")
    answer = create_app(own_storage).server.test_client().get("/data/search/demo/frame.json")
    assert (
        answer.status_code == 503 and "demo/1: column 'owner' is damaged" in json.loads(answer.data)["error"]
    )


def test_what_nobody_foresaw_is_a_line_and_is_logged(
    storage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_architecture: str) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(data_routes, "parts_of", fail)
    answer = create_app(storage).server.test_client().get("/data/search/demo/trial/6/drawing.json")
    assert answer.status_code == 500
    assert json.loads(answer.data) == {"error": "ZeroDivisionError: two lines"}
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    "body",
    [{}, [], 0, "x", {"output": []}, {"output": "nope"}, {"output": SHOW, "inputs": 1}, {"output": SHOW}],
)
def test_a_call_of_no_page_is_refused_quietly(
    storage: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    answer = create_app(storage).server.test_client().post("/_dash-update-component", json=body)
    assert answer.status_code == 400 and "<" not in answer.text
    assert caplog.text == ""


def test_drawings_and_scripts(storage: str) -> None:
    browser = create_app(storage).server.test_client()
    parts = json.loads(browser.get("/data/search/demo/trial/6/drawing.json").data)
    assert [part["kind"] for part in parts] == ["conv", "separable", "shuffle", "pool, linear"]
    assert json.loads(browser.get("/data/search/demo/trial/25/drawing.json").data) == []
    with browser.get("/browser/explorer.js") as script:
        assert script.mimetype == "text/javascript"
    for path in ("/browser/__init__.py", "/assets/__init__.py"):
        with browser.get(path) as answer:
            assert answer.status_code == 404
    for path in ("/browser/../frame.py", "/browser/%2e%2e%2fframe.py", "/assets/../app.py"):
        with browser.get(path) as answer:
            assert answer.mimetype != "text/x-python" and b"frame_of" not in answer.data
    with browser.get("/plotly.min.js") as library:
        assert library.status_code == 200 and len(library.data) > 1e6


def test_all_of_it_asks_for_the_token(storage: str) -> None:
    app = create_app(storage)
    guard(app.server, "correct-horse-battery")
    browser = app.server.test_client()
    for path in (
        "/data/search/demo/frame.json",
        "/browser/explorer.js",
        "/plotly.min.js",
        "/assets/mount.js",
    ):
        assert browser.get(path).status_code == 401
