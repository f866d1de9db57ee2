"""Torch with other rounding errors: off by as much as is said, the same for a seed, and for a while only."""

import torch
from torch import nn

from nas.export.rounding import ROUNDING, rounded_otherwise
from search_spaces import precisions
from search_spaces.layers import QuantConv2d


def test_sums_are_off_by_a_rounding_error_while_it_lasts() -> None:
    torch.manual_seed(0)
    for module in (nn.Conv2d(3, 4, 3), QuantConv2d(3, 4, 3, precisions.get("dorefa8"))):
        x = torch.randn(2, 3, 8, 8)
        before = module(x)
        found = []
        for _ in range(2):
            with rounded_otherwise(module, torch.Generator().manual_seed(0)):
                found.append(module(x))
        assert torch.equal(*found)
        off = ((found[0] - before) / before).abs()
        assert 0.3 * ROUNDING < off[before.abs() > 1e-3].mean() < 3 * ROUNDING
        assert torch.equal(module(x), before)


def test_the_usual_random_numbers_are_left_alone() -> None:
    module, x = nn.Linear(3, 2), torch.ones(1, 3)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with rounded_otherwise(module, torch.Generator().manual_seed(1)):
        module(x)
    assert torch.equal(torch.rand(3), expected)
