"""Neural architecture search from Python: ``nas.search``, ``nas.resume``, ``nas.join`` and ``nas.load``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import join, load, resume, search
    from nas.evaluators.base import PrunedError, Report
    from nas.evaluators.function import evaluator
    from nas.export.formats.weights import load_network
    from nas.objectives.reported import Reported as Objective
    from nas.result import Result

# Looked up on first use, so that importing the package loads neither torch nor SQLAlchemy.
_EXPORTS = {
    "Objective": "objectives.reported:Reported",
    "PrunedError": "evaluators.base:PrunedError",
    "Report": "evaluators.base:Report",
    "Result": "result:Result",
    "evaluator": "evaluators.function:evaluator",
    "join": "api:join",
    "load": "api:load",
    "load_network": "export.formats.weights:load_network",
    "resume": "api:resume",
    "search": "api:search",
}

__all__ = [
    "Objective",
    "PrunedError",
    "Report",
    "Result",
    "evaluator",
    "join",
    "load",
    "load_network",
    "resume",
    "search",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("nas.versions").own_version()
    if name not in _EXPORTS:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    home, _, found = _EXPORTS[name].partition(":")
    return getattr(import_module(f"nas.{home}"), found)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, "__version__"})
