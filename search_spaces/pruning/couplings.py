"""Which channels of a network must be taken out together, and which blocks may be left out.

What is added or multiplied, as by shortcuts and gates, has channels in common; a depthwise layer hands on
those that come in; groups of convolutions and shuffles stay equally large.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from torch import fx, nn

from search_spaces.pruning.flow import Channels, Flow, Ids, Tracer, traced
from search_spaces.pruning.layers import BY_CHANNEL, makes

_RELUS = {"relu", "relu_", "relu6", "ReLU", "ReLU6"}
_ADDS = {"add", "iadd", "add_"}


@dataclass(frozen=True)
class Block:
    """A part that adds something to what comes in, so that it can be left out.

    Attributes:
        name: what the network calls it.
        adds: the layers whose channels it adds, by name.
    """

    name: str
    adds: tuple[str, ...]


@dataclass(frozen=True)
class Dimension:
    """Channels of which any may be taken out, as long as it is as many of each cell.

    Attributes:
        name: the first layer that makes some of them.
        cells: sets of coupled channels; of each the same share is taken out.
    """

    name: str
    cells: tuple[tuple[int, ...], ...]

    @property
    def units(self) -> int:
        """Of how many equal parts it is."""
        return gcd(*map(len, self.cells))

    @property
    def most(self) -> int:
        """How many of its units may be taken out: a channel alone, or alone in its group, would make another
        kind of layer."""
        return max(0, self.units - 2)

    def chosen(self, units: int, importance: Mapping[int, float]) -> list[int]:
        """The least important channels, so many units of them."""
        found: list[int] = []
        for cell in self.cells:
            order = sorted(cell, key=lambda one: (importance[one], one))
            found += order[: units * len(cell) // self.units]
        return found


@dataclass(frozen=True)
class Couplings:
    """The channels of a network.

    A number stands for channels of several layers that are taken out together: a *coupled set*.

    Attributes:
        made: of each layer that makes channels, by name, which coupled set each of them is of.
        into: likewise, of what comes into each layer.
        out: and of what goes out.
        behind: of each layer that makes channels, the batch norm (or the like) that alone follows it, or
            the layer itself: where its output is complete.
        dimensions: what may be cut.
        blocks: what may be left out.
    """

    made: Mapping[str, Ids]
    into: Mapping[str, Ids]
    out: Mapping[str, Ids]
    behind: Mapping[str, str]
    dimensions: tuple[Dimension, ...]
    blocks: tuple[Block, ...]

    def widths(self, gone: Collection[int], without: Iterable[str] = ()) -> dict[str, int]:
        """How many channels the layers make that make fewer once the sets ``gone`` are taken out.

        Layers of the blocks ``without`` are left out.
        """
        left_out = tuple(f"{name}." for name in without)
        kept = {n: sum(i not in gone for i in ids) for n, ids in self.made.items()}
        return {n: k for n, k in kept.items() if k < len(self.made[n]) and not n.startswith(left_out)}


class _Unions(Channels):
    """Numbers channels as they come, and unites those that are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: list[int] = []
        self.made: dict[str, Ids] = {}
        self.kept: set[int] = set()

    def make(self, name: str, count: int) -> Ids:
        first = len(self.parents)
        self.parents += range(first, first + count)
        self.made[name] = list(range(first, first + count))
        return self.made[name]

    def join(self, one: Ids, other: Ids) -> Ids:
        for a, b in zip(one, other, strict=True):
            first, second = sorted((self.find(a), self.find(b)))
            self.parents[second] = first
        return one

    def keep(self, ids: Ids) -> None:
        self.kept |= set(ids)

    def find(self, one: int) -> int:
        while self.parents[one] != one:
            self.parents[one] = self.parents[self.parents[one]]
            one = self.parents[one]
        return one

    def found(self, ids: Ids) -> Ids:
        return [self.find(one) for one in ids]


def couplings(network: nn.Module, input_shape: tuple[int, ...]) -> Couplings:
    """Of a network for images (C, H, W).

    Raises:
        InvalidInput: its forward pass cannot be traced.
    """
    graph, tracer = traced(network)
    unions = _Unions()
    Flow(network, graph, unions).follow(input_shape)
    modules = dict(network.named_modules())
    made, into, out = (
        {name: unions.found(ids) for name, ids in found.items()}
        for found in (unions.made, unions.into, unions.out)
    )
    behind = _behind(graph, modules)
    return Couplings(
        {name: ids for name, ids in made.items() if not name.startswith("?")},
        into,
        out,
        behind,
        tuple(_dimensions(made, unions)),
        tuple(_blocks(tracer, modules, behind)),
    )


def _behind(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> dict[str, str]:
    """Where the output of each layer that makes channels is complete."""
    found = {}
    for node in graph.nodes:
        if node.op == "call_module" and makes(modules[node.target]) is not None:
            last = node
            while (after := _only_user(last, modules)) is not None:
                last = after
            found[node.target] = last.target
    return found


def _only_user(node: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node | None:
    """The layer with numbers by channel that alone follows a step."""
    users = list(node.users)
    is_one = len(users) == 1 and users[0].op == "call_module"
    return users[0] if is_one and isinstance(modules[str(users[0].target)], BY_CHANNEL) else None


def _dimensions(made: Mapping[str, Ids], unions: _Unions) -> Iterable[Dimension]:
    """Coupled sets of the same layers and groups are of one cell; cells in groups of a layer go together."""
    even = [(unions.found(ids), groups) for ids, groups in unions.even]
    kept = set(unions.found(sorted(unions.kept)))
    places: dict[int, set[Any]] = defaultdict(set)
    first: dict[int, str] = {}
    for name, ids in made.items():
        for one in ids:
            places[one].add(name)
            first.setdefault(one, name)
    for number, (ids, groups) in enumerate(even):
        for at, one in enumerate(ids):
            places[one].add((number, at * groups // len(ids)))
    cells: dict[frozenset[Any], list[int]] = defaultdict(list)
    for one, where in places.items():
        cells[frozenset(where)].append(one)
    for bundle in _bundles(cells, even):
        if not any(one in kept for cell in bundle for one in cell):
            yield Dimension(first[min(map(min, bundle))], tuple(tuple(cell) for cell in bundle))


def _bundles(
    cells: Mapping[frozenset[Any], list[int]], even: list[tuple[Ids, int]]
) -> Iterable[list[list[int]]]:
    """Cells that must lose the same share, as groups of a layer are made of them."""
    joined = _Unions()
    keys = list(cells)
    joined.make("", len(keys))
    for number in range(len(even)):
        members = [
            i for i, key in enumerate(keys) if any(p[0] == number for p in key if isinstance(p, tuple))
        ]
        for other in members[1:]:
            joined.join([members[0]], [other])
    bundles: dict[int, list[list[int]]] = defaultdict(list)
    for i, key in enumerate(keys):
        bundles[joined.find(i)].append(cells[key])
    return bundles.values()


def _blocks(tracer: Tracer, modules: Mapping[str, nn.Module], behind: Mapping[str, str]) -> Iterable[Block]:
    complete = {last: name for name, last in behind.items()}
    for name, (first, last) in tracer.spans.items():
        if name in complete or name not in modules or not list(modules[name].children()):
            continue
        added = _added(first, last, modules)
        if added is not None and (makers := _makers(added, first, complete)):
            yield Block(name, tuple(makers))


def _added(first: fx.Node, last: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node | None:
    """What a part adds to what comes in; None where it does anything else."""
    through = _through(last, modules)
    if _kind(through, modules) in _RELUS:
        if _kind(_through(first, modules), modules) not in _RELUS:
            return None  # what comes in may be negative, and would not go out as it is
        through = _through(through.all_input_nodes[0], modules)
    if (
        through.op == "placeholder"
        or _kind(through, modules) not in _ADDS
        or len(through.all_input_nodes) != 2
    ):
        return None
    one, other = through.all_input_nodes
    for here, there in ((one, other), (other, one)):
        if _through(here, modules) is _through(first, modules):
            return there
    return None


def _through(node: fx.Node, modules: Mapping[str, nn.Module]) -> fx.Node:
    """The step before those that do nothing."""
    while node.op == "call_module" and type(modules[str(node.target)]) is nn.Identity:
        node = node.all_input_nodes[0]
    return node


def _kind(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    if node.op == "call_module":
        return type(modules[str(node.target)]).__name__
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _makers(added: fx.Node, first: fx.Node, complete: Mapping[str, str]) -> list[str]:
    """The layers whose complete outputs make what is added."""
    waiting, found, seen = [added], list[str](), set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if node is first or node in seen:
            continue
        seen.add(node)
        if node.op == "call_module" and node.target in complete:
            found.append(complete[str(node.target)])
        else:
            waiting += node.all_input_nodes
    return found
