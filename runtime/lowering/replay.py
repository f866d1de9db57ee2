"""Runs a model in torch beside the steps that a trace recorded of it: both must do the same.

A forward pass can find out that it is traced, and then do something else than it does with a tensor.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from math import prod
from typing import Any

import torch
from torch import nn
from torch.fx.node import map_arg

from runtime.graph import Graph
from runtime.lowering.caller import Attributes, KeepsTensors, evaluating, no_random_numbers
from runtime.lowering.calling import without_compiled_calls
from runtime.lowering.leaves import wrapped
from runtime.lowering.notes import Run, run
from runtime.lowering.steps import Step
from runtime.lowering.trace import Trace, lower_parts
from search_spaces.errors import BitnasError, UnsupportedLayerError

MAX_REPLAY_ELEMENTS = 2**26
"""Numbers in all tensors of a graph that is run in its own shape: 256 MiB, a second or two on one core."""

TOLERANCE = 1e-4
"""Of the largest output. The same operations on the same numbers differ in nothing but their order."""


def require_same(module: nn.Module, traced: Trace, graph: Graph) -> None:
    """Refuse a model that does something else in torch than its trace, or that torch does not run.

    It runs twice in evaluation mode, as its steps do, on two images. It stays as it is; what it keeps outside
    of modules does not.

    Raises:
        UnsupportedLayerError: there is a difference in shape, in value, or in what is computed.
    """
    with as_it_is(module), no_random_numbers(), one_thread():
        with KeepsTensors(module):  # to ask for a weight's shape may be to make it
            images = list(sample_images(module, traced, _affordable(traced, graph)))
        runs = [(_in_torch(module, image), _in_steps(module, traced, image)) for image in images]
    for own, steps in runs:
        _compare(own, steps)


@contextmanager
def as_it_is(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, without gradients; one that compiles or distributes another calls it."""
    attributes = Attributes(module)
    try:
        with evaluating(module), torch.no_grad(), without_compiled_calls(module):
            for part in module.modules():
                inner = wrapped(part)
                if inner is not None:
                    vars(part)["forward"] = inner
            yield
    finally:
        attributes.restore()


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch share no work: small operations wait for a second core longer than they take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_torch(module: nn.Module, image: torch.Tensor) -> Run:
    """What the model itself does."""
    kind, shape = str(image.dtype).removeprefix("torch."), tuple(image.shape)
    fix = "" if image.dtype == torch.float32 else "; convert it with .float()"
    with _refusing(f"model: torch itself refuses it for {kind} images of shape {shape}: ", fix):
        return run(module, module, image)


def _in_steps(module: nn.Module, traced: Trace, image: torch.Tensor) -> Run:
    """What the recorded steps do."""
    with _refusing("model: its forward() does in torch what it does not when it is traced: "):
        return run(module, partial(_replayed, traced), image)


@contextmanager
def _refusing(problem: str, fix: str = "") -> Iterator[None]:
    """Refuse what raises."""
    try:
        yield
    except BitnasError:
        raise
    except Exception as error:  # the model's own code runs here, and may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsupportedLayerError(f"{problem}{reason}{fix}") from error


def _replayed(traced: Trace, image: torch.Tensor) -> Any:
    """What the recorded steps give, run in torch."""
    values: dict[Any, Any] = {traced.input: image}
    last_reader = {node: step for step in traced.steps for node in step.node.all_input_nodes}
    for step in traced.steps:
        values[step.node] = performed(step, values)
        for node in step.node.all_input_nodes:
            if last_reader[node] is step and node is not traced.output:
                values.pop(node)  # as torch does, or all images of a large model would be held at once
    return values[traced.output]


def performed(step: Step, values: Mapping[Any, Any]) -> Any:
    """What a step gives in torch, for the values of the steps before it."""
    node = step.node
    if node.op == "get_attr":
        return getattr(step.layer, str(node.target).rpartition(".")[2])
    args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
    if step.layer is not None:
        return step.layer(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    return node.target(*args, **kwargs)  # type: ignore[operator]  # a function


def _compare(own: Run, steps: Run) -> None:
    """Refuse a model whose run is not as that of its steps."""
    found = _difference(own.operations, steps.operations) or _other_result(own.result, steps.result)
    if found:
        raise UnsupportedLayerError(
            f"model: its forward() does something else in torch than when it is traced ({found}); "
            "leave out what tells the two apart, and what depends on earlier calls"
        )


def _difference(ours: Sequence[tuple[Any, ...]], theirs: Sequence[tuple[Any, ...]]) -> str:
    """The first operation that only one of them has; empty where there is none."""
    for own, other in zip_longest(ours, theirs, fillvalue=("nothing",)):
        if own[0] != other[0]:
            return f"{own[0]} where the trace has {other[0]}"
        if own != other:
            return f"{own[0]} with other arguments"
    return ""


def _other_result(found: Any, traced: torch.Tensor) -> str:
    """How a result is not the trace's; empty where it is."""
    if not isinstance(found, torch.Tensor):
        return f"it returns a {type(found).__name__}"
    if found.shape != traced.shape or found.dtype != traced.dtype:
        ours, theirs = (f"{tuple(t.shape)} of {t.dtype}" for t in (found, traced))
        return f"it returns {ours} where the trace has {theirs}"
    a, b = found.cpu().double(), traced.cpu().double()  # not every GPU has double precision
    finite = a[a.isfinite()]
    largest = float(finite.abs().max()) if finite.numel() else 0.0
    return "" if torch.allclose(a, b, TOLERANCE, TOLERANCE * largest, equal_nan=True) else "other numbers"


def sample_images(module: nn.Module, traced: Trace, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """Noise, and a ramp of larger numbers, of the weights' type and where they are; no generator moves."""
    like = next(_weights(module, traced), torch.empty((), dtype=torch.float32, device="cpu"))
    generator = torch.Generator("cpu").manual_seed(0)
    yield torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(like)
    yield torch.linspace(-8, 8, prod(shape), dtype=torch.float32, device="cpu").view(shape).to(like)


def _weights(module: nn.Module, traced: Trace) -> Iterator[torch.Tensor]:
    """What has fractions: first that of convolutions and dense layers, which are of one type."""
    weights = (getattr(step.layer, "weight", None) for step in traced.steps)
    layers = (weight for weight in weights if weight is not None and weight.dim() > 1)
    yield from (t for t in (*layers, *module.parameters(), *module.buffers()) if t.is_floating_point())


def _affordable(traced: Trace, graph: Graph) -> tuple[int, ...]:
    """The shape of the images to run: the graph's own, or smaller ones that the model takes as well."""
    found: Graph | None = graph
    while found is not None and _size(found) > MAX_REPLAY_ELEMENTS:
        graph = found
        n, c, h, w = graph.input.shape
        smaller = (_lowered(traced, shape) for shape in ((n // 2, c, h, w), (n, c, h // 2, w // 2)))
        found = next((each for each in smaller if each is not None), None)
    return (found or graph).input.shape


def _lowered(traced: Trace, shape: tuple[int, ...]) -> Graph | None:
    """The graph for another shape; None where the model is not made for it."""
    try:
        return lower_parts([traced], shape) if min(shape) > 0 else None
    except UnsupportedLayerError:
        return None


def _size(graph: Graph) -> int:
    """Numbers in all tensors of a graph."""
    outputs = (output for node in graph.nodes for output in node.outputs)
    return sum(prod(value.shape) for value in (graph.input, *outputs))
