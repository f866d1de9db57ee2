"""Lowering: a torch model is traced with torch.fx and each of its steps becomes kernel calls.

Batch norms are folded into the scale and bias of the convolution before them, ReLUs into the kernel that
produces their input where nothing else reads it, and equal steps on equal inputs run once.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.graph import Graph, Value
from runtime.lowering.builder import GraphBuilder, UnsupportedLayerError
from runtime.lowering.fuse import fuse
from runtime.workload import Workload
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import fx, nn

    from runtime.lowering.recording import Recorder
    from runtime.lowering.rulebook import HeldWeight, Rule


PLAIN = bool | int | float | str | None
LAYERS = "torch.nn", "search_spaces.layers", "search_spaces.activation"  # modules whose parts no trace enters
LARGEST = 2**31 - 1
"""Numbers in a tensor: kernels count them in 32 bits."""


def lower(module: "nn.Module", input_shape: tuple[int, ...]) -> Graph:
    """The operator graph of a model in evaluation mode, for a batch of a fixed shape.

    Args:
        module: a torch model; docs/torch-models.md tells of what it may be made. It stays as it is.
        input_shape: (N, C, H, W).

    Raises:
        InvalidInput: a shape that is not four positive numbers.
        UnsupportedLayerError: a layer, or an option of it, that the kernels do not compute.
    """
    check_input_shape(input_shape)
    from runtime.lowering.caller import evaluating

    traced = trace(module)
    with evaluating(module):  # to ask for a weight's shape is to make it, where a parametrization does
        traced.require_numbers()
        return lower_parts([traced], tuple(int(d) for d in input_shape))


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
    """One step of a forward pass.

    Attributes:
        node: of fx, whose arguments are other steps' nodes or plain values.
        rule: lowers it; None where it computes with sizes.
        layer: that it calls, or whose weight it takes, if it does so.
        given: its arguments by the rule's names for them.
        in_place: whether it changes its first argument.
    """

    node: "fx.Node"
    rule: "Rule | None"
    layer: "nn.Module | None"
    given: Mapping[str, Any]
    in_place: bool

    @property
    def name(self) -> str:
        """The layer's, or the operation's."""
        return str(self.node.target) if self.node.op == "call_module" else self.node.name

    @property
    def is_view(self) -> bool:
        """Whether its result may be of the same memory as its first argument."""
        return self.rule is not None and self.rule.is_view

    def run(self, builder: GraphBuilder, values: "Mapping[fx.Node, Any]") -> Any:
        """Lower it; what it gives is a value of the graph, or a number."""
        from runtime.lowering.rulebook import At

        if self.rule is None:
            return self._weight() if self.layer is not None else self._number(values)
        given = {name: _resolved(argument, values) for name, argument in self.given.items()}
        at = At(builder, self.name, self.layer)
        found = self.rule.apply(at, given)
        changed = next(iter(given.values()))
        is_same = not self.in_place or (isinstance(changed, Value) and found.shape == changed.shape)
        at.require(is_same, "it changes a tensor in place by one of another shape, which torch refuses too")
        at.require(
            prod(found.shape) <= LARGEST, f"its output of shape {found.shape} is too large for a kernel"
        )
        return found

    def _weight(self) -> "HeldWeight":
        from runtime.lowering.rulebook import HeldWeight

        return HeldWeight(
            str(self.node.target), getattr(self.layer, str(self.node.target).rpartition(".")[2])
        )

    def _number(self, values: "Mapping[fx.Node, Any]") -> Any:
        from runtime.lowering.recording import size_of

        args = _resolved(self.node.args, values)
        try:
            return size_of(self.node, args, _resolved(self.node.kwargs, values))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise UnsupportedLayerError(
                f"layer '{self.name}': {error}, for the shape that it is compiled for"
            ) from error


def _resolved(argument: Any, values: "Mapping[fx.Node, Any]") -> Any:
    """An argument with values in place of nodes."""
    from torch.fx.node import Node, map_arg

    return values[argument] if isinstance(argument, Node) else map_arg(argument, lambda n: values[n])


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
            step if step.layer is None else replace(step, layer=modules[_owner(step.node)])
            for step in self.steps
        ]
        return Trace(modules, steps, self.input, self.output)

    def add_to(self, builder: GraphBuilder, value: Value) -> Value:
        """Lower it after what was lowered before: from its input to its output."""
        values: dict[Any, Any] = {self.input: value}
        for step in self.steps:
            values[step.node] = step.run(builder, values)
        found = values[self.output]
        if not isinstance(found, Value):
            raise UnsupportedLayerError(f"model: it returns {found!r}; return a tensor")
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
    """Trace a model in evaluation mode; the model stays as it is.

    Raises:
        InvalidInput: it is no module.
        UnsupportedLayerError: a layer that no kernel computes, or a forward pass that branches on data.
    """
    from runtime.lowering.caller import evaluating
    from runtime.lowering.leaves import behind_wrapper, require_no_global_changes
    from runtime.lowering.memory import require_visible_changes

    check_module(module)
    module = behind_wrapper(module)
    _require_traceable(module)
    require_no_global_changes()
    with evaluating(module), _without_compiled_calls(module):
        found = _steps(_with_children(module))
    require_visible_changes(found.steps, found.output)
    return found


def _require_traceable(module: "nn.Module") -> None:
    """Refuse what holds no Python code, or no weights yet."""
    import torch
    from torch.nn.parameter import is_lazy

    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            what = f"model: its part '{name}' is" if name else "model: it is"
            raise UnsupportedLayerError(f"{what} scripted (torch.jit); pass the module that it was made of")
        for own, tensor in (*part._parameters.items(), *part._buffers.items()):
            if is_lazy(tensor):
                raise UnsupportedLayerError(
                    f"layer '{name}': its '{own}' has no shape yet; run the model on a batch first"
                )


@contextmanager
def _without_compiled_calls(module: "nn.Module") -> "Iterator[None]":
    """Without what a module does around its forward that does not change its result.

    That is: torch's compiler, and hooks on gradients.
    """
    before = []
    for part in module.modules():
        for name, plain in (
            ("_compiled_call_impl", None),
            ("_backward_hooks", {}),
            ("_backward_pre_hooks", {}),
        ):
            if vars(part).get(name):
                before.append((part, name, vars(part)[name]))
                vars(part)[name] = plain
    try:
        yield
    finally:
        for part, name, value in before:
            vars(part)[name] = value


def _steps(module: "nn.Module") -> Trace:
    from runtime.lowering.recording import ROOT, changes_in_place
    from runtime.lowering.rules import rules

    recorder, graph = _recorded(module)
    modules = _by_name(module)
    inputs: list[fx.Node] = []
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            inputs.append(node)
        elif node.op == "output":
            result: Any = node.args[0]
            if result not in (*inputs, *(step.node for step in steps)):
                raise UnsupportedLayerError("model: it returns more than one tensor, or none; return one")
            return Trace(modules, steps, inputs[0], result)
        else:
            layer = modules[_owner(node)] if node.op in ("call_module", "get_attr") else None
            is_number = node in recorder.kinds
            rule = None if is_number or node.op == "get_attr" else _find_rule(node, layer, rules)
            step = Step(node, rule, layer, {}, not is_number and changes_in_place(node, layer))
            steps.append(step if rule is None else replace(step, given=_given(step.name, rule, node, layer)))
    raise UnsupportedLayerError(f"{ROOT}: it returns nothing; return one tensor from forward()")


def _owner(node: "fx.Node") -> str:
    """The name of the module that a step calls, or whose weight it takes."""
    if node.op == "call_module":
        return str(node.target)
    from runtime.lowering.recording import ROOT

    return str(node.target).rpartition(".")[0].removeprefix(ROOT).removeprefix(".")


def _given(name: str, rule: "Rule", node: "fx.Node", layer: "nn.Module | None") -> dict[str, Any]:
    """The arguments of a step by the names that its rule has for them."""
    kwargs = dict(node.kwargs)
    if layer is None:
        return rule.bind(name, node.args, kwargs)
    images = [*node.args, *(kwargs.pop(key) for key in ("input", "x") if key in kwargs)]
    if len(images) != 1 or kwargs:
        raise UnsupportedLayerError(f"layer '{name}': it takes one tensor; pass nothing else")
    return {"input": images[0]}


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
    from runtime.lowering.leaves import computes_as_its_kind

    return type(module).__module__.startswith(LAYERS) or computes_as_its_kind(module)


def _recorded(module: "nn.Module") -> "tuple[Recorder, fx.Graph]":
    """What the forward pass does when it is called with one batch; the module is then as it was."""
    from runtime.lowering.caller import Attributes, KeepsTensors, holds_recorded, no_random_numbers

    attributes = Attributes(module)
    try:
        with KeepsTensors(module), no_random_numbers():
            found = _record(module)
            changed = list(attributes.changed())
            for name, value in changed:
                if not holds_recorded(value):
                    raise UnsupportedLayerError(
                        f"model: its forward() changes its attribute '{name}' in evaluation mode too; "
                        "what depends on earlier calls is not computed"
                    )
            if changed and str(_record(module)[1]) != str(found[1]):
                raise UnsupportedLayerError(
                    f"model: its forward() does something else once '{changed[0][0]}' is set; "
                    "what depends on earlier calls is not computed"
                )
    except BaseException:
        attributes.restore()
        raise
    if changed:
        attributes.restore()
    return found


def _record(module: "nn.Module") -> "tuple[Recorder, fx.Graph]":
    from runtime.lowering.recording import Called, Recorder

    recorder = Recorder()
    try:
        return recorder, recorder.trace(Called(module))
    except BitnasError:
        raise
    except Exception as error:  # the model's own code runs here, and may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, TypeError) and "positional argument" in reason and not _takes_one(module):
            raise UnsupportedLayerError(
                f"model: it takes more than one input, or none ({reason}); pass one image batch"
            ) from error
        fix = "make its forward() take one batch of images, and free of data-dependent control flow"
        raise UnsupportedLayerError(f"model: it cannot be traced ({reason}); {fix}") from error


def _takes_one(module: "nn.Module") -> bool:
    """Whether its forward() can be called with one argument."""
    try:
        signature(module.forward).bind(None)
    except TypeError:
        return False
    return True


def _find_rule(node: "fx.Node", layer: "nn.Module | None", rules: "Mapping[Any, Rule]") -> "Rule":
    """The rule for a module's type, a function, or a tensor method's name."""
    if layer is not None:
        key: Any = next((kind for kind in type(layer).__mro__ if kind in rules), type(layer))
        what, name = type(layer).__name__, str(node.target)
    else:
        key, name = node.target, node.name
        what = str(getattr(node.target, "__name__", node.target))
    if key not in rules:
        raise UnsupportedLayerError(
            f"layer '{name}': {what} has no kernel; replace it by a layer that has one"
        )
    return rules[key]
