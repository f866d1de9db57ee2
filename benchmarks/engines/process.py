"""Engines in child processes: a network in one takes its turn when a line comes through its pipe."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
MODULES = {"openvino": "openvino", "ncnn": "ncnn", "litert": "ai_edge_litert"}
"""What each engine imports."""


class NotRunError(Exception):
    """An engine that cannot be compared here; the message says why."""


class Child:
    """A process that runs a network; to be closed.

    It has the last of this process's cores, where single threads are timed.
    """

    def __init__(self, python: str, engine: str, model: Path, settings: Mapping[str, str]) -> None:
        """Start it and load the network.

        Args:
            python: the interpreter of the environment that the engine is installed in.
            engine: of ``MODULES``.
            model: the file that the engine reads.
            settings: environment variables.

        Raises:
            NotRunError: it does not load.
        """
        core = sorted(os.sched_getaffinity(0))[-1]
        before = os.sched_getaffinity(0)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child lives
        os.sched_setaffinity(0, {core})  # the child's threads come into being with it
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.engines.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings},
            )
        finally:
            os.sched_setaffinity(0, before)
        self.version = str(self._ask({"load": engine, "model": str(model)})["version"])

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's output for images (1, C, H, W), which stay its input."""
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "images.npy", Path(folder) / "answer.npy"
            np.save(given, images)
            self._ask({"answer": str(given), "to": str(found)})
            return np.asarray(np.load(found), np.float32)

    def run(self, repeats: int) -> float:
        """The seconds of one of so many runs: a contender of ``race``."""
        return float(self._ask({"run": repeats})["seconds"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _ask(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(told), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            why = last_line(self._errors.read().decode()) or f"it ended with code {code}"
            self.close()
            raise NotRunError(why)
        found: dict[str, Any] = json.loads(line)
        return found


def last_line(text: str) -> str:
    """What a traceback ends with, without the name of the error's module."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def require(python: str, engine: str) -> None:
    """Raise a ``NotRunError`` where an environment has no such engine."""
    found = subprocess.run([python, "-c", f"import {MODULES[engine]}"], capture_output=True, text=True)
    if found.returncode:
        raise NotRunError(f"{MODULES[engine]} is not installed")
