"""The dashboard in a real browser: points, clicks, the table, refresh, and that all of it is local."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from tests.cli.filled_ledger import COMPLETE, CONFIG, propose
from tests.dashboards.conftest import Serve

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")

POINTS = "#view-front .scatterlayer .trace .points path"
# Centre on the screen of the point of the Pareto figure whose customdata is the given number.
WHERE = """number => {
  const plot = document.querySelector('#view-front .js-plotly-plot');
  for (const trace of plot._fullData) {
    const i = (trace.customdata || []).indexOf(number);
    if (i < 0) continue;
    const x = plot._fullLayout.xaxis, y = plot._fullLayout[trace.yaxis === 'y2' ? 'yaxis2' : 'yaxis'];
    const box = plot.getBoundingClientRect();
    return [box.x + x._offset + x.d2p(trace.x[i]), box.y + y._offset + y.d2p(trace.y[i])];
  }
}"""
RANGE = "document.querySelector('#view-front .js-plotly-plot')._fullLayout.xaxis.range"


class Reader:
    """A page that remembers what it was told and what it asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.told: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.told.append(message.text))
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def click_point(self, number: int) -> None:
        """Click the point of trial ``number``."""
        self.page.wait_for_selector(POINTS)
        self.page.locator("#view-front").scroll_into_view_if_needed()
        x, y = self.page.evaluate(WHERE, number)
        self.page.mouse.move(x, y)
        self.page.mouse.click(x, y)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def reader(browser: Any) -> Iterator[Reader]:
    """A page of its own."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    yield Reader(page)
    page.close()


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
    page.wait_for_selector("#trials .ag-row")
    shown = CONFIG.trials - 2  # those that were proposed
    assert f"of {shown}" in page.locator("#trials .ag-paging-panel").inner_text()
    first = page.locator("#trials .ag-row[row-index='0'] .ag-cell").all_inner_texts()
    assert first == ["0", "complete", "yes", "91.2%", "0.041", "3.1", "0.044", "3", "00ababababab", ""]
    page.locator("#trials .ag-header-cell", has_text="Accuracy").click()
    page.locator("#trials .ag-header-cell", has_text="Accuracy").click()
    assert "over the limit" in page.locator("#trials .ag-row[row-index='0']").inner_text()
    page.locator("#trials .ag-row[row-index='0'] .ag-cell", has_text="98.6%").click()
    page.wait_for_url("**/search/demo/trial/10")
    page.get_by_role("heading", name="Trial 10").wait_for()  # a step back before it is there may be undone
    page.get_by_text("over the limit, so never exported").wait_for()
    page.go_back()
    page.locator("#trials .ag-row[row-index='3']").get_by_role("link", name="3").click()
    page.wait_for_url("**/search/demo/trial/3")


def test_a_running_search_refreshes_and_keeps_the_zoom(
    reader: Reader, serve: Serve, own_storage: str
) -> None:
    page = reader.page
    page.goto(serve(own_storage) + "search/demo")
    page.wait_for_selector(POINTS)
    page.evaluate("Plotly.relayout('front-plot', {'xaxis.range[0]': 0.1, 'xaxis.range[1]': 0.25})")
    zoomed = page.evaluate(RANGE)
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
    assert "zoom=0.1" in page.url
    assert reader.told == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("search/nope", "there is no search 'nope'"),
        ("search/demo/trial/99", "'demo' has no trial 99"),
        ("nowhere", "Nothing lives at /nowhere"),
        ("search/empty", "No trial has a value to draw yet."),
        ("search/demo/trial/25", "No architecture has been chosen yet"),
    ],
)
def test_nothing_to_show_is_a_clear_page(
    reader: Reader, serve: Serve, storage: str, path: str, told: str
) -> None:
    reader.page.goto(serve(storage) + path)
    reader.page.get_by_text(told).wait_for()
    assert "Traceback" not in reader.page.content()
    assert reader.told == []


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
