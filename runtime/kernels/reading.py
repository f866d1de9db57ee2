"""How lanes read an image by groups: all of a vector the same number, or each that of its own group."""

from collections.abc import Callable, Sequence
from functools import partial

from runtime.cpu import Cpu, Permute
from runtime.kernels.covering import Grid
from runtime.kernels.intrinsics import spread
from runtime.kernels.padding import Image
from runtime.tvm_types import Expr

Pixel = tuple[Expr, Expr, Expr]
Read = Callable[[Pixel, Expr, Expr, Sequence[Expr]], Expr]


def reader(grid: Grid, data: Image, cpu: Cpu) -> Read:
    """What lane ``i`` of vector ``o`` reads of a pixel of an image (N, H, W, G, ...) in its group."""
    how = cpu.permute

    def at_group(pixel: Pixel, o: Expr, i: Expr, index: Sequence[Expr]) -> Expr:
        return data[(*pixel, grid.group(o, i), *index)]

    def across_groups(how: Permute, pixel: Pixel, o: Expr, i: Expr, index: Sequence[Expr]) -> Expr:
        extents = data.shape[4:]
        units, offset = 1, 0
        for extent, k in zip(extents, index, strict=True):
            units, offset = units * extent, offset * extent + k
        first = data[(*pixel, grid.group(o), *[0 for _ in extents])]
        return spread(
            how, str(data.tensor.dtype), first, offset, i, grid.vectors.channels // grid.groups, units
        )

    return at_group if how is None or not grid.spans_groups else partial(across_groups, how)
