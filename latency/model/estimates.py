"""What is estimated of kernels that were never measured: their time, and how much code they have."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from latency.model.kernel_table import KernelTable
from latency.timing.measurement import Measurement
from search_spaces.errors import MeasurementError

if TYPE_CHECKING:
    from latency.model.correction import KernelTime
    from latency.model.regressor import Estimate, KernelRegressor
    from runtime import Workload

REFIT_GROWTH = 0.1
"""The regressor is fitted again once the table has grown by this share."""


class KernelEstimates:
    """Estimates from the kernels of a table, fitted when they are asked for."""

    def __init__(self, kernels: KernelTable) -> None:
        self._kernels = kernels
        self._regressor: KernelRegressor | None = None
        self._fitted_rows = 0
        self._estimates: dict[Workload, Estimate] = {}
        self._codes: tuple[int, dict[str, float]] | None = None

    def times(self, workloads: "Sequence[Workload]") -> "list[KernelTime]":
        """What each kernel takes alone, measured or estimated, measuring nothing.

        Raises:
            MeasurementError: the table holds too little to estimate from.
        """
        from latency.model.correction import KernelTime

        estimates = self.estimate(self._kernels.lacking(workloads))
        found = []
        for workload in workloads:
            known = self._kernels.known(workload)
            if known is None:
                code, estimate = self._usual_code(workload), estimates[workload]
                found.append(KernelTime(workload, estimate.milliseconds, None, code, estimate))
            else:
                found.append(self.measured_time(workload, known))
        return found

    def measured_time(self, workload: "Workload", measured: Measurement) -> "KernelTime":
        """A measured kernel; code that is not known is taken for what others of its family have."""
        from latency.model.correction import KernelTime

        code = measured.code_bytes
        known = self._usual_code(workload) if code is None else float(code)
        return KernelTime(workload, measured.milliseconds, measured.cold_ms, known)

    def estimate(self, workloads: "Sequence[Workload]") -> "dict[Workload, Estimate]":
        """The time of each, and its interval.

        Raises:
            MeasurementError: the table holds too little to estimate from.
        """
        if not workloads:
            return {}
        if self._regressor is None or len(self._kernels) > self._fitted_rows * (1 + REFIT_GROWTH):
            self._regressor = self._fitted_regressor()
            self._estimates.clear()
        unseen = [w for w in workloads if w not in self._estimates]
        self._estimates.update(zip(unseen, self._regressor.predict(unseen), strict=True))
        return {w: self._estimates[w] for w in workloads}

    def doubt(self, workloads: "Sequence[Workload]") -> float:
        """The standard deviation, in milliseconds, of the sum of kernels that were estimated."""
        return self._regressor.doubt(workloads) if self._regressor and workloads else 0.0

    def _usual_code(self, workload: "Workload") -> float:
        """The median of the code, in bytes, that kernels of the same family have."""
        if self._codes is None or self._codes[0] != self._kernels.changes:
            self._codes = self._kernels.changes, self._codes_by_family()
        return self._codes[1].get(workload.family, 0.0)

    def _codes_by_family(self) -> dict[str, float]:
        from runtime import Workload

        sizes = defaultdict(list)
        for key, row in self._kernels.rows().items():
            if row.code_bytes is not None:
                sizes[Workload.from_key(key).family].append(row.code_bytes)
        return {family: median(found) for family, found in sizes.items()}

    def _fitted_regressor(self) -> "KernelRegressor":
        from latency.model.regressor import KernelRegressor
        from runtime import Workload
        from runtime.target import cpu_of

        rows = self._kernels.rows()
        self._fitted_rows = max(len(rows), len(self._kernels))
        try:
            return KernelRegressor(
                [Workload.from_key(key) for key in rows],
                [row.milliseconds for row in rows.values()],
                cpu_of(self._kernels.device.target),
            )
        except ValueError as error:
            name = self._kernels.device.name
            raise MeasurementError(
                f"device: the table of '{name}' cannot be learned from ({error}); "
                "measure first: nas latency measure, on this device"
            ) from error
