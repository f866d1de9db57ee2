"""Lowering: a torch model is traced with torch.fx and each of its steps becomes kernel calls.

Batch norms are folded into the scale and bias of the convolution before them, ReLUs into the kernel that
produces their input where nothing else reads it, and equal steps on equal inputs run once.
"""

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.graph import Graph, Value
from runtime.lowering.builder import GraphBuilder, UnsupportedLayerError
from runtime.lowering.fuse import fuse
from runtime.workload import Workload
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from torch import fx, nn


PLAIN = bool | int | float | str | None
LAYERS = "torch.nn", "search_spaces.layers", "search_spaces.activation"  # modules whose parts no trace enters
NONE_WRAPPED: Any = ()  # numbers need no proxies, and to wrap the functions of ``math`` takes long


def lower(module: "nn.Module", input_shape: tuple[int, ...]) -> Graph:
    """The operator graph of a model in evaluation mode, for a batch of a fixed shape.

    Args:
        module: any model made of the layers of ``search_spaces.layers`` and of torch's convolution, linear,
            batch norm, ReLU, pooling, flatten, add and concatenation.
        input_shape: (N, C, H, W).

    Raises:
        InvalidInput: a shape that is not four positive numbers.
        UnsupportedLayerError: a layer, or an option of it, that the kernels do not compute.
    """
    check_input_shape(input_shape)
    return lower_parts([trace(module)], tuple(int(d) for d in input_shape))


def lower_parts(parts: "Iterable[Trace]", input_shape: tuple[int, ...]) -> Graph:
    """The operator graph of models that run one after the other, for a batch of a fixed shape.

    Raises:
        UnsupportedLayerError: a layer, or an option of it, that the kernels do not compute.
    """
    builder = GraphBuilder(input_shape)
    value = builder.input_image()
    for part in parts:
        value = part.add_to(builder, value)
    return fuse(builder.finish(value))


@dataclass(frozen=True)
class Step:
    """One step of a forward pass, the rule that lowers it, and the layer that it calls, if it calls one."""

    node: "fx.Node"
    rule: Callable[..., Value]
    layer: "nn.Module | None"


@dataclass(frozen=True)
class Trace:
    """What the forward pass of a module does, in order: it may be lowered many times, in any shape.

    Attributes:
        modules: the module's and those below it, by name.
        input: the step that stands for what comes in.
        output: the step whose result goes out.
    """

    modules: "Mapping[str, nn.Module]"
    steps: Sequence[Step]
    input: "fx.Node"
    output: "fx.Node"

    def of(self, module: "nn.Module") -> "Trace":
        """The trace of another module whose ``structure`` and forward pass are the same."""
        modules = _by_name(_with_children(module))
        steps = [
            step if step.layer is None else replace(step, layer=modules[str(step.node.target)])
            for step in self.steps
        ]
        return Trace(modules, steps, self.input, self.output)

    def add_to(self, builder: GraphBuilder, value: Value) -> Value:
        """Lower it after what was lowered before: from its input to its output."""
        builder.modules = self.modules
        values: dict[Any, Value] = {self.input: value}
        for step in self.steps:
            values[step.node] = step.rule(builder, step.node, step.layer, values)
        return values[self.output]


def structure(module: "nn.Module") -> Hashable:
    """What a forward pass may depend on: the parts' names and kinds, and what those with parts remember."""
    return tuple((name, type(part), _remembered(part)) for name, part in _by_name(module).items())


def _remembered(module: "nn.Module") -> Hashable:
    """The numbers, flags and texts that a module holds beside torch's; those of a layer decide no step."""
    if _is_layer(module):
        return ()
    own = ((name, value) for name, value in vars(module).items() if name not in _torchs())
    return tuple((name, value if isinstance(value, PLAIN) else id(value)) for name, value in own)


@cache
def _torchs() -> frozenset[str]:
    """The attributes that every module has."""
    from torch import nn

    return frozenset(vars(nn.Module()))


def _by_name(module: "nn.Module") -> "dict[str, nn.Module]":
    """The module's parts; one that it holds twice has two names."""
    return dict(module.named_modules(remove_duplicate=False))


def trace(module: "nn.Module") -> Trace:
    """Trace a model in evaluation mode.

    Raises:
        InvalidInput: it is no module.
        UnsupportedLayerError: a layer that no kernel computes, or a forward pass that branches on data.
    """
    check_module(module)
    with _evaluating(module):
        return _steps(_with_children(module))


def _steps(module: "nn.Module") -> Trace:
    from runtime.lowering.rules import rules

    modules = _by_name(module)
    inputs: list[fx.Node] = []
    steps: list[Step] = []
    for node in _traced(module).nodes:
        if node.op == "placeholder":
            inputs.append(node)
        elif node.op == "output":
            result: Any = node.args[0]
            if result not in (*inputs, *(step.node for step in steps)):
                raise UnsupportedLayerError("model: it returns more than one tensor; return one")
            return Trace(modules, steps, inputs[0], result)
        else:
            rule = _find_rule(node, modules, rules)
            layer = modules[str(node.target)] if node.op == "call_module" else None
            _refuse_hooks(str(node.target), layer)
            _by_position(node)
            steps.append(Step(node, rule, layer))
        if len(inputs) > 1:
            raise UnsupportedLayerError("model: it takes more than one input; pass one image batch")
    raise UnsupportedLayerError("model: it returns nothing; return one tensor from forward()")


def _by_position(node: "fx.Node") -> None:
    """Put tensors that were passed by keyword where rules look: ``relu(input=x)``, ``add(x, other=y)``."""
    given = dict(node.kwargs)
    for at, names in enumerate((("input", "x", "self"), ("other",))):
        name = next((n for n in names if n in given), None)
        if name is not None and len(node.args) == at:
            node.args = (*node.args, given.pop(name))
    node.kwargs = given
    if not node.args and "tensors" not in given:
        raise UnsupportedLayerError(
            f"layer '{node.name}': its input is not found; pass it first, by position"
        )


def workloads(module: "nn.Module", input_shape: tuple[int, ...]) -> list[Workload]:
    """The kernels that the model would run, in order, without compiling any."""
    return lower(module, input_shape).workloads


def check_input_shape(input_shape: tuple[int, ...]) -> None:
    """Refuse a shape that is not (N, C, H, W) with positive whole numbers."""
    is_batch = isinstance(input_shape, tuple | list) and len(input_shape) == 4
    whole = is_batch and all(isinstance(d, int | np.integer) and not isinstance(d, bool) for d in input_shape)
    if not whole or min(input_shape) < 1:
        raise InvalidInput(
            "input_shape", f"{input_shape} is not an image batch", "pass (N, C, H, W), all above 0"
        )


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
    return type(module).__module__.startswith(LAYERS) or _is_ours(module)


@contextmanager
def _evaluating(module: "nn.Module") -> Iterator[None]:
    """The module in evaluation mode for a while: a forward() may do something else in training."""
    before = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, training in before.items():
            m.training = training


def _refuse_hooks(name: str, layer: "nn.Module | None") -> None:
    if layer is not None and (layer._forward_hooks or layer._forward_pre_hooks):
        raise UnsupportedLayerError(f"layer '{name}': its hooks are not computed; remove them")


def _is_ours(module: "nn.Module") -> bool:
    """Whether a module is one of the layers that have rules of their own, and computes as they do."""
    from search_spaces import layers, plain_layers

    convolving = (layers.QuantConv2d, layers.QuantLinear)
    plain = plain_layers.ChannelShuffle, plain_layers.ChannelShift, plain_layers.OutputScale
    ours = (*convolving, *plain, plain_layers.Subsample)
    kind = next((k for k in ours if isinstance(module, k)), None)
    return kind is not None and type(module).forward is kind.forward


def _traced(module: "nn.Module") -> "fx.Graph":
    """Trace with our layers as leaves."""
    from torch import fx

    class Proxy(fx.Proxy):
        def __iadd__(self, other: object) -> fx.Proxy:
            return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    class Tracer(fx.Tracer):
        def proxy(self, node: fx.Node) -> fx.Proxy:
            return Proxy(node, self)  # fx's own takes `a += b` for a new tensor

        def is_leaf_module(self, m: "nn.Module", module_qualified_name: str) -> bool:
            return _is_ours(m) or super().is_leaf_module(m, module_qualified_name)

    try:
        return Tracer(autowrap_modules=NONE_WRAPPED).trace(module)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        fix = "make its forward() free of data-dependent control flow"
        raise UnsupportedLayerError(f"model: it cannot be traced ({reason}); {fix}") from error


def _find_rule(
    node: "fx.Node", modules: "dict[str, nn.Module]", rules: dict[Any, Callable[..., Value]]
) -> Callable[..., Value]:
    """The rule for a module's type, a function, or a tensor method's name."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        key: Any = next((kind for kind in type(module).__mro__ if kind in rules), type(module))
        what = f"{type(module).__name__}"
    else:
        key, what = node.target, str(getattr(node.target, "__name__", node.target))
    if key not in rules:
        name = node.target if node.op == "call_module" else node.name
        raise UnsupportedLayerError(
            f"layer '{name}': {what} has no kernel; replace it by a layer that has one"
        )
    return rules[key]
