"""The weights of a training: read as its network, or taken over by another of the same kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.training.job import WEIGHTS, TrainJob, job_of
from search_spaces.errors import PLUGINS, BitnasError, InvalidInput
from search_spaces.weight_codes import WeightCode, weight_codes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.training.checkpoint import Loaded


def load_network(path: Path) -> "nn.Module":
    """The network of a file of weights, with them, in eval mode.

    Raises:
        BitnasError: the file is missing, damaged, or a checkpoint.
    """
    from nas.training import checkpoint

    return network_of(checkpoint.read(path))


def network_of(loaded: "Loaded") -> "nn.Module":
    """The network of weights that were read, with them, in eval mode.

    Raises:
        BitnasError: they are a checkpoint's, or of something else.
    """
    import search_spaces

    path, job, classes = loaded.path, job_of(loaded), loaded.about.get("classes")
    if not isinstance(classes, int):
        raise BitnasError(f"{path}: it is a checkpoint; name the {WEIGHTS} of a training that is done")
    channels = loaded.about.get("channels")
    try:
        module = search_spaces.network(job.network, job.precision, classes, job.classifier, channels)
    except InvalidInput as error:
        given = f"'{job.network}' in '{job.precision}'"
        raise BitnasError(
            f"{path}: it is {given}, and {error.problem}; if a plug-in brings it, give it by ", PLUGINS
        ) from error
    try:
        module.load_state_dict(loaded.tensors)
    except RuntimeError as error:
        raise BitnasError(f"{path}: it does not hold a '{job.network}'; train again") from error
    check_finite(module, path)
    return module.eval()


def check_finite(module: "nn.Module", path: Path) -> None:
    """Refuse a network that computes nothing: what its last step made was judged by no loss.

    Raises:
        BitnasError: a parameter is not finite.
    """
    names = [name for name, p in module.named_parameters() if not p.isfinite().all()]
    if names:
        raise BitnasError(f"{path}: {names[0]} is not finite; train again at a lower learning rate")


def transfer(module: "nn.Module", path: Path, network: str) -> list[str]:
    """Take over all tensors that fit by name and shape; gives the names of those that stay as they are.

    A layer that codes its weights as before keeps its scales, one that codes its input so keeps its range. A
    layer of another code starts at the real weights, with fitting scales.

    Raises:
        BitnasError: not one of the layers' weights fits.
        InvalidInput: they are of another network.
    """
    from nas.training import checkpoint

    loaded = checkpoint.read(path)
    if job_of(loaded).network != network:
        problem = f"'{path}' holds weights of {job_of(loaded).network}, not of {network}"
        raise InvalidInput("start", problem, "name weights of the same network")
    given = {name.removeprefix("module."): t for name, t in loaded.tensors.items()}
    own = module.state_dict()
    if not any(name.endswith("weight") and own[name].ndim > 1 for name in _fitting(own, given)):
        raise BitnasError(f"{path}: none of its tensors fits this network; name weights of the same one")
    return sorted(set(own) - take_over(module, given, codes_of_job(job_of(loaded))))


def take_over(module: "nn.Module", given: "dict[str, Tensor]", was: "dict[str, LayerCodes]") -> set[str]:
    """Take over all tensors that fit by name and shape; gives the names of those that it took.

    Args:
        module: the network that takes them.
        given: parameters and buffers of another.
        was: what the layers of the other coded, by name; one that is not there was in float.
    """
    from search_spaces.layers import QuantConv2d, QuantLinear

    fitting = _fitting(module.state_dict(), given)
    recoded, stale = _changes(was, codes_of(module))
    fitting = {name: t for name, t in fitting.items() if name not in stale}
    # what latent weights stand for: those that started small have stayed so
    starts = {name: was.get(name, _FLOAT).weight.start for name in recoded}
    real = {n: given[f"{n}.weight"] / starts[n] for n in recoded if f"{n}.weight" in fitting}
    module.load_state_dict(fitting | {f"{n}.weight": t for n, t in real.items()}, strict=False)
    for name, weight in real.items():
        layer = module.get_submodule(name)
        if isinstance(layer, QuantConv2d | QuantLinear):
            layer.start_from(weight)
    return set(fitting)


def _fitting(own: "dict[str, Tensor]", given: "dict[str, Tensor]") -> "dict[str, Tensor]":
    return {name: t for name, t in given.items() if name in own and own[name].shape == t.shape}


@dataclass(frozen=True)
class LayerCodes:
    """What a layer's learned numbers are about.

    Attributes:
        weight: the code of the weights.
        scales: the names of their learned scales.
        activation: the code of the input, and whether its range is fixed; empty where it is taken as it is.
    """

    weight: WeightCode
    scales: tuple[str, ...] = ()
    activation: tuple[str, bool] | tuple[()] = ()


_FLOAT = LayerCodes(weight_codes.get_early("float"))


def _changes(was: dict[str, LayerCodes], now: dict[str, LayerCodes]) -> tuple[list[str], set[str]]:
    """Layers whose weights have another code, and the tensors of scales and ranges that were another's."""
    recoded = [name for name, codes in now.items() if was.get(name, _FLOAT).weight is not codes.weight]
    reranged = [name for name, codes in now.items() if was.get(name, _FLOAT).activation != codes.activation]
    stale = {f"{name}.{part}" for name in recoded for part in now[name].scales}
    stale |= {
        f"{name}.activation.{part}" for name in reranged for part in ("scale", "lowest", "basis", "batches")
    }
    return recoded, stale


def codes_of(module: "nn.Module") -> dict[str, LayerCodes]:
    """Of every layer by name; torch's own are in float, where other plans may have one of ours."""
    from torch import nn

    from search_spaces.layers import QuantConv2d, QuantLinear

    found = {}
    for name, layer in module.named_modules():
        if isinstance(layer, QuantConv2d | QuantLinear):
            activation = layer.activation.code, layer.activation.is_fixed
            found[name] = LayerCodes(layer.weight_code, layer.scale_names, activation)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            found[name] = _FLOAT
    return found


def codes_of_job(job: TrainJob) -> dict[str, LayerCodes]:
    import torch

    import search_spaces

    try:
        with torch.device("meta"):
            return codes_of(search_spaces.network(job.network, job.precision, None, job.classifier))
    except InvalidInput as error:
        problem = f"the weights are in '{job.precision}', and {error.problem}"
        raise InvalidInput("start", problem, ("if a plug-in brings it, give it by ", PLUGINS)) from error
