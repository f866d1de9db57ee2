"""Compiles functions, and links them into a shared library, with the threads that run them if need be."""

import tempfile
from pathlib import Path
from typing import Any

from runtime.pipeline import register_pipeline
from runtime.target import linker_of, resolve_target
from search_spaces.errors import BitnasError

THREADS_C = Path(__file__).with_name("threads.c")


def build(functions: dict[str, Any], target: str) -> Any:
    """Compile functions, by name, into one ``tvm.runtime.Executable``."""
    import tvm

    module = tvm.IRModule(functions)
    return tvm.compile(module, target=resolve_target(target), tir_pipeline=register_pipeline())


def link(
    functions: dict[str, Any],
    entries: list[str],
    target: str,
    library: Path,
    threads: int,
    has_symbols: bool = False,
) -> None:
    """Compile functions into a shared library; those of ``entries`` are called from outside.

    For more than one thread, ``threads.c`` is linked in: an entry then runs its function on all of them.
    ``has_symbols``: whether the names of all functions are kept, which would be half of a network's library.
    """
    options = [] if has_symbols else ["-s"]
    if threads > 1:
        functions = {_inner(name, entries): function for name, function in functions.items()}
        functions = {name: f.with_attr("global_symbol", name) for name, f in functions.items()}
        source = library.with_suffix(".c")
        calls = "".join(f"ENTRY({name})\n" for name in entries)
        source.write_text(THREADS_C.read_text(encoding="utf-8") + calls, encoding="utf-8")
        options += ["-O2", "-pthread", "-fvisibility=hidden", f"-DTHREADS={threads}"]
        options += ["-x", "c", str(source), "-x", "none"]
    compiler = linker_of(target)
    chosen = {} if compiler is None else {"cc": compiler}
    built = build(functions, target)
    try:
        built.export_library(str(library), options=options, **chosen)
    except RuntimeError as error:
        last = (str(error).strip().splitlines() or ["no message"])[-1]
        raise BitnasError(f"target: code for '{target}' cannot be linked ({last})") from error


def load(functions: dict[str, Any], target: str, threads: int) -> Any:
    """Compile functions for this machine into a module of TVM's that calls them."""
    import tvm

    if threads == 1:
        return build(functions, target).mod
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        library = Path(folder) / "functions.so"
        link(functions, list(functions), target, library, threads)
        return tvm.runtime.load_module(str(library))  # what is loaded outlives its file


def _inner(name: str, entries: list[str]) -> str:
    """The name of what all threads run, where the name itself is for the function that starts them."""
    return f"threads_{name}" if name in entries else name
