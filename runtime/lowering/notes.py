"""Notes what a function does with an image: each operation on what is made of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from runtime.lowering.caller import KeepsTensors

ALIASES = (
    torch.ops.aten.detach.default,
    torch.ops.aten.alias.default,
    torch.ops.aten.view.default,
)
"""Operations that no step of a trace may stand for where their result has the shape of their tensor."""

READING_METHODS = frozenset(
    getattr(torch.Tensor, name) for name in ("numpy", "__array__", "tolist", "data_ptr", "__dlpack__")
)
"""Methods that have a tensor's numbers read without an operation."""


class Run(NamedTuple):
    """What came of an image: the result, and each operation on what is made of the image, in order.

    An operation is a name, and its arguments, of which tensors are their shapes.
    """

    result: Any
    operations: list[tuple[Any, ...]]


def run(module: nn.Module, function: Callable[[torch.Tensor], Any], image: torch.Tensor) -> Run:
    """What a function does with an image, which stays as it is.

    Raises:
        UnsupportedLayerError: it changes a tensor that the module holds.
    """
    own = image.clone()
    with Operations(module, own) as operations, Reads(operations):
        return Run(function(own), operations.noted)


class Operations(KeepsTensors):
    """Notes the operations on an image, and on what is made of it."""

    def __init__(self, module: nn.Module, image: torch.Tensor) -> None:
        super().__init__(module)
        self.noted: list[tuple[Any, ...]] = []
        self._made = WeakTensorKeyDictionary({image: True})  # type: ignore[no-untyped-call]  # torch's

    def concern(self, value: Any) -> bool:
        """Whether a value is the image, or is made of it."""
        return isinstance(value, torch.Tensor) and value in self._made

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation that changes no weight, and note it if the image has to do with it."""
        named = kwargs or {}
        if torch.is_inference_mode_enabled():  # where compound operations come as one
            with self:
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        given = list(_leaves((*args, *named.values())))
        operation = (func, *map(_told, given))  # before it changes anything
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if any(map(self.concern, given)):
            if func not in ALIASES or result.shape != given[0].shape:
                self.noted.append(operation)
            made = (*_leaves([result]), *(given if func._schema.is_mutable else ()))
            self._made.update({tensor: True for tensor in made if isinstance(tensor, torch.Tensor)})
        return result


class Reads(TorchFunctionMode):
    """Notes where the numbers of such tensors are read without an operation of torch's."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function."""
        if func in READING_METHODS and self._operations.concern(args[0]):
            self._operations.noted.append((f"Tensor.{func.__name__}",))
        return func(*args, **(kwargs or {}))


def _told(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else repr(value)


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """What is in lists and tuples, these in one another."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value
