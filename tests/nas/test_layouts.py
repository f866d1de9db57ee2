"""Gradients in training lie as their tensors do, in every kind of block; what is computed stays the same."""

import resource
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.training import VARIANTS, architecture
from nas.training.layouts import EvenGradients, kept_memory
from search_spaces import build
from search_spaces.block import blocks
from search_spaces.search_space import USER_PRECISIONS

LAST = torch.channels_last
VIEWS = "split_with_sizes", "view", "permute", "_unsafe_view", "slice", "alias"


class _Uneven(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Notes operators whose images lie in memory in different orders, or with gaps."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.found: list[str] = []
        self.backward_norms = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        images = [t for t in tree_leaves(args) if isinstance(t, Tensor) and t.dim() == 4 and t.shape[0] == 8]
        images = [t for t in images if t.shape[2] > 1]
        name = func.overloadpacket.__name__
        self.backward_norms += name == "native_batch_norm_backward"
        moves = name in {*VIEWS, "clone", "_to_copy", "copy_", "constant_pad_nd"}
        if not moves and not all(t.is_contiguous(memory_format=LAST) for t in images):
            self.found.append(f"{name} {[(tuple(t.shape), t.stride()) for t in images]}")
        return func(*args, **(kwargs or {}))


def _step(module: nn.Module, images: Tensor) -> None:
    with EvenGradients():
        loss = F.cross_entropy(module(images), torch.arange(len(images)) % 10)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's


def _plain_step(module: nn.Module, images: Tensor) -> None:
    F.cross_entropy(module(images), torch.arange(len(images)) % 10).backward()  # type: ignore[no-untyped-call]  # torch's


@pytest.mark.parametrize("precision", USER_PRECISIONS)
@pytest.mark.parametrize("kind", sorted({*blocks, *VARIANTS}))
def test_no_operator_of_a_block_meets_two_layouts(kind: str, precision: str) -> None:
    torch.manual_seed(0)
    found = architecture(kind, 16, precision, 3)
    module = build(found).to(memory_format=LAST).train()  # type: ignore[call-overload]  # torch's types know no layout
    images = torch.randn(8, 3, 8, 8).contiguous(memory_format=LAST)
    with _Uneven() as uneven:
        _step(module, images)
    assert uneven.found == []
    assert uneven.backward_norms == sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())


class _Mixed(nn.Module):
    """Concatenations, means and norms as others write them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(4)])
        self.last = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.norms[0](self.left(x)), self.norms[1](self.right(x))
        y = torch.cat([torch.concat((left, right.half().float()), dim=1), left[:, :2]], -3)
        y = F.relu(torch.cat((y[:, :10], y[:, :10]), 3))  # along another dimension
        means: Tensor = F.adaptive_avg_pool2d(y, (1, 1)) + F.adaptive_avg_pool2d(y, 2).mean(
            (2, 3), keepdim=True
        )
        return self.last(means.flatten(1))  # type: ignore[no-any-return]  # torch's


@pytest.mark.parametrize("layout", [torch.contiguous_format, LAST])
def test_results_and_gradients_are_torchs_own(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    module, grads = _Mixed().double(), []
    images = torch.randn(8, 3, 6, 6).double().contiguous(memory_format=layout)
    for step in (_step, _plain_step):
        module.zero_grad()
        step(module, images)
        grads.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    assert len(grads[0]) == len(list(module.parameters()))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-6, atol=1e-9)


def test_parts_of_other_types_get_gradients_of_theirs() -> None:
    parts = [
        torch.randn(2, 3, 4, 4, dtype=dtype, requires_grad=True) for dtype in (torch.bfloat16, torch.float)
    ]
    with EvenGradients():
        together = torch.cat(parts, 1)
    assert together.dtype == torch.float
    together.sum().backward()  # type: ignore[no-untyped-call]  # torch's
    for part in parts:
        assert part.grad is not None
        assert torch.equal(part.grad, torch.ones_like(part))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc gives memory back")
def test_memory_is_used_again() -> None:
    """A page that is new costs a fault; a second tensor has the pages of the first."""

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(1 << 24)  # 64 MiB: above what glibc ever keeps by itself
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with kept_memory():
        assert min(faults() for _ in range(8)) < 100
