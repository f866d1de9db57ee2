"""Predicts what a network takes: the sum over its kernels, corrected, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency.model.estimates import KernelEstimates
from latency.model.kernel_table import KernelTable
from latency.model.network_times import NetworkTimes
from latency.model.regressor import NORMAL_QUANTILE
from latency.model.sum_errors import SumErrors

if TYPE_CHECKING:
    from latency.model.correction import KernelTime
    from runtime import Workload


@dataclass(frozen=True)
class Prediction:
    """A predicted latency of one run of a network.

    Attributes:
        milliseconds: the sum over the kernels, corrected where the device is calibrated.
        by_workload: each kernel call in order, with the milliseconds it takes alone.
        low: the low end of the interval that holds nine in ten measurements of the whole network.
        high: its high end.
        estimated: kernels of ``by_workload`` that were never measured.
    """

    milliseconds: float
    by_workload: list[tuple["Workload", float]]
    low: float
    high: float
    estimated: frozenset["Workload"] = frozenset()


class Predictor:
    """Predicts from what the table of a device holds, measuring nothing."""

    def __init__(self, kernels: KernelTable, networks: NetworkTimes) -> None:
        self._kernels = kernels
        self._estimates = KernelEstimates(kernels)
        self._errors = SumErrors(kernels, networks, self._estimates)

    def times(self, workloads: "Sequence[Workload]") -> "list[KernelTime]":
        """What each kernel takes alone, measured or estimated.

        Raises:
            MeasurementError: the table holds too little to estimate from.
        """
        return self._estimates.times(workloads)

    def predict(self, workloads: "Sequence[Workload]") -> Prediction:
        """The latency of kernels that run one after the other.

        What the sum misses and what estimates miss know nothing of each other: their squares are added.

        Raises:
            MeasurementError: the table holds too little to estimate from.
        """
        times = self.times(workloads)
        by_workload = [(time.workload, time.milliseconds) for time in times]
        estimated = [time.workload for time in times if time.estimate is not None]
        found = self._sum(times)
        miss = self._errors.miss()
        doubt = self._estimates.doubt(estimated) / sum(ms for _, ms in by_workload) if estimated else 0.0
        factor = math.exp(math.hypot(miss, NORMAL_QUANTILE * doubt))
        return Prediction(found, by_workload, found / factor, found * factor, frozenset(estimated))

    def expected(self, networks: "Sequence[Sequence[Workload]]") -> list[float]:
        """Milliseconds of each network, without intervals.

        Raises:
            MeasurementError: the table holds too little to estimate from.
        """
        everything = [w for workloads in networks for w in workloads]
        self._estimates.estimate(self._kernels.lacking(everything))  # in one go
        return [self._sum(self.times(workloads)) for workloads in networks]

    def _sum(self, times: "Sequence[KernelTime]") -> float:
        """The sum over the kernels, corrected where the device is calibrated."""
        correction = self._errors.correction()
        return sum(time.milliseconds for time in times) if correction is None else correction.predict(times)
