"""Tells which scales and biases a kernel can take in without a difference that float32 shows.

``y + 12582912 - 12582912`` rounds y in float32, and ``y * 1e-42 * 1e42`` loses digits; folded into one scale
and one bias, both would be y.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, Node
from runtime.workload import Affine
from search_spaces.errors import UnsupportedLayerError

TOLERANCE = 1e-4
"""Of the largest output: how far a result may be from torch's."""

ROUNDING = 2.0**-24
"""Half of float32's epsilon: what a rounding changes a number by at most, relative to it."""

MAX_OFFSET_RATIO = 512
"""An offset may be so many times larger than what remains of it: 512 roundings are a third of TOLERANCE."""

CANCELLED_OFFSET = 2
"""An offset so large may be taken back whole, as where images are normed again."""

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
"""The smallest normal number."""

RANGE = Fraction(2) ** 32
"""No product of scales is larger, or smaller than its inverse: far from what float32 cannot hold."""


@dataclass(frozen=True)
class SameForAll:
    """Makes the constants of a step that computes with numbers which the forward pass names.

    ``is_inverse`` tells that the scale stands for a division, which may round otherwise.
    """

    channels: int
    scale: float
    bias: float
    is_inverse: bool = False

    def __call__(self) -> Constants:
        """Scale and bias (C,) in float32, as torch takes them."""
        pairs = (("scale", self.scale), ("bias", self.bias))
        return {name: np.full(self.channels, number, np.float32) for name, number in pairs}


@dataclass(frozen=True)
class BatchNorm:
    """Makes the constants of a batch norm at inference."""

    layer: Any

    def __call__(self) -> Constants:
        """Scale and bias (C,) in float64."""
        mean, variance, weight, bias = self._held("running_mean", "running_var", "weight", "bias")
        scale = 1 / np.sqrt(variance + self.layer.eps) * weight
        return {"scale": scale, "bias": bias - mean * scale}

    def require_no_loss(self, name: str, before: NDArray[Any] | float, constants: Constants) -> None:
        """Refuse it where it takes back an offset beside which float32 holds too little of the rest.

        Args:
            name: of the layer.
            before: the offset that was added before it, of the shape of its scale or one for all channels.
            constants: its scale and bias.

        Raises:
            UnsupportedLayerError: roundings of the offset are over TOLERANCE of its output, which by its
                statistics varies by its weight.
        """
        offset, (weight,) = before * constants["scale"], self._held("weight")
        output = max(_largest(weight), _largest(offset + constants["bias"]), SMALLEST_NORMAL)
        if ROUNDING * _largest(offset) > TOLERANCE * output:
            raise UnsupportedLayerError(
                f"layer '{name}': it takes back an offset that is {_largest(offset) / output:.0e} times its "
                "output, of which float32 leaves rounding errors; leave out the offset before it"
            )

    def _held(self, *names: str) -> list[NDArray[np.float64]]:
        """Tensors of the layer; one without a weight and a bias has ones and zeros."""
        from runtime.lowering.tensors import as_it_runs, numbers  # torch

        with as_it_runs(self.layer) as own:
            tensors = {name: getattr(own, name) for name in names}
            absent = {"weight": np.ones(1), "bias": np.zeros(1)}
            return [
                absent[name] if tensor is None else numbers(self.layer, tensor, np.float64)
                for name, tensor in tensors.items()
            ]


def _largest(array: NDArray[Any]) -> float:
    return float(np.abs(array).max(initial=0))


def keep_roundings(graph: Graph) -> None:
    """Mark the steps with numbers whose roundings count: each stays a kernel of its own, in float32.

    What a layer or a batch norm gives is taken to be of size 1. Of a run of steps ``s x + b`` behind it, the
    first ones may be folded, as long as the product of scales stays in RANGE, the offset stays below
    MAX_OFFSET_RATIO times what passes, and so do offsets beside what remains of them behind the last step.

    The numbers in a forward pass decide alone, no learned ones: a network keeps its kernels as it learns.

    Raises:
        UnsupportedLayerError: there is a division whose own rounding counts.
    """
    seen: set[int] = set()
    for node in graph.nodes:
        if node.output.index not in seen and _is_number(node):
            run = _run_from(graph, node)
            seen.update(each.output.index for each in run)
            _mark(graph, run)


def _is_number(node: Node) -> bool:
    return isinstance(node.workload, Affine) and isinstance(node.make_constants, SameForAll)


def _run_from(graph: Graph, node: Node) -> list[Node]:
    """The steps with numbers from a first one on, of which each alone reads the one before."""
    run = [node]
    while run[-1].output.index != graph.output.index:
        readers = graph.readers(run[-1].output)
        if len(readers) != 1 or not _is_number(readers[0]):
            break
        run.append(readers[0])
    return run


def _mark(graph: Graph, run: list[Node]) -> None:
    """Mark what of a run is not folded, and have a batch norm behind that look at what it takes back."""
    passes = list(_passes([node.make_constants for node in run]))
    largest = list(accumulate((abs(offset) for _, offset in passes), max))
    scale, offset = passes[-1]
    remains = largest[-1]  # of a zero, nothing
    if scale:
        remains = max(MAX_OFFSET_RATIO * abs(offset), Fraction(CANCELLED_OFFSET))
    fits = [
        1 / RANGE <= abs(scale) <= RANGE and most <= MAX_OFFSET_RATIO and most <= remains
        for (scale, _), most in zip(passes, largest, strict=True)
    ]
    kept = run[(*fits, False).index(False) :]
    for node in kept:
        node.keeps_rounding = True
    lossy = max(remains, Fraction(MAX_OFFSET_RATIO))
    _require_no_division([node for node, most in zip(run, largest, strict=True) if most > lossy])
    if kept:
        _watch(graph, kept[-1], scale * offset)


def _require_no_division(steps: list[Node]) -> None:
    """Refuse to divide beside a large offset that is taken back: products with the inverse differ."""
    for node in steps:
        make: Any = node.make_constants
        if make.is_inverse:
            raise UnsupportedLayerError(
                f"layer '{node.name}': it divides between an offset and what takes that back, where "
                "roundings count; multiply by the inverse"
            )


def _passes(steps: list[Any]) -> Iterator[tuple[Fraction, Fraction]]:
    """What a run has made of x behind each step, exactly: ``scale (x + offset)``; nothing behind a zero."""
    scale, offset = Fraction(1), Fraction(0)
    for step in steps:
        scale *= Fraction(step.scale)
        offset = offset + Fraction(step.bias) / scale if scale else Fraction(0)
        yield scale, offset


def _watch(graph: Graph, last: Node, offset: Fraction) -> None:
    """Have the batch norms that read a run ask for what float32 leaves of it."""
    most = Fraction(float(np.finfo(np.float32).max))
    number = float(max(-most, min(most, offset)))
    for reader in graph.readers(last.output):
        make = reader.make_constants
        if isinstance(make, BatchNorm):
            reader.change_constants(partial(_watched, reader.name, make, number))


def _watched(name: str, norm: BatchNorm, offset: float, constants: Constants) -> Constants:
    norm.require_no_loss(name, offset, constants)
    return constants
