"""The dashboard in a real browser: points, clicks, the table, refresh, and that all of it is local."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import COMPLETE, CONFIG, propose
from tests.dashboards.conftest import Serve
from tests.dashboards.reader import POINTS, WHERE, Reader

RANGE = "document.querySelector('#front-plot')._fullLayout.xaxis.range"


@pytest.mark.usefixtures("layers")
def test_from_the_list_to_a_trial(reader: Reader, serve: Serve, storage: str) -> None:
    home, page = serve(storage), reader.page
    page.goto(home)
    page.get_by_role("link", name="demo").click()
    page.wait_for_url("**/search/demo")
    page.wait_for_selector(POINTS)
    assert page.locator(POINTS).count() >= len(COMPLETE)
    reader.click_point(6)
    page.wait_for_url("**/search/demo/trial/6")
    page.get_by_role("heading", name="Trial 6").wait_for()
    assert page.locator(".layers tbody tr").count() == 4
    page.wait_for_selector("#workloads .bars path")
    page.wait_for_selector("#training .scatterlayer path")
    page.go_back()
    page.wait_for_selector(POINTS)
    reader.click_point(16)  # an infeasible one: a tick below the plot
    page.wait_for_url("**/search/demo/trial/16")
    page.get_by_text("over a limit, so never trained").first.wait_for()
    assert reader.told == []
    assert [url for url in reader.asked if not url.startswith((home, "data:", "blob:"))] == []


def test_table_twin(reader: Reader, serve: Serve, storage: str) -> None:
    page = reader.page
    page.goto(serve(storage) + "search/demo")
    page.wait_for_selector("#trials .ag-row[row-index='0'] .ag-cell[col-id='epochs']")
    shown = CONFIG.trials - 2  # those that were proposed
    assert f"of {shown}" in page.locator("#trials .ag-paging-panel").inner_text()
    cells = page.locator("#trials .ag-row[row-index='0'] .ag-cell")
    told = cells.evaluate_all("all => all.map(cell => [cell.getAttribute('col-id'), cell.innerText])")
    assert dict(told) == {
        "link": "0",
        "state": "complete",
        "front": "yes",
        "accuracy": "91.2%",
        "latency": "0.041",
        "size": "3.1",
        "measured_latency": "0.044",
        "epochs": "3",
        "note": "",
    }
    for order in ("ascending", "descending"):
        sort_by_accuracy(page, order)
    page.locator("#trials .ag-row[row-index='0']", has_text="over the limit").wait_for()
    page.locator("#trials .ag-row[row-index='0'] .ag-cell", has_text="98.6%").click()
    page.wait_for_url("**/search/demo/trial/10")
    page.get_by_role("heading", name="Trial 10").wait_for()  # a step back before it is there may be undone
    page.get_by_text("over the limit, so never exported").wait_for()
    page.go_back()
    page.locator("#trials .ag-row[row-index='3']").get_by_role("link", name="3").click()
    page.wait_for_url("**/search/demo/trial/3")


def sort_by_accuracy(page: Page, order: str) -> None:
    """Click the header until it is so: a click is lost where it moves, as when the columns are sized."""
    header = page.locator("#trials .ag-header-cell", has_text="Accuracy")
    while header.get_attribute("aria-sort") != order:
        header.click()
        page.wait_for_timeout(500)


def test_a_running_search_refreshes_and_keeps_the_zoom(
    reader: Reader, serve: Serve, own_storage: str
) -> None:
    page = reader.page
    page.goto(serve(own_storage) + "search/demo")
    page.wait_for_selector(POINTS)
    page.evaluate("Plotly.relayout('front-plot', {'xaxis.range[0]': 0.1, 'xaxis.range[1]': 0.25})")
    zoomed = page.evaluate(RANGE)
    page.locator('input[type=number][data-limit="size"]').press_sequentially("3")  # half typed
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "demo", Worker.this_process())
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.15, 2.0)
        claims.finish(claim, TrialState.COMPLETE, accuracy=0.95)
    page.get_by_text("23 of 26 trials finished").wait_for()
    page.wait_for_function(f"({WHERE})({claim.trial.number}) !== undefined")
    page.locator("#trials .ag-row[row-index='24'] .ag-cell", has_text="95.0%").wait_for()
    assert page.evaluate(RANGE) == zoomed == [0.1, 0.25]
    assert page.evaluate("[document.activeElement.dataset.limit, document.activeElement.value]") == [
        "size",
        "3",
    ]
    assert "zoom=0.1" in page.url
    assert reader.told == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("search/nope", "there is no search 'nope'"),
        ("search/empty", "No trial has a value to draw yet."),
    ],
)
def test_nothing_to_show_is_a_clear_page(
    reader: Reader, serve: Serve, storage: str, path: str, told: str
) -> None:
    reader.page.goto(serve(storage) + path)
    reader.page.get_by_text(told).wait_for()
    assert "Traceback" not in reader.page.content()
    # the data of a search is asked for before the page has said that there is none
    assert [line for line in reader.told if "404 (NOT FOUND)" not in line] == []


def test_plot_file_opens_without_a_network(reader: Reader, storage: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nas.cli.main import cli

    target = tmp_path / "front.html"
    assert (
        CliRunner().invoke(cli, ["pareto", "demo", "--plot", str(target), "--storage", storage]).exit_code
        == 0
    )
    reader.page.goto(target.as_uri())
    reader.page.wait_for_selector(".scatterlayer .trace .points path")
    assert reader.page.title() == "demo: accuracy against latency"
    assert [url for url in reader.asked if not re.match("file:|data:|blob:", url)] == []
    assert reader.told == []
