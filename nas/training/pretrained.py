"""Trained weights that the candidates of a search start from, wherever names and shapes agree."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.training.job import ARCHITECTURE, MODEL, PUBLISHED, WEIGHTS, TrainJob, job_of
from nas.training.weights import LayerCodes, codes_of, codes_of_job, take_over
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn


ENOUGH = 7
"""Bits of weights with which a network computes nearly what it did in float."""


@dataclass(frozen=True)
class Pretrained:
    """The tensors of a trained network, by torch's names.

    Attributes:
        path: where they were read.
        tensors: parameters and buffers.
        codes: of the layers that they are of, by name; a layer that is not there is in float.
    """

    path: Path
    tensors: "dict[str, Tensor]"
    codes: dict[str, LayerCodes]

    def start(self, module: "nn.Module") -> set[str]:
        """Let a network start from these weights; gives the names of parameters that have little to learn.

        These are all that it took over, but for blocks with a layer that had more bits here.

        A layer whose weights have another code than here starts at the real weights, with the scales that fit
        them best. What agrees in name but not in shape stays as it is.
        """
        taken = take_over(module, self.tensors, self.codes)
        now = codes_of(module)
        fewer = {
            _block(name) for name, codes in now.items() if codes.weight.bits < min(self._bits(name), ENOUGH)
        }
        return {name for name, _ in module.named_parameters() if name in taken and _block(name) not in fewer}

    def _bits(self, name: str) -> float:
        return self.codes[name].weight.bits if name in self.codes else 32

    def share(self, module: "nn.Module") -> float:
        """The share of a network's weights, 0..1, that agree with these in name and shape."""
        own = {name: p for name, p in module.named_parameters() if p.ndim > 1}
        shapes = {name: t.shape for name, t in self.tensors.items()}
        taken = sum(p.numel() for name, p in own.items() if shapes.get(name) == p.shape)
        return taken / max(1, sum(p.numel() for p in own.values()))


def _block(name: str) -> str:
    """The part of a network that a layer or a parameter belongs to, such as ``blocks.3``."""
    return ".".join(name.split(".")[:2])


def _file_of(path: Path) -> Path:
    """The weights in the folder of an export or of a training; a file as it is."""
    if not path.is_dir():
        return path
    return next((path / name for name in (MODEL, WEIGHTS) if (path / name).is_file()), path / MODEL)


def read_pretrained(path: Path) -> Pretrained:
    """What ``nas train`` or ``nas export`` wrote, or any safetensors file of a network in float.

    Weights of torchvision and timm, also in files of torch's, get our names (``nas.training.foreign``).

    Raises:
        InvalidInput: it is not there, no safetensors file, or one of torch's of a network that is not known.
        BitnasError: what is beside exported weights does not say what they are.
    """
    path = _file_of(path)
    if not path.is_file():
        raise InvalidInput("pretrained", f"there is no file '{path}'", "name a file of weights")
    from nas.training.checkpoint import tensors_and_note

    if _is_torchs(path):
        return _of_another_library(path)
    try:
        tensors, note = tensors_and_note(path)
    except BitnasError as error:
        problem = f"'{path}' is no safetensors file"
        raise InvalidInput(
            "pretrained", problem, "give one of `nas train`, `nas export`, torchvision or timm"
        ) from error
    given = {name.removeprefix("module."): t for name, t in tensors.items()}  # a checkpoint's have a prefix
    codes = _codes(path, note)
    return Pretrained(path, given if note or codes else _with_our_names(path, given), codes)


def _is_torchs(path: Path) -> bool:
    from nas.training.foreign.files import is_torchs

    try:
        return is_torchs(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _of_another_library(path: Path) -> Pretrained:
    from nas.training.foreign import read

    try:
        return Pretrained(path, read(path).tensors, {})
    except InvalidInput as error:
        raise error.of("pretrained") from error


def _with_our_names(path: Path, tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Those of torchvision and timm under our names, and theirs, which networks of plug-ins may have."""
    from nas.training.foreign import translated

    try:
        found = translated(path, tensors)
    except InvalidInput as error:
        raise error.of("pretrained") from error
    return tensors if found is None else {**tensors, **found.tensors}


def digest_of(path: Path) -> str:
    """The sha256 of a file of weights, by which a search knows it again.

    Raises:
        InvalidInput: it cannot be read.
    """
    import hashlib

    path = _file_of(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InvalidInput:
    reason = error.strerror or str(error)
    return InvalidInput("pretrained", f"'{path}' cannot be read ({reason})", "put it there")


def _codes(path: Path, note: object) -> dict[str, LayerCodes]:
    """What the numbers of layers are about, by what was written with them."""
    if isinstance(note, dict):
        from nas.training.checkpoint import Loaded

        return codes_of_job(job_of(Loaded(path, {}, note)))
    try:
        if (file := path.with_name(ARCHITECTURE)).is_file():
            return _codes_of_architecture(file.read_text(encoding="utf-8"))
        if (file := path.with_name(PUBLISHED)).is_file():
            known = json.loads(file.read_text(encoding="utf-8"))
            names = ("network", "precision", "classifier")
            return codes_of_job(TrainJob(data="", epochs=1, **{name: known[name] for name in names}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BitnasError(f"{file}: it does not say what the weights are; export them again") from error
    return {}


def _codes_of_architecture(text: str) -> dict[str, LayerCodes]:
    import torch

    import search_spaces

    with torch.device("meta"):  # names and codes, without memory
        return codes_of(search_spaces.build(search_spaces.read_architecture(text)))
