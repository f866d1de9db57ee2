"""Sign and pack: each value becomes one bit, set where it lies below its threshold (a -1).

A plain sign has the threshold 0; a batch norm's shift makes one per channel; a dither mask m makes one per
position, since sign(x + m) = -1 exactly where x < -m (Compact ConvNets, equation 11).
"""

from runtime.cpu import Cpu
from runtime.kernels import packing
from runtime.kernels.base import Buffer, Kernel, kernels, te_placeholders
from runtime.kernels.epilogue import LANES, fills_words
from runtime.kernels.intrinsics import lane_mask
from runtime.kernels.schedule import Tile, schedule_masks, schedule_packed
from runtime.tvm_types import Expr, PrimFunc, Tensors
from runtime.workload import SignPack


class SignPackKernel(Kernel[SignPack]):
    """Input (N, H, W, G, C/G) in float -> (N, H, W, G, words) in uint32."""

    def buffers(self, workload: SignPack) -> tuple[Buffer, ...]:
        """Data, thresholds unless all are zero, packed output."""
        w = workload
        depth = w.channels // w.groups
        found = [Buffer("data", "input", (w.batch, w.height, w.width, w.groups, depth), "float32")]
        if w.threshold != "zero":
            found.append(Buffer("threshold", "constant", threshold_shape(w), "float32"))
        shape = (w.batch, w.height, w.width, w.groups, packing.words(depth))
        return (*found, Buffer("output", "output", shape, "uint32"))

    def prim_func(self, workload: SignPack, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """By masks of 16 lanes where the CPU has them and they fill the words, else bit by bit."""
        depth = workload.channels // workload.groups
        if cpu.has_lane_mask and fills_words(workload.channels, workload.groups):
            return self._by_masks(workload, depth)
        return self._by_bits(workload, depth)

    def _by_masks(self, workload: SignPack, depth: int) -> PrimFunc:
        """One comparison and one mask for each 16 channels."""
        from tvm import te, tirx

        buffers = self.buffers(workload)
        args = te_placeholders(buffers)
        *outer, words = buffers[-1].shape
        vectors = depth // LANES

        def byte(n: Expr, y: Expr, x: Expr, g: Expr, v: Expr, i: Expr) -> Expr:
            c = v * LANES + i
            below = args["data"][n, y, x, g, c] < threshold_at(workload, args, y, x, g, c)
            return tirx.Select(below, tirx.const(-1, "int8"), tirx.const(0, "int8"))

        mask = te.compute((*outer, vectors, LANES), byte, name="mask")
        dtype = "uint32" if depth == LANES else "uint16"
        shape = (*outer, words if depth == LANES else vectors)
        packed = te.compute(shape, lambda *i: lane_mask(mask[(*i, 0)]).astype(dtype), name="output")
        return schedule_masks(te.create_prim_func([*args.values(), packed]))

    def _by_bits(self, workload: SignPack, depth: int) -> PrimFunc:
        """One word at a time: the bits of its channels are summed."""
        from tvm import te, tirx

        buffers = self.buffers(workload)
        args, output = te_placeholders(buffers), buffers[-1]
        data = args["data"]
        bit = te.reduce_axis((0, min(packing.WORD, depth)), "bit")
        zero = tirx.const(0, "uint32")

        def packed(n: Expr, y: Expr, x: Expr, g: Expr, w: Expr) -> Expr:
            c = w * packing.WORD + bit
            below = data[n, y, x, g, c] < threshold_at(workload, args, y, x, g, c)
            value = tirx.Select(below, tirx.const(1, "uint32") << bit.var.astype("uint32"), zero)
            is_ragged = depth > packing.WORD and depth % packing.WORD
            return te.sum(tirx.if_then_else(c < depth, value, zero) if is_ragged else value, axis=bit)

        result = te.compute(output.shape, packed, name="output")
        return schedule_packed(te.create_prim_func([*args.values(), result]))


def threshold_shape(workload: SignPack) -> tuple[int, int, int, int]:
    """(H or 1, W or 1, G or 1, C/G or 1)."""
    w = workload
    plane = (w.height, w.width) if w.threshold in ("position", "element") else (1, 1)
    channel = (w.groups, w.channels // w.groups) if w.threshold in ("channel", "element") else (1, 1)
    return (*plane, *channel)


def threshold_at(workload: SignPack, args: Tensors, y: Expr, x: Expr, g: Expr, c: Expr) -> Expr:
    """The threshold of one value: an element of the table, broadcast over the axes of extent one."""
    from tvm import tirx

    if workload.threshold == "zero":
        return tirx.const(0, "float32")
    index = [
        i if extent > 1 else 0 for i, extent in zip((y, x, g, c), threshold_shape(workload), strict=True)
    ]
    return args["threshold"][tuple(index)]


kernels.add("sign_pack", SignPackKernel())
