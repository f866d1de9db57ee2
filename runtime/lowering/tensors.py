"""Reads what layers hold, in evaluation mode, without a change to them: some make weights as they run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy

from search_spaces.errors import UnsupportedLayerError


@contextmanager
def as_it_runs(layer: Any) -> Iterator[Any]:
    """A copy of a layer as it is when its forward begins: hooks that make its weight have made it.

    It shares its tensors with the layer. Parametrizations compute as they do in evaluation mode.
    """
    before = {m: m.training for m in layer.modules()}
    copy = object.__new__(type(layer))
    vars(copy).update({n: v.copy() if isinstance(v, dict) else v for n, v in vars(layer).items()})
    try:
        for m in (*before, copy):
            m.training = False
        with torch.no_grad():
            for hook in tuple(layer._forward_pre_hooks.values()):
                hook(copy, ())
            yield copy
    finally:
        for m, training in before.items():
            m.training = training


def numbers(layer: Any, tensor: Any, kind: Any = np.float32) -> NDArray[Any]:
    """The numbers of a tensor; those of half precision are floats of the same values."""
    require_numbers(type(layer).__name__, "", tensor)
    exact = torch.float64 if kind is np.float64 else torch.float32  # numpy has no bfloat16
    array: NDArray[Any] = tensor.detach().cpu().to(exact).numpy().astype(kind)
    return array


def in_float32(copy: Any) -> Any:
    """A copy of ``as_it_runs`` with its own parameters in float32: codes are made of them."""
    for name, parameter in copy._parameters.items():
        if parameter is not None and parameter.dtype != torch.float32:
            copy._parameters[name] = nn.Parameter(parameter.detach().float(), requires_grad=False)
    return copy


def require_numbers(owner: str, name: str, tensor: torch.Tensor) -> None:
    """Refuse a tensor that holds no real numbers.

    Raises:
        UnsupportedLayerError: it is of a lazy layer, on the meta device, complex, quantized or sparse.
    """
    called = f"its '{name}'" if name else "a tensor of it"
    fix = None
    if is_lazy(tensor):
        fix = "has no shape yet; run the model on a batch first"
    elif tensor.is_meta:
        fix = "is on the meta device and holds no numbers; load the model's weights"
    elif tensor.layout != torch.strided:
        fix = f"is {tensor.layout}; only dense ones are computed"
    elif tensor.is_quantized or tensor.is_complex():
        fix = f"is {tensor.dtype}; only real numbers are computed"
    if fix:
        raise UnsupportedLayerError(f"layer '{owner}': {called} {fix}")
