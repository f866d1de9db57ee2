"""Puts single layers of a network into the precisions that its architecture gives them by name."""

from typing import Any

import torch
from torch import nn

from search_spaces.architecture import Buildable, NamedNetwork
from search_spaces.errors import InvalidInput
from search_spaces.layers import QuantConv2d, QuantLinear
from search_spaces.precision import Precision, precisions

CONVOLUTIONS, DENSE = (QuantConv2d, nn.Conv2d), (QuantLinear, nn.Linear)
FIELD = "architecture.layer_precisions"


def recode(network: nn.Module, architecture: Buildable) -> None:
    """Make the layers anew that an architecture gives a precision of their own, with fresh weights.

    All keep their names, so weights of the network in another precision fit.

    Raises:
        InvalidInput: there is no such layer or precision, or it takes signs where numbers are never negative.
    """
    for name, precision in architecture.layer_precisions.items():
        try:
            made = recoded(_known(network, name), _precision(name, precision, architecture))
        except InvalidInput as error:
            raise error if error.parameter.startswith(FIELD) else error.of(f"{FIELD}.{name}") from error
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, made)


def recodable(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that precisions can be given to, by name, in order."""
    return {name: layer for name, layer in network.named_modules() if _is_recodable(layer)}


def recoded(layer: Any, precision: Precision) -> QuantConv2d | QuantLinear:
    """A layer of the same shape in another precision, with fresh weights.

    A ReLU that is the layer's own stays; torch's layers have none.
    """
    bias = layer.bias is not None
    made: QuantConv2d | QuantLinear
    with torch.device(layer.weight.device):
        if isinstance(layer, CONVOLUTIONS):
            shared: Any = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
            window: Any = layer.kernel if isinstance(layer, QuantConv2d) else layer.kernel_size
            relu = isinstance(layer, QuantConv2d) and layer.activation.relu
            made = QuantConv2d(
                layer.in_channels, layer.out_channels, window, precision, **shared, relu=relu, bias=bias
            )
        else:
            own = layer.activation if isinstance(layer, QuantLinear) else None
            options: Any = {} if own is None else {"relu": own.relu, "plane": own.plane}
            made = QuantLinear(layer.in_features, layer.out_features, precision, bias=bias, **options)
    made.train(layer.training)
    return made


def _is_recodable(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return isinstance(layer, QuantConv2d | QuantLinear | nn.Linear)


def _known(network: nn.Module, name: str) -> Any:
    layer = dict(network.named_modules()).get(name)
    if layer is None or not _is_recodable(layer):
        problem = f"the network has no convolution or dense layer '{name}'"
        raise InvalidInput(FIELD, problem, "name one, or leave it out")
    return layer


def _precision(name: str, text: str, architecture: Buildable) -> Precision:
    found = precisions.get(text)
    if found.activation == "binary" and isinstance(architecture, NamedNetwork):
        problem = f"'{text}' takes signs, which may all be +1 in a network that was not made for them"
        raise InvalidInput(f"{FIELD}.{name}", problem, "choose one that takes numbers")
    return found
