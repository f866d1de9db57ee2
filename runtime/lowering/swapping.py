"""Lets a step run before the one whose result it reads, where nothing else reads that."""

from runtime.graph import Graph, Node, Value
from runtime.workload import Workload


def only_source(graph: Graph, node: Node, kind: type[Workload]) -> Node | None:
    """The node of that kind whose image ``node`` alone reads, channel by channel."""
    source = graph.producer(node.inputs[0])
    if source is None or not isinstance(source.workload, kind) or len(graph.readers(source.output)) > 1:
        return None
    # they differ for rows of flattened images: their features are not channels
    has_channels = node.inputs[0].shape[-1] == source.output.shape[-1]
    return source if has_channels and source.output.index != graph.output.index else None


def swap(graph: Graph, source: Node, step: Node) -> None:
    """Let ``step`` run before its ``only_source``; their workloads are still those of the other order."""
    image, result = source.inputs[0], step.output
    between = Value(source.output.index, image.shape, result.layout)
    step.inputs, step.outputs = [image], [between]
    source.inputs, source.outputs = [between], [result]
    first, second = graph.nodes.index(source), graph.nodes.index(step)
    graph.nodes[first], graph.nodes[second] = step, source
