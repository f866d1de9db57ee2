"""Memory planning: no two live buffers overlap, all are aligned, and little is wasted."""

from hypothesis import given
from hypothesis import strategies as st

import runtime
import search_spaces
from runtime.planning import ALIGNMENT, Lifetime, aligned, largest_live_set, plan


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
