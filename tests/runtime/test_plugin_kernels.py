"""A layer with a kernel of its own, from outside the package: it conforms, and what it cannot be is told."""

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import runtime
from runtime.graph import Value
from runtime.kernels import kernels
from runtime.lowering import lower
from runtime.lowering.base import Lowering, lowerings
from runtime.testing import Case, KernelConformance, LoweringConformance
from runtime.workload import Workload, base
from search_spaces import BitnasError, InvalidInput, blocks, spaces
from search_spaces.errors import UnknownFamilyError

EXAMPLE = Path(__file__).parents[2] / "examples" / "kernel.py"
NAME = "example_of_a_kernel"
REGISTRIES = (kernels, lowerings, blocks, spaces)


@pytest.fixture(scope="module", autouse=True)
def example():
    """The example's module; what it registers is gone afterwards."""
    before = [{name: registry.get(name) for name in registry} for registry in REGISTRIES]
    families = dict(base._families)
    spec = spec_from_file_location(NAME, EXAMPLE)
    sys.modules[NAME] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[NAME])
    yield sys.modules[NAME]
    for registry, things in zip(REGISTRIES, before, strict=True):
        registry._things = things
    base._families = families
    del sys.modules[NAME]


class TestSquaredRelu(KernelConformance):
    def case(self, random):
        batch, pixels, channels = (int(n) for n in random.integers(1, 40, 3))
        x = random.standard_normal((batch, pixels, channels), np.float32)
        scale = random.standard_normal(channels, np.float32)
        work = sys.modules[NAME].SquaredReluWork(batch, pixels, channels)
        return Case(work, {"data": x, "scale": scale}, np.maximum(x, 0) ** 2 * scale)


def squared(random, channels):
    layer = sys.modules[NAME].SquaredRelu(channels)
    layer.scale.data = torch.from_numpy(random.standard_normal(channels, np.float32))
    return layer


class TestSquaredReluLowering(LoweringConformance):
    def layer(self, random):
        channels = int(random.integers(1, 20))
        return squared(random, channels), (2, channels, 3, 4)


class Two(nn.Module):
    """The same image through two layers that differ in their numbers alone."""

    def __init__(self, random):
        super().__init__()
        self.first, self.second = squared(random, 4), squared(random, 4)

    def forward(self, x):
        return self.first(x) + self.second(x)


def test_layers_with_other_numbers_are_other_steps():
    model = Two(np.random.default_rng(0)).eval()
    calls = [work.family for work in lower(model, (1, 4, 3, 3)).workloads]
    assert calls.count("squared_relu") == 2
    x = torch.randn(1, 4, 3, 3)
    found = runtime.compile(model, (1, 4, 3, 3)).run(x.numpy())
    np.testing.assert_allclose(found, model(x).detach(), rtol=1e-5, atol=1e-6)


def test_it_is_written_as_c_and_as_an_artifact(tmp_path, monkeypatch):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), squared(np.random.default_rng(0), 4))
    assert "squared_relu" in "".join(runtime.c_source(model, (1, 1, 5, 5)).values())
    network = runtime.compile(model, (1, 1, 5, 5))
    network.save(tmp_path / "out")
    assert runtime.load(tmp_path / "out").info.workloads == network.info.workloads
    monkeypatch.delitem(base._families, "squared_relu")
    with pytest.raises(BitnasError, match=r"manifest\.json: no kernels of a family 'squared_relu' are"):
        runtime.load(tmp_path / "out")
    with pytest.raises(UnknownFamilyError, match="add their plug-in by search_spaces"):
        Workload.from_key("squared_relu(batch=1,pixels=4,channels=3)")


def test_a_layer_that_is_changed_is_traced_into(example):
    class Changed(example.SquaredRelu):
        def forward(self, x):
            return torch.relu(x)

    assert "squared_relu" not in [w.family for w in lower(Changed(4), (1, 4, 3, 3)).workloads]


class OfRelu(Lowering):
    layer: ClassVar[type[nn.Module]] = nn.ReLU

    def lower(self, at, input: Value) -> Value:
        return input


NO_LOWERING = "lowering: 'mine' is no object of a Lowering whose 'layer' is a class of torch modules"


@pytest.mark.parametrize(
    ("lowering", "message"),
    [
        (OfRelu(), "lowering: 'mine' is for ReLU, which has a lowering already; write one for a class"),
        (OfRelu, NO_LOWERING),
        (print, NO_LOWERING),
    ],
    ids=["taken", "class", "function"],
)
def test_a_lowering_that_does_not_serve(monkeypatch, lowering, message):
    monkeypatch.setitem(lowerings._things, "mine", lowering)
    with pytest.raises(InvalidInput, match=message):
        lower(nn.ReLU(), (1, 4, 3, 3))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "relu",
            r"workload: the family 'relu' is that of runtime\.workload\.maps\.Relu; choose another",
        ),
        ("Mine", "workload: 'Mine' is no name for a family; take small letters, digits and underscores"),
    ],
)
def test_a_family_has_a_name_of_its_own(name, message):
    with pytest.raises(InvalidInput, match=message):

        @dataclass(frozen=True)
        class Mine(Workload):
            family: ClassVar[str] = name
