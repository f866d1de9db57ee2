"""llvm-mca, which predicts from a model of a CPU how many cycles a loop takes there."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

from benchmarks.cycles.loops import Loop
from runtime.target import resolve_target
from search_spaces.errors import BitnasError

STEPS = 200
HOST_TRIPLE = "x86_64-linux-gnu"


@cache
def command() -> str:
    """The newest llvm-mca on the PATH, by its number: ``llvm-mca-19`` before ``llvm-mca``.

    Raises:
        BitnasError: there is none.
    """
    found = [
        (int(number[1] or 0), str(path))
        for folder in os.get_exec_path()
        for path in Path(folder).glob("llvm-mca*")
        if (number := re.fullmatch(r"llvm-mca(?:-(\d+))?", path.name)) and os.access(path, os.X_OK)
    ]
    if not found:
        raise BitnasError("llvm-mca: it is not on the PATH; install LLVM's tools (Debian: llvm-19)")
    return max(found)[1]


def version() -> str:
    """What llvm-mca calls itself, ``LLVM version 19.1.7``."""
    told = subprocess.run([command(), "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"LLVM version [\d.]+", told)
    return found[0] if found else command()


def cycles(loop: Loop, target: str) -> float:
    """Cycles of one step of a loop, of many in a row.

    Raises:
        BitnasError: llvm-mca has no model of the CPU, or does not know an instruction.
    """
    attributes = resolve_target(target).attrs
    options = [f"-mtriple={attributes.get('mtriple', HOST_TRIPLE)}", f"-mcpu={attributes['mcpu']}"]
    features = ",".join(map(str, attributes.get("mattr", [])))
    options += [f"-mattr={features}"] if features else []
    ran = subprocess.run(
        [command(), *options, f"-iterations={STEPS}", "-json"],
        input="\n".join(loop.instructions) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        problem = next((line for line in ran.stderr.splitlines() if "error" in line), ran.stderr.strip())
        raise BitnasError(f"llvm-mca: it cannot tell of '{target}' ({problem})")
    (region,) = json.loads(ran.stdout)["CodeRegions"]
    return float(region["SummaryView"]["TotalCycles"]) / STEPS
