"""Files of weights that somebody else wrote: which are read, and how all others are refused."""

import copy
import importlib.util
import pickle
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import search_spaces
from benchmarks import zoo
from nas.training.foreign import read
from nas.training.pretrained import read_pretrained
from search_spaces.errors import InvalidInput

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed: pip install -e '.[dev]'", allow_module_level=True)


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    """The weights of torchvision's smallest network."""
    return zoo.network("squeezenet1_1").state_dict()


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
    evil = {"conv1.weight": Evil(tmp_path / "harm")}
    torch.save(evil, tmp_path / "archive.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(evil, 2))
    for name in ("archive.pth", "pickle.pth"):
        with pytest.raises(InvalidInput, match="holds Python objects, which are not run here"):
            read(tmp_path / name)
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
    weights = zoo.network("mnasnet0_5").state_dict()
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
