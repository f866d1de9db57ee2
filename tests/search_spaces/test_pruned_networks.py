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
from search_spaces.block import blocks
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


@pytest.mark.parametrize(("name", "seed"), each_nth(11, ("tiny", "cifar", "mobile"), range(20)))
def test_random_networks_of_every_space(name: str, seed: int) -> None:
    architecture = search_spaces.space(name).sample(seed)
    assert isinstance(architecture, Architecture)
    check(
        architecture.model_copy(update={"input_shape": (architecture.input_shape[0], 16, 16)}), Random(seed)
    )


PUBLISHED = [
    ("resnet20", "ternary", 16),  # shortcuts that subsample and pad channels
    ("resnet20-dw", "int8", 16),
    ("resnet20-react", "binary", 16),  # shifts and PReLUs behind the sum
    ("resnet20", "binary-case4", 32),  # scales by channel, row and column
    ("bcnn-quarter", "binary", 32),  # images flattened to features
    ("squeezenet1.0-bypass", "float", 64),  # concatenations that are added to
    ("shufflenet-g2", "int8", 64),
    ("mnasnet-a1", "float", 64),  # gates
    ("resnet18", "float", 64),
    ("mobilenetv2", "int8", 64),
    ("mobilenetv3-small", "float", 64),  # hard swish and hard gates, and a dense layer before the classifier
    ("efficientnet-b0", "int8", 64),  # SiLU
    ("resnet50", "float", 64),
    ("squeezenet1.1-original", "int8", 64),  # biases
]


@pytest.mark.parametrize(
    ("name", "precision", "side"),
    [
        pytest.param(*case, marks=[] if i in (0, 3, 4, 10) else pytest.mark.slow)
        for i, case in enumerate(PUBLISHED)
    ],
)
def test_published_networks(name: str, precision: str, side: int) -> None:
    network = NamedNetwork(network=name, precision=precision, input_shape=(3, side, side), classes=10)
    left = check(network, Random(3))
    assert isinstance(left, NamedNetwork)
    assert left.title == f"{name} in {precision}, pruned"
    assert not {**left.pruned({}).model_dump(), "without": []}.keys() & {"widths"}


def small(*layers: Block, stem: int = 16) -> Architecture:
    return Architecture(
        space="mine",
        input_shape=(3, 8, 8),
        classes=4,
        stem=Stem(width=stem, kernel=3, stride=1, precision="float"),
        blocks=layers,
        head=Head(precision="float"),
    )


def block(kind: str, width: int, precision: str, stride: int = 1, **more: Any) -> Block:
    roles = dict.fromkeys(blocks.get(kind).roles, precision)
    return Block(kind=kind, width=width, kernel=3, stride=stride, precisions=roles, **more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (block("conv", 32, "float", groups=4), block("conv", 32, "binary", skip=True)),
        (block("residual", 32, "int8", 2), block("residual", 32, "binary")),
        (block("separable", 32, "ternary", 2, pool=True), block("separable", 32, "int8", skip=True)),
        (
            block("inverted", 24, "float", 2, expansion=3),
            block("inverted", 24, "int8", expansion=2, squeeze=0.5, skip=True),
        ),
        (block("shuffle", 64, "dithered", 2, groups=2), block("shuffle", 64, "binary", groups=2)),
        (block("fire", 32, "binary", 2), block("fire", 32, "float", skip=True)),
    ],
)
def test_every_kind_of_block_can_be_cut_and_left_out(one: Block, other: Block) -> None:
    architecture = small(one, other)
    network = build(architecture).eval()
    found = couplings(network, architecture.input_shape)
    assert [each.name for each in found.blocks] == ["block1"]
    inside = [d.name for d in found.dimensions if d.name.startswith("block")]
    assert {name.split(".")[0] for name in inside} == {"block0", "block1"} or one.kind in (
        "conv",
        "separable",
    )
    for seed in range(3):
        check(architecture, Random(seed))


class Halves(nn.Module):
    """Two halves of what comes in, one of which gates the other, and a step that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.second = nn.Conv2d(8, 12, 3)
        self.third = nn.Conv2d(12, 6, 1)
        self.last = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = self.first(x).chunk(2, dim=1)
        x = self.second(one * torch.sigmoid(other))
        x = self.third(x.roll(1, dims=1))
        return self.last(x.mean((2, 3)))  # type: ignore[no-any-return]  # torch's


def test_halves_go_together_and_what_nobody_knows_stays() -> None:
    found = couplings(Halves(), (3, 8, 8))
    assert [(d.name, d.units) for d in found.dimensions] == [("first", 8), ("third", 6)]
    gone = set(found.dimensions[0].chosen(3, dict.fromkeys(range(100), 0.0)))
    assert found.widths(gone) == {"first": 10}
    assert found.blocks == ()


def test_what_a_relu_would_change_is_not_left_out() -> None:
    class Adding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x + self.conv(x))

    stem = nn.Conv2d(3, 8, 3)
    assert couplings(nn.Sequential(stem, Adding()), (3, 8, 8)).blocks == ()
    assert [b.name for b in couplings(nn.Sequential(stem, nn.ReLU(), Adding()), (3, 8, 8)).blocks] == ["2"]


def test_the_data_of_a_pruned_network_is_canonical_and_checked() -> None:
    whole = NamedNetwork(network="resnet20", input_shape=(3, 32, 32), classes=10)
    assert "widths" not in whole.to_json() and "without" not in whole.to_json()
    left = whole.pruned({"blocks.0.conv1.0": 8}, ["blocks.1"])
    assert left == whole.pruned({"blocks.0.conv1.0": 8}, ["blocks.1", "blocks.1"])
    assert left.digest != whole.digest
    assert read_architecture(left.to_json()) == left
    assert hash(left) != hash(whole)
    built = build(left)
    assert built.get_submodule("blocks.0.conv1.0").out_channels == 8
    assert built.get_submodule("blocks.0.conv2.0").in_channels == 8
    for widths, without, told in (
        ({"blocks.0.conv9": 8}, [], r"^architecture\.widths: the network has no part 'blocks\.0\.conv9'"),
        ({"blocks.0.conv1.0": 17}, [], r"^architecture\.widths: 'blocks\.0\.conv1\.0' makes only 16;"),
        ({"blocks.0.conv1.1": 7}, [], r"^architecture\.widths: 'blocks\.0\.conv1\.1' makes no channels;"),
        ({"blocks.0.conv2.0": 7}, [], r"^architecture\.widths: layers do not fit \("),
        ({}, ["blocks.77"], r"^architecture\.without: the network has no part 'blocks\.77'"),
    ):
        with pytest.raises(InvalidInput, match=told):
            build(whole.pruned(widths, without))
    with pytest.raises(InvalidInput, match=r"^architecture\.widths"):
        whole.pruned({"../x": 3})
    with pytest.raises(InvalidInput, match=r"^architecture\.widths"):
        whole.pruned({"stem.0": -1})


def test_a_pruned_network_is_predicted_as_it_is_compiled() -> None:
    from latency.model.workloads import checked, workloads_of

    architecture = small(block("shuffle", 64, "float", groups=2), block("residual", 64, "binary"), stem=32)
    found = couplings(build(architecture), architecture.input_shape)
    gone, without = drawn(found, Random(1), share=1.0)
    left = architecture.pruned(found.widths(gone, without), without)
    before = workloads_of(architecture)
    checked(left)  # which raises where its kernels are others
    assert workloads_of(left) != before
    assert workloads_of(architecture) == before, "what is shared among architectures has not changed"
    checked(architecture)
