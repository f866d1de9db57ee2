"""Published networks: they build, train a step and lower in every precision that applies to them."""

import pytest
import torch

import runtime
import search_spaces
from search_spaces.networks import networks

IMAGES = {"resnet20": (2, 3, 32, 32), "resnet18": (2, 3, 64, 64)}
PARAMETERS = {"resnet20": 269_722 + 2_752, "resnet18": 11_689_512}  # ours projects where the paper pads


@pytest.mark.parametrize("precision", ["float", "int8", "ternary", "binary", "dithered"])
@pytest.mark.parametrize("name", IMAGES)
def test_networks_train_and_lower(name, precision):
    module = search_spaces.network(name, precision)
    out = module(torch.randn(IMAGES[name]))
    out.square().sum().backward()
    assert out.shape == (2, 1000 if name == "resnet18" else 10)
    assert all(p.grad is not None for p in module.parameters())
    assert runtime.workloads(module, (1, *IMAGES[name][1:]))


@pytest.mark.parametrize("name", IMAGES)
def test_parameter_counts_are_the_papers(name):
    found = sum(p.numel() for p in search_spaces.network(name).parameters())
    assert found == PARAMETERS[name]


def test_unknown_networks_are_refused():
    assert set(IMAGES) == set(networks)
    with pytest.raises(search_spaces.InvalidInput, match="network: unknown name 'resnet21'"):
        search_spaces.network("resnet21")
