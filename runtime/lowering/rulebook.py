"""The register of rules: how a traced step, a layer, a function or a tensor's method, becomes kernels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from inspect import BoundArguments, Signature, signature
from typing import Any, TypeVar

import numpy as np

from runtime.graph import Constants, MakeConstants, Value
from runtime.lowering.arrangement import Arranged, arranged, image_order
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.tensors import as_it_runs
from runtime.workload import ChannelShuffle, Permute, ToNchw, Workload
from search_spaces.errors import UnsupportedLayerError


def place_of(name: str, within: str = "") -> str:
    """How an error names a step: by its name, and the path of the module that calls a function."""
    return f"layer '{name}' in '{within}'" if within else f"layer '{name}'"


FLOAT_MAX = float(np.finfo(np.float32).max)
"""No number that tensors are computed with is larger."""


@dataclass(frozen=True)
class At:
    """Where a rule works.

    Attributes:
        builder: the graph so far.
        name: of the step: the layer's path in the model, or the function's name.
        layer: that it calls, if it calls one.
        within: the path of the module whose forward calls a function; empty for the model's own.
    """

    builder: GraphBuilder
    name: str
    layer: Any = None
    within: str = ""

    def require(self, condition: Any, problem: str) -> None:
        """Refuse the step unless the condition holds."""
        if not condition:
            raise self.refused(problem)

    def refused(self, problem: str) -> UnsupportedLayerError:
        """The error that refuses the step."""
        return UnsupportedLayerError(f"{place_of(self.name, self.within)}: {problem}")

    def any_tensor(self, value: Any) -> Value | Arranged:
        """The value, which must be a tensor, of any shape."""
        self.require(isinstance(value, Value | Arranged), f"it takes a tensor, but gets {value!r}")
        return value  # type: ignore[no-any-return]  # see above

    def image(self, value: Any) -> Value:
        """The value, which must be a batch of images."""
        self.require(len(self.tensor(value).shape) == 4, "it takes images, but gets rows of features")
        return value  # type: ignore[no-any-return]  # see above

    def tensor(self, value: Any) -> Value:
        """The value, which must be a tensor."""
        self.require(isinstance(value, Value), f"it takes a tensor, but gets {value!r}")
        return value  # type: ignore[no-any-return]  # see above

    def plain(self, value: Any) -> Any:
        """A tensor as images or rows of features, moved in memory where it must be; all else as it is."""
        if isinstance(value, tuple | list):
            return type(value)(map(self.plain, value))
        if not isinstance(value, Arranged):
            return value
        rank = len(value.axes)
        self.require(
            rank in (2, 4), f"it takes images or rows of features, but gets a tensor of shape {value.shape}"
        )
        order = image_order(value) if rank == 4 else value.order
        return value.plain() or self.moved(value, order).plain()

    def in_order(self, value: Value | Arranged) -> Arranged:
        """A tensor whose axes lie in memory as torch has them."""
        tensor = arranged(value)
        return self.moved(tensor, tensor.order)

    def moved(self, tensor: Arranged, order: Sequence[int]) -> Arranged:
        """The tensor with its axes in another order in memory."""
        start, *rest = order
        self.require(start == 0, "an operation that mixes the images of a batch is not computed")
        if list(order) == sorted(order):
            return tensor
        workload = _moving(tensor, rest)
        written = self.emit(workload, [tensor.value], (tensor.sizes[0], math.prod(tensor.sizes[1:])))
        return tensor.moved(written, order).simple()

    def in_one_piece(self, tensor: Arranged, axis: int) -> tuple[Arranged, int]:
        """The tensor with one of torch's axes as a single one of memory, and which; its size is above 1."""
        own = tensor.axes[axis]
        others = [each for each in range(len(tensor.sizes)) if each not in own]
        place = sum(each < min(own) for each in others)
        found = self.moved(tensor, [*others[:place], *own, *others[place:]]).simple()
        return found, found.axes[axis][0]

    def with_last(self, value: Value | Arranged, axes: Iterable[int]) -> tuple[Arranged, int]:
        """A tensor with these of torch's axes last in memory, and how many numbers they have."""
        tensor, wanted = arranged(value), list(axes)
        last = [own for axis in wanted for own in tensor.axes[axis]]
        others = [own for own in range(len(tensor.sizes)) if own not in last]
        return self.moved(tensor, [*others, *last]), math.prod(tensor.shape[axis] for axis in wanted)

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
        takes: ``plain`` images and rows; ``any`` tensor, perhaps arranged; or ``numbers``: it computes number
            by number, so that it takes them as they lie in memory.
        takes_parameters: whether an operand may be a parameter of a module.
    """

    function: Callable[..., Any]
    options: tuple[str, ...]
    is_view: bool
    parameters: Signature
    takes: str = "plain"
    takes_parameters: bool = False

    def bind(self, place: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name; ``place`` is that of ``place_of``.

        Raises:
            UnsupportedLayerError: there is one that the rule does not know.
        """
        try:
            return self.parameters.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise UnsupportedLayerError(
                f"{place}: not all of its arguments are computed ({error}); leave them out"
            ) from error

    def apply(self, at: At, given: dict[str, Any]) -> Any:
        """Lower a step whose arguments are those by name, and whose options are its layer's."""
        first = next(iter(given.values()), None)
        if self.takes == "numbers" and isinstance(first, Arranged):
            changed = self._call(at, {**given, next(iter(given)): first.value})
            return replace(first, value=changed)
        if self.takes != "any":
            given = {name: at.plain(value) for name, value in given.items()}
        return self._call(at, given)

    def _call(self, at: At, given: dict[str, Any]) -> Any:
        if at.layer is not None:
            return self.function(at, *given.values(), **{o: getattr(at.layer, o) for o in self.options})
        bound = BoundArguments(self.parameters, given)
        return self.function(at, *bound.args, **bound.kwargs)


rules: dict[Any, Rule] = {}
"""By module type, function, or name of a tensor's method."""


Lowered = TypeVar("Lowered", bound=Callable[..., Any])


def rule(
    *keys: Any, options: tuple[str, ...] = (), view: bool = False, takes: str = "plain", held: bool = False
) -> Callable[[Lowered], Lowered]:
    """Register a rule for module types, functions, or names of tensor methods."""

    def register(function: Lowered) -> Lowered:
        known = signature(function)
        parameters = known.replace(parameters=list(known.parameters.values())[1:])
        rules.update(dict.fromkeys(keys, Rule(function, options, view, parameters, takes, held)))
        return function

    return register


def torch_shape(value: Value | Arranged) -> tuple[int, ...]:
    """The shape that a value has in torch: (N, C, H, W), (N, F), or any that is arranged."""
    if isinstance(value, Arranged) or len(value.shape) != 4:
        return value.shape
    n, height, width, channels = value.shape
    return n, channels, height, width


def finite_number(at: At, given: Any) -> float:
    """A number that a tensor is computed with."""
    at.require(isinstance(given, int | float), f"{given!r} is neither a tensor nor a number")
    at.require(abs(given) <= FLOAT_MAX, "a number is not finite in float32; only finite ones are computed")
    return float(given)


def pixels(value: Value) -> int:
    """Pixels of an image; rows have one."""
    return math.prod(value.shape[1:-1])


def _moving(tensor: Arranged, order: Sequence[int]) -> Workload:
    """The kernel that brings the axes of memory behind the first one into an order."""
    batch, *sizes = tensor.sizes
    places = [axis - 1 for axis in order]
    starts = [i for i, axis in enumerate(places) if not i or axis != places[i - 1] + 1]
    runs = [places[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    joined = sorted(runs)
    shape = tuple(math.prod(sizes[axis] for axis in run) for run in joined)
    wanted = tuple(joined.index(run) for run in runs)
    if wanted == (0, 2, 1):
        return ChannelShuffle(batch, shape[0], shape[1] * shape[2], shape[1])
    if wanted == (1, 0) and len(tensor.value.shape) == 4:
        n, height, width, channels = tensor.value.shape
        if n == batch and height * width == shape[0]:
            return ToNchw(n, height, width, channels)
    return Permute(batch, shape, wanted)
