"""What each thing that kernels do costs on a device: a kernel takes what its things take together.

A step of a product, a vector that is scaled and written, a byte that is moved and a call each take the same
time wherever they are, so that a kernel's time is a sum, which no line through logarithms can be. The costs
are the ones, none of them negative, that come closest to measured times by their ratio.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency.model.effort import amounts_of, effort_of

if TYPE_CHECKING:
    from runtime import Workload
    from runtime.cpu import Cpu

RIDGE = 0.03
"""How strongly costs are small ones: a thing that few kernels tell of then shares its time with others."""
ITERATIONS = 4
LEAST_RATIO = 1e-3
LEAST_MS = 1e-9
CACHE_KNOTS = (1 << 15, 1 << 18, 1 << 20, 1 << 23)
"""Bytes of a kernel's arguments from which more of them may cost another time: the sizes of caches."""

Things = Mapping[str, float]
"""How much a kernel does of each thing, by the thing's name."""


def things_of(workload: "Workload", cpu: "Cpu") -> Things:
    """What a kernel does that takes time.

    What a way of computing, or of ending, has of its own is counted once more under its name: one that no
    measured kernel has costs what others cost.
    """
    effort, amounts = effort_of(workload, cpu), amounts_of(workload)
    moved = sum(amounts.values()) - amounts["macs"]
    return {
        "call": 1.0,
        **amounts,
        **{f"bytes beyond {knot}": max(0.0, float(moved - knot)) for knot in CACHE_KNOTS},
        "instructions": effort.instructions,
        f"instructions of {effort.way}": effort.instructions,
        "loads": effort.loads,
        "tiles": effort.tiles,
        "vectors": effort.vectors,
        f"vectors to {_end_of(workload)}": effort.vectors,
        f"scratch of {effort.way}": amounts["scratch"],
    }


def _end_of(workload: Any) -> str:
    """What a kernel does to a vector before it is written."""
    if not hasattr(workload, "output"):
        return str(workload.family)
    flags = [name for name in ("residual", "also_float") if getattr(workload, name)]
    return " ".join([workload.output, workload.activation, workload.arithmetic, *flags])


class Costs:
    """Milliseconds for each thing."""

    def __init__(self, kernels: Sequence[Things], milliseconds: NDArray[Any]) -> None:
        """Fitted by logarithms: each round is linear about the times that the one before has found."""
        from scipy.optimize import nnls

        self._names = sorted({name for things in kernels for name in things})
        relative = self._table(kernels) / milliseconds[:, None]
        scale = np.sqrt((relative**2).mean(axis=0))  # things differ by orders of magnitude
        scale = np.where(scale > 0, scale, 1.0)
        count, width = relative.shape
        ridge, zeros = RIDGE * np.sqrt(count) * np.eye(width), np.zeros(width)
        ratios, found = np.ones(count), None
        for _ in range(ITERATIONS):
            rows = np.vstack([relative / scale / ratios[:, None], ridge])
            new, _ = nnls(rows, np.concatenate([1 - np.log(ratios), zeros]), maxiter=50 * width)
            found = new if found is None else (found + new) / 2
            ratios = np.maximum(relative / scale @ found, LEAST_RATIO)
        self._costs = found / scale

    def milliseconds(self, kernels: Sequence[Things]) -> NDArray[np.float64]:
        """What kernels take by their things alone."""
        return np.asarray(np.maximum(self._table(kernels) @ self._costs, LEAST_MS))

    def _table(self, kernels: Sequence[Things]) -> NDArray[np.float64]:
        return np.array([[things.get(name, 0.0) for name in self._names] for things in kernels])
