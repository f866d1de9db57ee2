"""Convolutions of bytes whose products are written by hand, a block of pixels and channels at a time.

The sums of a block go through the stack into what ends every convolution (``runtime/kernels/epilogue.py``).
"""

from collections.abc import Callable
from typing import Protocol

from runtime.cpu import ByteDot, Cpu
from runtime.kernels import packing
from runtime.kernels.base import Buffer
from runtime.kernels.byte_products import add_windows, all_products, words_of_image
from runtime.kernels.covering import VECTOR, Grid
from runtime.kernels.epilogue import finish, scaled
from runtime.kernels.hand_written import HandWritten
from runtime.kernels.padding import Image
from runtime.kernels.schedule import schedule_elementwise
from runtime.kernels.weight_layouts import quads_of
from runtime.tvm_types import Expr, PrimFunc, Stmt, Tensor, Tensors, TirBuffer
from runtime.workload import Conv2d

LANES = VECTOR
End = Callable[..., Stmt]
"""Given (n, y, x, o, place): ends a vector of a pixel whose sums begin at ``place``."""


class BlockProducts(Protocol):
    """How blocks are multiplied and summed."""

    @property
    def decodes(self) -> bool:
        """Whether it takes weights as they are packed, and decodes them."""

    @property
    def sums(self) -> TirBuffer:
        """Where the sums of a block lie."""

    def statement(self, data: TirBuffer, weight: TirBuffer, end: End) -> Stmt:
        """All blocks of an image and of weights, both of words, unsigned bytes by signed ones."""


def block_function(
    workload: Conv2d,
    cpu: Cpu,
    grid: Grid,
    buffers: dict[str, Buffer],
    products_of: Callable[[Image], BlockProducts],
) -> PrimFunc:
    """The convolution over ``buffers``; ``products_of`` is given the padded image."""
    from tvm import te, tirx

    args: Tensors = {
        b.name: te.placeholder(b.shape, b.dtype, name=b.name)
        for b in buffers.values()
        if b.role in ("input", "constant") and b.name != "data"
    }
    scratch: Tensors = {}
    image, data = words_of_image(workload, buffers, args, scratch)
    products = products_of(data)
    weight = _weight(workload, grid, data, products.decodes, args, scratch)
    add_windows(workload, ByteDot.VPDPBUSD_512, buffers, data, scratch)
    sources = list(dict.fromkeys([data.tensor, weight, *args.values(), *scratch.values()]))
    results = [b for b in buffers.values() if b.role == "output"]

    def statement(ins: list[TirBuffer], outs: list[TirBuffer]) -> Stmt:
        of = dict(zip(sources, ins, strict=True))
        given, made = ({k: of[t] for k, t in tensors.items()} for tensors in (args, scratch))
        outputs = {b.name: out for b, out in zip(results, outs, strict=True)}
        sums = products.sums

        def end(n: Expr, y: Expr, x: Expr, o: Expr, place: Expr) -> Stmt:
            def value(*index: Expr) -> Expr:
                lane = index[-1]
                total = all_products(workload, cpu, grid, sums[place + lane], given, made, index)
                return scaled(workload, cpu, total, given, *index[-2:])

            stages = HandWritten(outputs)
            found = finish(workload, cpu, grid, given, value, stages.compute)
            return stages.statement(found.placed, n, y, x, o)

        return products.statement(of[data.tensor], of[weight], end)

    found = te.extern(
        [b.shape for b in results],
        sources,
        statement,
        name="products",
        dtype=[b.dtype for b in results],
        in_buffers=[tirx.decl_buffer(t.shape, t.dtype, t.op.name) for t in sources],
        out_buffers=[tirx.decl_buffer(b.shape, b.dtype, b.name) for b in results],
    )
    outputs = found if len(results) > 1 else [found]
    func = te.create_prim_func([image.tensor, *args.values(), *scratch.values(), *outputs])
    written = (name for name, tensor in scratch.items() if isinstance(tensor.op, te.ComputeOp))
    return schedule_elementwise(func, *written)


def _weight(
    workload: Conv2d, grid: Grid, data: Image, is_packed: bool, args: Tensors, scratch: Tensors
) -> Tensor:
    """Weights as words of four, or as they are packed: then nothing is done with the scratch for them."""
    from tvm import te

    layout = quads_of(workload)
    shape = (grid.vectors.count, *workload.window.taps, data.shape[-1], LANES, packing.QUAD)
    if not is_packed:
        return layout.words(args, scratch, shape)
    for buffer in layout.scratch(shape):
        scratch[buffer.name] = te.placeholder(buffer.shape, buffer.dtype, name=buffer.name)
    return args["weight"]
