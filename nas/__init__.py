"""Neural architecture search, started from Python: ``nas.search``, ``nas.resume`` and ``nas.load``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import load, resume, search
    from nas.result import Result

# Looked up on first use, so that importing the package loads neither torch nor SQLAlchemy.
_EXPORTS = {"Result": "result", "load": "api", "resume": "api", "search": "api"}

__all__ = ["Result", "load", "resume", "search"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _EXPORTS:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    return getattr(import_module(f"nas.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, "__version__"})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bitnas")
    except PackageNotFoundError:
        return "unknown (bitnas runs from a folder where it is not installed)"
