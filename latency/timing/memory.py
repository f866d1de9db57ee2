"""The memory that kernels are timed with: blocks, and random arrays in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runtime import Workload

Part = tuple[int, tuple[int, ...], str]
"""Offset, shape and dtype of an array in a block."""
Parts = Sequence[Part]
Memory = Sequence[tuple[int, Parts]]
"""Bytes and parts of each block that a kernel is called with."""


def memory_of(target: str, *workloads: "Workload") -> Memory:
    """The memory of kernels for a target that are timed alone, or one after the other."""
    from runtime.codegen.timed_kernels import TIMED_BLOCKS, blocks_of

    sizes, parts = [0 for _ in TIMED_BLOCKS], [list[Part]() for _ in TIMED_BLOCKS]
    for workload in workloads:
        for index, block in enumerate(blocks_of(workload, target)):
            parts[index] += [(sizes[index] + at, shape, dtype) for at, shape, dtype in block.parts]
            sizes[index] += block.nbytes
    return list(zip(sizes, parts, strict=True))


def random_block(nbytes: int, parts: Parts) -> NDArray[np.uint8]:
    """Bytes that hold random arrays."""
    block = np.zeros(max(1, nbytes), np.uint8)
    for (offset, *_), array in zip(parts, random_arrays([part[1:] for part in parts]), strict=True):
        block[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
    return block


def random_arrays(buffers: list[tuple[tuple[int, ...], str]]) -> list[NDArray[Any]]:
    """Data of ordinary size: denormal or infinite floats would be timed as no network ever runs them."""
    generator = np.random.default_rng(0)
    return [_random_array(shape, np.dtype(dtype), generator) for shape, dtype in buffers]


def _random_array(shape: tuple[int, ...], dtype: np.dtype[Any], generator: np.random.Generator) -> Any:
    if dtype.kind == "f":
        signs = generator.choice([-1.0, 1.0], shape)
        return (generator.uniform(0.5, 1.5, shape) * signs).astype(dtype)
    if dtype == np.int64:  # a shift among them is of 32 to 63 places, as nearly all are
        return generator.integers(32, 64, shape, dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
