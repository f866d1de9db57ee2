"""Compound scaling of an architecture: more layers, wider ones, larger images; precisions stay."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby, product

from search_spaces.architecture import Architecture, Block
from search_spaces.errors import InvalidInput
from search_spaces.mobile import rounded

MULTIPLE = 8
"""Scaled widths are multiples of it, and of all groups."""
DEPTHS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
WIDTHS = RESOLUTIONS = (1.0, 1.1, 1.2, 1.3, 1.4)
COSTS = (1.4, 3.0)
"""Of a first step: by how much depth x width^2 x resolution^2, and so about the operations, may grow."""


@dataclass(frozen=True)
class Scale:
    """By what factors an architecture grows.

    Attributes:
        depth: of the number of a stage's blocks.
        width: of the channels.
        resolution: of the side of the images.

    Raises:
        InvalidInput: a factor is not a finite number of 1 or more.
    """

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            factor = getattr(self, name)
            if not (math.isfinite(factor) and factor >= 1):
                raise InvalidInput(name, f"{factor:g} does not scale up", "give a finite factor of 1 or more")

    def power(self, phi: float) -> "Scale":
        """This scale ``phi`` times over: each factor to the power of phi."""
        return Scale(self.depth**phi, self.width**phi, self.resolution**phi)

    @property
    def operations(self) -> float:
        """By how much a network's operations grow, about: depth, width squared and resolution squared."""
        return self.depth * self.width**2 * self.resolution**2

    def unevenness(self, is_resizable: bool) -> float:
        """How far the dimensions are from having equal shares in the growth of the operations; 0: not at all.

        That growth is split evenly where depth = width^2 = resolution^2, which is near the factors that were
        found by training in the paper: 1.2, 1.1 and 1.15.
        """
        shares = [math.log(self.depth), 2 * math.log(self.width)]
        shares += [2 * math.log(self.resolution)] if is_resizable else []
        return max(shares) - min(shares)


def grid(is_resizable: bool) -> Iterator[Scale]:
    """First steps to choose from, the most even first.

    Tan and Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", search a
    small grid of factors of 1 or more for which a first step about doubles the operations; here the latency
    is to double, and the grid is wider, as latency does not grow as operations do.
    """
    scales = (Scale(*factors) for factors in product(DEPTHS, WIDTHS, RESOLUTIONS if is_resizable else (1.0,)))
    near = (scale for scale in scales if COSTS[0] <= scale.operations <= COSTS[1])
    return iter(sorted(near, key=lambda scale: scale.unevenness(is_resizable)))


def scaled(architecture: Architecture, scale: Scale) -> Architecture:
    """A larger architecture of the same kinds of blocks and precisions.

    A stage of n equal blocks gets n x depth, to the nearest whole number; those that are added are as its
    last, at stride 1. (EfficientNet rounds up, which doubles a stage of one block by any depth.) Stages of
    1x1 convolutions are not repeated, as there. Widths grow to the nearest multiple of 8 and of all groups,
    nine tenths of what is asked for at least; equal widths stay equal, and none shrinks.

    Raises:
        InvalidInput: it would be larger than architectures may be.
    """
    multiple = math.lcm(MULTIPLE, *(block.groups for block in architecture.blocks))

    def wide(channels: int) -> int:
        if scale.width == 1:
            return channels
        return max(channels, rounded(channels * scale.width, multiple))

    deep = [block for stage in _stages(architecture.blocks) for block in _repeated(stage, scale.depth)]
    channels, height, width = architecture.input_shape
    larger = architecture.model_copy(
        update={
            "input_shape": (channels, side(height, scale), side(width, scale)),
            "stem": architecture.stem.model_copy(update={"width": wide(architecture.stem.width)}),
            "blocks": tuple(block.model_copy(update={"width": wide(block.width)}) for block in deep),
        }
    )
    return Architecture.from_json(larger.to_json())  # copies are not checked


def side(pixels: int, scale: Scale) -> int:
    """The side of larger images."""
    return round(pixels * scale.resolution)


def _stages(blocks: tuple[Block, ...]) -> Iterator[list[Block]]:
    """Blocks in runs that are alike but for their precisions; each begins where the shape changes."""
    numbers, number = [], 0
    for before, block in zip((None, *blocks), blocks, strict=False):
        number += before is None or block.stride > 1 or _likeness(before) != _likeness(block)
        numbers.append(number)
    for _, run in groupby(zip(numbers, blocks, strict=True), key=lambda pair: pair[0]):
        yield [block for _, block in run]


def _likeness(block: Block) -> tuple[object, ...]:
    return block.kind, block.width, block.kernel, block.groups, block.expansion, block.squeeze


def _repeated(stage: list[Block], depth: float) -> list[Block]:
    """The blocks of a deeper stage."""
    if stage[0].kernel == 1:
        return stage
    wanted = math.floor(len(stage) * depth + 0.5)
    added = stage[-1].model_copy(update={"stride": 1, "pool": False})
    return [*stage, *[added] * (wanted - len(stage))]
