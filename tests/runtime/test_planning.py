"""Memory planning: no two live buffers overlap, all are aligned, and little is wasted."""

import random
import re
import subprocess

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import runtime
import search_spaces
from runtime.codegen.planning import ALIGNMENT, Lifetime, aligned, largest_live_set, plan
from search_spaces import precisions
from search_spaces.layers import QuantConv2d


@st.composite
def lifetimes(draw):
    first = draw(st.integers(0, 20))
    return Lifetime(draw(st.integers(1, 10_000)), first, first + draw(st.integers(0, 5)))


@given(st.lists(lifetimes(), max_size=30))
def test_live_buffers_never_overlap(buffers):
    offsets, total = plan(buffers)
    placed = list(zip(offsets, buffers, strict=True))
    for i, (offset, one) in enumerate(placed):
        assert offset % ALIGNMENT == 0
        assert offset + one.nbytes <= total
        for other_offset, other in placed[:i]:
            together = one.first <= other.last and other.first <= one.last
            apart = offset + one.nbytes <= other_offset or other_offset + other.nbytes <= offset
            assert apart or not together
    assert largest_live_set(buffers) <= total <= sum(aligned(b.nbytes) for b in buffers)


def test_networks_need_little_more_than_their_largest_live_set():
    for seed in range(5):
        architecture = search_spaces.space("tiny").sample(seed)
        info = runtime.compile(search_spaces.build(architecture), (1, *architecture.input_shape)).info
        assert info.workspace_bytes <= 1.2 * info.live_bytes


class Twice(nn.Module):
    """Its input, output and scratch are nearly as large as each other: an order by size wastes some."""

    def __init__(self):
        super().__init__()
        self.layer = QuantConv2d(2, 8, 1, precisions.get("binary"), stride=3, groups=2, padding=0)

    def forward(self, x):
        x = self.layer(x)
        return torch.cat([x, x], 1)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (1, 2, 32, 32), (1, 2, 5, 16)])
def test_where_an_order_by_size_wastes_memory_another_is_found(shape):
    info = runtime.compile(Twice(), shape).info
    assert info.workspace_bytes <= 1.2 * info.live_bytes


def test_where_no_rule_finds_a_tight_plan_a_random_order_does():
    sizes = [320, 2048, 2496, 1408, 1856, 1728, 128]
    spans = [(1, 3), (6, 6), (0, 2), (0, 1), (2, 5), (5, 7), (3, 6)]
    buffers = [Lifetime(nbytes, *span) for nbytes, span in zip(sizes, spans, strict=True)]
    assert plan(buffers)[1] <= 1.2 * largest_live_set(buffers)


def test_a_plan_is_the_same_every_time():
    generator = random.Random(1)
    for _ in range(20):
        firsts = [generator.randrange(12) for _ in range(25)]
        buffers = [Lifetime(generator.randrange(1, 9000), f, f + generator.randrange(5)) for f in firsts]
        assert plan(buffers) == plan(buffers)
        assert plan(buffers)[1] <= 1.2 * largest_live_set(buffers)


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_code_has_nothing_to_allocate_with_in_a_run(threads):
    architecture = search_spaces.space("tiny").sample(0)
    module = search_spaces.build(architecture)
    network = runtime.compile(module, (1, *architecture.input_shape), threads=threads)
    listed = subprocess.run(["nm", "-D", network.library], capture_output=True, text=True, check=True).stdout
    asked = {line.split()[-1].partition("@")[0] for line in listed.splitlines()}
    assert asked
    assert not {name for name in asked if re.search("alloc|workspace|mmap", name, re.IGNORECASE)}
