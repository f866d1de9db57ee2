"""Convolution and dense kernels over floats and bytes, with weights of floats, bytes, two bits or one."""

from typing import Any

from numpy.typing import NDArray

from runtime.cpu import ByteDot, Cpu
from runtime.graph import Constants
from runtime.kernels import packing
from runtime.kernels.amx import Products
from runtime.kernels.amx_forms import AmxTile, amx_forms
from runtime.kernels.base import Buffer, ByChannel, Kernel, kernels
from runtime.kernels.block_products import BlockProducts, block_function
from runtime.kernels.byte_products import (
    accumulate_bytes,
    all_products,
    arranged,
    byte_dot_for,
    excess_of,
    quads_by_channel,
    window_buffers,
)
from runtime.kernels.byte_sums import Sums
from runtime.kernels.covering import Cover, Grid, reuses_rows, vectors_of
from runtime.kernels.epilogue import (
    arranged_scales,
    epilogue_constants,
    epilogue_inputs,
    epilogue_outputs,
    finish,
    scale_arguments,
    scaled,
    scales,
)
from runtime.kernels.mmla import MmlaProducts
from runtime.kernels.mmla_forms import MmlaTile, mmla_forms
from runtime.kernels.padding import Image, flat_placeholder, pad_rows, tap_axes
from runtime.kernels.reading import reader
from runtime.kernels.schedule import Tile, schedule_tiled, tiles
from runtime.kernels.streaming import stream_weights
from runtime.kernels.weight_layouts import quads_of, taps_of
from runtime.kernels.winograd import WinogradProducts
from runtime.kernels.winograd_forms import WinogradTile, winograd_forms
from runtime.tvm_types import Expr, PrimFunc, Tensor, Tensors
from runtime.workload import (
    HIGHEST_BYTE,
    BitserialConv2d,
    Conv2d,
    Dense,
    SpatialWorkload,
    is_affine,
)

DTYPES = {"float": "float32", **dict.fromkeys(HIGHEST_BYTE, "uint8")}
ZERO_POINT = Buffer("zero_point", "constant", (1,), "int32")
"""What stands for zero in an affine input; in any other input 0 does."""


FLAT_LANES = 8
"""Of ways to multiply bytes whose tiles may be flat: registers hold too few pixels for rows of 7 or 14."""
NEAREST = 24 << 10
"""Bytes of weights that stay in the first cache, beside the pixels of a tile."""


def is_pointwise(workload: SpatialWorkload) -> bool:
    """Whether each output pixel reads just its own input pixel, so that an image is one long row."""
    return workload.window.is_pointwise


def has_byte_inputs(workload: Conv2d) -> bool:
    """Whether inputs are bytes, which are multiplied four at a time."""
    return workload.input in HIGHEST_BYTE


def image_shapes(workload: SpatialWorkload) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns of the input and of the output, as the kernel goes through them."""
    w = workload
    if is_pointwise(w):
        return (1, w.height * w.width), (1, w.height * w.width)
    return (w.height, w.width), (w.out_height, w.out_width)


def grid_of(workload: Conv2d | BitserialConv2d, tile: Tile | None = None) -> Grid:
    """The output as the kernel goes through it, in tiles of ``tile.x`` pixels."""
    rows, columns = image_shapes(workload)[1]
    line, step = 0, 1 if tile is None else tile.x
    if tile is not None and tile.is_flat:
        rows, columns, line = 1, rows * columns, columns
    return Grid(workload.batch, rows, Cover(columns, step), vectors_of(workload), workload.groups, line)


def _comes_from_afar(workload: Conv2d, cpu: Cpu) -> bool:
    """Whether weights may be asked for ahead: where it was measured, and where they are used as they come."""
    is_float = workload.weight == "float" and not has_byte_inputs(workload)
    return is_float and cpu.architecture == "x86_64" and not reuses_rows(workload)


def _goes_by_rows(workload: Conv2d, cpu: Cpu, tile: Tile) -> bool:
    """Whether all weights stay in the first cache, so that pixels need not come and go for each vector."""
    w, is_float = workload, workload.weight == "float" and not has_byte_inputs(workload)
    nbytes = 4 * w.window.count * w.in_channels // w.groups * w.out_channels
    return is_float and cpu.architecture == "x86_64" and not tile.is_flat and nbytes <= NEAREST


class Conv2dKernel(Kernel[Conv2d]):
    """Vector lanes run over output channels; the padded image and decoded weights lie in scratch memory."""

    def buffers(self, workload: Conv2d) -> tuple[Buffer, ...]:
        """Input (N, H, W, G, C/G), residual, weight, scales, bias, ... -> (N, Ho, Wo, O)."""
        w = workload
        grid, depth = grid_of(w), w.in_channels // w.groups
        per_channel, dtype = grid.vectors.shape, DTYPES[w.input]
        vectors, width = per_channel
        image, out = image_shapes(w)
        found = [Buffer("data", "input", (w.batch, *image, w.groups, depth), dtype)]
        found += epilogue_inputs(w, grid)
        taps = (vectors, *w.window.taps, depth, width)
        quads = (vectors, *w.window.taps, packing.quads(depth), width, packing.QUAD)
        if has_byte_inputs(w):
            found += [quads_of(w).buffer(quads), Buffer("offset", "constant", per_channel, "int32")]
            found += [ZERO_POINT] if is_affine(w.input) else []
        else:
            found += taps_of(w).buffers(taps)
        found += scales(w, per_channel) + epilogue_constants(w, grid)
        stored = packing.quads(depth) * packing.QUAD if has_byte_inputs(w) else depth
        if w.window.is_padded or stored != depth:
            padded = (w.batch, *w.window.padded(*image), w.groups, stored)
            found.append(Buffer("padded", "scratch", padded, dtype))
        if has_byte_inputs(w):
            found += quads_of(w).scratch(quads) + window_buffers(w, image, out)
        else:
            found += taps_of(w).scratch(taps)
        return (*found, *epilogue_outputs(w, grid))

    def arguments(self, workload: Conv2d, cpu: Cpu) -> tuple[Buffer, ...]:
        """``buffers``, as the CPU scales sums."""
        return scale_arguments(workload, cpu, self.buffers(workload))

    def arrange(self, workload: Conv2d, cpu: Cpu, constants: Constants) -> Constants:
        """Weights in the order that the CPU takes bytes in, and how it scales their sums."""
        if not has_byte_inputs(workload):
            return constants
        found = arranged(workload, cpu, constants)
        return arranged_scales(workload, cpu, found, excess_of(workload, cpu, constants))

    def arrange_weight(self, workload: Conv2d, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """In the order that the CPU takes bytes in."""
        if not has_byte_inputs(workload):
            return weight
        found: NDArray[Any] = arranged(workload, cpu, {"weight": weight})["weight"]
        return found

    def by_channel(self, workload: Conv2d, cpu: Cpu) -> ByChannel:
        """As taps lie, or quads of them in the CPU's order."""
        (vectors, width), depth = vectors_of(workload).shape, workload.in_channels // workload.groups
        if not has_byte_inputs(workload):
            return taps_of(workload).by_channel((vectors, *workload.window.taps, depth, width))
        return quads_by_channel(workload, cpu)

    def prim_func(self, workload: Conv2d, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """Pad, decode, accumulate in registers, finish."""
        from tvm import te

        buffers = {b.name: b for b in self.arguments(workload, cpu)}
        tile = tile or self.tiles(workload, cpu)[0]
        if isinstance(tile, AmxTile | MmlaTile | WinogradTile):
            return self._by_blocks(workload, cpu, tile, buffers)
        grid = grid_of(workload, tile)
        args: Tensors = {
            b.name: te.placeholder(b.shape, b.dtype, name=b.name)
            for b in buffers.values()
            if b.role in ("input", "constant") and b.name != "data"
        }
        scratch: Tensors = {}
        if has_byte_inputs(workload):
            image, sums = accumulate_bytes(workload, cpu, grid, buffers, args, scratch)
        else:
            image, sums = self._accumulate_floats(workload, cpu, grid, buffers, args, scratch)

        def value(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
            total = sums.total[n, y, x, o, i]
            if has_byte_inputs(workload):
                total = all_products(workload, cpu, grid, total, args, scratch, (n, y, x, o, i))
            return scaled(workload, cpu, total, args, o, i)

        stages = finish(workload, cpu, grid, args, value)
        arguments = [image.tensor, *args.values(), *scratch.values(), *stages.results]
        reductions = len(sums.total.op.reduce_axis)
        vectorized = tuple(name for name, tensor in scratch.items() if is_computed(tensor))
        func = te.create_prim_func(arguments)
        reuses = reuses_rows(workload) and not sums.narrow
        scheduled = schedule_tiled(
            func,
            tile,
            reductions,
            stages.tensors,
            vectorized,
            sums.narrow,
            sums.arrange,
            reuses,
            stages.joined,
            _goes_by_rows(workload, cpu, tile),
        )
        placed = stages.place(scheduled)
        return stream_weights(placed, tile) if _comes_from_afar(workload, cpu) else placed

    def tiles(self, workload: Conv2d, cpu: Cpu) -> list[Tile]:
        """Pixels of a row times vectors of output channels."""
        grid, sums = grid_of(workload), 2 if reuses_rows(workload) else 1
        columns = workload.window.padded(*image_shapes(workload)[0])[1]
        kind = byte_dot_for(workload, cpu) if has_byte_inputs(workload) else None
        if kind is ByteDot.USMMLA:
            return [*mmla_forms(workload)]
        # weights that are widened cost more than a sum or two that leaves the registers
        kept = 0 if kind is not None and kind.takes_halves else 1
        # elsewhere addresses that are computed take more than they save, as llvm-mca has it of a Cortex-A53
        can_be_flat = not has_byte_inputs(workload) or (
            kind is not None and kind.lanes == FLAT_LANES and not kind.takes_halves
        )
        lines = grid.rows if can_be_flat and cpu.architecture == "x86_64" else 1
        steps = workload.in_channels // workload.groups
        # products in 16 bits, before they are added: tiles that leave no room for them take a quarter more,
        # as llvm-mca has it of a Cortex-A53 and A72
        scratch = 2 if kind is ByteDot.SMULL else 0
        size = grid.columns.extent, grid.vectors.group.count, sums, kept, lines, steps, scratch
        return (
            amx_forms(workload, cpu, columns, grid.output[1:3])
            + winograd_forms(workload, cpu, kind)
            + tiles(cpu, *size)
        )

    def _by_blocks(
        self, workload: Conv2d, cpu: Cpu, tile: AmxTile | MmlaTile | WinogradTile, buffers: dict[str, Buffer]
    ) -> PrimFunc:
        grid = grid_of(workload)
        out = grid.output[1:3]

        def products(image: Image) -> BlockProducts:
            if isinstance(tile, AmxTile):
                return Products(workload, tile, image, out)
            if isinstance(tile, MmlaTile):
                return MmlaProducts(workload, tile, image, out)
            return WinogradProducts(workload, tile, image, out)

        return block_function(workload, cpu, grid, buffers, products)

    def _accumulate_floats(
        self,
        workload: Conv2d,
        cpu: Cpu,
        grid: Grid,
        buffers: dict[str, Buffer],
        args: Tensors,
        scratch: Tensors,
    ) -> tuple[Image, Sums]:
        """Multiply and add floats; low-bit weights are decoded first."""
        from tvm import te

        image = flat_placeholder("data", buffers["data"].shape, buffers["data"].dtype)
        data, window = image, workload.window
        if window.is_padded:
            data = pad_rows(image, window, 0)
            scratch["padded"] = data.tensor
        vectors, width = grid.vectors.shape
        taps = (vectors, *window.taps, data.shape[-1], width)
        weight = taps_of(workload).decoded(args, scratch, taps)
        ky, kx = tap_axes(window)
        c = te.reduce_axis((0, data.shape[-1]), "c")
        read = reader(grid, data, cpu)

        def product(n: Expr, y: Expr, x: Expr, o: Expr, i: Expr) -> Expr:
            pixel = read((n, *window.pixel(*grid.pixel(y, x), ky, kx)), o, i, (c,))
            return te.sum(pixel * weight[o, ky, kx, c, i], axis=[ky, kx, c])

        return image, Sums(te.compute(grid.shape, product, name="accumulate"))

    def macs(self, workload: Conv2d) -> int:
        """N * Ho * Wo * O * (C / groups) * taps."""
        w = workload
        pixels = w.batch * w.out_height * w.out_width
        return pixels * w.out_channels * (w.in_channels // w.groups) * w.window.count


class DenseKernel(Kernel[Dense]):
    """A dense layer is a 1x1 convolution of one row of pixels, one for each image of the batch."""

    @staticmethod
    def as_convolution(workload: Dense) -> Conv2d:
        """The convolution that computes the same."""
        w = workload
        spatial = (1, 1, w.batch, 1, 1, 0)
        sums = *spatial, w.in_features, w.out_features, 1, w.weight, w.input
        return Conv2d(*sums, relu=w.relu, activation=w.activation, arithmetic=w.arithmetic)

    def buffers(self, workload: Dense) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return Conv2dKernel().buffers(self.as_convolution(workload))

    def arguments(self, workload: Dense, cpu: Cpu) -> tuple[Buffer, ...]:
        """Those of the convolution."""
        return Conv2dKernel().arguments(self.as_convolution(workload), cpu)

    def arrange(self, workload: Dense, cpu: Cpu, constants: Constants) -> Constants:
        """As the convolution does."""
        return Conv2dKernel().arrange(self.as_convolution(workload), cpu, constants)

    def arrange_weight(self, workload: Dense, cpu: Cpu, weight: NDArray[Any]) -> NDArray[Any]:
        """As the convolution does."""
        return Conv2dKernel().arrange_weight(self.as_convolution(workload), cpu, weight)

    def by_channel(self, workload: Dense, cpu: Cpu) -> ByChannel:
        """As the convolution's lie."""
        return Conv2dKernel().by_channel(self.as_convolution(workload), cpu)

    def prim_func(self, workload: Dense, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """That of the convolution."""
        return Conv2dKernel().prim_func(self.as_convolution(workload), cpu, tile)

    def tiles(self, workload: Dense, cpu: Cpu) -> list[Tile]:
        """Those of the convolution."""
        return Conv2dKernel().tiles(self.as_convolution(workload), cpu)

    def macs(self, workload: Dense) -> int:
        """N * in * out."""
        return workload.batch * workload.in_features * workload.out_features


def affine_output(accumulated: Expr, scale: Expr, bias: Expr) -> Expr:
    """``scale * accumulated + bias`` in float32."""
    return accumulated.astype("float32") * scale + bias


def is_computed(tensor: Tensor) -> bool:
    """Whether a tensor's loops have a schedule: it is no argument, and they were not written by hand."""
    from tvm import te

    return isinstance(tensor.op, te.ComputeOp)


kernels.add("conv2d", Conv2dKernel())
kernels.add("dense", DenseKernel())
