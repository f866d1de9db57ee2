"""A whole network as portable C: kernels, constants and one function, for a device without Python or TVM."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.codegen.layout import Constant, Layout, lay_out
from runtime.cpu import ANY_CPU
from runtime.folders import new_folder
from runtime.formats.c_program import ImageInput, program
from runtime.formats.c_source import PRELUDE, TYPES, float_literal, kernel_source
from runtime.graph import Graph
from runtime.kernels.base import Buffer, kernel_for
from runtime.lowering import lower

if TYPE_CHECKING:
    from torch import nn

HEADER, SOURCE = "network.h", "network.c"
NUMBERS_PER_LINE = 12


def c_source(
    module: "nn.Module", input_shape: tuple[int, ...], images: ImageInput | None = None
) -> dict[str, str]:
    """A torch model, as it computes in evaluation mode, as C99.

    It needs stdint.h, string.h and math.h; with ``BITNAS_NO_LIBM`` defined, not math.h.

    Args:
        module: a model made of the layers that ``runtime.lowering`` knows; its weights become constants.
        input_shape: (N, C, H, W).
        images: how images are scaled, for a program that classifies image files; N is 1 then.

    Returns:
        ``network.h`` and ``network.c`` by name; for a program ``images.h``, ``main.c`` and ``Makefile``, too.
        ``bitnas_network(input, output)`` takes and gives torch's float32 arrays. It keeps its activations in
        one static arena of ``BITNAS_ARENA_SIZE`` bytes: one call at a time. Constants are ``const``.

    Raises:
        InvalidInput: the shape is not one, or not that of ``images``.
        UnsupportedLayerError: the model holds a layer that no kernel computes.
    """
    graph = lower(module, input_shape)
    layout = lay_out(graph)
    sources = {HEADER: _header(graph, layout), SOURCE: _source(graph, layout)}
    if images is not None:
        sources |= program(images, graph.input.shape, int(np.prod(graph.output.shape)))
    return sources


def write_c(
    module: "nn.Module",
    input_shape: tuple[int, ...],
    directory: str | Path,
    images: ImageInput | None = None,
) -> None:
    """Write ``c_source`` into a new or empty folder.

    Raises:
        InvalidInput: the folder holds something.
        BitnasError: it cannot be written.
    """
    with new_folder(Path(directory)) as aside:
        for name, text in c_source(module, input_shape, images).items():
            (aside / name).write_text(text, encoding="utf-8")


def _header(graph: Graph, layout: Layout) -> str:
    given, result = (int(np.prod(v.shape)) for v in (graph.input, graph.output))
    constants = sum(constant.array.nbytes for constant in layout.constants)
    return f"""\
/* A network compiled by bitnas. Build with: cc -std=c99 -O3 -c network.c
   With -DBITNAS_NO_LIBM it needs neither math.h nor the mathematical library. */
#ifndef BITNAS_NETWORK_H
#define BITNAS_NETWORK_H

/* How many floats come in, shape {graph.input.shape}, and go out, shape {graph.output.shape}. */
#define BITNAS_INPUT_SIZE {given}
#define BITNAS_OUTPUT_SIZE {result}

/* Bytes of static memory, all in one arena, and of constants, which need no RAM. */
#define BITNAS_ARENA_SIZE {layout.workspace_bytes}
#define BITNAS_CONSTANTS_SIZE {constants}

/* Not for two threads at once: activations lie in the arena. */
void bitnas_network(const float *input, float *output);

#endif
"""


def _source(graph: Graph, layout: Layout) -> str:
    parts = [f'#include "{HEADER}"\n{PRELUDE}']
    names = {w: f"{w.family}_{index}" for index, w in enumerate(dict.fromkeys(graph.workloads))}
    parts += [f"/* {w.key} */\n{kernel_source(w, name)}" for w, name in names.items()]
    constants = {c.offset: f"constant_{index}" for index, c in enumerate(layout.constants)}
    parts += [_constant(constants[c.offset], c) for c in layout.constants]
    if layout.workspace_bytes:
        parts.append("static u8 arena[BITNAS_ARENA_SIZE] ALIGNED;\n")
    calls = []
    for node, places in zip(graph.nodes, layout.places, strict=True):
        buffers = kernel_for(node.workload).arguments(node.workload, ANY_CPU)
        arguments = [_argument(b, *places[b.name], constants) for b in buffers]
        calls.append(f"  {names[node.workload]}({', '.join(arguments)}); /* {node.name} */\n")
    parts.append(f"void bitnas_network(const float *input, float *output) {{\n{''.join(calls)}}}\n")
    return "\n".join(parts)


def _argument(buffer: Buffer, block: str, offset: int, constants: dict[int, str]) -> str:
    """A pointer to a buffer, in the type by which the kernel knows it."""
    kind = TYPES[buffer.dtype]
    if block == "constants":
        return constants[offset]
    const = "const " if buffer.role == "input" else ""
    place = f"arena + {offset}" if block == "workspace" else block
    return f"({const}{kind} *)({place})"


def _constant(name: str, constant: Constant) -> str:
    kind = TYPES[str(constant.array.dtype)]
    flat = constant.array.reshape(-1)
    if constant.array.dtype == np.float32:
        numbers = [float_literal(float(v)) for v in flat]
    else:
        numbers = [f"{v}u" if kind == "u32" else str(v) for v in flat.tolist()]
    lines = (", ".join(numbers[i : i + NUMBERS_PER_LINE]) for i in range(0, len(numbers), NUMBERS_PER_LINE))
    rows = ",\n  ".join(lines)
    what = f"/* {constant.name} {constant.array.shape} */"
    return f"{what}\nstatic const {kind} {name}[{flat.size}] ALIGNED = {{\n  {rows}\n}};\n"
