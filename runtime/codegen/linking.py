"""Links functions into a shared library, with the threads that run them if need be."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from runtime.codegen.direct import PACKED_PREFIX
from runtime.codegen.objects import Functions, build, object_file
from runtime.cpu import AMX
from runtime.target import linker_of
from runtime.tvm_types import LoadedModule
from search_spaces.errors import BitnasError

THREADS_C = Path(__file__).with_name("threads.c")
TILES_C = Path(__file__).with_name("tiles.c")


def link(
    parts: Sequence[Functions],
    entries: Sequence[str],
    target: str,
    library: Path,
    threads: int,
    has_symbols: bool = False,
    source: str = "",
    on_part: Callable[[], None] = lambda: None,
) -> None:
    """Compile functions, each part by itself or taken from the cache, and link them into a shared library.

    Only those of ``entries`` are seen from outside. For more than one thread, ``threads.c`` is linked in: an
    entry then runs its function on all of them. ``has_symbols``: whether the names of all functions are kept,
    which would be half of a network's library. ``source``: C code that is linked with them. ``on_part`` is
    called before each part.

    Raises:
        BitnasError: they cannot be linked.
    """
    from tvm.support.cc import create_shared

    if threads > 1:
        parts = [_inner(part, entries) for part in parts]
    linker = linker_of(target)
    with tempfile.TemporaryDirectory(prefix="bitnas-") as name:
        folder = Path(name)
        options = [*_visible(entries, folder), *_threads(entries, threads, folder), *_c_code(source, folder)]
        options += ["-Wl,--as-needed", *([] if has_symbols else ["-s"])]
        objects = []
        for part in parts:
            on_part()
            objects.append(str(object_file(part, target, folder)))
        try:
            create_shared(str(library), [*objects, "-lm"], options=options, cc=linker)  # behind what needs it
        except RuntimeError as error:
            last = (str(error).strip().splitlines() or ["no message"])[-1]
            raise BitnasError(f"target: code for '{target}' cannot be linked ({last})") from error


def _visible(entries: Sequence[str], folder: Path) -> list[str]:
    """Options by which nothing but the entries is seen from outside, and nothing is kept that none calls."""
    script = folder / "entries.map"
    names = "".join(f"{PACKED_PREFIX}{name}; " for name in entries)
    script.write_text(f"{{ global: {names}local: *; }};\n", encoding="utf-8")
    return [f"-Wl,--version-script={script}", "-Wl,--gc-sections"]


def _threads(entries: Sequence[str], threads: int, folder: Path) -> list[str]:
    """Options by which the threads are compiled in, if there is more than one."""
    if threads == 1:
        return []
    source = folder / "threads.c"
    calls = "".join(f"ENTRY({name})\n" for name in entries)
    source.write_text(THREADS_C.read_text(encoding="utf-8") + calls, encoding="utf-8")
    return ["-O2", "-pthread", f"-DTHREADS={threads}", "-x", "c", str(source), "-x", "none"]


def _c_code(source: str, folder: Path) -> list[str]:
    """Options by which C code is compiled in, if there is any."""
    if not source:
        return []
    from tvm_ffi import libinfo

    file = folder / "source.c"
    file.write_text(source, encoding="utf-8")
    includes = [f"-I{libinfo.find_include_path()}", f"-I{libinfo.find_dlpack_include_path()}"]
    return ["-O2", "-std=gnu11", *includes, "-x", "c", str(file), "-x", "none"]


def asking_source(flags: Iterable[str]) -> str:
    """C code by which a library asks the system for what code with these flags needs, when it is loaded."""
    return TILES_C.read_text(encoding="utf-8") if AMX & frozenset(flags) else ""


def load(functions: Functions, target: str, threads: int) -> LoadedModule:
    """Compile functions for this machine into a module of TVM's that calls them."""
    import tvm

    if threads == 1:
        return build(functions, target).mod
    with tempfile.TemporaryDirectory(prefix="bitnas-") as folder:
        library = Path(folder) / "functions.so"
        link([functions], list(functions), target, library, threads)
        return tvm.runtime.load_module(str(library))  # what is loaded outlives its file


def _inner(part: Functions, entries: Sequence[str]) -> Functions:
    """Functions with another name for what all threads run: its own is for what starts them."""
    names = {name: inner_name(name) if name in entries else name for name in part}
    return {names[name]: function.with_attr("global_symbol", names[name]) for name, function in part.items()}


def inner_name(name: str) -> str:
    """The name of what every thread runs of an entry."""
    return f"threads_{name}"
