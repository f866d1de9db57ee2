"""A network as ncnn's two files: ``.param``, which lists the layers, and ``.bin`` with their weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from benchmarks.engines.plain import Every, is_addition, is_flatten, source, steps

MAGIC = "7767517"
FLOATS, BYTES = 0, 0x000D4B38
"""What ncnn reads before weights, by their type."""
RELU, CLIP = 1, 3
"""Activations that convolutions apply themselves."""
HIGHEST = 127.0
Images = NDArray[np.float32]


@dataclass
class _Files:
    """What is written so far.

    Attributes:
        lines: of the ``.param`` file, a layer each.
        weights: of the ``.bin`` file.
        blobs: how many outputs there are.
    """

    lines: list[str] = field(default_factory=list)
    weights: list[bytes] = field(default_factory=list)
    blobs: int = 0

    def add(self, kind: str, name: str, sources: list[str], results: list[str], **options: Any) -> None:
        """A layer; its options by number, as ``p0``."""
        told = [f"{key[1:]}={value}" for key, value in options.items()]
        counts = [str(len(sources)), str(len(results))]
        self.lines.append(" ".join([kind, name, *counts, *sources, *results, *told]))
        self.blobs += len(results)

    def put(self, array: NDArray[Any], kind: int | None = None) -> None:
        """Weights; ``kind`` is told before those whose type may differ."""
        tag = b"" if kind is None else np.uint32(kind).tobytes()
        data = array.tobytes()
        self.weights.append(tag + data + b"\0" * (-len(data) % 4))


def write(network: fx.GraphModule, path: Path, images: Tensor | None = None) -> None:
    """Write a network that ``plain`` made to ``path`` and to the ``.bin`` file beside it.

    With images (N, C, H, W), products are of signed bytes: weights have a scale for each output channel,
    inputs of a layer one scale, by the greatest that it sees of the images. A layer that only another one
    reads writes bytes, as ncnn's own tool has it.
    """
    files, names = _Files(), _Names(network)
    scales = {} if images is None else _input_scales(network, images)
    for node in network.graph.nodes:
        if node.op == "output":
            continue
        if node not in names.merged:
            _write_step(files, names, network, node, scales)
        reading = names.readers(node)
        if node not in names.merges and len(reading) > 1:  # ncnn has one reader a blob
            own = names.result(node)
            files.add("Split", f"{own}.split", [own], [f"{own}.{index}" for index in range(len(reading))])
    head = [MAGIC, f"{len(files.lines)} {files.blobs}"]
    path.write_text("\n".join([*head, *files.lines]) + "\n", encoding="utf-8")
    path.with_suffix(".bin").write_bytes(b"".join(files.weights))


class _Names:
    """Which steps ncnn merges into another, and how their outputs are called."""

    def __init__(self, network: fx.GraphModule) -> None:
        self.merges: dict[fx.Node, fx.Node] = {}  # a convolution, and the activation that it applies
        self.merged: set[fx.Node] = set()
        found = dict(steps(network))
        for node, layer in found.items():
            readers = list(node.users)
            if isinstance(layer, nn.Conv2d) and len(readers) == 1:
                follows = found.get(readers[0])
                if isinstance(follows, nn.ReLU | nn.ReLU6):
                    self.merges[node] = readers[0]
                    self.merged.add(readers[0])
        self.flat = {node for node in found if is_flatten(node)}  # a mean is a row already
        self.merged |= self.flat
        self._taken: dict[fx.Node, int] = {}

    def readers(self, node: fx.Node) -> list[fx.Node]:
        """The steps that read an output."""
        return [user for user in node.users if user.op != "output"]

    def result(self, node: fx.Node) -> str:
        """The blob that a step's output is in."""
        if node.op == "placeholder":
            return "x"
        if node in self.flat:
            return self.result(source(node))
        own = self.merges.get(node, node)
        return "result" if any(user.op == "output" for user in own.users) else own.name

    def source(self, node: fx.Node) -> str:
        """The blob to read for the next reader of a step."""
        before = source(node) if node in self.flat else node
        count = len(self.readers(before))
        if count < 2:
            return self.result(before)
        index = self._taken.get(before, 0)
        self._taken[before] = index + 1
        return f"{self.result(before)}.{index}"


def _write_step(
    files: _Files, names: _Names, network: fx.GraphModule, node: fx.Node, scales: dict[fx.Node, float]
) -> None:
    layer = dict(steps(network)).get(node)
    result = [names.result(node)]
    if node.op == "placeholder":
        files.add("Input", "x", [], result)
        return
    sources = [names.source(each) for each in node.all_input_nodes]
    if isinstance(layer, nn.Conv2d):
        _write_convolution(files, names, network, node, layer, sources, scales)
    elif isinstance(layer, nn.Linear):
        options = {"p0": layer.out_features, "p1": 1, "p2": layer.weight.numel()}
        _write_weights(files, "InnerProduct", node, sources, result, layer, options, scales.get(node), None)
    elif isinstance(layer, nn.ReLU):
        files.add("ReLU", node.name, sources, result)
    elif isinstance(layer, nn.ReLU6):
        files.add("Clip", node.name, sources, result, p0=0.0, p1=6.0)
    elif isinstance(layer, nn.MaxPool2d):
        options = {"p0": 0, "p1": layer.kernel_size, "p2": layer.stride, "p3": layer.padding, "p5": 1}
        files.add("Pooling", node.name, sources, result, **options)
    elif isinstance(layer, nn.AdaptiveAvgPool2d):
        files.add("Pooling", node.name, sources, result, p0=1, p4=1)
    elif isinstance(layer, Every):  # a pool of one pixel, then channels behind
        between = [f"{node.name}.kept"]
        files.add("Pooling", f"{node.name}.pool", sources, between, p0=0, p1=1, p2=layer.stride, p5=1)
        files.add("Padding", node.name, between, result, p4=0, p5=0.0, p7=0, p8=layer.added)
    elif is_addition(node):
        files.add("BinaryOp", node.name, sources, result, p0=0)
    else:
        raise ValueError(f"{node.name}: no ncnn layer is known for {node.target}")


def _write_convolution(
    files: _Files,
    names: _Names,
    network: fx.GraphModule,
    node: fx.Node,
    layer: nn.Conv2d,
    sources: list[str],
    scales: dict[fx.Node, float],
) -> None:
    options: dict[str, Any] = {
        "p0": layer.out_channels,
        "p1": layer.kernel_size[0],
        "p3": layer.stride[0],
        "p4": int(layer.padding[0]),
        "p5": 1,
        "p6": layer.weight.numel(),
    }
    kind = "Convolution" if layer.groups == 1 else "ConvolutionDepthWise"
    if layer.groups > 1:
        options["p7"] = layer.groups
    last = names.merges.get(node)
    if last is not None:
        is_clip = isinstance(dict(steps(network))[last], nn.ReLU6)
        options |= {"p9": CLIP, "p-23310": "2,0.0,6.0"} if is_clip else {"p9": RELU}
    readers = names.readers(last or node)
    following = scales.get(readers[0]) if len(readers) == 1 else None
    result = [names.result(node)]
    _write_weights(files, kind, node, sources, result, layer, options, scales.get(node), following)


def _write_weights(
    files: _Files,
    kind: str,
    node: fx.Node,
    sources: list[str],
    result: list[str],
    layer: nn.Conv2d | nn.Linear,
    options: dict[str, Any],
    scale: float | None,
    following: float | None,
) -> None:
    """A layer with weights; in bytes if it has a ``scale``, which then writes bytes of the ``following``."""
    assert layer.bias is not None
    weight, bias = (each.detach().numpy() for each in (layer.weight, layer.bias))
    if scale is None:
        files.add(kind, node.name, sources, result, **options)
        files.put(weight, FLOATS)
        files.put(bias)
        return
    files.add(kind, node.name, sources, result, **options, p8=1 if following is None else 101)
    parts = weight.reshape(getattr(layer, "groups", 1) if kind.endswith("DepthWise") else len(weight), -1)
    own = (HIGHEST / np.maximum(np.abs(parts).max(axis=1), 1e-9)).astype(np.float32)
    files.put(np.rint(parts * own[:, None]).astype(np.int8), BYTES)
    files.put(bias)
    files.put(own)
    files.put(np.float32(scale))
    if following is not None:
        files.put(np.float32(following))


def _input_scales(network: fx.GraphModule, images: Tensor) -> dict[fx.Node, float]:
    """For each convolution and dense layer, bytes a unit: 127 is the greatest input that it sees."""
    wanted = {node for node, layer in steps(network) if isinstance(layer, nn.Conv2d | nn.Linear)}
    found: dict[fx.Node, float] = {}

    class Watching(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if n in wanted:
                given = self.env[source(n)]
                found[n] = HIGHEST / max(float(given.abs().max()), 1e-9)
            return super().run_node(n)

    with torch.no_grad():
        Watching(network).run(images)
    return found
