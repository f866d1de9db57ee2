"""What a network's kernels are: lowered from a model, or from the traced parts of an architecture."""

from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING

from search_spaces.architecture import Buildable, read_architecture
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from runtime import Workload
    from runtime.graph import Graph
    from runtime.lowering import Trace
    from search_spaces.builder import Part

CACHE_SIZE = 4096
"""Architectures whose kernels are kept, so that asking again costs no lowering, and traced parts of them."""


def workloads_of(
    network: "nn.Module | Buildable", input_shape: tuple[int, ...] | None = None
) -> "list[Workload]":
    """The kernels of a model or an architecture, in order."""
    import runtime

    if isinstance(network, Buildable):
        return list(_of_architecture(network.to_json(), input_shape or (1, *network.input_shape)))
    own = getattr(network, "input_shape", None)
    if input_shape is None and isinstance(own, tuple):
        input_shape = (1, *own)
    if input_shape is None:
        raise InvalidInput("input_shape", "a module does not know its own", "pass (N, C, H, W)")
    return runtime.workloads(network, input_shape)


def checked(architecture: Buildable) -> "nn.Module":
    """An architecture's network, untrained.

    Raises:
        BitnasError: its kernels are not those that predictions count with.
    """
    import runtime
    import search_spaces

    module = search_spaces.build(architecture).eval()
    if runtime.workloads(module, (1, *architecture.input_shape)) != workloads_of(architecture):
        raise BitnasError(
            f"space: a part of '{architecture.origin}' computes something else with other layers; "
            "have its forward() not look into them, but at attributes of its own"
        )
    return module


def keys_of(architecture: Buildable) -> tuple[str, ...]:
    """The keys of an architecture's kernels, in order: what its network is known by in a table."""
    return tuple(work.key for work in workloads_of(architecture))


def activation_bytes(architecture: Buildable) -> int:
    """Bytes of the workspace that the compiled network asks for, to run one image."""
    return _planned(architecture.to_json(), (1, *architecture.input_shape))[1]


def graph_of(architecture: Buildable, input_shape: tuple[int, ...] | None = None) -> "Graph":
    """What the compiled network computes, each node named as the network names its layer; nothing is kept."""
    from runtime.lowering import lower_parts
    from search_spaces.builder import WHOLE, parts

    found = list(parts(architecture))
    names = ["" if part.name == WHOLE else part.name for part in found]
    traces = (_trace_of(part) for part in found)
    return lower_parts(traces, input_shape or (1, *architecture.input_shape), names)


def _of_architecture(text: str, input_shape: tuple[int, ...]) -> "tuple[Workload, ...]":
    return _planned(text, input_shape)[0]


@lru_cache(CACHE_SIZE)
def _planned(text: str, input_shape: tuple[int, ...]) -> "tuple[tuple[Workload, ...], int]":
    """An architecture's kernels, and the bytes of workspace that they need."""
    from runtime.codegen.layout import workspace_bytes

    graph = graph_of(read_architecture(text), input_shape)
    return tuple(graph.workloads), workspace_bytes(graph)


def forget_networks(blocks: bool, traces: bool = False) -> None:
    """Forget the kernels of all networks, and, if wanted, the blocks, and even their traces and layers."""
    from search_spaces.block.base import forget_layers

    _planned.cache_clear()
    if blocks:
        _trace_of.cache_clear()
    if traces:
        _traces.clear()
        forget_layers()


_traces: "dict[Hashable, Trace]" = {}
"""Of parts that differ in their layers only one is traced: that takes longer than all else here."""


@lru_cache(CACHE_SIZE)
def _trace_of(part: "Part") -> "Trace":
    from runtime.lowering import structure, trace

    module = part.outline()
    like = structure(module)
    if like in _traces:
        return _traces[like].of(module)
    return _traces.setdefault(like, trace(module))
