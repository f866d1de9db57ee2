"""Weights of torchvision and timm: our networks compute with them what theirs do; all else is refused."""

import collections
import copy
import importlib.util
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator
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
from nas.training.pretrained import read_pretrained
from search_spaces.errors import InvalidInput
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


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    """The weights of torchvision's smallest network."""
    return zoo.network("squeezenet1_1", SIDE).state_dict()


Saved = Callable[[dict[str, Tensor], Path], Any]


@pytest.mark.parametrize(
    "write",
    [
        lambda weights, path: torch.save({"state_dict": weights, "epoch": 3}, path),
        lambda weights, path: torch.save({"model": weights, "lr": 0.1}, path),
        lambda weights, path: torch.save({f"module.{name}": t for name, t in weights.items()}, path),
        lambda weights, path: torch.save(weights, path, _use_new_zipfile_serialization=False),
        lambda weights, path: torch.save({name: t.bfloat16() for name, t in weights.items()}, path),
        lambda weights, path: save_file(weights, path),
    ],
    ids=["state_dict", "model", "module.", "old format", "bfloat16", "safetensors"],
)
def test_files_of_every_kind_are_read(write: Saved, small: dict[str, Tensor], tmp_path: Path) -> None:
    write(small, tmp_path / "file")
    found = read(tmp_path / "file", "squeezenet1.1-original")
    assert {t.dtype for t in found.tensors.values()} == {torch.float32}
    weight = found.tensors["features.3.expand3.0.weight"]
    torch.testing.assert_close(weight, small["features.3.expand3x3.weight"], rtol=0.01, atol=0)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    for number, write in enumerate(
        (torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing, 2)))
    ):
        path = tmp_path / f"{number}.pth"
        write({"conv1.weight": Evil(tmp_path / "harm")}, path)
        with pytest.raises(InvalidInput, match="holds Python objects, which are not run here"):
            read(path)
    assert not (tmp_path / "harm").exists()


def packed(weights: dict[str, Tensor], path: Path) -> None:
    """The same archive, compressed."""
    torch.save(weights, path)
    with zipfile.ZipFile(path) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def halved(weights: dict[str, Tensor], path: Path) -> None:
    torch.save(weights, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_number(value: float) -> Saved:
    def write(weights: dict[str, Tensor], path: Path) -> None:
        other = {**weights, "classifier.1.bias": weights["classifier.1.bias"].clone()}
        other["classifier.1.bias"][7] = value
        torch.save(other, path)

    return write


BIAS, FIRE = "classifier.1.bias", "features.3.squeeze.weight"
REFUSED: dict[str, tuple[Saved, str]] = {
    "absent": (lambda weights, path: None, "there is no file"),
    "nothing": (lambda weights, path: path.write_bytes(b""), "is no file of torch's or of safetensors"),
    "text": (lambda weights, path: path.write_text("hello, world"), "is no file of torch's or of"),
    "half": (halved, "is damaged"),
    "compressed": (packed, "is compressed, as torch's files never are"),
    "arguments": (
        lambda weights, path: torch.save({"model": weights, "args": Namespace()}, path),
        r"holds Python objects.*; save its state_dict\(\) alone",
    ),
    "whole network": (lambda weights, path: torch.save(nn.Linear(2, 3), path), "holds Python objects"),
    "list": (lambda weights, path: torch.save([1, 2], path), "holds no tensors by name"),
    "number": (lambda weights, path: torch.save({**weights, "step": 3}, path), "holds 'step', which is no"),
    "huge": (
        lambda weights, path: torch.save({**weights, BIAS: torch.zeros(1).expand(1 << 40)}, path),
        "has tensors of more than",
    ),
    "complex": (
        lambda weights, path: torch.save({**weights, BIAS: weights[BIAS].to(torch.complex64)}, path),
        f"holds '{BIAS}', which is no tensor of real numbers",
    ),
    "sparse": (
        lambda weights, path: torch.save({**weights, BIAS: weights[BIAS].to_sparse()}, path),
        f"holds '{BIAS}', which is no tensor of real numbers",
    ),
    "not a number": (with_number(float("nan")), f"'{BIAS}' has numbers that are not finite"),
    "infinite": (with_number(float("inf")), f"'{BIAS}' has numbers that are not finite"),
    "another network": (
        lambda weights, path: torch.save(nn.Linear(2, 3).state_dict(), path),
        "its tensors are of no network that is known here; give weights of one of efficientnet-b0, ",
    ),
    "mixture": (
        lambda weights, path: torch.save({**weights, "layer1.0.conv1.weight": torch.zeros(3)}, path),
        "it is not quite a torchvision/squeezenet1_1: it has 1 others, such as 'layer1.0.conv1'",
    ),
    "part": (
        lambda weights, path: torch.save({n: t for n, t in weights.items() if "features.3" not in n}, path),
        "not quite a torchvision/squeezenet1_1: it lacks 3 layers, such as 'features.3.expand1x1'",
    ),
    "without a bias": (
        lambda weights, path: torch.save({n: t for n, t in weights.items() if n != BIAS}, path),
        f"have the names of those of torchvision/squeezenet1_1, but '{BIAS}' is missing",
    ),
    "with more": (
        lambda weights, path: torch.save({**weights, "classifier.1.scale": torch.zeros(3)}, path),
        "but it has 'classifier.1.scale' as well",
    ),
    "wider": (
        lambda weights, path: torch.save({**weights, FIRE: torch.zeros(32, 64, 1, 1)}, path),
        f"but '{FIRE}' is 32x64x1x1, not 16x64x1x1",
    ),
    "one class": (
        lambda weights, path: torch.save(
            {n: t[:1] if n.startswith("classifier") else t for n, t in weights.items()}, path
        ),
        "is 1(x512x1x1)?, not 2",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_such_file_is_refused(kind: str, small: dict[str, Tensor], tmp_path: Path) -> None:
    write, told = REFUSED[kind]
    write(small, tmp_path / "w.pth")
    with pytest.raises(InvalidInput, match=told) as caught:
        read(tmp_path / "w.pth")
    assert caught.value.parameter == "weights"
    assert "w.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    weights = zoo.network("mnasnet0_5", SIDE).state_dict()
    weights["layers.1.running_var"][3] = -1
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(InvalidInput, match=r"'layers\.1\.running_var' has a negative variance"):
        read(tmp_path / "w.pth")


def test_the_network_that_is_asked_for_is_there(small: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(small, tmp_path / "w.pth")
    with pytest.raises(InvalidInput, match=r"holds weights of squeezenet1\.1-original, not of resnet18"):
        read(tmp_path / "w.pth", "resnet18")
    with pytest.raises(InvalidInput, match="no other library's weights are known for 'resnet20'; choose"):
        read(tmp_path / "w.pth", "resnet20")


def test_every_family_names_all_layers_of_a_network_of_ours() -> None:
    assert {*families} == {f"torchvision/{name}" for name in NAMES} | {f"timm/{name}" for name in TIMM}
    for name in families:
        family = families.get(name)
        assert isinstance(family, Family)
        with torch.device("meta"):
            module = search_spaces.network(family.network)
        named = {n for n, m in module.named_modules() if dict(m.named_parameters(recurse=False))}
        assert set(family.layers.values()) == named, name


@pytest.mark.parametrize("kind", ["w.pth", "w.safetensors"])
def test_a_search_starts_from_them(kind: str, small: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / kind
    torch.save(small, path) if kind == "w.pth" else save_file(small, path)
    weights = read_pretrained(path)
    module = search_spaces.network("squeezenet1.1-original")
    assert weights.share(module) == 1
    weights.start(module)
    torch.testing.assert_close(module.state_dict()["features.3.squeeze.0.weight"], small[FIRE])


def test_a_search_does_not_start_from_other_files_of_torchs(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "w.pth")
    with pytest.raises(InvalidInput, match="of no network that is known here") as caught:
        read_pretrained(tmp_path / "w.pth")
    assert caught.value.parameter == "pretrained"
    save_file(copy.copy(nn.Linear(2, 3).state_dict()), tmp_path / "w.safetensors")
    assert set(read_pretrained(tmp_path / "w.safetensors").tensors) == {"weight", "bias"}
