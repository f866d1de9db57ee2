"""Fusions over a finished graph."""

from dataclasses import replace

from runtime.graph import Graph, Node
from runtime.workload import BitserialConv2d, BitserialDense, Conv2d, Dense, DepthwiseConv2d, Relu

AFFINE_PRODUCERS = (Conv2d, DepthwiseConv2d, Dense, BitserialConv2d, BitserialDense)
"""Workloads that end in a scale, a bias and an optional ReLU."""


def fuse_relu(graph: Graph) -> Graph:
    """Move each ReLU into the kernel before it, where every reader of that kernel is a ReLU."""
    for producer in list(graph.nodes):
        readers = graph.readers(producer.output)
        is_output = producer.output.index == graph.output.index
        if not isinstance(producer.workload, AFFINE_PRODUCERS) or not readers or is_output:
            continue
        if all(isinstance(reader.workload, Relu) for reader in readers):
            producer.workload = replace(producer.workload, relu=True)
            for reader in readers:
                _bypass(graph, reader)
    return graph


def _bypass(graph: Graph, node: Node) -> None:
    """Remove a node of one input: whoever read its output reads its input instead."""
    source = node.inputs[0]
    for other in graph.nodes:
        other.inputs = [
            replace(v, index=source.index) if v.index == node.output.index else v for v in other.inputs
        ]
    if graph.output.index == node.output.index:
        graph.output = replace(graph.output, index=source.index)
    graph.nodes.remove(node)
