"""Rivals kept to a target's instruction sets, by a process that does not see the newer ones of this CPU."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.cpu import AMX
from runtime.target import cpu_of, host_flags

SOURCE = Path(__file__).with_name("fewer_instructions.c")
HIDE = "BITNAS_HIDE"
SETS = {
    "amx": AMX,
    "avx512": frozenset({"avx512f"}),
    "avx512_vnni": frozenset({"avx512_vnni"}),
    "avx_vnni": frozenset({"avx_vnni"}),
    "avx2": frozenset({"avx2"}),
    "avx": frozenset({"avx"}),
}
"""What can be hidden, and the flags that tell whether a CPU has it."""


def hidden(target: str) -> tuple[str, ...]:
    """What this CPU has and a target lacks, of ``SETS``.

    Raises:
        InvalidInput: the target is unknown.
    """
    asked = cpu_of(target).flags
    return tuple(name for name, flags in SETS.items() if host_flags() >= flags and not asked >= flags)


def is_kept() -> bool:
    """Whether this process is kept to fewer instructions."""
    return bool(os.environ.get(HIDE))


def environment(sets: Sequence[str], folder: Path) -> Mapping[str, str]:
    """Variables of a process that does not see these sets; none where this cannot be done.

    ``folder`` is for the library that answers, as long as the process runs.
    """
    library = folder / "fewer_instructions.so"
    build = ["gcc", "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-ldl"]
    found = {"LD_PRELOAD": str(library), HIDE: ",".join(sets)}
    try:
        is_built = subprocess.run(build, capture_output=True).returncode == 0
    except FileNotFoundError:  # there is no gcc
        return {}
    runs = is_built and subprocess.run(["true"], env={**os.environ, **found}).returncode == 0
    return found if runs else {}


def run_kept(target: str, command: Sequence[str]) -> int | None:
    """Run a command in a process that has no more than a target; its exit code.

    None where nothing is to be hidden, or nothing can be.
    """
    sets = () if is_kept() or target == "native" else hidden(target)
    if not sets:
        return None
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        variables = environment(sets, Path(folder))
        if not variables:
            print(f"rivals are not kept to {target}: this system hides no instructions", file=sys.stderr)
            return None
        return subprocess.run(command, env={**os.environ, **variables}).returncode
