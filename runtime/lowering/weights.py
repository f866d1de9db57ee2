"""The weights of a step: those of the layer that it calls, or the parameters that a function is given."""

from dataclasses import replace
from typing import Any

from torch import nn

from runtime.lowering.rulebook import At, HeldWeight


class Weighted(nn.Module):
    """The weights that a function is given, as those of a layer."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, groups: Any = 1) -> None:
        super().__init__()
        self.weight, self.bias, self.groups = weight, bias, groups


def weighted(at: At, weight: Any, bias: Any, groups: Any = 1) -> At:
    """Where a function is lowered as the layer that has these weights."""
    require_held(at, weight, bias)
    at.require(weight is not None, "it has no weight")
    return replace(at, layer=Weighted(weight.tensor, bias and bias.tensor, groups))


def require_held(at: At, *weights: Any) -> None:
    """Refuse weights that are neither parameters of a module nor left out."""
    known = all(isinstance(each, HeldWeight | None) for each in weights)
    at.require(known, "its weights are not parameters that a module holds")


def require_weight(at: At, rank: int, is_transposed: bool = False) -> tuple[int, ...]:
    """The shape of a layer's weight, (O, C / groups, ...), or (C, O / groups, ...) of a transposed one.

    Raises:
        UnsupportedLayerError: weight and bias are of shapes that torch refuses when it runs.
    """
    layer = at.layer
    shape, bias, groups = tuple(layer.weight.shape), layer.bias, getattr(layer, "groups", 1)
    at.require(len(shape) == rank, f"its weight has the shape {shape}; {rank} numbers are needed")
    at.require(min(shape) > 0, f"its weight of shape {shape} holds nothing")
    at.require(groups > 0 and shape[0] % groups == 0, f"{groups} groups do not divide {shape[0]} channels")
    outputs = shape[1] * groups if is_transposed else shape[0]
    at.require(bias is None or tuple(bias.shape) == (outputs,), f"its bias does not have {outputs} numbers")
    return shape
