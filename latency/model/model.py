"""The latency model: a network costs what its kernels cost, and what their sum misses.

Kernels are measured, each alone; one that cannot be is estimated from those that were. Where whole networks
of the device were measured (``nas latency calibrate``), the sum is corrected by what they showed.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from latency.hardware.device import Device
from latency.model.regressor import COVERAGE, NORMAL, quantile
from latency.model.table import FRONT, LatencyTable, NetworkMeasurement, lowest
from latency.timing.agreement import measure_until_agreed
from latency.timing.measurement import BRIEFLY, Measurement, MeasurementError
from search_spaces.architecture import Architecture
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from latency.model.correction import Correction, KernelTime
    from latency.model.regressor import Estimate, KernelRegressor
    from runtime import CompiledNetwork, Workload
    from runtime.lowering import Trace
    from search_spaces.builder import Part

REMEMBERED = 4096
"""Architectures whose kernels are kept, so that asking again costs no lowering, and traced parts of them."""

SPACE = "space"  # among a network's conditions: which space it is of

BATCH = 24
"""Kernels that are compiled and measured together, in turn: so many that each is timed over some seconds."""


REFIT = 0.1
"""The regressor is fitted anew once the table has grown by this share."""

MISS, MISS_WEIGHT = 0.2, 5
"""How far, as a logarithm, the sum over the kernels is taken to be from the whole network where nothing is
known, and how many measured networks that counts as."""


def _silent(done: int, of: int) -> None:
    """Progress that nobody is told."""


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


class LatencyModel:
    """Predicts a network's latency on a device from a table, measuring what the table lacks."""

    def __init__(
        self, device: Device, table: LatencyTable, measure: bool = True, brief: bool = False
    ) -> None:
        """Of a device and its table.

        Args:
            device: what is timed. table: what was measured, and where measurements go. measure: whether what
            the table lacks is measured; if not, it is estimated. brief: whether kernels are measured briefly,
            and such times count (see ``latency.timing.sampling.BRIEF``);
                if not, only thorough ones do, but where nothing is measured.
        """
        self.device = device
        self.table = table
        self._measure = measure
        self._brief = brief
        self._fitted_rows = 0
        self._miss: float | None = None
        self._is_read = False
        self._known: dict[Workload, Measurement] = {}
        self._regressor: KernelRegressor | None = None
        self._estimates: dict[Workload, Estimate] = {}
        self._correction: Correction | None = None
        self._is_fitted = False
        self._codes: dict[str, float] | None = None

    def predict(
        self, network: "nn.Module | Architecture", input_shape: tuple[int, ...] | None = None
    ) -> Prediction:
        """Predict the latency of a model or an architecture; nothing needs to be trained.

        Args:
            network: an architecture, or any module that lowers.
            input_shape: (N, C, H, W). An architecture knows its own, and so does a module that
                ``search_spaces.build`` made; they run one image unless told.

        Raises:
            InvalidInput: a module without a shape.
            UnsupportedLayerError: the module holds a layer that no kernel computes.
            MeasurementError: the device gave no usable time.
        """
        return self.predict_workloads(workloads_of(network, input_shape))

    def estimate(self, architecture: Architecture) -> Prediction:
        """Predict from what the table holds, measuring nothing.

        Raises:
            MeasurementError: it holds too little to estimate from.
        """
        return self._predicted(self._times(workloads_of(architecture)))

    def predict_workloads(self, workloads: "Sequence[Workload]") -> Prediction:
        """Predict the latency of kernels that run one after the other."""
        return self._predicted(self.times(workloads))

    def _predicted(self, times: "Sequence[KernelTime]") -> Prediction:
        """The sum, corrected where the device is calibrated, and its interval.

        What the sum misses and what estimates miss know nothing of each other: their squares are added.
        """
        by_workload = [(time.workload, time.milliseconds) for time in times]
        guessed = [time.workload for time in times if time.estimate is not None]
        total, correction = sum(ms for _, ms in by_workload), self._fitted_correction()
        found = self._sum(times)
        miss = self._usual_miss() if correction is None else correction.miss
        doubt = self._regressor.doubt(guessed) / total if self._regressor and guessed else 0.0
        factor = math.exp(math.hypot(miss, NORMAL * doubt))
        return Prediction(found, by_workload, found / factor, found * factor, frozenset(guessed))

    def expected(self, networks: "Sequence[Sequence[Workload]]") -> list[float]:
        """Milliseconds of each network by what the table holds, without intervals, measuring nothing.

        Raises:
            MeasurementError: it holds too little to estimate from.
        """
        self._estimate(self.lacking([w for workloads in networks for w in workloads]))  # in one go
        return [self._sum(self._times(workloads)) for workloads in networks]

    def _sum(self, times: "Sequence[KernelTime]") -> float:
        """The sum over the kernels, corrected where the device is calibrated."""
        correction = self._fitted_correction()
        return sum(time.milliseconds for time in times) if correction is None else correction.predict(times)

    def _usual_miss(self) -> float:
        """How far sums are from whole networks of this device: as a logarithm, for nine in ten of them."""
        if self._miss is None:
            rows = self.table.rows(self.device.identity)
            errors = [MISS] * MISS_WEIGHT
            for network in lowest(self.table.networks(self.device.identity, FRONT)):
                if all(key in rows for key in network.workloads):
                    total = sum(rows[key].milliseconds for key in network.workloads)
                    errors.append(abs(math.log(network.measurement.milliseconds / total)))
            self._miss = quantile(np.asarray(errors), COVERAGE)
        return self._miss

    def refresh(self) -> None:
        """Read what others have measured meanwhile."""
        from runtime import Workload

        rows = self.table.rows(self.device.identity)
        self._known = {Workload.from_key(key): row for key, row in rows.items()}
        self._miss, self._is_read = None, True

    def times(self, workloads: "Sequence[Workload]") -> "list[KernelTime]":
        """What each kernel takes alone, measured or estimated.

        Raises:
            MeasurementError: the device gave no usable time, or there is too little to estimate from.
        """
        if self._measure:
            self.fill(workloads)
        return self._times(workloads)

    def _times(self, workloads: "Sequence[Workload]") -> "list[KernelTime]":
        """As ``times``, but nothing is measured."""
        from latency.model.correction import KernelTime

        estimates = self._estimate(self.lacking(workloads))
        found = []
        for workload in workloads:
            known = self._read(workload)
            if known is None:
                code = self._usual_code(workload)
                estimate = estimates[workload]
                found.append(KernelTime(workload, estimate.milliseconds, None, code, estimate))
            else:
                found.append(self._kernel_time(workload, known))
        return found

    def _kernel_time(self, workload: "Workload", measured: Measurement) -> "KernelTime":
        from latency.model.correction import KernelTime

        code = measured.code_bytes
        known = self._usual_code(workload) if code is None else float(code)
        return KernelTime(workload, measured.milliseconds, measured.cold_ms, known)

    def _usual_code(self, workload: "Workload") -> float:
        """The median of the code, in bytes, that kernels of the same family have."""
        if self._codes is None:
            from runtime import Workload

            sizes = defaultdict(list)
            for key, row in self.table.rows(self.device.identity).items():
                if row.code_bytes is not None:
                    sizes[Workload.from_key(key).family].append(row.code_bytes)
            self._codes = {family: median(found) for family, found in sizes.items()}
        return self._codes.get(workload.family, 0.0)

    def schedules(self, workloads: "Sequence[Workload]") -> dict[str, str]:
        """How the fastest code for each kernel was made, by the workload's key, for ``runtime.compile``."""
        self.fill(workloads)
        found = ((w.key, self._read(w)) for w in workloads)
        return {key: known.schedule for key, known in found if known is not None and known.schedule}

    def compile(self, module: "nn.Module", input_shape: tuple[int, ...]) -> "CompiledNetwork":
        """Compile a model for the device, each kernel in the way that was fastest there.

        Raises:
            What ``runtime.compile`` raises; MeasurementError: the device gave no usable time.
        """
        import runtime

        return self._compiled(module, input_shape, runtime.workloads(module, input_shape))

    def _compiled(
        self, module: "nn.Module", input_shape: tuple[int, ...], workloads: "Sequence[Workload]"
    ) -> "CompiledNetwork":
        """A model of known kernels, compiled."""
        import runtime

        schedules = self.schedules(workloads)
        with self.device.compiling():
            return runtime.compile(module, input_shape, self.device.target, schedules, self.device.threads)

    def compiled(self, architecture: Architecture) -> "CompiledNetwork":
        """An architecture's network; untrained: weights change no kernel's time.

        Raises:
            BitnasError: as ``checked`` says.
        """
        shape = 1, *architecture.input_shape
        return self._compiled(checked(architecture), shape, workloads_of(architecture))

    def measure_once(self, networks: "Sequence[CompiledNetwork]") -> list[Measurement]:
        """Time compiled networks in turn, at the speed that the table's times are for."""
        self._recall_speed()
        return self.device.measure_networks(networks)

    def measure_compiled(
        self, networks: "Sequence[CompiledNetwork]", known: Sequence[Sequence[Measurement]] | None = None
    ) -> list[Measurement]:
        """Time compiled networks until two times of each agree; ``known`` are those taken before."""
        earlier = known or [[] for _ in networks]
        return measure_until_agreed(lambda some: self.measure_once([networks[i] for i in some]), earlier)

    def measure_network(self, architecture: Architecture) -> Measurement:
        """Compile an architecture's network and time it whole."""
        return self.measure_compiled([self.compiled(architecture)])[0]

    def fill(self, workloads: "Sequence[Workload]", progress: Callable[[int, int], None] = _silent) -> int:
        """Measure what the table lacks, if that is wanted at all, and put it there; how many those were.

        ``progress`` is told how many are done, and of how many. Every batch is kept when it is done.
        """
        lacking = self.lacking(workloads) if self._measure else []
        for start in range(0, len(lacking), BATCH):
            progress(start, len(lacking))
            batch = lacking[start : start + BATCH]
            self._recall_speed()
            measured = self.device.measure_kernels(batch, brief=self._brief)
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
        for workload, found in zip(
            workloads, self.device.measure_kernels(workloads, brief=True), strict=True
        ):
            known = self._known[workload]
            if not found.disturbed or found.milliseconds < known.milliseconds:
                self._put(workload, found)

    def measure_again(self, workloads: "Sequence[Workload]") -> None:
        """Measure kernels that the table holds until two times of each agree; the lowest counts."""
        self._recall_speed()
        schedules = self.schedules(workloads)
        for start in range(0, len(workloads), BATCH):
            batch = workloads[start : start + BATCH]
            known = [self._known[workload] for workload in batch]

            def measure(some: list[int], batch: "Sequence[Workload]" = batch) -> list[Measurement]:
                return self.device.measure_kernels([batch[i] for i in some], schedules)

            lowest = measure_until_agreed(measure, [[measured] for measured in known])
            for workload, found in zip(batch, lowest, strict=True):
                self._put(workload, found)

    def met_once(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table holds, but that were measured once only."""
        found = ((w, self._read(w)) for w in dict.fromkeys(workloads))
        return [w for w, known in found if known is not None and known.conditions.get("visits", 1) < 2]

    def disturbed(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table holds, but whose device was disturbed meanwhile."""
        found = ((w, self._read(w)) for w in dict.fromkeys(workloads))
        return [w for w, known in found if known is not None and known.disturbed]

    def _put(self, workload: "Workload", found: Measurement) -> None:
        self.table.put(self.device.identity, workload.key, found)
        self._known[workload] = found
        self._codes = None
        self._is_fitted = False

    def learn(self, architecture: Architecture, measurement: Measurement) -> None:
        """Keep a whole network's time; the next prediction is corrected by it, too."""
        noted = replace(measurement, conditions={**measurement.conditions, SPACE: architecture.space})
        self.table.put_network(self.device.identity, NetworkMeasurement(keys_of(architecture), noted))
        self._is_fitted = False

    def learned(self, space: str | None = None) -> set[tuple[str, ...]]:
        """The kernels' keys of each network that was learned from, of one space or of all."""
        networks = self.table.networks(self.device.identity)
        return {n.workloads for n in networks if space in (None, n.measurement.conditions.get(SPACE))}

    def lacking(self, workloads: "Sequence[Workload]") -> "list[Workload]":
        """Those that the table does not hold, each once."""
        return [w for w in dict.fromkeys(workloads) if self._read(w) is None]

    def fit_on(self, networks: Sequence[NetworkMeasurement]) -> "Correction | None":
        """A correction fitted on networks whose kernels the table holds; None where they are too few."""
        from latency.model import correction
        from runtime import Workload

        if len(networks) < correction.LEAST:
            return None
        rows = self.table.rows(self.device.identity)
        whole = [network for network in lowest(networks) if all(key in rows for key in network.workloads)]
        if len(whole) < correction.LEAST:
            return None
        times = [
            [self._kernel_time(Workload.from_key(key), rows[key]) for key in network.workloads]
            for network in whole
        ]
        return correction.Correction(times, [network.measurement.milliseconds for network in whole])

    def _fitted_correction(self) -> "Correction | None":
        if not self._is_fitted:
            self._correction = self.fit_on(self.table.networks(self.device.identity))
            self._is_fitted = True
        return self._correction

    def _recall_speed(self) -> None:
        """Have the device give times for the speed that the table's are for."""
        if self.device.usual_ms is None:
            rows = self.table.rows(self.device.identity).values()
            self.device.usual_ms = next(
                (r.conditions["usual_ms"] for r in rows if "usual_ms" in r.conditions), None
            )

    def _read(self, workload: "Workload") -> Measurement | None:
        if workload not in self._known:
            if self._is_read:  # all that there was; to ask for each kernel takes a millisecond
                return None
            found = self.table.get(self.device.identity, workload.key)
            if found is None:
                return None
            self._known[workload] = found
        known = self._known[workload]
        is_lacking = BRIEFLY in known.conditions and self._measure and not self._brief
        return None if is_lacking else known

    def _estimate(self, workloads: "list[Workload]") -> "dict[Workload, Estimate]":
        if not workloads:
            return {}
        if self._regressor is None or len(self._known) > self._fitted_rows * (1 + REFIT):
            self._regressor = self._fitted_regressor()
            self._estimates.clear()
        unseen = [w for w in workloads if w not in self._estimates]
        self._estimates.update(zip(unseen, self._regressor.predict(unseen), strict=True))
        return {w: self._estimates[w] for w in workloads}

    def _fitted_regressor(self) -> "KernelRegressor":
        from latency.model.regressor import KernelRegressor
        from runtime import Workload

        rows = self.table.rows(self.device.identity)
        self._fitted_rows = max(len(rows), len(self._known))
        try:
            return KernelRegressor(
                [Workload.from_key(key) for key in rows], [row.milliseconds for row in rows.values()]
            )
        except ValueError as error:
            raise MeasurementError(
                f"device: the table of '{self.device.name}' cannot be learned from ({error}); "
                "measure first: nas latency measure, on this device"
            ) from error


def workloads_of(
    network: "nn.Module | Architecture", input_shape: tuple[int, ...] | None = None
) -> "list[Workload]":
    """The kernels of a model or an architecture, in order."""
    import runtime

    if isinstance(network, Architecture):
        return list(_of_architecture(network.to_json(), input_shape or (1, *network.input_shape)))
    own = getattr(network, "input_shape", None)
    if input_shape is None and isinstance(own, tuple):
        input_shape = (1, *own)
    if input_shape is None:
        raise InvalidInput("input_shape", "a module does not know its own", "pass (N, C, H, W)")
    return runtime.workloads(network, input_shape)


def checked(architecture: Architecture) -> "nn.Module":
    """An architecture's network, untrained.

    Raises:
        BitnasError: its kernels are not those that predictions count with.
    """
    import runtime
    import search_spaces

    module = search_spaces.build(architecture).eval()
    if runtime.workloads(module, (1, *architecture.input_shape)) != workloads_of(architecture):
        raise BitnasError(
            f"space: a block of '{architecture.space}' computes something else with other layers; "
            "have its forward() not look into them, but at attributes of its own"
        )
    return module


def keys_of(architecture: Architecture) -> tuple[str, ...]:
    """The keys of an architecture's kernels, in order: what its network is known by in a table."""
    return tuple(work.key for work in workloads_of(architecture))


def activation_bytes(architecture: Architecture) -> int:
    """Bytes of the workspace that the compiled network asks for, to run one image."""
    return _planned(architecture.to_json(), (1, *architecture.input_shape))[1]


def _of_architecture(text: str, input_shape: tuple[int, ...]) -> "tuple[Workload, ...]":
    return _planned(text, input_shape)[0]


@lru_cache(REMEMBERED)
def _planned(text: str, input_shape: tuple[int, ...]) -> "tuple[tuple[Workload, ...], int]":
    """An architecture's kernels, and the bytes of workspace that they need."""
    from runtime.codegen.assembly import lay_out
    from runtime.lowering import lower_parts
    from search_spaces.builder import parts

    traces = (_trace_of(part) for part in parts(Architecture.from_json(text)))
    graph = lower_parts(traces, input_shape)
    return tuple(graph.workloads), lay_out(graph).workspace_bytes


def forget_networks(blocks: bool, traces: bool = False) -> None:
    """Forget the kernels of all networks, and, if wanted, the blocks, and even their traces and layers."""
    from search_spaces.block.base import forget_layers

    _planned.cache_clear()
    if blocks:
        _trace_of.cache_clear()
    if traces:
        _traces.clear()
        forget_layers()


_traces: "dict[Hashable, Trace]" = {}
"""Of parts that differ in their layers only one is traced: that takes longer than all else here."""


@lru_cache(REMEMBERED)
def _trace_of(part: "Part") -> "Trace":
    from runtime.lowering import structure, trace

    module = part.outline()
    like = structure(module)
    if like in _traces:
        return _traces[like].of(module)
    return _traces.setdefault(like, trace(module))
