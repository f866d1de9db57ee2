"""Times batches of kernels and networks at a place: the one way, here and over RPC."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from latency.timing.drift import MAX_DRIFT, DriftWatch
from latency.timing.functions import Functions, KernelJob, NetworkJob
from latency.timing.measurement import Measurement, Timings
from latency.timing.patience import patience_s
from latency.timing.place import Place
from latency.timing.sampling import (
    BRIEF_PLAN,
    THOROUGH_PLAN,
    SamplingPlan,
    fastest,
    measure_in_turn,
    scale_of,
)
from latency.timing.speed import ReferenceSpeed
from latency.timing.system import ReadFile, waited_s, with_system
from runtime.codegen.timed_kernels import SINGLE_CALL

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds, before what was measured in a drift is measured again."""

log = logging.getLogger("nas.latency")

Batch = Callable[[float | None], list[Measurement]]
"""Measures some things once, at the usual speed if that is given."""


class Timer:
    """Times at a place, batch by batch, and watches a reference meanwhile. Not for several threads at once.

    Times are given for the speed at which the reference takes ``usual_ms``; where that is not given, for that
    of this timer's first batch.

    Attributes:
        speed: what the reference tells.
        rejected: how many batches were thrown away because the reference had drifted.
        patience_s: seconds that may yet go into such; as long as others take comes back.
    """

    def __init__(
        self, place: Place, read: ReadFile, library: Path, reference: str, cooldown_s: float = 0.0
    ) -> None:
        """``reference`` is the reference's function in ``library``; ``read`` reads files of the device."""
        self.rejected = 0
        self.patience_s = self._max_patience_s = patience_s()
        self._functions = Functions(place)
        self._read = read
        self._cooldown_s = cooldown_s
        self.speed = ReferenceSpeed(self._functions.reference(library, reference))
        self._watch = DriftWatch()
        self._usual_ms: float | None = None
        self._is_comparable = True

    def kernels(
        self,
        library: Path,
        jobs: Sequence[KernelJob],
        brief: bool = False,
        usual_ms: float | None = None,
    ) -> Timings:
        """Time kernels of a library, at least one, each in its fastest schedule."""
        plan = BRIEF_PLAN if brief else THOROUGH_PLAN
        batch = self._kernel_batch(library, jobs, plan)
        found = self._watched(batch, plan, usual_ms)
        if not brief:
            return found
        marked = [replace(m, conditions=replace(m.conditions, brief=True)) for m in found.measurements]
        return replace(found, measurements=marked)

    def networks(self, jobs: Sequence[NetworkJob], usual_ms: float | None = None) -> Timings:
        """Time whole networks, at least one."""
        samplers = [self._functions.network(job) for job in jobs]
        return self._watched(
            lambda usual: measure_in_turn(samplers, self.speed, THOROUGH_PLAN, usual), THOROUGH_PLAN, usual_ms
        )

    def _kernel_batch(self, library: Path, jobs: Sequence[KernelJob], plan: SamplingPlan) -> Batch:
        modules = self._functions.modules(library)
        copies = [self._functions.memories(job.memory) for job in jobs]
        ways = [
            {way: self._functions.kernel(modules, name, memories) for way, name in job.names.items()}
            for job, memories in zip(jobs, copies, strict=True)
        ]

        def once(usual_ms: float | None) -> list[Measurement]:
            chosen = fastest(ways)
            samplers = [ways[i][way] for i, way in enumerate(chosen)]
            found = measure_in_turn(samplers, self.speed, plan, usual_ms)
            cold = [
                self._functions.cold(modules[0], job.names[way] + SINGLE_CALL, memories[0])
                for way, job, memories in zip(chosen, jobs, copies, strict=True)
            ]
            return [
                replace(measured, schedule=way, cold_ms=ms * scale_of(measured))
                for measured, way, ms in zip(found, chosen, cold, strict=True)
            ]

        return once

    def _watched(self, once: Batch, plan: SamplingPlan, usual_ms: float | None) -> Timings:
        """Measure while the reference, in its quietest moments, is about as fast as it was recently.

        Where the machine has taken on another speed, that becomes the one to compare with, and is said.
        Where it is disturbed for longer than patience lasts, the least disturbed try counts, marked.
        """
        usual = self._usual_ms if usual_ms is None else usual_ms
        drifts: list[float] = []
        while True:  # again at another speed, at which the first batch is accepted
            time.sleep(self._cooldown_s)
            found, new_drifts = self._tried(once, plan, usual)
            drifts += new_drifts
            if found is not None:
                return Timings(self._noted(found), tuple(drifts))

    def _tried(
        self, once: Batch, plan: SamplingPlan, usual: float | None
    ) -> tuple[list[Measurement] | None, list[float]]:
        """A batch, tried again while it drifts, and the drifts; None where the machine has another speed."""
        drifts: list[float] = []
        tries: list[tuple[float, list[Measurement]]] = []
        for pause in (*PAUSES, None) if plan.repeats else (None,):
            started = time.monotonic()
            self.speed.begin()
            found = self._with_waiting(once, usual)
            quietest = self.speed.quietest_ms
            drift = self._watch.drift(quietest)
            seconds = time.monotonic() - started
            drifts.append(max(0.0, drift))
            if drift <= MAX_DRIFT:
                self.patience_s = min(self._max_patience_s, self.patience_s + seconds)
                return self._accepted(found, quietest, usual), drifts
            self.rejected += 1
            log.info("the machine is disturbed: the reference takes %.0f %% longer than usual", 100 * drift)
            tries.append((drift, found))
            self.speed.forget()
            if self._watch.is_new_speed(quietest):
                log.info("the machine has settled at a speed %.0f %% lower than before", 100 * drift)
                self.speed.restart()
                return None, drifts
            self.patience_s -= seconds + (pause or 0.0)
            if pause is None or self.patience_s < 0:
                break
            time.sleep(pause)  # nobody tells when a neighbour is done
        return _least_disturbed(tries), drifts

    def _with_waiting(self, once: Batch, usual: float | None) -> list[Measurement]:
        """A batch, and the share of its time in which others had the core, where the system tells."""
        started, before = time.monotonic(), waited_s(self._read)
        found = once(usual)
        after, seconds = waited_s(self._read), time.monotonic() - started
        if before is None or after is None or seconds <= 0:
            return found
        waited = max(0.0, after - before) / seconds
        return [replace(each, conditions=replace(each.conditions, waited=waited)) for each in found]

    def _accepted(self, found: list[Measurement], quietest: float, usual: float | None) -> list[Measurement]:
        self._watch.accept(quietest)
        is_comparable = usual is None or self.speed.is_comparable(usual)
        if self._is_comparable and not is_comparable:
            log.info("the device's speed is no longer comparable with that of its first measurements")
        self._is_comparable = is_comparable
        self._usual_ms = found[0].conditions.usual_ms if usual is None else usual
        return found

    def _noted(self, found: list[Measurement]) -> list[Measurement]:
        """With the state of the system that they were taken in."""
        return [replace(each, conditions=with_system(each.conditions, self._read)) for each in found]


def _least_disturbed(tries: list[tuple[float, list[Measurement]]]) -> list[Measurement]:
    """Times of a busy machine, unscaled: a kernel may not have lost what the reference lost."""
    drift, found = min(tries, key=itemgetter(0))
    log.info(
        "disturbed for too long: %d times count, marked, though the reference takes %.0f %% longer than "
        "usual; they may be too long by that; nas latency measure takes kernels again",
        len(found),
        100 * drift,
    )
    return [_unscaled(each, drift) for each in found]


def _unscaled(measured: Measurement, drift: float) -> Measurement:
    """A disturbed time, not scaled to another speed, and marked."""
    factor = max(1.0, 1 / scale_of(measured))
    return replace(
        measured,
        milliseconds=measured.milliseconds * factor,
        iqr_ms=measured.iqr_ms * factor,
        cold_ms=None if measured.cold_ms is None else measured.cold_ms * factor,
        conditions=replace(measured.conditions, drift=drift),
    )
