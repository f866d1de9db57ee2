"""The kernels of a device's latency table: what is known of each, and the table filled by measuring."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from latency.hardware.device import Device
from latency.model.table import LatencyTable
from latency.timing.agreement import measure_until_agreed
from latency.timing.measurement import Measurement

if TYPE_CHECKING:
    from runtime import Workload

KERNELS_A_BATCH = 24
"""Kernels that are compiled and measured together, in turn: so many that each is timed over some seconds."""


def _silent(done: int, of: int) -> None:
    """Progress that nobody is told."""


class KernelTable:
    """Measured kernels of a device.

    Attributes:
        device: what is timed.
        table: what was measured, and where measurements go.
        measures: whether what the table lacks is measured.
        changes: how many measurements were put here.
        refreshes: how often what others measured was read.
    """

    def __init__(self, device: Device, table: LatencyTable, measure: bool, brief: bool) -> None:
        """See ``latency.LatencyModel``."""
        self.device = device
        self.table = table
        self.changes = self.refreshes = 0
        self.measures = measure
        self._brief = brief
        self._known: dict[Workload, Measurement] = {}
        self._usual_ms: float | None = None

    def __len__(self) -> int:
        """How many kernels were read or measured until now."""
        return len(self._known)

    @property
    def usual_ms(self) -> float | None:
        """What the reference takes at the speed that the table's times are for; None while it is empty."""
        if self._usual_ms is None:
            speeds = (row.conditions.usual_ms for row in self.rows().values())
            self._usual_ms = next((ms for ms in speeds if ms is not None), None)
        return self._usual_ms

    def rows(self) -> Mapping[str, Measurement]:
        """The newest measurement of every kernel in the table, by the workload's key.

        Those of a plug-in are left out where it is not loaded.
        """
        from runtime.workload.base import is_known

        rows = self.table.rows(self.device.identity)
        return {key: row for key, row in rows.items() if is_known(key)}

    def refresh(self) -> None:
        """Read what others have measured meanwhile."""
        from runtime import Workload

        self._known = {Workload.from_key(key): row for key, row in self.rows().items()}
        self.refreshes += 1

    def known(self, workload: "Workload") -> Measurement | None:
        """What the table holds of a kernel; None where that does not count."""
        if workload not in self._known:
            if self.refreshes:  # all that there was; to ask for each kernel takes a millisecond
                return None
            found = self.table.get(self.device.identity, workload.key)
            if found is None:
                return None
            self._known[workload] = found
        known = self._known[workload]
        is_too_brief = known.conditions.brief and self.measures and not self._brief
        return None if is_too_brief else known

    def lacking(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table does not hold, each once."""
        return [w for w in dict.fromkeys(workloads) if self.known(w) is None]

    def measured_once(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table holds, but that were measured once only."""
        found = ((w, self.known(w)) for w in dict.fromkeys(workloads))
        return [w for w, known in found if known is not None and known.conditions.rounds < 2]

    def disturbed(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table holds, but whose device was disturbed meanwhile."""
        found = ((w, self.known(w)) for w in dict.fromkeys(workloads))
        return [w for w, known in found if known is not None and known.disturbed]

    def schedules(self, workloads: "Sequence[Workload]") -> dict[str, str]:
        """How the fastest code for each kernel was made, by the workload's key, for ``runtime.compile``."""
        self.fill(workloads)
        found = ((w.key, self.known(w)) for w in workloads)
        return {key: known.schedule for key, known in found if known is not None and known.schedule}

    def fill(self, workloads: "Sequence[Workload]", progress: Callable[[int, int], None] = _silent) -> int:
        """Measure what the table lacks, if that is wanted at all, and put it there; how many those were.

        ``progress`` is told how many are done, and of how many. Every batch is kept when it is done.
        """
        lacking = self.lacking(workloads) if self.measures else []
        for start in range(0, len(lacking), KERNELS_A_BATCH):
            progress(start, len(lacking))
            batch = lacking[start : start + KERNELS_A_BATCH]
            measured = self.device.measure_kernels(batch, brief=self._brief, usual_ms=self.usual_ms)
            for workload, found in zip(batch, measured, strict=True):
                self._put(workload, found)
            if self._brief:
                self._once_more([w for w, found in zip(batch, measured, strict=True) if found.disturbed])
        progress(len(lacking), len(lacking))
        return len(lacking)

    def _once_more(self, workloads: "Sequence[Workload]") -> None:
        """Measure kernels briefly again whose device was disturbed; what is better then counts."""
        if not workloads:
            return
        measured = self.device.measure_kernels(workloads, brief=True, usual_ms=self.usual_ms)
        for workload, found in zip(workloads, measured, strict=True):
            known = self._known[workload]
            if not found.disturbed or found.milliseconds < known.milliseconds:
                self._put(workload, found)

    def measure_again(self, workloads: "Sequence[Workload]") -> None:
        """Measure kernels that the table holds until two times of each agree; the lowest counts."""
        schedules = self.schedules(workloads)
        for start in range(0, len(workloads), KERNELS_A_BATCH):
            batch = workloads[start : start + KERNELS_A_BATCH]
            known = [self._known[workload] for workload in batch]

            def measure(some: list[int], batch: "Sequence[Workload]" = batch) -> list[Measurement]:
                return self.device.measure_kernels(
                    [batch[i] for i in some], schedules, usual_ms=self.usual_ms
                )

            lowest = measure_until_agreed(measure, [[measured] for measured in known])
            for workload, found in zip(batch, lowest, strict=True):
                self._put(workload, found)

    def _put(self, workload: "Workload", found: Measurement) -> None:
        self.table.put(self.device.identity, workload.key, found)
        self._known[workload] = found
        self.changes += 1
