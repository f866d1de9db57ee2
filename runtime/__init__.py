"""The runtime room: torch models lowered to small graphs of kernels, compiled with TVM, saved and loaded."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UnsupportedLayerError

if TYPE_CHECKING:
    from runtime.formats.c_network import c_source, write_c
    from runtime.formats.c_program import ImageInput
    from runtime.formats.loading import load
    from runtime.formats.onnx.write import onnx_model, write_onnx
    from runtime.lowering import workloads
    from runtime.network import CompiledNetwork, compile
    from runtime.workload import Workload

__all__ = [
    "CompiledNetwork",
    "ImageInput",
    "UnsupportedLayerError",
    "Workload",
    "c_source",
    "compile",
    "load",
    "onnx_model",
    "workloads",
    "write_c",
    "write_onnx",
]

_HOMES = {
    "CompiledNetwork": "runtime.network",
    "ImageInput": "runtime.formats.c_program",
    "Workload": "runtime.workload",
    "c_source": "runtime.formats.c_network",
    "compile": "runtime.network",
    "load": "runtime.formats.loading",
    "onnx_model": "runtime.formats.onnx.write",
    "workloads": "runtime.lowering",
    "write_c": "runtime.formats.c_network",
    "write_onnx": "runtime.formats.onnx.write",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: torch and TVM are heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'runtime' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
