"""Where all of a network lies in memory: constants in one block, activations and scratch in another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.codegen.planning import Lifetime, aligned, largest_live_set, plan
from runtime.cpu import ANY_CPU, Cpu
from runtime.graph import Graph, Node, Value
from runtime.kernels.base import Buffer, kernel_for
from runtime.kernels.channel_units import ChannelUnits, channel_units


@dataclass(frozen=True)
class Constant:
    """A packed tensor and its place in the constants' block, in bytes.

    Attributes:
        find_units: tells how it lies by output channel; None where nothing is known of it.
    """

    name: str
    array: NDArray[Any]
    offset: int
    find_units: Callable[[], ChannelUnits | None] = lambda: None


@dataclass(frozen=True)
class Activation:
    """Memory that a step writes, and the (step, buffer's name) pairs that it serves."""

    lifetime: Lifetime
    users: list[tuple[int, str]]


@dataclass
class Layout:
    """Where each buffer of each node lies: the block's name and the offset in it, by the buffer's name.

    ``activations`` are what the workspace holds, each with its offset in bytes.
    """

    places: list[dict[str, tuple[str, int]]]
    constants: list[Constant]
    constant_bytes: int = 0
    workspace_bytes: int = 0
    live_bytes: int = 0
    activations: list[tuple[Activation, int]] = field(default_factory=list)


def lay_out(graph: Graph, cpu: Cpu = ANY_CPU) -> Layout:
    """Place constants one after the other, and activations and scratch by their lifetimes.

    Activations and scratch lie at the same places whatever the CPU is.
    """
    layout = Layout([{} for _ in graph.nodes], [])
    for node, places in zip(graph.nodes, layout.places, strict=True):
        _place_constants(layout, node, places, cpu)
    activations = _activations(graph, layout.places)
    lifetimes = [activation.lifetime for activation in activations]
    offsets, layout.workspace_bytes = plan(lifetimes)
    layout.live_bytes = largest_live_set(lifetimes)
    layout.activations = list(zip(activations, offsets, strict=True))
    for activation, offset in layout.activations:
        for step, name in activation.users:
            layout.places[step][name] = "workspace", offset
    return layout


def workspace_bytes(graph: Graph) -> int:
    """What ``lay_out`` says of the workspace, much sooner: constants are not looked at."""
    activations = _activations(graph, [{} for _ in graph.nodes])
    return plan([activation.lifetime for activation in activations])[1]


def _place_constants(layout: Layout, node: Node, places: dict[str, tuple[str, int]], cpu: Cpu) -> None:
    kernel = kernel_for(node.workload)
    constants = kernel.arrange(node.workload, cpu, node.constants)
    for buffer in kernel.arguments(node.workload, cpu):
        if buffer.role == "constant":
            array = np.ascontiguousarray(constants[buffer.name], dtype=buffer.dtype)
            array = array if array.shape == buffer.shape else array.reshape(buffer.shape)
            units = partial(channel_units, node.workload, cpu, buffer.name, buffer.shape)
            offset = _add_constant(layout, f"{node.name}.{buffer.name}", array, units)
            places[buffer.name] = "constants", offset


def _add_constant(
    layout: Layout, name: str, array: NDArray[Any], units: Callable[[], ChannelUnits | None]
) -> int:
    """The place of a constant; an array that several kernels have, such as a table, lies there once."""
    known = next((each for each in layout.constants if each.array is array), None)
    if known is not None:
        return known.offset
    offset = layout.constant_bytes
    layout.constants.append(Constant(name, array, offset, units))
    layout.constant_bytes += aligned(array.nbytes)
    return offset


def _activations(graph: Graph, places: list[dict[str, tuple[str, int]]]) -> list[Activation]:
    """What goes into the workspace; the graph's own input and output get their places at once."""
    outside = {graph.input.index: "input", graph.output.index: "output"}
    found: list[Activation] = []
    written: dict[int, Activation] = {}
    for step, node in enumerate(graph.nodes):
        for buffer, value in _with_values(node):
            if value is not None and value.index in outside:
                places[step][buffer.name] = outside[value.index], 0
            elif value is not None and buffer.role == "input":
                written[value.index].users.append((step, buffer.name))
            else:
                last = step if value is None else _last_reader(graph, value, step)
                found.append(Activation(Lifetime(buffer.nbytes, step, last), [(step, buffer.name)]))
                if value is not None:
                    written[value.index] = found[-1]
    return found


def _with_values(node: Node) -> Iterator[tuple[Buffer, Value | None]]:
    """The buffers of a node but for its constants, each with the value in it; scratch holds none."""
    values = {"input": iter(node.inputs), "output": iter(node.outputs)}
    for buffer in kernel_for(node.workload).buffers(node.workload):
        if buffer.role != "constant":
            yield buffer, None if buffer.role == "scratch" else next(values[buffer.role])


def _last_reader(graph: Graph, value: Value, step: int) -> int:
    """The last step that reads a value; the one that writes it if none does."""
    readers = (i for i, node in enumerate(graph.nodes) if any(v.index == value.index for v in node.inputs))
    return max(readers, default=step)
