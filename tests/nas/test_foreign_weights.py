"""Weights of torchvision and timm: our networks compute with them what theirs do."""

import collections
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import runtime
import search_spaces
from benchmarks import zoo
from nas.training.foreign import Foreign, read
from nas.training.foreign.family import Family, families
from search_spaces.sizing import layers

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed: pip install -e '.[dev]'", allow_module_level=True)

SIDE = 70
"""Not even all the way down, so that paddings and poolings at the edges count."""
NAMES = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2",
    "mobilenet_v3_small": "mobilenetv3-small",
    "mobilenet_v3_large": "mobilenetv3-large",
    "efficientnet_b0": "efficientnet-b0",
    "squeezenet1_0": "squeezenet1.0-original",
    "squeezenet1_1": "squeezenet1.1-original",
    "mnasnet0_5": "mnasnet-b1-0.5",
    "mnasnet1_0": "mnasnet-b1",
}
"""Ours by torchvision's."""

SLOW = ("resnet50", "mnasnet1_0", "squeezenet1_0", "mobilenet_v3_large")
"""Those that are large, and of the kinds of others."""

TIMM = {
    # in order: the kind of each stage's blocks, how many, and whether these squeeze
    "mobilenetv2_100": "ds1 ir2 ir3 ir4 ir3 ir3 ir1",
    "mobilenetv3_small_100": "ds1se ir2 ir3se ir2se ir3se cn1",
    "mobilenetv3_large_100": "ds1 ir2 ir3se ir4 ir2se ir3se cn1",
    "efficientnet_b0": "ds1se ir2se ir2se ir3se ir3se ir4se ir1se",
    "mnasnet_050": "ds1 ir3 ir3 ir3 ir2 ir4 ir1",
    "mnasnet_100": "ds1 ir3 ir3 ir3 ir2 ir4 ir1",
}
"""The stages of timm's networks, as their definitions have them."""

THEIRS = {
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "efficientnet_b0": "efficientnet_b0",
    "mnasnet_050": "mnasnet0_5",
    "mnasnet_100": "mnasnet1_0",
}
"""The same networks in torchvision."""


def some(names: dict[str, Any]) -> list[Any]:
    """The names, of which the large ones are slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if THEIRS.get(name, name) in SLOW else [])
        for name in names
    ]


def drawn(module: nn.Module) -> nn.Module:
    """The same with biases and shifts that are not zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for part in module.modules():
            bias = getattr(part, "bias", None)
            if isinstance(bias, Tensor):
                bias.copy_(torch.randn(bias.shape, generator=generator) * 0.1)
            if isinstance(part, nn.BatchNorm2d):
                part.weight.copy_(torch.rand(part.weight.shape, generator=generator) + 0.5)
    return module


def agrees(found: Foreign, theirs: nn.Module) -> None:
    """Our network with these weights gives their logits; in doubles, as random weights enlarge roundings."""
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        expected, logits = (module.double().eval()(images) for module in (theirs, found.module()))
    size = expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 0.01 * size, "it does not depend on the image"
    assert (logits - expected).abs().max() <= 1e-4 * size


@pytest.mark.parametrize("name", some(NAMES))
def test_torchvisions_weights_give_its_logits(name: str, tmp_path: Path) -> None:
    theirs = drawn(zoo.network(name, SIDE))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")
    assert (found.family, found.network) == (f"torchvision/{name}", NAMES[name])
    assert (found.classes, found.side) == (1000, 224)
    agrees(found, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        both = search_spaces.network(NAMES[name]), getattr(zoo.torchvision_models(), name)(weights=None)
    ours, theirs = (
        (
            sum(p.numel() for p in module.parameters()),
            sum(layer.macs for layer in layers(module, (3, 224, 224))),
        )
        for module in both
    )
    assert ours == theirs


@pytest.mark.slow
def test_the_compiled_network_gives_their_logits(tmp_path: Path) -> None:
    theirs = drawn(zoo.network("mobilenet_v3_small", SIDE))
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = theirs(images).numpy()
    found = runtime.compile(read(tmp_path / "w.pth").module(), images.shape).run(images.numpy())
    assert abs(found - expected).max() <= 1e-4 * abs(expected).max()


def timm_layers(name: str) -> Iterator[str]:
    """The layers of timm's network, in the order in which images meet them."""
    yield from ("conv_stem", "bn1")
    for stage, told in enumerate(TIMM[name].split()):
        kind, count, squeezes = re.fullmatch(r"(..)(\d)(se)?", told).groups()  # type: ignore[union-attr]
        attention = ("se.conv_reduce", "se.conv_expand") if squeezes else ()
        parts = {
            "ds": ("conv_dw", "bn1", *attention, "conv_pw", "bn2"),
            "ir": ("conv_pw", "bn1", "conv_dw", "bn2", *attention, "conv_pwl", "bn3"),
            "cn": ("conv", "bn1"),
        }[kind]
        yield from (f"blocks.{stage}.{index}.{part}" for index in range(int(count)) for part in parts)
    yield from (("conv_head",) if "mobilenetv3" in name else ("conv_head", "bn2"))
    yield "classifier"


def renamed(name: str, theirs: nn.Module) -> dict[str, Tensor]:
    """torchvision's weights as timm's network would have them: the layers come in the same order."""
    given: dict[str, dict[str, Tensor]] = collections.defaultdict(dict)
    for key, tensor in theirs.state_dict().items():
        layer, _, part = key.rpartition(".")
        given[layer][part] = tensor
    found = {}
    for layer, parts in zip(timm_layers(name), given.values(), strict=True):
        for part, tensor in parts.items():
            is_dense_head = layer == "conv_head" and tensor.dim() == 2
            found[f"{layer}.{part}"] = tensor[:, :, None, None] if is_dense_head else tensor
    return found


@pytest.mark.parametrize("name", some(TIMM))
def test_timms_weights_give_its_logits(name: str, tmp_path: Path) -> None:
    theirs = drawn(zoo.network(THEIRS[name], SIDE))
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1e-5  # as timm has it everywhere
    save_file(renamed(name, theirs), tmp_path / "w.safetensors")
    found = read(tmp_path / "w.safetensors")
    assert (found.family, found.network) == (f"timm/{name}", NAMES[THEIRS[name]])
    agrees(found, theirs)


@pytest.mark.parametrize("name", some(dict.fromkeys([*TIMM, "resnet18", "resnet50"])))
def test_timm_itself_agrees(name: str, tmp_path: Path) -> None:
    """Where it is installed; nothing here depends on it."""
    zoo.torchvision_models()  # which it imports
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = drawn(timm.create_model(name, num_classes=7))
    for part in theirs.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the mean of all that it sees
    with torch.no_grad():
        theirs.train()(torch.randn(8, 3, SIDE, SIDE))  # the statistics of noise
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")
    assert found.classes == 7 and found.network == NAMES[THEIRS.get(name, name)]
    agrees(found, theirs)


def test_every_family_names_all_layers_of_a_network_of_ours() -> None:
    assert {*families} == {f"torchvision/{name}" for name in NAMES} | {f"timm/{name}" for name in TIMM}
    for name in families:
        family = families.get(name)
        assert isinstance(family, Family)
        with torch.device("meta"):
            module = search_spaces.network(family.network)
        named = {n for n, m in module.named_modules() if dict(m.named_parameters(recurse=False))}
        assert set(family.layers.values()) == named, name
