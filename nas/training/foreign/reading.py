"""Reads the weights of another library's network as those of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.training.foreign.family import families
from nas.training.foreign.files import tensors_of
from nas.training.foreign.matching import Match, converted, find, matched
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Foreign:
    """Trained weights of another library, under our names.

    Attributes:
        path: the file.
        family: the library and its name for the network, such as ``torchvision/resnet50``.
        network: our name for it, one of ``search_spaces.networks``.
        tensors: parameters and statistics of batch norms, float32 on the CPU, by our names.
        classes: that it was trained to tell apart.
        side: of the images that it is made for, in pixels.
    """

    path: Path
    family: str
    network: str
    tensors: "dict[str, Tensor]"
    classes: int
    side: int

    def module(self) -> "nn.Module":
        """Our network in float with these weights, in eval mode; it takes (N, 3, side, side)."""
        import search_spaces

        module = search_spaces.network(self.network, classes=self.classes)
        module.load_state_dict(self.tensors, strict=False)  # layers in float have ranges that nothing uses
        return module.eval()


def read(path: Path, network: str | None = None) -> Foreign:
    """Weights that torchvision or timm saved, in a ``.pth`` or a ``.safetensors`` file.

    The network is recognised by the names and shapes of all tensors. Nothing in the file is run.

    Args:
        path: the file.
        network: the one of ours that it must be of; any where not given.

    Raises:
        InvalidInput: it is missing, too large, damaged, holds more than tensors, or numbers that are not
            finite; or its tensors are of no network that is known, of several, or of another ``network``.
    """
    if network is not None:
        _check_known(network)
    tensors = tensors_of(path)
    with _about(path):
        match = matched(tensors)
        if network not in (None, match.family.network):
            problem = f"it holds weights of {match.family.network}, not of {network}"
            raise InvalidInput("weights", problem, "give weights of the same network")
        return _foreign(path, match, tensors)


def translated(path: Path, tensors: "dict[str, Tensor]") -> Foreign | None:
    """The same of tensors that were read from a file; None where they are of no network that is known.

    Raises:
        InvalidInput: numbers are not finite, or variances negative.
    """
    match = find(tensors)
    with _about(path):
        return None if match is None else _foreign(path, match, tensors)


def _foreign(path: Path, match: Match, tensors: "dict[str, Tensor]") -> Foreign:
    family, ours = match.family, converted(match, tensors)
    return Foreign(path, match.name, family.network, ours, match.classes, family.side)


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Within, problems of tensors name the file that these are of."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(error.parameter, f"'{path}': {error.problem}", error.fix) from error


def _check_known(network: str) -> None:
    names = {families.get(name).network for name in families}
    if network not in names:
        problem = f"no other library's weights are known for '{network}'"
        raise InvalidInput("network", problem, f"choose one of {', '.join(sorted(names))}")
