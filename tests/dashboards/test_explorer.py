"""The linked views in a real browser: what is limited or selected in one is so in all, and in the address."""

import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from nas.analysis import search_data
from nas.cli.main import cli
from nas.export.trials import candidates
from nas.ledger import Ledger, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.ledger.front import non_dominated
from nas.ledger.records import TrialRecord
from tests.cli.filled_ledger import CONFIG, architecture_json
from tests.dashboards.conftest import Serve
from tests.dashboards.reader import POINTS, Reader

COUNT = ".bitnas-count"
BEST = ".bitnas-best p"
ROWS = "#trials .ag-paging-row-summary-panel"


def opened(reader: Reader, address: str) -> Any:
    """The page, once its front is drawn."""
    reader.page.goto(address)
    reader.page.wait_for_selector(POINTS)
    return reader.page


def rows_are(page: Any, count: int) -> None:
    """Wait until the table has so many."""
    told = f"document.querySelector('{ROWS}').innerText.replace(/\\s+/g, ' ')"
    page.wait_for_function(f"{told}.includes('of {count:,}')")


def test_a_limit_fades_elsewhere_names_the_best_and_can_be_shared(
    reader: Reader, serve: Serve, storage: str, browser: Any
) -> None:
    page = opened(reader, serve(storage) + "search/demo")
    assert page.locator(COUNT).inner_text() == "24 trials"
    merits = page.locator(".bitnas-merits").inner_text()
    assert "Most accurate\n98.1%\ntrial 8: 98.1%, 0.221 ms, 24.8 kB" in merits, (
        "not 10, which is over the limit"
    )
    assert "no trial beats them in all objectives, 1 of them over the limit" in merits
    assert page.locator(BEST).inner_text().startswith("The best accuracy: trial 8, accuracy 98.1%"), (
        "10 is over the limit"
    )
    page.locator('input[type=number][data-limit="size"]').fill("10")
    page.keyboard.press("Tab")
    page.get_by_text("The best accuracy: trial 4, accuracy 96.3%").wait_for()
    assert "nas export demo --trial 4 --output winner/" in page.locator(".bitnas-command code").inner_text()
    assert page.locator(COUNT).inner_text() == "8 of 24 trials"
    rows_are(page, 8)
    page.wait_for_url("**/search/demo?limit.size=10")
    other = Reader(browser.new_page())
    shared = opened(other, page.url)
    assert shared.locator(BEST).inner_text() == page.locator(BEST).inner_text()
    assert float(shared.locator('input[type=number][data-limit="size"]').input_value()) == 10
    shared.close()
    page.get_by_role("button", name="Show all").click()
    page.get_by_text("The best accuracy: trial 8,").wait_for()
    assert page.locator('input[type=number][data-limit="size"]').input_value() == ""
    page.wait_for_url("**/search/demo")
    slider = page.locator('input[type=range][data-limit="latency"]')
    slider.focus()
    for _ in range(30):
        slider.press("PageDown")
    page.get_by_text("The best accuracy: trial 0, accuracy 91.2%").wait_for()  # the fastest of all
    page.locator('input[type=number][data-limit="accuracy"]').fill("99")
    page.keyboard.press("Tab")
    page.get_by_text("No complete trial is within these limits.").wait_for()
    assert reader.told == []


def test_a_selection_in_a_figure_is_one_in_all(reader: Reader, serve: Serve, storage: str) -> None:
    page = opened(reader, serve(storage) + "search/demo")
    (left, top), (right, bottom) = reader.point(4), reader.point(6)
    reader.drag((left - 8, min(top, bottom) - 25), (right + 8, max(top, bottom) + 25))
    page.wait_for_url("**/search/demo?selected=*")
    numbers = page.url.split("selected=")[1]
    assert "4" in numbers and "6" in numbers
    shown = int(page.locator(COUNT).inner_text().split(" of ")[0])
    assert 2 <= shown < 24
    rows_are(page, shown)
    assert reader.told == []


def test_axes_and_colours_are_chosen_and_kept(reader: Reader, serve: Serve, storage: str) -> None:
    page = opened(reader, serve(storage) + "search/demo?x=size&y=latency&colour=state&selected=1-3")
    assert page.locator("#front-plot .xtitle").text_content() == "Size (kB)"
    assert page.locator("#front-plot .ytitle").text_content() == "Predicted latency (ms)"
    assert page.locator(COUNT).inner_text() == "3 of 24 trials"
    page.locator('select[data-key="y"]').select_option("accuracy")
    page.wait_for_function("document.querySelector('#front-plot .ytitle').textContent === 'Accuracy'")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("pruned").uncheck()
    page.wait_for_url(re.compile(r"only\.state="))
    assert "x=size" in page.url and "colour=state" in page.url and "y=" not in page.url
    assert reader.told == []


def test_the_pointer_over_a_trial_shows_its_card_with_the_architecture(
    reader: Reader, serve: Serve, storage: str
) -> None:
    page = opened(reader, serve(storage) + "search/demo")
    page.mouse.move(*reader.point(8))
    card = page.locator(".bitnas-card")
    card.get_by_text("Trial 8, complete").wait_for()
    assert (
        "Measured on a disturbed machine" in card.inner_text().capitalize()
        or "disturbed" in card.inner_text()
    )
    card.locator("svg.bitnas-drawing rect").first.wait_for(state="attached")
    assert "separable" in card.locator("svg").get_attribute("aria-label")


def test_every_view_is_drawn_or_says_why_it_is_not(reader: Reader, serve: Serve, storage: str) -> None:
    page = opened(reader, serve(storage) + "search/demo")
    for name in ("parallel", "progress", "curves", "timeline"):
        page.locator(f"#{name}-plot").scroll_into_view_if_needed()
        page.locator(f"#{name}-plot .main-svg").first.wait_for(state="attached")
    for name in ("importance", "options"):
        page.locator(f"#{name}-plot").scroll_into_view_if_needed()
        page.locator(f"#{name}-plot .bitnas-empty").wait_for()
    rows_of_a_figure_are_a_table(page)
    page.locator('select[data-key="z"]').select_option("size")
    page.locator("#front-plot canvas").first.wait_for(state="attached")
    assert page.locator(".bitnas-view").count() == 8
    assert "This view failed" not in page.locator("#explorer").inner_text()
    assert reader.told == []


def rows_of_a_figure_are_a_table(page: Any) -> None:
    """The learning curves, as they are in the ledger, sorted and as a file."""
    view = page.locator("#view-curves")
    view.get_by_text("As a table").click()
    for _ in range(2):  # the largest first
        view.get_by_role("button", name="Accuracy").click()
    assert view.locator("tbody tr").first.inner_text().split("\t") == ["10", "3", "0.986"]
    view.get_by_label("Rows that hold").fill("0.31")
    with page.expect_download() as given:
        view.get_by_role("button", name="Download JSON").click()
    assert json.loads(given.value.path().read_text())[0] == {"Trial": 21, "Epoch": 1, "Accuracy": 0.31}


def test_by_keyboard_alone_in_the_dark(reader: Reader, serve: Serve, storage: str) -> None:
    reader.page.emulate_media(color_scheme="dark")
    page = opened(reader, serve(storage) + "search/demo")
    ink = "getComputedStyle(document.querySelector('#front-plot .xtick text')).fill"
    assert page.evaluate(ink) == "rgb(233, 236, 239)"

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"no way by keyboard to {selector}")

    tab_to('select[data-key="y"]')
    page.keyboard.type("Size")
    page.wait_for_function("document.querySelector('#front-plot .ytitle').textContent === 'Size (kB)'")
    tab_to('input[type=number][data-limit="size"]')
    page.keyboard.type("10")
    tab_to(".bitnas-best a")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator(BEST).inner_text().startswith("The best accuracy: trial 4,")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Trial 4").wait_for()
    assert reader.told == []


def test_an_empty_ledger_says_how_to_begin(reader: Reader, serve: Serve, tmp_path: Path) -> None:
    Ledger.open(f"sqlite:///{tmp_path}/nas.db", create=True).close()
    reader.page.goto(serve(f"sqlite:///{tmp_path}/nas.db"))
    reader.page.get_by_text("nas search").wait_for()
    assert reader.told == []


def test_many_trials_are_drawn_by_webgl_and_thinned(
    reader: Reader, serve: Serve, own_storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a smaller idea of many: ``benchmarks.dashboard`` looks at 10,000 trials."""
    monkeypatch.setattr(search_data, "MOST_CURVES", 5)
    page = opened(reader, serve(own_storage) + "search/demo")
    page.evaluate("bitnas.MANY = 10")
    slider = page.locator('input[type=range][data-limit="size"]')
    slider.press("Home")
    page.get_by_text(re.compile(r"^\d+ of 24 trials, drawn with WebGL")).wait_for()
    page.locator("#front-plot .gl-canvas").first.wait_for(state="attached")
    rows_are(page, int(page.locator(COUNT).inner_text().split(" of ")[0]))
    slider.press("End")
    page.get_by_text("24 trials, drawn with WebGL", exact=True).wait_for()
    for name, told in (
        ("curves", r"^Drawn for \d of \d+ trainings"),
        ("timeline", r"^\d+ trials, drawn with WebGL\.$"),
        ("parallel", r"Drawn for 10 of \d+ trials"),
    ):
        page.locator(f"#{name}-plot").scroll_into_view_if_needed()
        page.get_by_text(re.compile(told)).wait_for()
    assert reader.told == []


def test_a_ledger_that_goes_away_is_said_and_what_was_there_stays(
    reader: Reader, serve: Serve, own_storage: str
) -> None:
    page = opened(reader, serve(own_storage) + "search/demo")
    file = Path(own_storage.removeprefix("sqlite:///"))
    away = file.rename(file.with_suffix(".away"))
    page.get_by_text("What you see may be old").first.wait_for()
    page.get_by_text("The page may be old").wait_for()
    assert page.locator(POINTS).count() > 0
    away.rename(file)
    page.get_by_text("The page may be old").wait_for(state="detached")


HOSTILE = '<b>bold</b><a href="https://evil.example">click</a>'


def test_ties_go_to_the_one_that_export_chooses_and_names_are_inert(
    reader: Reader, serve: Serve, own_storage: str
) -> None:
    found = [
        (0.9, 0.2, 9.0, "plain"),
        (0.9, 0.1, 8.0, HOSTILE),
        (0.7, 0.05, 5.0, "plain"),
        (0.8, 0.1, 6.0, HOSTILE),
    ]
    with Ledger.open(own_storage) as ledger:
        ledger.create_search("odd", replace(CONFIG, trials=len(found)))
        claims = Claims(ledger, "odd", Worker(HOSTILE, "", 1, 1))
        for accuracy, latency, size, option in found:
            claim = claims.claim()
            assert claim is not None
            digest = f"{claim.trial.number:064d}"
            claims.propose(claim, choices={HOSTILE: option}, architecture=architecture_json(0), digest=digest)
            claims.record_cost(claim, Cost(latency, size, []))
            claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
        assert candidates(ledger, "odd", {}, None)[0].number == 1
    page = opened(reader, serve(own_storage) + "search/odd")
    page.get_by_text("The best accuracy: trial 1,").wait_for()
    for name in ("parallel", "importance", "options", "timeline"):
        page.locator(f"#{name}-plot").scroll_into_view_if_needed()
        page.locator(f"#{name}-plot text", has_text="<b>").first.wait_for()
    assert page.locator('a[href*="evil"]').count() == 0
    view = page.locator("#view-importance")
    view.get_by_text("As a table").click()
    assert HOSTILE in view.locator("tbody").inner_text()
    assert reader.told == []


def test_a_search_whose_trials_all_failed_is_shown(reader: Reader, serve: Serve, own_storage: str) -> None:
    with Ledger.open(own_storage) as ledger:
        claims = Claims(ledger, "empty", Worker.this_process())
        while claim := claims.claim():
            claims.finish(claim, TrialState.FAILED, error='<img src=x onerror="alert(1)">=1+1')
    page = reader.page
    page.goto(serve(own_storage) + "search/empty")
    page.get_by_text("No trial has a value to draw yet.").wait_for()
    page.get_by_text("2 of 2 trials finished").wait_for()
    assert reader.told == []


def test_a_report_opens_without_a_network(reader: Reader, storage: str, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    told = CliRunner().invoke(cli, ["report", "demo", "-o", str(target), "--storage", storage])
    assert told.exit_code == 0, told.output
    assert target.stat().st_size < 3e6
    page = opened(reader, target.as_uri())
    page.locator('input[type=number][data-limit="size"]').fill("10")
    page.keyboard.press("Tab")
    page.get_by_text("The best accuracy: trial 4").wait_for()
    page.get_by_text("8 of 8 rows").wait_for()
    assert page.locator(".bitnas-compare").is_hidden(), "a file has no page that compares"
    page.locator(BEST).get_by_role("link", name="trial 4").click()
    page.locator("dialog svg.bitnas-architecture").wait_for()
    page.get_by_role("button", name="Close").click()
    page.locator("dialog").wait_for(state="hidden")
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download JSON").click()
    rows = json.loads(Path(waited.value.path()).read_text())
    assert len(rows) == 8 and all(row["size"] <= 10 for row in rows)
    assert [url for url in reader.asked if not re.match("file:|data:|blob:", url)] == []
    assert reader.told == []


def test_fronts_in_the_browser_are_those_of_the_ledger(reader: Reader, serve: Serve, storage: str) -> None:
    page = opened(reader, serve(storage) + "search/demo")
    random = Random(7)
    for count, steps in ((0, 4), (1, 4), (60, 6), (200, 1000)):  # with few steps there are ties
        draws = iter([random.randrange(steps) / steps for _ in range(3 * count)])
        trials = [
            TrialRecord(
                "x", n, TrialState.COMPLETE, accuracy=next(draws), latency_ms=next(draws), size_kb=next(draws)
            )
            for n in range(count)
        ]
        for names in (["accuracy", "latency"], ["latency", "size"], ["accuracy", "latency", "size"]):
            axes = [{"name": name, "isMaximized": name == "accuracy"} for name in names]
            columns = {
                "number": [t.number for t in trials],
                "state": ["complete"] * count,
                "accuracy": [t.accuracy for t in trials],
                "latency": [t.latency_ms for t in trials],
                "size": [t.size_kb for t in trials],
            }
            frame = {"axes": axes, "columns": columns, "choices": []}
            script = (
                "([frame, names]) => new bitnas.Columns(frame).front(names, [...frame.columns.number.keys()])"
            )
            found = page.evaluate(script, [frame, names])
            assert sorted(found) == sorted(t.number for t in non_dominated(trials, names))


def test_formulas_are_text_in_a_download(reader: Reader, serve: Serve, storage: str) -> None:
    page = reader.page
    page.goto(serve(storage))
    cells = {"=1+1": "'=1+1", "@x": "'@x", 'a"b,c': '"a""b,c"', "-1": "'-1", "plain": "plain"}
    for value, told in cells.items():
        assert page.evaluate("value => bitnas.csvOf([{ note: value }])", value) == f"note\r\n{told}"
