"""Compound scaling: what comes out builds, runs, keeps its precisions, and never shrinks."""

from itertools import pairwise

import pytest
import torch

from search_spaces import Architecture, build, size, space
from search_spaces.architecture import Block, Head, Stem
from search_spaces.errors import InvalidInput
from search_spaces.scaling import COSTS, Scale, grid, scaled

STEP = Scale(1.2, 1.1, 1.15)


def widths(architecture: Architecture) -> list[int]:
    return [architecture.stem.width, *(block.width for block in architecture.blocks)]


def macs(architecture: Architecture) -> float:
    from search_spaces.sizing import layers

    return sum(layer.macs for layer in layers(build(architecture), architecture.input_shape))


@pytest.mark.parametrize("name", ["tiny", "cifar", "mobile"])
def test_every_scaled_architecture_builds_and_grows(name: str) -> None:
    phis = (0, 1, 2, 4) if name == "tiny" else (0, 1)
    for seed in range(len(phis) - 1):
        base = space(name).sample(seed)
        assert isinstance(base, Architecture)
        steps = [scaled(base, STEP.power(phi)) for phi in phis]
        assert steps[0] == base
        for one, next_one in pairwise(steps):
            assert len(one.blocks) <= len(next_one.blocks)
            assert one.input_shape[1] < next_one.input_shape[1]
            assert size(one).kilobytes < size(next_one).kilobytes
            assert {b.kind for b in one.blocks} == {b.kind for b in next_one.blocks}
            assert {tuple(b.precisions.items()) for b in one.blocks} == {
                tuple(b.precisions.items()) for b in next_one.blocks
            }
        assert [block.stride for block in steps[-1].blocks if block.stride > 1] == [
            block.stride for block in base.blocks if block.stride > 1
        ]
        assert all(width % 8 == 0 for width in widths(steps[-1]))
        largest = build(steps[-1]).eval()
        if name == "tiny":
            assert macs(base) < macs(steps[-1])
            assert largest(torch.zeros(1, *steps[-1].input_shape)).shape == (1, base.classes)


def arch(*blocks: Block, stem: int = 16) -> Architecture:
    return Architecture(
        space="mine",
        input_shape=(3, 16, 16),
        classes=10,
        stem=Stem(width=stem, kernel=3, stride=1, precision="float"),
        blocks=blocks,
        head=Head(precision="float"),
    )


def block(
    kind: str, width: int, stride: int = 1, groups: int = 1, kernel: int = 3, code: str = "float"
) -> Block:
    roles = {
        "separable": ("depthwise", "pointwise"),
        "shuffle": ("reduce", "depthwise", "expand"),
        "conv": ("conv",),
        "residual": ("conv1", "conv2"),
    }[kind]
    precisions = dict.fromkeys(roles, code)
    return Block(kind=kind, width=width, kernel=kernel, stride=stride, groups=groups, precisions=precisions)


def test_a_stage_is_repeated_by_its_last_block_at_stride_one() -> None:
    base = arch(
        block("separable", 32, stride=2, code="int8"),
        block("separable", 32, code="binary"),
        block("separable", 32, stride=2),
        block("conv", 64, kernel=1),
    )
    found = scaled(base, Scale(depth=1.5))
    assert scaled(base, Scale(depth=1.2)) == base, "to the nearest whole number"
    told = [(b.kind, b.stride, b.precisions[next(iter(b.precisions))]) for b in found.blocks]
    assert told == [
        ("separable", 2, "int8"),
        ("separable", 1, "binary"),
        ("separable", 1, "binary"),
        ("separable", 2, "float"),
        ("separable", 1, "float"),
        ("conv", 1, "float"),
    ]
    assert widths(found)[:2] == [16, 32], "what is not scaled stays"
    ten = arch(*[block("separable", 16)] * 10)
    assert [len(scaled(ten, Scale(depth=d)).blocks) for d in (1.1, 1.14, 1.16)] == [11, 11, 12]


def test_widths_are_multiples_of_what_groups_need_and_stay_in_order() -> None:
    groups_of_three = arch(block("shuffle", 24, groups=3), block("shuffle", 48, groups=3), stem=12)
    for factor in (1.01, 1.1, 1.3, 1.7, 2.5):
        found = scaled(groups_of_three, Scale(width=factor))
        build(found)
        assert widths(found) == sorted(widths(found))
        assert all(width % 3 == 0 for width in widths(found))
    odd = arch(block("residual", 20), block("residual", 44), stem=20)
    for factor in (1.02, 1.1, 2.0):
        found = scaled(odd, Scale(width=factor))
        build(found)
        assert widths(found)[0] == widths(found)[1], "what was equal stays equal"
        assert all(new >= old for new, old in zip(widths(found), widths(odd), strict=True))
        assert all(new >= 0.9 * factor * old for new, old in zip(widths(found), widths(odd), strict=True))


def test_what_is_too_large_or_shrinks_is_refused() -> None:
    base = arch(block("separable", 4000))
    with pytest.raises(InvalidInput, match=r"architecture\.blocks\[0\]\.width"):
        scaled(base, Scale(width=1.4))
    with pytest.raises(InvalidInput, match=r"architecture\.blocks"):
        scaled(arch(*[block("separable", 16)] * 200), Scale(depth=1.6))
    for factor in (0.9, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match=r"^width: .* does not scale up"):
            Scale(width=factor)


def test_the_grid_holds_even_steps_that_about_double_the_operations() -> None:
    for is_resizable in (True, False):
        scales = list(grid(is_resizable))
        assert len(scales) == len(set(scales)) > 10
        assert all(COSTS[0] <= scale.operations <= COSTS[1] for scale in scales)
        assert any(scale.resolution > 1 for scale in scales) == is_resizable
        uneven = [scale.unevenness(is_resizable) for scale in scales]
        assert uneven == sorted(uneven)
    best = next(grid(True))
    assert (best.depth, best.width, best.resolution) == (1.2, 1.1, 1.1)
