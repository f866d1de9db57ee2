"""Deep Compression: pruned weights stay zero, shared ones are trained together, the file is the network."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import search_spaces
from nas.compression.layers import prunable, shareable
from nas.compression.pruning import Masks, steps_to
from nas.compression.settings import Settings
from nas.compression.sharing import k_means, shared
from nas.compression.sizes import uncoded_bits
from nas.compression.source import Source
from nas.compression.stages import REPORT, compress
from nas.compression.trainings import CHECKPOINT
from nas.data import load
from nas.evaluators.training import TrainingEvaluator
from nas.ledger import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective
from nas.training import checkpoint
from nas.training.loop import Training, accuracy, load_weights, train
from nas.training.recipe import Recipe
from nas.trials.reporting import further
from runtime.formats.bnz import read_bnz, to_bytes
from runtime.formats.plain_weights import LEVELS, Plain, plain
from search_spaces import InvalidInput
from search_spaces.architecture import Architecture, Block, Head, Stem
from search_spaces.errors import BitnasError
from search_spaces.layers import QuantLinear
from search_spaces.precision import precisions


def test_weights_go_by_deviations_of_their_layer():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(50, 40), nn.Linear(40, 50))
    with torch.no_grad():
        module[1].weight *= 100  # which does not make them matter more
    masks = Masks(module)
    masks.prune(0.75)
    assert masks.sparsity == pytest.approx(0.75, abs=1e-3)
    for layer in module:
        assert float((layer.weight == 0).float().mean()) == pytest.approx(0.75, abs=0.03)
        left = layer.weight[layer.weight != 0].abs().min()
        assert left > 0.5 * layer.weight.abs().max() / 2
    zeros = module[0].weight == 0
    masks.prune(0.9)
    assert masks.sparsity == pytest.approx(0.9, abs=1e-3)
    assert (module[0].weight[zeros] == 0).all()


def test_a_step_of_an_optimizer_brings_nothing_back():
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    masks = Masks(nn.Sequential(layer))
    masks.prune(0.5)
    zeros = layer.weight == 0
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    with masks.held(optimizer):
        for _ in range(3):
            layer(torch.randn(8, 20)).square().sum().backward()
            optimizer.step()
            assert (layer.weight[zeros] == 0).all()
    optimizer.step()
    assert (layer.weight[zeros] != 0).any(), "the masks are what kept them"


def test_steps_of_pruning_end_at_the_share_and_become_smaller():
    found = steps_to(0.8, 4)
    assert found[-1] == pytest.approx(0.8)
    assert (np.diff([0, *found]) > 0).all()
    assert (np.diff(np.diff([0, *found])) < 0).all()


def test_k_means_begins_with_even_steps_and_ends_at_means():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(c, 0.01, 50) for c in (-1, 0.2, 1)])
    centroids, which = k_means(values, 3)
    np.testing.assert_allclose(centroids, [values[which == i].mean() for i in range(3)])
    np.testing.assert_array_equal(which, np.repeat([0, 1, 2], 50))
    assert len(k_means(np.array([1.0, 1.0, 2.0]), 8)[0]) == 2, "no centroid without a weight"


def test_the_gradient_of_a_centroid_is_the_sum_of_its_weights():
    """Deep Compression, equation 3, against the gradient of a layer whose weights are its own."""
    torch.manual_seed(0)
    layer, x = nn.Linear(16, 8, bias=False), torch.randn(5, 16)
    with torch.no_grad():
        layer.weight[torch.rand(8, 16) < 0.4] = 0
    with shared({"": layer}, 2):
        centroids = layer.parametrizations.weight.original
        which = layer.parametrizations.weight[0].which
        layer(x).square().sum().backward()
        assert len(centroids) == 4
        own = nn.Parameter(layer.weight.detach().clone())
        nn.functional.linear(x, own).square().sum().backward()
        expected = torch.stack([own.grad[which == i + 1].sum() for i in range(4)])
        torch.testing.assert_close(centroids.grad, expected)
        with torch.no_grad():
            centroids += 1
    assert not hasattr(layer, "parametrizations")
    assert len(layer.weight.unique()) == 5, "four, and the zeros that stayed"
    assert (layer.weight[which == 0] == 0).all()


def test_sizes_are_those_of_the_published_form():
    """Of 1000 weights 3 are left: one after 600 zeros, which stored ones break up."""
    layer = nn.Linear(1000, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, [600, 601, 620]] = torch.tensor([1.0, 2.0, 3.0])
    weights = plain(nn.Conv2d(1000, 1, 1, bias=False).requires_grad_(False))
    assert uncoded_bits(weights) == 32_000
    # 600 zeros are 18 times 32, of 5 bits a gap in dense layers
    assert uncoded_bits(plain(layer)) == (3 + 600 // 32) * (32 + 5)
    few = Plain(LEVELS, (1, 1000), (layer.weight[0].detach() != 0).long().numpy(), kinds=5, zero=0)
    assert uncoded_bits(few) == (3 + 600 // 32) * (2 + 5)


def test_layers_of_signs_lose_and_share_nothing():
    names = ("float", "int8", "ternary", "binary", "dorefa3")
    layers = {f"in-{name}": QuantLinear(8, 4, precisions.get(name)) for name in names}
    module = nn.ModuleDict({**layers, "torch": nn.Linear(8, 4)})
    assert set(prunable(module)) == {"in-float", "in-int8", "in-ternary", "torch"}
    assert set(shareable(module)) == {"in-float", "torch"}


@pytest.fixture(scope="module")
def digits():
    return load("digits")


RECIPE = Recipe(peak_rate=0.03)


def source_of(architecture, data):
    torch.manual_seed(0)
    module = search_spaces.build(architecture)
    train(module, data, epochs=2, seed=0, recipe=RECIPE)
    return Source(
        "it",
        module,
        architecture,
        data,
        RECIPE,
        {"data": "digits", "image_size": None, "epochs": 2, "seed": 0},
    )


def test_the_file_is_the_network_of_the_last_stage(digits, tmp_path):
    source = source_of(search_spaces.space("tiny").sample(2), digits)
    settings = Settings(sparsity=0.7, steps=2, cluster=4, epochs=1, float16_scales=True)
    said = []
    report = compress(source, tmp_path / "small", settings, said.append)
    names = [stage.name for stage in report.stages]
    assert names == ["trained", "pruned", "shared", "coded"]
    bits = [stage.bits_per_weight for stage in report.stages]
    assert bits == sorted(bits, reverse=True)
    trained, pruned, _, coded = report.stages
    assert coded.kept == pruned.kept < 0.6 * trained.kept
    assert report.codes_kb < report.entropy_kb + 0.4, "codes of a small network, and their tables"
    path = tmp_path / "small" / "network.bnz"
    assert path.stat().st_size == round(1000 * coded.size_kb)
    found = read_bnz(path)
    assert dict(found.about) == source.about
    assert accuracy(found.module, digits.test) == coded.test_accuracy
    assert all(len(layer.weight.unique()) <= 17 for layer in shareable(found.module).values())
    written = json.loads((tmp_path / "small" / REPORT).read_text())
    assert written["stages"][-1]["test_accuracy"] == coded.test_accuracy
    with pytest.raises(InvalidInput, match="is there already"):
        compress(source, tmp_path / "small", Settings())


class Reported:
    """What a report is told."""

    def __init__(self):
        self.seed, self.checkpoint, self.told = 0, None, []

    def __call__(self, step, values):
        self.told.append(values)

    def keep(self, checkpoint):
        pass

    def check(self):
        pass


@pytest.mark.parametrize("objectives", [("accuracy", "size_on_disk"), ("accuracy", "size")])
def test_a_search_is_told_the_size_of_the_file(digits, objectives):
    architecture = search_spaces.space("tiny").sample(3)
    config = SearchConfig(
        space="tiny", data="digits", device="local", trials=1, epochs=1, objectives=objectives
    )
    report = Reported()
    values = TrainingEvaluator(config, digits).evaluate(architecture, 1, report)
    if "size_on_disk" not in objectives:
        assert set(values) == {"accuracy"}
        return
    module = search_spaces.build(architecture)
    load_weights(module, report.weights)
    assert values["size_on_disk"] == len(to_bytes(module, architecture)) / 1000
    assert report.told[-1]["size_on_disk"] == values["size_on_disk"]
    found = objective("size_on_disk_kb")
    trial = TrialRecord("it", 0, TrialState.COMPLETE, costs=further(dict(values)))
    assert found.of(trial).value == values["size_on_disk"]
    assert not found.is_known_before_training


def test_what_cannot_be_done_is_refused_before_anything_is(digits, tmp_path):
    architecture = search_spaces.space("tiny").sample(0)
    module = nn.Sequential(nn.Flatten(), QuantLinear(64, 10, precisions.get("binary")))
    source = Source("it", module, architecture, digits, RECIPE, {})
    for settings, parameter in ((Settings(sparsity=0.5), "sparsity"), (Settings(cluster=3), "cluster")):
        with pytest.raises(InvalidInput, match=rf"^{parameter}: no layer"):
            compress(source, tmp_path / "small", settings)
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"sparsity": 1.0},
        {"sparsity": float("nan")},
        {"steps": 0},
        {"cluster": 9},
        {"cluster": 0},
        {"epochs": -1},
        {"rate": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(InvalidInput, match=rf"^{next(iter(bad))}: .* is out of range"):
        Settings(**bad)


MIXED = Architecture(
    space="mine",
    input_shape=(1, 8, 8),
    classes=10,
    stem=Stem(width=8, kernel=3, stride=2, precision="float"),
    blocks=(
        Block(
            kind="residual", width=8, kernel=3, stride=2, precisions={"conv1": "ternary", "conv2": "float"}
        ),
    ),
    head=Head(precision="float"),
)


class Interrupting:
    """Writes checkpoints, and interrupts after every second one."""

    def __init__(self, save):
        self.save, self.count = save, 0

    def __call__(self, *arguments):
        self.save(*arguments)
        self.count += 1
        if self.count % 2 == 0:
            raise KeyboardInterrupt


def test_one_that_is_interrupted_again_and_again_ends_with_the_same_file(digits, tmp_path, monkeypatch):
    trained = source_of(MIXED, digits)

    def source():
        return replace(trained, module=deepcopy(trained.module))

    settings = Settings(sparsity=0.7, steps=2, cluster=4, epochs=3)
    compress(source(), tmp_path / "whole", settings)
    folder = tmp_path / "parts"
    monkeypatch.setattr(checkpoint, "save", Interrupting(checkpoint.save))
    said = []
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            compress(source(), folder, settings, said.append)
        checkpoint.aside(folder / CHECKPOINT).write_bytes(b"half a che")
    for other, told in (
        (replace(settings, sparsity=0.8), r"^sparsity: '.*parts' was begun with 0\.7; give that to go on"),
        (replace(settings, cluster=None), r"^cluster: .* was begun with 4; "),
    ):
        with pytest.raises(InvalidInput, match=told):
            compress(source(), folder, other)
    with pytest.raises(BitnasError, match=r"^output: '.*parts' was begun with another network than"):
        compress(replace(trained, module=search_spaces.build(MIXED)), folder, settings)
    report = compress(source(), folder, settings, said.append)
    assert [told for told in said if told.startswith("going on")] == [
        f"going on after epoch {epoch} of 3" for epoch in (2, 1, 3, 2)
    ]
    assert sorted(path.name for path in folder.iterdir()) == [REPORT, "network.bnz"]
    assert (folder / "network.bnz").read_bytes() == (tmp_path / "whole" / "network.bnz").read_bytes()
    assert json.loads((tmp_path / "whole" / REPORT).read_text())["stages"] == [
        vars(stage) for stage in report.stages
    ]


def test_a_training_is_not_gone_on_with(digits, tmp_path):
    source = Source("it", search_spaces.build(MIXED), MIXED, digits, RECIPE, {})
    checkpoint.save(tmp_path / CHECKPOINT, Training(source.module, digits, 1, 0, RECIPE), {"job": {}})
    with pytest.raises(InvalidInput, match=r"^output: .* holds the checkpoint of a training; name another"):
        compress(source, tmp_path, Settings())
