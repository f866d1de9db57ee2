"""Object files: the machine code of functions, compiled once and kept in the user's cache for the next time.

A kernel is compiled when it is timed, and needed again by every network that has it, by the export, and by
the next search. A file is found by a digest of all that its code depends on, so one that is found is right.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from runtime.folders import cache_folder
from runtime.pipeline import register_pipeline
from runtime.target import resolve_target

KERNELS = "kernels"  # the folder within the cache
MOST_BYTES = 256 * 2**20
"""What the folder may hold; of a kernel that is some 5 kB. Beyond it, what was used longest ago goes."""

PASSES = "pipeline.py", "direct.py", "sharing.py"
"""The files beside this one whose code decides what becomes of a function."""

Functions = Mapping[str, Any]
"""``PrimFunc`` by name."""

log = logging.getLogger(__name__)


def build(functions: Functions, target: str) -> Any:
    """Compile functions into one ``tvm.runtime.Executable``."""
    import tvm

    module = tvm.IRModule(dict(functions))
    return tvm.compile(module, target=resolve_target(target), tir_pipeline=register_pipeline())


def object_file(functions: Functions, target: str, aside: Path, anew: bool = False) -> Path:
    """The object file of functions (``PrimFunc`` by name) for a target, compiled if it is not there yet.

    It lies in the cache, or in the folder ``aside`` where there is no cache that only this user can write to.
    ``anew``: one that is there is replaced.
    """
    name = f"{_digest(functions, target)}.o"
    folder = _folder(cache_folder() / KERNELS)
    file = (folder or aside) / name
    if not anew and _is_there(file):
        return file
    if folder is not None:
        _make_room(folder)
    try:
        _compile(functions, target, file)
    except OSError:  # the disk is full
        log.debug("a kernel cannot be kept in '%s'", folder, exc_info=True)
        file = aside / name
        _compile(functions, target, file)
    return file


def _is_there(file: Path) -> bool:
    """Whether a file is, and holds something; it then counts as used, and is not among the first to go."""
    try:
        os.utime(file)
        return file.stat().st_size > 0
    except OSError:
        return False


def _digest(functions: Functions, target: str) -> str:
    """Of all that the code depends on: the functions, the target, the compiler and our passes."""
    import tvm
    from tvm_ffi import structural_hash

    told = [tvm.__version__, _passes(), str(resolve_target(target))]
    told += [f"{name} {structural_hash(function)}" for name, function in functions.items()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


@cache
def _passes() -> str:
    """A digest of our passes."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in PASSES)).hexdigest()


def _compile(functions: Functions, target: str, file: Path) -> None:
    """Compile functions into a file, written aside and renamed: processes may do so at once."""
    built = build(functions, target)
    handle, half = tempfile.mkstemp(suffix=".o", prefix=".", dir=file.parent)
    os.close(handle)
    try:
        built.mod.write_to_file(half, "o")
        Path(half).replace(file)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise


@cache
def _folder(folder: Path) -> Path | None:
    """The folder, made if need be; None where it cannot be, or where others may write code into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        log.debug("kernels cannot be kept in '%s'", folder, exc_info=True)
        return None
    is_own = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if is_own and os.access(folder, os.W_OK | os.X_OK) else None


@cache
def _make_room(folder: Path) -> None:
    """Once a process: where the folder holds too much, drop the half that was used longest ago."""
    found = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    found.sort(key=lambda file: file[0].st_mtime)
    left = sum(status.st_size for status, _ in found)
    if left <= MOST_BYTES:
        return
    for status, path in found:
        if left <= MOST_BYTES // 2:
            break
        Path(path).unlink(missing_ok=True)  # another process may be at it, too
        left -= status.st_size
