"""What commands see that tests start: none of the user's settings, and hardly any patience."""

import os
import subprocess
from pathlib import Path

from runtime.codegen.objects import KERNELS
from runtime.folders import cache_folder

PATIENCE = {"NAS_PATIENCE": "0.5"}
"""Tests ask whether a time is there and used, not whether it is exact."""


def clean_environment(**more: str) -> dict[str, str]:
    """Variables for a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
    return {**kept, **PATIENCE, **more}


OF_AN_OUTER_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")


def make(folder: Path, *arguments: str) -> bytes:
    """Run ``make -s`` in a folder, as by hand: below ``make test`` it would tell which folders it enters.

    Returns:
        What it prints.

    Raises:
        AssertionError: it fails.
    """
    own = {name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE}
    told = subprocess.run(["make", "-s", "-C", folder, *arguments], env=own, capture_output=True)
    assert told.returncode == 0, told.stderr.decode()
    return told.stdout


def own_cache(folder: Path) -> str:
    """A new cache for decoded images, whose kernels are those of all tests: they take long to compile."""
    folder.mkdir(parents=True, exist_ok=True)
    shared = cache_folder() / KERNELS
    shared.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / KERNELS).exists():
        (folder / KERNELS).symlink_to(shared)
    return str(folder)
