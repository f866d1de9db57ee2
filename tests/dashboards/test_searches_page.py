"""The list of searches and their comparison: each value against one that is computed in another way."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import render
from dashboards.page_searches import compare_button, data_of
from dashboards.routes import searches_compared_path
from nas.analysis.pareto import pareto_of
from nas.analysis.searches_compared import Comparison
from nas.analysis.searches_data import SearchesData, SearchRow, SearchState
from nas.cli.main import cli
from nas.figures.searches import MOST_POINTS, thinned
from nas.hints import command
from nas.ledger import EpochRecord, Ledger, TrialRecord, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.roster import Roster
from nas.objectives import objectives
from nas.objectives.macs import Macs
from nas.result import Result
from nas.steps.beginning import Command, begin
from search_spaces.errors import InvalidInput
from tests.cli.filled_ledger import CONFIG, FRONT, propose
from tests.dashboards.conftest import Serve
from tests.dashboards.reader import Reader

ONE, OTHER, LONE = "one", "other", "lone"
TRIALS, COMPLETE, EPOCHS = 12, 10, 3
ELSEWHERE = Worker("elsewhere", "", 7, 1)
"""A worker of another machine, of which nobody here knows whether it lives."""


def searched(ledger: Ledger, name: str, seed: int, **settings: Any) -> Claims:
    """A search of which two trials are left."""
    config = replace(CONFIG, trials=TRIALS, seed=seed, max_latency_ms=None, **settings)
    ledger.create_search(name, config)
    claims, generator = Claims(ledger, name, ELSEWHERE), Random(seed)
    for _ in range(COMPLETE):
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, generator.uniform(0.05, 0.4), generator.uniform(2, 40))
        for epoch in range(1, EPOCHS + 1):
            claims.record_epoch(claim, EpochRecord(epoch, 1.0, 0.5, 1.0))
        claims.finish(claim, TrialState.COMPLETE, accuracy=generator.uniform(0.7, 0.99))
    return claims


@pytest.fixture(scope="module")
def compared_storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two searches that differ in device and seed, and one without a complete trial; tests only read it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('compared') / 'nas.db'}"
    with Ledger.open(url, create=True) as ledger:
        searched(ledger, ONE, seed=1)
        searched(ledger, OTHER, seed=2, device="pi")
        ledger.create_search(LONE, replace(CONFIG, trials=1))
    return url


@pytest.fixture
def ledger(own_storage: str) -> Iterator[Ledger]:
    """The filled ledger, which the test may change."""
    with Ledger.open(own_storage) as ledger:
        yield ledger


def row(ledger: Ledger, name: str, now: datetime | None = None) -> SearchRow:
    """A search as the list shows it, by what is kept of the ledger."""
    return next(row for row in data_of(ledger).rows(ledger, now) if row.record.name == name)


def text(storage: str, path: str, query: str = "") -> str:
    """A page as the JSON that goes to the browser."""
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(render(storage, path, query)[0])))


def test_a_row_tells_what_all_trials_tell(ledger: Ledger) -> None:
    found, trials = row(ledger, "demo"), ledger.trials("demo")
    within = [t for t in trials if t.accuracy is not None and not CONFIG.breaks_limit(t)]
    best = max(within, key=lambda t: t.accuracy or 0)
    assert found.best is not None
    assert (found.best.of.name, found.best.number, found.best.value) == (
        "accuracy",
        best.number,
        best.accuracy,
    )
    assert found.front == len(ledger.front("demo")) > FRONT
    whole = pareto_of(trials, CONFIG).hypervolume
    assert whole is not None and found.hypervolume == pytest.approx(whole.share)
    assert found.finished == sum(t.state.finished for t in trials) == 22
    empty = row(ledger, "empty")
    assert (empty.best, empty.front, empty.hypervolume, empty.rate, empty.left_s) == (
        None,
        0,
        None,
        None,
        None,
    )
    assert empty.state is SearchState.NOT_BEGUN


def test_the_best_is_of_the_first_objective_that_takes_training(ledger: Ledger) -> None:
    ledger.create_search("small", replace(CONFIG, objectives=("size", "accuracy"), max_latency_ms=None))
    claims = Claims(ledger, "small", ELSEWHERE)
    for size, accuracy in ((3.0, 0.6), (9.0, 0.8), (6.0, 0.7)):
        claim = claims.claim()
        assert claim is not None
        propose(claims, claim, 0.1, size)
        claims.finish(claim, TrialState.COMPLETE, accuracy=accuracy)
    best = row(ledger, "small").best
    assert best is not None and (best.of.name, best.number, best.value) == ("accuracy", 1, 0.8)


def test_what_changes_is_taken_in_and_nothing_else_is_read(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, read = SearchesData(), list[str]()

    def seen(of: Ledger, name: str, *rest: Any) -> tuple[list[TrialRecord], int]:
        read.append(name)
        return changed_trials(of, name, *rest)

    from nas.analysis import kept_search

    changed_trials = kept_search.changed_trials
    monkeypatch.setattr(kept_search, "changed_trials", seen)
    data.rows(ledger)
    data.rows(ledger)
    assert sorted(read) == ["demo"], "no trial of 'empty' has changed since it was made"
    claims = Claims(ledger, "empty", ELSEWHERE)
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, 0.1, 5.0)
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.9)
    rows = {found.record.name: found for found in data.rows(ledger)}
    assert read == ["demo", "empty"]
    assert rows["empty"].front == 1 and rows["empty"].finished == 1
    assert rows["empty"] == {found.record.name: found for found in SearchesData().rows(ledger)}["empty"]


def test_a_search_that_a_command_makes_is_told_by_that_command(tmp_path: Path) -> None:
    """It has a space and a sampler in its settings, and its trials come from neither."""
    storage, file = f"sqlite:///{tmp_path}/nas.db", tmp_path / "report.html"
    with Ledger.open(storage, create=True) as opened:
        begin(opened, "photos", replace(CONFIG, sampler="auto"), Command("adapt", {}, "ab", "", "base"))
        (found,) = data_of(opened).rows(opened)
        assert found.record.drawn_from in repr(Result(storage, "photos"))
    listed, page = text(storage, "/"), text(storage, "/search/photos")
    assert "adapt of base, digits, local; " in listed
    assert "to go on with it, type that nas adapt again" in listed and "--resume" not in listed
    cells = CliRunner().invoke(cli, ["searches", "--storage", storage]).stdout.splitlines()[1].split("  ")
    assert [cell.strip() for cell in cells if cell][:5] == ["photos", "adapt of base", "digits", "local", "—"]
    assert CliRunner().invoke(cli, ["report", "photos", "-o", str(file), "--storage", storage]).exit_code == 0
    assert "adapt of base, digits, local, seed " in file.read_text()
    assert '"adapt of base"' in page
    for told in (listed, page):
        assert CONFIG.space not in told and '"auto"' not in told and "auto;" not in told


def test_a_search_of_the_name_of_one_that_is_gone_begins_anew(ledger: Ledger) -> None:
    from nas.ledger.changing import remove

    searched(ledger, ONE, seed=1)
    assert row(ledger, ONE).front
    remove(ledger, ONE)
    ledger.create_search(ONE, CONFIG)
    found = row(ledger, ONE)
    assert (found.front, found.finished, found.state) == (0, 0, SearchState.NOT_BEGUN)


def test_the_state_says_who_works(ledger: Ledger) -> None:
    assert row(ledger, "demo").state is SearchState.RUNNING, "its trial is held"
    claims = searched(ledger, ONE, seed=1)
    assert row(ledger, ONE).state is SearchState.STOPPED
    roster = Roster(ledger, ONE)
    roster.join(ELSEWHERE, {})
    claim = claims.claim()
    assert claim is not None
    found = row(ledger, ONE)
    assert found.state is SearchState.RUNNING and found.hosts == {"elsewhere": 1}
    assert [[trial.number for trial in worker.trials] for worker in found.workers] == [[COMPLETE]]
    roster.leave(ELSEWHERE)
    claims.finish(claim, TrialState.FAILED, error="x")
    assert row(ledger, ONE).state is SearchState.STOPPED
    while claim := claims.claim():
        claims.finish(claim, TrialState.FAILED, error="x")
    roster.join(ELSEWHERE, {})
    roster.note(ELSEWHERE, "timing the front")
    found = row(ledger, ONE)
    assert (found.state, found.stages) == (SearchState.MEASURING, "timing the front")
    page, is_live = render(ledger.url, f"/search/{ONE}")
    assert is_live and "trials finished, measuring the front" in str(page)
    roster.leave(ELSEWHERE)
    assert row(ledger, ONE).state is SearchState.FINISHED
    assert not render(ledger.url, f"/search/{ONE}")[1]


def test_the_rate_gives_the_time_left(ledger: Ledger) -> None:
    claims = searched(ledger, OTHER, seed=2)
    assert row(ledger, OTHER).rate is None, "nobody works on it"
    Roster(ledger, OTHER).join(ELSEWHERE, {})
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, 0.1, 5.0)
    claims.finish(claim, TrialState.COMPLETE, accuracy=0.9)
    (worker,) = row(ledger, OTHER).workers
    later = worker.joined_at + timedelta(minutes=30)
    found = row(ledger, OTHER, later)
    assert found.rate == pytest.approx(2.0), "one trial since it joined, in half an hour"
    assert found.left_s == pytest.approx(1800.0) and not found.is_at_most, "one trial is left"


def test_where_trials_are_paused_epochs_give_the_time_left(ledger: Ledger) -> None:
    claims = searched(ledger, ONE, seed=1, pruner="halving")
    Roster(ledger, ONE).join(ELSEWHERE, {})
    claim = claims.claim()
    assert claim is not None
    propose(claims, claim, 0.1, 5.0)
    claims.record_epoch(claim, EpochRecord(1, 1.0, 0.5, 1.0))
    claims.pause(claim, epoch=1, accuracy=0.5)
    (worker,) = row(ledger, ONE).workers
    found = row(ledger, ONE, worker.joined_at + timedelta(minutes=30))
    left = EPOCHS - 1 + EPOCHS  # of the one that is paused, and of the one that has not begun
    assert found.left_s == pytest.approx(1800.0 * left) and found.is_at_most


def compare(storage: str, *names: str, x: str = "", y: str = "") -> Comparison:
    with Ledger.open(storage) as ledger:
        return data_of(ledger).compared(ledger, names, x, y)


def beats(one: TrialRecord, other: TrialRecord) -> bool:
    """By accuracy and latency."""
    first, second = [(-(t.accuracy or 0), t.latency_ms or 0) for t in (one, other)]
    return first != second and first[0] <= second[0] and first[1] <= second[1]


def test_fronts_and_hypervolumes_are_those_of_all_trials(compared_storage: str) -> None:
    found = compare(compared_storage, ONE, OTHER)
    assert (found.x.name, found.y.name) == ("latency", "accuracy")
    with Ledger.open(compared_storage) as ledger:
        trials = {name: [t for t in ledger.trials(name) if t.accuracy] for name in (ONE, OTHER)}
    every = [t for each in trials.values() for t in each]
    joint = [t for t in every if not any(beats(other, t) for other in every)]
    assert found.joint == len(joint)
    accuracies, latencies = [t.accuracy or 0 for t in every], [t.latency_ms or 0 for t in every]
    spans = max(accuracies) - min(accuracies), max(latencies) - min(latencies)
    worst = min(accuracies) - 0.1 * spans[0], max(latencies) + 0.1 * spans[1]
    assert found.reference == {"accuracy": pytest.approx(worst[0]), "latency": pytest.approx(worst[1])}
    assert found.ideal == {"accuracy": max(accuracies), "latency": min(latencies)}
    for search in found.searches:
        mine = trials[search.record.name]
        front = {t.number for t in mine if not any(beats(other, t) for other in mine)}
        assert {member.number for member in search.front} == front
        assert search.joint == sum(t.search == search.record.name for t in joint)
        given = replace(search.record.config, objectives=("accuracy", "latency"))
        whole = pareto_of(mine, given, found.reference).hypervolume
        assert whole is not None and search.hypervolume is not None
        box = (max(accuracies) - worst[0]) * (worst[1] - min(latencies))
        assert search.hypervolume == pytest.approx(whole.value / box)
        last = search.growth[-1]
        assert (last.trained, last.epochs) == (COMPLETE, COMPLETE * EPOCHS)
        assert [step.share for step in search.growth] == sorted(step.share for step in search.growth)


def test_the_comparison_page(compared_storage: str) -> None:
    query = searches_compared_path([ONE, OTHER]).partition("?")[2]
    page = text(compared_storage, "/compare", query)
    assert '"id": "compared-fronts"' in page and '"id": "compared-growth"' in page
    assert f'"/search/{OTHER}/trial/' in page, "where a click leads"
    assert "of different devices, local and pi" in page
    for differs in ("Device", "Seed"):
        assert f'"{differs}"' in page
    assert '"Space"' not in page, "it is the same in both"
    sized = text(compared_storage, "/compare", f"{query}&x=size&y=accuracy")
    assert "Fronts: accuracy against size" in sized and "size 2" in sized


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "none is given; select 2 to 8"),
        (f"search={ONE}&search={ONE}", f"'{ONE}' alone cannot be compared"),
        (f"search={ONE}&search=nope", "there is no search 'nope'; the ledger holds: one, other, lone"),
        (f"search={ONE}&search={LONE}", f"no trial of '{LONE}' is complete within its limits"),
        (f"search={ONE}&search={OTHER}&x=macs", "'macs' is no objective that they share; give accuracy"),
        ("&".join(f"search=s{n}" for n in range(9)), "9 are too many to tell apart; select 8 at most"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(compared_storage: str, query: str, told: str) -> None:
    page = text(compared_storage, "/compare", query)
    assert told in page and "compared-fronts" not in page


def test_one_that_cannot_be_compared_is_left_out_and_told(tmp_path: Path, compared_storage: str) -> None:
    file = tmp_path / "nas.db"
    file.write_bytes(Path(compared_storage.removeprefix("sqlite:///")).read_bytes())
    storage, blocks = f"sqlite:///{file}", Macs()
    blocks.name, blocks.limit = "blocks", ""
    with pytest.MonkeyPatch.context() as plugin, Ledger.open(storage) as ledger:
        plugin.setitem(objectives._things, "blocks", blocks)
        searched(ledger, "plugged", seed=3, objectives=("accuracy", "blocks"))
        searched(ledger, "damaged", seed=4)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE trials SET owner = 'zz' WHERE number = 1 AND search_id = 5")
    query = searches_compared_path([ONE, "plugged", OTHER, "damaged"]).partition("?")[2]
    page = text(storage, "/compare", query)
    assert "'plugged' is left out. Objective 'blocks' is not known here" in page
    assert f"({command('dashboard', lacks_plugin=True)})" in page and "add_plugin_file" not in page
    assert "'damaged' is left out. storage: " in page and "damaged/1: column 'owner' is damaged" in page
    assert '"id": "compared-fronts"' in page and f'"/search/{OTHER}/trial/' in page
    few = text(storage, "/compare", searches_compared_path([ONE, "damaged"]).partition("?")[2])
    assert "Fewer than 2 are left to compare." in few and "compared-fronts" not in few
    listed = text(storage, "/")
    assert "damaged/1: column 'owner' is damaged" in listed
    assert '"href": "/search/one"' in listed


def test_searches_without_common_objectives_are_not_compared(compared_storage: str) -> None:
    with Ledger.open(compared_storage) as ledger:
        one, other = data_of(ledger).kept(ledger, [ONE, OTHER])
        other.names = ("accuracy", "loss", "reward")
        data = SearchesData()
        data._kept = {ONE: one, OTHER: other}
        with pytest.raises(InvalidInput, match="they share the objective accuracy alone"):
            data.compared(ledger, [ONE, OTHER])
        data_of(ledger)._kept.clear()


def test_an_empty_ledger_says_what_to_type(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'nas.db'}"
    Ledger.open(url, create=True).close()
    told = command("search", name="demo", space="tiny", data="digits", device="local", trials=40, storage=url)
    assert f"Type this to begin: {told}" in text(url, "/")


def test_the_button_leads_to_what_is_selected() -> None:
    assert compare_button(["a", "b"]).href == "/compare?search=a&search=b"
    assert "2 searches or more" in compare_button(["a"]).children
    assert "9 are selected; 8" in compare_button(list("abcdefghi")).children


def test_thinned_points_keep_both_ends() -> None:
    assert thinned(range(10), 20) == range(10)
    kept = thinned(range(10 * MOST_POINTS), MOST_POINTS)
    assert (len(kept), kept[0], kept[-1]) == (MOST_POINTS, 0, 10 * MOST_POINTS - 1)


def test_two_are_selected_by_keyboard_and_compared(
    reader: Reader, serve: Serve, compared_storage: str
) -> None:
    page = reader.page
    page.goto(serve(compared_storage))
    page.wait_for_selector("#searches .ag-row .cell-bar")
    for name in (ONE, OTHER):
        page.locator(f"#searches .ag-row[row-id='{name}'] .ag-cell[col-id='front']").click()
        page.keyboard.press("Space")
    page.get_by_text("Compare 2 searches").click()
    page.wait_for_url("**/compare?search=*")
    page.wait_for_selector("#compared-growth .scatterlayer path")
    page.locator("#compared-x").click()
    page.get_by_role("option", name="Size (kB)").click()
    page.wait_for_url("**x=size&y=accuracy")
    page.get_by_text("Fronts: accuracy against size").wait_for()
    point = page.locator("#compared-fronts .points path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/trial/*")
    assert reader.told == []
