"""What ``nas adapt`` is made of: what precisions cost, how they are chosen, and what is taken over."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from latency import LatencyModel, MemoryTable
from nas.adapting.budget import Budget
from nas.adapting.compressing import SHARES, Known, compress
from nas.adapting.holding import held_back, usual_share
from nas.adapting.precisions import precisions_within, starts
from nas.adapting.run import best
from nas.adapting.sensitivity import calibrate, sensitivities
from nas.adapting.source import Given, float_form, read_given
from nas.data import DataSet, Source, load
from nas.pruning.greedy import Costs
from nas.pruning.importance import criteria
from nas.training.loop import save_weights, train_architecture
from nas.training.pretrained import Pretrained
from search_spaces import build
from search_spaces.architecture import Architecture, Block, Head, NamedNetwork, Stem
from search_spaces.errors import InvalidInput
from search_spaces.precision import precisions
from search_spaces.pruning.couplings import couplings
from search_spaces.recoding import recodable, recoded
from search_spaces.sizing import size
from tests.latency.board import Board

FLOAT = Architecture(
    space="mine",
    input_shape=(1, 8, 8),
    classes=10,
    stem=Stem(width=8, kernel=3, stride=1, precision="float"),
    blocks=(
        Block(kind="residual", width=8, kernel=3, stride=1, precisions={"conv1": "float", "conv2": "float"}),
        Block(kind="residual", width=16, kernel=3, stride=2, precisions={"conv1": "float", "conv2": "float"}),
    ),
    head=Head(precision="float"),
)
NAMES = "int8", "ternary", "dorefa1"


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load("digits")


@pytest.fixture(scope="module")
def network(digits: DataSet) -> torch.nn.Module:
    return train_architecture(FLOAT, digits, epochs=2, seed=0)[0].eval()


@pytest.fixture(scope="module")
def found(network: torch.nn.Module, digits: DataSet) -> Any:
    return sensitivities(network, NAMES, digits.train, macs=1)


def test_what_a_precision_costs_is_how_far_the_outputs_go(
    network: torch.nn.Module, digits: DataSet, found: Any
) -> None:
    layers = recodable(network)
    assert {name for name, _ in found} == set(layers)
    # the same, by hand, of one layer whose inputs stay in float: nothing but its weights is coded
    name = "block1.conv1.0"
    changed = build(FLOAT)
    changed.load_state_dict(network.state_dict())
    made = recoded(changed.get_submodule(name), precisions.get("ternary"))
    made.start_from(changed.get_submodule(name).weight.detach())  # type: ignore[arg-type]  # a parameter
    changed.get_submodule("block1.conv1")[0] = made  # type: ignore[operator]  # a sequence
    chosen = torch.linspace(0, len(digits.train) - 1, 256).round().long().numpy()
    images = torch.from_numpy(digits.train.at(chosen).images)
    with torch.no_grad():
        target, outputs = (F.log_softmax(each.eval()(images), 1) for each in (network, changed))
    expected = (target.exp() * (target - outputs)).sum(1).mean().item()
    assert found[name, "ternary"] == pytest.approx(expected, rel=1e-3) and expected > 0


def test_fewer_bits_cost_more_and_the_network_stays_as_it_was(
    network: torch.nn.Module, digits: DataSet, found: Any
) -> None:
    before = save_weights(network)
    for name in recodable(network):
        assert 0 <= found[name, "int8"] < found[name, "dorefa1"], name
    assert sensitivities(network, NAMES[:1], digits.train.at(digits.train.chosen[:1] * 0), macs=1)
    assert save_weights(network) == before


def macs_in(cheap: dict[str, float]) -> Costs:
    """Costs that are a sum over layers: 1 of each in float, less in precisions."""

    def costs(some: Any) -> list[float]:
        names = list(recodable(build(FLOAT)))
        return [sum(cheap[each.layer_precisions.get(n, "float")] for n in names) for each in some]

    return Costs(costs)


def test_precisions_are_chosen_by_what_they_cost_and_save(found: Any) -> None:
    costs = macs_in({"float": 1.0, "int8": 0.5, "ternary": 0.4, "dorefa1": 0.1})
    layers = list(recodable(build(FLOAT)))
    for target in (0.9, 0.5, 0.3):
        chosen = precisions_within(FLOAT, starts(found, NAMES), found, costs, target * len(layers))
        assert chosen.cost <= target * len(layers)
        assert chosen.cost == pytest.approx(costs.known([chosen.architecture])[0])
        assert chosen.lost == pytest.approx(
            sum(found[k] for k in chosen.architecture.layer_precisions.items())
        )
        even = [sum(found[name, p] for name in layers) for p in NAMES if costs_of_all(p) <= target]
        assert all(chosen.lost <= lost for lost in even), "no better than all layers alike"
    least = precisions_within(FLOAT, starts(found, NAMES), found, costs, 0.0)
    assert set(least.architecture.layer_precisions.values()) == {"dorefa1"}, (
        "the cheapest, where none suffices"
    )


def test_no_more_is_measured_than_what_loses_least_within_the_target(found: Any) -> None:
    costs, seen = macs_in({"float": 1.0, "int8": 0.5, "ternary": 0.4, "dorefa1": 0.1}), []

    def known(some: Any) -> list[float]:
        seen.extend({*each.layer_precisions.values()} for each in some)
        return costs.known(some)

    for target, expected in ((9.0, [set()]), (0.9, [set(), {"int8"}])):
        seen.clear()
        within = target * len(list(recodable(build(FLOAT))))
        chosen = precisions_within(FLOAT, starts(found, NAMES[::-1]), found, Costs(known), within)
        assert seen == expected
        assert {*chosen.architecture.layer_precisions.values()} == expected[-1]


def costs_of_all(precision: str) -> float:
    return {"int8": 0.5, "ternary": 0.4, "dorefa1": 0.1}[precision]


@pytest.mark.parametrize("way", SHARES)
def test_a_network_is_compressed_into_a_budget(
    network: torch.nn.Module, digits: DataSet, found: Any, way: str
) -> None:
    channels = couplings(network, FLOAT.input_shape)
    scores = criteria.get("taylor")(network, channels, digits.train)
    known = Known(FLOAT, network, channels, scores, found, starts(found, NAMES))
    model = LatencyModel(Board(), MemoryTable())
    whole = model.networks.measure([model.compile(network, (1, *FLOAT.input_shape))])[0].milliseconds
    budget = Budget(max_latency_ms=0.85 * whole, max_size_kb=0.5 * size(FLOAT).kilobytes)
    left = compress(known, way, budget, model, lambda _: None)
    assert left.measured.milliseconds <= 0.85 * whole
    assert size(left.architecture).kilobytes <= 0.5 * size(FLOAT).kilobytes
    assert left.architecture.is_changed
    assert way != "pruning" or left.architecture.is_pruned
    calibrate(left.module, digits.train)
    images = torch.from_numpy(digits.validation.images[:64])
    with torch.no_grad():
        agreement = (left.module(images).argmax(1) == network(images).argmax(1)).float().mean()
    assert agreement > 0.3, "what is left is of the trained network"


def test_a_network_is_taken_over_but_for_its_head(network: torch.nn.Module) -> None:
    given = Given("it", Pretrained(Path("it"), network.state_dict(), {}), FLOAT, 8)
    form = given.form_for((1, 8, 8), 3)
    module = build(form)
    taken = given.start(module)
    own, *_ = list(recodable(module))[-1:]
    assert {name for name, _ in module.named_parameters()} - taken == {f"{own}.weight", f"{own}.bias"}
    for name, tensor in network.state_dict().items():
        if not name.startswith(own):
            assert torch.equal(module.state_dict()[name], tensor), name
    with pytest.raises(InvalidInput, match=r"^data: the images have 3 channels, and the weights are for 1"):
        given.form_for((3, 8, 8), 3)


def test_a_network_of_low_precision_comes_back_to_float_and_its_precisions_are_known() -> None:
    codes = {"conv1": "ternary", "conv2": "int8"}
    mixed = FLOAT.model_copy(
        update={"blocks": tuple(b.model_copy(update={"precisions": codes}) for b in FLOAT.blocks)}
    )
    assert float_form(mixed) == FLOAT
    named = NamedNetwork(network="resnet20", precision="int8", input_shape=(3, 32, 32), classes=10)
    assert float_form(named.recoded({"classifier": "ternary"})) == named.model_copy(
        update={"precision": "float"}
    )
    given = Given("it", Pretrained(Path("it"), {}, {}), mixed, 8)
    own = given.own_precisions()
    assert set(own.values()) == {"ternary", "int8"} and own["block1.conv2.0"] == "int8"


def test_weights_that_do_not_say_what_they_are_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a.weight": torch.zeros(3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(InvalidInput, match=r"^weights: "):
        read_given(tmp_path / "x.safetensors")
    with pytest.raises(InvalidInput, match=r"^weights: there is neither"):
        read_given(tmp_path)


@pytest.mark.parametrize(
    ("images", "share"), [(0, 0.25), (40, 0.25), (400, 0.25), (1000, 0.2), (1797, 0.11), (50_000, 0.1)]
)
def test_two_hundred_images_are_held_back_but_a_quarter_at_most(images: int, share: float) -> None:
    assert usual_share(images, 0.1) == share


def test_what_is_held_back_is_of_all_images_and_those_of_a_split_stay(digits: DataSet) -> None:
    few = np.arange(400)
    source = digits.read()
    small = replace(digits, validation_share=0.1, read=lambda: Source(source.train.at(few)))
    found = held_back(small)
    assert [len(split) for split in (found.train, found.validation, found.test)] == [220, 100, 80]
    assert [len(held_back(small, 0.5).validation), held_back(digits).validation_share] == [200, 0.2]
    assert (found.test.chosen == small.test.chosen).all(), "exports are judged by the same images"
    own = replace(small, read=lambda: Source(source.train.at(few), source.train.at(few[:30])))
    assert len(held_back(own).validation) == 30
    with pytest.raises(InvalidInput, match=r"^validation: 'digits' has a validation split of its own"):
        held_back(own, 0.2)


@pytest.mark.parametrize("limits", [{}, {"max_latency_ms": 0.0}, {"max_size_kb": float("nan")}])
def test_a_budget_is_a_number(limits: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=r"^max_"):
        Budget(**limits)


def test_the_latest_that_is_not_clearly_worse_is_to_be_exported() -> None:
    def steps(*given: tuple[float, float]) -> Any:
        trials = (SimpleNamespace(accuracy=a, milliseconds=ms, architecture=FLOAT) for a, ms in given)
        return [("", trial) for trial in trials]

    budget, given = Budget(max_latency_ms=1.0), steps((0.99, 2.0), (0.875, 0.9), (0.825, 0.8), (0.5, 0.7))
    assert best(given, budget, 40).accuracy == 0.825  # a standard error is 5.2 points
    assert best(given, budget, 400).accuracy == 0.875  # 1.7 points
    assert best(steps((1.0, 0.5), (1.0, 0.4)), budget, 10).milliseconds == 0.4
