"""Traces what the forward pass of a torch module does, step by step, by torch.fx; lowers what was traced."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from runtime.graph import Graph, Value
from runtime.lowering.arrangement import Tensor
from runtime.lowering.builder import GraphBuilder
from runtime.lowering.fuse import fuse
from search_spaces.errors import InvalidInput, UnsupportedLayerError

if TYPE_CHECKING:
    from torch import fx, nn

    from runtime.lowering.steps import Step


MAX_RANK = 4
"""Dimensions of what a network gives."""

SCALARS = bool | int | float | str | None
LAYERS = "torch.nn", "search_spaces.layers", "search_spaces.activation"  # modules whose parts no trace enters


def lower_parts(parts: "Iterable[Trace]", input_shape: tuple[int, ...], names: Iterable[str] = ()) -> Graph:
    """The operator graph of models that run one after the other, for a batch of a fixed shape.

    Args:
        parts: the models.
        input_shape: (N, C, H, W).
        names: of the parts; what comes of a part is called by its name and that of the layer in it.

    Raises:
        UnsupportedLayerError: a layer, or an option of it, that the kernels do not compute.
    """
    builder = GraphBuilder(input_shape)
    value: Tensor = builder.input_image()
    for part, name in zip(parts, chain(names, repeat("")), strict=False):
        builder.within = name
        value = part.add_to(builder, value)
    builder.within = ""
    return fuse(builder.finish(_result(builder, value)))


def _result(builder: GraphBuilder, value: Tensor) -> Value:
    """What a model returns, as torch has it in memory; images are brought there later."""
    from runtime.lowering.rulebook import At

    if isinstance(value, Value):
        return value
    at, shape = At(builder, "output"), value.shape
    at.require(
        len(shape) <= MAX_RANK, f"it returns a tensor of {len(shape)} dimensions; {MAX_RANK} are the most"
    )
    return Value(at.in_order(value).value.index, shape, "rows")


@dataclass(frozen=True)
class Trace:
    """What the forward pass of a module does, in order: it may be lowered many times, in any shape.

    Attributes:
        modules: the module's and those below it, by name.
        input: the step that stands for what comes in.
        output: the step whose result goes out.
    """

    modules: "Mapping[str, nn.Module]"
    steps: "Sequence[Step]"
    input: "fx.Node"
    output: "fx.Node"

    def of(self, module: "nn.Module") -> "Trace":
        """The trace of another module whose ``structure`` and forward pass are the same."""
        from runtime.lowering.steps import owner

        modules = _by_name(_with_children(module))
        steps = [
            step if step.layer is None else replace(step, layer=modules[owner(step.node)])
            for step in self.steps
        ]
        return Trace(modules, steps, self.input, self.output)

    def add_to(self, builder: GraphBuilder, value: Tensor) -> Tensor:
        """Lower it after what was lowered before: from its input to its output."""
        values: dict[Any, Any] = {self.input: value}
        for step in self.steps:
            values[step.node] = step.run(builder, values)
        found = values[self.output]
        if not isinstance(found, Tensor):
            raise UnsupportedLayerError(
                f"model: it returns {found!r}; return a tensor that is computed of the image"
            )
        return found

    def require_numbers(self) -> None:
        """Refuse layers whose weights hold no real numbers, or are of more than one type, as torch does.

        Raises:
            UnsupportedLayerError: there is such a layer.
        """
        from runtime.lowering.tensors import require_numbers

        kinds: dict[Any, str] = {}
        for step in self.steps:
            if step.layer is None:
                continue
            for name, tensor in (*step.layer.named_parameters(), *step.layer.named_buffers()):
                require_numbers(step.name, name, tensor)
            weight = getattr(step.layer, "weight", None)
            if weight is not None and weight.dim() > 1:
                kinds.setdefault(weight.dtype, step.name)
        if len(kinds) > 1:
            told = " and ".join(f"'{name}' of {kind}" for kind, name in kinds.items())
            raise UnsupportedLayerError(
                f"model: its layers {told} do not go together; convert it with .float()"
            )


def structure(module: "nn.Module") -> Hashable:
    """What a forward pass may depend on: the parts' names and kinds, and what those with parts remember."""
    return tuple((name, type(part), _remembered(part)) for name, part in _by_name(module).items())


def _remembered(module: "nn.Module") -> Hashable:
    """The numbers, flags and texts that a module holds beside torch's; those of a layer decide no step."""
    if _is_layer(module):
        return ()
    own = ((name, value) for name, value in vars(module).items() if name not in _torchs())
    return tuple((name, value if isinstance(value, SCALARS) else id(value)) for name, value in own)


@cache
def _torchs() -> frozenset[str]:
    """The attributes that every module has."""
    from torch import nn

    return frozenset(vars(nn.Module()))


def _by_name(module: "nn.Module") -> "dict[str, nn.Module]":
    """The module's parts; one that it holds twice has two names."""
    return dict(module.named_modules(remove_duplicate=False))


def trace(module: "nn.Module") -> Trace:
    """Trace a model in evaluation mode; the model stays as it is.

    Raises:
        InvalidInput: it is no module.
        UnsupportedLayerError: a layer that no kernel computes, or a forward pass that branches on data.
    """
    from runtime.lowering.caller import evaluating
    from runtime.lowering.calling import require_traceable, without_compiled_calls
    from runtime.lowering.leaves import behind_wrapper, require_no_global_changes
    from runtime.lowering.memory import require_visible_changes

    check_module(module)
    module = behind_wrapper(module)
    require_traceable(module)
    require_no_global_changes()
    with evaluating(module), without_compiled_calls(module):
        found = _steps(_with_children(module))
    require_visible_changes(found.steps, found.output)
    return found


def _steps(module: "nn.Module") -> Trace:
    """The steps of a module's forward pass, which takes one batch and gives one tensor."""
    from runtime.lowering.calling import recorded
    from runtime.lowering.steps import steps_of

    recorder, graph = recorded(module)
    modules = _by_name(module)
    first, *_, last = graph.nodes
    steps, result = list(steps_of(recorder, graph, modules)), last.args[0]
    if result is not first and not any(result is step.node for step in steps):
        raise UnsupportedLayerError("model: it returns more than one tensor, or none; return one")
    return Trace(modules, steps, first, result)


def check_module(module: "nn.Module") -> None:
    """Refuse what is not a torch module."""
    from torch import nn

    if not isinstance(module, nn.Module):
        raise InvalidInput(
            "module", f"a {type(module).__name__} is no torch module", "pass a torch.nn.Module"
        )


def _with_children(module: "nn.Module") -> "nn.Module":
    """A model that is itself one layer, as a container of that layer: a trace stops at layers."""
    from torch import nn

    is_container = isinstance(module, nn.Sequential)
    return nn.Sequential(module) if _is_layer(module) and not is_container else module


def _is_layer(module: "nn.Module") -> bool:
    """Whether a module is one of torch's or of our layers."""
    from runtime.lowering.leaves import computes_as_its_kind

    return type(module).__module__.startswith(LAYERS) or computes_as_its_kind(module)
