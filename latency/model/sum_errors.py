"""How far sums over kernels are from whole networks of a device, by those that were timed."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from latency.model.estimates import KernelEstimates
from latency.model.kernel_table import KernelTable
from latency.model.network_times import NetworkTimes
from latency.model.regressor import COVERAGE, quantile
from latency.model.table import FRONT, NetworkMeasurement, lowest

if TYPE_CHECKING:
    from latency.model.correction import Correction

PRIOR_MISS, PRIOR_NETWORKS = 0.2, 5
"""How far, as a logarithm, the sum over the kernels is taken to be from the whole network where nothing is
known, and how many measured networks that counts as."""


class SumErrors:
    """The correction of sums where the device is calibrated, and what they miss where it is not."""

    def __init__(self, kernels: KernelTable, networks: NetworkTimes, estimates: KernelEstimates) -> None:
        self._kernels, self._networks, self._estimates = kernels, networks, estimates
        self._fitted_at: tuple[int, int] | None = None
        self._correction: Correction | None = None
        self._missed_at: int | None = None
        self._miss = PRIOR_MISS

    def correction(self) -> "Correction | None":
        """Fitted on all networks that were learned from; None where they are too few."""
        now = self._kernels.changes, self._networks.changes
        if self._fitted_at != now:
            self._correction = self.fit(self._kernels.table.networks(self._kernels.device.identity))
            self._fitted_at = now
        return self._correction

    def miss(self) -> float:
        """How far sums are from whole networks: as a logarithm, for nine in ten of them."""
        correction = self.correction()
        if correction is not None:
            return correction.miss
        if self._missed_at != self._kernels.refreshes:
            self._miss, self._missed_at = self._usual_miss(), self._kernels.refreshes
        return self._miss

    def _usual_miss(self) -> float:
        rows = self._kernels.rows()
        errors = [PRIOR_MISS] * PRIOR_NETWORKS
        for network in lowest(self._kernels.table.networks(self._kernels.device.identity, FRONT)):
            if all(key in rows for key in network.workloads):
                total = sum(rows[key].milliseconds for key in network.workloads)
                errors.append(abs(math.log(network.measurement.milliseconds / total)))
        return quantile(np.asarray(errors), COVERAGE)

    def fit(self, networks: Sequence[NetworkMeasurement]) -> "Correction | None":
        """A correction fitted on networks whose kernels the table holds; None where they are too few."""
        from latency.model import correction
        from runtime import Workload

        if len(networks) < correction.MIN_NETWORKS:
            return None
        rows = self._kernels.rows()
        whole = [network for network in lowest(networks) if all(key in rows for key in network.workloads)]
        if len(whole) < correction.MIN_NETWORKS:
            return None
        times = [
            [self._estimates.measured_time(Workload.from_key(key), rows[key]) for key in network.workloads]
            for network in whole
        ]
        return correction.Correction(times, [network.measurement.milliseconds for network in whole])
