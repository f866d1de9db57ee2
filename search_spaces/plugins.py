"""Plugin files: Python files of the user's that add to the registries, named by ``nas --plugin FILE``."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from importlib.util import spec_from_file_location
from pathlib import Path
from threading import RLock
from types import ModuleType

from search_spaces.errors import BitnasError, InvalidInput

VARIABLE = "NAS_PLUGINS"
"""The environment variable that holds their paths, so that worker processes load them, too."""

__path__: list[str] = []
"""Makes this module a package, whose modules are the plug-in files, each by a name such as
``search_spaces.plugins.file_0dfafc18_mine``. Importing one by its name, as a new process does that unpickles
something of it, imports this module first."""

READING = RLock()
"""Is held by the thread that reads plug-ins in, for any registry: the others wait until all is there.

A plug-in may ask registries as it is read: it is in the same thread. Modules that plug-ins import ask by
``Registry.get_early`` as they are imported; two threads could wait for each other, else."""

_loaded: set[str] = set()
_named: dict[str, None] = {}


def add_plugin_file(path: Path | str) -> None:
    """Have this process and those that it starts load a file, once a registry is asked for something.

    Raises:
        InvalidInput: there is no such file.
    """
    path = Path(path)
    if not path.is_file() or path.suffix != ".py":
        raise InvalidInput("plugins", f"'{path}' is no Python file", "name one that ends in .py")
    known = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    absolute = str(path.resolve())
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*known, absolute]))
    _named[str(path)] = None


def named_plugin_files() -> list[str]:
    """The files that this process was told of by name, as they were named; not those of the environment."""
    return list(_named)


def load_plugins(plural: str) -> None:
    """Import what other distributions add to a registry, and run the plug-in files, each once.

    Raises:
        BitnasError: one of the files raises.
    """
    with READING:
        _load_entries(plural)
        load_plugin_files()


@cache
def _load_entries(plural: str) -> None:
    for entry in entry_points(group=f"bitnas.{plural}"):
        entry.load()


def load_plugin_files() -> None:
    """Run the files that were named, each once.

    Raises:
        BitnasError: one of them raises; the message says what.
    """
    with READING:
        for name, path in _modules().items():
            if name not in _loaded:
                _loaded.add(name)  # first: it asks registries itself
                _run(name, path)


def plugin_files() -> list[Path]:
    """The files that this process loads, those of the environment among them."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _modules() -> dict[str, Path]:
    """The plug-in files by their names as modules; the path is in these, as files may be called alike."""
    return {_module_name(path): path for path in plugin_files()}


def _module_name(path: Path) -> str:
    digest = sha256(bytes(path)).hexdigest()[:8]
    return f"{__name__}.file_{digest}_{path.stem.replace('.', '_')}"


def _run(name: str, path: Path) -> None:
    try:
        import_module(name)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        kind = "" if isinstance(error, BitnasError) else f"{type(error).__name__}: "
        raise BitnasError(f"plugin '{path}': {kind}{reason}; mend it") from error


class _Finder(MetaPathFinder):
    """Finds the plug-in files by their modules' names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The file of that name, if it is one."""
        file = _modules().get(fullname) if fullname.startswith(f"{__name__}.") else None
        return None if file is None else spec_from_file_location(fullname, file)


sys.meta_path.append(_Finder())
