"""Object files: the machine code of functions, compiled once and kept in the user's cache for the next time.

A kernel is compiled when it is timed, and needed again by every network that has it, by the export, and by
the next search. An entry is found by a digest of all that its code depends on, and holds one of its content.
"""

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path

from runtime.codegen.pipeline import register_pipeline
from runtime.folders import cache_folder
from runtime.target import resolve_target
from runtime.tvm_types import Executable, PrimFunc

KERNELS = "kernels"  # the folder within the cache
CACHE_BYTES = 256 * 2**20
"""What the folder may hold; of a kernel that is some 5 kB. Beyond it, what was used longest ago goes."""
ENTRIES_BETWEEN_CHECKS = 256
"""After so many new entries of a process, it looks whether the folder holds more."""

Functions = Mapping[str, PrimFunc]
"""By name."""

log = logging.getLogger(__name__)
_added = count()


def build(functions: Functions, target: str) -> Executable:
    """Compile functions into one ``tvm.runtime.Executable``."""
    import tvm

    module = tvm.IRModule(dict(functions))
    return tvm.compile(module, target=resolve_target(target), tir_pipeline=register_pipeline())


def object_file(functions: Functions, target: str, folder: Path) -> Path:
    """A new object file of functions for a target in ``folder``: from the cache, else compiled and kept.

    Nothing is kept where there is no cache that only this user can write to, or where it is full.
    """
    key = _digest(functions, target)
    kept = _folder(cache_folder() / KERNELS)
    code = None if kept is None else _read(kept / key)
    if code is None:
        code = _compiled(functions, target)
        if kept is not None:
            _keep(kept / key, code)
    file = folder / f"{key}.o"
    file.write_bytes(code)
    return file


def _compiled(functions: Functions, target: str) -> bytes:
    """The object file's content, through memory: LLVM ends the process where a disk is full."""
    built = build(functions, target)
    with os.fdopen(os.memfd_create("object"), "rb") as memory:
        built.mod.write_to_file(f"/proc/self/fd/{memory.fileno()}", "o")
        return memory.read()


def _digest(functions: Functions, target: str) -> str:
    """Of all that the code depends on: the functions, the target, the compiler and our sources.

    Functions may call operators of ours, and of plug-ins', that are lowered when they are compiled.
    """
    import tvm
    from tvm_ffi import structural_hash

    told = [tvm.__version__, _sources(_modules_of_kernels()), str(resolve_target(target))]
    told += [f"{name} {structural_hash(function)}" for name, function in functions.items()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _modules_of_kernels() -> tuple[str, ...]:
    """The files that the kernels of plug-ins come from."""
    from runtime.kernels import kernels

    modules = {type(kernels.get(name)).__module__ for name in kernels}
    files = (getattr(sys.modules.get(name), "__file__", None) for name in modules)
    return tuple(sorted(file for file in files if file))


@cache
def _sources(others: tuple[str, ...]) -> str:
    """A digest of the sources of ``runtime``, and of others."""
    here = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted({*here.rglob("*.py"), *map(Path, others)}):
        found.update(path.read_bytes())
    return found.hexdigest()


def _read(entry: Path) -> bytes | None:
    """The content of an entry, which then counts as used; None where there is none, or it is damaged."""
    try:
        content = entry.read_bytes()
        os.utime(entry)
    except OSError:
        return None
    code = content[hashlib.sha256().digest_size :]
    return code if content == _with_digest(code) else None


def _with_digest(code: bytes) -> bytes:
    return hashlib.sha256(code).digest() + code


def _keep(entry: Path, code: bytes) -> None:
    """Write an entry, aside and renamed: processes may do so at once. Where it cannot be, nothing is kept."""
    try:
        if next(_added) % ENTRIES_BETWEEN_CHECKS == 0:
            _make_room(entry.parent)
        handle, half = tempfile.mkstemp(prefix=".", dir=entry.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_with_digest(code))
            Path(half).replace(entry)
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise
    except OSError:
        log.debug("a kernel cannot be kept in '%s'", entry.parent, exc_info=True)


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


def _make_room(folder: Path) -> None:
    """Where the folder holds too much, drop the half that was used longest ago."""
    found = sorted(_files(folder))
    left = sum(size for _, size, _ in found)
    if left <= CACHE_BYTES:
        return
    for _, size, path in found:
        if left <= CACHE_BYTES // 2:
            break
        path.unlink(missing_ok=True)  # another process may be at it, too
        left -= size


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """When each file was used last, its bytes and its path; those that go meanwhile are left out."""
    found = []
    for path in folder.iterdir():
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        found.append((status.st_mtime, status.st_size, path))
    return found
