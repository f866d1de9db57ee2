"""The register of rules: how a traced step, a layer, a function or a tensor's method, becomes kernels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import BoundArguments, Signature, signature
from typing import Any

from runtime.graph import Constants, MakeConstants, Value
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.tensors import as_it_runs
from runtime.workload import Workload
from search_spaces.errors import UnsupportedLayerError


@dataclass(frozen=True)
class At:
    """Where a rule works: the graph so far, the step's name, and the layer that it calls, if it calls one."""

    builder: GraphBuilder
    name: str
    layer: Any = None

    def require(self, condition: Any, problem: str) -> None:
        """Refuse the step unless the condition holds."""
        if not condition:
            raise UnsupportedLayerError(f"layer '{self.name}': {problem}")

    def image(self, value: Any) -> Value:
        """The value, which must be a batch of images."""
        is_image = isinstance(value, Value) and len(value.shape) == 4
        self.require(is_image, "it takes images, but gets rows of features")
        return value  # type: ignore[no-any-return]  # see above

    def tensor(self, value: Any) -> Value:
        """The value, which must be a tensor."""
        self.require(isinstance(value, Value), f"it takes a tensor, but gets {value!r}")
        return value  # type: ignore[no-any-return]  # see above

    def emit(
        self,
        workload: Workload,
        inputs: list[Value],
        shape: tuple[int, ...],
        constants: MakeConstants = dict,
        constants_of: Any = None,
        part: str = "",
    ) -> Value:
        """Add a kernel call and return what it writes.

        Args:
            workload: which kernel.
            inputs: the values in its input buffers, in order.
            shape: of what it writes: (N, H, W, C) or (N, F).
            constants: gives the arrays in its constant buffers, by name, once they are needed.
            constants_of: what the constants are made of: two calls of one workload on the same inputs are one
                where it is equal. If it is not given, the constants themselves tell.
            part: which of several calls of a step it is, for its name.
        """
        name = f"{self.name}.{part}" if part else self.name
        made_of = constants if constants_of is None and constants is not dict else constants_of
        return self.builder.emit(name, workload, inputs, shape, constants, made_of)

    def constants(self, read: Callable[[Any], Constants]) -> MakeConstants:
        """Constants for ``emit`` that are read of the layer, as it is when its forward begins.

        What ``read`` is given is a copy of the layer in evaluation mode, whose weights have been made where
        hooks make them. The numbers of its tensors are those of ``runtime.lowering.tensors.numbers``.
        """

        def constants() -> Constants:
            with as_it_runs(self.layer) as own:
                return read(own)

        return constants


@dataclass(frozen=True)
class HeldWeight:
    """A parameter that a forward pass hands to a function."""

    name: str
    tensor: Any

    def __repr__(self) -> str:
        return f"the weight '{self.name}'"


@dataclass(frozen=True)
class Rule:
    """How one kind of step is lowered.

    Attributes:
        function: of ``At`` and the step's arguments, named as torch names them.
        options: attributes of a layer that are such arguments.
        is_view: whether what the step gives may be of the same memory as its first argument.
        parameters: those of the function, but for ``At``.
    """

    function: Callable[..., Value]
    options: tuple[str, ...]
    is_view: bool
    parameters: Signature

    def bind(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name.

        Raises:
            UnsupportedLayerError: there is one that the rule does not know.
        """
        try:
            return self.parameters.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise UnsupportedLayerError(
                f"layer '{name}': not all of its arguments are computed ({error}); leave them out"
            ) from error

    def apply(self, at: At, given: dict[str, Any]) -> Value:
        """Lower a step whose arguments are those by name, and whose options are its layer's."""
        if at.layer is not None:
            return self.function(at, *given.values(), **{o: getattr(at.layer, o) for o in self.options})
        bound = BoundArguments(self.parameters, given)
        return self.function(at, *bound.args, **bound.kwargs)


rules: dict[Any, Rule] = {}
"""By module type, function, or name of a tensor's method."""


def rule(
    *keys: Any, options: tuple[str, ...] = (), view: bool = False
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register a rule for module types, functions, or names of tensor methods."""

    def register(function: Callable[..., Value]) -> Callable[..., Value]:
        known = signature(function)
        parameters = known.replace(parameters=list(known.parameters.values())[1:])
        rules.update(dict.fromkeys(keys, Rule(function, options, view, parameters)))
        return function

    return register


def torch_shape(value: Value) -> tuple[int, ...]:
    """The shape that a value has in torch: (N, C, H, W) or (N, F)."""
    if len(value.shape) != 4:
        return value.shape
    n, height, width, channels = value.shape
    return n, channels, height, width


def pixels(value: Value) -> int:
    """Pixels of an image; rows have one."""
    return math.prod(value.shape[1:-1])
