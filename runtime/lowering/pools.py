"""Moves codes in front of max pools, which then read packed bits or bytes: 32 or 4 times less.

``max(f(x)) = f(max(x))`` for every f that never falls: a ReLU, the rounding to bytes, a sign with one
threshold per channel. Where f falls, as a sign after a batch norm with a negative scale does, the largest
becomes the smallest: such channels are told to the pool by a mask, so that a network has the same kernels
whatever its batch norms have learned.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from runtime.graph import Constants, Graph, MakeConstants, Node
from runtime.kernels import packing
from runtime.kernels.base import kernel_for
from runtime.lowering.swapping import only_source, swap
from runtime.workload import Affine, MaxPool2d, Quantize, Relu, Relu6, SignPack, Workload

CanJoin = Callable[[Node, Node], bool]
"""Whether the first node's kernel could take the second node in."""


def pool_codes(graph: Graph, can_join: CanJoin) -> None:
    """Turn pool, sign or pool, rounding into the code and a pool of codes, where the code can join."""
    _move(graph, (SignPack, Quantize), can_join)


def pool_rectified(graph: Graph, can_join: CanJoin) -> None:
    """Turn pool, ReLU (or ReLU6) into ReLU, pool, where the ReLU can join what is before."""
    _move(graph, (Relu, Relu6), can_join)


def pool_normed_signs(graph: Graph, can_join: CanJoin) -> None:
    """Turn pool, batch norm, sign into batch norm, sign and a mixed pool of bits.

    ``can_join`` is asked about the batch norm.
    """
    for sign in _nodes(graph, (SignPack,)):
        affine = only_source(graph, sign, Affine)
        pool = affine and only_source(graph, affine, MaxPool2d)
        before = pool and graph.producer(pool.inputs[0])
        if not affine or not pool or not before or not _keeps_order(sign) or not can_join(before, affine):
            continue
        if not _is_of_channels(pool, affine) or not _is_of_channels(pool, sign):
            continue
        _change_places(graph, pool, affine)
        _change_places(graph, pool, sign)
        pool.workload = replace(pool.workload, mixed=True)  # type: ignore[call-arg]  # a MaxPool2d, see above
        pool.make_constants = partial(_smallest, sign.workload, pool.workload, affine.make_constants)


def _move(graph: Graph, kinds: tuple[type[Workload], ...], can_join: CanJoin) -> None:
    for step in _nodes(graph, kinds):
        pool = only_source(graph, step, MaxPool2d)
        before = pool and graph.producer(pool.inputs[0])
        if pool and before and _keeps_order(step) and _is_of_channels(pool, step) and can_join(before, step):
            _change_places(graph, pool, step)


def _nodes(graph: Graph, kinds: tuple[type[Workload], ...]) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.workload, kinds)]


def _keeps_order(step: Node) -> bool:
    """Whether it does the same to every pixel of a channel."""
    return not isinstance(step.workload, SignPack) or step.workload.threshold in ("zero", "channel")


def _is_of_channels(pool: Node, step: Node) -> bool:
    """Whether a step that knows channels knows those of the pool, which may go along any axis of a tensor."""
    work: Any = step.workload
    over: Any = pool.workload
    return not isinstance(work, SignPack | Affine) or (work.batch, work.channels) == (
        over.batch,
        over.channels,
    )


def _change_places(graph: Graph, pool: Node, step: Node) -> None:
    """Let ``step``, which reads the pool, run before it."""
    swap(graph, pool, step)
    step.workload, pool.workload = _changed(step.workload, pool.workload)


def _changed(step: Any, pool: Any) -> tuple[Workload, Workload]:
    """The step on the image that the pool read, and the pool of what the step makes."""
    pixels = pool.height * pool.width
    if isinstance(step, Affine):
        return replace(step, pixels=pixels), pool
    if isinstance(step, SignPack):
        words = step.groups * packing.words(step.channels // step.groups)
        over = replace(step, height=pool.height, width=pool.width)
        return over, replace(pool, channels=words, code="binary")
    over = replace(step, size=pool.batch * pixels * pool.channels)
    return over, replace(pool, code="byte") if isinstance(step, Quantize) else pool


def _smallest(sign: Any, pool: Workload, make_affine: MakeConstants) -> Constants:
    """A bit for each channel whose smallest value is wanted, packed as the signs are."""
    falling = make_affine()["scale"] < 0
    shape = kernel_for(pool).buffers(pool)[1].shape
    return {"smallest": packing.pack_codes(falling.reshape(sign.groups, -1), 1).reshape(shape)}
