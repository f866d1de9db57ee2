"""The process that talks to a device: it can be killed at any moment, and its parent does when time is up.

``python -m latency.hardware.runner IN OUT`` reads jobs, a line of JSON each, from the file descriptor IN and
answers each by a line on OUT: ``{"found": ...}``, or ``{"error": ...}`` when the device gave no usable time.
Anything worse ends the process; the parent then starts another, with a session of its own.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from latency.record import DeviceRecord
from latency.timing.functions import KernelJob, NetworkJob
from latency.timing.measurement import Timings
from latency.timing.place import Probe, RpcSession
from latency.timing.system import boot_id, describe
from latency.timing.timer import Timer
from runtime.light_tvm import without_torch
from search_spaces.errors import MeasurementError


class Runner:
    """A session with one device, and what it is asked to do."""

    def __init__(self, job: dict[str, Any]) -> None:
        """Connect and send the probe."""
        self._job = job
        self._notes = listen()
        record = DeviceRecord(**job["record"])
        self._place = place = RpcSession(record, job["seconds"])
        self._probe = Probe(place, Path(job["probe"]))
        self._probe.use_cores(record.threads)

    @cached_property
    def _timer(self) -> Timer:
        """Made when something is timed: its reference is code for the target, which may not run there."""
        library, reference = Path(self._job["library"]), self._job["reference"]
        return Timer(self._place, self._probe.read, library, reference, self._job["cooldown_s"])

    def describe(self, job: dict[str, Any]) -> dict[str, Any]:
        """What the device is."""
        return {**describe(self._probe.read), "tvm_on_device": self._place.tvm_version}

    def boot(self, job: dict[str, Any]) -> dict[str, Any]:
        """What its kernel calls its boot, if it tells."""
        return {"boot": boot_id(self._probe.read)}

    def kernels(self, job: dict[str, Any]) -> dict[str, Any]:
        """Time kernels on random data."""
        jobs = [KernelJob(*kernel) for kernel in job["kernels"]]
        library, brief, usual_ms = Path(job["library"]), job["brief"], job["usual_ms"]
        return self._timed(lambda: self._timer.kernels(library, jobs, brief, usual_ms))

    def networks(self, job: dict[str, Any]) -> dict[str, Any]:
        """Time networks on arrays that lie in files."""
        jobs = [
            NetworkJob(Path(library), name, [np.load(path, allow_pickle=False) for path in paths])
            for library, name, paths in job["networks"]
        ]
        return self._timed(lambda: self._timer.networks(jobs, job["usual_ms"]))

    def _timed(self, measure: Callable[[], Timings]) -> dict[str, Any]:
        self._notes.clear()
        found = measure()
        return {
            "measured": [each.to_dict() for each in found.measurements],
            "notes": list(self._notes),
            "drifts": list(found.drifts),
        }


def listen() -> list[str]:
    """A list that notes of a measurement come into, for those who asked for it elsewhere."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    logger = logging.getLogger("nas.latency")
    logger.setLevel(logging.INFO)
    logger.addHandler(Listener(logging.INFO))
    return found


def main(read_from: int, write_to: int) -> None:
    """Answer jobs until there are no more; the first says what to connect to."""
    with (
        os.fdopen(read_from, encoding="utf-8") as jobs,
        os.fdopen(write_to, "w", encoding="utf-8") as answers,
    ):

        def answer(**fields: Any) -> None:
            answers.write(json.dumps(fields) + "\n")
            answers.flush()

        runner = Runner(json.loads(next(jobs)))
        answer(found={})
        for line in jobs:
            job = json.loads(line)
            try:
                answer(found=getattr(runner, job["job"])(job))
            except MeasurementError as error:
                answer(error=str(error))


if __name__ == "__main__":
    without_torch()
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except (RuntimeError, OSError, ValueError) as problem:  # what TVM makes of a lost connection
        lines = [line for line in str(problem).splitlines() if line.strip()]
        sys.exit(f"{type(problem).__name__}: {lines[0] if lines else 'no message'}")
