"""Pruning: what is left computes what the whole network does with the channels that are gone at zero."""

import copy
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

import search_spaces
from search_spaces import Architecture, NamedNetwork, build
from search_spaces.architecture import Block, Buildable, Head, Stem, read_architecture
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.pruning.couplings import Couplings, couplings
from search_spaces.pruning.cutting import cut
from search_spaces.pruning.layers import CONVOLUTIONS, DENSE, is_depthwise
from tests.thinning import each_nth


def trained(architecture: Buildable, seed: int = 0) -> nn.Module:
    """A network whose numbers are all drawn, in doubles: a sum in another order changes no code."""
    generator = torch.Generator().manual_seed(seed)
    network = build(architecture)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif name.endswith(("activation.scale", "activation.lowest")):
                tensor.mul_(3)  # a range that inputs leave
            elif tensor.is_floating_point() and tensor.dim() == 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5 + 0.3)
    return network.double().eval()


def drawn(found: Couplings, random: Random, share: float = 0.7) -> tuple[set[int], list[str]]:
    """Some channels of most dimensions, and some blocks."""
    gone: set[int] = set()
    for dimension in found.dimensions:
        if dimension.most and random.random() < share:
            importance = {one: random.random() for cell in dimension.cells for one in cell}
            gone |= set(dimension.chosen(random.randint(1, dimension.most), importance))
    return gone, [block.name for block in found.blocks if random.random() < 0.3]


def zeroed(network: nn.Module, found: Couplings, gone: set[int], without: list[str]) -> nn.Module:
    """The whole network with all that belongs to some channels at zero, and without what blocks add."""
    network = copy.deepcopy(network)
    modules = dict(network.named_modules())
    for name, into in found.into.items():
        layer, out = modules[name], found.out[name]
        ins, outs = (torch.tensor([one not in gone for one in ids]).double() for ids in (into, out))
        numbers = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
        for tensor in numbers.values():
            if tensor.dim() and len(tensor) == len(out):
                tensor.data *= outs.view(-1, *[1] * (tensor.dim() - 1))
        if isinstance(layer, (*CONVOLUTIONS, *DENSE)) and not is_depthwise(layer):
            mask = masked(layer, ins)
            layer.weight.data *= mask
            if isinstance(layer, QuantConv2d | QuantLinear):
                leave_out(layer, mask * outs.view(-1, *[1] * (mask.dim() - 1)))
    for block in found.blocks:
        for maker in block.adds if block.name in without else ():
            for tensor in modules[found.behind[maker]].parameters():
                tensor.data.zero_()
    return network


def masked(layer: Any, ins: torch.Tensor) -> torch.Tensor:
    """(O, I / groups, 1, ...): which weights see a channel that is left."""
    groups, outputs = getattr(layer, "groups", 1), len(layer.weight)
    rows = ins.view(groups, -1).repeat_interleave(outputs // groups, 0)
    return rows.view(*rows.shape, *[1] * (layer.weight.dim() - 2))


def leave_out(layer: Any, mask: torch.Tensor) -> None:
    """Codes of +-1 have no zero: the sums leave these weights out."""
    whole = layer.convolved
    layer.convolved = lambda x, convolve: whole(x, lambda x, weight: convolve(x, weight * mask))


def check(architecture: Buildable, random: Random) -> Buildable:
    """Prune a network twice, and compare each with what it was; the architecture that is left."""
    network = trained(architecture)
    images = torch.rand(3, *architecture.input_shape, dtype=torch.float64)
    for _ in range(2):
        found = couplings(network, architecture.input_shape)
        gone, without = drawn(found, random)
        if not gone and not without:
            break
        widths = {**architecture.widths, **found.widths(gone, without)}
        dropped = tuple(f"{name}." for name in without)
        left = architecture.pruned({n: w for n, w in widths.items() if not n.startswith(dropped)}, without)
        pruned = cut(network, found, left, gone)
        with torch.no_grad():
            expected = zeroed(network, found, gone, without)(images)
            torch.testing.assert_close(pruned(images), expected, rtol=1e-9, atol=1e-9)
        assert read_architecture(left.to_json()) == left
        assert (
            search_spaces.size(left).bits_by_code.items()
            != search_spaces.size(architecture).bits_by_code.items()
        )
        network, architecture = pruned, left
    return architecture


@pytest.mark.parametrize(("name", "seed"), each_nth(7, ("tiny", "cifar", "mobile"), range(20)))
def test_random_networks_of_every_space(name: str, seed: int) -> None:
    architecture = search_spaces.space(name).sample(seed)
    assert isinstance(architecture, Architecture)
    check(
        architecture.model_copy(update={"input_shape": (architecture.input_shape[0], 16, 16)}), Random(seed)
    )
