"""Some cases of many: the usual run takes each n-th, ``make test-slow`` the others."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def each_nth(n: int, *axes: Iterable[Any], first: int = 0) -> list[Any]:
    """All combinations of the axes, for ``parametrize``; those between are marked slow.

    With ``n`` prime to the length of each axis every value of each is in a case of the usual run, provided
    that there are enough.
    """
    return [
        pytest.param(*case, marks=[] if i % n == first else [pytest.mark.slow])
        for i, case in enumerate(product(*axes))
    ]
