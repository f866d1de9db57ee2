"""What can be built: architectures as data, precisions, quantized layers, blocks, and spaces of choices.

    architecture = search_spaces.space("tiny").sample(seed=7)
    network = search_spaces.build(architecture)

Importing this package imports neither torch nor pydantic: names are loaded when first asked for. No module
is called like a public name (``build`` lives in ``builder``): importing it would replace the name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.plugins import add_plugin_file
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from search_spaces.architecture import Architecture, Buildable, NamedNetwork, read_architecture
    from search_spaces.block import blocks
    from search_spaces.builder import build
    from search_spaces.networks import network
    from search_spaces.precision import Precision, precisions
    from search_spaces.search_space import SearchSpace, space, spaces
    from search_spaces.sizing import Size, size

_HOMES = {
    "Architecture": "architecture",
    "Buildable": "architecture",
    "NamedNetwork": "architecture",
    "Precision": "precision",
    "SearchSpace": "search_space",
    "Size": "sizing",
    "blocks": "block",
    "build": "builder",
    "network": "networks",
    "precisions": "precision",
    "read_architecture": "architecture",
    "size": "sizing",
    "space": "search_space",
    "spaces": "search_space",
}

__all__ = [
    "Architecture",
    "BitnasError",
    "Buildable",
    "InvalidInput",
    "NamedNetwork",
    "Precision",
    "Registry",
    "SearchSpace",
    "Size",
    "add_plugin_file",
    "blocks",
    "build",
    "network",
    "precisions",
    "read_architecture",
    "size",
    "space",
    "spaces",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"search_spaces.{_HOMES[name]}"), name)
