"""What a network may cost, and what architectures cost beside that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.bars import Show
from nas.formatting import kilobytes, milliseconds
from nas.pruning.greedy import Costs, CostsOf
from search_spaces.architecture import Buildable
from search_spaces.errors import InvalidInput, Parameter

if TYPE_CHECKING:
    from latency import LatencyModel


@dataclass(frozen=True)
class Budget:
    """What a network may take; None is no limit.

    Attributes:
        max_latency_ms: of the whole network, measured on the device.
        max_size_kb: of its parameters, in kB of 1000 bytes.

    Raises:
        InvalidInput: a limit is no finite number above 0, or there is none.
    """

    max_latency_ms: float | None = None
    max_size_kb: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("max_latency_ms", self.max_latency_ms), ("max_size_kb", self.max_size_kb)):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise InvalidInput(name, f"{limit:g} is not a limit", "give a finite number above 0")
        if self.max_latency_ms is None and self.max_size_kb is None:
            fix = ("give it, or ", Parameter("max_size_kb"))
            raise InvalidInput("max_latency_ms", "there is no budget", fix)

    @property
    def target(self) -> float:
        """The cost of what is within the budget: 1 for each limit."""
        return float((self.max_latency_ms is not None) + (self.max_size_kb is not None))

    def costs(self, model: "LatencyModel", show: Show = lambda *_: None) -> Costs:
        """What architectures cost: for each limit how many times it is reached, but at least 1, summed up.

        Latencies are those of the measured kernels, and guesses by estimates of those that are not; what is
        within a limit gains nothing by being smaller.
        """
        from nas.pruning.run import guessed_latencies, latencies

        return Costs(
            self._by(lambda some: latencies(model, some, show)),
            self._by(lambda some: guessed_latencies(model, some)),
        )

    def _by(self, latencies: CostsOf) -> CostsOf:
        """What architectures cost by their latencies, in milliseconds."""
        from search_spaces.sizing import size

        def costs(some: Sequence[Buildable]) -> list[float]:
            found = [0.0] * len(some)
            if self.max_latency_ms is not None:
                limit = self.max_latency_ms
                shares = (max(1.0, taken / limit) for taken in latencies(some))
                found = [cost + share for cost, share in zip(found, shares, strict=True)]
            if self.max_size_kb is not None:
                limit = self.max_size_kb
                shares = (max(1.0, size(each).kilobytes / limit) for each in some)
                found = [cost + share for cost, share in zip(found, shares, strict=True)]
            return found

        return costs

    def tighter(self, measured_ms: float, margin: float) -> "Budget":
        """For another try, after a network of ``self`` was measured to take longer than its kernels."""
        if self.max_latency_ms is None:
            return self
        return replace(self, max_latency_ms=self.max_latency_ms * margin * self.max_latency_ms / measured_ms)

    def holds(self, measured_ms: float, architecture: Buildable) -> bool:
        """Whether a network is within the budget."""
        from search_spaces.sizing import size

        is_fast = self.max_latency_ms is None or measured_ms <= self.max_latency_ms
        return is_fast and (self.max_size_kb is None or size(architecture).kilobytes <= self.max_size_kb)

    def __str__(self) -> str:
        told = [f"{milliseconds(self.max_latency_ms)} ms"] if self.max_latency_ms is not None else []
        told += [f"{kilobytes(self.max_size_kb)} kB"] if self.max_size_kb is not None else []
        return " and ".join(told)
