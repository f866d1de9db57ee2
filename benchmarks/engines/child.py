"""``python -m benchmarks.engines.child``: an engine in a process and a Python environment of its own.

Reads a line of JSON for each thing to do and answers with one: ``{"load": engine, "model": path}`` with the
version, ``{"answer": path of an input, "to": path}``, ``{"run": times}`` with the seconds of one. Needs
numpy and the engine, and nothing of ours beside this package.
"""

import importlib
import json
import os
import sys
import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


class Engine(Protocol):
    """A network that is loaded, on one thread."""

    version: str

    def put(self, images: Images) -> None:
        """Set the input, (1, C, H, W)."""

    def run(self) -> None:
        """Compute the output of what was put in."""

    def answer(self) -> Images:
        """The last output, (1, classes)."""


def loaded(engine: str, model: str) -> Engine:
    """The network of a file; ``engine`` is a module beside this one."""
    found: Engine = importlib.import_module(f"benchmarks.engines.in_{engine}").load(model)
    return found


def serve(lines: Any, answers: Any) -> None:
    """Do what each line says, until there are no more."""
    engine: Engine | None = None
    for line in lines:
        asked = json.loads(line)
        told: dict[str, Any] = {}
        if "load" in asked:
            engine = loaded(asked["load"], asked["model"])
            told = {"version": engine.version}
        elif engine is None:
            told = {"error": "nothing is loaded"}
        elif "answer" in asked:
            engine.put(np.load(asked["answer"]))
            engine.run()
            np.save(asked["to"], engine.answer())
        else:
            start = time.perf_counter()
            for _ in range(asked["run"]):
                engine.run()
            told = {"seconds": (time.perf_counter() - start) / asked["run"]}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    own = os.dup(1)
    os.dup2(2, 1)  # engines print what they like
    serve(sys.stdin, os.fdopen(own, "w"))
