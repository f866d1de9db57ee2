"""How predictions compare with measurements: of whole networks, and of kernels new to a regressor."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runtime import Workload
    from runtime.cpu import Cpu


@dataclass(frozen=True)
class ComparedNetwork:
    """One network: what was predicted, what the interval was, and what was measured, in milliseconds.

    ``disturbed`` is what made the measured time worthless; None where nothing did.
    """

    digest: str
    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_ms: float
    disturbed: str | None = None

    @property
    def error(self) -> float:
        """The prediction's relative error."""
        return self.predicted_ms / self.measured_ms - 1


@dataclass(frozen=True)
class Evaluation:
    """How predictions compare with measurements; shares are between 0 and 1."""

    networks: tuple[ComparedNetwork, ...]

    @property
    def mape(self) -> float:
        """The mean absolute relative error."""
        return float(np.mean([abs(n.error) for n in self.networks]))

    @property
    def disturbed(self) -> int:
        """How many networks have a time that the machine's noise made worthless."""
        return sum(network.disturbed is not None for network in self.networks)

    def within(self, share: float) -> float:
        """The share of networks whose relative error is at most ``share``."""
        return float(np.mean([abs(n.error) <= share for n in self.networks]))

    @property
    def tau(self) -> float:
        """Kendall's rank correlation, tau-b, of predictions and measurements."""
        return kendall_tau(
            np.array([n.predicted_ms for n in self.networks]),
            np.array([n.measured_ms for n in self.networks]),
        )

    @property
    def coverage(self) -> float | None:
        """The share of measurements that lie in their interval; None where there are no intervals."""
        held = [
            n.low_ms <= n.measured_ms <= n.high_ms
            for n in self.networks
            if n.low_ms is not None and n.high_ms is not None
        ]
        return float(np.mean(held)) if held else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "networks": [asdict(network) for network in self.networks],
            "mape": self.mape,
            "within_5_percent": self.within(0.05),
            "within_10_percent": self.within(0.1),
            "kendall_tau": self.tau,
            "interval_coverage": self.coverage,
            "disturbed": self.disturbed,
        }


def kendall_tau(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Kendall's tau-b (1945), with ties; 0 where one side is all ties."""
    a, b = (np.sign(x[:, None] - x[None, :])[np.triu_indices(len(x), 1)] for x in (left, right))
    norm = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / norm) if norm else 0.0


@dataclass(frozen=True)
class RegressorErrors:
    """The mean absolute relative error of the regressor alone, where it has not seen a family in that size.

    Attributes:
        kernels: of kernels.
        networks: of sums over the kernels of networks.
    """

    kernels: float
    networks: float


def judge_regressor(
    times: "Mapping[Workload, float]", cpu: "Cpu", networks: "Iterable[Sequence[Workload]]"
) -> RegressorErrors:
    """Estimate kernels, in milliseconds, without those of their family in that size, and so networks.

    Each group of one family and one power of two of work is left out in turn, a tenth of the groups at once.
    """
    from latency.model.effort import amounts_of
    from latency.model.regressor import estimates_unseen

    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, workload in enumerate(times):
        amounts = amounts_of(workload)
        groups[workload.family, int(np.log2(1 + amounts["macs"] + amounts["output"]))].append(index)
    folds: list[list[int]] = [[] for _ in range(min(10, len(groups)))]
    for number, key in enumerate(sorted(groups)):
        folds[number % len(folds)] += groups[key]
    found = estimates_unseen(list(times), list(times.values()), cpu, folds)
    estimates = dict(zip(times, found, strict=True))
    sums = [
        sum(estimates[w] for w in network) / sum(times[w] for w in network)
        for network in networks
        if all(w in times for w in network)
    ]
    kernels = [estimates[w] / times[w] for w in times]
    return RegressorErrors(*(float(np.mean(np.abs(np.asarray(ratios) - 1))) for ratios in (kernels, sums)))
