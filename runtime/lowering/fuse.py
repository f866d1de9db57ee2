"""Fusions over a finished graph: what follows a convolution is done before its sums leave the registers."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph import Constants, Graph, MakeConstants, Node, Value
from runtime.kernels.base import kernel_for
from runtime.kernels.bitserial import compares_counts
from runtime.kernels.covering import Vectors, vectors_of
from runtime.kernels.epilogue import can_write_bits
from runtime.lowering.folding import BatchNorm, keep_roundings
from runtime.lowering.integers import use_integers
from runtime.lowering.interleaving import steps_before_interleaving
from runtime.lowering.learned import norm_before_levels
from runtime.lowering.pools import pool_codes, pool_normed_signs, pool_rectified
from runtime.lowering.thresholds import count_limits
from runtime.workload import (
    ACTIVATIONS,
    Add,
    Affine,
    BitserialConv2d,
    BitserialDense,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    FusedOutput,
    Quantize,
    Relu,
    SignPack,
    Workload,
)

AFFINE_PRODUCERS = (Conv2d, DepthwiseConv2d, Dense, BitserialConv2d, BitserialDense)
"""Workloads that end in a scale, a bias and an optional ReLU or other activation."""


def fuse(graph: Graph) -> Graph:
    """All fusions, in the order in which one makes the next possible."""
    keep_roundings(graph)
    steps_before_interleaving(graph)
    pool_normed_signs(graph, lambda producer, affine: _can_scale(graph, producer, affine))
    _fuse_affines(graph)
    norm_before_levels(graph)
    _fuse_residuals(graph)
    pool_rectified(graph, lambda producer, relu: _is_affine_for_one(graph, producer))
    _fuse_activations(graph)
    pool_codes(graph, _can_write)
    _fuse_codes(graph)
    use_integers(graph)
    return graph


def _fuse_affines(graph: Graph) -> None:
    """Fold batch norms and numbers into the kernel before them, where nothing else reads what it writes.

    Not those numbers whose roundings count, see ``folding``.
    """
    for affine in [node for node in graph.nodes if isinstance(node.workload, Affine)]:
        producer = graph.producer(affine.inputs[0])
        if producer is None or not _can_scale(graph, producer, affine):
            continue
        vectors = vectors_of(producer.workload)
        producer.change_constants(partial(_scaled, affine.name, affine.make_constants, vectors))
        _bypass(graph, affine)


def _scaled(name: str, make_affine: MakeConstants, vectors: Vectors, constants: Constants) -> Constants:
    """Constants of a kernel whose scale and bias take in those of a batch norm."""
    affine, bias = make_affine(), constants["bias"]
    a, b = (affine[name].reshape(-1)[vectors.order()].reshape(bias.shape) for name in ("scale", "bias"))
    per_plane = a[:, None] if constants["scale"].ndim == 3 else a
    scale = (constants["scale"] * per_plane).astype(np.float32)
    if isinstance(make_affine, BatchNorm):
        make_affine.require_no_loss(name, bias, {"scale": a, "bias": b})
    return {**constants, "scale": scale, "bias": (bias * a + b).astype(np.float32)}


def _can_scale(graph: Graph, producer: Node, affine: Node) -> bool:
    """Whether the producer's scale and bias can take in another one."""
    if affine.keeps_rounding or not _is_affine_for_one(graph, producer):
        return False
    # the shape of its own output may be another: of rows which an image of one channel was flattened to
    return vectors_of(producer.workload).channels == affine.output.shape[-1]


def _is_affine_for_one(graph: Graph, producer: Node) -> bool:
    """Whether it ends in a scale and a bias, and only one node reads what it writes."""
    is_read_once = len(graph.readers(producer.output)) == 1 and producer.output.index != graph.output.index
    return isinstance(producer.workload, AFFINE_PRODUCERS) and is_read_once


def _fuse_residuals(graph: Graph) -> None:
    """Move each addition into a convolution that nothing but the addition reads: the last to run of the two.

    The convolution then runs where the addition did, when the other tensor is there.
    """
    for add in [node for node in graph.nodes if isinstance(node.workload, Add)]:
        producer = max(_addable(graph, add), key=graph.nodes.index, default=None)
        if producer is None:
            continue
        other = next(v for v in add.inputs if v.index != producer.output.index)
        producer.workload = replace(producer.workload, residual=True)  # type: ignore[call-arg]  # all that are addable have it
        producer.inputs = [*producer.inputs, other]
        producer.outputs = add.outputs
        graph.nodes.remove(producer)
        graph.nodes[graph.nodes.index(add)] = producer


def _addable(graph: Graph, add: Node) -> Iterator[Node]:
    for value in add.inputs:
        producer = graph.producer(value)
        if producer is None or not isinstance(producer.workload, FusedOutput):
            continue
        work = producer.workload
        is_plain = not work.residual and not work.relu and work.activation == "none"
        is_read_once = sum(v.index == value.index for node in graph.nodes for v in node.inputs) == 1
        if is_plain and is_read_once and value.index != graph.output.index:
            yield producer


def _fuse_activations(graph: Graph) -> None:
    """Move each activation into the kernel before it, where every reader of that kernel is the same one."""
    for producer in list(graph.nodes):
        readers = graph.readers(producer.output)
        is_output = producer.output.index == graph.output.index
        if not isinstance(producer.workload, (*AFFINE_PRODUCERS, Affine)) or not readers or is_output:
            continue
        first, *others = {reader.workload.family for reader in readers}
        if others or not _can_activate(producer, first):
            continue
        change: dict[str, Any] = {"relu": True} if first == Relu.family else {"activation": first}
        producer.workload = replace(producer.workload, **change)
        for reader in readers:
            _bypass(graph, reader)


def _can_activate(producer: Node, family: str) -> bool:
    """Whether a producer can do what kernels of a family do; a batch norm alone knows the ReLU only."""
    return family == Relu.family or (family in ACTIVATIONS and not isinstance(producer.workload, Affine))


def _bypass(graph: Graph, node: Node) -> None:
    """Remove a node of one input: whoever read its output reads its input instead."""
    source, index = node.inputs[0], node.output.index
    for reader in graph.readers(node.output):
        reader.inputs = [replace(v, index=source.index) if v.index == index else v for v in reader.inputs]
    if graph.output.index == index:
        graph.output = replace(graph.output, index=source.index)
    graph.nodes.remove(node)


def _fuse_codes(graph: Graph) -> None:
    """Let convolutions write what the next layer reads: bits or bytes, and the float where it is read too."""
    for producer in list(graph.nodes):
        workload = producer.workload
        if not isinstance(workload, FusedOutput):
            continue
        readers = graph.readers(producer.output)
        coder = next((r for r in readers if _can_write(producer, r)), None)
        if coder is None or coder.output.index == graph.output.index:
            continue
        also_float = len(readers) > 1 or producer.output.index == graph.output.index
        _write_codes(producer, coder, also_float)
        graph.nodes.remove(coder)


def _can_write(producer: Node, reader: Node) -> bool:
    """Whether the producer can write the code that the reader makes of its output."""
    if not isinstance(producer.workload, FusedOutput):
        return False
    if isinstance(reader.workload, Quantize):
        return True
    if not isinstance(reader.workload, SignPack):
        return False
    vectors = vectors_of(producer.workload)
    return vectors.channels == reader.workload.channels and can_write_bits(vectors, reader.workload.groups)


def _write_codes(producer: Node, coder: Node, also_float: bool) -> None:
    outputs: list[Value] = [coder.output]
    if also_float:
        outputs.insert(0, producer.output)
    producer.outputs = outputs
    changes: dict[str, Any] = {"also_float": also_float}
    if isinstance(coder.workload, Quantize):
        changes |= {"output": coder.workload.code}
    elif isinstance(coder.workload, SignPack):
        groups = coder.workload.groups
        changes |= {"output": "binary", "threshold": coder.workload.threshold, "output_groups": groups}
    producer.workload = replace(producer.workload, **changes)
    producer.make_step = coder.make_constants
    producer.change_constants(partial(_coding, producer.workload, coder.make_constants))


def _in_lanes(threshold: NDArray[Any], vectors: Vectors) -> NDArray[Any]:
    """Thresholds (H or 1, W or 1, G, C/G) of each channel -> (..., vectors, lanes)."""
    rows, columns, *_ = threshold.shape
    by_channel = threshold.reshape(rows, columns, -1)
    return by_channel[..., vectors.order()].reshape(rows, columns, *vectors.shape)


def _coding(workload: Workload, make_coder: MakeConstants, constants: Constants) -> Constants:
    """Constants of a kernel that writes codes: those of its sums, and of the step that made the codes."""
    coder = dict(make_coder())
    if "threshold" in coder and coder["threshold"].shape[-2:] != (1, 1):
        coder["threshold"] = _in_lanes(coder["threshold"], vectors_of(workload))
    if isinstance(workload, BitserialConv2d) and compares_counts(workload):
        return count_limits(workload, constants, coder.get("threshold"))
    shapes = {b.name: b.shape for b in kernel_for(workload).buffers(workload)}
    return {**constants, **{k: np.ascontiguousarray(v.reshape(shapes[k])) for k, v in coder.items()}}
