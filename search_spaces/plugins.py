"""Plugin files: Python files of the user's that add to the registries, named by ``nas --plugin FILE``."""

import os
import sys
from functools import cache
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from search_spaces.errors import BitnasError, InvalidInput

VARIABLE = "NAS_PLUGINS"
"""The environment variable that holds their paths, so that worker processes load them, too."""

_loaded: set[str] = set()
_named: dict[str, None] = {}


def add_plugin_file(path: Path) -> None:
    """Have this process and those that it starts load a file, once a registry is asked for something.

    Raises:
        InvalidInput: there is no such file.
    """
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
    for name in os.environ.get(VARIABLE, "").split(os.pathsep):
        if name and name not in _loaded:
            _loaded.add(name)  # first: it asks registries itself
            _run(Path(name))


def _run(path: Path) -> None:
    module_name = f"bitnas_plugin_{path.stem}"
    spec = spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BitnasError(f"{path}: it is no Python file")
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # classes in it may be looked up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        kind = "" if isinstance(error, BitnasError) else f"{type(error).__name__}: "
        raise BitnasError(f"plugin '{path}': {kind}{reason}; mend it") from error
