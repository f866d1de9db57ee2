"""Kernels over whole rows or groups of numbers: layer and group norm, softmax."""

from collections.abc import Callable

from runtime.cpu import Cpu
from runtime.kernels.base import Buffer, Kernel, W, kernels, lanes, te_placeholders
from runtime.kernels.block_sums import BlockSum, block_sum, clear_first, sum_at
from runtime.kernels.exponential import exponential
from runtime.kernels.pooling import largest_float
from runtime.kernels.schedule import Tile
from runtime.tvm_types import Expr, PrimFunc, Tensor
from runtime.workload import GroupNorm, LayerNorm, Softmax

NORM_AXES = 3  # images or rows, groups; then pixels, vectors and lanes of what is normed
Term = Callable[[Expr, Expr, Expr, Expr], Expr]
"""A number of a group: at (n, g, k, i), k counting its vectors and i the lanes."""


class NormKernel(Kernel[W]):
    """Numbers less their mean and over their deviation, whose sums are taken in lanes and in blocks."""

    def prim_func(self, workload: W, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """For each group: its mean, its variance, then what is written."""
        from tvm import te, tirx

        args, output = te_placeholders(self.buffers(workload)), self.buffers(workload)[-1]
        images, pixels, groups, vectors, width = output.shape
        data, count = args["data"], pixels * vectors
        share = tirx.const(1 / (count * width), "float32")

        def number(n: Expr, g: Expr, k: Expr, i: Expr) -> Expr:
            return data[n, k // vectors, g, k % vectors, i] if pixels > 1 else data[n, 0, g, k, i]

        def deviation(n: Expr, g: Expr, k: Expr, i: Expr) -> Expr:
            return number(n, g, k, i) - mean[n, g]

        total = _lane_sums((images, groups, width), count, number, "mean")
        mean = _over_lanes(total, (images, groups, width), share, "mean")
        squares = _lane_sums(
            (images, groups, width), count, lambda *at: deviation(*at) * deviation(*at), "variance"
        )
        variance = _over_lanes(squares, (images, groups, width), share, "variance")
        inverse = te.compute(
            (images, groups),
            lambda n, g: tirx.const(1.0, "float32") / tirx.sqrt(variance[n, g] + args["epsilon"][0]),
            name="inverse",
        )

        def normed(n: Expr, p: Expr, g: Expr, v: Expr, i: Expr) -> Expr:
            found = (data[n, p, g, v, i] - mean[n, g]) * inverse[n, g]
            return found * args["scale"][g, v, i] + args["bias"][g, v, i]

        result = te.compute(output.shape, normed, name="output")
        func = te.create_prim_func([*args.values(), result])
        stages = [("inverse", ()), ("variance", squares.parts), ("mean", total.parts)]
        return _schedule_groups(func, stages)


class GroupNormKernel(NormKernel[GroupNorm]):
    """A group is some channels of an image, over all pixels."""

    def buffers(self, workload: GroupNorm) -> tuple[Buffer, ...]:
        """Data (N, pixels, G, C/G/lanes, lanes), constants by channel -> the same."""
        w, depth = workload, workload.channels // workload.groups
        width = lanes(depth)
        return _norm_buffers((w.batch, w.pixels, w.groups, depth // width, width))


class LayerNormKernel(NormKernel[LayerNorm]):
    """A group is a row."""

    def buffers(self, workload: LayerNorm) -> tuple[Buffer, ...]:
        """Data (N * rows, 1, 1, F/lanes, lanes), constants by feature -> the same."""
        w, width = workload, lanes(workload.features)
        return _norm_buffers((w.batch * w.rows, 1, 1, w.features // width, width))


class SoftmaxKernel(Kernel[Softmax]):
    """exp(x - max) over its sum; or x - max less the logarithm of the sum."""

    def buffers(self, workload: Softmax) -> tuple[Buffer, ...]:
        """Data (N * rows, 1, 1, F/lanes, lanes) -> the same."""
        w, width = workload, lanes(workload.features)
        shape = (w.batch * w.rows, 1, 1, w.features // width, width)
        return Buffer("data", "input", shape, "float32"), Buffer("output", "output", shape, "float32")

    def prim_func(self, workload: Softmax, cpu: Cpu, tile: Tile | None = None) -> PrimFunc:
        """For each row: its largest number, the sum, then what is written."""
        from tvm import te, tirx

        args, output = te_placeholders(self.buffers(workload)), self.buffers(workload)[-1]
        rows, _, _, vectors, width = output.shape
        data, one = args["data"], tirx.const(1.0, "float32")
        larger = largest_float()
        k, lane = te.reduce_axis((0, vectors), "k"), te.reduce_axis((0, width), "lane")
        in_lanes = te.compute(
            (rows, 1, width), lambda n, g, i: larger(data[n, 0, g, k, i], axis=k), name="largest_0"
        )
        largest = te.compute((rows, 1), lambda n, g: larger(in_lanes[n, g, lane], axis=lane), name="largest")

        def power(n: Expr, g: Expr, k: Expr, i: Expr) -> Expr:
            return exponential(data[n, 0, g, k, i] - largest[n, g])

        powers = _lane_sums((rows, 1, width), vectors, power, "total")
        total = _over_lanes(powers, (rows, 1, width), one, "total")
        turned = te.compute(
            (rows, 1),
            lambda n, g: tirx.log(total[n, g]) if workload.log else one / total[n, g],
            name="turned",
        )

        def value(n: Expr, p: Expr, g: Expr, v: Expr, i: Expr) -> Expr:
            if workload.log:
                return data[n, p, g, v, i] - largest[n, g] - turned[n, g]
            return power(n, g, v, i) * turned[n, g]

        result = te.compute(output.shape, value, name="output")
        func = te.create_prim_func([*args.values(), result])
        stages = [("turned", ()), ("total", powers.parts), ("largest", (("largest_0",),))]
        return _schedule_groups(func, stages)


def _norm_buffers(shape: tuple[int, ...]) -> tuple[Buffer, ...]:
    return (
        Buffer("data", "input", shape, "float32"),
        Buffer("scale", "constant", shape[2:], "float32"),
        Buffer("bias", "constant", shape[2:], "float32"),
        Buffer("epsilon", "constant", (1,), "float32"),
        Buffer("output", "output", shape, "float32"),
    )


def _lane_sums(shape: tuple[int, int, int], count: int, term: Term, name: str) -> BlockSum:
    """Sums over the vectors of each group, lane by lane: at (n, g, i) of the shape."""
    images, groups, width = shape
    return block_sum(
        (images, groups, 1, 1, width), count, lambda n, g, _, k, __, i: term(n, g, k, i), f"{name}_"
    )


def _over_lanes(sums: BlockSum, shape: tuple[int, int, int], share: Expr, name: str) -> Tensor:
    """The sum over lanes, times a number: at (n, g)."""
    from tvm import te

    lane = te.reduce_axis((0, shape[2]), "lane")
    return te.compute(
        shape[:2], lambda n, g: te.sum(sums.total(n, g, 0, 0, lane) * share, axis=lane), name=name
    )


def _schedule_groups(func: PrimFunc, stages: list[tuple[str, tuple[tuple[str, ...], ...]]]) -> PrimFunc:
    """Run all stages of a group before the next one; their numbers stay in registers.

    ``stages`` are numbers of a group, the last one first, each with the stages of its parts in lanes.
    """
    from tvm.s_tir import Schedule

    schedule = Schedule(func)
    image, pixel, group, vector, lane = schedule.get_loops(schedule.get_sblock("output"))
    schedule.reorder(image, group, pixel, vector, lane)
    schedule.vectorize(lane)
    for name, parts in stages:
        block = schedule.get_sblock(name)
        schedule.compute_at(block, group, preserve_unit_loops=True)
        schedule.set_scope(block, 0, "local")
        for names in parts:
            place = group
            for part in names:
                place = sum_at(schedule, part, place)
    for loop in (image, group):
        schedule.parallel(loop)
    for name, parts in stages:
        for part in [part for names in parts for part in names]:
            clear_first(schedule, schedule.get_sblock(part))
        if parts:
            clear_first(schedule, schedule.get_sblock(name))
    return schedule.mod["main"]


kernels.add("group_norm", GroupNormKernel())
kernels.add("layer_norm", LayerNormKernel())
kernels.add("softmax", SoftmaxKernel())
