"""The page of a trial and the page that compares trials: what networks cost, what differs, odd addresses."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder

from dashboards.app import render
from dashboards.page_trials_compared import numbers_of
from latency.model.workloads import keys_of
from nas.analysis.network_costs import network_costs
from nas.figures.compared import compare, merged, time_by_part
from nas.figures.compared_figures import COLOURS, PATTERNS, SYMBOLS
from nas.figures.cost_figures import TimeUnit, memory_figure, size_figure, time_figure
from nas.figures.network_costs import Step, kernel_times, whole_times
from nas.ledger import Ledger, SearchConfig, TrialState, Worker
from nas.ledger.claims import Claims
from nas.ledger.entries import Cost
from nas.objectives import ObjectiveValue
from nas.objectives.memory import Memory
from search_spaces import build
from search_spaces.architecture import Buildable, NamedNetwork
from search_spaces.errors import InvalidInput
from search_spaces.search_space import space
from search_spaces.sizing import size
from tests.dashboards.conftest import Serve
from tests.dashboards.reader import POINTS, Reader

pytestmark = pytest.mark.usefixtures("layers")
TIMED = [space("tiny").sample(seed) for seed in (0, 3)]
"""The architectures of the search ``real``, whose kernels are those that its record names."""
RESNET = NamedNetwork(network="resnet20", precision="int8", input_shape=(3, 32, 32), classes=10)
ESTIMATED_OF = 3  # every third kernel is estimated


def text(storage: str, address: str) -> str:
    """A page as the JSON that goes to the browser."""
    page, _ = render(storage, *address.split("?"))
    return json.dumps(json.loads(PlotlyJSONEncoder().encode(page)), ensure_ascii=False)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger with one search of two trials: their kernels are real, their times made up."""
    url = f"sqlite:///{tmp_path_factory.mktemp('real') / 'nas.db'}"
    with Ledger.open(url, create=True) as ledger:
        ledger.create_search("real", SearchConfig("tiny", "digits", "local", trials=2, epochs=1))
        claims = Claims(ledger, "real", Worker.this_process())
        for architecture in TIMED:
            claim = claims.claim()
            assert claim is not None
            keys = keys_of(architecture)
            times = [(key, 0.01 * (at + 1)) for at, key in enumerate(keys)]
            memory = ObjectiveValue.exact(Memory().cost(architecture))
            cost = Cost(
                sum(ms for _, ms in times),
                size(architecture).kilobytes,
                times,
                estimated=sorted(set(keys[::ESTIMATED_OF])),
                costs={"memory": memory},
            )
            digest, told = architecture.digest, architecture.to_json()
            claims.propose(claim, choices={}, architecture=told, digest=digest)
            claims.record_cost(claim, cost)
            claims.finish(claim, TrialState.COMPLETE, accuracy=0.9)
    return url


@pytest.mark.parametrize(
    "architecture",
    [*TIMED, space("cifar").sample(1), RESNET],
    ids=lambda architecture: architecture.digest[:6],
)
def test_costs_by_layer_add_up_to_those_of_the_network(architecture: Buildable) -> None:
    costs = network_costs(architecture.to_json())
    assert costs.size_kb == pytest.approx(size(architecture).kilobytes)
    assert tuple(step.workload for step in costs.steps) == keys_of(architecture)
    assert costs.workspace == 1000 * Memory().cost(architecture)
    assert max(held.offset + held.nbytes for held in costs.held) == costs.workspace
    for one, other in combinations(costs.held, 2):
        together = one.first <= other.last and other.first <= one.last
        apart = one.offset + one.nbytes <= other.offset or other.offset + other.nbytes <= one.offset
        assert apart or not together, (one, other)
    assert {layer.layer for layer in costs.layers if layer.codes} <= {step.layer for step in costs.steps}
    children = [name for name, _ in build(architecture).named_children()]
    parts = list(dict.fromkeys(step.part for step in costs.steps if step.part != "input"))
    if isinstance(architecture, NamedNetwork):
        assert {part.partition(".")[0] for part in parts} == set(children)
    else:
        assert parts == ["stem", *(f"block {at}" for at in range(1, len(children) - 1)), "head"]


def test_times_by_layer_add_up_and_say_how_they_are_known(real: str) -> None:
    with Ledger.open(real) as ledger:
        trial = ledger.trial("real", 1)
    costs = network_costs(trial.architecture or "")
    kernels = kernel_times(trial, costs.steps)
    assert sum(each.milliseconds for each in kernels) == pytest.approx(trial.latency_ms)
    assert {each.workload for each in kernels if each.how == "estimated"} == set(trial.estimated)
    assert sum(time_by_part(kernels).values()) == pytest.approx(trial.latency_ms)
    whole = whole_times(trial)
    assert [(each.name, each.about) for each in whole] == [("Predicted", "the sum of the kernels")]
    others = kernel_times(trial, [Step("stem", "stem", "conv2d(batch=1)")])
    assert {each.layer for each in others} == {""}, "of other kernels no layer is told"
    bars = {bar.name: bar for bar in time_figure(kernels, whole).data if bar.name}
    drawn = sum(sum(bar.x) for bar in bars.values())
    assert drawn == pytest.approx(
        TimeUnit.of([each.milliseconds for each in kernels]).of_ms(trial.latency_ms)
    )
    assert bars["estimated, each alone"].marker.pattern.shape, "readable without colour"
    assert sum(sum(bar.x) for bar in size_figure(costs.layers).data) == pytest.approx(trial.size_kb)
    boxes = memory_figure(costs.held, costs.workspace).data
    top = max(base + high for bar in boxes for base, high in zip(bar.base, bar.y, strict=True))
    assert top == pytest.approx(trial.costs["memory"].value)


def test_the_page_of_a_trial_shows_its_costs_and_its_record(real: str, storage: str) -> None:
    page = text(real, "/search/real/trial/0")
    for identity in ("workloads", "sizes", "memory"):
        assert f'"id": "{identity}"' in page
    for told in (
        "Where the size goes",
        "Memory over the run",
        "stem, conv2d",
        '"data-size": "large"',
        "Took",
    ):
        assert told in page
    assert f"nas export real --trial 0 --output winner/ --storage {real}" in page
    predicted = re.findall(r'Predicted, ([^"]+)"', page)
    assert len(predicted) == 1 and f'"{predicted[0]}"' in page, "the tile and the bar say it in one unit"
    page = text(real, "/search/real/trial/1")
    assert "/search/real/compare?trials=0,1" in page and '/search/real/compare?trials=1"' in page
    page = text(storage, "/search/demo/trial/6")
    assert "No layer is named. The kernels of this network are others here" in page
    assert "the whole network" in page and "Measured, 0.149 ms" in page
    assert "nas export" not in text(storage, "/search/demo/trial/10"), "it is over the limit"
    assert "nas export" not in text(storage, "/search/demo/trial/23"), "it is still running"


def test_a_password_is_on_no_page(real: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "url", "postgresql://me:secret@there/nas", raising=False)
    page = text(real, "/search/real/trial/0")
    assert "nas export real --trial 0" in page and "secret" not in page


def test_a_comparison_shows_what_differs_and_leaves_out_the_rest(real: str, storage: str) -> None:
    with Ledger.open(storage) as ledger:
        config, trials = ledger.search("demo").config, [ledger.trial("demo", n) for n in (2, 3, 22)]
    found = compare(config, trials)
    by_name = {row.name: row.values for row in found.rows}
    assert by_name["Accuracy"] == ("95.1%", "94.0%", "—")
    assert by_name["State"] == ("complete", "complete", "failed")
    assert by_name["block 1: kind"] == ("fire", "separable", "shuffle")
    assert "stem: kind" not in by_name and "stage1.block" not in by_name and found.equal >= 2
    assert all(len(set(row.values)) > 1 for row in found.rows)
    page = text(storage, "/search/demo/compare?trials=2,3,22")
    for told in ("further rows are equal", '"id": "compared-curves"', "/search/demo/trial/22", "Trial 3"):
        assert told in page
    assert "Of none of these trials the parts" in page, "its kernels are made up"
    page = text(real, "/search/real/compare?trials=1,0")
    assert '"id": "compared-times"' in page and '"block 1"' in page
    assert "None of these trials has been trained for an epoch yet." in page


def test_marks_tell_trials_apart_without_colour() -> None:
    assert len(set(PATTERNS)) == len(set(SYMBOLS)) == len(set(COLOURS)) == 8


def test_rows_of_all_trials_stand_in_the_order_of_each() -> None:
    rows = merged([["stem", "block 1", "head"], ["stem", "block 1", "block 2", "head", "output"]])
    assert rows == ["stem", "block 1", "block 2", "head", "output"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "trials: the address names 0 trials; give 2 to 8, as ?trials=3,5,9"),
        ("?trials=4", "trials: the address names 1 trial; give 2 to 8, as ?trials=3,5,9"),
        ("?trials=0,1,2,3,4,5,6,7,8", "trials: the address names 9 trials; give 2 to 8, as ?trials=3,5,9"),
        ("?trials=4,4", "trials: trial 4 is there more than once; name each once"),
        ("?trials=4,99", "trials: there is no trial 99; give numbers in 0..25"),
        ("?trials=4,%3Cb%3E", "trials: '<b>' is no number of a trial; give numbers, as ?trials=3,5,9"),
    ],
)
def test_an_odd_comparison_is_one_line(storage: str, query: str, told: str) -> None:
    page, live = render(storage, "/search/demo/compare", query)
    assert told in str(page) and not live
    assert "/search/demo" in str(page), "the way back"


def test_numbers_keep_the_order_of_the_address() -> None:
    assert numbers_of(["9, 3", "5,"], 10) == [9, 3, 5]
    with pytest.raises(InvalidInput, match="no number"):
        numbers_of(["3,²"], 10)


def test_a_selection_leads_to_its_comparison(reader: Reader, serve: Serve, storage: str) -> None:
    page: Any = reader.page
    page.goto(serve(storage) + "search/demo?selected=2,4,6")
    page.wait_for_selector(POINTS)
    link = page.get_by_role("link", name="Compare these 3")
    link.click()
    page.wait_for_url("**/search/demo/compare?trials=2,4,6")
    page.wait_for_selector("#compared-curves .scatterlayer path")
    assert page.locator(".bitnas-drawing").count() == 3
    page.get_by_role("textbox", name="Trials").fill("4, 5")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search/demo/compare?trials=4%2C+5")
    page.get_by_role("link", name="Trial 4").first.click()
    page.wait_for_url("**/search/demo/trial/4")
    drawing = page.locator("svg.bitnas-architecture")
    drawing.wait_for()
    letters = drawing.locator(".bitnas-letter").all_text_contents()
    assert letters and set(letters) <= set("f8tbd")
    assert re.search("block 1: .* wide, kernel", drawing.get_attribute("aria-label"))
    assert reader.told == []
