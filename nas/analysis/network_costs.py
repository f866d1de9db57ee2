"""What a network costs layer by layer, told from its architecture alone: nothing is compiled or run."""

import re
from collections.abc import Container
from contextlib import suppress
from functools import lru_cache
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

from nas.figures.network_costs import Held, LayerBytes, NetworkCosts, Step
from search_spaces.errors import BitnasError

if TYPE_CHECKING:
    from runtime.graph import Graph
    from search_spaces import Buildable

KEPT = 64
"""Networks whose costs are kept: a page that refreshes asks for the same one again and again."""
_lock = Lock()
"""Building a network draws random numbers, and whoever asks at once would get one another's."""
_loaded, _begun = Event(), Event()
_BLOCK = re.compile(r"^block(\d+)")


def network_costs(architecture_json: str) -> NetworkCosts:
    """Its kernels, what each of its layers stores, and what its activations take at each step.

    The first call loads torch, which takes seconds; TVM is not needed.

    Raises:
        BitnasError: it cannot be read or built, or has a layer that no kernel computes.
    """
    with _lock:
        found = _network_costs(architecture_json)
    _loaded.set()
    return found


def is_loaded(architecture_json: str) -> bool:
    """Whether ``network_costs`` answers at once; if not, a thread begins to load what it needs."""
    if not _loaded.is_set() and not _begun.is_set():
        _begun.set()
        Thread(target=_load, args=(architecture_json,), daemon=True).start()
    return _loaded.is_set()


def _load(architecture_json: str) -> None:
    try:
        with suppress(BitnasError):  # whoever asks for the costs is told
            network_costs(architecture_json)
    finally:
        _loaded.set()


@lru_cache(KEPT)
def _network_costs(architecture_json: str) -> NetworkCosts:
    from latency.model.workloads import graph_of
    from search_spaces.architecture import read_architecture

    architecture = read_architecture(architecture_json)
    graph = graph_of(architecture)
    stored = _stored(architecture)
    steps = [Step(*_named(_layer_of(node.name, stored)), node.workload.key) for node in graph.nodes]
    held, workspace = _held(graph, steps)
    layers = []
    for name, (codes, weights, others) in stored.items():
        layers.append(LayerBytes(*_named(name), codes, weights, others))
    return NetworkCosts(tuple(steps), tuple(layers), tuple(held), workspace)


class _Stored(NamedTuple):
    """What one layer stores, in bytes."""

    codes: tuple[str, ...]
    weights: float
    others: float


def _stored(architecture: "Buildable") -> dict[str, _Stored]:
    """What each layer with its batch norm stores, in order, by name."""
    import torch

    from search_spaces import build
    from search_spaces.sizing import stored

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay
        network = build(architecture)
    found: dict[str, _Stored] = {}
    for name, code, weight_bits, other_bits in stored(network):
        before = found.get(_layer(name), _Stored((), 0.0, 0.0))
        codes = tuple(dict.fromkeys((*before.codes, *filter(None, [code]))))
        found[_layer(name)] = _Stored(codes, before.weights + weight_bits / 8, before.others + other_bits / 8)
    return found


def _layer(name: str) -> str:
    """What holds a convolution and its batch norm, which are numbered in it: ``block0.squeeze``."""
    *outer, last = name.split(".")
    return ".".join(outer) if outer and last.isdigit() else name


def _layer_of(node: str, layers: Container[str]) -> str:
    """The layer whose name a node's begins with, or else the part of the network."""
    words = node.split(".")
    starts = (".".join(words[:count]) for count in range(len(words), 0, -1))
    return next((name for name in starts if name in layers), _part(node))


def _part(name: str) -> str:
    """What holds a layer: ``block0`` of ``block0.squeeze``, ``blocks.3`` of ``blocks.3.conv1``."""
    first, *others = name.split(".")
    return f"{first}.{others[0]}" if others and others[0].isdigit() else first


def _named(layer: str) -> tuple[str, str]:
    """Part and layer as people count them: ``block 1`` and ``block 1 squeeze`` of ``block0.squeeze``."""
    if _BLOCK.match(layer) is None:
        return _part(layer), layer
    return _counted(_part(layer)), _counted(layer).replace(".", " ")


def _counted(name: str) -> str:
    return _BLOCK.sub(lambda found: f"block {int(found[1]) + 1}", name)


def _held(graph: "Graph", steps: list[Step]) -> tuple[list[Held], int]:
    """What the workspace holds, and its bytes."""
    from runtime.codegen.layout import lay_out
    from runtime.codegen.planning import aligned
    from runtime.kernels.base import kernel_for

    layout, found = lay_out(graph), []
    for activation, offset in layout.activations:
        step, buffer = activation.users[0]
        workload = graph.nodes[step].workload
        roles = {each.name: each.role for each in kernel_for(workload).buffers(workload)}
        alive = activation.lifetime
        nbytes = aligned(alive.nbytes)
        is_scratch = roles[buffer] == "scratch"
        found.append(Held(steps[step].layer, buffer, is_scratch, nbytes, offset, alive.first, alive.last))
    return found, layout.workspace_bytes
